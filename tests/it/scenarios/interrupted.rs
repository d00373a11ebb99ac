//! The host of a deployment is lost: nobody knows how it went. The environment stays locked until two people say the same.

use crate::support::bot::{DEV, MIA, RELEASES, RITA, THEO, TINA, TestBot};
use crate::support::database::Engine;
use crate::support::process::{UMA, is_alive, posted};
use domain::release::{AttemptState, Status};
use rustix::process::{Signal, kill_process_group};
use std::fs;

const SETTLE: [&str; 3] = ["settle_finished", "settle_failed", "settle_new_attempt"];
const MINUTE_MS: u64 = 60_000;

/// A deployment of REL-789 under way, whose supervisor and script are killed.
async fn interrupted(bot: &TestBot) {
    bot.approved("REL-789").await;
    bot.deploys_for_long("REL-789").await;
    bot.loses_the_host("REL-789", 1).await;
    is_interrupted(bot).await;
}

async fn is_interrupted(bot: &TestBot) {
    bot.becomes("REL-789", "interrupted").await;
    bot.card_shows("REL-789", &["OUTCOME UNKNOWN"], &SETTLE, &["stop", "deploy"])
        .await;
    bot.sees(RELEASES, &["OUTCOME UNKNOWN", "payments v1.4.0"]).await;
    fs::remove_file(bot.folder.path().join("payments/slow")).unwrap();
}

/// How many people have said something, while nothing is settled.
async fn said(bot: &TestBot) -> usize {
    let release = bot.release("REL-789").await;
    let attempt = release.live_attempt().expect("nothing is settled");
    assert_eq!(release.status, Status::Interrupted);
    assert_eq!(attempt.state, AttemptState::Interrupted);
    attempt.settlements.len()
}

/// Messages that told #releases how an attempt ended.
fn outcomes(bot: &TestBot, attempt: u32) -> Vec<String> {
    let id = format!("outcome/REL-789/{attempt}");
    let told = posted(&bot.slack).into_iter().filter(|(posted, _)| *posted == id);
    told.map(|(_, message)| message.visible_text()).collect()
}

/// Fences of the script's starts, in order, and the attempts they belong to.
fn starts(bot: &TestBot) -> Vec<(String, String)> {
    let starts = bot.starts("payments");
    let words = starts.iter().map(|start| {
        let mut words = start.split(' ');
        let attempt = words.next().unwrap().rsplit_once('.').unwrap().0.to_owned();
        (attempt, words.next().unwrap().to_owned())
    });
    words.collect()
}

fn start(attempt: &str, fence: &str) -> (String, String) {
    (attempt.to_owned(), fence.to_owned())
}

pub async fn two_people_who_say_that_it_finished_settle_it(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.approved("REL-790").await;
    interrupted(&bot).await;

    // Nothing else goes to the environment meanwhile, and the refusal names what holds it.
    let busy = bot.types(DEV, "deploy REL-790").await;
    assert!(busy.contains("deploy.exclusive") && busy.contains("REL-789"), "{busy}");

    let refused = bot.clicks_on_card(MIA, "REL-789", "settle_finished").await;
    assert!(refused.contains("roles.commands"), "{refused}");
    assert_eq!(said(&bot).await, 0);

    // One person, however often, settles nothing.
    bot.clicks_on_card(DEV, "REL-789", "settle_finished").await;
    assert_eq!(said(&bot).await, 1);
    bot.clicks_on_card(DEV, "REL-789", "settle_finished").await;
    assert_eq!(said(&bot).await, 1);
    // Nor do two who disagree.
    bot.clicks_on_card(THEO, "REL-789", "settle_failed").await;
    assert_eq!(said(&bot).await, 2);
    let busy = bot.types(DEV, "deploy REL-790").await;
    assert!(busy.contains("deploy.exclusive") && busy.contains("REL-789"), "{busy}");

    bot.clicks_on_card(RITA, "REL-789", "settle_finished").await;
    bot.becomes("REL-789", "released").await;
    assert_eq!(bot.count("REL-789", "AttemptSettled").await, 1);
    assert_eq!(starts(&bot), [start("REL-789.1", "1")]);
    bot.card_shows("REL-789", &["RELEASED"], &[], &SETTLE).await;
    bot.wait("#releases to say it in the same message", async || {
        let told = outcomes(&bot, 1);
        (told.len() == 1 && told[0].contains("RELEASED")).then_some(())
    })
    .await;

    // The lock is free, and the next holder's fence is higher.
    bot.types(DEV, "deploy REL-790").await;
    bot.becomes("REL-790", "released").await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1"), start("REL-790.1", "2")]);
    bot.finish().await;
}

pub async fn two_people_who_say_that_it_failed_settle_it(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.approved("REL-789").await;
    bot.deploys_for_long("REL-789").await;
    // The script goes on, and nobody is there to see how it ends.
    let script = bot.loses_the_supervisor("REL-789", 1).await;
    is_interrupted(&bot).await;
    assert!(
        is_alive(script),
        "whoever looks at the environment decides what becomes of it"
    );
    kill_process_group(script, Signal::KILL).unwrap();
    bot.clicks_on_card(TINA, "REL-789", "settle_failed").await;
    assert_eq!(said(&bot).await, 1);
    bot.clicks_on_card(DEV, "REL-789", "settle_failed").await;
    let release = bot.becomes("REL-789", "approved").await;
    assert!(release.live_attempt().is_none());
    bot.card_shows("REL-789", &["FAILED"], &["deploy"], &SETTLE).await;
    bot.sees(RELEASES, &["FAILED", "payments v1.4.0"]).await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1")], "nothing restarts by itself");

    // Another attempt is another command.
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1"), start("REL-789.2", "2")]);
    bot.finish().await;
}

pub async fn two_people_may_start_a_new_attempt(engine: Engine) {
    let bot = TestBot::start(engine).await;
    interrupted(&bot).await;
    bot.clicks_on_card(THEO, "REL-789", "settle_new_attempt").await;
    assert_eq!(said(&bot).await, 1);
    assert_eq!(starts(&bot).len(), 1);
    bot.clicks_on_card(DEV, "REL-789", "settle_new_attempt").await;
    let release = bot.becomes("REL-789", "released").await;
    assert_eq!(release.attempts.len(), 2);
    assert_eq!(starts(&bot), [start("REL-789.1", "1"), start("REL-789.2", "2")]);
    bot.wait("both results in #releases", async || {
        let (first, second) = (outcomes(&bot, 1), outcomes(&bot, 2));
        let told = first.len() == 1 && second.len() == 1;
        (told && first[0].contains("FAILED") && second[0].contains("RELEASED")).then_some(())
    })
    .await;
    bot.finish().await;
}

pub async fn a_new_attempt_does_not_start_beside_the_old_script(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.approved("REL-789").await;
    bot.deploys_for_long("REL-789").await;
    let script = bot.loses_the_supervisor("REL-789", 1).await;
    is_interrupted(&bot).await;
    bot.clicks_on_card(THEO, "REL-789", "settle_new_attempt").await;
    bot.clicks_on_card(DEV, "REL-789", "settle_new_attempt").await;
    let release = bot.becomes("REL-789", "approved").await;
    assert_eq!(release.attempts.len(), 2);
    assert!(is_alive(script), "Countersign ends nothing that it does not watch");
    bot.sees(
        RELEASES,
        &["DID NOT START", "attempt 1 still runs", "end it there first"],
    )
    .await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1")]);

    kill_process_group(script, Signal::KILL).unwrap();
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1"), start("REL-789.3", "3")]);
    bot.finish().await;
}

pub async fn another_release_does_not_start_beside_the_old_script(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.approved("REL-789").await;
    bot.deploys_for_long("REL-789").await;
    let script = bot.loses_the_supervisor("REL-789", 1).await;
    is_interrupted(&bot).await;
    bot.clicks_on_card(THEO, "REL-789", "settle_failed").await;
    bot.clicks_on_card(DEV, "REL-789", "settle_failed").await;
    bot.becomes("REL-789", "approved").await;
    bot.approved("REL-790").await;
    bot.types(DEV, "deploy REL-790").await;
    bot.sees(
        RELEASES,
        &["DID NOT START", "attempt 1 of REL-789 still runs", "end it there first"],
    )
    .await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1")]);

    kill_process_group(script, Signal::KILL).unwrap();
    bot.types(DEV, "deploy REL-790").await;
    bot.becomes("REL-790", "released").await;
    assert_eq!(starts(&bot).len(), 2);
    bot.finish().await;
}

pub async fn a_new_attempt_has_to_pass_every_gate_again(engine: Engine) {
    let bot = TestBot::start(engine).await;
    interrupted(&bot).await;
    // Quinn signed, and is no QA lead any more.
    bot.slack
        .change_group("S0QALEADS", |group| group.users.retain(|user| user != "U0QUINN"));
    bot.slack.advance(2 * MINUTE_MS).unwrap();
    bot.clicks_on_card(DEV, "REL-789", "settle_new_attempt").await;
    bot.clicks_on_card(RITA, "REL-789", "settle_new_attempt").await;
    let release = bot
        .wait("it to be settled", async || {
            let release = bot.release("REL-789").await;
            release.live_attempt().is_none().then_some(release)
        })
        .await;
    assert_eq!(release.attempts.len(), 1, "no attempt is even requested");
    assert_eq!(starts(&bot).len(), 1);
    // Asked beforehand, the checklist says what the refusal says.
    let why = bot.types(DEV, "why REL-789").await;
    assert!(why.contains("signoff.qa-lead"), "{why}");
    let refused = bot.types(DEV, "deploy REL-789").await;
    assert!(refused.contains("signoff.qa-lead"), "{refused}");

    // Somebody who is QA lead signs, and it may go out.
    bot.types(UMA, "approve REL-789").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1"), start("REL-789.2", "2")]);
    bot.finish().await;
}

pub async fn a_spool_that_vanished_is_no_proof_that_nothing_ran(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.approved("REL-789").await;
    bot.deploys_for_long("REL-789").await;
    let [_, script] = bot.processes("REL-789", 1).await;
    bot.wait("the attempt to run", async || {
        let release = bot.release("REL-789").await;
        (release.live_attempt()?.state == AttemptState::Running).then_some(())
    })
    .await;
    // A tidy-up of the disk, while the script goes on.
    fs::remove_dir_all(bot.folder.path().join("data/attempts")).unwrap();
    fs::create_dir(bot.folder.path().join("data/attempts")).unwrap();
    bot.slack.advance(MINUTE_MS).unwrap();
    is_interrupted(&bot).await;
    assert!(is_alive(script));
    kill_process_group(script, Signal::KILL).unwrap();
    bot.clicks_on_card(DEV, "REL-789", "settle_failed").await;
    bot.clicks_on_card(RITA, "REL-789", "settle_failed").await;
    bot.becomes("REL-789", "approved").await;
    bot.finish().await;
}

pub async fn a_host_that_never_comes_back_leaves_it_to_two_people(engine: Engine) {
    let mut bot = TestBot::start(engine).await;
    bot.approved("REL-789").await;
    bot.deploys_for_long("REL-789").await;
    let script = bot.loses_the_supervisor("REL-789", 1).await;
    bot.stop().await;
    kill_process_group(script, Signal::KILL).unwrap();
    // A new machine over the same database: another host, with no spool of what the old one ran.
    fs::remove_dir_all(bot.folder.path().join("data")).unwrap();
    bot.boot().await;
    bot.slack.advance(4 * MINUTE_MS).unwrap();
    bot.wait("the new host to look", async || {
        let jobs = bot.open_jobs().await;
        jobs.iter()
            .any(|job| job.reason.contains("only host") && job.reason.contains("can judge it"))
            .then_some(())
    })
    .await;
    assert_eq!(
        bot.release("REL-789").await.status,
        Status::Deploying,
        "an upgrade takes minutes"
    );
    bot.slack.advance(2 * MINUTE_MS).unwrap();
    is_interrupted(&bot).await;
    bot.clicks_on_card(DEV, "REL-789", "settle_failed").await;
    bot.clicks_on_card(THEO, "REL-789", "settle_failed").await;
    bot.becomes("REL-789", "approved").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    assert_eq!(starts(&bot), [start("REL-789.1", "1"), start("REL-789.2", "2")]);
    bot.finish().await;
}
