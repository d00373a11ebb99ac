//! Starts an attempt from the bot: writes the launch, spawns a supervisor and waits until it says that the script runs.
//! Blocking, for some seconds at worst; call it where blocking is allowed.
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::launch::{Launch, LaunchError};
use super::spool::{
    CLAIM_FILE, Claim, ERROR_FILE, LAUNCH_FILE, Outcome, STATUS_FILE, SUPERVISOR_FILE, Status, Supervisor,
    create_exclusively, create_spool, forbid_start, read_json, spool_directory, to_json,
};

/// How long a supervisor may take to say that it has started the script.
const CONFIRM_WAIT: Duration = Duration::from_secs(5);

/// An attempt whose script was started by this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The attempt's directory; keep it with the attempt, together with this host's name.
    pub spool: PathBuf,
    /// What its supervisor says of itself.
    pub supervisor: Supervisor,
}

/// What a failed start means for the script (invariant 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Nothing ran. Unless the launch was refused before its directory was touched, nothing ever
    /// will from this directory.
    NotStarted,
    /// Another call started this attempt; observe it.
    StartedElsewhere,
    /// It may have run. Observe it; if it is `Gone`, the attempt is `interrupted`.
    Unknown,
}

/// Why a start did not succeed.
#[derive(Debug)]
pub enum StartError {
    /// The launch itself is wrong; nothing was written.
    Refused(LaunchError),
    /// The program's bytes are not the pinned ones; nothing ran.
    ScriptChanged,
    /// The program could not be run; nothing ran.
    SpawnFailed(String),
    /// The start was forbidden before; nothing ran.
    Forbidden,
    /// Somebody asked to stop before the script was there; nothing ran.
    Stopped,
    /// The spool directory holds another launch under this attempt id.
    LaunchDiffers(PathBuf),
    /// The spool or the supervisor could not be made; nothing ran, and nothing will.
    Setup(String),
    /// Another call came first.
    AlreadyStarted,
    /// The supervisor did not say in time whether the script runs, or died over it.
    Unknown(String),
}

impl StartError {
    /// What is known about the script.
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Refused(_)
            | Self::ScriptChanged
            | Self::SpawnFailed(_)
            | Self::Forbidden
            | Self::Stopped
            | Self::Setup(_) => Certainty::NotStarted,
            Self::AlreadyStarted => Certainty::StartedElsewhere,
            Self::LaunchDiffers(_) | Self::Unknown(_) => Certainty::Unknown,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::ScriptChanged => {
                f.write_str("the deployment script changed after its digest was taken; nothing was started")
            }
            Self::SpawnFailed(error) => write!(f, "nothing was started: {error}"),
            Self::Forbidden => f.write_str("the start of this attempt was forbidden"),
            Self::Stopped => f.write_str("the attempt was stopped before its script ran"),
            Self::LaunchDiffers(spool) => write!(f, "{} holds another launch under this attempt id", spool.display()),
            Self::Setup(text) => write!(f, "nothing was started: {text}"),
            Self::AlreadyStarted => f.write_str("this attempt was started before"),
            Self::Unknown(text) => write!(f, "it is not known whether the script started: {text}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Starts the script of `launch` at most once, however often and from wherever this is called
/// (`deploy.script`, invariant 4), and returns once its process exists.
///
/// `spool_root` must exist; `countersign_binary` is this program. The supervisor gets no
/// environment, no terminal and a session of its own, so the bot's end does not reach it.
///
/// # Errors
/// A [`StartError`]; its [`StartError::certainty`] says whether anything can have run.
pub fn start(launch: &Launch, spool_root: &Path, countersign_binary: &Path) -> Result<Started, StartError> {
    launch.check().map_err(StartError::Refused)?;
    let root = spool_root
        .canonicalize()
        .map_err(|error| setup(&format!("spool root {}", spool_root.display()), &error))?;
    let spool = spool_directory(&root, &launch.attempt);
    create_spool(&spool).map_err(|error| setup("spool directory", &error))?;
    write_launch(launch, &spool)?;
    match spawn_supervisor(&spool, countersign_binary) {
        Ok(child) => confirm(spool, child),
        Err(error) => {
            let binary = countersign_binary.display();
            Err(settle(&spool, None, &format!("can't run {binary}: {error}")))
        }
    }
}

fn setup(what: &str, error: &io::Error) -> StartError {
    StartError::Setup(format!("{what}: {error}"))
}

/// Writes the launch, or finds the same one there; another one under this id is an error of its own.
fn write_launch(launch: &Launch, spool: &Path) -> Result<(), StartError> {
    let failed = |error: io::Error| settle(spool, None, &format!("{LAUNCH_FILE}: {error}"));
    let bytes = to_json(launch).map_err(failed)?;
    if create_exclusively(spool, LAUNCH_FILE, &bytes).map_err(failed)? {
        return Ok(());
    }
    let found: Option<Launch> = read_json(&spool.join(LAUNCH_FILE)).map_err(failed)?;
    if found.as_ref() == Some(launch) {
        Ok(())
    } else {
        Err(StartError::LaunchDiffers(spool.to_path_buf()))
    }
}

fn spawn_supervisor(spool: &Path, countersign_binary: &Path) -> io::Result<Child> {
    let mut supervisor = Command::new(countersign_binary);
    supervisor
        .arg("supervise")
        .arg("--spool")
        .arg(spool)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(feature = "sabotage")]
    supervisor.envs(crate::sabotage::handed_on());
    supervisor.spawn()
}

fn confirm(spool: PathBuf, mut child: Child) -> Result<Started, StartError> {
    let pid = child.id();
    let deadline = Instant::now() + CONFIRM_WAIT;
    let ended = loop {
        // The end before the file: after its end, a supervisor writes nothing more.
        let ended = child.try_wait().ok().flatten();
        if let Some(supervisor) = announced(&spool, pid) {
            if ended.is_none() {
                reap_later(child);
            }
            return Ok(Started { spool, supervisor });
        }
        if ended.is_some() || Instant::now() > deadline {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if ended.is_none() {
        reap_later(child);
    }
    let told = std::fs::read_to_string(spool.join(ERROR_FILE)).unwrap_or_default();
    Err(settle(&spool, Some(pid), &explain(ended, &told)))
}

fn announced(spool: &Path, pid: u32) -> Option<Supervisor> {
    let supervisor: Option<Supervisor> = read_json(&spool.join(SUPERVISOR_FILE)).ok()?;
    supervisor.filter(|supervisor| supervisor.pid == pid)
}

/// Keeps a supervisor that ends before the bot from staying a zombie.
fn reap_later(mut child: Child) {
    // Without the thread it only stays in the process table until the bot ends.
    let _ = std::thread::Builder::new()
        .name("supervisor-reaper".to_owned())
        .spawn(move || child.wait());
}

fn explain(ended: Option<ExitStatus>, told: &str) -> String {
    match ended {
        None => format!("the supervisor said nothing for {} s", CONFIRM_WAIT.as_secs()),
        Some(status) if told.is_empty() => format!("the supervisor ended ({status})"),
        Some(status) => format!("the supervisor ended ({status}): {told}"),
    }
}

/// Turns a failure into a certainty where there can be one: either the start is forbidden from now
/// on, or it was claimed before, by the supervisor `own` or another one.
fn settle(spool: &Path, own: Option<u32>, detail: &str) -> StartError {
    let claim_path = spool.join(CLAIM_FILE);
    let claim_before: Option<Claim> = match read_json(&claim_path) {
        Ok(claim) => claim,
        Err(error) => return StartError::Unknown(format!("{detail}; {error}")),
    };
    let claim = match (claim_before, forbid_start(spool)) {
        (Some(Claim::Forbidden), _) => return StartError::Forbidden,
        (None, Ok(true)) => return StartError::Setup(detail.to_owned()),
        (None, Err(_)) if own.is_none() && !spool.join(LAUNCH_FILE).exists() => {
            return StartError::Setup(detail.to_owned());
        }
        (Some(claim), _) => Some(claim),
        (None, _) => read_json(&claim_path).ok().flatten(),
    };
    match claim {
        Some(Claim::Started { pid, .. }) if Some(pid) == own => own_end(spool, detail),
        Some(Claim::Started { .. }) => StartError::AlreadyStarted,
        Some(Claim::Forbidden) | None => StartError::Unknown(detail.to_owned()),
    }
}

/// What the supervisor of this call wrote before its end.
fn own_end(spool: &Path, detail: &str) -> StartError {
    let status: Option<Status> = read_json(&spool.join(STATUS_FILE)).ok().flatten();
    match status {
        Some(Status {
            outcome: Outcome::ScriptChanged,
            ..
        }) => StartError::ScriptChanged,
        Some(Status {
            outcome: Outcome::SpawnFailed { error },
            ..
        }) => StartError::SpawnFailed(error),
        Some(Status {
            outcome: Outcome::Stopped { .. },
            started_ms: None,
            ..
        }) => StartError::Stopped,
        _ => StartError::Unknown(detail.to_owned()),
    }
}
