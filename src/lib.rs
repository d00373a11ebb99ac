//! Countersign: a Slack bot that enforces a release procedure and carries it out.
//!
//! The map: [`http`] verifies and hands over to [`inbound`], which turns text and clicks into commands;
//! [`handle`] is the one path from command to commit; [`store`] is the only SQL; [`jobs`] makes follow what
//! a commit promised, through [`slack`], [`deploy`], [`records`], [`escalation`] and [`probes`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod app;
mod backup;
pub mod checkpoints;
mod child;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod deploy;
pub mod escalation;
pub mod failure;
pub mod fresh;
pub mod handle;
pub mod http;
pub mod inbound;
pub mod jobs;
pub mod outbound;
pub mod people;
pub mod probes;
pub mod records;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod slack;
pub mod store;
pub mod telemetry;
pub mod tls;
