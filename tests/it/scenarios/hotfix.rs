//! A hotfix (clause 3.4), and the clock of its notice.

use crate::support::bot::{CLEO, PAYMENTS, RELEASES, THEO, TINA, TestBot, VERA};
use crate::support::database::Engine;
use crate::support::process::has_action;
use crate::support::smtp::{Mood, Server, TEAMS};
use domain::role::Role;
use playground::Fault;

pub const MINUTE_MS: u64 = 60_000;

pub async fn one_click_of_the_cto_deploys_when_the_tech_lead_has_signed(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.asks_for_hotfix(THEO, "v1.4.1").await;
    bot.becomes("HOTFIX-1", "asking").await;
    bot.clicks_in_dm(TINA, "approve").await;
    bot.sees(&bot.slack.dm(CLEO), &["Deploy v1.4.1 now", "staging"]).await;
    assert!(bot.clicks_in_dm(CLEO, "approve").await.ok());
    bot.becomes("HOTFIX-1", "released").await;
    assert_eq!(bot.starts("payments").len(), 1);
    bot.sees(RELEASES, &["HOTFIX", "payments v1.4.1", "Card payments fail"])
        .await;
    let release = bot
        .wait("the notice to be read back", async || {
            let release = bot.release("HOTFIX-1").await;
            release.attempts[0]
                .notice
                .as_ref()
                .and_then(|notice| notice.posted_ms)
                .map(|_| release.clone())
        })
        .await;
    assert!(release.open_debts().count() > 5, "what was skipped is owed");
    bot.finish().await;
}

pub async fn an_unanswered_tech_lead_is_waited_for_fifteen_minutes(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.asks_for_hotfix(THEO, "v1.4.1").await;
    bot.becomes("HOTFIX-1", "asking").await;
    bot.types(CLEO, "approve HOTFIX-1").await;
    bot.wait("cleo's sign-off", async || {
        (!bot.release("HOTFIX-1").await.sign_offs.is_empty()).then_some(())
    })
    .await;
    assert!(bot.starts("payments").is_empty());
    bot.slack.advance(14 * MINUTE_MS).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(bot.starts("payments").is_empty(), "14 minutes are not 15");
    bot.slack.advance(MINUTE_MS).unwrap();
    let release = bot.becomes("HOTFIX-1", "released").await;
    assert!(release.open_debts().any(|(rule, _)| rule.id() == "signoff.tech-lead"));

    // The owed sign-off pays the debt.
    bot.types(TINA, "approve HOTFIX-1").await;
    bot.wait("the debt to be paid", async || {
        let release = bot.release("HOTFIX-1").await;
        (!release.open_debts().any(|(rule, _)| rule.id() == "signoff.tech-lead")).then_some(())
    })
    .await;
    bot.finish().await;
}

pub async fn hotfix_under_way(bot: &TestBot) {
    bot.asks_for_hotfix(THEO, "v1.4.1").await;
    bot.becomes("HOTFIX-1", "asking").await;
    bot.types(TINA, "approve HOTFIX-1").await;
}

pub async fn the_notice_ladder_with_slack_down_ends_in_a_recorded_breach(engine: Engine) {
    let bot = TestBot::start(engine).await;
    hotfix_under_way(&bot).await;
    // Slack takes the click and then no message any more.
    bot.slack.fault("chat.postMessage", Fault::Unavailable, 10_000);
    bot.types(CLEO, "approve HOTFIX-1").await;
    bot.becomes("HOTFIX-1", "released").await;
    for (minutes, steps) in [(5, 1), (10, 2), (30, 3)] {
        bot.slack.advance(minutes * MINUTE_MS).unwrap();
        bot.wait(&format!("{steps} steps"), async || {
            let release = bot.release("HOTFIX-1").await;
            (release.attempts[0].notice.as_ref()?.steps.len() == steps).then_some(())
        })
        .await;
    }
    bot.slack.advance(15 * MINUTE_MS).unwrap();
    let breach = bot
        .wait("the breach", async || {
            bot.release("HOTFIX-1").await.attempts[0]
                .notice
                .as_ref()?
                .breached
                .clone()
        })
        .await;
    let started_ms = bot.release("HOTFIX-1").await.attempts[0].starting_ms.unwrap();
    assert_eq!(breach.due_ms, started_ms + 3_600_000);
    let pages = bot
        .wait("the pages", async || {
            let pages = std::fs::read_to_string(bot.folder.path().join("pages.log")).ok()?;
            (pages.lines().count() >= 2).then_some(pages)
        })
        .await;
    assert!(pages.contains("v1.4.1"), "{pages}");
    bot.slack.clear_faults();
    bot.slack.advance(MINUTE_MS).unwrap();
    bot.sees(RELEASES, &["BREACH"]).await;
    bot.sees(RELEASES, &["HOTFIX", "late"]).await;
    bot.finish().await;
}

/// A hotfix that was deployed while Slack took no message, when its notice's clock has run for 59 minutes.
async fn untold(bot: &TestBot) {
    hotfix_under_way(bot).await;
    bot.slack.fault("chat.postMessage", Fault::Unavailable, 10_000);
    bot.types(CLEO, "approve HOTFIX-1").await;
    bot.becomes("HOTFIX-1", "released").await;
    bot.slack.advance(59 * MINUTE_MS).unwrap();
    bot.wait("every step of the ladder", async || {
        let release = bot.release("HOTFIX-1").await;
        (release.attempts[0].notice.as_ref()?.steps.len() == 3).then_some(())
    })
    .await;
}

pub async fn without_mail_and_pager_the_thread_says_that_nobody_was_told(engine: Engine) {
    let bot = TestBot::with(engine, |config| {
        let (before, rest) = config.split_once("[escalation]").unwrap();
        let (_, after) = rest.split_once("[services.payments]").unwrap();
        format!("{before}[services.payments]{after}")
    })
    .await;
    untold(&bot).await;
    bot.wait("mail and pages to be dealt with", async || {
        let jobs = bot.open_jobs().await;
        (!jobs.iter().any(|job| job.lane == "mail")).then_some(())
    })
    .await;
    bot.slack.clear_faults();
    bot.slack.advance(30_000).unwrap();
    bot.sees(
        PAYMENTS,
        &[
            "all teams are to be mailed",
            "No mail is configured, so nobody was mailed.",
        ],
    )
    .await;
    bot.sees(
        PAYMENTS,
        &["are to be rung.", "No pager is configured, so nobody was rung."],
    )
    .await;
    bot.sees(RELEASES, &["HOTFIX", "payments v1.4.1"]).await;
    let card = bot.card_shows("HOTFIX-1", &["RELEASED"], &[], &[]).await;
    assert!(!card.visible_text().contains("gave up"), "{}", card.visible_text());
    bot.finish().await;
}

pub async fn a_mail_server_that_says_no_is_a_job_that_gave_up(engine: Engine) {
    let server = Server::start(Mood::Says("RCPT TO:<all-teams", "550 no such list")).await;
    let teams = TEAMS.replace("[\"", "[\"operations@acme.test\", \"");
    let mut bot = TestBot::with(engine, |config| {
        config.replace("[escalation]", &format!("{teams}[escalation]"))
    })
    .await;
    bot.stop().await;
    bot.environment = server.environment();
    bot.boot().await;
    untold(&bot).await;
    let dead = bot
        .wait("the mail to be given up", async || {
            bot.open_jobs().await.into_iter().find(|job| job.state == "dead")
        })
        .await;
    assert!(dead.kind.starts_with("mail_notice"), "{dead:?}");
    assert!(
        dead.reason.contains("550") && dead.reason.contains("SMTP_FROM"),
        "{}",
        dead.reason
    );
    // Whoever can be reached is, and once: the person who tries the job again doesn't mail them twice.
    let store = &bot.running().handler.store;
    assert!(store.retry_job(&dead.id).await.unwrap());
    bot.wait("the mail to be given up again", async || {
        let tried = server.count("RCPT TO:<all-teams@acme.test>") == 2;
        let dead = bot.open_jobs().await.iter().any(|job| job.state == "dead");
        (tried && dead).then_some(())
    })
    .await;
    assert_eq!(server.count("RCPT TO:<operations@acme.test>"), 1, "{}", server.said());
    bot.slack.clear_faults();
    bot.slack.advance(30_000).unwrap();
    bot.card_shows("HOTFIX-1", &["1 job of this release gave up"], &[], &[])
        .await;
    assert!(bot.running().handler.store.drop_job(&dead.id).await.unwrap());
    bot.finish().await;
}

pub async fn the_notice_is_posted_late_but_in_time_after_an_outage(engine: Engine) {
    let bot = TestBot::start(engine).await;
    untold(&bot).await;
    bot.slack.clear_faults();
    bot.wait("the notice", async || {
        bot.release("HOTFIX-1").await.attempts[0].notice.as_ref()?.posted_ms
    })
    .await;
    bot.slack.advance(5 * MINUTE_MS).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert!(
        bot.release("HOTFIX-1").await.attempts[0]
            .notice
            .as_ref()
            .unwrap()
            .breached
            .is_none()
    );
    bot.finish().await;
}

pub async fn a_bot_that_is_down_records_the_breach_when_it_is_back(engine: Engine) {
    let mut bot = TestBot::start(engine).await;
    hotfix_under_way(&bot).await;
    bot.slack.fault("chat.postMessage", Fault::Unavailable, 10_000);
    bot.types(CLEO, "approve HOTFIX-1").await;
    bot.becomes("HOTFIX-1", "released").await;
    bot.stop().await;
    bot.slack.advance(600 * MINUTE_MS).unwrap();
    bot.slack.clear_faults();
    bot.boot().await;
    let breach = bot
        .wait("the breach", async || {
            bot.release("HOTFIX-1").await.attempts[0]
                .notice
                .as_ref()?
                .breached
                .clone()
        })
        .await;
    let started_ms = bot.release("HOTFIX-1").await.attempts[0].starting_ms.unwrap();
    assert_eq!(breach.due_ms, started_ms + 3_600_000, "when it was due");
    assert!(breach.recorded_ms >= started_ms + 36_000_000, "when it was recorded");
    bot.sees(RELEASES, &["HOTFIX"]).await;
    bot.finish().await;
}

pub async fn the_deputy_is_asked_after_ten_minutes_of_silence_and_may_sign(engine: Engine) {
    let bot = TestBot::start(engine).await;
    hotfix_under_way(&bot).await;
    bot.sees(&bot.slack.dm(CLEO), &["HOTFIX-1"]).await;
    bot.slack.advance(9 * MINUTE_MS).unwrap();
    bot.clock.follow();
    bot.quiet().await;
    assert_eq!(bot.slack.dm_messages(VERA).len(), 0, "9 minutes are not 10");
    bot.slack.advance(MINUTE_MS).unwrap();
    bot.clock.follow();
    bot.clicks_in_dm(VERA, "approve").await;
    let release = bot.becomes("HOTFIX-1", "released").await;
    assert_eq!(bot.starts("payments").len(), 1);
    let deputy = &release.sign_offs[&Role::Cto].person;
    let users = bot.running().handler.store.people(&[deputy.as_str()]).await.unwrap();
    assert_eq!(users[0].user, VERA);
    // The CTO's own buttons are gone.
    bot.wait("cleo's question to be settled", async || {
        let asked = bot.slack.dm_messages(CLEO);
        (!asked.iter().any(|message| has_action(message, "approve"))).then_some(())
    })
    .await;
    bot.finish().await;
}
