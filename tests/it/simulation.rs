//! The simulation: the shipped path, job runner and timers over a world of which every move follows from one seed. Replaced are
//! the store (by the one in memory, which keeps the same contract), the wire to Slack, the machine, the clock and randomness.
//!
//! `COUNTERSIGN_SEED=7 scripts/simulate` replays one seed and prints its trace; `COUNTERSIGN_SEEDS` and `COUNTERSIGN_STEPS` say
//! how many and how long.

mod judge;
mod machine;
mod people;
#[path = "../../crates/domain/tests/rules/reading.rs"]
mod reading;
mod replica;
mod run;
mod slack;
mod steps;
mod world;

use run::{Ended, one};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const STEPS: u64 = 200;
/// In an unoptimised build; `scripts/test` runs 2,000 in an optimised one.
const SEEDS: u64 = 40;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Runs `seeds` on two threads; prints how to replay the first that fails, and returns what happened in all of them.
fn run_all(first: u64, seeds: u64, steps: u64) -> BTreeMap<&'static str, u64> {
    let next = AtomicU64::new(first);
    let totals = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(None::<u64>);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || failed.lock().unwrap().is_some() {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| one(seed, steps, false))) {
                Ok(Ended { counts, .. }) => {
                    let mut totals = totals.lock().unwrap();
                    for (what, count) in counts {
                        *totals.entry(what).or_default() += count;
                    }
                }
                Err(_) => {
                    failed.lock().unwrap().get_or_insert(seed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    if let Some(seed) = *failed.lock().unwrap() {
        panic!(
            "seed {seed} broke an invariant, see above. Replay it: COUNTERSIGN_SEED={seed} COUNTERSIGN_STEPS={steps} scripts/simulate"
        );
    }
    totals.into_inner().unwrap()
}

#[test]
fn no_seed_breaks_an_invariant() {
    #[cfg(feature = "sabotage")]
    countersign::sabotage::from_environment();
    let steps = number("COUNTERSIGN_STEPS").unwrap_or(STEPS);
    if let Some(seed) = number("COUNTERSIGN_SEED") {
        let ended = one(seed, steps, true);
        println!("seed {seed}: trace {}, {:?}", ended.trace, ended.counts);
        return;
    }
    let seeds = number("COUNTERSIGN_SEEDS").unwrap_or(SEEDS);
    let begun = std::time::Instant::now();
    let totals = run_all(number("COUNTERSIGN_FIRST_SEED").unwrap_or(0), seeds, steps);
    println!(
        "simulation: {seeds} seeds × {steps} steps in {:.1} s",
        begun.elapsed().as_secs_f32()
    );
    for (what, count) in &totals {
        println!("  {count:>9} {what}");
    }
    if seeds * steps >= 100_000 {
        run::expect_enough(&totals, seeds);
    }
}

#[test]
fn the_same_seed_has_the_same_trace() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in [1, 2, 3, 40, 500] {
        let (first, second) = (one(seed, STEPS, false), one(seed, STEPS, false));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        traces.insert(first.trace);
    }
    assert_eq!(traces.len(), 5, "other seeds have other traces");
}
