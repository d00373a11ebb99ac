//! The procedure as tests: *given these events, when this person does this at that time, then this*.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attested;
mod calling_off;
mod commands;
mod effects;
mod exclusive;
mod expiry;
mod golden;
mod notice;
mod paths;
mod properties;
mod reading;
mod refusals;
mod roles_at_start;
mod support;
mod voiding;
