//! Countersign.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod child;
pub mod escalation;
pub mod failure;
pub mod outbound;
pub mod people;
pub mod probes;
pub mod records;
pub mod slack;
pub mod tls;
