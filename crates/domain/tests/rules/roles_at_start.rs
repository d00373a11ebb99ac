//! The signer is in the role at the click and at the start; and what happens when Slack can't tell.

use crate::support::{Scenario, person};
use domain::ids::{HOUR_MS, MINUTE_MS};
use domain::people::Standing;
use domain::release::Status;
use domain::role::Role;
use domain::rules::gates::{Detail, GateState, Moment};

const LOST: [(Standing, &[Role]); 5] = [
    (Standing::Active, &[]),
    (Standing::Active, &[Role::DeploymentEngineer, Role::Admin]),
    (Standing::Deactivated, &[Role::ProductOwner, Role::Cto, Role::TechLead]),
    (Standing::Guest, &[Role::ProductOwner, Role::Cto, Role::TechLead]),
    (Standing::Unknown, &[Role::ProductOwner, Role::Cto, Role::TechLead]),
];

#[test]
fn a_signer_who_lost_the_role_before_the_start_does_not_count_and_the_role_is_asked_again() {
    for (standing, roles) in LOST {
        let mut s = Scenario::queued();
        s.is_now("priya", standing, roles);
        s.starts();
        let told: Vec<String> = s.last.as_ref().unwrap().iter().map(crate::support::tell).collect();
        assert_eq!(
            told[..3],
            [
                "AttemptEnded 1 not started: gate unmet",
                "EnvironmentUnlocked 1",
                "SignOffsVoided product_owner: "
            ]
        );
        assert_eq!(told[3], "SignOffRequested product_owner: paul");
        s.then_status(Status::Asking);
        s.by("paul").approves().then_status(Status::Approved);
        s.by("dev").deploys().then_status(Status::Queued);
    }
}

#[test]
fn the_request_judges_it_too_and_another_in_the_role_may_sign_instead() {
    let mut s = Scenario::approved();
    s.is_now("priya", Standing::Active, &[]);
    s.at(60).by("dev").deploys();
    let refusal = s.then_refused("signoff.product-owner", "gates_unmet");
    assert_eq!(refusal.people, [person("paul")], "who is sent to sign can sign");
    s.by("paul").approves().then_events([
        "SignOffsVoided product_owner: ",
        "SignedOff product_owner: paul",
        "ReleaseApproved",
    ]);
    s.by("dev").deploys().then_status(Status::Queued);
}

#[test]
fn a_role_given_back_in_time_counts() {
    let mut s = Scenario::queued();
    s.is_now("priya", Standing::Active, &[]);
    s.is_now("priya", Standing::Active, &[Role::ProductOwner]);
    s.starts().then_events(["AttemptStarting 1"]);
}

#[test]
fn a_planned_release_waits_for_slack_and_records_nothing() {
    for (silent, age) in [(true, 0), (false, 60_001), (false, -60_001)] {
        let mut s = Scenario::queued();
        s.silent = silent;
        s.facts_age = age;
        for _ in 0..3 {
            s.starts().then_refused("roles.commands", "facts_unavailable");
            s.then_status(Status::Queued);
        }
        s.silent = false;
        s.facts_age = 60_000;
        s.starts().then_events(["AttemptStarting 1"]);
    }
}

#[test]
fn an_emergency_goes_on_the_clicks_facts_for_sixty_minutes_and_is_flagged() {
    let mut s = Scenario::hotfix_owed();
    s.silent = true;
    s.at_ms(75 * MINUTE_MS).starts();
    let told: Vec<String> = s.last.as_ref().unwrap().iter().map(crate::support::tell).collect();
    assert_eq!(told[0], "AttemptStarting 1 unconfirmed cleo");
    assert_eq!(s.release().attempts[0].unconfirmed, [person("cleo")].into());
    let mut s = Scenario::hotfix_owed();
    s.silent = true;
    s.at_ms(75 * MINUTE_MS + 1)
        .starts()
        .then_refused("roles.commands", "facts_unavailable");
    s.then_status(Status::Queued);
    s.silent = false;
    s.starts();
    assert!(s.release().attempts[0].unconfirmed.is_empty());
    s.then_status(Status::Deploying);
}

#[test]
fn the_sixty_minutes_run_from_the_facts_of_the_click_not_from_the_click() {
    let mut s = Scenario::hotfix().resolved();
    s.facts_age = 60_000;
    s.at(15).by("cleo").approves();
    s.silent = true;
    s.at_ms(74 * MINUTE_MS + 1)
        .starts()
        .then_refused("roles.commands", "facts_unavailable");
    s.at_ms(74 * MINUTE_MS).starts().then_status(Status::Deploying);
}

#[test]
fn old_news_of_a_lost_role_is_still_newer_than_the_click() {
    let mut s = Scenario::hotfix_owed();
    s.is_now("cleo", Standing::Deactivated, &[]);
    s.facts_age = 10 * MINUTE_MS;
    s.at(40).starts();
    let told: Vec<String> = s.last.as_ref().unwrap().iter().map(crate::support::tell).collect();
    assert_eq!(told[0], "AttemptEnded 1 not started: gate unmet");
    assert_eq!(told[2], "SignOffsVoided cto: ");
    // What was seen before the click says nothing about it.
    let mut s = Scenario::hotfix_owed();
    s.is_now("cleo", Standing::Deactivated, &[]);
    s.facts_age = 40 * MINUTE_MS;
    s.at(40).starts();
    assert_eq!(s.release().attempts[0].unconfirmed, [person("cleo")].into());
}

#[test]
fn a_request_while_slack_is_silent_is_not_a_start() {
    let mut s = Scenario::approved();
    s.silent = true;
    s.at(60)
        .by("dev")
        .deploys()
        .then_refused("signoff.product-owner", "gates_unmet");
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    let gates = s.gates(Moment::Start);
    let gate = gates.iter().find(|gate| gate.rule.id() == "signoff.qa-lead").unwrap();
    assert_eq!(
        (gate.state, &gate.detail),
        (GateState::Unknown, &Detail::RoleUnconfirmed(person("quinn")))
    );
}

#[test]
fn a_gate_that_certainly_fails_is_not_hidden_behind_slacks_silence() {
    let mut s = Scenario::queued();
    s.policy.planned_sign_off_max_ms = 59 * MINUTE_MS;
    s.silent = true;
    // Nothing is recorded, because nobody can be asked again yet; with Slack back, it is called off.
    s.at_ms(HOUR_MS)
        .starts()
        .then_refused("roles.commands", "facts_unavailable");
    s.silent = false;
    s.starts().then_status(Status::Asking);
}

#[test]
fn a_tech_lead_who_became_cto_is_no_tech_lead_at_the_start() {
    let mut s = Scenario::hotfix().resolved();
    s.at(1).by("theo").approves();
    s.at(2).by("cleo").approves().then_status(Status::Queued);
    s.is_now("theo", Standing::Active, &[Role::Cto]);
    s.starts();
    let told: Vec<String> = s.last.as_ref().unwrap().iter().map(crate::support::tell).collect();
    assert_eq!(told[0], "AttemptEnded 1 not started: gate unmet");
    assert_eq!(told[2], "SignOffsVoided tech_lead: ");
}

#[test]
fn the_cto_who_turned_deputy_still_stands_for_the_cto() {
    let mut s = Scenario::hotfix_owed();
    s.is_now("cleo", Standing::Active, &[Role::CtoDeputy]);
    s.starts().then_status(Status::Deploying);
}

#[test]
fn a_start_that_fails_for_certain_is_called_off_though_another_signer_is_unconfirmed() {
    let mut s = Scenario::queued();
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    s.case.people.facts.remove(&person("quinn"));
    let start = |case: &domain::case::Case, s: &Scenario| {
        let command = domain::command::Command {
            actor: domain::command::Actor::Countersign,
            release: s.key.clone(),
            intent: domain::command::Intent::StartAttempt {
                attempt: 1,
                seen: Ok(crate::support::seen('a', "deploy.sh", s.now)),
                host: "host-1".to_owned(),
            },
        };
        domain::decide::decide(case, &command, &s.policy, s.now)
    };
    assert_eq!(start(&s.case, &s).unwrap_err().cause.word(), "facts_unavailable");
    s.case.people.facts.get_mut(&person("priya")).unwrap().roles.clear();
    let told: Vec<String> = start(&s.case, &s).unwrap().iter().map(crate::support::tell).collect();
    assert_eq!(told[0], "AttemptEnded 1 not started: gate unmet");
    assert_eq!(told[2], "SignOffsVoided product_owner: ");
}

#[test]
fn a_group_that_does_not_answer_takes_no_role_away() {
    // At the click: not "you are not in the role", which would stand on the record, but "I couldn't check".
    let mut s = Scenario::planned().resolved();
    s.group_is_silent("quinn", Role::QaLead);
    s.by("quinn")
        .approves()
        .then_refused("roles.commands", "facts_unavailable");
    s.by("quinn")
        .approves_as(Role::QaLead)
        .then_refused("roles.commands", "facts_unavailable");
    // At the start: a planned release waits, and what was signed stands.
    let mut s = Scenario::queued();
    s.group_is_silent("quinn", Role::QaLead);
    s.starts().then_refused("roles.commands", "facts_unavailable");
    assert!(s.release().sign_offs.contains_key(&Role::QaLead));
    // An emergency goes on the membership of the click, marked.
    let mut s = Scenario::hotfix_owed();
    s.group_is_silent("cleo", Role::Cto);
    s.starts();
    let unconfirmed = &s.release().attempts[0].unconfirmed;
    assert!(unconfirmed.contains(&person("cleo")), "{unconfirmed:?}");
}

#[test]
fn another_tech_lead_who_is_asked_instead_has_a_wait_of_their_own() {
    let mut s = Scenario::hotfix().resolved();
    s.at(1).by("theo").approves();
    s.at(2).by("cleo").approves().then_status(Status::Queued);
    for gone in ["theo", "tina"] {
        s.is_now(gone, Standing::Active, &[]);
    }
    s.is_now("tom", Standing::Active, &[Role::TechLead]);
    s.at(3).starts().then_status(Status::Asking);
    s.at(17).tech_lead_timer();
    assert_eq!(
        s.then_refused("signoff.tech-lead", "outdated").next_ms,
        Some(crate::support::T0 + 18 * MINUTE_MS)
    );
    s.at(18).tech_lead_timer().then_status(Status::Queued);
}
