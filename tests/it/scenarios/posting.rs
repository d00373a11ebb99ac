//! What Slack may do to a message: ask for patience, or show its channel to people outside.

use crate::support::bot::{DEV, PAYMENTS, PRIYA, QUINN, TestBot};
use crate::support::database::Engine;
use crate::support::process::posted;
use playground::{Channel, Fault, Message};

pub async fn a_message_waits_as_long_as_slack_asks_and_comes_once(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.slack
        .fault("chat.postMessage", Fault::RateLimited { retry_after_s: 3 }, 1);
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.sees(PAYMENTS, &["REL-789", "payments v1.4.0"]).await;
    bot.sees(&bot.slack.dm(PRIYA), &["REL-789"]).await;
    bot.sees(&bot.slack.dm(QUINN), &["REL-789"]).await;
    bot.quiet().await;

    let posts = bot
        .slack
        .calls()
        .into_iter()
        .filter(|call| call.method == "chat.postMessage");
    let (limited, taken): (Vec<_>, Vec<_>) = posts.partition(|post| post.status == Some(429));
    assert_eq!(limited.len(), 1, "Slack was asked again too soon: {limited:#?}");
    let again = taken
        .iter()
        .find(|post| post.args["metadata"] == limited[0].args["metadata"]);
    let waited_ms = again.unwrap().at_ms - limited[0].at_ms;
    assert!(waited_ms >= 3_000, "posted after {waited_ms} ms");
    let mut ids: Vec<String> = posted(&bot.slack).into_iter().map(|(id, _)| id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "a message stands twice");
    bot.finish().await;
}

fn has_buttons(card: &Message) -> bool {
    let blocks = serde_json::to_value(&card.blocks).unwrap();
    blocks
        .as_array()
        .unwrap()
        .iter()
        .any(|block| block["type"] == "actions")
}

/// Changes #payments, and restarts the bot, which then looks at the channel anew: a look counts for a minute.
async fn payments_changes(bot: &mut TestBot, change: impl FnOnce(&mut Channel)) {
    bot.quiet().await;
    bot.slack.change_channel(PAYMENTS, change);
    bot.stop().await;
    bot.boot().await;
}

async fn card_has_buttons(bot: &TestBot, expected: bool, word: &str) {
    bot.wait(&format!("the card with {word}, buttons: {expected}"), async || {
        let card = bot.card("REL-789")?;
        (card.visible_text().contains(word) && has_buttons(&card) == expected).then_some(())
    })
    .await;
}

pub async fn a_channel_shared_with_outsiders_gets_no_buttons(engine: Engine) {
    let mut bot = TestBot::start(engine).await;
    bot.slack
        .change_channel(PAYMENTS, |channel| channel.is_ext_shared = true);
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    // The card stands there all the same, and says what to type instead.
    card_has_buttons(&bot, false, "/release approve REL-789").await;

    // Those who are asked by direct message have their buttons.
    assert!(bot.clicks_in_dm(PRIYA, "approve").await.ok());
    bot.wait("priya's sign-off", async || {
        (!bot.release("REL-789").await.sign_offs.is_empty()).then_some(())
    })
    .await;
    bot.quiet().await;
    card_has_buttons(&bot, false, "REL-789").await;

    // The sharing ends: the next refresh brings the buttons.
    payments_changes(&mut bot, |channel| channel.is_ext_shared = false).await;
    bot.types(QUINN, "approve REL-789").await;
    card_has_buttons(&bot, true, "APPROVED").await;

    // An invitation that is open counts as shared: the next refresh takes them away.
    payments_changes(&mut bot, |channel| channel.is_pending_ext_shared = true).await;
    bot.types(DEV, "deploy REL-789").await;
    card_has_buttons(&bot, false, "RELEASED").await;
    bot.finish().await;
}
