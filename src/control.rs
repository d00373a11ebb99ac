//! The control socket: how writing verbs reach the one process that may write to a SQLite file. Only its owner can
//! connect; one JSON line is asked, one answered.

use crate::store::{Store, StoreError};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

const LINE_BYTES_MAX: u64 = 64 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Run a dead job again.
    Retry {
        /// The job.
        id: String,
    },
    /// Give a dead job up.
    Drop {
        /// The job.
        id: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    found: bool,
    error: Option<String>,
}

fn socket_path(data_directory: &Path) -> PathBuf {
    data_directory.join("control.sock")
}

/// Does what is asked; false if there is no dead job with that id.
///
/// # Errors
/// When the database can't be written.
pub async fn apply(store: &Store, request: &Request) -> Result<bool, StoreError> {
    match request {
        Request::Retry { id } => store.retry_job(id).await,
        Request::Drop { id } => store.drop_job(id).await,
    }
}

/// Listens until the process ends.
///
/// # Errors
/// When the socket can't be made.
pub fn listen(store: Store, data_directory: &Path) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let path = socket_path(data_directory);
    // Left behind by a process that was killed; the database's lock says that it is gone.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("control socket"),
        _ => {}
    }
    let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).context("control socket")?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let store = store.clone();
            tokio::spawn(async move {
                if let Err(error) = timeout(ANSWER_WITHIN, answer(stream, &store)).await.unwrap_or(Ok(())) {
                    tracing::warn!(%error, "a control request failed");
                }
            });
        }
    }))
}

async fn answer(mut stream: UnixStream, store: &Store) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new((&mut stream).take(LINE_BYTES_MAX))
        .read_line(&mut line)
        .await?;
    let request: Request = serde_json::from_str(&line)?;
    let answer = match apply(store, &request).await {
        Ok(found) => {
            tracing::info!(?request, found, "a job was changed through the control socket");
            Answer { found, error: None }
        }
        Err(error) => Answer {
            found: false,
            error: Some(error.to_string()),
        },
    };
    stream
        .write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes())
        .await?;
    Ok(())
}

/// Asks the running process.
///
/// # Errors
/// When it can't be reached or says that it failed.
pub async fn ask(data_directory: &Path, request: &Request) -> anyhow::Result<bool> {
    let path = socket_path(data_directory);
    let mut stream = UnixStream::connect(&path)
        .await
        .with_context(|| path.display().to_string())?;
    stream
        .write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes())
        .await?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(LINE_BYTES_MAX));
    timeout(ANSWER_WITHIN, reader.read_line(&mut line))
        .await
        .context("no answer within 10 s")??;
    let answer: Answer = serde_json::from_str(&line).context("the answer of the running process")?;
    match answer.error {
        None => Ok(answer.found),
        Some(error) => anyhow::bail!("{error}"),
    }
}
