//! What must hold of every request body and every word that somebody types, whatever a fuzzer makes up: each module takes
//! bytes, gives them to the parsers and texts that the bot itself uses, and panics where something does not hold.
//! Holds no entry into libFuzzer (`examples/`), so that the ordinary tests can send the kept inputs through here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a check that finds something ends the run; nothing but the fuzzer and the tests calls it"
)]

pub mod answers;
pub mod command_texts;
pub mod form_bodies;
pub mod forms;
pub mod interactions;
pub mod time;

use countersign::slack::modals::ServiceChoice;
use domain::ids::{ReleaseKey, ServiceName};

/// The workspace that the made-up requests are for.
pub const TEAM: &str = "T0ACME";
/// The app that they are for.
pub const APP: &str = "A0COUNTER";

/// The configured services; Git can't be asked for the second one's tags.
pub fn services() -> Vec<ServiceChoice> {
    [("payments", true), ("ledger", false)]
        .map(|(name, has_repository)| ServiceChoice {
            name: ServiceName::new(name).unwrap(),
            has_repository,
        })
        .to_vec()
}

/// Releases that exist.
pub fn keys() -> Vec<ReleaseKey> {
    ["REL-789", "HOTFIX-3"]
        .map(|key| ReleaseKey::new(key).unwrap())
        .to_vec()
}
