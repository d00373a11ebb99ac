//! A running deployment is stopped: TERM, then KILL to its whole group. It counts as cancelled, and the environment is free.

use crate::support::bot::{CLEO, DEV, MIA, RELEASES, RITA, TestBot, sample_script};
use crate::support::database::Engine;
use crate::support::process::is_alive;
use domain::release::{AttemptResult, AttemptState};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

/// What a stop leaves behind, whatever ended the script.
async fn was_stopped(bot: &TestBot) {
    let release = bot.becomes("REL-789", "approved").await;
    let attempt = &release.attempts[0];
    assert_eq!(attempt.state, AttemptState::Ended(AttemptResult::Cancelled));
    assert!(attempt.stop_by.is_some());
    bot.card_shows("REL-789", &["STOPPED"], &["deploy"], &["stop"]).await;
    bot.sees(RELEASES, &["STOPPED", "payments v1.4.0"]).await;
    let [supervisor, script] = bot.processes("REL-789", 1).await;
    for process in [supervisor, script] {
        bot.wait("its processes to be gone", async || (!is_alive(process)).then_some(()))
            .await;
    }
}

pub async fn a_stop_ends_the_script_and_frees_the_environment(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.approved("REL-789").await;
    bot.approved("REL-790").await;
    bot.deploys_for_long("REL-789").await;
    let refused = bot.types(MIA, "stop REL-789").await;
    assert!(refused.contains("roles.commands"), "{refused}");
    let busy = bot.types(DEV, "deploy REL-790").await;
    assert!(busy.contains("deploy.exclusive") && busy.contains("REL-789"), "{busy}");
    assert_eq!(bot.count("REL-789", "StopRequested").await, 0);

    bot.clicks_on_card(RITA, "REL-789", "stop").await;
    was_stopped(&bot).await;
    assert_eq!(bot.count("REL-789", "StopRequested").await, 1);

    // The lock is free for anybody, under a higher fence.
    fs::remove_file(bot.folder.path().join("payments/slow")).unwrap();
    bot.types(DEV, "deploy REL-790").await;
    bot.becomes("REL-790", "released").await;
    let starts = bot.starts("payments");
    let fences: Vec<&str> = starts.iter().filter_map(|start| start.split(' ').nth(1)).collect();
    assert_eq!(fences, ["1", "2"]);
    bot.finish().await;
}

pub async fn a_script_that_ignores_term_is_killed_after_its_grace(engine: Engine) {
    let mut bot = TestBot::start(engine).await;
    bot.stop().await;
    // The grace is 20 s; who waits in this supervisor's place waits half a second.
    let impatient = bot.folder.path().join("impatient");
    let text = format!(
        "#!/bin/sh\nsed -i 's/\"kill_grace_ms\": *20000/\"kill_grace_ms\":500/' \"$3/launch.json\"\nexec '{}' \"$@\"\n",
        bot.binary.display()
    );
    fs::write(&impatient, text).unwrap();
    fs::set_permissions(&impatient, Permissions::from_mode(0o755)).unwrap();
    bot.binary = impatient;
    bot.boot().await;
    bot.write(
        "payments/deploy.sh",
        &sample_script("trap 'echo not yet' TERM\nwhile :; do sleep 0.1 || true; done"),
    );
    bot.approved("REL-789").await;
    bot.deploys_for_long("REL-789").await;
    let answer = bot.types(CLEO, "stop REL-789").await;
    assert!(answer.contains("REL-789"), "{answer}");
    was_stopped(&bot).await;
    bot.sees(RELEASES, &["STOPPED", "not yet"]).await;
    bot.finish().await;
}
