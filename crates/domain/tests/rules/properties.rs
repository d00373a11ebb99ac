//! Random people do random things at random times; whatever starts is judged a second time by a naive reading of the
//! rulebook that shares no code with the domain: it reads the log and the world, nothing else.

use crate::reading::{CONFIRMED, Reading, Seat, Start};
use crate::support::{Scenario, T0, hotfix_request, key, people, person, proposal, seen, text};
use domain::case::Case;
use domain::command::{Intent, Proposal};
use domain::event::{Event, SourceProblem};
use domain::ids::{DAY_MS, HOUR_MS, MINUTE_MS, Millis, PersonId};
use domain::people::Standing;
use domain::policy::TechLeadMode;
use domain::release::{AttemptResult, AttemptState, Release, SettlementChoice, Status};
use domain::role::Role;
use domain::rule::{Effect, Judged, Kind, Rule};
use proptest::collection::vec;
use proptest::prelude::*;

const NAMES: [&str; 12] = [
    "rita", "priya", "paul", "quinn", "theo", "tina", "cleo", "vera", "dev", "moe", "gus", "rob",
];
const SIGNING: [Role; 4] = [Role::ProductOwner, Role::QaLead, Role::Cto, Role::TechLead];

/// Who confirms what in these histories.
const ATTESTERS: [(&str, Role); 5] = [
    ("rob", Role::ReleaseManager),
    ("dev", Role::DeploymentEngineer),
    ("quinn", Role::QaLead),
    ("priya", Role::ProductOwner),
    ("theo", Role::TechLead),
];

#[derive(Debug, Clone)]
enum Act {
    Approve,
    ApproveTyped,
    ApproveAs(usize),
    Reject,
    Withdraw,
    Cancel,
    Deploy,
    Stop,
    Settle(usize),
    Edit(u8),
    Look(char, bool),
    Start(u8),
    Running,
    End(bool),
    Interrupt,
    DeputyTimer,
    TechLeadTimer,
    Notice,
    Breach,
    Roles(usize),
    Mode(u8),
    Attest(usize, bool),
    Waive(usize),
    TakeBack(usize),
}

#[derive(Debug, Clone)]
struct Step {
    which: usize,
    who: usize,
    act: Act,
    later_ms: Millis,
    facts_age: Millis,
    silent: bool,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        24 => Just(Act::Approve),
        2 => Just(Act::ApproveTyped),
        3 => (0..4_usize).prop_map(Act::ApproveAs),
        1 => Just(Act::Reject),
        2 => prop::bool::weighted(0.1).prop_map(|gives_up| if gives_up { Act::Cancel } else { Act::Withdraw }),
        6 => Just(Act::Deploy),
        1 => Just(Act::Stop),
        4 => (0..3_usize).prop_map(Act::Settle),
        3 => (0..11_u8).prop_map(Act::Edit),
        2 => (prop::sample::select(vec!['a', 'a', 'b']), any::<bool>()).prop_map(|(c, s)| Act::Look(c, s)),
        12 => prop::sample::select(vec![0_u8, 0, 0, 0, 0, 1, 2, 3]).prop_map(Act::Start),
        2 => Just(Act::Running),
        4 => any::<bool>().prop_map(Act::End),
        2 => Just(Act::Interrupt),
        3 => Just(Act::DeputyTimer),
        5 => Just(Act::TechLeadTimer),
        1 => Just(Act::Notice),
        1 => Just(Act::Breach),
        3 => (0..SIGNING.len() + 5).prop_map(Act::Roles),
        1 => (0..3_u8).prop_map(Act::Mode),
        // What the engineer says grows old within the hour.
        14 => (prop::sample::select(vec![0, 1, 1, 1, 1, 2, 3, 4]), prop::bool::weighted(0.2))
            .prop_map(|(who, signs)| Act::Attest(who, signs)),
        3 => (0..CONFIRMED.len()).prop_map(Act::Waive),
        1 => (0..CONFIRMED.len()).prop_map(Act::TakeBack),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let later = prop::sample::select(vec![
        0,
        0,
        0,
        0,
        0,
        1,
        1_000,
        MINUTE_MS,
        MINUTE_MS,
        MINUTE_MS,
        5 * MINUTE_MS,
        15 * MINUTE_MS,
        45 * MINUTE_MS,
        2 * HOUR_MS,
    ]);
    let age = prop::sample::select(vec![0, 0, 0, 0, 0, 0, 0, 30_000, 60_000, 60_001, 30 * MINUTE_MS, -1]);
    (
        0..2_usize,
        0..NAMES.len(),
        act(),
        later,
        age,
        prop::bool::weighted(0.05),
    )
        .prop_map(|(which, who, act, later_ms, facts_age, silent)| Step {
            which,
            who,
            act,
            later_ms,
            facts_age,
            silent,
        })
}

fn plan() -> Proposal {
    Proposal {
        start_ms: T0 + 5 * MINUTE_MS,
        length_ms: 12 * HOUR_MS,
        ..proposal()
    }
}

fn edited(which: u8) -> Proposal {
    let mut plan = plan();
    match which {
        0 => plan.outcome = text("another outcome"),
        1 => plan.scope = text("another scope"),
        2 => plan.start_ms += HOUR_MS,
        3 => plan.start_ms += DAY_MS,
        4 => plan.authors = people(&["mia", "priya"]),
        5 => plan.version = domain::ids::Version::new("1.4.9").unwrap(),
        6 => plan.migration = domain::release::Migration::ExpandOnly,
        7 => drop(plan.tickets.insert(key("PAY-102"))),
        8 => plan.length_ms += HOUR_MS,
        9 => plan.length_ms -= 4 * HOUR_MS,
        _ => {}
    }
    plan
}

/// One of the attesters says everything that is theirs.
fn confirm(s: &mut Scenario, who: usize, signs: bool) {
    let (name, role) = ATTESTERS[who];
    let rules: Vec<Rule> = CONFIRMED
        .iter()
        .map(|confirmed| confirmed.rule)
        .filter(|rule| matches!(rule.judged(), Judged::Attested(roles, _) if roles.contains(&role)))
        .filter(|rule| s.policy.effect(*rule, s.release().kind, &s.release().service).is_some())
        .collect();
    if signs {
        s.by(name).attests_and_signs(role, &rules).done();
    } else {
        s.by(name).attests(role, &rules).done();
    }
}

/// Who acts: for a signature, mostly somebody in a role that signs, so that releases get somewhere.
fn perform(s: &mut Scenario, step: &Step) {
    const SIGNERS: [&str; 12] = [
        "priya", "quinn", "cleo", "theo", "priya", "quinn", "cleo", "tina", "paul", "vera", "moe", "gus",
    ];
    let name = match step.act {
        Act::Approve | Act::ApproveTyped => SIGNERS[step.who],
        _ => NAMES[step.who],
    };
    let number = s.attempt();
    match &step.act {
        Act::Approve => s.by(name).approves().done(),
        Act::ApproveTyped => s.by(name).types_approve().done(),
        Act::ApproveAs(role) => s.by(name).approves_as(SIGNING[*role]).done(),
        Act::Reject => s.by(name).rejects().done(),
        Act::Withdraw => s.by(name).withdraws().done(),
        Act::Cancel => s.by(name).cancels().done(),
        Act::Deploy => s.by("dev").deploys().done(),
        Act::Stop => s.by(name).stops().done(),
        Act::Settle(choice) => s.by(name).settles(SettlementChoice::ALL[*choice]).done(),
        Act::Edit(which) => drop(
            s.by(if *which % 2 == 0 { "rita" } else { "rob" })
                .plans(edited(*which))
                .now,
        ),
        Act::Look(letter, same) => s.looks(*letter, if *same { "deploy.sh" } else { "other.sh" }).done(),
        Act::Start(how) => {
            let source = s.release().source.clone();
            let mut look = seen('a', "deploy.sh", s.now);
            if let Some(source) = source {
                (look.commit, look.script, look.executor) = (Some(source.commit), source.script, source.executor);
            }
            match how {
                1 => look.commit = Some(crate::support::commit('e')),
                2 => look.commit = None,
                _ => {}
            }
            s.starts_seeing(if *how == 3 {
                Err(SourceProblem::GitSilent)
            } else {
                Ok(look)
            });
        }
        Act::Running => s.worker(Intent::RecordRunning { attempt: number }).done(),
        Act::End(succeeded) => {
            s.ends(if *succeeded {
                AttemptResult::Succeeded
            } else {
                AttemptResult::Failed(1)
            });
        }
        Act::Interrupt => s.is_interrupted().done(),
        Act::DeputyTimer => s.deputy_timer().done(),
        Act::TechLeadTimer => s.tech_lead_timer().done(),
        Act::Notice => s.notice_posted().done(),
        Act::Breach => s.notice_breach().done(),
        Act::Roles(role) => {
            let roles: Vec<Role> = SIGNING.get(*role).copied().into_iter().collect();
            match role {
                0..4 => s.is_now(name, Standing::Active, &roles).done(),
                4 => s.is_now(name, Standing::Deactivated, &[]).done(),
                _ => s.world = Scenario::empty().world,
            }
            s.last = Ok(Vec::new());
        }
        Act::Attest(who, signs) => confirm(s, *who, *signs),
        Act::Waive(rule) => s.by(name).waives(CONFIRMED[*rule].rule).done(),
        Act::TakeBack(rule) => s.by(name).takes_back(CONFIRMED[*rule].rule).done(),
        Act::Mode(mode) => {
            s.mode([TechLeadMode::Block, TechLeadMode::BlockThenOwe, TechLeadMode::Owe][usize::from(*mode)]);
            s.last = Ok(Vec::new());
        }
    }
}

/// Every reason why starting this attempt after these entries is against the rulebook.
fn objections(log: &[(Millis, Event)], attempt: u32, s: &Scenario) -> Vec<String> {
    let (mut reading, mut locked_for) = (Reading::default(), None);
    for (at_ms, event) in log {
        reading.take(*at_ms, event);
        match event {
            Event::EnvironmentLocked { attempt, .. } => locked_for = Some(*attempt),
            Event::EnvironmentUnlocked { .. } => locked_for = None,
            _ => {}
        }
    }
    let asks = |rule: &Rule| s.policy.effect(*rule, Kind::Minor, &s.release().service) == Some(Effect::Block);
    let confirmed: Vec<Rule> = CONFIRMED.iter().map(|confirmed| confirmed.rule).filter(asks).collect();
    let seat = |person: &PersonId, wanted: &[Role]| {
        let (standing, roles) = &s.world[person.as_str().trim_start_matches("p-")];
        if s.silent || s.facts_age.abs() > MINUTE_MS {
            Seat::Unknown
        } else if *standing == Standing::Active && wanted.iter().any(|role| roles.contains(role)) {
            Seat::Held
        } else {
            Seat::NotHeld
        }
    };
    reading.objections(&Start {
        attempt,
        now_ms: s.now,
        locked_for,
        tech_lead_mode: s.policy.tech_lead_mode,
        confirmed: &confirmed,
        seat: &seat,
    })
}

fn is_live(release: &Release) -> usize {
    release
        .attempts
        .iter()
        .filter(|attempt| !matches!(attempt.state, AttemptState::Ended(_)))
        .count()
}

/// Two releases of one service; what one does to the locks the other sees.
struct Both {
    releases: [Scenario; 2],
    starts: usize,
    fence: u64,
}

impl Both {
    /// `confirms` says whether people have to confirm what nothing looks at.
    fn new(first_is_hotfix: bool, second_is_hotfix: bool, confirms: bool) -> Self {
        let make = |is_hotfix, name| {
            let mut s = Scenario::empty();
            if confirms {
                let watched = |rule: &Rule| CONFIRMED.iter().any(|confirmed| confirmed.rule == *rule);
                s.policy.changes.retain(|rule, _| !watched(rule));
            }
            s.key = key(name);
            s.shares_service = true;
            if is_hotfix {
                s.by("rita").asks_for_hotfix(hotfix_request());
            } else {
                s.by("rita").plans(plan());
            }
            let mut s = s.resolved();
            // Said once at the beginning, so that histories are about what becomes of it.
            (0..ATTESTERS.len())
                .filter(|_| confirms)
                .for_each(|who| confirm(&mut s, who, false));
            s
        };
        Self {
            releases: [make(first_is_hotfix, "REL-1"), make(second_is_hotfix, "REL-2")],
            starts: 0,
            fence: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        let before = self.releases[step.which].log.len();
        for s in &mut self.releases {
            s.now += step.later_ms;
        }
        let other = self.releases[1 - step.which].case.service.clone();
        let s = &mut self.releases[step.which];
        (s.facts_age, s.silent) = (step.facts_age, step.silent);
        s.case.service = other;
        perform(s, step);
        let s = &self.releases[step.which];
        for index in before..s.log.len() {
            self.judge(step.which, index);
        }
        // Whoever changes role changes it for both releases.
        let (service, world, policy) = {
            let s = &self.releases[step.which];
            (s.case.service.clone(), s.world.clone(), s.policy.clone())
        };
        let other = &mut self.releases[1 - step.which];
        (other.case.service, other.world, other.policy) = (service, world, policy);
        let live: usize = self.releases.iter().map(|s| is_live(s.release())).sum();
        assert!(live <= 1, "two live attempts in one environment");
        for s in &self.releases {
            let runs = matches!(
                s.release().status,
                Status::Queued | Status::Deploying | Status::Interrupted
            );
            assert_eq!(
                runs,
                is_live(s.release()) == 1,
                "the status tells whether an attempt lives"
            );
        }
        let held = self.releases[0].holder();
        assert_eq!(held.is_some(), live == 1, "locked exactly while an attempt lives");
    }

    fn judge(&mut self, which: usize, index: usize) {
        let s = &self.releases[which];
        match &s.log[index].1 {
            Event::AttemptStarting { attempt, .. } => {
                let objections = objections(&s.log[..index], *attempt, s);
                assert!(
                    objections.is_empty(),
                    "{objections:?}\n{:#?}",
                    s.log.iter().map(|(_, e)| crate::support::tell(e)).collect::<Vec<_>>()
                );
                self.starts += 1;
            }
            Event::EnvironmentLocked { fence, .. } => {
                assert!(*fence > self.fence, "a fence that does not rise");
                self.fence = *fence;
            }
            Event::SignedOff { sign_off } => {
                let (standing, roles) = &s.world[sign_off.person.as_str().trim_start_matches("p-")];
                assert_eq!(*standing, Standing::Active, "signed by somebody who may not act");
                let cto = roles.contains(&Role::Cto) || roles.contains(&Role::CtoDeputy);
                assert!(
                    roles.contains(&sign_off.role) || sign_off.as_deputy && cto,
                    "signed out of role"
                );
                assert!(!s.silent || s.facts_age.abs() <= MINUTE_MS, "signed on old facts");
            }
            _ => {}
        }
    }
}

/// A few seconds by default; `PROPTEST_CASES=20000` for a long look.
fn cases(count: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: wanted.unwrap_or(count),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(160))]

    #[test]
    fn nothing_starts_that_the_rulebook_forbids(
        kinds in (any::<bool>(), any::<bool>(), any::<bool>()),
        steps in vec(step(), 1..60),
    ) {
        let mut both = Both::new(kinds.0, kinds.1, kinds.2);
        for step in &steps {
            both.take(step);
        }
    }

    #[test]
    fn any_event_in_any_order_at_any_time_folds_without_a_panic(
        order in vec((0..crate::golden::VARIANTS, -1_000_000_000_000_i64..3_000_000_000_000), 1..40),
    ) {
        let samples = crate::golden::samples();
        let mut case = Case::default();
        for (index, at_ms) in &order {
            case.evolve(&samples[*index], *at_ms);
        }
        if let Some(release) = &case.release {
            let state = serde_json::to_string(release).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Release>(&state).unwrap(), release);
        }
    }
}

/// The property above would hold for a bot that never starts anything: random life must reach starts of every kind.
#[test]
fn random_people_do_start_deployments() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut starts = [0; 4];
    for round in 0..360 {
        let steps = vec(step(), 60).new_tree(&mut runner).unwrap().current();
        let (is_hotfix, confirms) = (round % 3 == 0, round % 2 == 0);
        let mut both = Both::new(is_hotfix, is_hotfix, confirms);
        for step in &steps {
            both.take(step);
        }
        starts[usize::from(is_hotfix) + 2 * usize::from(confirms)] += both.starts;
    }
    let [planned, hotfixes, confirmed, confirmed_hotfixes] = starts;
    assert!(
        planned >= 3 && hotfixes >= 15 && confirmed >= 2 && confirmed_hotfixes >= 8,
        "{starts:?}: planned, hotfixes, and both where people confirm"
    );
}

#[test]
fn the_naive_reader_sees_what_is_wrong() {
    let objections = |s: &Scenario| objections(&s.log, s.attempt(), s);
    assert_eq!(objections(&Scenario::queued()), Vec::<String>::new());
    assert_eq!(objections(&Scenario::hotfix_owed()), Vec::<String>::new());
    let spoiled = |spoil: fn(&mut Scenario)| objections(&Scenario::queued().and(spoil));
    assert_eq!(
        spoiled(|s| {
            s.is_now("priya", Standing::Active, &[]);
        }),
        ["product_owner: not in the role any more"]
    );
    assert_eq!(spoiled(|s| s.silent = true).len(), 2);
    assert_eq!(
        spoiled(|s| {
            s.at(120);
        })
        .len(),
        2
    );
    assert_eq!(
        spoiled(|s| {
            s.at(59);
        }),
        ["before the planned start"]
    );
    assert_eq!(
        spoiled(|s| {
            s.by("priya").withdraws();
        })
        .len(),
        2
    );
    assert_eq!(
        spoiled(|s| {
            s.starts();
        }),
        ["started twice"]
    );
    let unconfirmed = objections(&Scenario::queued().and(|s| s.policy = domain::policy::Policy::default()));
    assert_eq!(unconfirmed.len(), CONFIRMED.len(), "{unconfirmed:?}");
    let author = objections(&Scenario::queued().and(|s| {
        let (_, Event::ReleasePlanned { authors, .. }) = &mut s.log[0] else {
            panic!()
        };
        authors.insert(person("quinn"));
    }));
    assert_eq!(author, ["qa_lead: own release"]);
}
