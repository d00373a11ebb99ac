//! The adapters against servers that speak the vendors' wire, real repositories and real programs.

mod directory;
mod escalation;
pub mod fake;
mod git;
mod mail;
mod response_url;
mod slack_errors;
mod slack_wire;
mod standing;
