//! The emergency notice in #releases (`emergency.notice`, 3.4) when the channel itself is in the way.

use super::hotfix::{MINUTE_MS, hotfix_under_way};
use crate::support::bot::{CLEO, RELEASES, TestBot};
use crate::support::database::Engine;
use playground::Fault;
use serde_json::json;

const BOT: &str = "U0BOT";

pub async fn a_bot_that_is_invited_late_posts_the_notice_by_itself(engine: Engine) {
    let bot = TestBot::start(engine).await;
    hotfix_under_way(&bot).await;
    bot.slack
        .change_channel(RELEASES, |channel| channel.members.retain(|member| member != BOT));
    bot.types(CLEO, "approve HOTFIX-1").await;
    bot.becomes("HOTFIX-1", "released").await;
    bot.slack.advance(20 * MINUTE_MS).unwrap();
    bot.wait("the notice to be held up", async || {
        let jobs = bot.open_jobs().await;
        let notice = jobs.iter().find(|job| job.lane == "notice")?;
        assert_ne!(notice.state, "dead", "{}", notice.reason);
        notice.reason.contains("not_in_channel").then_some(())
    })
    .await;
    let metrics = bot.metrics().await;
    assert!(metrics.contains("countersign_emergency_notices_open 1"), "{metrics}");
    bot.slack
        .change_channel(RELEASES, |channel| channel.members.extend([BOT.to_owned()]));
    bot.slack.advance(MINUTE_MS).unwrap();
    bot.sees(RELEASES, &["HOTFIX", "payments v1.4.1"]).await;
    bot.wait("the notice to be read back", async || {
        let release = bot.release("HOTFIX-1").await;
        release.attempts[0].notice.as_ref()?.posted_ms
    })
    .await;
    let metrics = bot.metrics().await;
    assert!(metrics.contains("countersign_emergency_notices_open 0"), "{metrics}");
    bot.finish().await;
}

pub async fn a_notice_that_slack_took_and_lost_is_posted_again(engine: Engine) {
    let bot = TestBot::start(engine).await;
    hotfix_under_way(&bot).await;
    bot.slack
        .fault("chat.getPermalink", Fault::Error("message_not_found".into()), 10_000);
    bot.types(CLEO, "approve HOTFIX-1").await;
    let lost = bot.sees(RELEASES, &["HOTFIX", "Card payments fail"]).await;
    let gone = bot
        .slack
        .api()
        .post("chat.delete", &json!({ "channel": RELEASES, "ts": lost.ts }))
        .await
        .unwrap();
    assert_eq!(gone.json()["ok"], true, "{}", gone.body);
    bot.becomes("HOTFIX-1", "released").await;
    bot.slack.clear_faults();
    bot.slack.advance(MINUTE_MS).unwrap();
    bot.wait("the notice to be read back", async || {
        let release = bot.release("HOTFIX-1").await;
        release.attempts[0].notice.as_ref()?.posted_ms
    })
    .await;
    let notices = bot.slack.messages(RELEASES);
    let notices = notices
        .iter()
        .filter(|message| message.visible_text().contains("Card payments fail"));
    let ts: Vec<&str> = notices.map(|message| message.ts.as_str()).collect();
    assert!(ts.len() == 1 && ts[0] != lost.ts, "{ts:?}, lost {}", lost.ts);
    bot.finish().await;
}
