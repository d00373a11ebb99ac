//! A Slack workspace in a box: Slack's own wire protocol towards the bot, and a page to click in.
//! The bot needs no change to run against it. Must never be reachable from another machine:
//! everybody on the page can act as everybody.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use playground::{Options, Workspace, start};
//!
//! let mut options = Options::new(Workspace::demo());
//! options.bot_urls = vec!["http://127.0.0.1:3000".to_owned()];
//! let slack = start(options).await?;
//! // The bot calls `slack.api_base_url()`; people act through the handle.
//! let ack = slack.command("U0RITA", "C0RELEASES", "status").await;
//! assert!(ack.ok());
//! for card in slack.messages("C0RELEASES") {
//!     slack.click("U0PRIYA", &card.channel, &card.ts, "Approve").await;
//! }
//! # Ok(())
//! # }
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "a stand-in for Slack: its clock and its ids are its own"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api;
mod choices;
mod clock;
mod control;
mod deliver;
mod escape;
mod faults;
mod handle;
mod http;
mod journal;
mod limits;
mod mailbox;
mod messages;
mod page;
mod person;
mod respond;
mod seed;
mod server;
mod signing;
mod smtp;
mod snapshot;
mod state;
mod tickets;
pub mod validate;
mod views;

pub use clock::MovableClock;
pub use faults::Fault;
pub use handle::{ApiClient, Handle, Redelivered};
pub use http::Answer;
pub use journal::{ApiCall, Delivery};
pub use mailbox::Mail;
pub use messages::{Ephemeral, Message};
pub use person::Ack;
pub use seed::{Channel, DEFAULT_TEAM_ID, Group, User, Workspace};
pub use server::{CommandHint, Options, start};
pub use signing::signature;
pub use views::OpenView;
