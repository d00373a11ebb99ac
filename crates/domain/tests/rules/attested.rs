//! What people say of rules that nothing looks at by itself, and what they excuse.

use crate::support::{Scenario, proposal, text};
use domain::command::{Intent, WaiverRequest};
use domain::ids::{DAY_MS, HOUR_MS, MINUTE_MS};
use domain::policy::Policy;
use domain::release::{Migration, Status};
use domain::role::Role;
use domain::rule::{Effect, Judged, Kind, Rule, Waivable};
use domain::rules::gates::{Detail, GateState, Moment};

/// The rules that hold a planned release until somebody attests them, with who does.
fn attested(kind: Kind) -> Vec<(Rule, Role, usize)> {
    let all = Rule::ALL.iter().filter(|rule| rule.effect(kind) == Some(Effect::Block));
    all.filter_map(|rule| match rule.judged() {
        Judged::Attested(roles, needed) => Some((*rule, roles[0], needed)),
        _ => None,
    })
    .collect()
}

/// Who says what in these scenarios: holders of one role each, none of them part of the release.
fn speaker(role: Role) -> &'static str {
    match role {
        Role::ReleaseManager => "rob",
        Role::DeploymentEngineer => "dev",
        Role::QaLead => "quinn",
        Role::ProductOwner => "priya",
        Role::TechLead => "theo",
        other => panic!("{other} attests nothing"),
    }
}

/// Everybody says what is theirs, but for `but`.
fn everybody_attests(s: &mut Scenario, but: Option<Rule>) {
    let kind = s.release().kind;
    for role in [
        Role::ReleaseManager,
        Role::DeploymentEngineer,
        Role::TechLead,
        Role::ProductOwner,
        Role::QaLead,
    ] {
        let rules: Vec<Rule> = attested(kind)
            .into_iter()
            .filter(|(rule, of, needed)| *of == role && *needed == 1 && Some(*rule) != but)
            .map(|(rule, ..)| rule)
            .collect();
        s.by(speaker(role)).attests(role, &rules);
        s.last.as_ref().unwrap();
    }
    if but != Some(Rule::CriteriaDocs) {
        s.by("priya").attests(Role::ProductOwner, &[Rule::CriteriaDocs]);
        s.by("quinn").attests(Role::QaLead, &[Rule::CriteriaDocs]);
        s.last.as_ref().unwrap();
    }
}

/// A planned release under the procedure itself, a few minutes before its slot.
fn planned(kind: Kind) -> Scenario {
    let mut s = Scenario::empty();
    s.policy = Policy::default();
    let migration = Migration::ExpandOnly;
    s.by("rita").plans(domain::command::Proposal {
        kind,
        migration,
        ..proposal()
    });
    s.at(50);
    s.resolved()
}

#[test]
fn every_rule_that_is_attested_holds_the_start_alone_until_it_is_said() {
    for kind in [Kind::Major, Kind::Minor] {
        for (rule, role, needed) in attested(kind) {
            let mut s = planned(kind);
            everybody_attests(&mut s, Some(rule));
            s.by("priya").approves();
            s.by("quinn").approves();
            // What a sign-off waits for, it waits for; then it is given after the word.
            let waits = s.last.is_err() || !s.release().sign_offs.contains_key(&Role::ProductOwner);
            if waits {
                assert!(matches!(rule.family(), "stage" | "criteria"), "{rule}");
            } else {
                s.at(60).by("dev").deploys().then_refused(rule.id(), "gates_unmet");
            }
            let holding: Vec<Rule> = s
                .gates(Moment::Start)
                .iter()
                .filter(|g| g.holds_start())
                .map(|g| g.rule)
                .collect();
            let others = [Rule::SignoffProductOwner, Rule::SignoffQaLead, Rule::DeployStart];
            let alone: Vec<Rule> = holding.into_iter().filter(|held| !others.contains(held)).collect();
            assert_eq!(alone, [rule]);

            s.by(speaker(role)).attests(role, &[rule]);
            if needed == 2 {
                let again: Vec<Rule> = s
                    .gates(Moment::Start)
                    .iter()
                    .filter(|g| g.holds_start())
                    .map(|g| g.rule)
                    .collect();
                assert!(again.contains(&rule), "one person's word was enough for {rule}");
                s.by("theo").attests(Role::TechLead, &[rule]);
            }
            if waits {
                s.by("priya").approves();
                s.by("quinn").approves();
            }
            s.at(60).by("dev").deploys().then_status(Status::Queued);
            s.starts().then_status(Status::Deploying);
        }
    }
}

#[test]
fn a_hotfix_waits_for_its_artifact_and_for_nothing_else_that_is_attested() {
    let mut s = Scenario::empty();
    s.policy = Policy::default();
    s.by("rita").asks_for_hotfix(crate::support::hotfix_request());
    let mut s = s.resolved();
    let artifact = [Rule::ArtifactBuilt, Rule::ArtifactPublished, Rule::ArtifactMatchesTag];
    assert_eq!(
        attested(Kind::Emergency)
            .into_iter()
            .map(|(rule, ..)| rule)
            .collect::<Vec<_>>(),
        artifact
    );
    s.by("theo").attests_and_signs(Role::TechLead, &[Rule::ArtifactBuilt]);
    s.by("cleo").approves().then_status(Status::Asking);
    s.by("dev")
        .attests(
            Role::DeploymentEngineer,
            &[Rule::ArtifactPublished, Rule::ArtifactMatchesTag],
        )
        .then_events([
            "Attested artifact.published by dev, deployment_engineer",
            "Attested artifact.matches-tag by dev, deployment_engineer",
            "ReleaseApproved",
            "DeploymentRequested 1 by nobody",
            "EnvironmentLocked 1 for REL-789",
        ]);
}

#[test]
fn one_visit_says_and_signs_or_nothing_of_it() {
    let mut s = planned(Kind::Minor);
    let qa: Vec<Rule> = attested(Kind::Minor)
        .into_iter()
        .filter(|(rule, role, needed)| *role == Role::QaLead && *needed == 1 && *rule != Rule::CriteriaBugs)
        .map(|(rule, ..)| rule)
        .collect();
    s.by("priya")
        .attests_and_signs(Role::ProductOwner, &[Rule::StageAcceptance, Rule::CriteriaDocs]);
    s.last.as_ref().unwrap();
    s.by("tina").attests(Role::TechLead, &[Rule::CriteriaDocs]);
    // One criterion is missing: neither the words nor the sign-off are recorded.
    s.by("quinn")
        .attests_and_signs(Role::QaLead, &qa)
        .then_refused("criteria.bugs", "gates_unmet");
    assert_eq!(s.gate("stage.staging").state, GateState::Unmet);
    let all: Vec<Rule> = qa.iter().copied().chain([Rule::CriteriaBugs]).collect();
    s.by("quinn").attests_and_signs(Role::QaLead, &all);
    let events = s
        .last
        .as_ref()
        .unwrap()
        .iter()
        .map(crate::support::tell)
        .collect::<Vec<_>>();
    assert_eq!(events.len(), all.len() + 1);
    assert_eq!(events.last().unwrap(), "SignedOff qa_lead: quinn");
    assert_eq!(s.gate("signoff.qa-lead").state, GateState::Met);
}

#[test]
fn a_word_becomes_old_with_what_it_is_about_and_with_time() {
    let mut s = planned(Kind::Minor);
    s.by("dev")
        .attests(Role::DeploymentEngineer, &[Rule::HealthCpu, Rule::RiskRollbackTested]);
    s.by("rob").attests(Role::ReleaseManager, &[Rule::PlanTicket]);
    s.by("quinn").attests(Role::QaLead, &[Rule::StageStaging]);
    let states = |s: &Scenario| {
        ["health.cpu", "risk.rollback-tested", "plan.ticket", "stage.staging"].map(|rule| s.gate(rule).state)
    };
    assert_eq!(states(&s), [GateState::Met; 4]);
    s.at_ms(50 * MINUTE_MS + HOUR_MS - 1);
    assert_eq!(states(&s), [GateState::Met; 4]);
    s.at_ms(50 * MINUTE_MS + HOUR_MS);
    assert_eq!(s.gate("health.cpu").detail, Detail::Expired { at_ms: s.now });
    s.at(55).looks('b', "deploy.sh");
    let states_now = states(&s);
    assert_eq!(
        states_now,
        [GateState::Met, GateState::Stale, GateState::Met, GateState::Stale]
    );
    s.by("dev")
        .attests(Role::DeploymentEngineer, &[Rule::RiskRollbackTested]);
    assert_eq!(s.gate("risk.rollback-tested").state, GateState::Met);
}

#[test]
fn what_is_taken_back_holds_again_and_calls_a_requested_start_off() {
    let mut s = planned(Kind::Minor);
    everybody_attests(&mut s, None);
    s.by("priya").approves();
    s.by("quinn").approves().then_status(Status::Approved);
    s.by("paul")
        .takes_back(Rule::StageAcceptance)
        .then_refused("stage.acceptance", "nothing_signed");
    s.at(60).by("dev").deploys().then_status(Status::Queued);
    s.by("theo").takes_back(Rule::VcsReviewed).then_events([
        "AttestationWithdrawn vcs.reviewed by theo",
        "AttemptEnded 1 not started: called off",
        "EnvironmentUnlocked 1",
    ]);
    s.by("dev").deploys().then_refused("vcs.reviewed", "gates_unmet");
}

/// Who may waive what of a release with an expand-only migration, planned by Rita, written by Mia.
fn check_waiver(by: &str, rule: Rule, expected: Result<&str, &str>) {
    let mut s = planned(Kind::Minor);
    s.by(by).waives(rule);
    match (&s.last, expected) {
        (Ok(events), Ok(role)) => {
            let told = crate::support::tell(&events[0]);
            assert_eq!(told, format!("RuleWaived {rule} by {by}, {role}"));
            let state = s.gate(rule.id()).state;
            let alone = !matches!(rule.waivable(), Waivable::ByAll(_));
            assert_eq!(state, if alone { GateState::Waived } else { GateState::Unmet });
        }
        (Err(refusal), Err(cause)) => assert_eq!(refusal.cause.word(), cause, "{by} {rule}"),
        (last, _) => panic!("{by} {rule}: {last:?}"),
    }
}

#[test]
fn only_the_rulebooks_roles_waive_and_never_their_own() {
    use Rule::{BackupDatabase, CriteriaBugs, CriteriaCoverage, CriteriaDocs, StageAcceptance, StageStaging};
    check_waiver("theo", CriteriaCoverage, Ok("tech_lead"));
    check_waiver("quinn", CriteriaCoverage, Err("not_in_role"));
    check_waiver("rita", StageAcceptance, Err("own_release"));
    check_waiver("rob", StageAcceptance, Ok("release_manager"));
    // A release manager asked for it: a tech lead or the CTO may in their place.
    check_waiver("cleo", StageAcceptance, Ok("cto"));
    check_waiver("theo", StageAcceptance, Ok("tech_lead"));
    check_waiver("paul", CriteriaDocs, Ok("product_owner"));
    check_waiver("paul", CriteriaBugs, Ok("product_owner"));
    check_waiver("theo", StageStaging, Err("not_waivable"));
    check_waiver("rob", BackupDatabase, Err("not_waivable"));
    check_waiver("rob", Rule::ArtifactMatchesTag, Err("not_waivable"));
    check_waiver("rob", Rule::SignoffQaLead, Err("not_waivable"));
    check_waiver("theo", Rule::EmergencyNotice, Err("not_waivable"));
}

#[test]
fn open_bugs_are_waived_by_two_people_together() {
    let mut s = planned(Kind::Minor);
    s.by("paul").waives(Rule::CriteriaBugs);
    assert_eq!(s.gate("criteria.bugs").state, GateState::Unmet);
    s.by("quinn").waives(Rule::CriteriaBugs);
    assert_eq!(s.gate("criteria.bugs").state, GateState::Waived);
    s.by("paul").takes_back(Rule::CriteriaBugs);
    assert_eq!(s.gate("criteria.bugs").state, GateState::Unmet);
}

#[test]
fn a_waiver_dies_with_what_it_was_given_on_and_asks_the_qa_lead_again() {
    let mut s = planned(Kind::Minor);
    everybody_attests(&mut s, Some(Rule::CriteriaPerformance));
    s.by("theo").waives(Rule::CriteriaPerformance);
    s.by("priya").approves();
    s.by("quinn").approves().then_status(Status::Approved);
    // Another one afterwards changes what the QA lead signed, and nothing that the product owner did.
    s.by("theo").waives(Rule::CriteriaCoverage);
    assert!(s.last.as_ref().unwrap().len() >= 2);
    assert!(s.release().sign_offs.contains_key(&Role::ProductOwner));
    assert!(!s.release().sign_offs.contains_key(&Role::QaLead));
    assert_eq!(s.gate("criteria.performance").state, GateState::Waived);
    s.by("rita").plans(domain::command::Proposal {
        migration: Migration::ExpandOnly,
        tickets: [crate::support::key("PAY-102")].into(),
        ..proposal()
    });
    assert_eq!(s.gate("criteria.performance").state, GateState::Unmet);
}

#[test]
fn a_waiver_says_why_and_until_when() {
    for (justification, days, field) in [
        ("no", 7, "justification"),
        ("                                   ", 7, "justification"),
        ("only the fix of a typing error", 0, "follow_up"),
        ("only the fix of a typing error", 366, "follow_up"),
    ] {
        let mut s = planned(Kind::Minor);
        let follow_up_ms = s.now + days * DAY_MS;
        let view = Some(s.release().view());
        s.by("theo").does(Intent::Waive(Box::new(WaiverRequest {
            rule: Rule::CriteriaCoverage,
            view,
            justification: text(justification),
            follow_up_ms,
        })));
        let refusal = s.then_refused("criteria.coverage", "incomplete");
        assert!(format!("{refusal:?}").contains(field), "{refusal:?}");
    }
}

#[test]
fn a_word_counts_only_from_its_own_role_and_on_what_stands() {
    let mut s = planned(Kind::Minor);
    s.by("mia")
        .attests(Role::QaLead, &[Rule::StageStaging])
        .then_refused("roles.commands", "not_in_role");
    for (rule, cause) in [
        (Rule::SignoffQaLead, "not_attestable"),
        (Rule::SchedulePeak, "not_attestable"),
        (Rule::VcsReviewed, "not_in_role"),
    ] {
        s.by("quinn")
            .attests(Role::QaLead, &[rule])
            .then_refused(rule.id(), cause);
    }
    let view = s.release().view();
    s.looks('b', "deploy.sh");
    s.by("quinn").does(Intent::Attest(Box::new(domain::command::Attested {
        role: Role::QaLead,
        view: Some(view),
        lines: Vec::new(),
        signs: true,
        seen: None,
    })));
    s.then_refused("signoff.recorded", "stale_view");
}

/// Everything said and signed, but for what Theo waives.
fn waived(rule: Rule) -> Scenario {
    let mut s = planned(Kind::Minor);
    everybody_attests(&mut s, Some(rule));
    s.by("theo").waives(rule);
    s.by("priya").approves();
    s.by("quinn").approves().then_status(Status::Approved);
    s
}

fn has_signed(s: &Scenario, role: Role) -> bool {
    s.release().sign_offs.contains_key(&role)
}

#[test]
fn a_waiver_with_other_words_is_another_one_for_whoever_signed_it() {
    let mut s = waived(Rule::CriteriaPerformance);
    s.at(51).by("theo").waives(Rule::CriteriaPerformance);
    assert!(!has_signed(&s, Role::QaLead) && has_signed(&s, Role::ProductOwner));
    assert_eq!(s.gate("criteria.performance").state, GateState::Waived);
}

#[test]
fn a_half_waiver_is_none_and_the_other_half_asks_the_qa_lead_again() {
    let mut s = planned(Kind::Minor);
    everybody_attests(&mut s, None);
    s.by("priya").approves();
    s.by("quinn").approves().then_status(Status::Approved);
    s.by("paul").waives(Rule::CriteriaBugs);
    assert!(has_signed(&s, Role::QaLead), "a half changes nothing");
    s.is_now("uma", domain::people::Standing::Active, &[Role::QaLead]);
    s.by("uma").waives(Rule::CriteriaBugs);
    assert!(!has_signed(&s, Role::QaLead));
}

#[test]
fn a_waiver_of_somebody_who_became_an_author_counts_no_more() {
    let mut s = waived(Rule::CriteriaPerformance);
    s.by("rita").plans(domain::command::Proposal {
        migration: Migration::ExpandOnly,
        authors: crate::support::people(&["mia", "theo"]),
        ..proposal()
    });
    assert_eq!(s.gate("criteria.performance").state, GateState::Unmet);
}

#[test]
fn a_dead_waiver_does_not_come_back_with_what_it_was_given_on() {
    let mut s = waived(Rule::CriteriaPerformance);
    for start_ms in [65 * MINUTE_MS, 60 * MINUTE_MS] {
        s.by("rita").plans(domain::command::Proposal {
            migration: Migration::ExpandOnly,
            start_ms: crate::support::T0 + start_ms,
            ..proposal()
        });
        assert_eq!(s.gate("criteria.performance").state, GateState::Unmet, "{start_ms}");
    }
}

#[test]
fn a_verdict_that_turns_red_voids_the_sign_off_that_was_given_on_it() {
    let mut s = planned(Kind::Minor);
    everybody_attests(&mut s, None);
    s.by("priya").approves();
    s.by("quinn").approves().then_status(Status::Approved);
    s.by("quinn").takes_back(Rule::StageStaging).then_status(Status::Asking);
    assert!(!has_signed(&s, Role::QaLead) && has_signed(&s, Role::ProductOwner));
    s.by("quinn").attests(Role::QaLead, &[Rule::StageStaging]);
    assert!(!has_signed(&s, Role::QaLead), "who said it again signs again");
}

#[test]
fn a_word_is_taken_back_even_while_slack_tells_nothing() {
    let mut s = waived(Rule::CriteriaPerformance);
    s.at(60).by("dev").deploys().then_status(Status::Queued);
    s.silent = true;
    s.by("theo").takes_back(Rule::CriteriaPerformance);
    s.last.as_ref().unwrap();
    assert_eq!(s.gate("criteria.performance").state, GateState::Unmet);
    assert!(
        s.release().live_attempt().is_none(),
        "the requested start is called off"
    );
}

#[test]
fn nobody_waives_what_slack_could_not_say_is_not_theirs() {
    let mut s = planned(Kind::Minor);
    s.group_is_silent("theo", Role::QaLead);
    s.by("theo")
        .waives(Rule::CriteriaCoverage)
        .then_refused("criteria.coverage", "facts_unavailable");
    let mut s = planned(Kind::Minor);
    s.is_now(
        "theo",
        domain::people::Standing::Active,
        &[Role::TechLead, Role::QaLead],
    );
    s.by("theo")
        .waives(Rule::CriteriaCoverage)
        .then_refused("criteria.coverage", "own_gate");
}

#[test]
fn who_may_waive_in_two_roles_may_do_so_again_after_a_change() {
    let mut s = planned(Kind::Minor);
    s.is_now("theo", domain::people::Standing::Active, &[Role::TechLead, Role::Cto]);
    s.by("theo").waives(Rule::HealthCpu);
    s.looks('b', "deploy.sh");
    s.by("theo").waives(Rule::HealthCpu);
    assert_eq!(s.gate("health.cpu").state, GateState::Waived);
}
