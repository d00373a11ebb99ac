//! Private answers: why not, what follows, and what was asked to be read. Each says what, where and which version; the rule
//! and its clause; who can act; until when; what happens if nobody does; the way back.

pub mod help;
pub mod lists;
pub mod refusal;
pub mod replies;
