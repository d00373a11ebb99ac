//! Three processes over one PostgreSQL, of which one after another is stopped in the middle of whatever it does, for longer than
//! its leases, and goes on later: never two deployments live in one environment, no stale fence is accepted, nothing starts
//! twice. `COUNTERSIGN_PAUSES` says how often, `COUNTERSIGN_SEED` repeats a run's random choices.

use super::{card_is_true, hotfix, no_acknowledged_sign_off_is_lost, number, planned_release, signatures};
use crate::support::bot::{run, sample_script};
use crate::support::database::Engine;
use crate::support::process::{Fan, Replica, World};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PAUSES: u64 = 10;
const LEASE_OVER_MS: u64 = 31_000;
const SCRIPT: &str = r#"echo "began $COUNTERSIGN_ATTEMPT" >> runs
sleep 0.4
echo "ended $COUNTERSIGN_ATTEMPT" >> runs"#;

#[test]
fn a_process_that_sleeps_past_its_leases_does_no_harm_when_it_wakes() {
    run(Engine::Postgres, async |engine| {
        let seed = number("COUNTERSIGN_SEED").unwrap_or_else(rand::random);
        let pauses = number("COUNTERSIGN_PAUSES").unwrap_or(PAUSES);
        println!("{pauses} pauses, COUNTERSIGN_SEED={seed}");
        let world = World::new(engine).await;
        for service in ["payments", "ledger"] {
            let script = world.path(service).join("deploy.sh");
            std::fs::write(script, sample_script(SCRIPT)).unwrap();
        }
        let (one, two, three) = tokio::join!(
            world.serve("replica-1", "all"),
            world.serve("replica-2", "all"),
            world.serve("replica-3", "all")
        );
        let replicas = [one, two, three];
        let fan = Fan::start(replicas.iter().map(|replica| replica.url.clone())).await;
        world.slack.set_bot_urls(std::slice::from_ref(&fan.url));
        let (over, keys) = (AtomicBool::new(false), Mutex::default());
        tokio::join!(
            pause(&world, &replicas, &fan, pauses, StdRng::seed_from_u64(seed), &over),
            release_after_release(&world, "payments", &over, &keys),
            release_after_release(&world, "ledger", &over, &keys)
        );
        world.settles().await;
        judge(&world, &keys.into_inner().unwrap(), pauses).await;
        for replica in replicas {
            replica.terminate().await;
        }
    });
}

async fn pause(world: &World, replicas: &[Replica], fan: &Fan, pauses: u64, mut random: StdRng, over: &AtomicBool) {
    for _ in 0..pauses {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..900))).await;
        let victim = &replicas[random.random_range(0..replicas.len())];
        fan.sleeps(&victim.url);
        victim.freeze();
        tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
        world.slack.advance(LEASE_OVER_MS).unwrap();
        // The others take over what it holds.
        tokio::time::sleep(Duration::from_millis(random.random_range(700..2_000))).await;
        victim.thaw();
        fan.wakes(&victim.url);
    }
    over.store(true, Ordering::SeqCst);
}

async fn release_after_release(
    world: &World,
    service: &'static str,
    over: &AtomicBool,
    keys: &Mutex<Vec<(String, &'static str)>>,
) {
    for n in 1.. {
        let key = if service == "payments" {
            format!("REL-{n}")
        } else {
            format!("HOTFIX-{n}")
        };
        if service == "payments" {
            planned_release(world, &key).await;
        } else {
            hotfix(world, &key).await;
        }
        keys.lock().unwrap().push((key, service));
        if over.load(Ordering::SeqCst) {
            return;
        }
    }
}

async fn judge(world: &World, keys: &[(String, &'static str)], pauses: u64) {
    let acknowledged = no_acknowledged_sign_off_is_lost(world).await;
    let mut starts = 0;
    for service in ["payments", "ledger"] {
        starts += one_after_another(world, service);
    }
    for (key, _) in keys {
        assert_eq!(world.status(key).await, "released", "{key}");
        assert!(signatures(world, key).await.values().all(|count| *count == 1), "{key}");
        card_is_true(world, key).await;
    }
    println!(
        "{pauses} pauses over {} releases: {acknowledged} sign-offs acknowledged, none lost; {starts} scripts, one after another \
         in each environment, each with a fence of its own; {}",
        keys.len(),
        world.audit().await
    );
}

/// The scripts say themselves when they began and ended, and with which fence.
fn one_after_another(world: &World, service: &str) -> usize {
    let starts: Vec<(String, u64)> = world
        .starts(service)
        .iter()
        .map(|line| {
            let mut words = line.split(' ');
            (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap())
        })
        .collect();
    let runs = std::fs::read_to_string(world.path(service).join("runs")).unwrap();
    let runs: Vec<&str> = runs.lines().collect();
    let one_by_one: Vec<String> = starts
        .iter()
        .flat_map(|(attempt, _)| ["began", "ended"].map(|what| format!("{what} {attempt}")))
        .collect();
    assert_eq!(runs, one_by_one, "{service}: two at once, or one that began twice");
    assert!(
        starts.windows(2).all(|two| two[0].1 < two[1].1),
        "{service}: {starts:?}"
    );
    starts.len()
}
