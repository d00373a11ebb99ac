//! Countersign.
pub mod child;
pub mod escalation;
pub mod failure;
pub mod outbound;
pub mod people;
pub mod probes;
pub mod records;
pub mod slack;
pub mod tls;
