//! `countersign backup`: the database into a new file, beside a running bot, and verified there.

use super::audit::{differences, verify_store};
use crate::app::database_url;
use crate::backup::{NewFile, dump, postgres};
use crate::checkpoints::fit::{Fit, Kept};
use crate::checkpoints::key::SigningKey;
use crate::config::{Checkpoints, Database, StorePlace};
use crate::handle::restore::acknowledged;
use crate::store::{Options, Store, copy_sqlite};
use clap::Args;
use domain::log_entry::{Broken, Head};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const NOT_IN_IT: &str = "not in it: the configuration, tokens and other secrets, the key and the file of checkpoints, the output of \
     deployments (COUNTERSIGN_DATA/attempts), the deployment scripts";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A folder, in which the file gets a name with the time, or a file that does not exist yet.
    target: PathBuf,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (place, checkpoints) = (StorePlace::from_process()?, Checkpoints::from_process()?);
    let began = Instant::now();
    let url = database_url(&place);
    let store = Store::open_read_only(&url, Options::default()).await?;
    let new = NewFile::for_target(&target(&arguments.target, &place.database, store.log_id()))?;
    match &place.database {
        Database::Sqlite { path } => copy_sqlite(path, &new.path).await?,
        Database::Postgres { url } => postgres::dump(url.expose(), &new.path).await?,
    }
    let head = match judge(&new.path, &place.database).await? {
        Ok(head) => head,
        Err(broken) => return Ok(super::audit::report(&broken)),
    };
    let path = new.keep()?;
    super::say(&path.display().to_string());
    super::say(&format!("intact: {} entries, head {}", head.position, head.hash));
    let bytes = path.metadata()?.len();
    super::say(&format!(
        "{bytes} bytes, made and verified in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    super::say(&held_against(&store, &checkpoints).await?);
    super::say(NOT_IN_IT);
    Ok(ExitCode::SUCCESS)
}

fn target(given: &Path, database: &Database, log: &str) -> PathBuf {
    if !given.is_dir() {
        return given.to_owned();
    }
    let ending = match database {
        Database::Sqlite { .. } => "sqlite",
        Database::Postgres { .. } => "pgdump",
    };
    let now = jiff::Timestamp::from_millisecond(crate::clock::Clock::default().now_ms()).unwrap_or_default();
    given.join(format!("countersign-{log}-{}.{ending}", now.strftime("%Y%m%dT%H%M%SZ")))
}

/// Verifies the chain in a backup and, where that needs no server, every state row.
pub(super) async fn judge(file: &Path, database: &Database) -> anyhow::Result<Result<Head, Broken>> {
    match database {
        Database::Sqlite { .. } => {
            let copy = Store::open_read_only(&format!("sqlite:{}", file.display()), Options::default()).await?;
            let judged = verify_store(&copy, &[]).await?;
            if judged.is_ok() {
                let (_, differing) = differences(&copy).await?;
                anyhow::ensure!(
                    differing.is_empty(),
                    "state rows differ from the log: {}",
                    differing.join("; ")
                );
            }
            copy.close().await;
            Ok(judged)
        }
        Database::Postgres { .. } => dump::verify(file).await,
    }
}

/// What of `audit.file` the log goes through, in a sentence.
async fn held_against(store: &Store, checkpoints: &Checkpoints) -> anyhow::Result<String> {
    let Some(file) = &checkpoints.file else {
        return Ok("audit.file is not set: nothing will show what a restore of this has lost".to_owned());
    };
    let key = checkpoints.key.as_ref().and_then(SigningKey::new);
    let kept = Kept::read(file, store.log_id(), key.map(|key| key.public(store.log_id())).as_ref())?;
    Ok(match kept.fit(store, &acknowledged(store).await?).await? {
        Fit::Nothing => format!("{} holds no checkpoint of this log yet", file.display()),
        Fit::Fits(checkpoint) => format!(
            "the log goes through the checkpoint at {} in {}; compare a restore with the newest one there",
            checkpoint.position,
            file.display()
        ),
        Fit::Not(misfit) => format!("WARNING: {misfit}"),
    })
}
