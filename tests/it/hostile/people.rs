//! Who is refused: signed by Slack, of our workspace, and still nobody who may sign. And who could, a minute ago.

use super::door::{COMMANDS, Door, INTERACTIONS, KEY, form};
use crate::support::bot::{DEV, MIA, PRIYA, QUINN};
use crate::support::database::Engine;
use playground::{Fault, User};
use serde_json::json;

/// More than facts about people are believed for.
const PAST_FACTS_MS: u64 = 61_000;

pub async fn whoever_is_no_active_human_member_is_told_why_and_decides_nothing(engine: Engine) {
    type Change = fn(&mut User);
    const PEOPLE: &[(&str, Change, &str)] = &[
        ("U0ROBOT", |user| user.is_bot = true, "bots and workflows"),
        ("U0APP", |user| user.is_app_user = true, "bots and workflows"),
        ("U0GONE", |user| user.deleted = true, "deactivated"),
        ("U0SOON", |user| user.is_invited_user = true, "only invited"),
        ("U0GUEST", |user| user.is_restricted = true, "guests of this workspace"),
        (
            "U0VISIT",
            |user| user.is_ultra_restricted = true,
            "guests of this workspace",
        ),
        ("U0ALIEN", |user| user.is_stranger = true, "another one"),
        ("U0OTHER", |user| user.team_id = "T0OTHER".into(), "another one"),
    ];
    let door = Door::open(engine).await;
    for (id, change, _) in PEOPLE {
        // Whatever they call themselves.
        let mut user = User::member(id, "priya", "Priya, product owner and CTO", "product owner");
        change(&mut user);
        door.bot.slack.add_user(user);
    }
    // They are in the role's group, and that doesn't help.
    door.bot.slack.change_group("S0QALEADS", |group| {
        group.users.extend(PEOPLE.iter().map(|(id, ..)| (*id).to_owned()));
    });
    let nobody = [("U0NOBODY", "does not know you"), ("USLACKBOT", "does not know you")];
    door.quiet().await;
    let before = door.still().await;
    for (id, why) in PEOPLE.iter().map(|(id, _, why)| (*id, *why)).chain(nobody) {
        let answer = door.asks(&door.click(id)).await;
        assert!(
            answer.contains(why) && answer.contains("Nothing was changed"),
            "{id}: {answer}"
        );
        for text in [
            "approve REL-789",
            "status REL-789",
            "deploy REL-789",
            "plan",
            "help",
            "audit REL-789",
            "approve REL-404",
        ] {
            let (status, answer) = door.send(&door.signed(COMMANDS, door.command(id, text))).await;
            assert_eq!(status, 200, "{id}, {text}");
            assert!(answer.contains(why), "{id}, {text}: {answer}");
            let told = answer.contains("v1.4.0") || answer.contains("payments");
            assert!(!told, "{id}, {text}: learns of the release: {answer}");
        }
    }
    // Slack's own word in the payload is enough to refuse.
    let mut foreign = door.click(PRIYA);
    foreign["user"]["team_id"] = json!("T0OTHER");
    let answer = door.asks(&foreign).await;
    assert!(answer.contains("another one"), "{answer}");
    door.answers_only(&before).await;
    door.finish().await;
}

pub async fn names_and_titles_give_no_authority(engine: Engine) {
    let door = Door::open(engine).await;
    door.bot.slack.change_user(MIA, |user| {
        user.real_name = "Priya (product owner, QA lead, CTO)".into();
        user.name = "priya".into();
        user.title = "product_owner".into();
        user.is_admin = true;
    });
    for text in [
        "approve REL-789 product owner",
        "approve REL-789 as qa_lead",
        "approve REL-789 cto",
        "approve REL-789 --role=product_owner --as=U0PRIYA",
        "approve REL-789 <@U0PRIYA|priya>",
        "approve <@U0PRIYA> REL-789",
        "approve REL-789\napprove REL-789",
        "deploy REL-789 force",
        "deploy REL-789 admin",
        "cancel REL-789 as release_manager",
    ] {
        let (status, answer) = door.send(&door.signed(COMMANDS, door.command(MIA, text))).await;
        assert_eq!(status, 200);
        assert!(
            answer.contains("Rule") || answer.contains("/release"),
            "{text}: {answer}"
        );
        assert_eq!(door.sign_offs().await, 0, "{text}");
    }
    let mut click = door.click(MIA);
    click["user"]["username"] = json!("priya");
    click["user"]["name"] = json!("U0PRIYA");
    let answer = door.asks(&click).await;
    assert!(answer.contains("you wrote some of it"), "{answer}");
    assert_eq!(door.bot.release(KEY).await.status.key(), "asking");
    assert!(door.bot.starts("payments").is_empty());
    door.quiet().await;
    door.finish().await;
}

pub async fn while_slack_does_not_say_who_somebody_is_nothing_is_recorded(engine: Engine) {
    let door = Door::open(engine).await;
    door.bot.slack.advance(PAST_FACTS_MS).unwrap();
    door.quiet().await;
    let before = door.still().await;
    for fault in [Fault::Unavailable, Fault::Error("fatal_error".into()), Fault::Hang] {
        door.bot.slack.fault("users.info", fault.clone(), 1_000);
        let answer = door.asks(&door.click(PRIYA)).await;
        assert!(
            answer.contains("did not say in time") && answer.contains("Nothing was changed"),
            "{fault:?}: {answer}"
        );
        door.bot.slack.clear_faults();
    }
    door.answers_only(&before).await;
    // The question that hung has to end first.
    door.bot
        .wait("Slack's word", async || {
            let answer = door.bot.types(PRIYA, "status REL-789").await;
            (!answer.contains("did not say in time")).then_some(())
        })
        .await;
    // The same bytes were answered: now that Slack would say, they still decide nothing.
    door.bot.slack.advance(PAST_FACTS_MS).unwrap();
    door.quiet().await;
    door.bot.slack.fault("users.info", Fault::Unavailable, 1_000);
    let click = door.signed(INTERACTIONS, form(&door.click(PRIYA)));
    assert_eq!(door.send(&click).await.0, 200);
    door.bot.slack.clear_faults();
    assert_eq!(door.send(&click).await.0, 200);
    assert_eq!(door.sign_offs().await, 0, "what was answered once is answered for good");
    door.finish().await;
}

pub async fn who_lost_the_role_or_the_account_after_signing_starts_nothing(engine: Engine) {
    let door = Door::open(engine).await;
    let bot = &door.bot;
    bot.types(PRIYA, "approve REL-789").await;
    bot.types(QUINN, "approve REL-789").await;
    bot.becomes(KEY, "approved").await;

    bot.slack
        .change_group("S0QALEADS", |group| group.users = vec!["U0UMA".into()]);
    bot.slack.advance(PAST_FACTS_MS).unwrap();
    let refused = bot.types(DEV, "deploy REL-789").await;
    assert!(
        refused.contains("signoff.qa-lead") && refused.contains("Nothing was changed"),
        "{refused}"
    );

    bot.slack
        .change_group("S0QALEADS", |group| group.users = vec!["U0UMA".into(), QUINN.into()]);
    bot.slack.change_user(PRIYA, |user| user.deleted = true);
    bot.slack.advance(PAST_FACTS_MS).unwrap();
    let refused = bot.types(DEV, "deploy REL-789").await;
    assert!(refused.contains("signoff.product-owner"), "{refused}");

    // A group that is switched off makes nobody a QA lead, and neither does one that Slack doesn't tell about.
    bot.slack.change_user(PRIYA, |user| user.deleted = false);
    bot.slack.change_group("S0QALEADS", |group| group.disabled = true);
    bot.slack.advance(PAST_FACTS_MS).unwrap();
    let refused = bot.types(DEV, "deploy REL-789").await;
    assert!(refused.contains("Nothing was changed"), "{refused}");
    assert!(bot.starts("payments").is_empty());
    assert!(bot.release(KEY).await.attempts.is_empty());

    bot.slack.change_group("S0QALEADS", |group| group.disabled = false);
    bot.slack.advance(PAST_FACTS_MS).unwrap();
    bot.types(DEV, "deploy REL-789").await;
    bot.becomes(KEY, "released").await;
    assert_eq!(bot.starts("payments").len(), 1);
    door.bot.finish().await;
}
