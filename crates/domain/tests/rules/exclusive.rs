//! `deploy.exclusive`, fences, and what two people may say of an interrupted attempt.

use crate::support::{Scenario, T0, key, person, proposal};
use domain::command::Intent;
use domain::event::Event;
use domain::ids::{EnvironmentName, MINUTE_MS, ServiceName};
use domain::people::Standing;
use domain::refusal::Cause;
use domain::release::{AttemptResult, NotStarted, SettlementChoice, Status};
use domain::restore;
use domain::role::Role;
use domain::service::Environment;

fn interrupted() -> Scenario {
    Scenario::deploying().and(|s| {
        s.at(70)
            .is_interrupted()
            .then_events(["AttemptInterrupted"])
            .then_status(Status::Interrupted);
    })
}

#[test]
fn what_a_restore_lost_is_settled_by_two_people_alone_and_fences_go_on_above() {
    let half_settled = Scenario::deploying().and(|s| {
        s.at(65).is_interrupted();
        s.by("theo").settles(SettlementChoice::NewAttempt);
    });
    for before in [Scenario::queued(), Scenario::deploying(), half_settled] {
        let mut s = before;
        s.at(70);
        let lost = restore::lost_attempt(s.release()).unwrap();
        s.case.evolve(&lost, s.now);
        s.case.fences_above = 1_000;
        s.rebase();
        s.then_status(Status::Interrupted);
        // Neither the start nor the spool's last word counts any more.
        s.starts().then_refused("deploy.start", "attempt_moved");
        s.ends(AttemptResult::Succeeded)
            .then_refused("deploy.start", "attempt_moved");
        s.is_interrupted().then_refused("deploy.start", "attempt_moved");
        s.by("dev").settles(SettlementChoice::NewAttempt);
        // A word that the backup held was said of another history: it takes a second one.
        s.then_status(Status::Interrupted);
        s.by("rita").settles(SettlementChoice::NewAttempt);
        assert_eq!(s.release().attempts.last().map(|attempt| attempt.fence), Some(1_001));
        s.starts().then_status(Status::Deploying);
    }
}

/// Another release of the same service, approved, while `first` is as it is.
fn second_beside(first: &Scenario) -> Scenario {
    let mut s = Scenario::empty();
    s.key = key("REL-790");
    s.now = first.now;
    let mut plan = proposal();
    plan.start_ms = first.now;
    s.by("rita").plans(plan);
    let mut s = s.resolved();
    s.by("priya").approves();
    s.by("quinn").approves().then_status(Status::Approved);
    s.case.service = first.case.service.clone();
    s
}

#[test]
fn a_second_release_is_refused_with_the_name_of_the_holder_and_goes_when_it_is_free() {
    for first in [Scenario::queued(), Scenario::deploying(), interrupted()] {
        let second = second_beside(&first);
        let mut case = second.case.clone();
        case.people = second.people_for(&domain::command::Actor::Countersign);
        let command = domain::command::Command {
            actor: domain::command::Actor::Person(person("dev")),
            release: key("REL-790"),
            intent: Intent::Deploy,
        };
        let refusal = domain::decide::decide(&case, &command, &second.policy, second.now).unwrap_err();
        assert_eq!(refusal.rule.id(), "deploy.exclusive");
        assert_eq!(
            refusal.cause,
            Cause::EnvironmentBusy {
                service: ServiceName::new("payments").unwrap(),
                holder: key("REL-789")
            }
        );
        assert_eq!(
            (refusal.roles, refusal.people),
            (vec![Role::DeploymentEngineer], vec![person("dev")])
        );
        let mut first = first;
        if first.release().status == Status::Queued {
            first.by("dev").stops();
        } else {
            first.ends(AttemptResult::Failed(1));
        }
        assert_eq!(first.holder(), None);
        case.service = first.case.service.clone();
        let events = domain::decide::decide(&case, &command, &second.policy, second.now).unwrap();
        assert!(
            matches!(&events[1], Event::EnvironmentLocked { fence: 2, .. }),
            "{events:?}"
        );
    }
}

#[test]
fn a_hotfix_approved_while_another_deployment_runs_waits_for_an_engineer() {
    let first = Scenario::deploying();
    let mut s = Scenario::hotfix().resolved();
    s.at(1).by("theo").approves();
    let mut service = first.case.service.clone();
    for environment in service.environments.values_mut() {
        environment.holder.as_mut().unwrap().release = key("REL-1");
    }
    s.case.service = service;
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    let command = domain::command::Command {
        actor: domain::command::Actor::Person(person("cleo")),
        release: s.key.clone(),
        intent: Intent::SignOff {
            role: None,
            view: None,
            seen: None,
        },
    };
    let events = domain::decide::decide(&s.case, &command, &s.policy, s.now).unwrap();
    let told: Vec<String> = events.iter().map(crate::support::tell).collect();
    assert_eq!(told, ["SignedOff cto: cleo", "ReleaseApproved"]);
}

#[test]
fn every_grant_raises_the_fence() {
    let mut s = Scenario::approved();
    for expected in 1..=4 {
        s.at(60).by("dev").deploys();
        let attempt = s.release().attempts.last().unwrap();
        assert_eq!(
            (attempt.fence, attempt.number),
            (expected, u32::try_from(expected).unwrap())
        );
        s.starts();
        s.ends(AttemptResult::Failed(1)).then_status(Status::Approved);
    }
}

#[test]
fn a_stale_holder_frees_nothing() {
    let mut s = Scenario::deploying();
    let stale = |fence| Event::EnvironmentUnlocked {
        service: ServiceName::new("payments").unwrap(),
        environment: EnvironmentName::new("production").unwrap(),
        fence,
        deployed: Some(domain::ids::Version::new("0.0.1").unwrap()),
    };
    s.case.service.evolve(&stale(0));
    assert!(s.holder().is_some());
    s.case.service.evolve(&stale(1));
    assert_eq!(s.holder(), None);
}

#[test]
fn an_attempt_that_lost_its_lock_does_not_start() {
    let breaks: [fn(&mut Environment); 4] = [
        |held| held.holder = None,
        |held| held.fence += 1,
        |held| held.holder.as_mut().unwrap().attempt = 7,
        |held| held.holder.as_mut().unwrap().release = key("REL-1"),
    ];
    for break_it in breaks {
        let mut s = Scenario::queued();
        s.case.service.environments.values_mut().for_each(break_it);
        s.starts().then_refused("deploy.exclusive", "attempt_moved");
    }
    let mut s = Scenario::queued();
    s.case.service.environments.clear();
    s.starts().then_refused("deploy.exclusive", "attempt_moved");
}

#[test]
fn an_attempt_starts_once_and_ends_once() {
    let mut s = Scenario::deploying();
    s.starts().then_refused("deploy.start", "attempt_moved");
    s.worker(Intent::RecordRunning { attempt: 1 })
        .then_events(["AttemptRunning"]);
    s.worker(Intent::RecordRunning { attempt: 1 }).then_nothing();
    s.starts().then_refused("deploy.start", "attempt_moved");
    s.ends(AttemptResult::TimedOut)
        .then_events(["AttemptEnded 1 timed out", "EnvironmentUnlocked 1"]);
    s.ends(AttemptResult::Succeeded)
        .then_refused("deploy.start", "attempt_moved");
    s.is_interrupted().then_refused("deploy.start", "attempt_moved");
    s.starts().then_refused("deploy.start", "attempt_moved");
}

#[test]
fn what_is_only_requested_neither_runs_nor_ends_nor_is_interrupted() {
    let mut s = Scenario::queued();
    s.ends(AttemptResult::Succeeded)
        .then_refused("deploy.start", "attempt_moved");
    s.is_interrupted().then_refused("deploy.start", "attempt_moved");
    s.worker(Intent::RecordRunning { attempt: 1 }).then_nothing();
    s.worker(Intent::RecordEnd {
        attempt: 2,
        result: AttemptResult::Succeeded,
        output: None,
    })
    .then_refused("deploy.start", "attempt_moved");
}

#[test]
fn an_attempt_that_could_not_be_spawned_frees_the_environment() {
    let mut s = Scenario::deploying();
    s.ends(AttemptResult::NotStarted(NotStarted::CouldNotSpawn))
        .then_events(["AttemptEnded 1 not started: could not spawn", "EnvironmentUnlocked 1"])
        .then_status(Status::Approved);
}

#[test]
fn an_interrupted_attempt_keeps_the_environment_until_two_people_say_the_same() {
    let mut s = interrupted();
    assert_eq!(s.holder().as_deref(), Some("REL-789 1"));
    s.by("dev").deploys().then_refused("roles.commands", "status");
    s.by("dev")
        .settles(SettlementChoice::Finished)
        .then_events(["SettlementProposed finished by dev"]);
    s.by("dev").settles(SettlementChoice::Finished);
    let refusal = s.then_refused("deploy.start", "already_signed");
    assert!(refusal.people.contains(&person("rita")) && !refusal.people.contains(&person("dev")));
    assert_eq!(refusal.roles.len(), 3);
    s.by("rita")
        .settles(SettlementChoice::Failed)
        .then_events(["SettlementProposed failed by rita"]);
    assert!(s.holder().is_some(), "two opinions settle nothing");
    s.by("theo").settles(SettlementChoice::Finished).then_events([
        "SettlementProposed finished by theo",
        "AttemptSettled finished by dev theo",
        "EnvironmentUnlocked 1 with 1.4.0",
    ]);
    s.then_status(Status::Released);
    assert_eq!(s.holder(), None);
    s.by("tina")
        .settles(SettlementChoice::Finished)
        .then_refused("roles.commands", "status");
}

#[test]
fn one_person_who_changes_their_mind_is_still_one_person() {
    let mut s = interrupted();
    s.by("dev").settles(SettlementChoice::Finished);
    s.by("dev")
        .settles(SettlementChoice::Failed)
        .then_events(["SettlementProposed failed by dev"]);
    s.by("rita")
        .settles(SettlementChoice::Finished)
        .then_events(["SettlementProposed finished by rita"]);
    assert!(s.holder().is_some(), "nobody says finished any more but Rita");
    s.by("rob").settles(SettlementChoice::Failed).then_events([
        "SettlementProposed failed by rob",
        "AttemptSettled failed by dev rob",
        "EnvironmentUnlocked 1",
    ]);
    s.then_status(Status::Approved);
}

#[test]
fn a_settlement_names_the_attempt_that_is_interrupted() {
    let mut s = interrupted();
    s.by("dev")
        .does(Intent::Settle {
            attempt: 2,
            choice: SettlementChoice::Failed,
        })
        .then_refused("deploy.start", "attempt_moved");
}

#[test]
fn a_new_attempt_goes_through_every_gate_again() {
    let mut s = interrupted();
    s.by("dev").settles(SettlementChoice::NewAttempt);
    s.by("tina").settles(SettlementChoice::NewAttempt).then_events([
        "SettlementProposed new_attempt by tina",
        "AttemptSettled new_attempt by dev tina",
        "EnvironmentUnlocked 1",
        "DeploymentRequested 2 by tina",
        "EnvironmentLocked 2 for REL-789",
    ]);
    assert_eq!(
        s.release().attempts[1].engineer,
        Some(person("dev")),
        "a tech lead is no deployment engineer"
    );
    s.starts().then_events(["AttemptStarting 2"]);
    // With a gate that holds it, it is settled and approved, and nothing is requested.
    for spoil in [
        (|s: &mut Scenario| s.at(120).done()) as fn(&mut Scenario),
        |s| {
            s.is_now("priya", Standing::Active, &[]);
        },
        |s| s.policy.planned_sign_off_max_ms -= MINUTE_MS,
    ] {
        let mut s = interrupted();
        spoil(&mut s);
        s.by("dev").settles(SettlementChoice::NewAttempt);
        s.by("tina").settles(SettlementChoice::NewAttempt).then_events([
            "SettlementProposed new_attempt by tina",
            "AttemptSettled new_attempt by dev tina",
            "EnvironmentUnlocked 1",
        ]);
        assert_eq!((s.release().status, s.holder()), (Status::Approved, None));
    }
}

#[test]
fn real_evidence_ends_an_interrupted_attempt_without_anybodys_word() {
    for (result, status) in [
        (AttemptResult::Succeeded, Status::Released),
        (AttemptResult::Failed(3), Status::Approved),
    ] {
        let mut s = interrupted();
        s.by("dev").settles(SettlementChoice::Failed);
        s.ends(result).then_status(status);
        assert_eq!(s.holder(), None);
        s.by("rita")
            .settles(SettlementChoice::Failed)
            .then_refused("roles.commands", "status");
        assert_eq!(s.release().attempts[0].interrupted_ms, Some(T0 + 70 * MINUTE_MS));
    }
}

#[test]
fn what_runs_there_is_what_succeeded_last() {
    let mut s = Scenario::deploying();
    let deployed = |s: &Scenario| s.case.service.environments.values().next().unwrap().deployed.clone();
    s.ends(AttemptResult::Failed(1));
    assert_eq!(deployed(&s), None);
    s.by("dev").deploys();
    s.starts();
    s.ends(AttemptResult::Succeeded);
    assert_eq!(deployed(&s).unwrap().as_str(), "1.4.0");
}

#[test]
fn who_has_left_since_is_no_second_person() {
    let mut s = interrupted();
    s.by("dev").settles(SettlementChoice::Finished);
    s.is_now("dev", Standing::Deactivated, &[Role::DeploymentEngineer]);
    s.by("rita")
        .settles(SettlementChoice::Finished)
        .then_events(["SettlementProposed finished by rita"]);
    assert!(s.holder().is_some(), "Dev's word went with Dev");
    s.by("theo")
        .settles(SettlementChoice::Finished)
        .then_status(Status::Released);
}

#[test]
fn what_two_have_said_while_one_was_out_of_role_is_settled_by_saying_it_again() {
    let mut s = interrupted();
    s.by("dev").settles(SettlementChoice::Failed);
    s.is_now("dev", Standing::Active, &[]);
    s.by("theo")
        .settles(SettlementChoice::Failed)
        .then_events(["SettlementProposed failed by theo"]);
    s.by("theo")
        .settles(SettlementChoice::Failed)
        .then_refused("deploy.start", "already_signed");
    s.is_now("dev", Standing::Active, &[Role::DeploymentEngineer]);
    s.by("dev")
        .settles(SettlementChoice::Failed)
        .then_events(["AttemptSettled failed by dev theo", "EnvironmentUnlocked 1"]);
}
