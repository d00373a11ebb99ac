//! `countersign audit acknowledge-restore`: an operator says that the database was restored from a backup. Nothing is served
//! on such a database before; the bot stands still meanwhile.

use crate::app::database_url;
use crate::checkpoints::fit::Kept;
use crate::checkpoints::key::SigningKey;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::handle::restore::{Acknowledged, Acknowledgement, acknowledge, acknowledged};
use crate::store::{OpenError, Options, Store};
use clap::Args;
use domain::policy::Policy;
use domain::restore::{LostCheckpoint, Restores};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

/// A process of the bot beats every 8 s: whoever beat within the first time is watched for the second.
const MAY_LIVE_MS: i64 = 60_000;
const WATCH_FOR: Duration = Duration::from_secs(10);
const WORDS_MAX: usize = 2_000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Who acknowledges it.
    #[arg(long, value_name = "NAME", value_parser = words)]
    by: String,
    /// Why the database was restored, and from what.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Although no checkpoint shows it: the restored log ends before the first checkpoint, or audit.file is not set.
    #[arg(long)]
    without_checkpoint: bool,
}

fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > WORDS_MAX || text.chars().any(char::is_control) {
        return Err(format!("1 to {WORDS_MAX} characters in one line are needed"));
    }
    Ok(text.to_owned())
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (config, _) = Config::from_process()?;
    if let Database::Sqlite { path } = &config.store.database {
        anyhow::ensure!(path.exists(), "there is no database at {}", path.display());
    }
    let store = match Store::open(&database_url(&config.store), Options::default()).await {
        Err(error @ OpenError::Locked { .. }) => {
            return Err(anyhow::Error::from(error).context("stop the bot first: nothing may be decided meanwhile"));
        }
        opened => opened?,
    };
    if let Database::Postgres { .. } = config.store.database {
        nobody_beats(&store).await?;
    }
    let restores = acknowledged(&store).await?;
    let lost = lost(&config, &store, &restores).await?;
    if lost.is_empty()
        && let Some(code) = nothing_to_do(&store, &restores, arguments.without_checkpoint).await?
    {
        return Ok(code);
    }
    let policy = Policy::with_differences(&config.policy);
    let policy = policy.map_err(|_| anyhow::anyhow!("the policy in the configuration is not valid"))?;
    let said = Acknowledgement {
        by: &arguments.by,
        reason: &arguments.reason,
        lost: lost.clone(),
    };
    let channel = &config.slack.releases_channel;
    let done = acknowledge(&store, &policy, channel, said, Clock::default().now_ms()).await?;
    tell(&done, &lost);
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Demands that no worker lives: one that does beats again while it is watched. What the backup holds of beats stands still.
async fn nobody_beats(store: &Store) -> anyhow::Result<()> {
    let beats = async || -> anyhow::Result<BTreeMap<String, i64>> {
        let beats = store.beats().await?.into_iter();
        Ok(beats.map(|beat| (beat.owner, beat.beat_ms)).collect())
    };
    let before = beats().await?;
    let now_ms = Clock::default().now_ms();
    if before.values().all(|beat_ms| *beat_ms < now_ms - MAY_LIVE_MS) {
        return Ok(());
    }
    super::say(&format!(
        "watching for {} s whether a process still works on this database",
        WATCH_FOR.as_secs()
    ));
    tokio::time::sleep(WATCH_FOR).await;
    let living: Vec<String> = beats()
        .await?
        .into_iter()
        .filter(|(owner, beat_ms)| before.get(owner) != Some(beat_ms))
        .map(|(owner, _)| owner)
        .collect();
    anyhow::ensure!(
        living.is_empty(),
        "{} still works on this database: stop every process of the bot first, those that only answer Slack too",
        living.join(", ")
    );
    Ok(())
}

async fn lost(config: &Config, store: &Store, restores: &Restores) -> anyhow::Result<BTreeSet<LostCheckpoint>> {
    let Some(file) = &config.checkpoints.file else {
        return Ok(BTreeSet::new());
    };
    let key = config.checkpoints.key.as_ref().and_then(SigningKey::new);
    let key = key.map(|key| key.public(store.log_id()));
    Kept::read(file, store.log_id(), key.as_ref())?
        .lost(store, restores)
        .await
}

/// The answer where no checkpoint is lost; nothing if the operator acknowledges it all the same.
async fn nothing_to_do(
    store: &Store,
    restores: &Restores,
    without_checkpoint: bool,
) -> anyhow::Result<Option<ExitCode>> {
    let last = store.entries_of(domain::restore::STREAM).await?.pop();
    let is_last = match &last {
        Some(entry) => store.head().await?.position == entry.position,
        None => false,
    };
    // Also right after another one: a backup may hold it as its last entry, and may have been restored since.
    if without_checkpoint {
        return Ok(None);
    }
    if let (Some(restore), true) = (restores.0.last(), is_last) {
        let at = jiff::Timestamp::from_millisecond(restore.at_ms).unwrap_or_default();
        super::say(&format!(
            "nothing to acknowledge: that was done at {at:.0}, and nothing was logged since; start the bot. \
             If the database was restored once more after that, say so with --without-checkpoint."
        ));
        return Ok(Some(ExitCode::SUCCESS));
    }
    super::say(
        "nothing to acknowledge: the log goes through every checkpoint in audit.file, or there is none to compare it with. \
         If the database was restored all the same, say so with --without-checkpoint.",
    );
    Ok(Some(ExitCode::FAILURE))
}

fn tell(done: &Acknowledged, lost: &BTreeSet<LostCheckpoint>) {
    super::say(&format!("acknowledged as entry {}", done.position));
    for LostCheckpoint { position, hash } in lost {
        super::say(&format!(
            "passed over from here on: the checkpoint at {position}, {hash}"
        ));
    }
    super::say(&match done.attempts.as_slice() {
        [] => "no deployment was under way".to_owned(),
        keys => format!(
            "two people have to say on the card what came of the deployment of {}",
            keys.join(", ")
        ),
    });
    super::say(&format!(
        "{} messages, mails, pages and timers are held; `countersign jobs list --dead` shows them, retry or drop each",
        done.held
    ));
    super::say("look on every host for deployment scripts that still run, then start the bot");
}
