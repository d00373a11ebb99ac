//! Everything that people read and type in Slack: requests are verified and parsed, and states are rendered as cards,
//! questions, forms and answers. Pure functions of data, but for the client that talks to Slack.

pub mod approvals;
pub mod binding;
pub mod blocks;
pub mod buttons;
pub mod cards;
pub mod checkpoint;
pub mod client;
pub mod form;
pub mod gates;
pub mod mail;
pub mod markup;
pub mod modals;
pub mod nearest;
pub mod parse;
pub mod payload;
pub mod question;
pub mod rejection;
pub mod releases;
pub mod sentences;
pub mod state;
pub mod status;
pub mod story;
pub mod texts;
pub mod time;
pub mod tokens;
pub mod typed;
pub mod unchecked;
pub mod verbs;
pub mod verify;
pub mod view;
