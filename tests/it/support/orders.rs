//! Orders given to a bot in this process past Slack, through the one path: many releases are prepared in a moment.

use countersign::app::Running;
use countersign::fresh;
use countersign::handle::{Handled, Order};
use countersign::people::SlackUser;
use domain::command::{Actor, Command, Intent, Proposal, SourceSeen};
use domain::digest::Digest;
use domain::ids::{CommitSha, HOUR_MS, PersonId, ReleaseKey, ServiceName, Version};
use domain::release::Migration;
use domain::rule::Kind;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PREPARED_AT_ONCE: u32 = 32;

/// Plans `REL-1` to `REL-n` of payments, to start now, and resolves their source.
pub async fn plan_many(bot: &Arc<Running>, releases: u32) {
    let requester = person(bot, "U0RITA").await;
    let author = person(bot, "U0MIA").await;
    let next = Arc::new(AtomicU32::new(1));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..PREPARED_AT_ONCE {
        let (bot, next) = (Arc::clone(bot), Arc::clone(&next));
        let (requester, author) = (requester.clone(), author.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number > releases {
                    return;
                }
                let key = ReleaseKey::new(format!("REL-{number}")).unwrap();
                let plan = Intent::Plan(Box::new(proposal(&bot, &author)));
                let seen = SourceSeen {
                    version: Version::new("1.4.0").unwrap(),
                    commit: Some(CommitSha::new("a".repeat(40)).unwrap()),
                    script: Digest::of(b"script"),
                    executor: Digest::of(b"executor"),
                    observed_ms: bot.handler.clock.now_ms(),
                };
                for (actor, intent) in [
                    (Actor::Person(requester.clone()), plan),
                    (Actor::Countersign, Intent::RecordSource(seen)),
                ] {
                    let handled = order(&bot, &key, actor, intent).await;
                    assert!(matches!(handled, Handled::Done { .. }), "{key}: {handled:?}");
                }
            }
        });
    }
    while let Some(joined) = tasks.join_next().await {
        joined.unwrap();
    }
}

/// The person behind a Slack id, made known if nobody was asked of them before.
pub async fn person(bot: &Running, user: &str) -> PersonId {
    let user = SlackUser::new(user).unwrap();
    let fresh = [fresh::person_id().to_string()];
    let store = &bot.handler.store;
    let mut ids = store.person_ids(&[("T0ACME", user.as_str())], &fresh).await.unwrap();
    PersonId::new(ids.remove(0)).unwrap()
}

/// What becomes of one order.
pub async fn order(bot: &Running, key: &ReleaseKey, actor: Actor, intent: Intent) -> Handled {
    let order = Order {
        command: Command {
            actor,
            release: key.clone(),
            intent,
        },
        service: Some(ServiceName::new("payments").unwrap()),
        request: None,
        settles: None,
        deadline: tokio::time::Instant::now() + Duration::from_secs(10),
        facts_within: Duration::from_secs(5),
        reply: &|_| String::new(),
    };
    bot.handler.handle(order).await.unwrap()
}

/// A complete plan of payments v1.4.0, to start now.
pub fn proposal(bot: &Running, author: &PersonId) -> Proposal {
    Proposal {
        edits: None,
        kind: Kind::Minor,
        version: Version::new("1.4.0").unwrap(),
        start_ms: bot.handler.clock.now_ms(),
        length_ms: HOUR_MS,
        scope: fresh::private_text("Refunds"),
        dependencies: fresh::private_text("none"),
        user_facing: true,
        migration: Migration::None,
        outcome: fresh::private_text("Refunds work"),
        abort_criteria: fresh::private_text("Errors above 1 %"),
        tickets: BTreeSet::from([ReleaseKey::new("PAY-101").unwrap()]),
        authors: BTreeSet::from([author.clone()]),
        commit: None,
    }
}
