//! What can be typed after `/release`, and what can be wrong with it.

use crate::slack::verbs::Entry;
use domain::ids::{CommitSha, ReleaseKey, ServiceName, Version};
use domain::role::Role;
use domain::rule::Rule;

/// What is known, for suggestions. Empty lists know nothing and refuse nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Keys of releases.
    pub keys: &'a [ReleaseKey],
    /// Configured services.
    pub services: &'a [ServiceName],
}

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// `plan [KEY SERVICE VERSION]`
    Plan {
        /// The new release, or the one to edit.
        key: Option<ReleaseKey>,
        /// What is released.
        service: Option<ServiceName>,
        /// Which version.
        version: Option<Version>,
    },
    /// `hotfix [SERVICE VERSION]`
    Hotfix {
        /// What is mended.
        service: Option<ServiceName>,
        /// Which version.
        version: Option<Version>,
    },
    /// `status [KEY]`
    Status {
        /// Which release; all open ones without it.
        key: Option<ReleaseKey>,
    },
    /// `list [SERVICE]`
    List {
        /// Of which service; all without it.
        service: Option<ServiceName>,
    },
    /// `why KEY`
    Why {
        /// Which release.
        key: ReleaseKey,
    },
    /// `audit KEY`
    Audit {
        /// Which release.
        key: ReleaseKey,
    },
    /// `approve KEY [ROLE]`
    Approve {
        /// Which release.
        key: ReleaseKey,
        /// In which role, if said.
        role: Option<Role>,
    },
    /// `reject KEY [REASON]`
    Reject {
        /// Which release.
        key: ReleaseKey,
        /// Why, if said; else a form asks.
        reason: Option<String>,
    },
    /// `withdraw KEY [REASON]`
    Withdraw {
        /// Which release.
        key: ReleaseKey,
        /// Why, if said.
        reason: Option<String>,
    },
    /// `cancel KEY [REASON]`
    Cancel {
        /// Which release.
        key: ReleaseKey,
        /// Why, if said.
        reason: Option<String>,
    },
    /// `attest KEY [ROLE]`
    Attest {
        /// Which release.
        key: ReleaseKey,
        /// The checklist of which role, if said.
        role: Option<Role>,
    },
    /// `waive KEY [RULE]`
    Waive {
        /// Which release.
        key: ReleaseKey,
        /// Which rule, if said.
        rule: Option<Rule>,
    },
    /// `withdraw KEY RULE`
    TakeBack {
        /// Which release.
        key: ReleaseKey,
        /// One's word on which rule.
        rule: Rule,
    },
    /// `deploy KEY`
    Deploy {
        /// Which release.
        key: ReleaseKey,
    },
    /// `stop KEY`
    Stop {
        /// Which release.
        key: ReleaseKey,
    },
    /// `commit KEY SHA`
    Commit {
        /// Which release.
        key: ReleaseKey,
        /// The full commit.
        sha: CommitSha,
    },
    /// `help [VERB]`, or nothing at all.
    Help {
        /// About which verb.
        topic: Option<&'static Entry>,
    },
    /// A verb whose work comes later.
    NotYet {
        /// Which one.
        verb: &'static Entry,
    },
    /// Something that can't be meant.
    Mistyped(Mistyped),
}

/// A slip of the hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistyped {
    /// What was typed.
    pub input: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// What may have been meant, to copy: without the leading `/release`.
    pub did_you_mean: Option<String>,
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There is no such verb.
    UnknownVerb(String),
    /// The verb needs a release.
    KeyMissing(&'static Entry),
    /// This is no key.
    NotAKey(&'static Entry, String),
    /// This is no version.
    NotAVersion(String),
    /// This is no service, or none of ours.
    NotAService(String),
    /// Nobody signs in such a role.
    NotARole(String),
    /// There is no such rule.
    NotARule(String),
    /// The verb needs a full commit, and this is none.
    NotACommit(String),
    /// This one is too many.
    TooMany(&'static Entry, String),
}
