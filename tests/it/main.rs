//! The one integration test binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs
)]

mod adapters;
mod audit;
mod browser;
mod config;
mod deploy;
mod hostile;
mod policy;
mod processes;
mod repository;
mod scenarios;
mod simulation;
mod slack;
mod store;
mod support;
