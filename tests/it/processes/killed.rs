//! kill -9 at any moment of both scenarios, and an immediate restart, over and over: nothing acknowledged is lost, nothing
//! starts twice, what runs is followed to its end, and the cards are true in the end. `COUNTERSIGN_KILLS` says how often,
//! `COUNTERSIGN_SEED` repeats a run's random choices. From 100 kills on every durable step is hit at least three times.

mod steps;

use super::{
    being_posted, card_is_true, hotfix, no_acknowledged_sign_off_is_lost, number, older_copies, planned_release,
    retire_stray_copies, signatures,
};
use crate::support::bot::run;
use crate::support::database::Engine;
use crate::support::process::{Replica, World};
use crate::support::smtp::{self, Mood, TEAMS};
use playground::Message;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use steps::{HITS_WANTED, NOTHING_YET, Step, Stood, names, steps_of, table, table_of_steps};

const KILLS: usize = 100;
/// The log of a world is verified after each kill, and grows: many kills are spread over several worlds.
const KILLS_IN_A_WORLD: usize = 250;
const WORLDS_AT_ONCE: usize = 4;
/// As many kills as it takes to aim at every step.
const KILLS_FOR_EVERY_STEP: usize = 100;
/// In such a run every so manieth kill falls at random all the same.
const RANDOM_EVERY: usize = 5;
const AIM_FOR: Duration = Duration::from_secs(8);
/// Longer than a worker's lease: what the killed process held is free when the next one looks.
const LEASE_OVER_MS: u64 = 31_000;
/// Kills are aimed at these in turn, so that every run falls into the short steps too.
const AIMS: [Option<&str>; 8] = [
    None,
    Some("AttemptStarting.v1"),
    None,
    Some("AttemptRunning.v1"),
    Some("SignedOff.v1"),
    None,
    Some("DeploymentRequested.v1"),
    Some("AttemptEnded.v1"),
];

/// One kill: where each release under way stood, and which messages were being posted.
struct Kill {
    under_way: Vec<Stood>,
    posting: Vec<String>,
}

struct Ordeal {
    world: World,
    kills_wanted: usize,
    kills: Mutex<Vec<Kill>>,
    keys: Mutex<Vec<(String, &'static str)>>,
    under_way: Mutex<BTreeMap<String, &'static str>>,
    /// What is to be hit three times; nothing in a short run.
    steps: Vec<Step>,
    over: AtomicBool,
    restart_slowest_ms: AtomicUsize,
}

#[test]
fn killed_over_and_over_on_sqlite() {
    check(Engine::Sqlite);
}

#[test]
fn killed_over_and_over_on_postgres() {
    check(Engine::Postgres);
}

fn check(engine: Engine) {
    let seed = number("COUNTERSIGN_SEED").unwrap_or_else(|| rand::random_range(0..1_000_000));
    let kills = number("COUNTERSIGN_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    let worlds: Vec<usize> = (0..kills)
        .step_by(KILLS_IN_A_WORLD)
        .map(|from| KILLS_IN_A_WORLD.min(kills - from))
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..worlds.len().min(WORLDS_AT_ONCE) {
            scope.spawn(|| {
                loop {
                    let world = next.fetch_add(1, Ordering::Relaxed);
                    let Some(kills) = worlds.get(world) else { return };
                    run(engine, |engine| ordeal(engine, *kills, seed + world as u64));
                }
            });
        }
    });
}

async fn ordeal(engine: Engine, kills_wanted: usize, seed: u64) {
    println!("{engine:?}: {kills_wanted} kills, COUNTERSIGN_SEED={seed}");
    // So many kills hold a notice up for minutes of its clock: then it is mailed.
    let mail = smtp::Server::start(Mood::Friendly).await;
    let told = format!("{TEAMS}[escalation]\n");
    let world = World::with(
        engine,
        |config| config.replace("[escalation]\n", &told),
        mail.environment(),
    )
    .await;
    world.write("payments/slow", "1");
    world.write("ledger/slow", "2");
    let mut ordeal = Ordeal {
        world,
        kills_wanted,
        kills: Mutex::default(),
        keys: Mutex::default(),
        under_way: Mutex::default(),
        steps: Vec::new(),
        over: AtomicBool::new(false),
        restart_slowest_ms: AtomicUsize::new(0),
    };
    let bot = ordeal.serve().await;
    if kills_wanted >= KILLS_FOR_EVERY_STEP {
        ordeal.steps = ordeal.undisturbed().await;
    }
    let (bot, (), ()) = tokio::join!(
        ordeal.kill_and_restart(bot, StdRng::seed_from_u64(seed)),
        ordeal.planned(),
        ordeal.hotfixes()
    );
    ordeal.judge().await;
    bot.terminate().await;
}

impl Ordeal {
    async fn serve(&self) -> Replica {
        let bot = self.world.serve("bot", "all").await;
        self.world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
        bot
    }

    /// The steps of both scenarios when nobody is killed.
    async fn undisturbed(&self) -> Vec<Step> {
        let both = [("REL-999", "payments"), ("FIX-999", "ledger")];
        for (key, service) in both {
            self.begin(key, service);
        }
        tokio::join!(planned_release(&self.world, both[0].0), hotfix(&self.world, both[1].0));
        self.world.settles().await;
        let mut steps = Vec::new();
        for (key, service) in both {
            self.end(key);
            steps.extend(steps_of(service, &self.world.told(key).await));
        }
        steps
    }

    async fn planned(&self) {
        for n in 1_000.. {
            let key = format!("REL-{n}");
            self.begin(&key, "payments");
            planned_release(&self.world, &key).await;
            self.shows_its_end(&key).await;
            if self.end(&key) {
                return;
            }
        }
    }

    async fn hotfixes(&self) {
        for n in 1.. {
            // With and without a ticket of its own.
            let key = if n % 3 == 0 {
                format!("FIX-{n}")
            } else {
                format!("HOTFIX-{}", n - n / 3)
            };
            self.begin(&key, "ledger");
            hotfix(&self.world, &key).await;
            self.shows_its_end(&key).await;
            if self.end(&key) {
                return;
            }
        }
    }

    fn begin(&self, key: &str, service: &'static str) {
        self.keys.lock().unwrap().push((key.to_owned(), service));
        self.under_way.lock().unwrap().insert(key.to_owned(), service);
    }

    /// What follows the last entry is under way until the card says it.
    async fn shows_its_end(&self, key: &str) {
        let card = format!("card/{key}");
        self.world
            .wait(&format!("the card of {key} to say that it is released"), async || {
                // An older copy, left by a kill, never says it.
                let posted = self.world.posted();
                let says_so = |message: &Message| message.visible_text().contains("RELEASED");
                let mut cards = posted.iter().filter(|(id, _)| *id == card);
                cards.any(|(_, message)| says_so(message)).then_some(())
            })
            .await;
    }

    fn end(&self, key: &str) -> bool {
        self.under_way.lock().unwrap().remove(key);
        self.over.load(Ordering::SeqCst)
    }

    async fn kill_and_restart(&self, mut bot: Replica, mut random: StdRng) -> Replica {
        // A step that the processes seldom take may need more of them.
        let kills_max = self.kills_wanted * 2;
        for (kill, aim) in AIMS.into_iter().cycle().take(kills_max).enumerate() {
            let missing = self.missing();
            if kill >= self.kills_wanted && missing.is_none() {
                break;
            }
            match (missing.filter(|_| !kill.is_multiple_of(RANDOM_EVERY)), aim) {
                (Some(step), _) => self.enters(&step, &mut random).await,
                (None, Some(event)) => {
                    self.event(event).await;
                    tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
                }
                (None, None) => tokio::time::sleep(Duration::from_millis(random.random_range(0..700))).await,
            }
            bot.kill();
            no_acknowledged_sign_off_is_lost(&self.world).await;
            self.note().await;
            self.world.audit().await;
            self.nothing_started_twice();
            self.world.slack.advance(LEASE_OVER_MS).unwrap();
            let began = Instant::now();
            bot = self.serve().await;
            let took_ms = usize::try_from(began.elapsed().as_millis()).unwrap();
            self.restart_slowest_ms.fetch_max(took_ms, Ordering::Relaxed);
        }
        self.over.store(true, Ordering::SeqCst);
        bot
    }

    /// The step that was hit least, if some are not hit often enough.
    fn missing(&self) -> Option<Step> {
        let stood = self.stood();
        let least = self.steps.iter().min_by_key(|step| step.hits(&stood))?;
        (least.hits(&stood) < HITS_WANTED).then(|| least.clone())
    }

    /// Where the releases under way stood when the kills fell.
    fn stood(&self) -> Vec<Stood> {
        let kills = self.kills.lock().unwrap();
        kills.iter().flat_map(|kill| kill.under_way.clone()).collect()
    }

    /// Waits until some release enters this step, for a while.
    async fn enters(&self, step: &Step, random: &mut StdRng) {
        let until = Instant::now() + AIM_FOR;
        // Whoever stands there already may have stood there for long.
        let mut seen = self.standing_at(step).await;
        let has_entered = loop {
            let standing = self.standing_at(step).await;
            if standing.difference(&seen).next().is_some() {
                break true;
            }
            seen = standing;
            if Instant::now() > until {
                break false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        // Before its first entry a release waits for people, and a form to be opened.
        if has_entered && step.last == NOTHING_YET {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
        }
    }

    /// Releases that are in this step.
    async fn standing_at(&self, step: &Step) -> BTreeSet<String> {
        let under_way = self.under_way.lock().unwrap().clone();
        let mut standing = BTreeSet::new();
        for (key, _) in under_way.into_iter().filter(|(_, service)| *service == step.service) {
            if step.is_under_way(&names(&self.world.told(&key).await)) {
                standing.insert(key);
            }
        }
        standing
    }

    /// Waits for such an event to be logged, for a while.
    async fn event(&self, name: &str) {
        let until = Instant::now() + Duration::from_secs(8);
        let mut seen = self.world.head().await;
        while Instant::now() < until {
            let head = self.world.head().await;
            if head > seen {
                let news = self.world.log(seen + 1).await;
                if news.iter().any(|told| told.name == name) {
                    return;
                }
                seen = head;
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }

    /// What the kill fell into, read while nothing runs.
    async fn note(&self) {
        let under_way = self.under_way.lock().unwrap().clone();
        let mut kill = Kill {
            under_way: Vec::new(),
            posting: Vec::new(),
        };
        for (key, service) in under_way {
            let events = names(&self.world.told(&key).await);
            kill.under_way.push(Stood { key, service, events });
        }
        let all = self.keys.lock().unwrap().clone();
        for (key, _) in all {
            kill.posting.extend(being_posted(&self.world, &key).await);
        }
        self.kills.lock().unwrap().push(kill);
    }

    fn nothing_started_twice(&self) {
        for service in ["payments", "ledger"] {
            let mut attempts = BTreeSet::new();
            for start in self.world.starts(service) {
                let attempt = start.split(' ').next().unwrap_or_default().to_owned();
                assert!(attempts.insert(attempt), "started twice: {start}");
            }
        }
    }

    async fn judge(&self) {
        let world = &self.world;
        world.settles().await;
        let audited = world.audit().await;
        let acknowledged = no_acknowledged_sign_off_is_lost(world).await;
        self.nothing_started_twice();
        let (mut stray, mut starts) = (0, 0);
        let keys = self.keys.lock().unwrap().clone();
        for (key, service) in &keys {
            assert_eq!(world.status(key).await, "released", "{key}");
            assert!(signatures(world, key).await.values().all(|count| *count == 1), "{key}");
            card_is_true(world, key).await;
            starts += self.followed_to_the_end(key, service).await;
            stray += retire_stray_copies(world, key).await;
        }
        let hotfixes = keys.iter().filter(|(_, service)| *service == "ledger").count();
        let all = world.log(1).await;
        let requested = all.iter().filter(|told| told.name == "HotfixRequested.v1").count();
        assert_eq!(requested, hotfixes, "a hotfix that nobody asked for");
        let unknown = self
            .kills
            .lock()
            .unwrap()
            .iter()
            .flat_map(|kill| kill.posting.clone())
            .collect();
        let copies = older_copies(world, unknown);
        let stood = self.stood();
        println!(
            "{} kills over {} releases; slowest restart {} ms; {acknowledged} sign-offs acknowledged, none lost; {starts} \
             scripts started, none twice; {copies} older copies of messages, {stray} of them with buttons until they \
             were clicked; {audited}\n{}",
            self.kills.lock().unwrap().len(),
            keys.len(),
            self.restart_slowest_ms.load(Ordering::Relaxed),
            table(&stood, &all)
        );
        if !self.steps.is_empty() {
            println!("{}", table_of_steps(&self.steps, &stood));
        }
        for step in &self.steps {
            let hits = step.hits(&stood);
            assert!(hits >= HITS_WANTED, "{hits} kills fell into {step:?}");
        }
    }

    /// Every attempt that started ended, with one start of its script, which wrote its last line.
    async fn followed_to_the_end(&self, key: &str, service: &str) -> usize {
        let told = self.world.told(key).await;
        let count = |name: &str| told.iter().filter(|told| told.name == name).count();
        let own = format!("{key}.");
        let starts = self.world.starts(service);
        let starts = starts.iter().filter(|start| start.starts_with(&own)).count();
        let ended = told.iter().filter(|told| told.name == "AttemptEnded.v1");
        let succeeded = ended
            .filter(|told| told.data["result"].to_string().contains("succeeded"))
            .count();
        assert_eq!(count("AttemptInterrupted.v1"), 0, "{key}: a script under way was lost");
        assert_eq!((starts, succeeded), (1, 1), "{key}: {told:#?}");
        assert_eq!(count("AttemptStarting.v1"), count("AttemptEnded.v1"), "{key}");
        starts
    }
}
