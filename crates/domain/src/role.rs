//! The roles of the procedure (clauses 2.1, 3.4, 4.5) and the two that running the bot adds.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a person may be, for one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Plans and tracks releases, coordinates approvals (2.1).
    ReleaseManager,
    /// Runs deployments (2.1).
    DeploymentEngineer,
    /// Verifies test results before deployment (2.1).
    QaLead,
    /// Approves scope and timing (2.1, 4.5).
    ProductOwner,
    /// Approves emergency releases (4.5).
    TechLead,
    /// Approves emergency releases via Slack (3.4).
    Cto,
    /// Stands in for the CTO, named by the CTO.
    CtoDeputy,
    /// Runs the bot: queue repairs, policy changes.
    Admin,
    /// Reads and exports the audit log.
    Auditor,
}

impl Role {
    /// Every role, in the order of the rulebook.
    pub const ALL: [Self; 9] = [
        Self::ReleaseManager,
        Self::DeploymentEngineer,
        Self::QaLead,
        Self::ProductOwner,
        Self::TechLead,
        Self::Cto,
        Self::CtoDeputy,
        Self::Admin,
        Self::Auditor,
    ];

    /// The key in configuration, log and docs, such as `qa_lead`.
    pub fn key(self) -> &'static str {
        match self {
            Self::ReleaseManager => "release_manager",
            Self::DeploymentEngineer => "deployment_engineer",
            Self::QaLead => "qa_lead",
            Self::ProductOwner => "product_owner",
            Self::TechLead => "tech_lead",
            Self::Cto => "cto",
            Self::CtoDeputy => "cto_deputy",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    /// The role with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.key() == key)
    }

    /// The role as people say it.
    pub fn title(self) -> &'static str {
        match self {
            Self::ReleaseManager => "release manager",
            Self::DeploymentEngineer => "deployment engineer",
            Self::QaLead => "QA lead",
            Self::ProductOwner => "product owner",
            Self::TechLead => "tech lead",
            Self::Cto => "CTO",
            Self::CtoDeputy => "deputy of the CTO",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
