//! A sign-off counts until a millisecond: at it, no more.

use crate::support::{Scenario, T0, proposal};
use domain::ids::{DAY_MS, HOUR_MS, MINUTE_MS, Millis};
use domain::release::{AttemptResult, Status};
use domain::rules::gates::{Detail, GateState, Moment};
use domain::rules::sign_off::holds_until_ms;

#[track_caller]
fn check(mut scenario: Scenario, rule: &str, until_ms: Millis) {
    scenario.at_ms(until_ms - 1);
    assert_eq!(scenario.gate(rule).state, GateState::Met, "one millisecond before");
    for past in [0, 1] {
        scenario.at_ms(until_ms + past);
        let gate = scenario.gate(rule);
        assert_eq!(
            (gate.state, gate.detail),
            (GateState::Stale, Detail::Expired { at_ms: T0 + until_ms })
        );
    }
}

fn planned_far_ahead(days: i64) -> Scenario {
    Scenario::empty()
        .and(|s| {
            let mut plan = proposal();
            plan.start_ms = T0 + days * DAY_MS;
            s.by("rita").plans(plan);
        })
        .resolved()
}

#[test]
fn a_planned_sign_off_counts_until_the_planned_end() {
    for rule in ["signoff.product-owner", "signoff.qa-lead"] {
        check(Scenario::approved(), rule, 2 * HOUR_MS);
    }
}

#[test]
fn and_at_most_fourteen_days() {
    let signed = planned_far_ahead(30).and(|s| {
        s.at(1).by("priya").approves();
        s.at(2).by("quinn").approves();
    });
    check(signed, "signoff.product-owner", 14 * DAY_MS + MINUTE_MS);
}

/// Signed for a slot of 60 minutes, which then takes `length_ms` instead.
fn lengthened(length_ms: Millis) -> Scenario {
    Scenario::approved().and(|s| {
        let mut plan = proposal();
        plan.length_ms = length_ms;
        s.by("rita").plans(plan).then_events(["PlanChanged", "ReleaseApproved"]);
    })
}

#[test]
fn a_longer_plan_makes_no_sign_off_last_longer_than_its_signer_saw() {
    for rule in ["signoff.product-owner", "signoff.qa-lead"] {
        check(lengthened(4 * HOUR_MS), rule, 2 * HOUR_MS);
        check(lengthened(HOUR_MS / 2), rule, HOUR_MS + HOUR_MS / 2);
    }
    let mut s = lengthened(4 * HOUR_MS);
    s.at_ms(2 * HOUR_MS)
        .by("dev")
        .deploys()
        .then_refused("signoff.product-owner", "gates_unmet");
    s.by("priya")
        .approves()
        .then_events(["SignOffsVoided product_owner: ", "SignedOff product_owner: priya"]);
    s.by("quinn").approves().then_status(Status::Approved);
    s.at_ms(5 * HOUR_MS - 1).by("dev").deploys().then_status(Status::Queued);
}

#[test]
fn a_later_start_on_the_same_day_moves_the_signed_end_along() {
    let moved = Scenario::approved().and(|s| {
        let mut plan = proposal();
        plan.start_ms += 3 * HOUR_MS;
        plan.length_ms += HOUR_MS;
        s.by("rita").plans(plan);
    });
    check(moved, "signoff.product-owner", 5 * HOUR_MS);
}

#[test]
fn an_emergency_sign_off_counts_for_four_hours() {
    let both = || Scenario::hotfix_deploying();
    check(both(), "signoff.cto", 4 * HOUR_MS + 2 * MINUTE_MS);
}

#[test]
fn an_expired_tech_leads_sign_off_is_owed_again() {
    let mut s = Scenario::hotfix_deploying();
    s.at_ms(4 * HOUR_MS + MINUTE_MS - 1);
    assert_eq!(s.gate("signoff.tech-lead").state, GateState::Met);
    s.at_ms(4 * HOUR_MS + MINUTE_MS);
    assert_eq!(s.gate("signoff.tech-lead").state, GateState::Owed);
}

#[test]
fn an_expired_sign_off_does_not_start_a_deployment_and_its_role_is_asked_again() {
    let mut s = Scenario::approved();
    s.at_ms(2 * HOUR_MS - 1).by("dev").deploys().then_status(Status::Queued);
    s.at_ms(2 * HOUR_MS).starts().then_events([
        "AttemptEnded 1 not started: gate unmet",
        "EnvironmentUnlocked 1",
        "SignOffsVoided qa_lead product_owner: ",
    ]);
    assert_eq!(
        (s.release().status, s.holder()),
        (Status::Asking, None),
        "the slot is over: nobody is asked for it"
    );
    let gate = s.gate("signoff.qa-lead");
    assert_eq!(
        gate.detail,
        Detail::Expired {
            at_ms: T0 + 2 * HOUR_MS
        }
    );
    let mut plan = proposal();
    plan.start_ms = T0 + 3 * HOUR_MS;
    s.by("rita").plans(plan).then_events([
        "PlanChanged",
        "SignOffRequested product_owner: paul priya",
        "SignOffRequested qa_lead: quinn",
    ]);
}

#[test]
fn a_hotfix_whose_approval_ran_out_in_the_queue_is_asked_again() {
    let mut s = Scenario::hotfix_owed();
    s.at_ms(15 * MINUTE_MS + 4 * HOUR_MS - 1);
    assert!(s.gates(Moment::Overview).iter().all(|gate| !gate.holds_start()));
    s.at_ms(15 * MINUTE_MS + 4 * HOUR_MS).starts().then_events([
        "AttemptEnded 1 not started: gate unmet",
        "EnvironmentUnlocked 1",
        "SignOffsVoided cto: ",
        // The tech lead's wait is over and stays over.
        "SignOffRequested cto: cleo",
    ]);
    assert_eq!(s.gate("signoff.tech-lead").state, GateState::Owed);
}

#[test]
fn an_expired_sign_off_can_be_given_again_by_the_same_or_another() {
    for (again, line) in [
        ("priya", "SignedOff product_owner: priya"),
        ("paul", "SignedOff product_owner: paul"),
    ] {
        let mut s = planned_far_ahead(20);
        s.at(1).by("priya").approves();
        s.at_ms(8 * DAY_MS).by("quinn").approves().then_status(Status::Approved);
        s.at_ms(14 * DAY_MS + MINUTE_MS - 1)
            .by(again)
            .approves()
            .then_refused("signoff.product-owner", "already_signed");
        s.at_ms(14 * DAY_MS + MINUTE_MS).by(again).approves().then_events([
            "SignOffsVoided product_owner: ",
            line,
            "ReleaseApproved",
        ]);
    }
}

#[test]
fn the_ctos_second_click_after_the_first_ran_out_starts_the_retry() {
    let mut s = Scenario::hotfix_deploying();
    s.at(3).ends(AttemptResult::Failed(1));
    s.at_ms(4 * HOUR_MS + 2 * MINUTE_MS)
        .by("dev")
        .deploys()
        .then_refused("signoff.cto", "gates_unmet");
    s.by("cleo").approves().then_events([
        "SignOffsVoided cto: ",
        "SignedOff cto: cleo",
        "ReleaseApproved",
        "DeploymentRequested 2 by nobody",
        "EnvironmentLocked 2 for REL-789",
    ]);
}

#[test]
fn a_start_does_not_wait_for_a_tech_leads_word_that_ran_out_before() {
    let mut s = Scenario::hotfix_deploying();
    s.at(3).ends(AttemptResult::Failed(1));
    s.at_ms(4 * HOUR_MS + 2 * MINUTE_MS)
        .by("cleo")
        .approves()
        .then_status(Status::Queued);
    assert_eq!(s.gate("signoff.tech-lead").state, GateState::Owed);
    // The facts about the CTO grow old first.
    assert_eq!(holds_until_ms(&s.case, &s.policy, s.now), Some(s.now + MINUTE_MS));
    s.starts().then_status(Status::Deploying);
}
