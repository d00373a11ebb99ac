//! The rules of Countersign: pure functions over data. No I/O, no clock, no randomness, no async;
//! whatever the outside knows comes in as a value, `now_ms` and random salts included.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod canonical;
pub mod digest;
pub mod log_entry;
