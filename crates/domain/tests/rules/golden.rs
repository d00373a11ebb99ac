//! Every version of every event that ever landed: a file in `tests/golden/`, which must read and write the same for
//! ever. `COUNTERSIGN_BLESS=1 cargo test -p countersign-domain --test rules` writes files that are missing and never
//! changes an event's; the states of the replays are written anew, since a state is derived.

use crate::support::{Scenario, commit, key, people, person, seen, tell, text};
use domain::attestation::{Attestation, Waiver};
use domain::case::Case;
use domain::digest::Digest;
use domain::event::{Event, NoticeStep, SignOff, SourceProblem};
use domain::fingerprint::Field;
use domain::ids::{EnvironmentName, MINUTE_MS, ServiceName, Version};
use domain::release::{AttemptResult, Migration, NotStarted, Plan, SettlementChoice};
use domain::restore::LostCheckpoint;
use domain::role::Role;
use domain::rule::{Kind, Rule};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub const VARIANTS: usize = 37;

/// Fails to compile when a variant is added: give it a number, a sample and a golden file.
fn number(event: &Event) -> usize {
    match event {
        Event::ReleasePlanned { .. } => 0,
        Event::HotfixRequested { .. } => 1,
        Event::CommitTyped { .. } => 2,
        Event::PlanChanged { .. } => 3,
        Event::SourceResolved { .. } => 4,
        Event::SourceNotResolved { .. } => 5,
        Event::SignOffRequested { .. } => 6,
        Event::SignedOff { .. } => 7,
        Event::SignOffWithdrawn { .. } => 8,
        Event::SignOffsVoided { .. } => 9,
        Event::ReleaseRejected { .. } => 10,
        Event::ReleaseApproved {} => 11,
        Event::ReleaseCancelled { .. } => 12,
        Event::DebtIncurred { .. } => 13,
        Event::DebtClosed { .. } => 14,
        Event::DeploymentRequested { .. } => 15,
        Event::AttemptStarting { .. } => 16,
        Event::AttemptRunning { .. } => 17,
        Event::StopRequested { .. } => 18,
        Event::AttemptEnded { .. } => 19,
        Event::AttemptInterrupted { .. } => 20,
        Event::SettlementProposed { .. } => 21,
        Event::AttemptSettled { .. } => 22,
        Event::NoticePosted { .. } => 23,
        Event::NoticeEscalated { .. } => 24,
        Event::NoticeBreached { .. } => 25,
        Event::EnvironmentLocked { .. } => 26,
        Event::EnvironmentUnlocked { .. } => 27,
        Event::CommandRefused { .. } => 28,
        Event::RefusalsRepeated { .. } => 29,
        Event::AttemptLostInRestore { .. } => 30,
        Event::RestoreAcknowledged { .. } => 31,
        Event::PersonErased { .. } => 32,
        Event::Attested { .. } => 33,
        Event::AttestationWithdrawn { .. } => 34,
        Event::RuleWaived { .. } => 35,
        Event::WaiverWithdrawn { .. } => 36,
    }
}

/// One of each variant, every optional part filled.
pub fn samples() -> Vec<Event> {
    let service = ServiceName::new("payments").unwrap();
    let environment = EnvironmentName::new("production").unwrap();
    let version = Version::new("1.4.0").unwrap();
    let digest = |word: &str| Digest::of(word.as_bytes());
    let plan = Plan {
        start_ms: 1_795_435_200_000,
        length_ms: 3_600_000,
        scope: digest("scope"),
        dependencies: digest("dependencies"),
        user_facing: true,
        migration: Migration::ExpandOnly,
        outcome: digest("outcome"),
        abort_criteria: digest("abort"),
    };
    let fingerprint = json!({
        "target": "payments/production", "kind": "emergency", "version": "1.4.1", "commit": commit('a'),
        "tickets": digest("tickets"), "justification": digest("justification"), "skips": digest("skips"),
        "rules": digest("rules"), "executor": digest("executor"), "script": digest("script"),
    });
    let signed_off = Event::SignedOff {
        sign_off: Box::new(SignOff {
            role: Role::Cto,
            person: person("vera"),
            as_deputy: true,
            membership: "group:S0DEPUTIES".to_owned(),
            facts_ms: 1_795_431_600_000,
            fingerprint: serde_json::from_value(fingerprint).unwrap(),
            rules: digest("rules"),
            seen: Some(digest("seen")),
            signed_ms: 1_795_431_601_000,
            confirms_rejection: true,
        }),
    };
    let tickets = BTreeSet::from([key("PAY-101"), key("PAY-107")]);
    vec![
        Event::ReleasePlanned {
            release: key("REL-789"),
            kind: Kind::Minor,
            service: service.clone(),
            environment: environment.clone(),
            time_zone: "Europe/Berlin".to_owned(),
            version: version.clone(),
            requester: person("rita"),
            owner: Some(person("rita")),
            plan: plan.clone(),
            tickets: tickets.clone(),
            authors: people(&["mia", "moe"]),
            typed_commit: Some(commit('a')),
        },
        Event::HotfixRequested {
            release: key("HOTFIX-1"),
            service: service.clone(),
            environment: environment.clone(),
            time_zone: "Europe/Berlin".to_owned(),
            version: version.clone(),
            requester: person("moe"),
            justification: digest("justification"),
            tickets: tickets.clone(),
            authors: people(&["mia"]),
            typed_commit: Some(commit('a')),
        },
        Event::CommitTyped {
            commit: commit('a'),
            by: person("rita"),
        },
        Event::PlanChanged {
            by: person("rita"),
            owner: Some(person("rita")),
            kind: Kind::Major,
            version: version.clone(),
            plan,
            tickets,
            authors: people(&["mia"]),
            typed_commit: Some(commit('a')),
            changed: vec![Field::Kind, Field::PlannedStart],
        },
        Event::SourceResolved {
            commit: commit('a'),
            script: digest("script"),
            executor: digest("executor"),
            observed_ms: 1_795_431_600_000,
            typed_by: Some(person("rita")),
        },
        Event::SourceNotResolved {
            problem: SourceProblem::GitSilent,
            observed_ms: 1_795_431_600_000,
        },
        Event::SignOffRequested {
            role: Role::ProductOwner,
            people: people(&["paul", "priya"]),
            revision: 2,
        },
        signed_off,
        Event::SignOffWithdrawn {
            role: Role::QaLead,
            person: person("quinn"),
            reason: Some(digest("reason")),
        },
        Event::SignOffsVoided {
            roles: [Role::QaLead, Role::ProductOwner].into(),
            changed: vec![Field::Commit],
        },
        Event::ReleaseRejected {
            role: Role::TechLead,
            person: person("theo"),
            reason: digest("reason"),
        },
        Event::ReleaseApproved {},
        Event::ReleaseCancelled {
            by: person("rita"),
            reason: Some(digest("reason")),
        },
        Event::DebtIncurred {
            rules: [Rule::StageStaging, Rule::CriteriaCoverage].into(),
            owed_by: Role::TechLead,
            due_ms: 1_795_536_000_000,
        },
        Event::DebtClosed {
            rule: Rule::SignoffTechLead,
            by: person("tina"),
        },
        Event::DeploymentRequested {
            attempt: 1,
            fence: 7,
            by: Some(person("dev")),
            engineer: Some(person("dev")),
        },
        Event::AttemptStarting {
            attempt: 1,
            fence: 7,
            fingerprint: digest("fingerprint"),
            commit: commit('a'),
            script: digest("script"),
            host: "host-1".to_owned(),
            unconfirmed: people(&["cleo"]),
        },
        Event::AttemptRunning { attempt: 1 },
        Event::StopRequested {
            attempt: 1,
            by: person("dev"),
        },
        Event::AttemptEnded {
            attempt: 1,
            result: AttemptResult::NotStarted(NotStarted::TagMoved),
            output: Some(digest("output")),
        },
        Event::AttemptInterrupted { attempt: 1 },
        Event::SettlementProposed {
            attempt: 1,
            choice: SettlementChoice::NewAttempt,
            by: person("dev"),
        },
        Event::AttemptSettled {
            attempt: 1,
            choice: SettlementChoice::Finished,
            by: people(&["dev", "rita"]),
        },
        Event::NoticePosted {
            attempt: 1,
            channel: "C0RELEASES".to_owned(),
            ts: "1795431600.000100".to_owned(),
            verified_ms: 1_795_431_600_000,
        },
        Event::NoticeEscalated {
            attempt: 1,
            step: NoticeStep::AtRisk,
        },
        Event::NoticeBreached {
            attempt: 1,
            due_ms: 1_795_435_200_000,
        },
        Event::EnvironmentLocked {
            service: service.clone(),
            environment: environment.clone(),
            fence: 7,
            release: key("REL-789"),
            attempt: 1,
        },
        Event::EnvironmentUnlocked {
            service,
            environment,
            fence: 7,
            deployed: Some(version),
        },
        Event::CommandRefused {
            release: key("REL-789"),
            intent: "sign_planned".to_owned(),
            rule: Rule::SignoffQaLead,
            cause: "own_release".to_owned(),
        },
        Event::RefusalsRepeated {
            release: key("REL-789"),
            key: "REL-789/p-rita/sign_planned/signoff.qa-lead".to_owned(),
            count: 3,
        },
        Event::AttemptLostInRestore { attempt: 1 },
        Event::RestoreAcknowledged {
            by: digest("by"),
            reason: digest("reason"),
            fences_above: 1_795_431_600_000,
            checkpoints: BTreeSet::from([LostCheckpoint {
                position: 57,
                hash: digest("checkpoint"),
            }]),
            attempts: 1,
            held: 4,
        },
        Event::PersonErased {
            person: Some(person("quinn")),
            texts: 4,
            reason: digest("reason"),
        },
        Event::Attested {
            rule: Rule::StageStaging,
            attestation: Box::new(Attestation {
                by: person("quinn"),
                role: Role::QaLead,
                membership: "group:S0QALEADS".to_owned(),
                facts_ms: 1_795_431_600_000,
                said_ms: 1_795_431_601_000,
                on: serde_json::from_value(json!({"target": "payments/production", "version": "1.4.1"})).unwrap(),
                note: Some(digest("note")),
            }),
        },
        Event::AttestationWithdrawn {
            rule: Rule::StageStaging,
            by: person("quinn"),
        },
        Event::RuleWaived {
            rule: Rule::CriteriaDocs,
            waiver: Box::new(Waiver {
                by: person("paul"),
                role: Role::ProductOwner,
                membership: "person:paul".to_owned(),
                facts_ms: 1_795_431_600_000,
                waived_ms: 1_795_431_601_000,
                on: digest("fingerprint"),
                justification: digest("justification"),
                follow_up_ms: 1_796_036_400_000,
            }),
        },
        Event::WaiverWithdrawn {
            rule: Rule::CriteriaDocs,
            by: person("paul"),
        },
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub fn blesses() -> bool {
    std::env::var("COUNTERSIGN_BLESS").is_ok_and(|value| value == "1")
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn there_is_a_sample_of_every_event() {
    let numbers: BTreeSet<usize> = samples().iter().map(number).collect();
    assert_eq!(numbers, (0..VARIANTS).collect());
}

#[test]
fn every_event_has_a_golden_file_that_says_what_the_sample_says() {
    for event in samples() {
        let value = serde_json::to_value(&event).unwrap();
        let name = value["name"].as_str().unwrap();
        let path = folder().join(format!("{name}.json"));
        if blesses() && !path.exists() {
            std::fs::write(&path, pretty(&value)).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} has no golden file"));
        assert_eq!(
            written,
            pretty(&value),
            "{name}: what landed never changes; add a new version"
        );
    }
}

fn golden_files() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Value)> = files
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (
                name,
                serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap(),
            )
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(files.len() >= samples().len());
    files
}

#[test]
fn every_golden_file_reads_and_writes_the_same() {
    for (name, value) in golden_files() {
        assert_eq!(value["name"], json!(name));
        let event: Event = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&event).unwrap(), value, "{name}");
        domain::canonical::to_bytes(&value).unwrap_or_else(|error| panic!("{name} can't be hashed: {error}"));
    }
}

/// Adds a field to every object inside `value`, one at a time.
fn with_one_more_field(value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    if let Value::Object(map) = value {
        let mut more = map.clone();
        more.insert("surprise".to_owned(), json!(1));
        found.push(Value::Object(more));
        for (key, inner) in map {
            for changed in with_one_more_field(inner) {
                let mut outer = map.clone();
                outer.insert(key.clone(), changed);
                found.push(Value::Object(outer));
            }
        }
    }
    found
}

#[test]
fn an_unknown_event_version_or_field_is_refused() {
    for (name, value) in golden_files() {
        for wrong in [
            name.replace(".v1", ".v2"),
            name.replace(".v1", ""),
            format!("{name}0"),
            "Nothing.v1".to_owned(),
        ] {
            let mut renamed = value.clone();
            renamed["name"] = json!(wrong);
            assert!(serde_json::from_value::<Event>(renamed).is_err(), "{wrong}");
        }
        for more in with_one_more_field(&value) {
            assert!(serde_json::from_value::<Event>(more.clone()).is_err(), "{name}: {more}");
        }
    }
}

/// A whole hotfix: the tech lead's no, the CTO's confirmation, a moved tag, a late notice, an interruption settled by
/// two people.
fn whole_hotfix() -> Scenario {
    let mut s = Scenario::hotfix().resolved();
    s.at(1).by("theo").rejects();
    s.at(2).by("cleo").approves();
    let moved = |minutes| Ok(seen('b', "deploy.sh", crate::support::T0 + minutes * MINUTE_MS));
    s.at(3).starts_seeing(moved(3));
    s.at(4).by("theo").approves();
    s.at(5).by("cleo").approves();
    s.at(6).starts_seeing(moved(6));
    s.at(7).worker(domain::command::Intent::RecordRunning { attempt: 2 });
    s.worker(domain::command::Intent::EscalateNotice {
        attempt: 2,
        step: NoticeStep::Mail,
    });
    s.at(11).worker(domain::command::Intent::EscalateNotice {
        attempt: 2,
        step: NoticeStep::Mail,
    });
    s.at(20).is_interrupted();
    s.at(70).worker(domain::command::Intent::BreachNotice { attempt: 2 });
    s.at(71).worker(domain::command::Intent::RecordNotice {
        attempt: 2,
        channel: "C0RELEASES".to_owned(),
        ts: "1.2".to_owned(),
    });
    s.at(80).by("dev").settles(SettlementChoice::Finished);
    s.at(81).by("rita").settles(SettlementChoice::Finished);
    s
}

fn whole_planned() -> Scenario {
    let mut s = Scenario::approved();
    s.at(10).by("quinn").does(domain::command::Intent::Withdraw {
        reason: Some(text("one more test")),
    });
    s.at(20).by("quinn").approves();
    s.at(60).by("dev").deploys();
    s.starts();
    s.at(65).ends(AttemptResult::Failed(1));
    s.at(70).by("dev").deploys();
    s.starts();
    s.at(75).ends(AttemptResult::Succeeded);
    s
}

#[test]
fn a_whole_release_replays_to_the_state_on_file() {
    for (name, scenario) in [("hotfix", whole_hotfix()), ("planned", whole_planned())] {
        let path = folder().join("replay").join(format!("{name}.json"));
        let entries: Vec<Value> = scenario
            .log
            .iter()
            .map(|(at_ms, event)| json!({"at_ms": at_ms, "event": event}))
            .collect();
        if blesses() && !path.exists() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, pretty(&json!({"entries": entries}))).unwrap();
        }
        let mut written: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut case = Case::default();
        for entry in written["entries"].as_array().unwrap() {
            let event: Event = serde_json::from_value(entry["event"].clone()).unwrap();
            case.evolve(&event, entry["at_ms"].as_i64().unwrap());
        }
        let (release, service) = (json!(case.release), json!(case.service));
        if blesses() {
            written["release"] = release.clone();
            written["service"] = service.clone();
            std::fs::write(&path, pretty(&written)).unwrap();
        }
        assert_eq!(
            (&written["release"], &written["service"]),
            (&release, &service),
            "{name}"
        );
        assert_eq!(written["release"]["status"], "released");
        // The same commands still lead to the same events; digests of the rules may differ, the rulebook grows.
        let on_file: Vec<Event> = written["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| serde_json::from_value(entry["event"].clone()).unwrap())
            .collect();
        let lines = |events: &mut dyn Iterator<Item = &Event>| events.map(tell).collect::<Vec<_>>();
        assert_eq!(
            lines(&mut on_file.iter()),
            lines(&mut scenario.log.iter().map(|(_, event)| event)),
            "{name}"
        );
        assert!(scenario.now >= crate::support::T0 + 75 * MINUTE_MS);
    }
}
