//! Countersign.

pub mod config;
