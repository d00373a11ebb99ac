//! The whole procedure with Slack alone: what nothing looks at yet is confirmed by people, each role in one visit.

use crate::support::SIGNATURES_ONLY;
use crate::support::bot::{CLEO, DEV, PAYMENTS, PRIYA, QUINN, RITA, THEO, TestBot, hotfix_inputs};
use crate::support::database::Engine;
use domain::rule::{Effect, Judged, Kind, Rule};
use serde_json::json;

/// A bot whose policy is the procedure.
async fn by_the_procedure(engine: Engine) -> TestBot {
    TestBot::with(engine, |config| config.replace(SIGNATURES_ONLY, "")).await
}

/// Opens the person's checklist, ticks everything on it but `but`, and sends it; how many lines it had.
async fn confirms(bot: &TestBot, user: &str, key: &str, but: &[Rule], signs: bool) -> usize {
    let answer = bot.types(user, &format!("attest {key}")).await;
    assert!(!answer.contains("Nothing"), "{user}: {answer}");
    let form = bot.form(user).await;
    let mut inputs = json!({});
    let mut lines = 0;
    for block in form.view["blocks"].as_array().unwrap() {
        let Some(name) = block["block_id"].as_str().filter(|name| name.starts_with("lines_")) else {
            continue;
        };
        let element = &block["element"];
        assert!(element["initial_options"].is_null(), "every line comes unticked");
        let options = element["options"].as_array().unwrap().iter();
        let ids = options.map(|option| option["value"].as_str().unwrap());
        let ticked: Vec<&str> = ids.filter(|id| !but.iter().any(|rule| rule.id() == *id)).collect();
        lines += ticked.len();
        inputs[name] = json!(ticked);
    }
    if signs {
        inputs["sign"] = json!(["sign"]);
    }
    inputs["note"] = json!("seen in https://ci.acme.test/run/512");
    assert_eq!(bot.submits(user, &inputs).await, json!({}), "{user}");
    lines
}

fn attested(kind: Kind) -> usize {
    let blocks =
        |rule: &&Rule| rule.effect(kind) == Some(Effect::Block) && matches!(rule.judged(), Judged::Attested(..));
    Rule::ALL.iter().filter(blocks).count()
}

pub async fn each_role_confirms_its_lines_in_one_visit_and_signs_with_them(engine: Engine) {
    let bot = by_the_procedure(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    // The card says how many lines wait for whom, and `why` fits on a phone.
    bot.card_shows(
        "REL-789",
        &[
            "To be confirmed with",
            "by a release manager (<@U0RITA>)",
            "Not checked by Countersign yet:",
        ],
        &["checklist"],
        &["deploy"],
    )
    .await;
    let why = bot.types(PRIYA, "why REL-789").await;
    assert!(why.contains("To be confirmed") && why.lines().count() <= 14, "{why}");

    // Whoever signs the tests has said first what they rest on.
    let refused = bot.types(QUINN, "approve REL-789").await;
    assert!(
        refused.contains("`stage.staging`") && refused.contains("Nothing was changed"),
        "{refused}"
    );

    let mut lines = confirms(&bot, RITA, "REL-789", &[Rule::CriteriaDocs], false).await;
    lines += confirms(&bot, THEO, "REL-789", &[Rule::CriteriaDocs], false).await;
    lines += confirms(&bot, DEV, "REL-789", &[], false).await;
    assert!(bot.clicks_in_dm(PRIYA, "checklist").await.ok());
    bot.form(PRIYA).await;
    for view in bot.slack.views(PRIYA) {
        bot.slack.close_view(PRIYA, &view.id).await;
    }
    lines += confirms(&bot, PRIYA, "REL-789", &[], true).await;
    lines += confirms(&bot, QUINN, "REL-789", &[], true).await;
    // Documentation takes two people; a release without a migration has nothing to say about one.
    let expected = attested(Kind::Minor) + 1 - 1;
    assert_eq!(lines, expected);
    assert_eq!(bot.count("REL-789", "Attested").await, lines);
    bot.becomes("REL-789", "approved").await;
    let nothing = bot.types(DEV, "attest REL-789").await;
    assert!(nothing.contains("Nothing of REL-789"), "{nothing}");

    bot.types(DEV, "deploy REL-789").await;
    bot.becomes("REL-789", "released").await;
    assert_eq!(bot.starts("payments").len(), 1);
    // What was said in one visit is told once.
    let card = bot.sees(PAYMENTS, &["REL-789", "RELEASED"]).await;
    bot.wait("five visits in the thread", async || {
        let thread = bot.slack.thread(PAYMENTS, &card.ts);
        let told = thread
            .iter()
            .filter(|entry| entry.visible_text().contains("confirmed as"));
        (told.count() == 5).then_some(())
    })
    .await;
    bot.finish().await;
}

pub async fn a_waiver_stands_on_the_card_and_dies_with_the_plan_it_was_given_on(engine: Engine) {
    let bot = by_the_procedure(engine).await;
    bot.plans("REL-789", "v1.4.0").await;
    bot.becomes("REL-789", "asking").await;
    bot.types(RITA, "waive REL-789 stage.acceptance").await;
    let own = json!({ "justification": "the customer saw it on the preview already" });
    let form = bot.form(RITA).await;
    let ack = bot.slack.submit_view(RITA, &form.id, &own).await;
    assert_eq!(ack.failure, None);
    let shown: Vec<String> = bot
        .slack
        .views(RITA)
        .iter()
        .map(playground::OpenView::visible_text)
        .collect();
    assert!(
        shown
            .iter()
            .any(|text| text.contains("nobody waives anything for their own release")),
        "{shown:?}"
    );
    for view in bot.slack.views(RITA) {
        bot.slack.close_view(RITA, &view.id).await;
    }

    bot.types(THEO, "waive REL-789 criteria.performance").await;
    let complaints = bot.submits(THEO, &json!({ "justification": "no" })).await;
    assert!(
        complaints["justification"].as_str().unwrap().contains("20"),
        "{complaints}"
    );
    let why = json!({ "justification": "only a label has changed, nothing that takes time" });
    assert_eq!(bot.submits(THEO, &why).await, json!({}));
    bot.card_shows(
        "REL-789",
        &["Waived", "performance", "only a label has changed"],
        &[],
        &[],
    )
    .await;
    assert_eq!(bot.count("REL-789", "RuleWaived").await, 1);

    // Another scope is another release.
    bot.types(RITA, "plan REL-789").await;
    assert_eq!(
        bot.submits(RITA, &json!({ "scope": "Refunds and invoices" })).await,
        json!({})
    );
    bot.wait("the waiver to count no more", async || {
        let text = bot.card("REL-789")?.visible_text();
        (!text.contains("*Waived*") && text.contains("performance")).then_some(())
    })
    .await;
    // It is gone, so there is nothing to take back; a new one is.
    let said = bot.types(THEO, "withdraw REL-789 criteria.performance").await;
    assert!(said.contains("no waiver of yours"), "{said}");
    bot.types(THEO, "waive REL-789 criteria.performance").await;
    assert_eq!(bot.submits(THEO, &why).await, json!({}));
    let said = bot.types(THEO, "withdraw REL-789 criteria.performance").await;
    assert!(said.contains("Taken back"), "{said}");
    bot.finish().await;
}

pub async fn a_hotfix_starts_with_the_last_line_that_it_waits_for(engine: Engine) {
    let bot = by_the_procedure(engine).await;
    bot.types(RITA, "hotfix payments v1.4.1").await;
    assert_eq!(bot.submits(RITA, &hotfix_inputs()).await, json!({}));
    bot.becomes("HOTFIX-1", "asking").await;
    let built: Vec<Rule> = Rule::ALL
        .iter()
        .copied()
        .filter(|rule| *rule != Rule::ArtifactBuilt)
        .collect();
    assert_eq!(confirms(&bot, THEO, "HOTFIX-1", &built, true).await, 1);
    assert!(bot.clicks_in_dm(CLEO, "approve").await.ok());
    bot.wait("Cleo's sign-off", async || {
        (bot.release("HOTFIX-1").await.sign_offs.len() == 2).then_some(())
    })
    .await;
    assert!(bot.starts("payments").is_empty(), "the artifact is not confirmed");
    confirms(&bot, DEV, "HOTFIX-1", &[], false).await;
    bot.becomes("HOTFIX-1", "released").await;
    assert_eq!(bot.starts("payments").len(), 1);
    bot.finish().await;
}
