//! The command line: one file per verb. Verbs print for people and scripts; nothing here decides.

mod acknowledge;
mod audit;
mod audit_key;
mod backup;
#[cfg(feature = "playground")]
mod demo;
mod jobs;
mod migrate;
mod people;
#[cfg(feature = "playground")]
mod playground;
mod policy;
mod restore;
mod serve;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Enforces a release procedure in Slack and carries it out.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve Slack and work the queue.
    Serve(serve::Arguments),
    /// Try it: the bot and a Slack workspace in a box, nothing else needed.
    #[cfg(feature = "playground")]
    Demo(demo::Arguments),
    /// The Slack workspace in a box; `demo` starts it.
    #[cfg(feature = "playground")]
    #[command(hide = true)]
    Playground(playground::Arguments),
    /// Bring the database's tables up to date.
    Migrate,
    /// Write everything that the database holds into a new file, beside a running bot.
    Backup(backup::Arguments),
    /// Put a backup into a database that does not exist yet; never over one that does.
    Restore(restore::Arguments),
    /// Verify, export or replay the audit log; acknowledge a restore.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// List, retry or drop jobs.
    #[command(subcommand)]
    Jobs(jobs::Verb),
    /// Check, explain and try the policy.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Erase people from everything that stands beside the log.
    #[command(subcommand)]
    People(people::Verb),
    /// Runs one deployment script and records how it ended; started by the bot.
    #[command(hide = true)]
    Supervise {
        /// The attempt's spool directory.
        #[arg(long)]
        spool: PathBuf,
    },
}

/// Runs the verb that the command line names.
pub fn run() -> ExitCode {
    #[cfg(feature = "sabotage")]
    crate::sabotage::from_environment();
    match Arguments::parse().verb {
        // No runtime, no TLS, no logs: the supervisor outlives the bot and must stay small.
        Verb::Supervise { spool } => crate::deploy::supervise::supervise(&spool),
        verb => run_async(verb),
    }
}

fn run_async(verb: Verb) -> ExitCode {
    crate::tls::install();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("the asynchronous runtime")),
    };
    let ran = runtime.block_on(async {
        match verb {
            Verb::Serve(arguments) => serve::run(arguments).await,
            #[cfg(feature = "playground")]
            Verb::Demo(arguments) => demo::run(arguments).await,
            #[cfg(feature = "playground")]
            Verb::Playground(arguments) => playground::run(arguments).await,
            Verb::Migrate => migrate::run().await,
            Verb::Backup(arguments) => backup::run(arguments).await,
            Verb::Restore(arguments) => restore::run(arguments).await,
            Verb::Audit(verb) => audit::run(verb).await,
            Verb::Jobs(verb) => jobs::run(verb).await,
            Verb::People(verb) => people::run(verb).await,
            Verb::Policy(verb) => policy::run(&verb),
            Verb::Supervise { .. } => Ok(ExitCode::FAILURE),
        }
    });
    ran.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    say_error(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

/// Prints a line for people or scripts.
#[expect(clippy::print_stdout, reason = "what the command line is for")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "what the command line is for")]
fn say_error(line: &str) {
    eprintln!("{line}");
}
