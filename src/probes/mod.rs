//! Looks at the outside and says what is there, without changing anything.

pub mod git;
