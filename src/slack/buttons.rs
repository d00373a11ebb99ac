//! What a click carries: a stable action id and a value of ids. Never authority: who may do it is looked up.

use domain::ids::ReleaseKey;
use domain::release::{AttemptNumber, Release, SettlementChoice};
use domain::role::Role;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionId {
    /// Signs for the only role that fits, or the one in the value.
    Approve,
    /// Opens the form that asks why not.
    Reject,
    /// Opens the form that takes a sign-off back.
    Withdraw,
    /// Opens the form that gives the release up.
    Cancel,
    /// Deploys now.
    Deploy,
    /// Stops the deployment.
    Stop,
    /// Says how an interrupted attempt went.
    Settle(SettlementChoice),
    /// Asks what holds the start.
    Why,
    /// Opens the plan.
    EditPlan,
    /// Opens the checklist of the clicker's role.
    Checklist,
    /// Opens the checklist of this one of several roles.
    ChecklistAs(Role),
    /// Signs for this one of several roles.
    ChooseRole(Role),
    /// Opens the form that asks why not, for this one of several roles.
    ChooseRoleToReject(Role),
}

const CHOOSE_ROLE: &str = "choose_role_";
const CHECKLIST_AS: &str = "checklist_as_";
const CHOOSE_ROLE_TO_REJECT: &str = "choose_role_to_reject_";

impl ActionId {
    /// Every action.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Approve,
            Self::Reject,
            Self::Withdraw,
            Self::Cancel,
            Self::Deploy,
            Self::Stop,
            Self::Why,
            Self::EditPlan,
            Self::Checklist,
        ];
        all.extend(SettlementChoice::ALL.map(Self::Settle));
        all.extend(Role::ALL.map(Self::ChooseRole));
        all.extend(Role::ALL.map(Self::ChooseRoleToReject));
        all.extend(Role::ALL.map(Self::ChecklistAs));
        all
    }

    /// The action with this id.
    pub fn parse(id: &str) -> Option<Self> {
        Self::all().into_iter().find(|action| action.to_string() == id)
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approve => f.write_str("approve"),
            Self::Reject => f.write_str("reject"),
            Self::Withdraw => f.write_str("withdraw"),
            Self::Cancel => f.write_str("cancel"),
            Self::Deploy => f.write_str("deploy"),
            Self::Stop => f.write_str("stop"),
            Self::Settle(choice) => write!(f, "settle_{}", choice.key()),
            Self::Why => f.write_str("why"),
            Self::EditPlan => f.write_str("edit_plan"),
            Self::Checklist => f.write_str("checklist"),
            Self::ChecklistAs(role) => write!(f, "{CHECKLIST_AS}{role}"),
            Self::ChooseRole(role) => write!(f, "{CHOOSE_ROLE}{role}"),
            Self::ChooseRoleToReject(role) => write!(f, "{CHOOSE_ROLE_TO_REJECT}{role}"),
        }
    }
}

/// What a button carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ButtonValue {
    /// The release it is about.
    pub release: ReleaseKey,
    /// The role it acts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What the person had in view: [`Release::view`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// The attempt it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptNumber>,
}

/// A value that no button of ours carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadValue;

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the button's value is not one of ours")
    }
}

impl std::error::Error for BadValue {}

impl ButtonValue {
    /// The value of a button that acts on what `release` shows now.
    pub fn on(release: &Release) -> Self {
        Self {
            release: release.key.clone(),
            role: None,
            view: Some(release.view()),
            attempt: None,
        }
    }

    /// The same, in `role`.
    #[must_use]
    pub fn as_role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// The same, about `attempt`.
    #[must_use]
    pub fn of_attempt(mut self, attempt: AttemptNumber) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// As a button carries it.
    pub fn to_json(&self) -> String {
        // Names, a role and a number always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a value back.
    ///
    /// # Errors
    /// If it is not one that we could have made.
    pub fn parse(text: &str) -> Result<Self, BadValue> {
        if text.len() > 2_000 {
            return Err(BadValue);
        }
        let value: Self = serde_json::from_str(text).map_err(|_| BadValue)?;
        let is_view =
            |view: &String| (1..=30).contains(&view.len()) && view.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if value.view.as_ref().is_none_or(is_view) {
            Ok(value)
        } else {
            Err(BadValue)
        }
    }
}
