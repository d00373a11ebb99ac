//! What tests need around them.

pub mod database;
pub mod postgres;
