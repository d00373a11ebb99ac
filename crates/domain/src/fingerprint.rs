//! What a sign-off binds to: the release fingerprint, field by field, so that a change can say which
//! field moved and whose sign-off it voids ("What every sign-off obeys" in the rulebook).

use crate::attestation::Waiver;
use crate::canonical;
use crate::digest::Digest;
use crate::ids::Millis;
use crate::policy::Policy;
use crate::release::Release;
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::attested::standing;
use crate::sabotage::{Guard, is_out};
use crate::schedule::day_of;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// One part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The service and its environment.
    Target,
    /// Major, minor or emergency.
    Kind,
    /// The version.
    Version,
    /// The commit behind the tag.
    Commit,
    /// The tickets in it.
    Tickets,
    /// Scope, in words.
    Scope,
    /// Internal and external dependencies.
    Dependencies,
    /// The planned start.
    PlannedStart,
    /// How long it takes.
    Length,
    /// Whether users notice.
    UserFacing,
    /// The migration class.
    Migration,
    /// Expected outcome and abort criteria.
    Outcome,
    /// Why the emergency.
    Justification,
    /// What is skipped.
    Skips,
    /// The rules that apply, with their parameters.
    Rules,
    /// How it is deployed: executor configuration.
    Executor,
    /// The deployment script's content.
    Script,
    /// What is waived.
    Waivers,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 18] = [
        Self::Target,
        Self::Kind,
        Self::Version,
        Self::Commit,
        Self::Tickets,
        Self::Scope,
        Self::Dependencies,
        Self::PlannedStart,
        Self::Length,
        Self::UserFacing,
        Self::Migration,
        Self::Outcome,
        Self::Justification,
        Self::Skips,
        Self::Rules,
        Self::Executor,
        Self::Script,
        Self::Waivers,
    ];

    /// The field as people say it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Target => "service or environment",
            Self::Kind => "kind",
            Self::Version => "version",
            Self::Commit => "commit",
            Self::Tickets => "tickets",
            Self::Scope => "scope",
            Self::Dependencies => "dependencies",
            Self::PlannedStart => "planned start",
            Self::Length => "length",
            Self::UserFacing => "what users notice",
            Self::Migration => "migration class",
            Self::Outcome => "expected outcome or abort criteria",
            Self::Justification => "justification",
            Self::Skips => "what is skipped",
            Self::Rules => "rules",
            Self::Executor => "way of deploying",
            Self::Script => "deployment script",
            Self::Waivers => "what is waived",
        }
    }

    /// Whether a change of this field voids a sign-off of `role`.
    pub fn concerns(self, role: Role) -> bool {
        match self {
            // A moved tag voids every sign-off (`vcs.tag`), and so does what weakens or replaces what was signed.
            Self::Target | Self::Kind | Self::Version | Self::Commit | Self::Rules | Self::Executor | Self::Script => {
                true
            }
            Self::Tickets | Self::Scope | Self::Dependencies | Self::UserFacing | Self::PlannedStart => {
                role == Role::ProductOwner
            }
            Self::Migration => role == Role::QaLead,
            Self::Waivers => matches!(role, Role::QaLead | Role::Cto | Role::TechLead),
            Self::Skips | Self::Justification => matches!(role, Role::Cto | Role::TechLead),
            Self::Outcome | Self::Length => false,
        }
    }
}

/// Every field's value in a short, comparable form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(BTreeMap<Field, String>);

impl Fingerprint {
    /// The fingerprint of `release` under `policy`.
    pub fn of(release: &Release, policy: &Policy) -> Self {
        let digest =
            |value: serde_json::Value| Digest::of(&canonical::to_bytes(&value).unwrap_or_default()).to_string();
        let mut fields = BTreeMap::from([
            (Field::Target, format!("{}/{}", release.service, release.environment)),
            (Field::Kind, release.kind.key().to_owned()),
            (Field::Version, release.version.to_string()),
            (Field::Tickets, digest(json!(release.tickets))),
            (
                Field::Rules,
                policy.effective_digest(release.kind, &release.service).to_string(),
            ),
        ]);
        if let Some(source) = &release.source {
            fields.insert(Field::Commit, source.commit.to_string());
            fields.insert(Field::Executor, source.executor.to_string());
            fields.insert(Field::Script, source.script.to_string());
        }
        if let Some(plan) = &release.plan {
            fields.insert(Field::Scope, plan.scope.to_string());
            fields.insert(Field::Dependencies, plan.dependencies.to_string());
            fields.insert(
                Field::PlannedStart,
                format!("{} {}", plan.start_ms, day_of(plan.start_ms, &release.time_zone)),
            );
            fields.insert(Field::Length, plan.length_ms.to_string());
            fields.insert(Field::UserFacing, plan.user_facing.to_string());
            fields.insert(Field::Migration, plan.migration.key().to_owned());
            fields.insert(Field::Outcome, digest(json!([plan.outcome, plan.abort_criteria])));
        }
        if let Some(justification) = &release.justification {
            fields.insert(Field::Justification, justification.to_string());
            let skips: Vec<&str> = policy
                .skipped_by_emergency(&release.service)
                .iter()
                .map(|(_, rule)| rule.id())
                .collect();
            fields.insert(Field::Skips, digest(json!(skips)));
        }
        let mut fingerprint = Self(fields);
        let on = fingerprint.without_waivers();
        // What counts, and in whose words: a half of two, or the words of somebody who became an author, is nothing yet.
        let standing = |rule: &Rule| Some((*rule, standing(*rule, release, &on)?));
        let waived: Vec<(Rule, Vec<&Waiver>)> = release.waivers.keys().filter_map(standing).collect();
        if !waived.is_empty() {
            fingerprint.0.insert(Field::Waivers, digest(json!(waived)));
        }
        fingerprint
    }

    /// Only these fields.
    #[must_use]
    pub fn only(&self, fields: &[Field]) -> Self {
        let kept = self.0.iter().filter(|(field, _)| fields.contains(field));
        Self(kept.map(|(field, value)| (*field, value.clone())).collect())
    }

    /// The digest of everything but the waivers, which can't bind to themselves.
    pub fn without_waivers(&self) -> Digest {
        let all: Vec<Field> = Field::ALL
            .into_iter()
            .filter(|field| *field != Field::Waivers)
            .collect();
        self.only(&all).digest()
    }

    /// One digest over all fields.
    pub fn digest(&self) -> Digest {
        Digest::of(&canonical::to_bytes(&json!(self.0)).unwrap_or_default())
    }

    /// The fields that differ between what was signed (`self`) and `current`.
    pub fn changed(&self, current: &Self) -> Vec<Field> {
        let mut fields: Vec<Field> = self.0.keys().chain(current.0.keys()).copied().collect();
        fields.sort_unstable();
        fields.dedup();
        fields.retain(|field| self.0.get(field) != current.0.get(field));
        fields
    }

    /// The changed fields that void a sign-off of `role`. A later start on the same day voids nothing.
    pub fn voids(&self, current: &Self, role: Role) -> Vec<Field> {
        if is_out(Guard::FingerprintCompare) {
            return Vec::new();
        }
        let mut fields = self.changed(current);
        fields.retain(|field| {
            field.concerns(role) && (*field != Field::PlannedStart || !self.is_later_same_day(current))
        });
        fields
    }

    /// How long the release was to take, if it was planned.
    pub fn length_ms(&self) -> Option<Millis> {
        self.0.get(&Field::Length)?.parse().ok()
    }

    fn is_later_same_day(&self, current: &Self) -> bool {
        let (Some((signed, signed_day)), Some((now, day))) = (self.start(), current.start()) else {
            return false;
        };
        now >= signed && day == signed_day
    }

    fn start(&self) -> Option<(Millis, &str)> {
        let (start, day) = self.0.get(&Field::PlannedStart)?.split_once(' ')?;
        Some((start.parse().ok()?, day))
    }
}
