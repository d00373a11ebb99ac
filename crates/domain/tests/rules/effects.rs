//! What must follow from each event: the whole table, and nothing beside it.

use crate::golden::samples;
use crate::support::{Scenario, T0, key, name_of, person, proposal};
use domain::effects::{Due, effects};
use domain::event::{Event, NoticeStep};
use domain::ids::{HOUR_MS, MINUTE_MS, Millis};
use domain::job::{Job, Lane, MessageId};
use domain::release::{AttemptResult, NotStarted, Release};
use domain::role::Role;
use proptest::prelude::*;

fn describe(due: &Due, now_ms: Millis) -> String {
    let job = serde_json::to_value(&due.job).unwrap();
    let kind = job["kind"].as_str().unwrap();
    let about = match &due.job {
        Job::RefreshMessage { message } | Job::PostMessage { message } => format!(" {message}"),
        Job::EscalateNotice { step, .. } | Job::Page { step, .. } => format!(" {step:?}"),
        _ => String::new(),
    };
    let after = (due.at_ms - now_ms) / MINUTE_MS;
    let after = if after == 0 {
        String::new()
    } else {
        format!(" +{after}m")
    };
    format!("{kind}{about}{after}")
}

/// The jobs of one event, without the refresh of the copies and the story.
fn jobs(scenario: &Scenario, event: &Event) -> Vec<String> {
    let due = effects(
        scenario.release(),
        std::slice::from_ref(event),
        9,
        &scenario.policy,
        scenario.now,
    );
    let copies = refreshes(scenario.release());
    let all: Vec<String> = due.iter().map(|due| describe(due, scenario.now)).collect();
    let story = "post_message story/REL-789/9".to_owned();
    assert!(all.ends_with(&copies), "every copy is refreshed: {all:?}");
    all[..all.len() - copies.len()]
        .iter()
        .filter(|job| **job != story)
        .cloned()
        .collect()
}

fn refreshes(release: &Release) -> Vec<String> {
    let questions = release
        .copies
        .iter()
        .map(|(role, person, revision)| format!("refresh_message question/{}/{role}/{person}/{revision}", release.key));
    std::iter::once(format!("refresh_message card/{}", release.key))
        .chain(questions)
        .collect()
}

fn sample(name: &str) -> Event {
    let named = |event: &Event| serde_json::to_value(event).unwrap()["name"] == format!("{name}.v1");
    samples().into_iter().find(named).unwrap()
}

#[test]
fn each_event_has_exactly_these_jobs() {
    let s = Scenario::hotfix_deploying();
    for event in samples() {
        let name = serde_json::to_value(&event).unwrap()["name"]
            .as_str()
            .unwrap()
            .to_owned();
        let expected: Vec<&str> = match name.as_str() {
            "HotfixRequested.v1" | "CommitTyped.v1" => vec!["resolve_source"],
            // The slot ends two hours after minute 0.
            "ReleasePlanned.v1" | "PlanChanged.v1" => vec!["resolve_source", "look_again +118m"],
            // Signed at minute 0 of its own scenario; looked at from minute 2.
            "SignedOff.v1" => vec!["look_again +238m"],
            "DeploymentRequested.v1" => vec!["start_attempt"],
            "AttemptStarting.v1" => vec![
                "watch_attempt",
                "post_message notice/REL-789/1",
                "escalate_notice Mail +5m",
                "escalate_notice Page +15m",
                "escalate_notice AtRisk +45m",
                "breach_notice +60m",
            ],
            "StopRequested.v1" => vec!["stop_attempt"],
            "AttemptEnded.v1" | "AttemptInterrupted.v1" | "AttemptLostInRestore.v1" | "AttemptSettled.v1" => {
                vec!["post_message outcome/REL-789/1"]
            }
            "NoticeEscalated.v1" => vec!["page AtRisk"],
            // Who asked for that hotfix.
            "ReleaseRejected.v1" => vec!["post_message rejection/REL-789/9/p-rita"],
            "NoticeBreached.v1" => vec!["post_message breach/REL-789/1"],
            "Attested.v1"
            | "AttestationWithdrawn.v1"
            | "RuleWaived.v1"
            | "WaiverWithdrawn.v1"
            | "SourceResolved.v1"
            | "SourceNotResolved.v1"
            | "SignOffRequested.v1"
            | "SignOffWithdrawn.v1"
            | "SignOffsVoided.v1"
            | "ReleaseApproved.v1"
            | "ReleaseCancelled.v1"
            | "DebtIncurred.v1"
            | "DebtClosed.v1"
            | "AttemptRunning.v1"
            | "SettlementProposed.v1"
            | "NoticePosted.v1"
            | "EnvironmentLocked.v1"
            | "EnvironmentUnlocked.v1"
            | "CommandRefused.v1"
            | "RefusalsRepeated.v1"
            | "RestoreAcknowledged.v1"
            | "PersonErased.v1" => vec![],
            unknown => panic!("say what follows from {unknown}"),
        };
        assert_eq!(jobs(&s, &event), expected, "{name}");
    }
}

#[test]
fn a_no_is_told_to_who_asked_for_the_release_and_to_who_answers_for_it() {
    let taken_over = Scenario::empty().and(|s| {
        s.by("moe").plans(proposal());
        s.by("rita").plans(proposal());
    });
    let told = jobs(&taken_over.resolved(), &sample("ReleaseRejected"));
    assert_eq!(
        told,
        [
            "post_message rejection/REL-789/9/p-moe",
            "post_message rejection/REL-789/9/p-rita"
        ]
    );
}

#[test]
fn a_result_that_invites_to_another_try_is_told_anew_when_there_is_none_and_when_there_was_one() {
    let failed = || {
        Scenario::deploying().and(|s| {
            s.ends(AttemptResult::Failed(3));
        })
    };
    let cancelled = failed().and(|s| {
        s.by("rita").cancels();
    });
    let again = ["refresh_message outcome/REL-789/1"];
    assert_eq!(jobs(&cancelled, &sample("ReleaseCancelled")), again);
    // Another attempt that nothing ran of changes nothing.
    let requested = failed().and(|s| {
        s.by("dev").deploys();
    });
    assert_eq!(jobs(&requested, &sample("DeploymentRequested")), ["start_attempt"]);
    let mut event = serde_json::to_value(sample("AttemptStarting")).unwrap();
    event["data"]["attempt"] = serde_json::json!(2);
    let starting: Event = serde_json::from_value(event).unwrap();
    assert_eq!(
        jobs(&requested, &starting),
        ["watch_attempt", "refresh_message outcome/REL-789/1"]
    );
    let never_ran = Scenario::approved().and(|s| {
        s.by("rita").cancels();
    });
    assert_eq!(jobs(&never_ran, &sample("ReleaseCancelled")), Vec::<String>::new());
}

#[test]
fn each_told_event_is_one_story_under_its_own_version() {
    let s = Scenario::hotfix_deploying();
    let silent = [
        "SignOffRequested",
        "AttemptRunning",
        "EnvironmentLocked",
        "EnvironmentUnlocked",
        "CommandRefused",
        "RefusalsRepeated",
        "RestoreAcknowledged",
        "PersonErased",
    ];
    for event in samples() {
        let name = serde_json::to_value(&event).unwrap()["name"]
            .as_str()
            .unwrap()
            .trim_end_matches(".v1")
            .to_owned();
        let due = effects(s.release(), &[event], 9, &s.policy, s.now);
        let stories: Vec<String> = due
            .iter()
            .map(|due| describe(due, s.now))
            .filter(|job| job.contains("story/"))
            .collect();
        let expected = if silent.contains(&name.as_str()) {
            vec![]
        } else {
            vec!["post_message story/REL-789/9"]
        };
        assert_eq!(stories, expected, "{name}");
    }
}

#[test]
fn events_of_the_service_take_no_version_of_the_release() {
    let s = Scenario::queued();
    let events: Vec<Event> = s.log.iter().map(|(_, event)| event.clone()).collect();
    let due = effects(s.release(), &events, 1, &s.policy, s.now);
    let mut version = 0;
    let mut expected = Vec::new();
    for event in &events {
        if event.service_stream().is_none() {
            version += 1;
            if !matches!(event, Event::SignOffRequested { .. }) {
                expected.push(format!("post_message story/REL-789/{version}"));
            }
        }
    }
    let stories: Vec<String> = due
        .iter()
        .map(|due| describe(due, s.now))
        .filter(|job| job.contains("story/"))
        .collect();
    assert_eq!(stories, expected);
    assert!(
        effects(s.release(), &[], 1, &s.policy, s.now).is_empty(),
        "nothing follows from nothing"
    );
}

#[test]
fn the_questions_of_a_hotfix_set_their_timers() {
    let asked = |s: &Scenario, role| {
        let request = s
            .log
            .iter()
            .find(|(_, e)| matches!(e, Event::SignOffRequested { role: r, .. } if *r == role));
        jobs(s, &request.unwrap().1)
    };
    let s = Scenario::hotfix().resolved();
    assert_eq!(asked(&s, Role::Cto), ["ask_deputy +10m"]);
    assert_eq!(
        asked(&s, Role::TechLead),
        ["end_tech_lead_wait +15m", "look_again +15m"]
    );
    for mode in [domain::policy::TechLeadMode::Block, domain::policy::TechLeadMode::Owe] {
        let s = Scenario::hotfix()
            .and(|s| {
                s.mode(mode);
            })
            .resolved();
        assert_eq!(asked(&s, Role::Cto), ["ask_deputy +10m"]);
        assert_eq!(asked(&s, Role::TechLead), Vec::<String>::new());
    }
    let s = Scenario::planned().resolved();
    assert_eq!(asked(&s, Role::ProductOwner), Vec::<String>::new());
    assert_eq!(asked(&s, Role::QaLead), Vec::<String>::new());
    let timer = effects(
        Scenario::hotfix().resolved().release(),
        &Scenario::hotfix()
            .resolved()
            .log
            .iter()
            .map(|(_, e)| e.clone())
            .collect::<Vec<_>>(),
        1,
        &s.policy,
        s.now,
    );
    assert!(timer.iter().any(|due| due.job
        == Job::AskDeputy {
            release: key("REL-789"),
            revision: 2
        }));
    assert!(timer.iter().any(|due| due.job
        == Job::EndTechLeadWait {
            release: key("REL-789"),
            revision: 2
        }));
}

#[test]
fn every_copy_of_a_question_ever_asked_is_kept_true() {
    let mut s = Scenario::hotfix().resolved();
    s.at(10).deputy_timer();
    s.at(11).looks('b', "deploy.sh");
    let copies: Vec<String> = s
        .release()
        .copies
        .iter()
        .map(|(role, who, revision)| format!("{role} {} {revision}", name_of(who)))
        .collect();
    assert_eq!(
        copies,
        [
            "tech_lead theo 2",
            "tech_lead theo 3",
            "tech_lead tina 2",
            "tech_lead tina 3",
            "cto cleo 2",
            "cto cleo 3",
            "cto vera 2"
        ]
    );
    assert_eq!(jobs(&s, &sample("ReleaseApproved")), Vec::<String>::new());
}

#[test]
fn the_card_says_by_itself_when_a_sign_off_is_over() {
    let s = Scenario::approved();
    let signed = s
        .log
        .iter()
        .find(|(_, e)| matches!(e, Event::SignedOff { .. }))
        .unwrap()
        .1
        .clone();
    let due = effects(s.release(), &[signed], 1, &s.policy, s.now);
    assert_eq!(due[0].at_ms, T0 + 2 * HOUR_MS);
}

#[test]
fn a_planned_start_has_no_notice_clock() {
    assert_eq!(
        jobs(&Scenario::deploying(), &sample("AttemptStarting")),
        ["watch_attempt"]
    );
}

#[test]
fn the_ladder_mails_after_five_minutes_and_rings_after_fifteen() {
    let s = Scenario::hotfix_deploying();
    let step = |step| jobs(&s, &Event::NoticeEscalated { attempt: 1, step });
    assert_eq!(step(NoticeStep::Mail), ["mail_notice"]);
    assert_eq!(step(NoticeStep::Page), ["page Page"]);
    assert_eq!(step(NoticeStep::AtRisk), ["page AtRisk"]);
}

#[test]
fn what_never_started_has_nothing_to_stop_and_nothing_to_tell_the_channel() {
    let s = Scenario::queued();
    for name in ["StopRequested", "AttemptEnded"] {
        assert_eq!(jobs(&s, &sample(name)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_start_that_could_not_be_spawned_is_told_since_the_notice_said_it_runs() {
    let s = Scenario::hotfix_deploying();
    let ended = Event::AttemptEnded {
        attempt: 1,
        result: AttemptResult::NotStarted(NotStarted::CouldNotSpawn),
        output: None,
    };
    assert_eq!(jobs(&s, &ended), ["post_message outcome/REL-789/1"]);
}

#[test]
fn after_an_interruption_the_outcome_in_the_channel_is_made_true_not_posted_twice() {
    let s = Scenario::deploying().and(|s| {
        s.is_interrupted();
    });
    for name in ["AttemptEnded", "AttemptSettled"] {
        assert_eq!(jobs(&s, &sample(name)), ["refresh_message outcome/REL-789/1"], "{name}");
    }
    assert_eq!(
        jobs(&s, &sample("AttemptInterrupted")),
        ["post_message outcome/REL-789/1"]
    );
}

#[test]
fn what_two_people_say_of_a_requested_attempt_that_a_restore_lost_is_told() {
    let s = Scenario::queued().and(|s| {
        s.case.evolve(&sample("AttemptLostInRestore"), s.now);
    });
    assert_eq!(
        jobs(&s, &sample("AttemptLostInRestore")),
        ["post_message outcome/REL-789/1"]
    );
    assert_eq!(
        jobs(&s, &sample("AttemptSettled")),
        ["refresh_message outcome/REL-789/1"]
    );
}

#[test]
fn starts_and_notices_have_lanes_of_their_own() {
    let s = Scenario::hotfix_deploying();
    let lane = |name: &str| effects(s.release(), &[sample(name)], 9, &s.policy, s.now)[0].job.lane();
    assert_eq!(lane("DeploymentRequested"), Lane::Deploy);
    assert_eq!(lane("StopRequested"), Lane::Deploy);
    assert_eq!(lane("HotfixRequested"), Lane::Source);
    assert_eq!(lane("AttemptEnded"), Lane::Message);
    let due = effects(s.release(), &[sample("AttemptStarting")], 9, &s.policy, s.now);
    let lanes: Vec<Lane> = due[..6].iter().map(|due| due.job.lane()).collect();
    assert_eq!(
        lanes,
        [
            Lane::Deploy,
            Lane::Notice,
            Lane::Clock,
            Lane::Clock,
            Lane::Clock,
            Lane::Clock
        ]
    );
    for due in due {
        assert_eq!(due.job.release(), Some(&key("REL-789")));
        let written = serde_json::to_string(&due.job).unwrap();
        assert_eq!(
            serde_json::from_str::<Job>(&written).unwrap(),
            due.job,
            "a job survives the queue"
        );
    }
}

fn ids() -> Vec<MessageId> {
    let release = key("REL-789");
    vec![
        MessageId::Card {
            release: release.clone(),
        },
        MessageId::Question {
            release: release.clone(),
            role: Role::CtoDeputy,
            person: person("vera"),
            revision: 3,
        },
        MessageId::Story {
            release: release.clone(),
            version: u64::MAX,
        },
        MessageId::Rejection {
            release: release.clone(),
            version: 7,
            person: person("rita"),
        },
        MessageId::Notice {
            release: release.clone(),
            attempt: 1,
        },
        MessageId::Outcome {
            release: release.clone(),
            attempt: 2,
        },
        MessageId::Breach {
            release,
            attempt: u32::MAX,
        },
    ]
}

#[test]
fn message_ids_have_one_spelling_for_ever() {
    let spelled: Vec<String> = ids().iter().map(ToString::to_string).collect();
    assert_eq!(
        spelled,
        [
            "card/REL-789",
            "question/REL-789/cto_deputy/p-vera/3",
            "story/REL-789/18446744073709551615",
            "rejection/REL-789/7/p-rita",
            "notice/REL-789/1",
            "outcome/REL-789/2",
            "breach/REL-789/4294967295",
        ]
    );
    for id in ids() {
        assert_eq!(MessageId::try_from(id.to_string()).unwrap(), id);
        assert_eq!(
            id.is_live(),
            matches!(id, MessageId::Card { .. } | MessageId::Question { .. })
        );
    }
    for hostile in [
        "",
        "card",
        "card/",
        "card/rel-789",
        "card/REL-789/",
        "card/REL-789/1",
        "Card/REL-789",
        "card/REL-789\n",
        "notice/REL-789",
        "notice/REL-789/",
        "notice/REL-789/+1",
        "notice/REL-789/01",
        "notice/REL-789/-1",
        "notice/REL-789/4294967296",
        "notice/REL-789/1/1",
        "rejection/REL-789/7",
        "rejection/REL-789/7/rita",
        "notice/REL-789/1 ",
        "story/REL-789/18446744073709551616",
        "question/REL-789/boss/p-vera/3",
        "question/REL-789/cto/vera/3",
        "question/REL-789/cto/p-VERA/3",
        "question/REL-789/cto/p-vera/../3",
        "../../etc/passwd",
        "outcome/REL-789/１",
    ] {
        assert!(MessageId::try_from(hostile.to_owned()).is_err(), "{hostile:?}");
    }
}

proptest! {
    #[test]
    fn whatever_parses_as_a_message_id_is_spelled_like_that(text in "(card|question|story|rejection|notice|outcome|breach)/REL-[0-9]{1,3}(/[a-z0-9+_-]{1,4}){0,3}") {
        if let Ok(id) = MessageId::try_from(text.clone()) {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}
