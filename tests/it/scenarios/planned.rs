//! A planned release.

use crate::support::bot::{
    DEV, GUS, MIA, PAYMENTS, PRIYA, QUINN, RELEASES, RITA, THEO, TestBot, plan_inputs, tag_commit,
};
use crate::support::database::Engine;
use domain::event::SourceProblem;
use serde_json::json;
use std::fs;
use std::process::Command;

const MINUTE_MS: u64 = 60_000;

pub async fn a_planned_release_from_plan_to_production(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.sees(PAYMENTS, &["REL-789", "payments v1.4.0"]).await;

    // Not yet signed: the deployment is refused, and says by whom it can be.
    let refused = bot.types(DEV, "deploy REL-789").await;
    assert!(
        refused.contains("signoff.product-owner") && refused.contains("Nothing was changed"),
        "{refused}"
    );

    assert!(bot.clicks_in_dm(PRIYA, "approve").await.ok());
    bot.wait("priya's sign-off", async || {
        (!bot.release("REL-789").await.sign_offs.is_empty()).then_some(())
    })
    .await;
    let answer = bot.types(QUINN, "approve REL-789").await;
    assert!(answer.contains("REL-789"), "{answer}");
    bot.becomes("REL-789", "approved").await;

    let answer = bot.types(DEV, "deploy REL-789").await;
    assert!(answer.contains("REL-789"), "{answer}");
    let release = bot.becomes("REL-789", "released").await;
    assert_eq!(bot.starts("payments").len(), 1);
    assert_eq!(release.attempts.len(), 1);

    bot.sees(RELEASES, &["payments v1.4.0"]).await;
    let card = bot.sees(PAYMENTS, &["REL-789", "RELEASED"]).await;
    bot.wait("the output's tail in the thread", async || {
        let thread = bot.slack.thread(PAYMENTS, &card.ts);
        thread
            .iter()
            .any(|entry| entry.visible_text().contains("deploying v1.4.0"))
            .then_some(())
    })
    .await;
    bot.finish().await;
}

pub async fn nobody_signs_their_own_release_and_guests_may_nothing(engine: Engine) {
    // Quinn wrote the commits, Priya asked for the release as a draft.
    let bot = TestBot::start(engine).await;
    bot.types(PRIYA, "plan REL-789 payments v1.4.0").await;
    let mut inputs = plan_inputs();
    inputs["authors"] = json!([QUINN]);
    assert_eq!(bot.submits(PRIYA, &inputs).await, json!({}));
    bot.types(RITA, "plan REL-789").await;
    assert_eq!(bot.submits(RITA, &json!({})).await, json!({}));
    bot.becomes("REL-789", "asking").await;

    for (user, word) in [(PRIYA, "asked for it"), (QUINN, "wrote")] {
        let refused = bot.types(user, "approve REL-789").await;
        assert!(
            refused.contains(word) && refused.contains("Nothing was changed"),
            "{user}: {refused}"
        );
    }
    for text in [
        "approve REL-789",
        "status REL-789",
        "help",
        "list",
        "audit REL-789",
        "plan",
        "hotfix",
    ] {
        let refused = bot.types(GUS, text).await;
        assert!(refused.contains("guest"), "gus, {text}: {refused}");
    }
    let refused = bot.types(GUS, "approve REL-789").await;
    assert!(
        refused.contains("You can't sign") && refused.contains("product owner, QA lead"),
        "{refused}"
    );
    let refused = bot.types(MIA, "approve REL-789").await;
    assert!(
        refused.contains("signoff") || refused.contains("roles.commands"),
        "{refused}"
    );
    assert!(bot.release("REL-789").await.sign_offs.is_empty());
    bot.finish().await;
}

pub async fn a_rejection_is_lifted_by_its_own_role(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.types(QUINN, "reject REL-789").await;
    let complaints = bot.submits(QUINN, &json!({ "reason": "" })).await;
    assert!(complaints["reason"].is_string(), "a reason is demanded: {complaints}");
    assert_eq!(
        bot.submits(QUINN, &json!({ "reason": "login test is red" })).await,
        json!({})
    );
    bot.becomes("REL-789", "rejected").await;
    bot.sees(PAYMENTS, &["REJECTED"]).await;

    bot.types(PRIYA, "approve REL-789").await;
    bot.becomes("REL-789", "rejected").await;
    let refused = bot.types(DEV, "deploy REL-789").await;
    assert!(refused.contains("signoff.qa-lead"), "{refused}");
    bot.types(QUINN, "approve REL-789").await;
    bot.becomes("REL-789", "approved").await;

    bot.types(PRIYA, "withdraw REL-789").await;
    bot.becomes("REL-789", "asking").await;
    bot.types(RITA, "cancel REL-789").await;
    bot.becomes("REL-789", "cancelled").await;
    assert!(bot.starts("payments").is_empty());
    bot.finish().await;
}

pub async fn a_failing_script_leaves_the_release_approved_and_says_so(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.write("payments/fail", "");
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.types(PRIYA, "approve rel-789").await;
    bot.types(QUINN, "approve REL\u{2011}789").await;
    bot.becomes("REL-789", "approved").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.sees(RELEASES, &["FAILED: payments v1.4.0"]).await;
    let release = bot.becomes("REL-789", "approved").await;
    assert_eq!(release.attempts.len(), 1);

    std::fs::remove_file(bot.folder.path().join("payments/fail")).unwrap();
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    let starts = bot.starts("payments");
    assert_eq!(starts.len(), 2);
    let fences: Vec<&str> = starts.iter().filter_map(|start| start.split(' ').nth(1)).collect();
    assert_eq!(fences, ["1", "2"], "each grant raises the fence");
    bot.finish().await;
}

pub async fn a_moved_tag_is_found_before_the_start(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.types(PRIYA, "approve REL-789").await;
    bot.types(QUINN, "approve REL-789").await;
    bot.becomes("REL-789", "approved").await;
    tag_commit(&bot.folder.path().join("payments"), "v1.4.0");
    bot.types(DEV, "deploy REL-789").await;
    let release = bot
        .wait("the sign-offs to be void", async || {
            let release = bot.release("REL-789").await;
            (release.sign_offs.is_empty() && release.status.key() == "asking").then_some(release)
        })
        .await;
    assert!(release.live_attempt().is_none());
    assert!(bot.starts("payments").is_empty(), "nothing ran");
    bot.finish().await;
}

pub async fn the_same_click_eleven_times_is_one_sign_off(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.clicks_in_dm(PRIYA, "approve").await;
    let click = bot.slack.deliveries().last().unwrap().id;
    let bot_url = format!("http://{}", bot.running().address);
    for answer in bot.slack.redeliver(click, &vec![bot_url; 5]).await {
        assert_eq!(answer.status, Some(200), "the same signed bytes");
    }
    for _ in 0..6 {
        // New ids, as Slack's redeliveries have them.
        bot.slack.repeat(click).await.unwrap();
    }
    let release = bot.release("REL-789").await;
    assert_eq!(release.sign_offs.len(), 1);
    let entries = bot.running().handler.store.entries_of("release/REL-789").await.unwrap();
    let signed = entries
        .iter()
        .filter(|entry| entry.bytes.contains("\"SignedOff.v1\""))
        .count();
    assert_eq!(signed, 1);
    bot.finish().await;
}

pub async fn what_people_type_is_read_kindly(engine: Engine) {
    let bot = TestBot::start(engine).await;
    let answer = bot.types(THEO, "aprove REL-789").await;
    assert!(answer.contains("approve"), "{answer}");
    let answer = bot.types(THEO, "status REL-404").await;
    assert!(
        answer.contains("REL-404") && answer.contains("Nothing was changed"),
        "{answer}"
    );
    let answer = bot.types(THEO, "").await;
    assert!(answer.contains("/release"), "{answer}");
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    for (text, word) in [
        ("status \u{201c}rel-789\u{201d}", "REL-789"),
        ("why rel-789", "product owner"),
        ("list", "REL-789"),
        ("list payments", "REL-789"),
        ("audit REL-789", "record"),
        ("help approve", "approve"),
        ("rollback REL-789", "not available yet"),
    ] {
        let answer = bot.types(THEO, text).await;
        assert!(answer.contains(word), "{text}: {answer}");
    }
    bot.finish().await;
}

pub async fn nothing_starts_before_the_planned_start(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.types(RITA, "plan REL-789 payments v1.4.0").await;
    let mut inputs = plan_inputs();
    inputs["start"] = json!(bot.slack.now_ms() / 1_000 + 30 * 60);
    assert_eq!(bot.submits(RITA, &inputs).await, json!({}));
    bot.becomes("REL-789", "asking").await;
    bot.types(PRIYA, "approve REL-789").await;
    bot.types(QUINN, "approve REL-789").await;
    bot.becomes("REL-789", "approved").await;
    let refused = bot.types(DEV, "deploy REL-789").await;
    assert!(refused.contains("deploy.start"), "{refused}");
    assert_eq!(bot.release("REL-789").await.attempts.len(), 0);

    bot.slack.advance(31 * MINUTE_MS).unwrap();
    bot.clock.follow();
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    assert_eq!(bot.starts("payments").len(), 1);
    bot.finish().await;
}

pub async fn a_commit_is_typed_where_git_stays_silent(engine: Engine) {
    let bot = TestBot::start(engine).await;
    let home = bot.folder.path().join("payments");
    let away = home.join("away");
    fs::rename(home.join("repository"), &away).unwrap();
    bot.plans("REL-789", "v1.4.0").await;
    bot.wait("Git to be found silent", async || {
        (bot.release("REL-789").await.source_problem == Some(SourceProblem::GitSilent)).then_some(())
    })
    .await;
    // Nobody is asked before it is known what they would sign.
    bot.types(PRIYA, "approve REL-789").await;
    assert!(bot.release("REL-789").await.sign_offs.is_empty());

    let commit = Command::new("git")
        .current_dir(&away)
        .args(["rev-parse", "v1.4.0^{commit}"])
        .output()
        .unwrap();
    let commit = String::from_utf8(commit.stdout).unwrap().trim().to_owned();
    let refused = bot.types(MIA, &format!("commit REL-789 {commit}")).await;
    assert!(refused.contains("roles.commands"), "{refused}");
    bot.types(RITA, &format!("commit REL-789 {}", &commit[..12])).await;
    assert!(
        bot.release("REL-789").await.typed_commit.is_none(),
        "a short commit is none"
    );
    bot.types(RITA, &format!("commit REL-789 {commit}")).await;
    let release = bot.becomes("REL-789", "asking").await;
    assert_eq!(release.source.unwrap().commit.to_string(), commit);
    bot.types(PRIYA, "approve REL-789").await;
    bot.types(QUINN, "approve REL-789").await;
    bot.becomes("REL-789", "approved").await;
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    bot.sees(PAYMENTS, &["deploying v1.4.0", &commit]).await;
    bot.finish().await;
}

pub async fn an_edit_voids_only_what_it_changes(engine: Engine) {
    let bot = TestBot::start(engine).await;
    bot.approved("REL-789").await;
    bot.types(RITA, "plan REL-789").await;
    assert_eq!(bot.submits(RITA, &json!({})).await, json!({}));
    bot.wait("the plan to be saved", async || {
        (bot.release("REL-789").await.plan_changes == 1).then_some(())
    })
    .await;
    let release = bot.becomes("REL-789", "approved").await;
    assert_eq!(release.sign_offs.len(), 2, "nothing that was signed has changed");
    bot.types(RITA, "plan REL-789").await;
    assert_eq!(
        bot.submits(RITA, &json!({ "scope": "Refunds and invoices" })).await,
        json!({})
    );
    let release = bot.becomes("REL-789", "asking").await;
    let standing: Vec<&str> = release.sign_offs.keys().map(|role| role.key()).collect();
    assert_eq!(standing, ["qa_lead"], "the scope is the product owner's");
    // Two fields that say the same are two fields.
    bot.types(RITA, "plan REL-789").await;
    let same = json!({ "dependencies": "none", "abort_criteria": "none" });
    assert_eq!(bot.submits(RITA, &same).await, json!({}));
    bot.types(PRIYA, "approve REL-789").await;
    bot.becomes("REL-789", "approved").await;
    for changes in 4..8 {
        bot.types(RITA, "plan REL-789").await;
        assert_eq!(bot.submits(RITA, &json!({})).await, json!({}));
        bot.wait("the plan to be saved", async || {
            (bot.release("REL-789").await.plan_changes == changes).then_some(())
        })
        .await;
        assert_eq!(bot.release("REL-789").await.sign_offs.len(), 2);
    }
    bot.finish().await;
}
