//! The spool directory of one attempt: durable files, what can be read from them, and the two requests to a supervisor.
//! Every order of reads and writes in here is what "at most one start" and "no false interruption" rest on.
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(super) const LAUNCH_FILE: &str = "launch.json";
pub(super) const LOCK_FILE: &str = "supervisor.lock";
pub(super) const CLAIM_FILE: &str = "started";
pub(super) const SUPERVISOR_FILE: &str = "supervisor.json";
pub(super) const ERROR_FILE: &str = "supervisor-error.txt";
pub(super) const STOP_FILE: &str = "stop";
pub(super) const STATUS_FILE: &str = "status.json";
pub(super) const RESERVE_FILE: &str = "status.reserve";

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The script ended by itself.
    Exited {
        /// Its exit code; 0 is success.
        code: i32,
    },
    /// A signal that the supervisor did not send ended the script.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than its time and was ended.
    TimedOut,
    /// It was silent for longer than its idle time and was ended.
    IdleTimedOut,
    /// Somebody asked for its end.
    Stopped {
        /// As given to [`request_stop`].
        reason: Option<String>,
    },
    /// The program's bytes are not the ones that were pinned; nothing ran.
    ScriptChanged,
    /// The program could not be run; nothing ran.
    SpawnFailed {
        /// Why, for people.
        error: String,
    },
}

/// What became of the output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSummary {
    /// Bytes that the script wrote.
    pub raw_bytes: u64,
    /// Bytes after control sequences and overlong lines were cut out.
    pub clean_bytes: u64,
    /// Bytes of these that could not be written to the disk.
    pub lost_bytes: u64,
    /// Whether anything of the clean output is not kept, for whatever reason, or a line was cut.
    pub truncated: bool,
    /// The first error of writing, for people.
    pub error: Option<String>,
}

/// The end of an attempt, as `status.json` holds it. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How it ended.
    pub outcome: Outcome,
    /// The script's exit code, if it had one; also when it was ended by the supervisor.
    pub exit_code: Option<i32>,
    /// The signal that ended the script, if one did.
    pub signal: Option<i32>,
    /// When the script started, in milliseconds since 1970; none if it never ran.
    pub started_ms: Option<i64>,
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: i64,
    /// What became of its output.
    pub output: OutputSummary,
    /// Processes of the script that could not be killed; an operator has to look.
    pub survivors: usize,
}

/// What can be said of an attempt on the host that it was started on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// No script has run. One may still start unless `forbidden`: see [`forbid_start`].
    NotStarted {
        /// Whether a start is out of the question for ever.
        forbidden: bool,
    },
    /// A supervisor is alive.
    Running {
        /// Its process id; none in the instant before it has claimed the start.
        pid: Option<u32>,
        /// When it claimed the start, in milliseconds since 1970.
        since_ms: Option<i64>,
    },
    /// It ended, and this is how.
    Finished(Status),
    /// It started, and neither a supervisor nor a status is there: the attempt is `interrupted`.
    Gone,
}

/// Content of `started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "claim", rename_all = "snake_case")]
pub(super) enum Claim {
    Started { pid: u32, boot_id: String, at_ms: i64 },
    Forbidden,
}

/// Content of `supervisor.json`: the script's process exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// Process id of the supervisor.
    pub pid: u32,
    /// Process id of the script, which is also its process group.
    pub script_pid: u32,
    /// The kernel's id of this boot; a process id means nothing in another one.
    pub boot_id: String,
    /// When the script started, in milliseconds since 1970.
    pub started_ms: i64,
}

/// Content of `stop`; a file that can't be read is a request without a reason.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stop {
    pub reason: Option<String>,
}

/// Reads what can be known about an attempt.
///
/// A directory that does not exist yet counts as not started; its parent has to be there, so that a
/// volume that is not mounted is an error and not an answer.
///
/// # Errors
/// The error of reading; the state is then unknown.
pub fn observe(spool: &Path) -> io::Result<Observation> {
    require_parent(spool)?;
    // The order matters. A claim seen here was made under the lock; so if the lock is free after it,
    // that supervisor is dead, and what it wrote before its death is visible to the last read.
    let claim: Option<Claim> = read_json(&spool.join(CLAIM_FILE))?;
    if is_locked(spool)? {
        return Ok(match claim.or(read_json(&spool.join(CLAIM_FILE))?) {
            Some(Claim::Started { pid, at_ms, .. }) => Observation::Running {
                pid: Some(pid),
                since_ms: Some(at_ms),
            },
            Some(Claim::Forbidden) | None => Observation::Running {
                pid: None,
                since_ms: None,
            },
        });
    }
    if let Some(status) = read_json(&spool.join(STATUS_FILE))? {
        return Ok(Observation::Finished(status));
    }
    Ok(match claim {
        Some(Claim::Started { .. }) => Observation::Gone,
        Some(Claim::Forbidden) => Observation::NotStarted { forbidden: true },
        None => Observation::NotStarted { forbidden: false },
    })
}

/// The attempts whose ids end with `ending` and that may be under way: one that can't be read is among them.
///
/// # Errors
/// The error of reading.
pub fn unfinished(spool_root: &Path, ending: &str) -> io::Result<Vec<String>> {
    let mut unfinished = Vec::new();
    for entry in fs::read_dir(spool_root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_over = |spool: &Path| {
            let observed = observe(spool);
            matches!(observed, Ok(Observation::Finished(_) | Observation::NotStarted { .. }))
        };
        if name.ends_with(ending) && !is_over(&spool_root.join(&name)) {
            unfinished.push(name);
        }
    }
    unfinished.sort_unstable();
    Ok(unfinished)
}

/// Makes sure that this attempt never starts, however late a supervisor comes; the directory is made
/// if it is missing. Returns true if no script has run or ever will, false if a start came first.
///
/// # Errors
/// The error of writing; a start is then still possible.
pub fn forbid_start(spool: &Path) -> io::Result<bool> {
    create_spool(spool)?;
    if create_exclusively(spool, CLAIM_FILE, &to_json(&Claim::Forbidden)?)? {
        return Ok(true);
    }
    sync_directory(spool)?;
    let claim: Option<Claim> = read_json(&spool.join(CLAIM_FILE))?;
    Ok(claim == Some(Claim::Forbidden))
}

/// Asks the supervisor to end the script; it looks several times in 250 ms. Asking again changes
/// nothing, nor does asking after the end. Returns whether this call made the request.
///
/// # Errors
/// The error of writing; the script then goes on.
pub fn request_stop(spool: &Path, reason: &str) -> io::Result<bool> {
    if spool.join(STATUS_FILE).try_exists()? {
        return Ok(false);
    }
    let reason = Some(reason.chars().take(500).collect());
    create_exclusively(spool, STOP_FILE, &to_json(&Stop { reason })?)
}

/// The request to stop, if there is one.
pub(super) fn stop_request(spool: &Path) -> Option<Stop> {
    let path = spool.join(STOP_FILE);
    path.exists()
        .then(|| read_json(&path).ok().flatten().unwrap_or_default())
}

/// The directory of an attempt.
pub fn spool_directory(spool_root: &Path, attempt: &str) -> PathBuf {
    spool_root.join(attempt)
}

/// Makes the directory, for its owner only, in a parent that has to exist. One that is there is fine.
pub(super) fn create_spool(spool: &Path) -> io::Result<()> {
    require_parent(spool)?;
    match DirBuilder::new().mode(0o700).create(spool) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && spool.is_dir() => {}
        Err(error) => return Err(error),
    }
    spool.parent().map_or(Ok(()), sync_directory)
}

fn require_parent(spool: &Path) -> io::Result<()> {
    match spool.parent() {
        Some(parent) if parent.is_dir() => Ok(()),
        parent => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "the spool root {} is not a directory; create or mount it",
                parent.unwrap_or(spool).display()
            ),
        )),
    }
}

/// Whether a supervisor holds the lock.
fn is_locked(spool: &Path) -> io::Result<bool> {
    let file = match File::open(spool.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // Shared, so that observers don't see each other; a starting supervisor tries again for a while.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Creates a file with its whole content, durably, or returns false if the name is taken.
pub(super) fn create_exclusively(spool: &Path, name: &str, bytes: &[u8]) -> io::Result<bool> {
    let temporary = write_temporary(spool, name, bytes)?;
    // A hard link is as exclusive as O_EXCL, and nobody ever sees the file half written.
    let linked = fs::hard_link(&temporary, spool.join(name));
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => sync_directory(spool).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replaces a file with new content, durably.
pub(super) fn write_durably(spool: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_temporary(spool, name, bytes)?;
    fs::rename(&temporary, spool.join(name))?;
    sync_directory(spool)
}

fn write_temporary(spool: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = spool.join(format!(".{name}.{}.{number}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&path);
    }
    written.map(|()| path)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

pub(super) fn to_json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

/// Reads a JSON file; none if it does not exist.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} can't be read: {error}", path.display()),
        )
    })
}

/// Now, in milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the supervisor is a process of its own, without the bot's clock"
)]
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
