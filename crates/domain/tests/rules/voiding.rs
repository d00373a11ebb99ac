//! A change voids exactly the sign-offs whose role cares, and asks those again.

use crate::support::{Scenario, T0, commit, hotfix_request, key, people, person, proposal, seen, tell, text};
use domain::attestation::Waiver;
use domain::command::Proposal;
use domain::digest::Digest;
use domain::event::SourceProblem;
use domain::fingerprint::{Field, Fingerprint};
use domain::ids::{DAY_MS, EnvironmentName, HOUR_MS, Millis, Version};
use domain::people::Standing;
use domain::policy::{Policy, TechLeadMode};
use domain::release::{Migration, Release, Status};
use domain::role::Role;
use domain::rule::{Kind, Rule};
use domain::rules::gates::{Detail, Gate, GateState, Moment};

/// The reviewed table: whose sign-off falls with which field. "What every sign-off obeys" in the rulebook, with
/// everything that moves the deployed bits (`vcs.tag`, `deploy.script`) added for everyone.
fn who_cares(field: Field) -> &'static [Role] {
    const EVERYONE: &[Role] = &[Role::QaLead, Role::ProductOwner, Role::TechLead, Role::Cto];
    match field {
        Field::Target
        | Field::Kind
        | Field::Version
        | Field::Commit
        | Field::Rules
        | Field::Executor
        | Field::Script => EVERYONE,
        Field::Tickets | Field::Scope | Field::Dependencies | Field::PlannedStart | Field::UserFacing => {
            &[Role::ProductOwner]
        }
        Field::Migration => &[Role::QaLead],
        Field::Waivers => &[Role::QaLead, Role::TechLead, Role::Cto],
        Field::Justification | Field::Skips => &[Role::TechLead, Role::Cto],
        Field::Length | Field::Outcome => &[],
    }
}

#[test]
fn the_fields_that_concern_a_role_are_the_reviewed_ones() {
    for field in Field::ALL {
        let concerned: Vec<Role> = [Role::QaLead, Role::ProductOwner, Role::TechLead, Role::Cto]
            .into_iter()
            .filter(|role| field.concerns(*role))
            .collect();
        assert_eq!(concerned, who_cares(field), "{}", field.title());
        assert_eq!(
            serde_json::from_value::<Field>(serde_json::to_value(field).unwrap()).unwrap(),
            field
        );
    }
}

fn waiver(on: Digest) -> Waiver {
    Waiver {
        by: person("paul"),
        role: Role::ProductOwner,
        membership: "person:paul".to_owned(),
        facts_ms: T0,
        waived_ms: T0,
        on,
        justification: Digest::of(b"why"),
        follow_up_ms: T0 + DAY_MS,
    }
}

/// Mutates the state or the policy in exactly one field.
fn mutate(field: Field, release: &mut Release, policy: &mut Policy) {
    if field == Field::Waivers {
        let waiver = waiver(Fingerprint::of(release, policy).without_waivers());
        release.waivers.insert(Rule::CriteriaDocs, vec![waiver]);
        return;
    }
    let plan = release.plan.as_mut();
    let source = release.source.as_mut().unwrap();
    let other = Digest::of(b"other");
    match field {
        Field::Target => release.environment = EnvironmentName::new("staging").unwrap(),
        Field::Kind => release.kind = Kind::Major,
        Field::Version => release.version = Version::new("9.9.9").unwrap(),
        Field::Commit => source.commit = commit('9'),
        Field::Tickets => drop(release.tickets.insert(key("PAY-999"))),
        Field::Scope => plan.unwrap().scope = other,
        Field::Dependencies => plan.unwrap().dependencies = other,
        Field::PlannedStart => plan.unwrap().start_ms -= 1,
        Field::Length => plan.unwrap().length_ms += 1,
        Field::UserFacing => plan.unwrap().user_facing = false,
        Field::Migration => plan.unwrap().migration = Migration::Irreversible,
        Field::Outcome => plan.unwrap().abort_criteria = other,
        Field::Justification => release.justification = Some(other),
        Field::Rules => {
            policy.planned_sign_off_max_ms -= 1;
            policy.tech_lead_wait_ms -= 1;
        }
        Field::Executor => source.executor = other,
        Field::Script => source.script = other,
        Field::Waivers => unreachable!("done above"),
        Field::Skips => unreachable!("data of the program, not of a release"),
    }
}

#[test]
fn each_field_by_itself_voids_exactly_the_sign_offs_whose_role_cares() {
    let planned = [
        Field::Scope,
        Field::Dependencies,
        Field::PlannedStart,
        Field::Length,
        Field::UserFacing,
        Field::Migration,
        Field::Outcome,
    ];
    for field in Field::ALL.into_iter().filter(|field| *field != Field::Skips) {
        for is_emergency in [false, true] {
            if is_emergency && (planned.contains(&field) || field == Field::Kind)
                || !is_emergency && field == Field::Justification
            {
                continue;
            }
            let mut s = if is_emergency {
                Scenario::hotfix_owed()
            } else {
                Scenario::approved()
            };
            if is_emergency {
                s.by("theo").approves();
            }
            let before = Fingerprint::of(s.release(), &s.policy);
            let mut policy = s.policy.clone();
            let release = s.case.release.as_mut().unwrap();
            mutate(field, release, &mut policy);
            s.policy = policy;
            let now = Fingerprint::of(s.release(), &s.policy);
            assert_eq!(before.changed(&now), [field], "exactly this field");
            assert_ne!(before.digest(), now.digest());
            let signers = if is_emergency {
                [(Role::Cto, "signoff.cto"), (Role::TechLead, "signoff.tech-lead")]
            } else {
                [
                    (Role::ProductOwner, "signoff.product-owner"),
                    (Role::QaLead, "signoff.qa-lead"),
                ]
            };
            s.case.people = s.people_for(&domain::command::Actor::Countersign);
            for (role, rule) in signers {
                let cares = who_cares(field).contains(&role);
                assert_eq!(before.voids(&now, role).is_empty(), !cares, "{field:?} {role}");
                let gate = s.gate(rule);
                let stale = gate.detail == Detail::Changed(vec![field]) || gate.state == GateState::Owed;
                assert_eq!(stale, cares, "{field:?} {role}: {gate:?}");
            }
        }
    }
}

/// Edits an approved plan: the sign-offs of `voided` fall because of `fields` and are asked for again.
#[track_caller]
fn check_edit(change: fn(&mut Proposal), voided: &[&str], fields: &str) {
    let mut s = Scenario::approved();
    let mut plan = proposal();
    change(&mut plan);
    s.by("rita").plans(plan);
    let events: Vec<String> = s.last.as_ref().unwrap().iter().map(tell).collect();
    let mut expected = vec!["PlanChanged".to_owned()];
    if voided.is_empty() {
        expected.push("ReleaseApproved".to_owned());
    } else {
        expected.push(format!("SignOffsVoided {}: {fields}", voided.join(" ")));
    }
    for (role, asked) in [("product_owner", "paul priya"), ("qa_lead", "quinn")] {
        if voided.contains(&role) {
            expected.push(format!("SignOffRequested {role}: {asked}"));
        }
    }
    assert_eq!(events, expected);
    s.then_status(if voided.is_empty() {
        Status::Approved
    } else {
        Status::Asking
    });
}

#[test]
fn an_edit_voids_what_it_concerns_and_asks_only_those_again() {
    check_edit(|_| {}, &[], "");
    check_edit(|p| p.outcome = text("other"), &[], "");
    check_edit(|p| p.abort_criteria = text("other"), &[], "");
    check_edit(|p| p.length_ms += HOUR_MS, &[], "");
    check_edit(|p| p.scope = text("other"), &["product_owner"], "scope");
    check_edit(|p| p.dependencies = text("ledger"), &["product_owner"], "dependencies");
    check_edit(|p| p.tickets.extend([key("PAY-102")]), &["product_owner"], "tickets");
    check_edit(|p| p.user_facing = false, &["product_owner"], "user_facing");
    check_edit(|p| p.migration = Migration::ExpandOnly, &["qa_lead"], "migration");
    check_edit(|p| p.kind = Kind::Major, &["qa_lead", "product_owner"], "kind");
    check_edit(|p| p.start_ms -= 1, &["product_owner"], "planned_start");
    check_edit(|p| p.start_ms += 10 * HOUR_MS, &[], "");
    check_edit(|p| p.start_ms += DAY_MS, &["product_owner"], "planned_start");
    check_edit(|p| p.authors = people(&["mia", "moe"]), &[], "");
    // A signer who turns out to be an author has signed their own release.
    check_edit_without(
        |p| p.authors = people(&["mia", "priya"]),
        "SignOffsVoided product_owner: ",
        "paul",
    );
}

#[track_caller]
fn check_edit_without(change: fn(&mut Proposal), voided: &str, asked: &str) {
    let mut s = Scenario::approved();
    let mut plan = proposal();
    change(&mut plan);
    s.by("rita").plans(plan).then_events([
        "PlanChanged",
        voided,
        format!("SignOffRequested product_owner: {asked}").as_str(),
    ]);
}

#[test]
fn a_new_version_makes_the_source_unknown_and_the_new_commit_voids_everything() {
    let mut s = Scenario::approved();
    let mut plan = proposal();
    plan.version = Version::new("1.4.1").unwrap();
    s.by("rita")
        .plans(plan)
        .then_events(["PlanChanged"])
        .then_status(Status::Drafted);
    s.at(60).by("dev").deploys().then_refused("vcs.tag", "gates_unmet");
    s.looks('b', "deploy.sh").then_events([
        "SourceResolved",
        "SignOffsVoided qa_lead product_owner: version commit",
        "SignOffRequested product_owner: paul priya",
        "SignOffRequested qa_lead: quinn",
    ]);
}

fn ms(text: &str) -> Millis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Signed for `signed`, moved to `moved`: does the product owner's sign-off stand?
#[track_caller]
fn check_move(zone: &str, signed: &str, moved: &str, stands: bool) {
    let mut s = Scenario::empty();
    zone.clone_into(&mut s.case.target.as_mut().unwrap().time_zone);
    s.now = ms(signed) - HOUR_MS;
    let mut plan = proposal();
    plan.start_ms = ms(signed);
    s.by("rita").plans(plan.clone());
    let mut s = s.resolved();
    s.by("priya").approves();
    plan.start_ms = ms(moved);
    s.by("rita").plans(plan);
    assert_eq!(
        s.release().sign_offs.contains_key(&Role::ProductOwner),
        stands,
        "{signed} to {moved}"
    );
}

#[test]
fn a_later_start_keeps_the_sign_off_only_on_the_same_day_of_the_services_zone() {
    let berlin = "Europe/Berlin";
    check_move(
        berlin,
        "2026-11-30T10:00:00+01:00",
        "2026-11-30T23:59:59.999+01:00",
        true,
    );
    check_move(berlin, "2026-11-30T10:00:00+01:00", "2026-12-01T00:00:00+01:00", false);
    check_move(
        berlin,
        "2026-11-30T10:00:00+01:00",
        "2026-11-30T09:59:59.999+01:00",
        false,
    );
    // 23:30 in UTC is the next day in Berlin, and the same evening in New York.
    check_move(berlin, "2026-11-30T22:30:00Z", "2026-11-30T23:30:00Z", false);
    check_move("America/New_York", "2026-11-30T22:30:00Z", "2026-12-01T04:59:59Z", true);
    check_move("UTC", "2026-11-30T22:30:00Z", "2026-11-30T23:30:00Z", true);
}

#[test]
fn both_changes_of_the_clock_leave_the_day_what_it_is() {
    let berlin = "Europe/Berlin";
    // The day of 23 hours: from 01:59 winter time to 23:59 summer time.
    check_move(berlin, "2027-03-28T01:59:00+01:00", "2027-03-28T23:59:00+02:00", true);
    check_move(berlin, "2027-03-28T01:59:00+01:00", "2027-03-29T00:00:00+02:00", false);
    // The day of 25 hours: 02:30 comes twice, the second time an hour later.
    check_move(berlin, "2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00", true);
    check_move(berlin, "2027-10-31T02:30:00+01:00", "2027-10-31T02:30:00+02:00", false);
    check_move(berlin, "2027-10-31T00:00:00+02:00", "2027-10-31T23:59:59+01:00", true);
}

#[test]
fn a_tag_that_moved_is_found_at_the_start() {
    let mut s = Scenario::queued();
    s.starts_seeing(Ok(seen('b', "deploy.sh", s.now))).then_events([
        "AttemptEnded 1 not started: tag moved",
        "EnvironmentUnlocked 1",
        "SourceResolved",
        "SignOffsVoided qa_lead product_owner: commit",
        "SignOffRequested product_owner: paul priya",
        "SignOffRequested qa_lead: quinn",
    ]);
    assert_eq!((s.release().status, s.holder()), (Status::Asking, None));
    s.by("dev")
        .deploys()
        .then_refused("signoff.product-owner", "gates_unmet");
}

#[test]
fn so_is_a_changed_script_or_executor() {
    let mut executor = seen('a', "deploy.sh", T0 + HOUR_MS);
    executor.executor = Digest::of(b"other");
    for (look, field) in [(seen('a', "evil.sh", T0 + HOUR_MS), "script"), (executor, "executor")] {
        let mut s = Scenario::queued();
        s.starts_seeing(Ok(look)).then_events([
            "AttemptEnded 1 not started: script changed",
            "EnvironmentUnlocked 1",
            "SourceResolved",
            format!("SignOffsVoided qa_lead product_owner: {field}").as_str(),
            "SignOffRequested product_owner: paul priya",
            "SignOffRequested qa_lead: quinn",
        ]);
        assert_eq!(s.holder(), None);
    }
}

#[test]
fn a_hotfix_that_moved_asks_cto_and_tech_lead_again_and_both_waits_run_anew() {
    let mut s = Scenario::hotfix_owed();
    s.starts_seeing(Ok(seen('b', "deploy.sh", s.now))).then_events([
        "AttemptEnded 1 not started: tag moved",
        "EnvironmentUnlocked 1",
        "SourceResolved",
        "SignOffsVoided cto: commit",
        "SignOffRequested cto: cleo",
        "SignOffRequested tech_lead: theo tina",
    ]);
    s.at(16).by("cleo").approves().then_status(Status::Asking);
    assert_eq!(s.gate("signoff.tech-lead").next_ms, Some(T0 + HOUR_MS / 2));
}

#[test]
fn where_git_or_the_script_can_not_be_read_nothing_starts() {
    let mut silent = seen('a', "deploy.sh", T0 + HOUR_MS);
    silent.commit = None;
    let looks = [
        (Ok(silent), "source unknown git silent"),
        (Err(SourceProblem::TagMissing), "source unknown tag missing"),
        (Err(SourceProblem::ScriptMissing), "source unknown script missing"),
    ];
    for (look, why) in looks {
        let mut s = Scenario::queued();
        s.starts_seeing(look).then_events([
            format!("AttemptEnded 1 not started: {why}").as_str(),
            "EnvironmentUnlocked 1",
        ]);
        s.then_status(Status::Approved);
        assert_eq!(s.holder(), None);
    }
}

#[test]
fn the_policy_of_the_sign_offs_and_todays_must_agree_at_the_start() {
    let mut s = Scenario::queued();
    s.policy.planned_sign_off_max_ms = DAY_MS;
    s.starts().then_events([
        "AttemptEnded 1 not started: gate unmet",
        "EnvironmentUnlocked 1",
        "SignOffsVoided qa_lead product_owner: rules",
        "SignOffRequested product_owner: paul priya",
        "SignOffRequested qa_lead: quinn",
    ]);
    let mut s = Scenario::hotfix_owed();
    s.mode(TechLeadMode::Owe);
    s.starts().then_status(Status::Asking);
    // An edit elsewhere in the policy voids nothing.
    let mut s = Scenario::queued();
    s.mode(TechLeadMode::Block);
    s.policy.notice_mail_after_ms += 1;
    s.policy.emergency_sign_off_ms -= 1;
    s.starts().then_events(["AttemptStarting 1"]);
}

#[test]
fn the_start_names_the_fingerprint_that_was_signed() {
    let s = Scenario::deploying();
    let signed = s.release().sign_offs[&Role::QaLead].fingerprint.digest();
    let started = s.log.iter().find_map(|(_, event)| match event {
        domain::event::Event::AttemptStarting {
            fingerprint,
            commit: c,
            script,
            host,
            fence,
            ..
        } => Some((fingerprint.clone(), c.clone(), script.clone(), host.clone(), *fence)),
        _ => None,
    });
    assert_eq!(
        started,
        Some((signed, commit('a'), Digest::of(b"deploy.sh"), "host-1".to_owned(), 1))
    );
}

#[test]
fn a_hotfix_found_changed_before_the_start_voids_both_sign_offs() {
    let mut s = Scenario::empty();
    s.by("rita").asks_for_hotfix(hotfix_request());
    let mut s = s.resolved();
    s.at(1).by("theo").approves();
    s.at(2).looks('a', "other.sh").then_events([
        "SourceResolved",
        "SignOffsVoided tech_lead: script",
        "SignOffRequested cto: cleo",
        "SignOffRequested tech_lead: theo tina",
    ]);
}

#[test]
fn a_release_manager_who_edits_a_plan_answers_for_it_and_does_not_sign_it() {
    let mut s = Scenario::approved();
    s.is_now("priya", Standing::Active, &[Role::ProductOwner, Role::ReleaseManager]);
    s.by("priya").plans(proposal()).then_events([
        "PlanChanged",
        "SignOffsVoided product_owner: ",
        "SignOffRequested product_owner: paul",
    ]);
    assert_eq!(s.release().owner, Some(person("priya")));
}

#[test]
fn an_overview_and_a_start_judge_the_same_sign_offs() {
    let mut s = Scenario::approved();
    s.at(60);
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    let states = |moment| {
        s.gates(moment)
            .into_iter()
            .map(|gate| (gate.rule, gate.state))
            .collect::<Vec<_>>()
    };
    assert_eq!(states(Moment::Overview), states(Moment::Start));
    assert!(!s.gates(Moment::Overview).iter().any(Gate::holds_start));
}

#[test]
fn an_edit_says_which_fields_are_different() {
    let changed = |change: fn(&mut Proposal)| {
        let mut s = Scenario::approved();
        let mut plan = proposal();
        change(&mut plan);
        s.by("rita").plans(plan);
        let domain::event::Event::PlanChanged { changed, .. } = &s.last.as_ref().unwrap()[0] else {
            panic!("{:?}", s.last)
        };
        changed.clone()
    };
    assert_eq!(changed(|_| {}), []);
    assert_eq!(changed(|p| p.start_ms += 1), [Field::PlannedStart]);
    assert_eq!(changed(|p| p.outcome = text("other")), [Field::Outcome]);
    assert_eq!(
        changed(|p| {
            p.tickets.insert(key("PAY-102"));
            p.version = Version::new("1.4.1").unwrap();
        }),
        [Field::Version, Field::Tickets],
        "the commit is compared when it is known"
    );
}

#[test]
fn a_commit_that_was_typed_for_one_version_says_nothing_of_another() {
    let mut s = Scenario::empty();
    let mut plan = proposal();
    plan.commit = Some(commit('c'));
    s.by("rita").plans(plan.clone());
    assert_eq!(s.release().typed_by, Some(person("rita")));
    plan.commit = None;
    plan.version = Version::new("1.4.1").unwrap();
    s.by("rob").plans(plan);
    assert_eq!(
        (s.release().typed_commit.clone(), s.release().typed_by.clone()),
        (None, None)
    );
}
