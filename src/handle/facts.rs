//! The seam through which the path learns who people are. Slack is behind it; the simulation replaces it.

use super::HandleError;
use domain::ids::{PersonId, ServiceName};
use domain::people::People;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whose facts a decision needs besides those of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactsWanted {
    /// Nobody's; role holders are named as far as known.
    Nobody,
    /// The signers', and of those who have said how an attempt went, fresh.
    Signers,
    /// The role holders', because some of them will be asked.
    Holders,
    /// Both.
    SignersAndHolders,
}

/// A question about people.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Facts of each of them, at most 60 s old.
    pub people: BTreeSet<PersonId>,
    /// Whether role holders must be known, and be active members; a role that can't be told is left out.
    pub holders: bool,
    /// For which service.
    pub service: ServiceName,
    /// How long the answer may take; what isn't known by then is missing.
    pub within: Duration,
}

/// Who people are, asked now if what is known is stale.
pub trait Facts: Send + Sync {
    /// Answers as far as it can within the time given. Missing facts are missing, never guessed.
    fn look_up<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<People, HandleError>>;
}
