//! `countersign serve`: until it is told to stop.

use crate::app::{Part, Setup, start};
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::telemetry;
use anyhow::Context as _;
use clap::Args;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What this process does.
    #[arg(long, value_enum, default_value = "all")]
    role: Part,
    /// Follow the offset in this file; the demo's clock.
    #[cfg(feature = "playground")]
    #[arg(long, hide = true)]
    clock_file: Option<std::path::PathBuf>,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (config, warnings) = Config::from_process()?;
    telemetry::start_logs(!std::io::IsTerminal::is_terminal(&std::io::stderr()))?;
    for warning in &warnings.0 {
        tracing::warn!("{warning}");
    }
    if let (Database::Sqlite { .. }, Part::Web | Part::Worker) = (&config.store.database, arguments.role) {
        anyhow::bail!(
            "--role {} needs PostgreSQL: a SQLite file has one process. Leave --role out, or set DATABASE_URL=postgres://…",
            if arguments.role == Part::Web { "web" } else { "worker" }
        );
    }
    let clock = clock(&arguments);
    let binary = std::env::current_exe().context("this program's own path")?;
    let running = start(Setup {
        config,
        part: arguments.role,
        clock,
        binary,
    })
    .await?;
    tracing::info!(address = %running.address, part = ?arguments.role, "serving on {}", running.address);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: finishing what is held, or handing it back");
    running.stop().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "playground")]
fn clock(arguments: &Arguments) -> Clock {
    /// How often a demo's clock is looked at between requests.
    const FOLLOW_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
    let Some(file) = arguments.clock_file.clone() else {
        return Clock::default();
    };
    let clock = Clock::following(file);
    let follower = clock.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(FOLLOW_EVERY).await;
            follower.follow();
        }
    });
    clock
}

#[cfg(not(feature = "playground"))]
fn clock(_: &Arguments) -> Clock {
    Clock::default()
}
