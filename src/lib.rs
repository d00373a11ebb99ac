//! Countersign.

pub mod slack;
