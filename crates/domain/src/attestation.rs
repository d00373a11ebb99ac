//! What people say of a rule that nothing looks at by itself, and what they excuse: recorded as said, not as seen.

use crate::digest::Digest;
use crate::fingerprint::Fingerprint;
use crate::ids::{Millis, PersonId};
use crate::role::Role;
use serde::{Deserialize, Serialize};

/// Somebody said that a rule holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Who.
    pub by: PersonId,
    /// In which role.
    pub role: Role,
    /// By what they are in the role, such as `group:S0QALEADS`.
    pub membership: String,
    /// When Slack said so.
    pub facts_ms: Millis,
    /// When they said it.
    pub said_ms: Millis,
    /// As much of the release as it is about: a change of it makes the word old.
    pub on: Fingerprint,
    /// What they added.
    pub note: Option<Digest>,
}

/// Somebody excused a rule for one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Who.
    pub by: PersonId,
    /// In which role.
    pub role: Role,
    /// See [`Attestation::membership`].
    pub membership: String,
    /// When Slack said so.
    pub facts_ms: Millis,
    /// When they did.
    pub waived_ms: Millis,
    /// The whole release but its waivers: the waiver dies with it.
    pub on: Digest,
    /// Why.
    pub justification: Digest,
    /// When it is to be looked at again.
    pub follow_up_ms: Millis,
}
