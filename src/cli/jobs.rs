//! `countersign jobs list|retry|drop`: looks after the queue. On SQLite writing goes through the running bot's control
//! socket, because only one process may write to the file.

use crate::app::database_url;
use crate::config::StorePlace;
use crate::control;
use crate::store::{JobFilter, Options, Store};
use clap::Subcommand;
use std::process::ExitCode;

/// Rows that one list shows.
const LIST_MAX: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show unfinished jobs, dead ones included.
    List {
        /// Only about this release.
        #[arg(long)]
        release: Option<String>,
        /// Only dead ones.
        #[arg(long)]
        dead: bool,
    },
    /// Run a dead job again.
    Retry {
        /// Its id, as `list` shows it.
        id: String,
    },
    /// Give a dead job up for good; what it was to do is not done.
    Drop {
        /// Its id, as `list` shows it.
        id: String,
    },
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let place = StorePlace::from_process()?;
    let url = database_url(&place);
    match verb {
        Verb::List { release, dead } => {
            let store = Store::open_read_only(&url, Options::default()).await?;
            list(&store, release, dead).await
        }
        Verb::Retry { id } => change(&url, &place, control::Request::Retry { id }).await,
        Verb::Drop { id } => change(&url, &place, control::Request::Drop { id }).await,
    }
}

async fn list(store: &Store, release: Option<String>, dead: bool) -> anyhow::Result<ExitCode> {
    let states = if dead { vec!["dead".to_owned()] } else { Vec::new() };
    let filter = JobFilter {
        states,
        subject: release,
        limit: LIST_MAX,
        ..JobFilter::default()
    };
    let rows = store.jobs(&filter).await?;
    for row in &rows {
        let due = jiff::Timestamp::from_millisecond(row.due_ms)
            .map(|due| due.to_string())
            .unwrap_or_default();
        super::say(&format!(
            "{}\t{}\t{}\tdue {due}\tattempt {} of {}\t{}",
            row.id,
            row.state,
            row.kind,
            row.attempt.saturating_sub(row.forgiven),
            row.attempts_max,
            row.reason
        ));
    }
    super::say(&format!("{} jobs", rows.len()));
    Ok(ExitCode::SUCCESS)
}

async fn change(url: &str, place: &StorePlace, request: control::Request) -> anyhow::Result<ExitCode> {
    let found = control::here_or_there(url, &place.data, &request).await? == control::Done::Job(true);
    super::say(if found {
        "done"
    } else {
        "there is no dead job with this id; `countersign jobs list --dead` names them"
    });
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
