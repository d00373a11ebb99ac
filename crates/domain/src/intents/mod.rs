//! What people and workers may ask for, one file per thing: who may ask (`authority`), when, and what follows.

pub(crate) mod attest;
pub mod authority;
pub(crate) mod deployment;
pub(crate) mod hotfix;
pub(crate) mod notice;
pub(crate) mod plan;
pub(crate) mod settle;
pub(crate) mod sign_off;
pub(crate) mod source;
pub(crate) mod start;
