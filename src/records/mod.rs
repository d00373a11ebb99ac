//! Systems that keep a record or carry a message besides Slack.

pub mod mail;
