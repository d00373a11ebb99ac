//! The control socket: how writing verbs reach the one process that may write to a SQLite file. Only its owner can
//! connect; one JSON line is asked, one answered.

use crate::clock::Clock;
use crate::handle::HandleError;
use crate::handle::erase::{self, Report, Wish};
use crate::store::{OpenError, Options, Store};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

const LINE_BYTES_MAX: u64 = 256 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The whole log is read for an erasure, and the file written anew.
const ERASED_WITHIN: Duration = Duration::from_mins(20);

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
    /// Erase people.
    Erase(Wish),
}

impl Request {
    /// For the log, which must not name people.
    fn word(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Drop { .. } => "drop",
            Self::Erase(_) => "erase",
        }
    }

    fn within(&self) -> Duration {
        match self {
            Self::Erase(_) => ERASED_WITHIN,
            _ => ANSWER_WITHIN,
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Whether there was such a dead job.
    Job(bool),
    /// What became of people.
    People(Report),
    /// It can't be meant.
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    done: Option<Done>,
    error: Option<String>,
}

fn socket_path(data_directory: &Path) -> PathBuf {
    data_directory.join("control.sock")
}

/// Does what is asked.
///
/// # Errors
/// When the database can't be read or written.
pub async fn apply(store: &Store, request: &Request, now_ms: i64) -> Result<Done, HandleError> {
    Ok(match request {
        Request::Retry { id } => Done::Job(store.retry_job(id).await?),
        Request::Drop { id } => Done::Job(store.drop_job(id).await?),
        Request::Erase(wish) => match erase::erase(store, wish, now_ms).await? {
            Ok(report) => Done::People(report),
            Err(why) => Done::Refused(why),
        },
    })
}

/// Listens until the process ends.
///
/// # Errors
/// When the socket can't be made.
pub fn listen(store: Store, clock: Clock, data_directory: &Path) -> anyhow::Result<tokio::task::JoinHandle<()>> {
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
            let (store, clock) = (store.clone(), clock.clone());
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &store, &clock).await {
                    tracing::warn!(%error, "a control request failed");
                }
            });
        }
    }))
}

async fn answer(mut stream: UnixStream, store: &Store, clock: &Clock) -> anyhow::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new((&mut stream).take(LINE_BYTES_MAX));
    timeout(ANSWER_WITHIN, reader.read_line(&mut line)).await??;
    let request: Request = serde_json::from_str(&line)?;
    let verb = request.word();
    let applied = timeout(request.within(), apply(store, &request, clock.now_ms())).await?;
    let answer = match applied {
        Ok(done) => {
            tracing::info!(verb, "done through the control socket");
            Answer {
                done: Some(done),
                error: None,
            }
        }
        Err(error) => Answer {
            done: None,
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
pub async fn ask(data_directory: &Path, request: &Request) -> anyhow::Result<Done> {
    let path = socket_path(data_directory);
    let mut stream = UnixStream::connect(&path)
        .await
        .with_context(|| path.display().to_string())?;
    stream
        .write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes())
        .await?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(LINE_BYTES_MAX));
    timeout(request.within(), reader.read_line(&mut line))
        .await
        .context("no answer in time")??;
    let answer: Answer = serde_json::from_str(&line).context("the answer of the running process")?;
    match (answer.done, answer.error) {
        (Some(done), None) => Ok(done),
        (_, error) => anyhow::bail!("{}", error.unwrap_or_default()),
    }
}

/// Does it here, or has the process do it that holds the SQLite file.
///
/// # Errors
/// As [`apply`] and [`ask`].
pub async fn here_or_there(url: &str, data_directory: &Path, request: &Request) -> anyhow::Result<Done> {
    match Store::open(url, Options::default()).await {
        Ok(store) => {
            let done = apply(&store, request, Clock::default().now_ms()).await?;
            store.close().await;
            Ok(done)
        }
        Err(OpenError::Locked { .. }) => ask(data_directory, request).await,
        Err(error) => Err(error.into()),
    }
}
