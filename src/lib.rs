//! Countersign.

pub mod store;
