//! Countersign: a Slack bot that enforces a release procedure and carries it out.
//!
//! The map: [`http`] verifies and hands over to [`slack`], which turns text and clicks into commands;
//! [`handle`] is the one path from command to commit; [`store`] is the only SQL; [`jobs`] makes follow what
//! a commit promised, through [`slack`], [`deploy`], [`records`], [`escalation`] and [`probes`].

pub mod clock;
pub mod config;
pub mod deploy;
pub mod fresh;
pub mod handle;
pub mod jobs;
pub mod store;
