//! `countersign audit verify|export|replay`: reads the log beside a running bot. Exit code 0 means intact, 2 means broken,
//! 1 that it could not be read.

use crate::app::database_url;
use crate::config::StorePlace;
use crate::handle::{replay, replay_service};
use crate::store::{Options, StateRow, Store};
use anyhow::Context as _;
use clap::Subcommand;
use domain::log_entry::{BreakKind, Broken, Sealed, Verifier};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Entries read at once.
const PAGE: u32 = 1_000;
/// How often a stream is compared while commits go on.
const READS_MAX: usize = 3;
/// The exit code for a broken log.
const BROKEN: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check every entry and the chain; name the first broken one.
    Verify,
    /// Write every entry as JSON lines.
    Export {
        /// A file; standard output if it is left out.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Fold every stream's entries and compare the result with its state row.
    Replay,
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let url = database_url(&StorePlace::from_process()?);
    let store = Store::open_read_only(&url, Options::default()).await?;
    match verb {
        Verb::Verify => verify(&store).await,
        Verb::Export { output } => export(&store, output).await,
        Verb::Replay => compare(&store).await,
    }
}

async fn verify(store: &Store) -> anyhow::Result<ExitCode> {
    // The head first: entries that come in meanwhile are not missing from it.
    let recorded = store.head().await?;
    let mut verifier = Verifier::new(store.log_id());
    let mut next = 1;
    let broken = 'read: loop {
        let page = store.entries(next, PAGE).await?;
        for sealed in &page {
            if sealed.position > recorded.position {
                break 'read None;
            }
            if let Err(broken) = verifier.push(sealed) {
                break 'read Some(broken);
            }
            next = sealed.position + 1;
        }
        if page.is_empty() {
            break None;
        }
    };
    let finished = broken.map_or_else(|| verifier.finish(Some(&recorded)), Err);
    let finished = match finished {
        Ok(head) => beyond(store).await?.map_or(Ok(head), Err),
        broken => broken,
    };
    match finished {
        Ok(head) => {
            super::say(&format!("intact: {} entries, head {}", head.position, head.hash));
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => Ok(report(&broken)),
    }
}

/// Entries that came in since the head was read moved the head too; others were added beside every commit.
async fn beyond(store: &Store) -> anyhow::Result<Option<Broken>> {
    let last = store.last_position().await?;
    let head = store.head().await?;
    Ok((last > head.position).then_some(Broken {
        position: head.position + 1,
        kind: BreakKind::BeyondHead,
    }))
}

fn report(broken: &Broken) -> ExitCode {
    super::say(&format!("BROKEN: {broken}"));
    ExitCode::from(BROKEN)
}

async fn export(store: &Store, output: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut out: Box<dyn Write + Send> = match &output {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| path.display().to_string())?,
        )),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let mut next = 1;
    loop {
        let page = store.entries(next, PAGE).await?;
        let Some(last) = page.last() else { break };
        next = last.position + 1;
        for sealed in &page {
            // The entry's exact bytes beside its hash, so that any verifier can start from what was hashed.
            let line = serde_json::json!({
                "position": sealed.position, "stream": sealed.stream, "version": sealed.version,
                "logged_ms": sealed.logged_ms, "bytes": sealed.bytes, "previous": sealed.previous, "hash": sealed.hash,
            });
            writeln!(out, "{line}").context("writing the export")?;
        }
    }
    out.flush().context("writing the export")?;
    Ok(ExitCode::SUCCESS)
}

async fn compare(store: &Store) -> anyhow::Result<ExitCode> {
    let mut differing = 0;
    let mut streams = 0;
    for prefix in ["release/", "service/"] {
        let logged: BTreeSet<String> = store
            .logged_streams(prefix)
            .await?
            .into_iter()
            .map(|at| at.stream)
            .collect();
        let rows = store.list(prefix, None, &[], u32::MAX).await?;
        let all: BTreeSet<String> = rows.into_iter().map(|row| row.stream).chain(logged).collect();
        for stream in all {
            streams += 1;
            if let Err(error) = compare_one(store, &stream).await {
                differing += 1;
                super::say(&format!("DIFFERS: {stream}: {error:#}"));
            }
        }
    }
    super::say(&format!(
        "{streams} streams replayed, {differing} differ from their state rows"
    ));
    Ok(if differing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BROKEN)
    })
}

/// Compares again if a commit falls between reading the entries and the row.
async fn compare_one(store: &Store, stream: &str) -> anyhow::Result<()> {
    let mut compared = Ok(());
    for _ in 0..READS_MAX {
        let entries = store.entries_of(stream).await?;
        let row = store.stream(stream).await?;
        compared = same(&entries, row.as_ref());
        if compared.is_ok() {
            break;
        }
    }
    compared
}

fn same(entries: &[Sealed], row: Option<&StateRow>) -> anyhow::Result<()> {
    let version = entries.last().map_or(0, |entry| entry.version);
    let row = row.context("the log has it, and there is no state row")?;
    anyhow::ensure!(
        row.version == version,
        "the row is at version {}, the log ends at {version}",
        row.version
    );
    let stored: serde_json::Value = serde_json::from_str(&row.state).context("the state row")?;
    let (replayed, service, status) = if row.stream.starts_with("release/") {
        let release = replay(entries)?.context("the log has no release in this stream")?;
        let (service, status) = (release.service.to_string(), release.status.key());
        (serde_json::to_value(release)?, service, status)
    } else {
        let service = row.stream.trim_start_matches("service/").to_owned();
        (serde_json::to_value(replay_service(entries)?)?, service, "")
    };
    anyhow::ensure!(replayed == stored, "the state row is not what the log says");
    anyhow::ensure!(
        (row.service.as_str(), row.status.as_str()) == (service.as_str(), status),
        "the row is listed under service {:?} and status {:?}, the log says {service:?} and {status:?}",
        row.service,
        row.status
    );
    Ok(())
}
