//! Rejecting, withdrawing and cancelling win any race against the start.

use crate::support::{Scenario, tell};
use domain::people::Standing;
use domain::release::Status;
use domain::role::Role;
use domain::rules::gates::{Detail, GateState};

type Act = fn(&mut Scenario);

/// Queued, then called off by `act`: the attempt is over, the environment free, and the start comes too late.
#[track_caller]
fn check(mut scenario: Scenario, act: Act, status: Status) {
    assert_eq!(scenario.release().status, Status::Queued);
    act(&mut scenario);
    let events: Vec<String> = scenario.last.as_ref().unwrap().iter().map(tell).collect();
    assert!(
        events.contains(&"AttemptEnded 1 not started: called off".to_owned()),
        "{events:?}"
    );
    assert!(events.contains(&"EnvironmentUnlocked 1".to_owned()), "{events:?}");
    scenario.then_status(status);
    assert_eq!(scenario.holder(), None);
    scenario.starts().then_refused("deploy.start", "attempt_moved");
    scenario.then_status(status);
    assert!(scenario.release().attempts[0].starting_ms.is_none());
}

#[test]
fn a_word_taken_back_before_the_start_calls_the_attempt_off() {
    check(
        Scenario::queued(),
        |s| {
            s.by("priya").rejects();
        },
        Status::Rejected,
    );
    check(
        Scenario::queued(),
        |s| {
            s.by("paul").rejects();
        },
        Status::Rejected,
    );
    check(
        Scenario::queued(),
        |s| {
            s.by("quinn").withdraws();
        },
        Status::Asking,
    );
    check(
        Scenario::queued(),
        |s| {
            s.by("rob").cancels();
        },
        Status::Cancelled,
    );
    check(
        Scenario::hotfix_owed(),
        |s| {
            s.by("cleo").withdraws();
        },
        Status::Asking,
    );
    check(
        Scenario::hotfix_owed(),
        |s| {
            s.by("vera").rejects();
        },
        Status::Rejected,
    );
    check(
        Scenario::hotfix_owed(),
        |s| {
            s.by("theo").rejects();
        },
        Status::Rejected,
    );
    check(
        Scenario::hotfix_owed(),
        |s| {
            s.by("cleo").cancels();
        },
        Status::Cancelled,
    );
    check(
        Scenario::hotfix_owed(),
        |s| {
            s.by("rita").cancels();
        },
        Status::Cancelled,
    );
}

#[test]
fn after_the_start_it_is_too_late_for_words_and_stopping_is_the_way() {
    let mut s = Scenario::deploying();
    s.by("priya").rejects().then_refused("roles.commands", "status");
    s.by("priya").withdraws().then_refused("roles.commands", "status");
    s.by("rita").cancels().then_refused("roles.commands", "status");
    s.by("rob")
        .stops()
        .then_events(["StopRequested"])
        .then_status(Status::Deploying);
    s.by("dev").stops().then_nothing();
    assert!(s.holder().is_some());
}

#[test]
fn stopping_what_waits_in_the_queue_ends_it() {
    for name in ["dev", "rita", "theo", "cleo"] {
        let mut s = Scenario::queued();
        s.by(name)
            .stops()
            .then_events(["StopRequested", "AttemptEnded 1 cancelled", "EnvironmentUnlocked 1"])
            .then_status(Status::Approved);
        s.starts().then_refused("deploy.start", "attempt_moved");
        s.by("dev")
            .deploys()
            .then_events(["DeploymentRequested 2 by dev", "EnvironmentLocked 2 for REL-789"]);
    }
}

#[test]
fn a_rejection_is_lifted_only_by_the_same_role_approving() {
    let mut s = Scenario::planned().resolved();
    s.by("priya").rejects().then_status(Status::Rejected);
    let gate = s.gate("signoff.product-owner");
    assert_eq!(gate.state, GateState::Unmet);
    assert!(matches!(gate.detail, Detail::RejectedBy { .. }));
    s.by("quinn")
        .approves()
        .then_events(["SignedOff qa_lead: quinn"])
        .then_status(Status::Rejected);
    s.at(60)
        .by("dev")
        .deploys()
        .then_refused("signoff.product-owner", "gates_unmet");
    s.by("paul")
        .approves()
        .then_events(["SignedOff product_owner: paul", "ReleaseApproved"]);
    s.by("dev").deploys().then_status(Status::Queued);
}

#[test]
fn an_edit_does_not_lift_a_rejection() {
    let mut s = Scenario::planned().resolved();
    s.by("quinn").rejects();
    s.by("rita")
        .plans(crate::support::proposal())
        .then_status(Status::Rejected);
    s.by("priya").approves().then_status(Status::Rejected);
    s.by("quinn").approves().then_status(Status::Approved);
}

#[test]
fn the_ctos_earlier_click_does_not_count_after_the_tech_leads_no() {
    let mut s = Scenario::hotfix().resolved();
    s.at(2).by("cleo").approves();
    s.at(3).by("theo").rejects().then_events([
        "SignOffsVoided cto: ",
        "ReleaseRejected tech_lead: theo",
        "SignOffRequested cto: cleo",
    ]);
    s.then_status(Status::Rejected);
    assert_eq!(
        s.release().asked[&Role::Cto].at_ms,
        s.now,
        "asked anew: the deputy's ten minutes run again"
    );
    s.at(15).tech_lead_timer().then_nothing();
    s.at(16).by("dev").deploys().then_refused("signoff.cto", "gates_unmet");
    s.at(17).by("cleo").approves().then_events([
        "SignedOff cto: cleo over the rejection",
        "ReleaseApproved",
        "DeploymentRequested 1 by nobody",
        "EnvironmentLocked 1 for REL-789",
    ]);
    assert!(matches!(s.gate("signoff.tech-lead").detail, Detail::Overruled { .. }));
    s.starts()
        .then_events(["AttemptStarting 1", "DebtIncurred what is skipped"]);
}

#[test]
fn the_cto_confirms_with_the_rejection_in_view_or_not_at_all() {
    let mut s = Scenario::hotfix().resolved();
    let before = s.release().view();
    s.at(3).by("theo").rejects();
    s.by("cleo")
        .signs(None, Some(before))
        .then_refused("signoff.recorded", "stale_view");
    s.by("cleo")
        .types_approve()
        .then_refused("signoff.recorded", "stale_view");
    s.by("vera")
        .types_approve()
        .then_refused("signoff.recorded", "stale_view");
    s.by("cleo").approves().then_status(Status::Queued);
}

#[test]
fn the_tech_leads_no_is_lifted_by_a_tech_lead_and_then_the_cto_is_still_needed() {
    let mut s = Scenario::hotfix().resolved();
    s.at(2).by("cleo").approves();
    s.at(3).by("theo").rejects();
    let gate = s.gate("signoff.tech-lead");
    assert_eq!(
        gate.roles,
        [Role::TechLead, Role::Cto],
        "who can lift it, and who can confirm over it"
    );
    assert_eq!(
        gate.people,
        ["theo", "tina", "cleo", "vera"].map(crate::support::person)
    );
    s.at(4)
        .by("tina")
        .approves()
        .then_events(["SignedOff tech_lead: tina"])
        .then_status(Status::Asking);
    s.at(5).by("cleo").approves().then_status(Status::Queued);
}

#[test]
fn a_confirmation_that_falls_lets_the_rejection_stand_again() {
    let mut s = Scenario::hotfix().resolved();
    s.at(3).by("theo").rejects();
    s.at(4).by("cleo").approves().then_status(Status::Queued);
    s.at(5).by("cleo").withdraws().then_status(Status::Rejected);
    assert!(matches!(s.gate("signoff.tech-lead").detail, Detail::RejectedBy { .. }));
    let mut s = Scenario::hotfix().resolved();
    s.at(3).by("theo").rejects();
    s.at(4).by("cleo").approves();
    s.at(5).by("tina").rejects().then_status(Status::Rejected);
    assert_eq!(s.holder(), None);
    s.at(6).looks('b', "deploy.sh").then_status(Status::Rejected);
}

#[test]
fn the_ctos_no_is_lifted_by_the_ctos_side_and_never_by_the_wait() {
    let mut s = Scenario::hotfix().resolved();
    s.at(1).by("cleo").rejects();
    s.at(2).by("theo").approves().then_status(Status::Rejected);
    s.at(20).tech_lead_timer().then_nothing();
    s.at(21).by("cleo").approves().then_status(Status::Queued);
}

#[test]
fn in_mode_owe_the_tech_leads_no_still_holds_the_start() {
    let mut s = Scenario::hotfix()
        .and(|s| {
            s.mode(domain::policy::TechLeadMode::Owe);
        })
        .resolved();
    s.at(1).by("theo").rejects();
    s.at(2).by("dev").deploys().then_refused("signoff.cto", "gates_unmet");
    assert!(s.gate("signoff.tech-lead").holds_start());
}

#[test]
fn a_signer_who_left_the_role_can_still_take_the_word_back() {
    let mut s = Scenario::queued();
    s.is_now("priya", Standing::Active, &[]);
    s.by("priya").withdraws().then_status(Status::Asking);
    assert_eq!(s.holder(), None);
}

#[test]
fn a_payer_of_the_tech_leads_debt_can_not_reject_in_the_tech_leads_name() {
    let mut request = crate::support::hotfix_request();
    request.authors = crate::support::people(&["theo", "tina"]);
    let mut s = Scenario::empty();
    s.by("rita").asks_for_hotfix(request);
    let mut s = s.resolved();
    s.at(1).by("cleo").approves();
    s.starts();
    s.at(2).ends(domain::release::AttemptResult::Failed(1));
    s.by("vera").rejects().then_events(["ReleaseRejected cto: vera"]);
}

#[test]
fn every_interleaving_of_a_word_and_the_start_ends_in_exactly_one_of_them() {
    let acts: [Act; 4] = [
        |s| {
            s.by("priya").rejects();
        },
        |s| {
            s.by("quinn").withdraws();
        },
        |s| {
            s.by("rita").cancels();
        },
        |s| {
            s.by("dev").stops();
        },
    ];
    for act in acts {
        let mut first = Scenario::queued();
        act(&mut first);
        first.starts();
        assert!(first.last.is_err());
        assert!(first.release().attempts[0].starting_ms.is_none(), "the word came first");
        let mut second = Scenario::queued();
        second.starts();
        act(&mut second);
        assert!(
            second.release().attempts[0].starting_ms.is_some(),
            "the start came first"
        );
        assert_eq!(second.release().status, Status::Deploying);
    }
}

#[test]
fn a_word_is_taken_back_while_an_edit_waits_for_its_commit() {
    let mut s = Scenario::approved();
    let mut plan = crate::support::proposal();
    plan.version = domain::ids::Version::new("1.4.1").unwrap();
    s.by("rita").plans(plan).then_status(Status::Drafted);
    s.by("priya")
        .withdraws()
        .then_events(["SignOffWithdrawn product_owner: priya"])
        .then_status(Status::Drafted);
}

#[test]
fn a_stopped_hotfix_is_not_started_again_by_a_late_timer() {
    let mut s = Scenario::hotfix_owed();
    s.by("dev").stops().then_status(Status::Approved);
    s.at(16).tech_lead_timer().then_nothing();
    s.at(17).deputy_timer().then_refused("signoff.cto", "outdated");
    s.then_status(Status::Approved);
}

#[test]
fn a_tech_lead_who_took_the_word_back_is_no_silent_tech_lead() {
    // Signed, then withdrawn, before and after the wait is over: no timer, no click of the CTO and no engineer starts it.
    for minutes in [4, 20] {
        let mut s = Scenario::hotfix().resolved();
        s.at(3).by("theo").approves();
        s.at(minutes).by("theo").withdraws();
        s.at(minutes + 1).by("cleo").approves().then_status(Status::Asking);
        s.at(31).tech_lead_timer().then_nothing();
        let gate = s.gate("signoff.tech-lead");
        assert_eq!(
            (gate.state, gate.detail, gate.next_ms),
            (GateState::Unmet, Detail::Waiting, None)
        );
        s.by("dev").deploys().then_refused("signoff.tech-lead", "gates_unmet");
        s.by("tina").approves().then_status(Status::Queued);
    }
    let mut s = Scenario::hotfix().resolved();
    s.at(3).by("theo").approves();
    s.at(4).by("cleo").approves().then_status(Status::Queued);
    s.by("theo").withdraws().then_status(Status::Asking);
    assert_eq!(s.holder(), None);
    s.at(31).tech_lead_timer().then_nothing();
    s.starts().then_refused("deploy.start", "attempt_moved");
}

#[test]
fn when_the_cto_takes_the_word_back_the_deputys_clock_runs_anew() {
    let mut s = Scenario::hotfix().resolved();
    s.at(5).by("cleo").approves();
    s.at(8)
        .by("cleo")
        .withdraws()
        .then_events(["SignOffWithdrawn cto: cleo", "SignOffRequested cto: cleo"]);
    s.at(18).deputy_timer().then_events(["SignOffRequested cto: vera"]);
}
