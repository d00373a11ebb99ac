//! A person is erased beside running replicas: nothing of them is left in any column of any table, in the files, in an export or
//! in a log, the chain verifies by both verifiers, and whoever comes back is somebody new.

mod meanwhile;

use super::{asks_for_hotfix, deploys_until_released, plans, signs_by_click, signs_by_typing};
use crate::support::bot::{CLEO, PAYMENTS, PRIYA, QUINN, RITA, THEO, TINA, plan_inputs, run};
use crate::support::database::{Database, Engine, Raw};
use crate::support::process::{Replica, World};
use countersign::fresh;
use countersign::handle::erase::{self, Fate, Wish};
use countersign::store::{Commit, Outcome, Store, StoredText};
use domain::log_entry::Draft;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const TEAM_THEO: &str = "T0ACME/U0THEO";
const NAME: &str = "Theo Brandt";
const MAIL: &str = "theo.brandt@acme.test";
/// What he wrote. Slack's markup and JSON write two of its marks otherwise, so part of it is searched for as well.
const WHY: &str = "Invoices are printed twice & the ledger disagrees (INC-77)";
const PART_OF_WHY: &str = "Invoices are printed twice";
const NO: &str = "Not before the index is rebuilt, see runbook 12";
const TAKEN_BACK: &str = "I had looked at the wrong branch";
const PEOPLE: usize = 1_000;

/// A place where something stands, such as `private_text.value`, and in how many rows.
type Hit = (String, i64);

/// Every text column of every table, whatever it is called and whoever adds one; on PostgreSQL also what the planner has kept of
/// the values.
async fn hits(database: &Database, needle: &str) -> Vec<Hit> {
    let mut raw = database.connect().await;
    let columns = match database.engine {
        Engine::Sqlite => {
            "SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' ORDER BY 1"
        }
        _ => {
            "SELECT table_name || '.' || column_name FROM information_schema.columns
             WHERE table_schema = 'public' ORDER BY 1"
        }
    };
    let quoted = needle.replace('\'', "''");
    let mut found = Vec::new();
    let columns = raw.texts(columns).await;
    assert!(columns.len() > 60, "{columns:?}");
    for place in columns {
        let (table, column) = place.split_once('.').unwrap();
        let holds = match database.engine {
            Engine::Sqlite => format!("instr(CAST(\"{column}\" AS TEXT), '{quoted}') > 0"),
            _ => format!("position('{quoted}' in \"{column}\"::text) > 0"),
        };
        let rows = count(
            &mut raw,
            &format!("SELECT count(*) || '' FROM \"{table}\" WHERE {holds}"),
        )
        .await;
        if rows > 0 {
            found.push((place, rows));
        }
    }
    if database.engine == Engine::Postgres {
        let kept = format!(
            "SELECT count(*) || '' FROM pg_stats WHERE schemaname = 'public' AND
             position('{quoted}' in concat(most_common_vals::text, histogram_bounds::text)) > 0"
        );
        let rows = count(&mut raw, &kept).await;
        if rows > 0 {
            found.push(("pg_stats".to_owned(), rows));
        }
    }
    raw.close().await;
    found
}

async fn all_hits(world: &World, needles: &[String]) -> Vec<Vec<Hit>> {
    let mut all = Vec::new();
    for needle in needles {
        all.push(hits(&world.database, needle).await);
    }
    all
}

async fn count(raw: &mut Raw, sql: &str) -> i64 {
    raw.texts(sql).await.remove(0).parse().unwrap()
}

/// The files of a SQLite database that hold these bytes.
fn files_with(database: &Database, needle: &str) -> Vec<String> {
    let Some(file) = database.url.strip_prefix("sqlite:") else {
        return Vec::new();
    };
    // Another process reads them: closing a file that SQLite has open in this one would give up its locks.
    let holds = |path: &&String| {
        let bytes = Command::new("cat").arg(path).output().unwrap().stdout;
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    };
    let paths = ["", "-wal", "-shm"].map(|end| format!("{file}{end}"));
    paths.iter().filter(holds).cloned().collect()
}

/// What stands for him, and is personal.
fn needles(world: &World) -> Vec<String> {
    let dm = world.slack.dm(THEO);
    let texts = [THEO, NAME, MAIL, WHY, PART_OF_WHY, NO, TAKEN_BACK].map(str::to_owned);
    texts.into_iter().chain([dm]).collect()
}

async fn replicas(world: &World) -> Vec<Replica> {
    let mut replicas = vec![world.serve("bot", "all").await];
    if world.database.engine == Engine::Postgres {
        replicas.push(world.serve("second", "all").await);
    }
    world
        .slack
        .set_bot_urls(&replicas.iter().map(|replica| replica.url.clone()).collect::<Vec<_>>());
    replicas
}

async fn end(replicas: Vec<Replica>) -> String {
    let mut said = String::new();
    for replica in replicas {
        said += &replica.tail(usize::MAX);
        replica.terminate().await;
    }
    said
}

/// Two hotfixes that he has a part in, over and done, and a release of others that is not.
async fn past(world: &World) {
    let inputs = json!({ "justification": WHY, "authors": ["U0MIA"] });
    world
        .insist(
            "his hotfix",
            async || (world.status("HOTFIX-1").await != "nothing").then_some(()),
            async || world.fills(THEO, "hotfix ledger v1.4.1", &inputs).await,
        )
        .await;
    world.becomes("HOTFIX-1", "asking").await;
    signs_by_click(world, "HOTFIX-1", TINA, "tech_lead").await;
    signs_by_click(world, "HOTFIX-1", CLEO, "cto").await;
    deploys_until_released(world, "HOTFIX-1").await;

    let why = format!("Refunds hang. {NAME} ({MAIL}) found it.");
    let inputs = json!({ "justification": why, "authors": ["U0MIA"] });
    world
        .insist(
            "her hotfix",
            async || (world.status("HOTFIX-2").await != "nothing").then_some(()),
            async || world.fills(TINA, "hotfix payments v1.4.1", &inputs).await,
        )
        .await;
    world.becomes("HOTFIX-2", "asking").await;
    signs_by_click(world, "HOTFIX-2", THEO, "tech_lead").await;
    for (verb, event) in [
        (format!("withdraw HOTFIX-2 {TAKEN_BACK}"), "SignOffWithdrawn.v1"),
        (format!("reject HOTFIX-2 {NO}"), "ReleaseRejected.v1"),
    ] {
        world
            .insist(
                event,
                async || (world.count("HOTFIX-2", event).await == 1).then_some(()),
                async || world.types(THEO, &verb).await,
            )
            .await;
    }
    world
        .insist(
            "his second thoughts",
            async || (world.count("HOTFIX-2", "SignedOff.v1").await == 2).then_some(()),
            async || world.types(THEO, "approve HOTFIX-2").await,
        )
        .await;
    signs_by_click(world, "HOTFIX-2", CLEO, "cto").await;
    deploys_until_released(world, "HOTFIX-2").await;

    plans(world, "REL-1").await;
    world.becomes("REL-1", "asking").await;
    signs_by_click(world, "REL-1", PRIYA, "product_owner").await;
    signs_by_typing(world, "REL-1", QUINN, "qa_lead").await;
    // A refusal of his is an entry, too.
    assert!(world.types(THEO, "approve REL-1").await);
}

/// He wrote a release that is under way.
async fn is_author_of(world: &World, key: &str) {
    let mut inputs = plan_inputs();
    inputs["authors"] = json!([THEO]);
    world
        .insist(
            key,
            async || (world.status(key).await != "nothing").then_some(()),
            async || world.fills(RITA, &format!("plan {key} payments v1.4.0"), &inputs).await,
        )
        .await;
    world.becomes(key, "asking").await;
}

async fn erases(world: &World) -> (Option<i32>, String) {
    erases_with(world, RITA, &["--yes"]).await
}

async fn erases_with(world: &World, by: &str, more: &[&str]) -> (Option<i32>, String) {
    let reason = ["--reason", "request of 25 November under article 17"];
    let names = ["--name", NAME, "--name", MAIL];
    let verb = ["people", "erase", TEAM_THEO, "--by", by];
    world.verb(&[verb.as_slice(), &reason, &names, more].concat()).await
}

async fn id_of(world: &World, user: &str) -> Option<String> {
    let pairs = [("T0ACME", user)];
    let ids = world.store().await.ids_on_record(&pairs).await.unwrap();
    ids.into_values().next()
}

async fn an_erased_person_leaves_no_trace(engine: Engine) {
    let world = World::new(engine).await;
    world.nudges.store(false, Ordering::Relaxed);
    let config = fs::read_to_string(world.path("countersign.toml")).unwrap();
    let running = replicas(&world).await;
    past(&world).await;
    is_author_of(&world, "REL-2").await;
    world.settles().await;
    let theo = id_of(&world, THEO).await.unwrap();
    let entries = world.log(1).await.len();

    // The search can find: everything is there before.
    let needles = needles(&world);
    for needle in &needles {
        assert!(!hits(&world.database, needle).await.is_empty(), "{needle}");
        let in_files = files_with(&world.database, needle);
        assert_eq!(in_files.is_empty(), engine != Engine::Sqlite, "{needle}: {in_files:?}");
    }
    let analyze = if engine == Engine::Postgres {
        "ANALYZE"
    } else {
        "SELECT 1"
    };
    world.database.connect().await.execute(analyze).await.unwrap();
    let mut said = String::new();

    // While the configuration names him, the bot would write him down again.
    let (code, told) = erases(&world).await;
    assert!(code == Some(1) && told.contains("still names U0THEO"), "{told}");
    said += &end(running).await;
    let without = config
        .replace("[people.theo]\nslack = \"U0THEO\"\n", "")
        .replace("[\"theo\", \"tina\"]", "[\"tina\"]");
    assert_ne!(without, config);
    world.write("countersign.toml", &without);
    let running = replicas(&world).await;

    // Whoever has a part in what is not over stays.
    let (code, told) = erases(&world).await;
    assert!(
        code == Some(2) && told.contains("REL-2") && !told.contains("HOTFIX"),
        "{told}"
    );
    assert_eq!(world.log(1).await.len(), entries, "nothing was recorded");
    assert!(world.types(RITA, "cancel REL-2 not needed").await);
    world.becomes("REL-2", "cancelled").await;
    world.settles().await;
    let needles_were = all_hits(&world, &needles).await;
    let entries = world.log(1).await.len();
    let (code, told) = erases_with(&world, "U0RITTA", &["--yes"]).await;
    assert!(code == Some(1) && told.contains("`U0RITTA` is not on record"), "{told}");
    let (code, told) = erases_with(&world, RITA, &[]).await;
    assert!(code == Some(2) && told.contains("add --yes"), "{told}");
    assert!(told.contains("1 of them only because they hold a name given"), "{told}");
    assert_eq!(world.log(1).await.len(), entries, "nothing was recorded");
    assert_eq!(all_hits(&world, &needles).await, needles_were);

    let began = Instant::now();
    let (code, told) = erases(&world).await;
    let took = began.elapsed();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&theo), "{told}");
    world.settles().await;
    for needle in &needles {
        assert_eq!(hits(&world.database, needle).await, [], "{needle}");
        assert_eq!(files_with(&world.database, needle), [] as [String; 0], "{needle}");
    }
    let erased = world
        .log(1)
        .await
        .into_iter()
        .find(|told| told.name == "PersonErased.v1")
        .unwrap();
    assert_eq!(erased.data["person"], theo.as_str());
    let texts = erased.data["texts"].as_u64().unwrap();
    assert!(texts >= 6, "{erased:?}");
    others_are_as_they_were(&world).await;
    let verified = both_verifiers_agree(&world, &needles).await;
    the_screens_say_so(&world).await;
    for needle in &needles {
        assert_eq!(hits(&world.database, needle).await, [], "{needle}, after looking at it");
    }
    let (code, told) = erases(&world).await;
    assert!(code == Some(0) && told.contains("nothing on record"), "{told}");

    // Whoever comes back is somebody new, on every replica.
    said += &end(running).await;
    world.write("countersign.toml", &config);
    let running = replicas(&world).await;
    for _ in 0..4 {
        assert!(world.types(THEO, "status REL-1").await);
    }
    let again = id_of(&world, THEO).await.unwrap();
    assert_ne!(again, theo);
    asks_for_hotfix(&world, "HOTFIX-3").await;
    let release = world.release("HOTFIX-3").await.unwrap();
    assert_eq!(release.requester.as_str(), again);
    assert!(world.types(RITA, "cancel HOTFIX-3 enough").await || world.types(THEO, "cancel HOTFIX-3 enough").await);
    world.settles().await;
    let shown = world
        .slack
        .command(RITA, PAYMENTS, "audit HOTFIX-1")
        .await
        .body
        .to_string();
    assert!(!shown.contains(THEO), "{shown}");
    said += &end(running).await;
    for needle in &needles {
        assert!(!said.contains(needle.as_str()), "a log holds {needle}");
    }
    println!(
        "{engine:?}: {} things of one person erased with {texts} texts in {} ms; {verified}; {}",
        needles.len(),
        took.as_millis(),
        world.audit().await
    );
}

/// Texts of others that have nothing to do with him are there still.
async fn others_are_as_they_were(world: &World) {
    assert!(!hits(&world.database, "Refunds work").await.is_empty());
    assert!(!hits(&world.database, "U0TINA").await.is_empty());
    assert_eq!(world.status("REL-1").await, "approved");
    deploys_until_released(world, "REL-1").await;
    world.settles().await;
}

async fn both_verifiers_agree(world: &World, needles: &[String]) -> String {
    let file = world.path("export.jsonl");
    let (code, said) = world
        .verb(&["audit", "export", "--output", &file.display().to_string()])
        .await;
    assert_eq!(code, Some(0), "{said}");
    let export = fs::read_to_string(&file).unwrap();
    for needle in needles {
        assert!(!export.contains(needle.as_str()), "the export holds {needle}");
    }
    world.audit().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/verify_audit.py");
    let output = Command::new("python3").arg(script).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said.trim().to_owned()
}

/// Everything that shows the two hotfixes still does, without him.
async fn the_screens_say_so(world: &World) {
    for key in ["HOTFIX-1", "HOTFIX-2"] {
        let mut all = String::new();
        for verb in ["status", "why", "audit"] {
            let ack = world.slack.command(RITA, PAYMENTS, &format!("{verb} {key}")).await;
            assert!(ack.ok(), "{verb} {key}");
            let shown = ack.body.to_string();
            assert!(shown.contains(key), "{verb}: {shown}");
            all += &shown;
        }
        let card = world
            .wait(&format!("the card of {key} without him"), async || {
                let rows = world.rows(key).await;
                let card = rows.iter().find(|row| row.id == format!("card/{key}"))?;
                let message = world.slack.message(&card.channel, &card.ts)?;
                let shown = format!(
                    "{}{}",
                    message.visible_text(),
                    serde_json::to_string(&message.blocks).unwrap()
                );
                (shown.contains("RELEASED") && !shown.contains(THEO) && !shown.contains(PART_OF_WHY)).then_some(shown)
            })
            .await;
        all += &card;
        assert!(all.contains("a person no longer on record"), "{all}");
        for gone in [THEO, NAME, MAIL, PART_OF_WHY, NO, TAKEN_BACK] {
            assert!(!all.contains(gone), "{gone}: {all}");
        }
    }
}

#[test]
fn an_erased_person_leaves_no_trace_on_sqlite() {
    run(Engine::Sqlite, an_erased_person_leaves_no_trace);
}

#[test]
fn an_erased_person_leaves_no_trace_on_postgres() {
    run(Engine::Postgres, an_erased_person_leaves_no_trace);
}

async fn officer_is_on_record(store: &Store) {
    let id = [fresh::person_id().to_string()];
    store.person_ids(&[("T0ACME", "U0OFFICER")], &id).await.unwrap();
}

/// A refusal that keeps a text of `actor`, while `people` are on record.
fn says(actor: &str, value: String, people: Vec<String>) -> Commit {
    let text = fresh::private_text(value);
    Commit {
        entries: vec![Draft {
            stream: "refused/REL-1".to_owned(),
            version: 0,
            decided_ms: 1,
            actor: actor.to_owned(),
            request: None,
            event: json!({ "name": "Sample.v1", "data": { "reason": text.commitment() } }),
        }],
        texts: vec![StoredText {
            stream: "refused/REL-1".to_owned(),
            text,
        }],
        people,
        decided_ms: 1,
        ..Commit::default()
    }
}

/// She writes and writes while she is erased: what comes in goes too, until nothing comes in any more.
async fn what_is_written_during_an_erasure_goes_too(engine: Engine) {
    let database = Database::new(engine).await;
    let store = database.open().await;
    // Another replica, where there can be one.
    let other = if engine == Engine::Postgres {
        database.open().await
    } else {
        store.clone()
    };
    let pairs = [("T0ACME", "U0OLGA")];
    let fresh_id = [fresh::person_id().to_string()];
    let olga = store.person_ids(&pairs, &fresh_id).await.unwrap().remove(0);
    officer_is_on_record(&store).await;
    let writing = tokio::spawn(async move {
        let (mut written, mut refused) = (0, 0);
        while refused < 20 {
            let commit = says(&olga, format!("secret {written}"), vec![olga.clone()]);
            let soon = tokio::time::Instant::now() + Duration::from_mins(1);
            match other.commit(commit, soon).await.unwrap() {
                Outcome::Committed { .. } => written += 1,
                Outcome::Conflict => refused += 1,
                outcome => panic!("{outcome:?}"),
            }
        }
        written
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let wish = Wish {
        team: "T0ACME".to_owned(),
        users: vec!["U0OLGA".to_owned()],
        names: Vec::new(),
        by: "U0OFFICER".to_owned(),
        reason: "she asked for it".to_owned(),
        confirmed: true,
    };
    let report = erase::erase(&store, &wish, 2).await.unwrap().unwrap();
    let Fate::Erased { texts, .. } = report.fates["U0OLGA"] else {
        panic!("{report:?}");
    };
    let written: u64 = writing.await.unwrap();
    assert_eq!(texts, written, "all of them and no more");
    for needle in ["secret", "U0OLGA"] {
        assert_eq!(hits(&database, needle).await, [], "{needle}");
    }
    println!("{engine:?}: {written} texts written and erased, nothing committed afterwards");
}

#[test]
fn what_is_written_during_an_erasure_goes_too_on_sqlite() {
    run(Engine::Sqlite, what_is_written_during_an_erasure_goes_too);
}

#[test]
fn what_is_written_during_an_erasure_goes_too_on_postgres() {
    run(Engine::Postgres, what_is_written_during_an_erasure_goes_too);
}

/// A thousand people with a text each, beside as many texts of somebody else.
async fn a_thousand_people_are_erased_at_once(engine: Engine) {
    let database = Database::new(engine).await;
    let store = database.open().await;
    let users: Vec<String> = (0..PEOPLE).map(|n| format!("U0GONE{n}X")).collect();
    let everybody: Vec<(&str, &str)> = users.iter().map(|user| ("T0ACME", user.as_str())).collect();
    let fresh_ids: Vec<String> = users.iter().map(|_| fresh::person_id().to_string()).collect();
    let ids = store.person_ids(&everybody, &fresh_ids).await.unwrap();
    officer_is_on_record(&store).await;
    let mut writing = tokio::task::JoinSet::new();
    for (n, id) in ids.iter().enumerate() {
        for (actor, value) in [
            (id.as_str(), format!("secret of {n}.")),
            ("p-stays", format!("kept {n}")),
        ] {
            let commit = says(actor, value, Vec::new());
            let store = store.clone();
            let soon = tokio::time::Instant::now() + Duration::from_mins(1);
            writing.spawn(async move { store.commit(commit, soon).await.unwrap() });
        }
    }
    writing.join_all().await;
    assert!(!hits(&database, "secret of 7").await.is_empty() && !hits(&database, "U0GONE7X").await.is_empty());
    let wish = Wish {
        team: "T0ACME".to_owned(),
        users: users.clone(),
        names: Vec::new(),
        by: "U0OFFICER".to_owned(),
        reason: "the office was closed".to_owned(),
        confirmed: true,
    };
    let began = Instant::now();
    let report = erase::erase(&store, &wish, 2).await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(report.forgotten && report.fates.len() == PEOPLE);
    for (user, fate) in &report.fates {
        assert!(matches!(fate, Fate::Erased { texts: 1, .. }), "{user}: {fate:?}");
    }
    for needle in ["secret of", "U0GONE"] {
        assert_eq!(hits(&database, needle).await, [], "{needle}");
        assert_eq!(files_with(&database, needle), [] as [String; 0], "{needle}");
    }
    let kept = database
        .number("SELECT count(*) FROM private_text WHERE value LIKE 'kept %'")
        .await;
    assert_eq!(usize::try_from(kept).unwrap(), PEOPLE);
    let mut verifier = domain::log_entry::Verifier::new(store.log_id());
    for sealed in store.entries(1, 100_000).await.unwrap() {
        verifier.push(&sealed).unwrap();
    }
    let head = verifier.finish(Some(&store.head().await.unwrap())).unwrap();
    println!(
        "{engine:?}: {PEOPLE} people erased in {:.1} s, one entry each; {} entries verify",
        took.as_secs_f64(),
        head.position
    );
    store.close().await;
}

#[test]
fn a_thousand_people_are_erased_at_once_on_sqlite() {
    run(Engine::Sqlite, a_thousand_people_are_erased_at_once);
}

#[test]
fn a_thousand_people_are_erased_at_once_on_postgres() {
    run(Engine::Postgres, a_thousand_people_are_erased_at_once);
}
