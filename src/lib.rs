//! Countersign.
pub mod deploy;
