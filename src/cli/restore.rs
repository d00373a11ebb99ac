//! `countersign restore`: a backup into a database that does not exist yet, verified, with what it lost.

use super::audit::{differences, report, verify_store};
use super::backup::judge;
use crate::app::database_url;
use crate::backup::{NewFile, postgres};
use crate::checkpoints::fit::{Fit, Kept};
use crate::checkpoints::key::SigningKey;
use crate::config::{Checkpoints, Database, StorePlace};
use crate::handle::restore::acknowledged;
use crate::store::{Options, Store, has_tables};
use anyhow::Context as _;
use clap::Args;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// What SQLite or a bot leaves beside a database.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What `countersign backup` wrote.
    file: PathBuf,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (place, checkpoints) = (StorePlace::from_process()?, Checkpoints::from_process()?);
    let began = Instant::now();
    let file = std::path::absolute(&arguments.file)?;
    anyhow::ensure!(file.is_file(), "{} is not a file", file.display());
    refuse_existing(&place.database).await?;
    if let Err(broken) = judge(&file, &place.database).await? {
        super::say("the backup is damaged; nothing was restored");
        return Ok(report(&broken));
    }
    match &place.database {
        Database::Sqlite { path } => copy(&file, path)?,
        Database::Postgres { url } => postgres::restore(url.expose(), &file).await?,
    }
    let store = Store::open_read_only(&database_url(&place), Options::default()).await?;
    let head = match verify_store(&store, &[]).await? {
        Ok(head) => head,
        Err(broken) => return Ok(report(&broken)),
    };
    let (streams, differing) = differences(&store).await?;
    anyhow::ensure!(
        differing.is_empty(),
        "state rows differ from the log: {}",
        differing.join("; ")
    );
    super::say(&format!(
        "intact: {} entries, head {}; {streams} streams replayed, none differs from its state row",
        head.position, head.hash
    ));
    super::say(&format!(
        "restored and verified in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    tell_loss(&store, &checkpoints).await?;
    Ok(ExitCode::SUCCESS)
}

/// Never over anything, nor beside what would be taken for a part of it.
async fn refuse_existing(database: &Database) -> anyhow::Result<()> {
    match database {
        Database::Sqlite { path } => {
            for ending in BESIDE {
                let mut name = path.as_os_str().to_owned();
                name.push(ending);
                let name = PathBuf::from(name);
                anyhow::ensure!(
                    name.symlink_metadata().is_err(),
                    "{} exists; move it away, or name another place: nothing is ever overwritten",
                    name.display()
                );
            }
            Ok(())
        }
        Database::Postgres { url } => {
            let taken = has_tables(url.expose()).await?;
            anyhow::ensure!(
                !taken,
                "the database holds tables of Countersign; create an empty one and let DATABASE_URL point to it: nothing is ever overwritten"
            );
            Ok(())
        }
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).with_context(|| folder.display().to_string())?;
    }
    let new = NewFile::for_target(to)?;
    fs::copy(from, &new.path).with_context(|| from.display().to_string())?;
    // A copy takes its mode along.
    fs::set_permissions(&new.path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    new.keep()?;
    Ok(())
}

/// What is missing, as far as anything shows it, and what to do next.
async fn tell_loss(store: &Store, checkpoints: &Checkpoints) -> anyhow::Result<()> {
    let without = "if the bot decided anything after this backup, run `countersign audit acknowledge-restore --by NAME --reason TEXT \
         --without-checkpoint` before it is started";
    let Some(file) = &checkpoints.file else {
        super::say(&format!(
            "audit.file is not set, so nothing shows what was lost: {without}"
        ));
        return Ok(());
    };
    let key = checkpoints.key.as_ref().and_then(SigningKey::new);
    let kept = Kept::read(file, store.log_id(), key.map(|key| key.public(store.log_id())).as_ref())?;
    match kept.fit(store, &acknowledged(store).await?).await? {
        Fit::Nothing => super::say(&format!(
            "{} holds no checkpoint of this log: {without}",
            file.display()
        )),
        Fit::Fits(checkpoint) => super::say(&format!(
            "nothing is lost up to the checkpoint at {}; {without}",
            checkpoint.position
        )),
        Fit::Not(misfit) => {
            let position = misfit.checkpoint.position;
            super::say(&match position.saturating_sub(misfit.entries) {
                0 => format!(
                    "entry {position} of this log is another one than the checkpoint's: the history that went on from there is lost"
                ),
                missing => {
                    format!("lost: {missing} entries up to the checkpoint at {position}, and whatever came after it")
                }
            });
            super::say(
                "next: `countersign audit acknowledge-restore --by NAME --reason TEXT`; the bot does not start before",
            );
        }
    }
    Ok(())
}
