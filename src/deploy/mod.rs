//! Carrying out a deployment by a script (`deploy.script`): a script is started at most once and outlives the bot.
//!
//! The bot writes a [`launch::Launch`] into a spool directory of its own per attempt and spawns
//! `countersign supervise`; from then on the two speak only through files of that directory:
//!
//! | file | written by | meaning |
//! | --- | --- | --- |
//! | `launch.json` | [`start::start`] | what to run, exactly |
//! | `supervisor.lock` | supervisor | an flock held for as long as a supervisor lives |
//! | `started` | supervisor, or [`spool::forbid_start`] | who won the one start this directory will ever see |
//! | `supervisor.json` | supervisor | the script's process exists |
//! | `stop` | [`spool::request_stop`] | end it |
//! | `output.head`, `output.tail` | supervisor | bounded output, read by [`tail::tail`] |
//! | `status.json` | supervisor | how it ended |
//! | `supervisor-error.txt` | supervisor | why it refused before `started`, for people |
//!
//! Whether an attempt runs, ended, never started or was interrupted is read by [`spool::observe`].

pub mod arguments;
pub mod clean;
pub mod environment;
pub mod launch;
pub mod output;
pub mod program;
pub mod redact;
mod run;
mod shapes;
pub mod spool;
pub mod start;
pub mod supervise;
pub mod tail;
pub mod tree;
