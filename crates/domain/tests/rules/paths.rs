//! The planned release and the hotfix, event by event.

use crate::support::{Scenario, hotfix_request, people, person, proposal};
use domain::event::Event;
use domain::ids::{HOUR_MS, MINUTE_MS};
use domain::people::Standing;
use domain::policy::TechLeadMode;
use domain::release::{AttemptResult, Status};
use domain::role::Role;
use domain::rule::Rule;
use domain::rules::gates::{Detail, GateState};

const STARTED: [&str; 3] = [
    "AttemptStarting 1",
    "DebtIncurred signoff.tech-lead",
    "DebtIncurred what is skipped",
];

#[test]
fn a_planned_release_goes_from_the_plan_to_production() {
    let mut s = Scenario::empty();
    s.by("rita")
        .plans(proposal())
        .then_events(["ReleasePlanned"])
        .then_status(Status::Drafted);
    let mut s = s.resolved();
    s.then_events([
        "SourceResolved",
        "SignOffRequested product_owner: paul priya",
        "SignOffRequested qa_lead: quinn",
    ])
    .then_status(Status::Asking);
    s.at(1)
        .by("priya")
        .types_approve()
        .then_events(["SignedOff product_owner: priya"]);
    s.at(2)
        .by("quinn")
        .approves()
        .then_events(["SignedOff qa_lead: quinn", "ReleaseApproved"])
        .then_status(Status::Approved);
    s.at(59).by("dev").deploys().then_refused("deploy.start", "gates_unmet");
    s.at(60)
        .by("dev")
        .deploys()
        .then_events(["DeploymentRequested 1 by dev", "EnvironmentLocked 1 for REL-789"]);
    s.starts()
        .then_events(["AttemptStarting 1"])
        .then_status(Status::Deploying);
    s.worker(domain::command::Intent::RecordRunning { attempt: 1 })
        .then_events(["AttemptRunning"]);
    s.at(65)
        .ends(AttemptResult::Succeeded)
        .then_events(["AttemptEnded 1 succeeded", "EnvironmentUnlocked 1 with 1.4.0"])
        .then_status(Status::Released);
    assert_eq!(s.holder(), None);
    assert!(s.release().debts.is_empty(), "a planned release owes nothing");
}

#[test]
fn not_before_the_planned_start_to_the_millisecond_and_the_refusal_says_when() {
    let mut s = Scenario::approved();
    s.at_ms(HOUR_MS - 1).by("dev").deploys();
    assert_eq!(
        s.then_refused("deploy.start", "gates_unmet").next_ms,
        Some(proposal().start_ms)
    );
    s.at_ms(HOUR_MS).by("dev").deploys().then_status(Status::Queued);
}

#[test]
fn a_developers_draft_is_asked_about_only_after_a_release_manager_took_it_over() {
    let mut s = Scenario::empty();
    s.by("moe").plans(proposal()).then_events(["ReleasePlanned"]);
    let mut s = s.resolved();
    s.then_events(["SourceResolved"]).then_status(Status::Drafted);
    let gate = s.gate("plan.complete");
    assert_eq!(
        (gate.detail, gate.people),
        (Detail::NoOwner, people(&["rita", "rob"]).into_iter().collect())
    );
    s.by("moe").plans(proposal()).then_events(["PlanChanged"]);
    assert_eq!(
        s.release().owner,
        None,
        "editing one's draft doesn't make a release manager"
    );
    s.by("rita").plans(proposal()).then_events([
        "PlanChanged",
        "SignOffRequested product_owner: paul priya",
        "SignOffRequested qa_lead: quinn",
    ]);
    assert_eq!(s.release().owner, Some(person("rita")));
    s.by("moe")
        .plans(proposal())
        .then_refused("roles.commands", "not_in_role");
}

#[test]
fn cto_first_then_tech_lead_and_the_hotfix_starts_by_itself() {
    let mut s = Scenario::hotfix().resolved();
    s.then_events([
        "SourceResolved",
        "SignOffRequested cto: cleo",
        "SignOffRequested tech_lead: theo tina",
    ]);
    s.at(2)
        .by("cleo")
        .approves()
        .then_events(["SignedOff cto: cleo"])
        .then_status(Status::Asking);
    assert_eq!(
        s.gate("signoff.tech-lead").next_ms,
        Some(crate::support::T0 + 15 * MINUTE_MS)
    );
    s.at(3).by("theo").approves().then_events([
        "SignedOff tech_lead: theo",
        "ReleaseApproved",
        "DeploymentRequested 1 by nobody",
        "EnvironmentLocked 1 for REL-789",
    ]);
    assert_eq!(
        s.release().attempts[0].engineer,
        Some(person("dev")),
        "the first active deployment engineer"
    );
    s.starts()
        .then_events(["AttemptStarting 1", "DebtIncurred what is skipped"]);
    assert_eq!(s.release().status, Status::Deploying);
}

#[test]
fn tech_lead_first_then_one_click_of_the_cto_starts() {
    let mut s = Scenario::hotfix().resolved();
    s.at(1).by("tina").approves().then_events(["SignedOff tech_lead: tina"]);
    s.at(2).by("cleo").types_approve().then_events([
        "SignedOff cto: cleo",
        "ReleaseApproved",
        "DeploymentRequested 1 by nobody",
        "EnvironmentLocked 1 for REL-789",
    ]);
}

#[test]
fn when_the_wait_for_the_tech_lead_ends_the_timer_starts_the_hotfix() {
    let mut s = Scenario::hotfix().resolved();
    s.at(2).by("cleo").approves();
    s.at_ms(15 * MINUTE_MS - 1).tech_lead_timer();
    assert_eq!(
        s.then_refused("signoff.tech-lead", "outdated").next_ms,
        Some(crate::support::T0 + 15 * MINUTE_MS)
    );
    s.at(15).tech_lead_timer().then_events([
        "ReleaseApproved",
        "DeploymentRequested 1 by nobody",
        "EnvironmentLocked 1 for REL-789",
    ]);
    s.tech_lead_timer().then_nothing();
    s.starts().then_events(STARTED);
    let due: Vec<i64> = s
        .release()
        .open_debts()
        .filter(|(r, _)| *r == Rule::SignoffTechLead)
        .map(|(_, d)| d.due_ms)
        .collect();
    assert_eq!(due, [s.now + 24 * HOUR_MS]);
    // Monday noon: the review is due on Tuesday at 17:00 in Berlin.
    assert_eq!(
        s.release().debts[&Rule::StageStaging].due_ms,
        crate::support::T0 + 29 * HOUR_MS
    );
}

#[test]
fn a_timer_of_an_earlier_revision_is_outdated() {
    let mut s = Scenario::hotfix().resolved();
    s.at(2).by("cleo").approves();
    s.at(20)
        .worker(domain::command::Intent::EndTechLeadWait { revision: 1 })
        .then_refused("signoff.tech-lead", "outdated");
    s.worker(domain::command::Intent::AskDeputy { revision: 1 })
        .then_refused("signoff.cto", "outdated");
}

#[test]
fn the_cto_after_the_wait_starts_at_once_and_one_millisecond_before_it_does_not() {
    let mut s = Scenario::hotfix().resolved();
    s.at_ms(15 * MINUTE_MS - 1)
        .by("cleo")
        .approves()
        .then_events(["SignedOff cto: cleo"]);
    let mut s = Scenario::hotfix().resolved();
    s.at(15).tech_lead_timer().then_nothing();
    s.at(15).by("cleo").approves().then_status(Status::Queued);
}

#[test]
fn a_lost_timer_does_not_hold_a_hotfix_for_ever() {
    let mut s = Scenario::hotfix().resolved();
    s.at(2).by("cleo").approves();
    s.at(16).by("dev").deploys().then_events([
        "ReleaseApproved",
        "DeploymentRequested 1 by dev",
        "EnvironmentLocked 1 for REL-789",
    ]);
}

#[test]
fn the_deputy_is_asked_after_ten_minutes_and_signs() {
    let mut s = Scenario::hotfix().resolved();
    s.at(10).deputy_timer().then_events(["SignOffRequested cto: vera"]);
    assert_eq!(
        s.release().asked[&Role::Cto].at_ms,
        crate::support::T0,
        "the first question counts"
    );
    s.deputy_timer().then_nothing();
    s.at(11).by("theo").approves();
    s.at(12).by("vera").approves();
    assert!(
        s.last
            .as_ref()
            .unwrap()
            .iter()
            .any(|event| crate::support::tell(event) == "SignedOff cto: vera as deputy")
    );
    s.then_status(Status::Queued);
    s.by("cleo").approves().then_refused("signoff.cto", "already_signed");
    s.starts().then_status(Status::Deploying);
}

#[test]
fn the_deputy_is_not_asked_after_the_cto_has_answered() {
    let mut s = Scenario::hotfix().resolved();
    s.at(5).by("cleo").approves();
    s.at(10).deputy_timer().then_refused("signoff.cto", "outdated");
    let mut s = Scenario::hotfix().resolved();
    s.at(5).by("cleo").rejects();
    s.at(10).deputy_timer().then_refused("signoff.cto", "outdated");
    let mut s = Scenario::hotfix().resolved();
    s.at(5).by("theo").rejects();
    s.at(10).deputy_timer().then_events(["SignOffRequested cto: vera"]);
}

#[test]
fn slack_must_say_who_the_deputy_is_before_one_is_asked() {
    let mut s = Scenario::hotfix().resolved();
    s.silent = true;
    s.at(10)
        .deputy_timer()
        .then_refused("roles.commands", "facts_unavailable");
}

#[test]
fn in_mode_block_only_the_tech_lead_ends_the_wait() {
    let mut s = Scenario::hotfix()
        .and(|s| {
            s.mode(TechLeadMode::Block);
        })
        .resolved();
    s.at(1).by("cleo").approves();
    s.at(60).tech_lead_timer().then_nothing();
    s.by("dev").deploys().then_refused("signoff.tech-lead", "gates_unmet");
    s.at(61).by("theo").approves().then_status(Status::Queued);
}

#[test]
fn in_mode_owe_the_cto_alone_starts_and_the_tech_lead_owes() {
    let mut s = Scenario::hotfix()
        .and(|s| {
            s.mode(TechLeadMode::Owe);
        })
        .resolved();
    assert_eq!(s.gate("signoff.tech-lead").state, GateState::Owed);
    s.at(1).by("cleo").approves().then_status(Status::Queued);
    s.starts().then_events(STARTED);
}

#[test]
fn if_the_cto_asked_for_it_the_deputy_is_asked_at_once() {
    let mut s = Scenario::empty();
    s.by("cleo").asks_for_hotfix(hotfix_request());
    let mut s = s.resolved();
    s.then_events([
        "SourceResolved",
        "SignOffRequested cto: vera",
        "SignOffRequested tech_lead: theo tina",
    ]);
    s.by("cleo").approves();
    let refusal = s.then_refused("signoff.cto", "own_release");
    assert_eq!(
        (refusal.people.as_slice(), refusal.roles.as_slice()),
        ([person("vera")].as_slice(), [Role::Cto].as_slice())
    );
    s.at(1).by("theo").approves();
    s.at(1).by("vera").approves().then_status(Status::Queued);
}

#[test]
fn if_the_cto_asked_for_it_and_slack_hides_the_deputy_nobody_is_asked_yet() {
    let mut s = Scenario::empty();
    s.by("cleo").asks_for_hotfix(hotfix_request());
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    s.case.people.holders.remove(&Role::CtoDeputy);
    let mut look = crate::support::seen('a', "deploy.sh", s.now);
    look.version = s.release().version.clone();
    let command = domain::command::Command {
        actor: domain::command::Actor::Countersign,
        release: s.key.clone(),
        intent: domain::command::Intent::RecordSource(look),
    };
    let refusal = domain::decide::decide(&s.case, &command, &s.policy, s.now).unwrap_err();
    assert_eq!(refusal.cause.word(), "facts_unavailable");
}

fn all_tech_leads_wrote_it() -> Scenario {
    let mut request = hotfix_request();
    request.authors = people(&["theo", "tina"]);
    let mut s = Scenario::empty();
    s.by("rita").asks_for_hotfix(request);
    s.resolved()
}

#[test]
fn if_every_tech_lead_is_an_author_the_sign_off_is_owed_at_once() {
    let mut s = all_tech_leads_wrote_it();
    s.then_events([
        "SourceResolved",
        "SignOffRequested cto: cleo",
        "SignOffRequested tech_lead: ",
    ]);
    s.at(1)
        .by("theo")
        .approves()
        .then_refused("signoff.tech-lead", "own_release");
    s.at(1).by("cleo").approves().then_status(Status::Queued);
    s.starts().then_events(STARTED);
}

#[test]
fn slacks_silence_does_not_turn_the_wait_into_a_debt() {
    let mut s = Scenario::hotfix().resolved();
    s.silent = true;
    s.at(1).by("cleo").approves().then_events(["SignedOff cto: cleo"]);
    assert_ne!(s.gate("signoff.tech-lead").detail, Detail::NobodyCanSign);
}

#[test]
fn an_owed_sign_off_paid_afterwards_closes_the_debt_whatever_the_deployment_did() {
    for result in [None, Some(AttemptResult::Succeeded), Some(AttemptResult::Failed(1))] {
        let mut s = Scenario::hotfix_owed();
        s.starts().then_events(STARTED);
        if let Some(result) = result {
            s.at(17).ends(result);
        }
        let status = s.release().status;
        s.at(20)
            .by("tina")
            .approves()
            .then_events(["SignedOff tech_lead: tina", "DebtClosed signoff.tech-lead by tina"]);
        s.then_status(status);
        assert!(s.release().open_debts().all(|(rule, _)| rule != Rule::SignoffTechLead));
        s.at(21).by("theo").approves();
        assert_eq!(s.last.as_ref().unwrap_err().cause.word(), "already_signed");
    }
}

#[test]
fn while_a_tech_lead_could_pay_the_ctos_side_can_not() {
    let mut s = Scenario::hotfix_owed();
    s.starts();
    s.at(20)
        .by("vera")
        .approves_as(Role::TechLead)
        .then_refused("signoff.tech-lead", "not_in_role");
}

#[test]
fn where_no_other_tech_lead_exists_the_deputy_or_cto_who_has_not_signed_pays() {
    for (signer, payer) in [("cleo", "vera"), ("vera", "cleo")] {
        let mut s = all_tech_leads_wrote_it();
        s.at(1).by(signer).approves().then_status(Status::Queued);
        s.starts();
        s.at(30)
            .by("theo")
            .approves()
            .then_refused("signoff.tech-lead", "own_release");
        s.by(signer)
            .approves_as(Role::TechLead)
            .then_refused("signoff.tech-lead", "not_in_role");
        let gate = s.gate("signoff.tech-lead");
        assert_eq!(
            (gate.people, gate.roles),
            (vec![person(payer)], vec![Role::TechLead, Role::Cto])
        );
        s.by(payer).approves().then_events([
            format!("SignedOff tech_lead: {payer} as deputy").as_str(),
            format!("DebtClosed signoff.tech-lead by {payer}").as_str(),
        ]);
        assert_eq!(
            s.gate("signoff.tech-lead").roles,
            [Role::TechLead],
            "nothing is left to pay"
        );
        // Paid is paid: another start finds the sign-off in force, by somebody still on the CTO's side.
        s.ends(AttemptResult::Failed(1));
        s.at(40).by("dev").deploys();
        s.starts().then_events(["AttemptStarting 2"]);
    }
}

#[test]
fn a_new_commit_is_owed_anew_though_the_debt_for_the_old_one_was_paid() {
    let mut s = Scenario::hotfix_owed();
    s.starts();
    s.at(16).by("theo").approves();
    s.at(17).ends(AttemptResult::Failed(1));
    s.at(18).looks('b', "deploy.sh");
    s.at(40).by("cleo").approves().then_status(Status::Queued);
    s.starts_seeing(Ok(crate::support::seen('b', "deploy.sh", s.now)))
        .then_events(["AttemptStarting 2", "DebtIncurred signoff.tech-lead"]);
}

#[test]
fn a_tech_lead_who_signs_between_the_wait_and_the_start_spares_the_debt() {
    let mut s = Scenario::hotfix_owed();
    s.by("theo")
        .approves()
        .then_events(["SignedOff tech_lead: theo"])
        .then_status(Status::Queued);
    s.starts()
        .then_events(["AttemptStarting 1", "DebtIncurred what is skipped"]);
}

#[test]
fn a_failed_hotfix_is_tried_again_by_an_engineer_not_by_a_sign_off_that_held_nothing() {
    let mut s = Scenario::hotfix_deploying();
    s.at(3).ends(AttemptResult::Failed(1)).then_status(Status::Approved);
    // At minute 241 Theo's sign-off of minute 1 is over, Cleo's of minute 2 still counts.
    s.at(241).by("theo").approves().then_events([
        "SignOffsVoided tech_lead: ",
        "SignedOff tech_lead: theo",
        "ReleaseApproved",
    ]);
    s.by("dev")
        .deploys()
        .then_events(["DeploymentRequested 2 by dev", "EnvironmentLocked 2 for REL-789"]);
}

#[test]
fn an_attempt_names_an_active_engineer_or_nobody_yet() {
    let mut s = Scenario::hotfix();
    s.is_now("dev", Standing::Deactivated, &[Role::DeploymentEngineer]);
    let mut s = s.resolved();
    s.at(15).by("cleo").approves().then_status(Status::Queued);
    assert_eq!(s.release().attempts[0].engineer, None);
}

#[test]
fn the_sign_off_keeps_who_how_and_what_they_saw() {
    let s = Scenario::hotfix().resolved().and(|s| {
        s.facts_age = 30_000;
        s.at(2).by("cleo").approves();
    });
    let Some((_, Event::SignedOff { sign_off })) = s.log.last() else {
        panic!("{:?}", s.log)
    };
    assert_eq!(sign_off.membership, "person:cleo");
    assert_eq!(sign_off.facts_ms, s.now - 30_000);
    assert_eq!(sign_off.signed_ms, s.now);
    assert_eq!(sign_off.seen, Some(crate::support::text("the card").commitment()));
    assert_eq!(
        sign_off.rules,
        s.policy.effective_digest(s.release().kind, &s.release().service)
    );
    assert!(!sign_off.confirms_rejection);
}

#[test]
fn a_typed_commit_stands_in_where_git_is_silent_and_names_who_typed_it() {
    use domain::command::Intent;
    use domain::event::SourceProblem;
    let mut s = Scenario::planned();
    let silent = Intent::RecordSourceProblem {
        problem: SourceProblem::GitSilent,
        observed_ms: s.now,
    };
    s.by("rita")
        .does(Intent::TypeCommit {
            commit: crate::support::commit('c'),
        })
        .then_refused("vcs.tag", "source_unknown");
    s.worker(silent.clone()).then_events(["SourceNotResolved"]);
    s.worker(silent).then_nothing();
    assert_eq!(s.gate("vcs.tag").detail, Detail::Source(SourceProblem::GitSilent));
    s.by("rob")
        .does(Intent::TypeCommit {
            commit: crate::support::commit('c'),
        })
        .then_events(["CommitTyped"]);
    let mut look = crate::support::seen('c', "deploy.sh", s.now);
    look.commit = None;
    s.worker(Intent::RecordSource(look.clone()));
    assert_eq!(s.release().source.as_ref().unwrap().typed_by, Some(person("rob")));
    // The plan's form doesn't ask for the commit again; the typed one belongs to the version.
    s.by("rita").plans(proposal());
    assert_eq!(s.release().typed_commit, Some(crate::support::commit('c')));
    assert!(s.release().source.is_some());
    // Git still silent at the start: the typed commit is all there is.
    s.by("priya").approves();
    s.by("quinn").approves();
    s.at(60).by("dev").deploys();
    s.starts_seeing(Ok(look)).then_events(["AttemptStarting 1"]);
}

#[test]
fn a_tag_that_is_missing_can_not_be_typed_away() {
    use domain::command::Intent;
    use domain::event::SourceProblem;
    for problem in [SourceProblem::TagMissing, SourceProblem::ScriptMissing] {
        let mut s = Scenario::planned();
        s.worker(Intent::RecordSourceProblem {
            problem,
            observed_ms: s.now,
        });
        s.by("rita")
            .does(Intent::TypeCommit {
                commit: crate::support::commit('c'),
            })
            .then_refused("vcs.tag", "source_unknown");
    }
}

#[test]
fn another_typed_commit_makes_the_source_unknown_until_a_worker_has_looked() {
    let mut s = Scenario::empty();
    let typed = |letter| {
        let mut plan = proposal();
        plan.commit = Some(crate::support::commit(letter));
        plan
    };
    let mut look = crate::support::seen('c', "deploy.sh", s.now);
    look.commit = None;
    s.by("rita").plans(typed('c'));
    s.worker(domain::command::Intent::RecordSource(look));
    s.by("rita").plans(typed('d')).then_events(["PlanChanged"]);
    assert_eq!(
        s.release().source,
        None,
        "what was resolved is not what the plan says now"
    );
}

#[test]
fn late_news_and_silence_do_not_undo_what_git_said() {
    use domain::command::Intent;
    let mut s = Scenario::approved();
    let old = crate::support::seen('b', "deploy.sh", s.now - 1);
    s.worker(Intent::RecordSource(old)).then_refused("vcs.tag", "outdated");
    let mut silent = crate::support::seen('a', "other.sh", s.now + 1);
    silent.commit = None;
    s.worker(Intent::RecordSource(silent))
        .then_refused("vcs.tag", "outdated");
    s.worker(Intent::RecordSource(crate::support::seen('a', "deploy.sh", s.now + 1)))
        .then_nothing();
}

#[test]
fn a_problem_with_the_source_is_news_only_while_the_source_is_unknown() {
    use domain::command::Intent;
    use domain::event::SourceProblem;
    let problem = |s: &mut Scenario| {
        let problem = SourceProblem::GitSilent;
        s.worker(Intent::RecordSourceProblem {
            problem,
            observed_ms: crate::support::T0,
        });
    };
    let mut s = Scenario::planned().resolved();
    problem(&mut s);
    s.then_refused("vcs.tag", "outdated");
    let mut draft = Scenario::empty();
    draft.by("moe").plans(proposal());
    let mut draft = draft.resolved();
    problem(&mut draft);
    draft.then_refused("vcs.tag", "outdated");
    let mut s = Scenario::planned();
    s.by("rita").cancels();
    problem(&mut s);
    s.then_refused("vcs.tag", "outdated");
    // Rejected, and edited to a version whose tag Git can't say: the commit can be typed.
    let mut s = Scenario::planned().resolved();
    s.by("priya").rejects();
    let mut plan = proposal();
    plan.version = domain::ids::Version::new("1.4.1").unwrap();
    s.by("rita").plans(plan);
    problem(&mut s);
    s.then_events(["SourceNotResolved"]);
    let commit = crate::support::commit('c');
    s.by("rita")
        .does(Intent::TypeCommit { commit })
        .then_events(["CommitTyped"]);
}

#[test]
fn what_is_over_is_not_looked_at_any_more() {
    let mut s = Scenario::planned().resolved();
    s.looks('b', "deploy.sh").then_status(Status::Asking);
    assert_eq!(
        s.release().revision,
        3,
        "two looks in one millisecond: the later word counts"
    );
    for mut s in [Scenario::queued(), Scenario::deploying()] {
        s.looks('b', "deploy.sh").then_refused("vcs.tag", "outdated");
    }
}

#[test]
fn a_debt_is_not_paid_under_an_attempt_that_is_about_to_start() {
    let mut s = Scenario::hotfix().resolved();
    s.at(1).by("theo").approves();
    s.at(200).by("cleo").approves().then_status(Status::Queued);
    // In the queue Theo's four hours end: the start owes his sign-off, which stands, but counts no more.
    s.at(242).starts().then_events(STARTED);
    s.at(243).ends(AttemptResult::Failed(1));
    s.at(244).by("dev").deploys().then_status(Status::Queued);
    s.by("theo").approves().then_refused("signoff.tech-lead", "status");
    s.starts().then_events(["AttemptStarting 2"]);
    s.at(245).by("theo").approves().then_events([
        "SignOffsVoided tech_lead: ",
        "SignedOff tech_lead: theo",
        "DebtClosed signoff.tech-lead by theo",
    ]);
    s.then_status(Status::Deploying);
}

#[test]
fn who_said_no_as_tech_lead_is_not_the_cto_who_overrules_it() {
    let mut s = Scenario::hotfix();
    s.is_now("moe", Standing::Active, &[Role::TechLead, Role::Cto]);
    let mut s = s.resolved();
    s.at(1).by("moe").does(domain::command::Intent::Reject {
        role: Some(Role::TechLead),
        view: None,
        reason: crate::support::text("it breaks refunds"),
    });
    s.then_status(Status::Rejected);
    s.by("moe")
        .approves_as(Role::Cto)
        .then_refused("signoff.cto", "signed_another_role");
    s.by("cleo").approves().then_status(Status::Queued);
}

#[test]
fn a_late_look_at_another_version_is_no_news() {
    let mut s = Scenario::planned().resolved();
    let mut plan = crate::support::proposal();
    plan.version = domain::ids::Version::new("1.4.1").unwrap();
    s.at(1).by("rita").plans(plan);
    s.at(2).looks('c', "deploy.sh");
    s.at(3).looked_at("1.4.0", 'a').then_refused("vcs.tag", "outdated");
    assert_eq!(s.release().source.as_ref().unwrap().commit, crate::support::commit('c'));
}

#[test]
fn a_plan_is_not_changed_by_who_has_not_seen_it() {
    let mut s = Scenario::planned().resolved();
    let new = crate::support::proposal();
    s.by("rob")
        .does(domain::command::Intent::Plan(Box::new(new)))
        .then_refused("plan.complete", "key_taken");
    let mut late = crate::support::proposal();
    late.edits = Some(s.release().plan_changes);
    let mut first = crate::support::proposal();
    first.scope = crate::support::text("Refunds and invoices");
    s.by("rita").plans(first);
    s.by("rob")
        .does(domain::command::Intent::Plan(Box::new(late)))
        .then_refused("plan.complete", "stale_view");
}
