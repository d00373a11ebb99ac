//! What tests need around them.

use domain::policy::{Differences, Policy};

pub mod authority;
pub mod bot;
pub mod database;
pub mod memory;
pub mod orders;
pub mod postgres;
pub mod process;
pub mod smtp;

/// The policy of a team that asks nobody to confirm by hand what nothing looks at yet: the tests of the sign-offs and of
/// deployments, and the demo's.
pub const SIGNATURES_ONLY: &str = include_str!("../../../src/cli/demo/signatures_only.toml");

/// That policy, read.
pub fn signatures_only() -> Policy {
    let text: serde_json::Value = toml::from_str(SIGNATURES_ONLY).unwrap();
    let differences = Differences {
        rules: serde_json::from_value(text["policy"]["rules"].clone()).unwrap(),
        ..Differences::default()
    };
    Policy::with_differences(&differences).unwrap()
}
