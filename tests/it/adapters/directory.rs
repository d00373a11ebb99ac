//! The people directory: roles from ids alone, answers with their age, partial answers, one question at a time (A6).

use super::fake::{Answer, Fake};
use countersign::people::{Directory, Member, Memberships, SlackUser};
use countersign::slack::client::Limits;
use domain::ids::ServiceName;
use domain::people::Standing;
use domain::role::Role;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const T0: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
const LONG: Duration = Duration::from_secs(5);

fn user(id: &str) -> SlackUser {
    SlackUser::new(id).unwrap()
}

fn person(name: &str, id: &str) -> Member {
    Member::Person {
        name: name.into(),
        slack_user: user(id),
    }
}

fn group(id: &str) -> Member {
    Member::Group { id: id.into() }
}

fn payments() -> ServiceName {
    ServiceName::new("payments").unwrap()
}

fn memberships() -> Memberships {
    Memberships {
        team_id: "T0ACME".into(),
        roles: BTreeMap::from([
            (Role::ReleaseManager, vec![person("rita", "U0RITA")]),
            (Role::QaLead, vec![group("S0QA")]),
            (Role::Cto, vec![person("cleo", "U0CLEO")]),
            (Role::TechLead, vec![person("gus", "U0GUS")]),
        ]),
        services: BTreeMap::from([(
            payments(),
            BTreeMap::from([
                (Role::TechLead, vec![person("theo", "U0THEO"), group("S0LEADS")]),
                (Role::ProductOwner, vec![person("priya", "U0PRIYA")]),
            ]),
        )]),
        admins: vec![person("rita", "U0RITA")],
    }
}

/// A directory over a fake Slack, with a clock that the test sets.
struct World {
    fake: Fake,
    directory: Arc<Directory>,
    now: Arc<AtomicI64>,
}

impl World {
    async fn start(rule: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let fake = Fake::start(move |asked| match asked.path.as_str() {
            "/api/users.info" => rule("user", &asked.query["user"]),
            "/api/usergroups.users.list" => rule("group", &asked.query["usergroup"]),
            _ => Answer::status(404, "no"),
        })
        .await;
        let now = Arc::new(AtomicI64::new(T0));
        let clock = Arc::clone(&now);
        let slack = fake.slack_with(Limits {
            call: LONG,
            ..Limits::default()
        });
        let directory = Directory::new(memberships(), slack, Arc::new(move || clock.load(Ordering::SeqCst)));
        Self {
            fake,
            directory: Arc::new(directory),
            now,
        }
    }

    async fn facts(&self, ids: &[&str]) -> BTreeMap<SlackUser, domain::people::PersonFacts> {
        let users: Vec<SlackUser> = ids.iter().map(|id| user(id)).collect();
        self.directory
            .facts(&users, Some(&payments()), MINUTE, Duration::from_millis(1_500))
            .await
    }

    fn asked(&self, path: &str) -> usize {
        self.fake.count(&format!("/api/{path}"))
    }
}

fn member(id: &str) -> Answer {
    Answer::Json(json!({ "ok": true, "user": {
        "id": id, "team_id": "T0ACME", "deleted": false, "is_bot": false, "is_restricted": false, "is_ultra_restricted": false,
        "name": "cleo", "real_name": "Cleo CTO", "profile": { "email": "cleo@acme.test", "title": "CTO" },
    } }))
}

fn members(ids: &[&str]) -> Answer {
    Answer::Json(json!({ "ok": true, "users": ids }))
}

fn usual(kind: &str, id: &str) -> Answer {
    match (kind, id) {
        ("user", "U0GONE") => Answer::Json(json!({ "ok": false, "error": "user_not_found" })),
        ("user", id) => member(id),
        (_, "S0QA") => members(&["U0QUINN", "U0THEO"]),
        (_, "S0LEADS") => members(&["U0TINA", "U0THEO"]),
        _ => Answer::Json(json!({ "ok": false, "error": "no_such_subteam" })),
    }
}

#[tokio::test]
async fn roles_come_from_ids_and_groups_and_a_service_wins_over_the_general_list() {
    let world = World::start(usual).await;
    let facts = world
        .facts(&["U0RITA", "U0QUINN", "U0THEO", "U0TINA", "U0GUS", "U0FAKE", "U0GONE"])
        .await;
    let roles = |id: &str| -> Vec<(Role, String)> { facts[&user(id)].roles.clone().into_iter().collect() };
    assert_eq!(
        roles("U0RITA"),
        [(Role::ReleaseManager, "person".into()), (Role::Admin, "person".into())]
    );
    assert_eq!(roles("U0QUINN"), [(Role::QaLead, "group:S0QA".into())]);
    assert_eq!(
        roles("U0THEO"),
        [(Role::QaLead, "group:S0QA".into()), (Role::TechLead, "person".into())]
    );
    assert_eq!(roles("U0TINA"), [(Role::TechLead, "group:S0LEADS".into())]);
    assert_eq!(roles("U0GUS"), [], "the general tech lead is none for payments");
    assert_eq!(roles("U0FAKE"), [], "called Cleo, titled CTO, with the CTO's address");
    assert_eq!(facts[&user("U0GONE")].standing, Standing::Unknown);
    assert!(facts.values().all(|facts| facts.observed_ms == T0));
    let general = world
        .directory
        .facts(&[user("U0GUS"), user("U0THEO")], None, MINUTE, LONG)
        .await;
    assert!(general[&user("U0GUS")].holds(Role::TechLead) && !general[&user("U0THEO")].holds(Role::TechLead));
}

#[tokio::test]
async fn answers_are_used_for_a_minute_and_no_longer() {
    let world = World::start(usual).await;
    world.facts(&["U0QUINN"]).await;
    world.now.store(T0 + MINUTE, Ordering::SeqCst);
    let facts = world.facts(&["U0QUINN"]).await;
    assert_eq!(
        (world.asked("users.info"), facts[&user("U0QUINN")].observed_ms),
        (1, T0)
    );
    world.now.store(T0 + MINUTE + 1, Ordering::SeqCst);
    let facts = world.facts(&["U0QUINN"]).await;
    assert_eq!(
        (world.asked("users.info"), facts[&user("U0QUINN")].observed_ms),
        (2, T0 + MINUTE + 1)
    );
    // A clock that was set back: nobody knows how old the answer is.
    world.now.store(T0, Ordering::SeqCst);
    world.facts(&["U0QUINN"]).await;
    assert_eq!(world.asked("users.info"), 3);
}

#[tokio::test]
async fn facts_are_as_old_as_the_oldest_thing_they_rest_on() {
    let world = World::start(usual).await;
    world.facts(&["U0THEO"]).await;
    world.now.store(T0 + 30_000, Ordering::SeqCst);
    let facts = world.facts(&["U0QUINN"]).await;
    assert_eq!(facts[&user("U0QUINN")].observed_ms, T0, "the group was read then");
    let standing = world.directory.standing(&user("U0QUINN"), MINUTE, LONG).await;
    assert_eq!(standing, Some((Standing::Active, T0 + 30_000)));
}

#[tokio::test]
async fn groups_are_never_older_than_a_minute_even_if_older_facts_would_do() {
    let world = World::start(usual).await;
    world.directory.facts(&[user("U0QUINN")], None, 60 * MINUTE, LONG).await;
    world.now.store(T0 + 2 * MINUTE, Ordering::SeqCst);
    world.directory.facts(&[user("U0QUINN")], None, 60 * MINUTE, LONG).await;
    assert_eq!(
        (world.asked("users.info"), world.asked("usergroups.users.list")),
        (1, 2)
    );
}

#[tokio::test]
async fn someone_removed_from_a_group_loses_the_role_within_a_minute() {
    let round = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&round);
    let world = World::start(move |kind, id| match (kind, id) {
        ("group", "S0QA") if seen.load(Ordering::SeqCst) > 0 => members(&[]),
        _ => usual(kind, id),
    })
    .await;
    assert!(world.facts(&["U0QUINN"]).await[&user("U0QUINN")].holds(Role::QaLead));
    round.store(1, Ordering::SeqCst);
    world.now.store(T0 + MINUTE + 1, Ordering::SeqCst);
    assert!(!world.facts(&["U0QUINN"]).await[&user("U0QUINN")].holds(Role::QaLead));
    assert_eq!(
        world.directory.holders(Role::QaLead, None, MINUTE, LONG).await,
        Some(vec![])
    );
}

#[tokio::test]
async fn who_can_not_be_read_in_time_is_missing_and_the_others_are_not() {
    let world = World::start(|kind, id| match (kind, id) {
        ("user", "U0SLOW") => Answer::Slow(Duration::from_secs(20), json!({ "ok": true })),
        ("user", "U0ERR") => Answer::status(500, "no"),
        ("group", "S0LEADS") => Answer::Slow(Duration::from_secs(20), json!({ "ok": true, "users": ["U0TINA"] })),
        _ => usual(kind, id),
    })
    .await;
    let begun = Instant::now();
    let facts = world.facts(&["U0SLOW", "U0ERR", "U0THEO", "U0TINA"]).await;
    assert!(begun.elapsed() < Duration::from_millis(2_800), "{:?}", begun.elapsed());
    let known: BTreeSet<&str> = facts.keys().map(SlackUser::as_str).collect();
    assert_eq!(known, BTreeSet::from(["U0THEO", "U0TINA"]));
    assert!(facts[&user("U0THEO")].holds(Role::TechLead), "named in person");
    assert!(
        !facts[&user("U0TINA")].holds(Role::TechLead) && facts[&user("U0TINA")].is_untold(Role::TechLead),
        "only an unread group could say so"
    );
    assert!(!facts[&user("U0THEO")].is_untold(Role::TechLead));
    let now = Duration::ZERO;
    assert_eq!(
        world
            .directory
            .holders(Role::TechLead, Some(&payments()), MINUTE, now)
            .await,
        None
    );
    assert_eq!(
        world
            .directory
            .holders(Role::QaLead, Some(&payments()), MINUTE, now)
            .await
            .map(|ids| ids.len()),
        Some(2)
    );
}

#[tokio::test]
async fn an_answer_that_came_too_late_for_one_click_serves_the_next() {
    let world = World::start(|kind, id| match kind {
        "user" => {
            let Answer::Json(body) = member(id) else { panic!() };
            Answer::Slow(Duration::from_millis(400), body)
        }
        _ => usual(kind, id),
    })
    .await;
    let rita = user("U0RITA");
    let ask = async |budget| {
        world
            .directory
            .standing(&rita, MINUTE, budget)
            .await
            .map(|(standing, _)| standing)
    };
    assert_eq!(ask(Duration::from_millis(50)).await, None);
    assert_eq!(ask(LONG).await, Some(Standing::Active));
    assert_eq!(
        world.asked("users.info"),
        1,
        "the second one waited for the first question's answer"
    );
}

#[tokio::test]
async fn a_hundred_askers_at_once_make_one_question() {
    let world = World::start(|kind, id| match kind {
        "user" => {
            let Answer::Json(body) = member(id) else { panic!() };
            Answer::Slow(Duration::from_millis(100), body)
        }
        _ => usual(kind, id),
    })
    .await;
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let directory = Arc::clone(&world.directory);
        askers.spawn(async move {
            directory
                .facts(&[user("U0QUINN")], Some(&payments()), MINUTE, LONG)
                .await
        });
    }
    for facts in askers.join_all().await {
        assert!(facts[&user("U0QUINN")].holds(Role::QaLead));
    }
    assert_eq!(
        (world.asked("users.info"), world.asked("usergroups.users.list")),
        (1, 2)
    );
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let world = World::start(move |kind, id| match kind {
        "user" if counter.fetch_add(1, Ordering::SeqCst) == 0 => Answer::status(200, "garbage"),
        _ => usual(kind, id),
    })
    .await;
    assert!(world.facts(&["U0RITA"]).await.is_empty());
    assert_eq!(world.facts(&["U0RITA"]).await.len(), 1);
}

#[tokio::test]
async fn a_group_that_slack_does_not_know_or_has_switched_off_is_unknown_and_not_empty() {
    let world = World::start(|kind, id| match kind {
        "group" => Answer::Json(json!({ "ok": false, "error": "no_such_subteam" })),
        _ => usual(kind, id),
    })
    .await;
    assert_eq!(world.directory.holders(Role::QaLead, None, MINUTE, LONG).await, None);
    assert_eq!(
        world.directory.holders(Role::Auditor, None, MINUTE, LONG).await,
        Some(vec![]),
        "a role with nobody in it"
    );
}

#[tokio::test]
async fn everybody_with_a_role_can_be_listed_for_asking() {
    let world = World::start(usual).await;
    let all = world.directory.members_of_all(Some(&payments()), MINUTE, LONG).await;
    let ids: Vec<&str> = all.iter().map(SlackUser::as_str).collect();
    assert_eq!(ids, ["U0CLEO", "U0PRIYA", "U0QUINN", "U0RITA", "U0THEO", "U0TINA"]);
    let leads = world
        .directory
        .holders(Role::TechLead, Some(&payments()), MINUTE, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(
        leads,
        [user("U0THEO"), user("U0TINA")],
        "in the order of the configuration, once each"
    );
}
