//! A policy tried on made-up releases: a team writes down what must start and what must not, and a change of the policy is held
//! against that like code. The release is built by the same events as a real one and judged by the same gates.

use crate::attestation::{Attestation, Waiver};
use crate::case::{Case, Target};
use crate::digest::Digest;
use crate::event::{Event, SignOff};
use crate::fingerprint::Fingerprint;
use crate::ids::{CommitSha, DAY_MS, EnvironmentName, HOUR_MS, Millis, PersonId, ReleaseKey, ServiceName, Version};
use crate::people::{People, PersonFacts, Standing};
use crate::policy::Policy;
use crate::release::{Migration, Plan, Release, Status};
use crate::role::Role;
use crate::rule::Waivable;
use crate::rule::{Judged, Kind, Rule};
use crate::rules::attested::{concerned, waivable};
use crate::rules::gates::{GateState, Moment, gates};
use crate::rules::sign_off::{role_of, roles_of};
use std::collections::{BTreeMap, BTreeSet};

/// When everything is said and signed: a Monday in November 2026, noon UTC.
const SAID_MS: Millis = 1_795_435_200_000;

/// A release of which everything holds but what is said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose release.
    pub service: ServiceName,
    /// Its kind.
    pub kind: Kind,
    /// Rules of which nobody said that they hold, and sign-offs that nobody gave.
    pub missing: BTreeSet<Rule>,
    /// Rules that whoever may has waived.
    pub waived: BTreeSet<Rule>,
    /// Roles that said no.
    pub rejected: BTreeSet<Role>,
    /// Its migration, if it is planned.
    pub migration: Migration,
    /// How long before the start everything was said and signed.
    pub waited_ms: Millis,
}

/// What a policy makes of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The rules that hold the start; none if it starts.
    pub refused_by: BTreeSet<Rule>,
    /// The rules that are owed afterwards.
    pub owed: BTreeSet<Rule>,
}

impl Facts {
    /// A release of `service` of which everything holds.
    pub fn all_held(service: ServiceName, kind: Kind) -> Self {
        Self {
            service,
            kind,
            missing: BTreeSet::new(),
            waived: BTreeSet::new(),
            rejected: BTreeSet::new(),
            migration: Migration::None,
            waited_ms: 0,
        }
    }
}

/// What `policy` makes of `facts`; nothing only if the made-up release itself can't be built.
pub fn judge(policy: &Policy, facts: &Facts) -> Option<Outcome> {
    let now_ms = SAID_MS + facts.waited_ms;
    let release = release(policy, facts, now_ms)?;
    let case = Case {
        target: Some(Target {
            service: release.service.clone(),
            environment: release.environment.clone(),
            time_zone: release.time_zone.clone(),
            has_repository: true,
        }),
        people: people(now_ms),
        release: Some(release),
        ..Case::default()
    };
    let gates = gates(&case, policy, now_ms, Moment::Start);
    let of = |which: &dyn Fn(&crate::rules::gates::Gate) -> bool| {
        gates.iter().filter(|gate| which(gate)).map(|gate| gate.rule).collect()
    };
    Some(Outcome {
        refused_by: of(&|gate| gate.holds_start()),
        owed: of(&|gate| {
            gate.state == GateState::Owed
                || (gate.effect == crate::rule::Effect::Owe
                    && gate.state != GateState::Met
                    && facts.missing.contains(&gate.rule))
        }),
    })
}

fn person(name: &str) -> Option<PersonId> {
    PersonId::new(format!("p-{}", name.replace('_', ""))).ok()
}

/// One person for each role, none of them part of the release.
fn people(now_ms: Millis) -> People {
    let mut people = People::default();
    for role in Role::ALL {
        let Some(holder) = person(role.key()) else { continue };
        let facts = PersonFacts {
            standing: Standing::Active,
            roles: BTreeMap::from([(role, "trial".to_owned())]),
            untold: BTreeSet::new(),
            observed_ms: now_ms,
        };
        people.facts.insert(holder.clone(), facts);
        people.holders.insert(role, vec![holder]);
    }
    people
}

/// The release, by the events that would have made it; nothing if a name of the trial itself were wrong.
fn release(policy: &Policy, facts: &Facts, now_ms: Millis) -> Option<Release> {
    let proposed = if facts.kind.is_emergency() {
        hotfix(facts)?
    } else {
        planned(facts, now_ms)?
    };
    let mut release = Release::begin(&proposed, SAID_MS - DAY_MS)?;
    let mut then = |event: Event| release.evolve(&event, SAID_MS);
    if !facts.missing.contains(&Rule::VcsTag) {
        then(Event::SourceResolved {
            commit: CommitSha::new("a".repeat(40)).ok()?,
            script: Digest::of(b"script"),
            executor: Digest::of(b"executor"),
            observed_ms: SAID_MS,
            typed_by: None,
        });
    }
    for role in roles_of(facts.kind) {
        then(Event::SignOffRequested {
            role: *role,
            people: BTreeSet::from([person(role.key())?]),
            revision: 2,
        });
    }
    say(&mut release, policy, facts)?;
    sign(&mut release, policy, facts)?;
    if facts.rejected.is_empty() {
        // Approved by whoever signed; the gates judge whether that is enough.
        release.status = Status::Approved;
    }
    Some(release)
}

fn planned(facts: &Facts, now_ms: Millis) -> Option<Event> {
    let (requester, mia) = (person("requester")?, person("author")?);
    Some(Event::ReleasePlanned {
        release: ReleaseKey::new("REL-1").ok()?,
        kind: facts.kind,
        service: facts.service.clone(),
        environment: EnvironmentName::new("production").ok()?,
        time_zone: "UTC".to_owned(),
        version: Version::new("1.0.0").ok()?,
        owner: (!facts.missing.contains(&Rule::PlanComplete)).then(|| requester.clone()),
        requester,
        plan: Plan {
            start_ms: now_ms,
            length_ms: HOUR_MS,
            scope: Digest::of(b"scope"),
            dependencies: Digest::of(b"dependencies"),
            user_facing: true,
            migration: facts.migration,
            outcome: Digest::of(b"outcome"),
            abort_criteria: Digest::of(b"abort"),
        },
        tickets: BTreeSet::from([ReleaseKey::new("PAY-1").ok()?]),
        authors: BTreeSet::from([mia]),
        typed_commit: None,
    })
}

fn hotfix(facts: &Facts) -> Option<Event> {
    Some(Event::HotfixRequested {
        release: ReleaseKey::new("HOTFIX-1").ok()?,
        service: facts.service.clone(),
        environment: EnvironmentName::new("production").ok()?,
        time_zone: "UTC".to_owned(),
        version: Version::new("1.0.1").ok()?,
        requester: person("requester")?,
        justification: Digest::of(b"why"),
        tickets: BTreeSet::new(),
        authors: BTreeSet::from([person("author")?]),
        typed_commit: None,
    })
}

/// Everybody says and waives what is theirs.
fn say(release: &mut Release, policy: &Policy, facts: &Facts) -> Option<()> {
    for rule in Rule::ALL {
        if facts.waived.contains(rule) {
            waive(release, policy, *rule)?;
            continue;
        }
        let Judged::Attested(roles, needed) = rule.judged() else {
            continue;
        };
        if facts.missing.contains(rule) {
            continue;
        }
        for role in roles.iter().take(needed) {
            let on = Fingerprint::of(release, policy).only(concerned(*rule));
            let attestation = Attestation {
                by: person(role.key())?,
                role: *role,
                membership: "trial".to_owned(),
                facts_ms: SAID_MS,
                said_ms: SAID_MS,
                on,
                note: None,
            };
            let event = Event::Attested {
                rule: *rule,
                attestation: Box::new(attestation),
            };
            release.evolve(&event, SAID_MS);
        }
    }
    Some(())
}

fn waive(release: &mut Release, policy: &Policy, rule: Rule) -> Option<()> {
    let roles: &[Role] = match waivable(rule, release) {
        Waivable::Never => &[],
        Waivable::By(roles) => &roles[..1],
        Waivable::ByAll(roles) => roles,
    };
    for role in roles {
        let waiver = Waiver {
            by: person(role.key())?,
            role: *role,
            membership: "trial".to_owned(),
            facts_ms: SAID_MS,
            waived_ms: SAID_MS,
            on: Fingerprint::of(release, policy).without_waivers(),
            justification: Digest::of(b"why"),
            follow_up_ms: SAID_MS + DAY_MS,
        };
        let event = Event::RuleWaived {
            rule,
            waiver: Box::new(waiver),
        };
        release.evolve(&event, SAID_MS);
    }
    Some(())
}

fn sign(release: &mut Release, policy: &Policy, facts: &Facts) -> Option<()> {
    for role in roles_of(facts.kind) {
        let by = person(role.key())?;
        if facts.rejected.contains(role) {
            let event = Event::ReleaseRejected {
                role: *role,
                person: by,
                reason: Digest::of(b"why"),
            };
            release.evolve(&event, SAID_MS);
            continue;
        }
        if facts.missing.iter().any(|rule| role_of(*rule) == Some(*role)) {
            continue;
        }
        let sign_off = SignOff {
            role: *role,
            person: by,
            as_deputy: false,
            membership: "trial".to_owned(),
            facts_ms: SAID_MS,
            fingerprint: Fingerprint::of(release, policy),
            rules: policy.effective_digest(facts.kind, &facts.service),
            seen: None,
            signed_ms: SAID_MS,
            confirms_rejection: false,
        };
        let event = Event::SignedOff {
            sign_off: Box::new(sign_off),
        };
        release.evolve(&event, SAID_MS);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, change: impl FnOnce(&mut Facts), refused_by: &[Rule]) {
        let mut facts = Facts::all_held(ServiceName::new("payments").unwrap(), kind);
        change(&mut facts);
        let outcome = judge(&Policy::default(), &facts).unwrap();
        assert_eq!(
            outcome.refused_by.into_iter().collect::<Vec<_>>(),
            refused_by,
            "{facts:?}"
        );
    }

    #[test]
    fn what_holds_starts_and_what_is_missing_alone_refuses() {
        for kind in Kind::ALL {
            check(kind, |_| (), &[]);
            let blocks = Rule::ALL
                .iter()
                .filter(|rule| rule.effect(kind) == Some(crate::rule::Effect::Block));
            for rule in blocks.filter(|rule| matches!(rule.judged(), Judged::Attested(..))) {
                let applies = *rule != Rule::RiskMigrations || kind.is_emergency();
                let expected: &[Rule] = if applies { std::slice::from_ref(rule) } else { &[] };
                check(
                    kind,
                    |facts| {
                        facts.missing.insert(*rule);
                    },
                    expected,
                );
            }
        }
    }

    #[test]
    fn sign_offs_rejections_waivers_and_time_count_as_they_do_for_real() {
        use Rule::{CriteriaBugs, SignoffCto, SignoffQaLead, SignoffTechLead, StageStaging};
        check(
            Kind::Minor,
            |facts| {
                facts.missing.insert(SignoffQaLead);
            },
            &[SignoffQaLead],
        );
        check(
            Kind::Minor,
            |facts| {
                facts.rejected.insert(Role::QaLead);
            },
            &[SignoffQaLead, Rule::DeployStart],
        );
        check(
            Kind::Emergency,
            |facts| {
                facts.missing.insert(SignoffCto);
            },
            &[SignoffCto],
        );
        check(
            Kind::Emergency,
            |facts| {
                facts.missing.insert(SignoffTechLead);
            },
            &[SignoffTechLead],
        );
        let waits = |facts: &mut Facts| {
            facts.missing.insert(SignoffTechLead);
            facts.waited_ms = 15 * crate::ids::MINUTE_MS;
        };
        check(Kind::Emergency, waits, &[]);
        check(
            Kind::Minor,
            |facts| {
                facts.waived.insert(CriteriaBugs);
            },
            &[],
        );
        check(
            Kind::Minor,
            |facts| {
                facts.waived.insert(StageStaging);
            },
            &[StageStaging],
        );
    }
}
