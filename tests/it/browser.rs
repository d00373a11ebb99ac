//! `countersign demo` as a newcomer meets it: the real binary, a real headless Chromium, and nothing but visible text
//! and ARIA roles to find things by.

mod chromium;
mod demo;

use chromium::Browser;
use demo::Demo;

const PLAN: &str = "/release plan REL-789 payments v1.4.0";

/// Fills in what the plan's form leaves open, and sends it.
async fn plan(browser: &Browser, command: &str) {
    browser.type_into("Message #payments", command).await;
    browser.see("dialog", "Plan a release").await;
    for (label, words) in [
        ("Scope", "Refunds go back to the card that was charged"),
        ("Tickets", "PAY-101, PAY-107"),
        ("Dependencies", "none"),
        ("Expected outcome", "Customers see a refund button"),
        ("Abort criteria", "More than 1 % of the refunds fail"),
    ] {
        browser.fill(label, words).await;
    }
    browser.click("radio", "Yes, users will notice").await;
    browser.fill("Database migration", "None").await;
    browser.click("checkbox", "Mia, developer").await;
    browser.click("button", "Plan it").await;
    browser.see("dialog", "Planned: REL-789").await;
    browser.click("button", "Close").await;
}

async fn hotfix(browser: &Browser, channel: &str, command: &str) {
    browser.open(channel).await;
    browser.type_into(&format!("Message #{channel}"), command).await;
    browser.see("dialog", "Ask for a hotfix").await;
    browser
        .fill(
            "Why can't it wait?",
            "Card payments fail for 38 % of customers since 02:41 (INC-52)",
        )
        .await;
    browser.click("checkbox", "Mia, developer").await;
    browser.click("button", "Ask for it").await;
    browser.see("dialog", "Countersign is reading the tag").await;
    browser.click("button", "Close").await;
}

/// Opens the direct message and presses what answers it.
async fn signs(browser: &Browser, person: &str, question: &str, button: &str) {
    browser.be(person).await;
    browser.open("Countersign").await;
    browser.see("article", question).await;
    browser.picture(&format!("question-{}", person.to_lowercase())).await;
    browser.click("button", button).await;
}

/// Planned by Rita, signed by Priya and Quinn, deployed by Dev.
async fn planned_release(browser: &Browser) {
    browser.be("Rita").await;
    browser.open("payments").await;
    plan(browser, PLAN).await;
    browser
        .see("article", "REL-789 · payments v1.4.0 · minor · WAITING FOR 2 SIGN-OFFS")
        .await;
    signs(
        browser,
        "Priya",
        "do you approve scope and start of payments v1.4.0",
        "Approve scope and start",
    )
    .await;
    browser
        .see("article", "You signed scope and start as product owner")
        .await;
    browser.open("payments").await;
    browser.see("article", "WAITING FOR 1 SIGN-OFF").await;
    browser.see("button", "replies").await;
    browser.picture("card").await;
    signs(
        browser,
        "Quinn",
        "do you sign off the tests of payments v1.4.0",
        "Sign off the tests",
    )
    .await;
    browser.be("Dev").await;
    browser.open("payments").await;
    browser
        .see("article", "REL-789 · payments v1.4.0 · minor · APPROVED")
        .await;
    browser.click("button", "Deploy").await;
    browser
        .see("alertdialog", "payments v1.4.0 goes to production now")
        .await;
    browser.click("button", "Deploy").await;
    browser
        .see("article", "REL-789 · payments v1.4.0 · minor · RELEASED")
        .await;
}

#[test]
fn a_newcomer_brings_a_planned_release_and_a_hotfix_to_production() {
    demo::run(async |demo: &mut Demo, browser: &Browser| {
        browser.open_page(&demo.url).await;
        browser.see("region", "Try this").await;
        browser.see("region", PLAN).await;
        browser.picture("start").await;
        browser.click("button", "Hide “Try this”").await;

        planned_release(browser).await;
        browser.click("button", "8 replies").await;
        browser.see("complementary", "payments v1.4.0 is live").await;
        browser.see("complementary", "The end of its output").await;
        browser.picture("thread").await;
        browser.click("button", "Close thread").await;
        browser.open("releases").await;
        browser.see("article", "RELEASED: payments v1.4.0 · REL-789").await;

        // Theo leads payments, but he asked for it himself, so Tina signs.
        browser.be("Theo").await;
        hotfix(browser, "payments", "/release hotfix payments v1.4.1").await;
        browser.see("article", "HOTFIX-1 · payments v1.4.1 · HOTFIX").await;
        signs(
            browser,
            "Tina",
            "HOTFIX payments v1.4.1 · HOTFIX-1 · your decision",
            "Approve v1.4.1",
        )
        .await;
        signs(browser, "Cleo", "One click deploys now", "Deploy v1.4.1 now").await;
        browser.open("releases").await;
        browser.see("article", "HOTFIX running: payments v1.4.1").await;
        browser.see("article", "RELEASED: payments v1.4.1 · HOTFIX-1").await;
        browser.picture("releases").await;
        browser.open("payments").await;
        browser
            .see("article", "HOTFIX-1 · payments v1.4.1 · HOTFIX · RELEASED")
            .await;
    });
}

#[test]
fn a_no_is_private_a_typo_is_met_and_a_killed_bot_comes_back() {
    demo::run(async |demo: &mut Demo, browser: &Browser| {
        browser.open_page(&demo.url).await;
        browser.be("Gus").await;
        browser.open("payments").await;
        browser.type_into("Message #payments", PLAN).await;
        browser.see("article", "Only visible to you").await;
        browser.see("article", "Nothing was changed.").await;
        browser.be("Rita").await;
        browser.sees_nothing_of("Nothing was changed.").await;
        browser.type_into("Message #payments", "/release aprove REL-789").await;
        browser.see("article", "Did you mean /release approve REL-789?").await;

        let killed = demo.kill_bot().await;
        browser.see("status", "Bot is not reachable").await;
        let restarted = demo.next_bot().await;
        assert_ne!(killed, restarted);
        browser.see("status", "Bot is reachable").await;
        browser.type_into("Message #payments", "/release list").await;
        browser.see("article", "No release is planned or under way.").await;
    });
}

#[test]
fn a_planned_release_is_signed_on_a_telephone() {
    demo::run(async |demo: &mut Demo, browser: &Browser| {
        browser.resize(390, 844).await;
        // What to try stands over no message: it waits behind its button.
        browser.open_page(&demo.url).await;
        browser.open("payments").await;
        browser.does_not_show("#help").await;
        plan(browser, PLAN).await;
        browser.see("article", "WAITING FOR 2 SIGN-OFFS").await;
        browser.fits().await;
        browser.reload().await;
        browser.see("article", "WAITING FOR 2 SIGN-OFFS").await;
        browser.does_not_show("#help").await;
        browser.is_at_the_end("#log").await;
        signs(
            browser,
            "Priya",
            "do you approve scope and start",
            "Approve scope and start",
        )
        .await;
        browser
            .see("article", "You signed scope and start as product owner")
            .await;
        browser.fits().await;
        browser.picture("telephone").await;
    });
}

#[test]
fn an_outage_of_slack_ends_in_a_recorded_breach() {
    demo::run(async |demo: &mut Demo, browser: &Browser| {
        browser.open_page(&demo.url).await;
        browser.be("Theo").await;
        hotfix(browser, "ledger", "/release hotfix ledger v2.1.0").await;
        signs(
            browser,
            "Cleo",
            "HOTFIX ledger v2.1.0 · HOTFIX-1 · your decision",
            "Approve v2.1.0",
        )
        .await;
        browser.see("article", "Signed: the hotfix of HOTFIX-1").await;
        browser.click("switch", "Slack is on").await;
        browser.see("alert", "Slack is down").await;
        browser.click("button", "+15 min").await;
        demo.wait_for("ledger/deployed", "v2.1.0").await;
        browser.click("button", "+1 h").await;
        demo.wait_for("pages.log", "emergency.notice").await;
        // Slack is still down, and mail arrives: whoever reads it learns what runs and what to leave alone.
        browser.resize(390, 844).await;
        browser.open("All-teams mailbox").await;
        browser
            .see(
                "article",
                "[Release] HOTFIX ledger v2.1.0: deployment to production started",
            )
            .await;
        browser
            .see("article", "please deploy nothing on ledger until the result is known")
            .await;
        browser.see("article", "To all-teams@acme.example").await;
        browser.fits().await;
        browser.picture("mailbox").await;
        browser.resize(1280, 900).await;
        browser.click("switch", "Slack is off").await;
        browser.open("releases").await;
        browser.see("article", "HOTFIX").await;
        browser
            .see("article", "BREACH of emergency.notice · ledger v2.1.0")
            .await;
        browser.picture("breach").await;
        browser.open("ledger").await;
        browser
            .see("article", "HOTFIX-1 · ledger v2.1.0 · HOTFIX · RELEASED")
            .await;
        browser.sees_nothing_of("gave up").await;
    });
}
