//! What people are told: in its order, soon, to whom it was promised, and only while it is true.

use super::hotfix::{MINUTE_MS, hotfix_under_way};
use crate::support::bot::{CLEO, DEV, MIA, PAYMENTS, PRIYA, QUINN, RELEASES, RITA, THEO, TINA, TestBot};
use crate::support::database::Engine;
use crate::support::process::has_action;
use playground::{Fault, Message};
use serde_json::json;
use std::time::{Duration, Instant};

/// Results in #releases, by what they say.
fn about<'a>(messages: &'a [Message], words: &str) -> Vec<&'a Message> {
    messages
        .iter()
        .filter(|message| message.visible_text().contains(words))
        .collect()
}

pub async fn a_cancelled_release_invites_nobody_to_try_again(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.write("payments/fail", "");
    bot.approved("REL-789").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.sees(RELEASES, &["FAILED", "/release deploy REL-789"]).await;
    bot.becomes("REL-789", "approved").await;

    let answer = bot.types(RITA, "cancel REL-789").await;
    bot.becomes("REL-789", "cancelled").await;
    assert_eq!(
        answer.matches("will not happen").count(),
        2,
        "once in the text, once in its blocks: {answer}"
    );
    bot.sees(RELEASES, &["FAILED", "cancelled since, so nobody tries again"])
        .await;
    let told = bot.slack.messages(RELEASES);
    assert!(
        about(&told, "/release deploy").is_empty(),
        "#releases invites to a deployment"
    );
    assert_eq!(about(&told, "FAILED").len(), 1, "the result was posted twice");
    let card = bot
        .card_shows("REL-789", &["CANCELLED", "Sign-offs at the end"], &[], &["deploy"])
        .await;
    let card = card.visible_text();
    assert!(!card.contains("Missing") && !card.contains("moves the start"), "{card}");
    bot.finish().await;
}

/// Waits until all three stand in #releases, and holds them against their order.
async fn reads_in_order(bot: &TestBot) {
    let positions = bot
        .wait("notice, breach and result", async || {
            let told = bot.slack.messages(RELEASES);
            let at = |words: &str| told.iter().position(|message| message.visible_text().contains(words));
            Some([
                at("LATE NOTICE")?,
                at("BREACH of emergency.notice")?,
                at("RELEASED: payments v1.4.1")?,
            ])
        })
        .await;
    assert_eq!(positions, [0, 1, 2], "{}", bot.scene().await);
    let told = bot.slack.messages(RELEASES);
    assert_eq!(told.len(), 3, "a copy stands there");
    let notice = told[0].visible_text();
    assert!(
        notice.contains("Late:") && notice.contains("HOTFIX succeeded"),
        "{notice}"
    );
    assert!(
        !notice.contains("nobody yet") && !notice.contains("has not answered"),
        "{notice}"
    );
    let breach = told[1].visible_text();
    assert!(breach.contains("The late notice stands above since"), "{breach}");
}

pub async fn after_an_outage_the_late_notice_comes_first_then_the_breach_then_the_result(engine: Engine) {
    let bot = TestBot::start(engine).await;
    hotfix_under_way(&bot).await;
    bot.slack.fault("chat.postMessage", Fault::Unavailable, 100_000);
    bot.types(CLEO, "approve HOTFIX-1").await;
    bot.becomes("HOTFIX-1", "released").await;
    bot.slack.advance(61 * MINUTE_MS).unwrap();
    bot.wait("the breach", async || {
        bot.release("HOTFIX-1").await.attempts[0]
            .notice
            .as_ref()?
            .breached
            .clone()
    })
    .await;
    bot.slack.clear_faults();
    reads_in_order(&bot).await;
    bot.finish().await;
}

pub async fn after_a_night_down_the_late_notice_comes_first_then_the_breach_then_the_result(engine: Engine) {
    let mut bot = TestBot::start(engine).await;
    hotfix_under_way(&bot).await;
    bot.slack.fault("chat.postMessage", Fault::Unavailable, 100_000);
    bot.types(CLEO, "approve HOTFIX-1").await;
    bot.becomes("HOTFIX-1", "released").await;
    bot.stop().await;
    bot.slack.advance(600 * MINUTE_MS).unwrap();
    bot.slack.clear_faults();
    // Timers and messages are all due at once.
    bot.boot().await;
    reads_in_order(&bot).await;
    bot.finish().await;
}

pub async fn what_waited_for_slack_is_true_soon_after_it_answers(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.sees(&bot.slack.dm(PRIYA), &["REL-789"]).await;
    bot.sees(&bot.slack.dm(QUINN), &["REL-789"]).await;
    bot.quiet().await;
    for method in ["chat.update", "chat.postMessage"] {
        bot.slack.fault(method, Fault::Unavailable, 100_000);
    }
    bot.types(PRIYA, "approve REL-789").await;
    bot.types(QUINN, "approve REL-789").await;
    bot.becomes("REL-789", "approved").await;
    // An outage of minutes: by its end every job waits for half a minute and more.
    for minute in 1..=7 {
        bot.slack.advance(MINUTE_MS).unwrap();
        bot.clock.follow();
        bot.wait(&format!("the tries of minute {minute}"), async || {
            let now_ms = bot.clock.now_ms();
            let open = bot.open_jobs().await;
            let mut failed = open.iter().filter(|job| job.reason.contains("503")).peekable();
            failed.peek()?;
            failed
                .all(|job| job.state == "queued" && job.due_ms > now_ms)
                .then_some(())
        })
        .await;
    }
    bot.slack.clear_faults();
    let back = Instant::now();
    bot.wait("cards and questions to be true", async || {
        let asked = [PRIYA, QUINN].iter().any(|user| {
            let questions = bot.slack.dm_messages(user);
            questions.iter().any(|message| has_action(message, "approve"))
        });
        let card = bot.card("REL-789")?.visible_text();
        (!asked && card.contains("APPROVED")).then_some(())
    })
    .await;
    let took = back.elapsed();
    assert!(took < Duration::from_secs(12), "caught up only after {took:?}");
    bot.finish().await;
}

pub async fn a_no_reaches_who_asked_and_is_lifted_in_so_many_words(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.types(QUINN, "reject REL-789").await;
    assert_eq!(
        bot.submits(QUINN, &json!({ "reason": "login test is red" })).await,
        json!({})
    );
    let told = bot
        .sees(
            &bot.slack.dm(RITA),
            &["said no", "login test is red", "/release plan REL-789"],
        )
        .await;
    assert!(
        told.visible_text().contains("signoff.qa-lead"),
        "{}",
        told.visible_text()
    );

    // Another role may still say no.
    let card = bot
        .card_shows("REL-789", &["REJECTED"], &["reject", "approve"], &[])
        .await;
    assert!(bot.slack.click(PRIYA, PAYMENTS, &card.ts, "reject").await.ok());
    assert_eq!(
        bot.submits(PRIYA, &json!({ "reason": "scope is wrong" })).await,
        json!({})
    );
    bot.sees(&bot.slack.dm(RITA), &["scope is wrong"]).await;
    bot.card_shows("REL-789", &["REJECTED BY QA LEAD AND PRODUCT OWNER"], &[], &[])
        .await;

    let answer = bot.types(QUINN, "approve REL-789").await;
    assert!(answer.contains("Lifted: the no of the QA lead."), "{answer}");
    assert_eq!(bot.release("REL-789").await.status.key(), "rejected");
    let answer = bot.types(PRIYA, "approve REL-789").await;
    assert!(answer.contains("Lifted: the no of the product owner."), "{answer}");
    bot.becomes("REL-789", "approved").await;
    bot.wait("the thread to say so", async || {
        let thread = bot.slack.thread(PAYMENTS, &card.ts);
        let lifted = |message: &&Message| message.visible_text().contains("lifted the no of the");
        (thread.iter().filter(lifted).count() == 2).then_some(())
    })
    .await;
    let audit = bot.types(RITA, "audit REL-789").await;
    assert!(audit.contains("lifted the no of the QA lead"), "{audit}");
    bot.finish().await;
}

pub async fn a_hotfix_that_is_rejected_reaches_who_asked_for_it(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.asks_for_hotfix(THEO, "v1.4.1").await;
    bot.becomes("HOTFIX-1", "asking").await;
    bot.types(TINA, "reject HOTFIX-1 \"it makes things worse\"").await;
    bot.becomes("HOTFIX-1", "rejected").await;
    bot.sees(
        &bot.slack.dm(THEO),
        &["it makes things worse", "/release cancel HOTFIX-1", "the CTO confirms"],
    )
    .await;
    bot.finish().await;
}

pub async fn the_audit_and_why_speak_as_people_do(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    // The release manager hears the reason that no role would change.
    let own = bot.types(RITA, "approve REL-789").await;
    assert!(
        own.contains("you asked for it") && !own.contains("not in a role"),
        "{own}"
    );
    for _ in 0..3 {
        bot.types(TINA, "approve REL-789").await;
    }
    bot.types(MIA, "approve REL-789").await;
    let audit = bot.types(THEO, "audit REL-789").await;
    assert!(
        audit.contains(
            "asked to sign it off and was refused by `roles.commands`. Asked and refused 2 more times since."
        ),
        "{audit}"
    );
    assert!(
        !audit.contains("sign planned") && audit.contains("Numbered within this release"),
        "{audit}"
    );
    let store = &bot.running().handler.store;
    let entries = store.entries_of("release/REL-789").await.unwrap().len();
    let refused = store.entries_of("refused/REL-789").await.unwrap().len();
    for number in 1..=entries + refused {
        assert!(audit.contains(&format!("{number} · ")), "no entry {number} in {audit}");
    }
    // The window is over: the count is an entry of its own, and is not counted again.
    bot.slack.advance(11 * MINUTE_MS).unwrap();
    bot.wait("the refusals to be closed", async || {
        let refused = store.entries_of("refused/REL-789").await.ok()?;
        refused
            .iter()
            .any(|entry| entry.bytes.contains("RefusalsRepeated"))
            .then_some(())
    })
    .await;
    let audit = bot.types(THEO, "audit REL-789").await;
    assert!(
        audit.contains("asked 2 more times to sign it off") && !audit.contains("times since"),
        "{audit}"
    );

    for verb in ["why", "approve"] {
        let missing = bot.types(THEO, &format!("{verb} REL-798")).await;
        assert!(
            missing.contains("There is no release REL-798. Did you mean REL-789?")
                && !missing.contains("roles.commands"),
            "{missing}"
        );
    }
    bot.finish().await;
}
