//! The rules of Countersign: pure functions over data. No I/O, no clock, no randomness, no async;
//! whatever the outside knows comes in as a value, `now_ms` and random salts included.
//!
//! The path: [`decide::decide`] turns a [`case::Case`] and a [`command::Command`] into [`event::Event`]s or a
//! [`refusal::Refusal`]; `evolve` folds events into states; [`effects::effects`] lists the jobs that must follow;
//! [`rules::gates::gates`] makes the one checklist that the card, `why`, `deploy` and the start read.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod attestation;
pub mod canonical;
pub mod case;
pub mod checkpoint;
pub mod command;
pub mod decide;
pub mod digest;
pub mod effects;
pub mod event;
pub mod fingerprint;
pub mod ids;
pub mod intents;
pub mod job;
pub mod log_entry;
pub mod log_export;
pub mod people;
pub mod policy;
pub mod refusal;
pub mod release;
pub mod restore;
pub mod role;
pub mod rule;
pub mod rules;
pub mod sabotage;
pub mod schedule;
pub mod service;
