//! The forms that people fill in. A form carries ids only; what was filled in comes back typed, or with every problem at
//! once, each with its remedy, at its own input.

mod attest;
mod hotfix;
mod inputs;
mod plan;
mod read;
mod reasons;

pub use attest::{
    AttestFields, GROUPS, WaiveFields, attest, has_checklist, read_attest, read_waive, to_waive, waive, waivers,
};
pub use hotfix::{HotfixFields, HotfixPrefill, hotfix, read_hotfix};
pub use plan::{PlanFields, PlanPrefill, plan, read_plan};
pub use read::{Errors, ReadError, errors_of, errors_response, plan_has_changed};
pub use reasons::{ReasonFields, cancel, read_reason, reject, withdraw};

use domain::ids::ServiceName;
use std::fmt;

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Plans a release, or edits its plan.
    Plan,
    /// Asks for a hotfix.
    Hotfix,
    /// Says no.
    Reject,
    /// Takes a sign-off back.
    Withdraw,
    /// Gives a release up.
    Cancel,
    /// Says that rules hold.
    Attest,
    /// Excuses a rule.
    Waive,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 7] = [
        Self::Plan,
        Self::Hotfix,
        Self::Reject,
        Self::Withdraw,
        Self::Cancel,
        Self::Attest,
        Self::Waive,
    ];

    /// The form with this `callback_id`.
    pub fn parse(callback_id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.to_string() == callback_id)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plan => "plan",
            Self::Hotfix => "hotfix",
            Self::Reject => "reject",
            Self::Withdraw => "withdraw",
            Self::Cancel => "cancel",
            Self::Attest => "attest",
            Self::Waive => "waive",
        })
    }
}

/// A service to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceChoice {
    /// Its name.
    pub name: ServiceName,
    /// Whether Git can be asked for its tags; if not, the form demands the full commit.
    pub has_repository: bool,
}

/// A person as Slack names them. Who it is, is looked up by the caller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlackUser(String);

impl SlackUser {
    /// Checks an id such as `U0PRIYA`, as strictly as where people are looked up: nobody gets lost on the way.
    pub fn new(id: &str) -> Option<Self> {
        crate::people::SlackUser::new(id)
            .ok()
            .map(|user| Self(user.as_str().to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
