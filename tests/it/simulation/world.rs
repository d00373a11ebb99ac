//! The world that the replicas live in: its clock, its luck, its people, and what every part of it records.

use super::machine::Host;
use super::people::{Person, company};
use super::slack::Workspace;
use countersign::store::Memory;
use domain::digest::Digest;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// A Monday noon in November.
pub const BEGIN_MS: i64 = 1_795_435_200_000;
pub const SERVICES: [&str; 2] = ["payments", "ledger"];
pub const RELEASES: &str = "C0RELEASES";
/// Lines of the trace that are shown when a seed fails.
const SHOWN: usize = 60;

/// SplitMix64.
#[derive(Debug)]
pub struct Luck(u64);

impl Luck {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    /// True `of_thousand` times in a thousand.
    pub fn chance(&mut self, of_thousand: u64) -> bool {
        self.next() % 1_000 < of_thousand
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() {
            None
        } else {
            all.get(self.below(all.len()))
        }
    }
}

/// Which kinds of trouble this seed knows, so that plain ones are not always drowned by the others.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)]
pub struct Troubles {
    pub crashes: bool,
    pub freezes: bool,
    pub jumps: bool,
    pub outages: bool,
    pub cut_lines: bool,
    pub lost_answers: bool,
}

pub struct State {
    pub luck: Luck,
    pub troubles: Troubles,
    /// How far the wall's clock is off the true time.
    pub off_ms: i64,
    /// How often it was set, and by how much in all.
    pub people: BTreeMap<&'static str, Person>,
    pub slack: Workspace,
    pub hosts: BTreeMap<String, Host>,
    /// Commits by service and tag; a tag that is absent doesn't exist.
    pub tags: BTreeMap<(String, String), char>,
    pub git_silent: bool,
    /// Which text the script of a service has.
    pub scripts: BTreeMap<String, u32>,
    pub counts: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
    digest: Digest,
}

pub struct World {
    pub memory: Memory,
    pub begun: Instant,
    print: bool,
    state: Mutex<State>,
}

impl World {
    pub fn new(seed: u64, print: bool) -> Self {
        let mut luck = Luck::new(seed);
        let troubles = Troubles {
            crashes: luck.chance(750),
            freezes: luck.chance(300),
            jumps: luck.chance(350),
            outages: luck.chance(500),
            cut_lines: luck.chance(400),
            lost_answers: luck.chance(600),
        };
        let state = State {
            luck,
            troubles,
            off_ms: 0,
            people: company(),
            slack: Workspace::default(),
            hosts: BTreeMap::new(),
            tags: BTreeMap::new(),
            git_silent: false,
            scripts: SERVICES.iter().map(|service| ((*service).to_owned(), 1)).collect(),
            counts: BTreeMap::new(),
            trace: Vec::new(),
            digest: Digest::of(b""),
        };
        Self {
            memory: Memory::new(),
            begun: Instant::now(),
            print,
            state: Mutex::new(state),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A failed check ends the whole seed.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// True milliseconds since the world began, whatever the clock on the wall says.
    pub fn true_ms(&self) -> i64 {
        i64::try_from((Instant::now() - self.begun).as_millis()).unwrap()
    }

    /// What the wall's clock says.
    pub fn wall_ms(&self) -> i64 {
        BEGIN_MS + self.true_ms() + self.lock().off_ms
    }

    pub fn tell(&self, line: &str) {
        let line = format!("{:>12} {line}", self.true_ms());
        if self.print {
            println!("{line}");
        }
        self.note(&line);
        self.lock().trace.push(line);
    }

    /// Part of the trace that nobody has to read.
    pub fn note(&self, line: &str) {
        let mut state = self.lock();
        state.digest = Digest::of(format!("{}{line}", state.digest).as_bytes());
    }

    pub fn count(&self, what: &'static str) {
        self.lock().count(what);
    }

    pub fn digest(&self) -> String {
        self.lock().digest.to_string()
    }

    /// The end of the trace, for whoever has to find out.
    pub fn last_lines(&self) -> String {
        let state = self.lock();
        let from = state.trace.len().saturating_sub(SHOWN);
        state.trace[from..].join("\n")
    }
}

impl State {
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}
