//! A refusal: somebody asked for what a rule forbids. It holds the facts; the sentences are made elsewhere.

use crate::event::SourceProblem;
use crate::ids::{Millis, PersonId, ReleaseKey, ServiceName};
use crate::people::Standing;
use crate::release::{AttemptNumber, OwnPart, Status};
use crate::role::Role;
use crate::rule::Rule;
use crate::rules::gates::Gate;
use std::collections::BTreeSet;

/// Which rule said no, why, who could, and when it may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The broken rule.
    pub rule: Rule,
    /// Why.
    pub cause: Cause,
    /// The roles that may do it.
    pub roles: Vec<Role>,
    /// The people who can do it now, as far as known.
    pub people: Vec<PersonId>,
    /// The next moment at which it could pass.
    pub next_ms: Option<Millis>,
}

/// Why it was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Bots, guests, outsiders, deactivated and unknown people may do nothing.
    Standing(Standing),
    /// Slack could not be asked in time; nothing is decided on old facts.
    FactsUnavailable,
    /// Not in a role that may do this.
    NotInRole,
    /// The release doesn't exist.
    NoSuchRelease,
    /// The key names another release already.
    KeyTaken,
    /// The service or environment isn't configured.
    NoSuchService,
    /// Not in this status.
    Status(Status),
    /// Their own release.
    OwnRelease(OwnPart),
    /// Signed already.
    AlreadySigned,
    /// One person fills one role per release.
    SignedAnotherRole(Role),
    /// Could sign for several roles and has to choose.
    ChooseRole(BTreeSet<Role>),
    /// Nothing of theirs to withdraw.
    NothingSigned,
    /// Nobody's word meets this rule, or it doesn't apply here.
    NotAttestable,
    /// Nobody may waive this rule, or it doesn't apply here.
    NotWaivable,
    /// Whose gate it is doesn't waive it.
    OwnGate,
    /// What they had in view is not what stands now.
    StaleView,
    /// The planned slot is over; a sign-off would count for nothing.
    SlotOver,
    /// A field is missing or wrong; each with what is expected.
    Incomplete(Vec<(&'static str, &'static str)>),
    /// The justification is too short; its length in characters.
    JustificationTooShort(usize),
    /// No commit is known.
    SourceUnknown(Option<SourceProblem>),
    /// Gates hold it.
    GatesUnmet(Vec<Gate>),
    /// Another deployment holds the environment.
    EnvironmentBusy {
        /// Of which service.
        service: ServiceName,
        /// Which release holds it.
        holder: ReleaseKey,
    },
    /// There is no such attempt, or it has moved on.
    AttemptMoved(AttemptNumber),
    /// Nothing to do now: a timer or a job's result that came late or twice; with [`Refusal::next_ms`] a timer that
    /// came too early and has to come back then.
    Outdated,
}

impl Cause {
    /// A stable word for the log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Standing(_) => "standing",
            Self::FactsUnavailable => "facts_unavailable",
            Self::NotInRole => "not_in_role",
            Self::NoSuchRelease => "no_such_release",
            Self::KeyTaken => "key_taken",
            Self::NoSuchService => "no_such_service",
            Self::Status(_) => "status",
            Self::OwnRelease(_) => "own_release",
            Self::AlreadySigned => "already_signed",
            Self::SignedAnotherRole(_) => "signed_another_role",
            Self::ChooseRole(_) => "choose_role",
            Self::NothingSigned => "nothing_signed",
            Self::NotAttestable => "not_attestable",
            Self::NotWaivable => "not_waivable",
            Self::OwnGate => "own_gate",
            Self::StaleView => "stale_view",
            Self::SlotOver => "slot_over",
            Self::Incomplete(_) => "incomplete",
            Self::JustificationTooShort(_) => "justification_too_short",
            Self::SourceUnknown(_) => "source_unknown",
            Self::GatesUnmet(_) => "gates_unmet",
            Self::EnvironmentBusy { .. } => "environment_busy",
            Self::AttemptMoved(_) => "attempt_moved",
            Self::Outdated => "outdated",
        }
    }

    /// Whether the refusal belongs on the record: a decision that a rule forbade, not a slip of the hand, a
    /// question back or a failure of ours.
    pub fn is_recorded(&self) -> bool {
        !matches!(
            self,
            Self::Standing(_)
                | Self::FactsUnavailable
                | Self::NoSuchRelease
                | Self::NoSuchService
                | Self::KeyTaken
                | Self::ChooseRole(_)
                | Self::StaleView
                | Self::Incomplete(_)
                | Self::Outdated
        )
    }
}

impl Refusal {
    /// A refusal by `rule` because of `cause`.
    pub fn new(rule: Rule, cause: Cause) -> Self {
        Self {
            rule,
            cause,
            roles: Vec::new(),
            people: Vec::new(),
            next_ms: None,
        }
    }

    /// Adds who may do it.
    #[must_use]
    pub fn for_roles(mut self, roles: &[Role], people: Vec<PersonId>) -> Self {
        self.roles = roles.to_vec();
        self.people = people;
        self
    }

    /// Adds when it could pass.
    #[must_use]
    pub fn until(mut self, next_ms: Millis) -> Self {
        self.next_ms = Some(next_ms);
        self
    }
}
