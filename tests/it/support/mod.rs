//! What tests need around them.

pub mod authority;
pub mod bot;
pub mod database;
pub mod memory;
pub mod orders;
pub mod postgres;
pub mod process;
pub mod smtp;
