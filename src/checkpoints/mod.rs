//! Signed checkpoints of the log, for places that the owner of the database can't rewrite: which are due, how they are
//! signed and checked, the file they go to. The jobs that carry them are in [`crate::jobs`].

pub mod due;
pub mod file;
pub mod fit;
pub mod key;
