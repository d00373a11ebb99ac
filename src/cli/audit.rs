//! `countersign audit`: reads the log beside a running bot, or an export of it. Exit code 0 means intact, 2 means broken, 1
//! that it could not be read.

use crate::app::database_url;
use crate::checkpoints::{file, key};
use crate::config::StorePlace;
use crate::handle::restore::acknowledged;
use crate::handle::{replay, replay_restores, replay_service};
use crate::store::{Options, StateRow, Store};
use anyhow::Context as _;
use clap::Subcommand;
use domain::checkpoint::{Note, PublicKey};
use domain::log_entry::{BreakKind, Broken, Head, Sealed, Verifier};
use domain::log_export::{self, LINE_BYTES_MAX, LineVerifier, line};
use domain::restore::{self, LostCheckpoint};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
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
    Verify {
        /// What `audit export` wrote; the database if it is left out.
        export: Option<PathBuf>,
        /// A file with one or more signed checkpoints that the log must agree with; may be repeated.
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// What their signatures are checked with, as `audit public-key` prints it; may be repeated.
        #[arg(long, value_name = "PUBLIC_KEY", requires = "checkpoint", value_parser = PublicKey::parse)]
        key: Vec<PublicKey>,
    },
    /// Write every entry as JSON lines.
    Export {
        /// A file; standard output if it is left out.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Fold every stream's entries and compare the result with its state row.
    Replay,
    /// Make a key that signs checkpoints.
    Keygen {
        /// A new file for it.
        #[arg(long)]
        output: PathBuf,
    },
    /// Print what the checkpoints of this log are checked with.
    PublicKey,
    /// Say that the database was restored from a backup, so that the bot serves it; only while every process is stopped.
    AcknowledgeRestore(super::acknowledge::Arguments),
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Verify {
            export,
            checkpoint,
            key,
        } => verify(export.as_deref(), &checkpoint, &key).await,
        Verb::Export { output } => export(&open().await?, output).await,
        Verb::Replay => compare(&open().await?).await,
        Verb::Keygen { output } => super::audit_key::keygen(&output),
        Verb::PublicKey => super::audit_key::public_key(&open().await?),
        Verb::AcknowledgeRestore(arguments) => super::acknowledge::run(arguments).await,
    }
}

async fn open() -> anyhow::Result<Store> {
    let url = database_url(&StorePlace::from_process()?);
    Ok(Store::open_read_only(&url, Options::default()).await?)
}

async fn verify(export: Option<&Path>, files: &[PathBuf], keys: &[PublicKey]) -> anyhow::Result<ExitCode> {
    let mut notes = Vec::new();
    for path in files {
        let found = file::read(path)?;
        anyhow::ensure!(!found.is_empty(), "{} holds no checkpoint", path.display());
        notes.extend(found);
    }
    if !keys.is_empty() {
        for note in &notes {
            if let Err(why) = key::check(note, keys) {
                return Ok(report(&why));
            }
        }
    }
    let exempt = match export {
        _ if notes.is_empty() => BTreeSet::new(),
        Some(path) => named_as_lost(path)?,
        None => {
            // Where these entries are broken, the verifier below names the first one.
            let restores = acknowledged(&open().await?).await.unwrap_or_default();
            restores.0.into_iter().flat_map(|restore| restore.checkpoints).collect()
        }
    };
    // An acknowledged restore names them: it is an entry of the log like any other, and judged with it.
    let (passed, notes): (Vec<Note>, Vec<Note>) = notes
        .into_iter()
        .partition(|note| exempt.contains(&LostCheckpoint::from(&note.checkpoint)));
    let judged = match export {
        Some(path) => verify_export(path, &notes)?,
        None => verify_store(&open().await?, &notes).await?,
    };
    let head = match judged {
        Ok(head) => head,
        Err(broken) => return Ok(report(&broken)),
    };
    super::say(&format!("intact: {} entries, head {}", head.position, head.hash));
    if !passed.is_empty() {
        let positions: BTreeSet<u64> = passed.iter().map(|note| note.checkpoint.position).collect();
        let positions: Vec<String> = positions.iter().map(u64::to_string).collect();
        super::say(&format!(
            "passed over, because the log says that a restore has lost them: checkpoints at {}",
            positions.join(", ")
        ));
    }
    super::say(&match notes.iter().map(|note| note.checkpoint.position).max() {
        None => "held against no checkpoint: a log that was cut off or wholly rewritten would look the same".to_owned(),
        Some(last) => {
            let checked = if keys.is_empty() {
                "signatures not checked: no --key"
            } else {
                "signatures checked"
            };
            format!("holds {} checkpoints, the last at {last}; {checked}", notes.len())
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// What an export says that restores have lost.
fn named_as_lost(path: &Path) -> anyhow::Result<BTreeSet<LostCheckpoint>> {
    let place = || path.display().to_string();
    let mut file = BufReader::new(File::open(path).with_context(place)?);
    let (mut lost, mut line) = (BTreeSet::new(), Vec::new());
    loop {
        line.clear();
        let read = (&mut file).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
        if read.with_context(place)? == 0 {
            return Ok(lost);
        }
        // Most lines are of other streams, and need no reading.
        let text = std::str::from_utf8(&line).unwrap_or_default();
        if text.contains(restore::STREAM) {
            lost.extend(log_export::named_as_lost(text.trim_end()));
        }
    }
}

/// Judges a file, which stands for itself: nothing of it is compared with a database.
fn verify_export(path: &Path, notes: &[Note]) -> anyhow::Result<Result<Head, Broken>> {
    let place = || path.display().to_string();
    let mut file = BufReader::new(File::open(path).with_context(place)?);
    let mut verifier = LineVerifier::new(notes.iter().map(|note| note.checkpoint.clone()).collect());
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than a line may have, so that a longer one is refused instead of read in two.
        let read = (&mut file)
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut line)
            .with_context(place)?;
        if read == 0 {
            return Ok(verifier.finish());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Err(broken) = verifier.push(std::str::from_utf8(text).unwrap_or_default()) {
            return Ok(Err(broken));
        }
    }
}

pub(super) async fn verify_store(store: &Store, notes: &[Note]) -> anyhow::Result<Result<Head, Broken>> {
    // The head first: entries that come in meanwhile are not missing from it.
    let recorded = store.head().await?;
    let checkpoints = notes.iter().map(|note| note.checkpoint.clone());
    let mut verifier = Verifier::new(store.log_id()).against(checkpoints.collect());
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
    Ok(match finished {
        Ok(head) => beyond(store).await?.map_or(Ok(head), Err),
        broken => broken,
    })
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

pub(super) fn report(broken: &impl std::fmt::Display) -> ExitCode {
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
            writeln!(out, "{}", line(sealed)).context("writing the export")?;
        }
    }
    out.flush().context("writing the export")?;
    Ok(ExitCode::SUCCESS)
}

/// Compares every state row with what the log says: how many there are, and what differs.
pub(super) async fn differences(store: &Store) -> anyhow::Result<(usize, Vec<String>)> {
    let mut differing = Vec::new();
    let mut streams = 0;
    for prefix in ["release/", "service/", restore::STREAM] {
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
                differing.push(format!("{stream}: {error:#}"));
            }
        }
    }
    Ok((streams, differing))
}

async fn compare(store: &Store) -> anyhow::Result<ExitCode> {
    let (streams, differing) = differences(store).await?;
    for difference in &differing {
        super::say(&format!("DIFFERS: {difference}"));
    }
    super::say(&format!(
        "{streams} streams replayed, {} differ from their state rows",
        differing.len()
    ));
    Ok(if differing.is_empty() {
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
    } else if row.stream == restore::STREAM {
        (serde_json::to_value(replay_restores(entries)?)?, String::new(), "")
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
