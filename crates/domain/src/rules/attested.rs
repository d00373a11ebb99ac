//! Rules that a person's word meets until a probe or a report does, and the waivers that excuse them.

use crate::attestation::{Attestation, Waiver};
use crate::digest::Digest;
use crate::fingerprint::{Field, Fingerprint};
use crate::ids::{DAY_MS, HOUR_MS, Millis, PersonId};
use crate::policy::Policy;
use crate::release::{Migration, Release};
use crate::role::Role;
use crate::rule::{Kind, Rule, Waivable};
use crate::rules::gates::{Detail, GateState};
use std::cell::OnceCell;
use std::collections::BTreeSet;

/// The fingerprint of the release that is judged: made once, and only if something rests on it.
#[derive(Debug, Default)]
pub struct Current(OnceCell<Fingerprint>);

impl Current {
    fn of(&self, release: &Release, policy: &Policy) -> &Fingerprint {
        self.0.get_or_init(|| Fingerprint::of(release, policy))
    }
}

/// Whether `rule` says anything about this release.
pub fn applies(rule: Rule, release: &Release) -> bool {
    let plan = release.plan.as_ref();
    match rule {
        // No migration is a class too, and the plan says it.
        Rule::RiskMigrations => plan.is_none_or(|plan| plan.migration != Migration::None),
        Rule::NoticeUserFacing => plan.is_none_or(|plan| plan.user_facing),
        _ => true,
    }
}

/// The parts of a release that a word about `rule` is about.
pub fn concerned(rule: Rule) -> &'static [Field] {
    use Field::{Commit, Dependencies, Executor, Length, Migration, PlannedStart, Scope, Target, Tickets, Version};
    match rule.family() {
        "plan" => &[Target, Tickets],
        "vcs" if rule == Rule::VcsScope => &[Target, Version, Commit, Tickets],
        "stage" if rule == Rule::StageOpsReady => &[Target, Version, Executor],
        "criteria" if rule == Rule::CriteriaDocs => &[Target, Version, Scope],
        "risk" if rule == Rule::RiskNoConflict => &[Target, PlannedStart, Length],
        "stage" | "risk" => &[Target, Version, Commit, Migration],
        "vcs" | "criteria" | "artifact" => &[Target, Version, Commit],
        "deps" => &[Target, Version, Commit, Dependencies],
        "backup" => &[Target, Migration],
        "schedule" => &[Target, Version, PlannedStart],
        "page" => &[Target, Version, PlannedStart, Tickets],
        _ => &[Target],
    }
}

/// How long a word about `rule` counts; nothing where it counts as long as what it is about stands.
pub fn counts_ms(rule: Rule, release: &Release) -> Option<Millis> {
    let migrates = release
        .plan
        .as_ref()
        .is_some_and(|plan| plan.migration != Migration::None);
    match rule {
        Rule::BackupRestoreTested if migrates || release.kind == Kind::Major => Some(7 * DAY_MS),
        Rule::BackupRestoreTested => Some(30 * DAY_MS),
        Rule::RiskRollbackTested => Some(14 * DAY_MS),
        Rule::RolesContacts => Some(90 * DAY_MS),
        _ => match rule.family() {
            "health" => Some(HOUR_MS),
            "backup" => Some(DAY_MS),
            _ => None,
        },
    }
}

/// Judges a rule by what people have said of it.
pub fn judge(
    rule: Rule,
    needed: usize,
    release: &Release,
    policy: &Policy,
    current: &Current,
    now_ms: Millis,
) -> (GateState, Detail) {
    let Some(said) = release.attestations.get(&rule) else {
        let by = Vec::new();
        return (GateState::Unmet, Detail::ToAttest { by, needed });
    };
    let current = current.of(release, policy);
    let standing = said
        .iter()
        .filter(|word| flaw(rule, word, release, current, now_ms).is_none());
    let standing: Vec<&Attestation> = standing.collect();
    if standing.len() >= needed {
        let until_ms = counts_ms(rule, release).zip(standing.iter().map(|word| word.said_ms).min());
        let detail = Detail::AttestedBy {
            people: standing.iter().map(|word| word.by.clone()).collect(),
            at_ms: standing.iter().map(|word| word.said_ms).max().unwrap_or_default(),
            until_ms: until_ms.map(|(counts_ms, said_ms)| said_ms + counts_ms),
        };
        return (GateState::Met, detail);
    }
    let mut flaws = said
        .iter()
        .filter_map(|word| flaw(rule, word, release, current, now_ms));
    match flaws.next_back() {
        Some(flaw) if standing.is_empty() => (GateState::Stale, flaw),
        _ => {
            let by = standing.iter().map(|word| word.by.clone()).collect();
            (GateState::Unmet, Detail::ToAttest { by, needed })
        }
    }
}

/// Why a word counts for nothing any more: it was about something else, or long ago.
fn flaw(rule: Rule, word: &Attestation, release: &Release, current: &Fingerprint, now_ms: Millis) -> Option<Detail> {
    let changed = word.on.changed(&current.only(concerned(rule)));
    if !changed.is_empty() {
        return Some(Detail::Changed(changed));
    }
    let until_ms = word.said_ms + counts_ms(rule, release)?;
    (now_ms >= until_ms).then_some(Detail::Expired { at_ms: until_ms })
}

/// Who may waive `rule` for this release: the rulebook's roles, and in place of a release manager who asked for it, a tech lead or
/// the CTO; where a tech lead waives with the release manager, only the CTO.
pub fn waiving_roles(rule: Rule, release: &Release) -> Vec<Role> {
    let (roles, instead): (&[Role], &[Role]) = match waivable(rule, release) {
        Waivable::Never => return Vec::new(),
        Waivable::By(roles) => (roles, &[Role::TechLead, Role::Cto]),
        Waivable::ByAll(roles) => (roles, &[Role::Cto]),
    };
    let mut all = roles.to_vec();
    if roles.iter().any(|role| stands_in(*role, release)) {
        all.extend(instead.iter().filter(|role| !roles.contains(role)));
    }
    all
}

/// Whether somebody else may waive in place of `role`: of a release manager, who may have asked for the release.
fn stands_in(role: Role, release: &Release) -> bool {
    role == Role::ReleaseManager && (release.owner.is_some() || release.kind.is_emergency())
}

/// Who may waive `rule`, given what this release does.
pub fn waivable(rule: Rule, release: &Release) -> Waivable {
    let migration = release.plan.as_ref().map_or(Migration::None, |plan| plan.migration);
    match rule {
        Rule::RiskMigrations if migration == Migration::Irreversible => {
            Waivable::ByAll(&[Role::TechLead, Role::ReleaseManager])
        }
        Rule::BackupDatabase | Rule::BackupConfig if migration != Migration::None => Waivable::Never,
        _ => rule.waivable(),
    }
}

/// The waivers of `rule` that count: given on exactly this release, by everybody whom it takes.
pub fn waived<'r>(rule: Rule, release: &'r Release, policy: &Policy, current: &Current) -> Option<Vec<&'r Waiver>> {
    release.waivers.get(&rule)?;
    standing(rule, release, &current.of(release, policy).without_waivers())
}

/// The same, where the fingerprint's digest without waivers is known.
pub(crate) fn standing<'r>(rule: Rule, release: &'r Release, on: &Digest) -> Option<Vec<&'r Waiver>> {
    let given = release.waivers.get(&rule)?.iter();
    // Who gave it may have become one of its authors since.
    let counts = |waiver: &&Waiver| waiver.on == *on && release.own_part(&waiver.by).is_none();
    let given: Vec<&Waiver> = given.filter(counts).collect();
    let roles: BTreeSet<Role> = given.iter().map(|waiver| waiver.role).collect();
    let people: BTreeSet<&PersonId> = given.iter().map(|waiver| &waiver.by).collect();
    let counts = match waivable(rule, release) {
        Waivable::Never => false,
        Waivable::By(_) => !given.is_empty(),
        Waivable::ByAll(all) => {
            let covers =
                |role: &Role| roles.contains(role) || (stands_in(*role, release) && roles.contains(&Role::Cto));
            all.iter().all(covers) && people.len() >= all.len()
        }
    };
    counts.then_some(given)
}
