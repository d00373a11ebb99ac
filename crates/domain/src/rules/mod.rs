//! The rules, one file per family of the rulebook. Each judges a case and says what it saw; `gates` puts
//! them together into the one checklist that the card, `why`, `deploy` and the start read.

pub mod attested;
pub mod deploy;
pub mod gates;
pub mod plan;
pub mod sign_off;
pub mod vcs;
