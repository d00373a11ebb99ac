//! `countersign supervise`: a small process between the bot and one script, which outlives the bot.
//!
//! Plain threads, no async: one thread reads the output, the main thread looks every 25 ms for the
//! script's end, a request to stop and the clocks. Tokio serves only to install signal handlers that
//! do nothing, because the standard library can't and this crate forbids unsafe code. Handlers, not
//! "ignore": they fall back to the default in the script, while "ignore" would be inherited.
//! TERM, INT, HUP and their like don't end a supervisor, since service managers send them to
//! whatever they find; only a request to stop or KILL does.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use domain::sabotage::{Guard, is_out};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, Signal};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::launch::Launch;
use super::output::OutputSpool;
use super::run::run;
use super::spool::{
    CLAIM_FILE, Claim, ERROR_FILE, LAUNCH_FILE, LOCK_FILE, Outcome, RESERVE_FILE, STATUS_FILE, Status,
    create_exclusively, now_ms, read_json, stop_request, sync_directory, to_json,
};
use super::tree::own_process;

/// Exit code: the attempt ended, and its status is on the disk.
pub const FINISHED: u8 = 0;
/// Exit code: there is nothing here to run, or it can't be run safely; nothing was claimed.
pub const REFUSED: u8 = 64;
/// Exit code: another supervisor has this attempt, or it was forbidden; this one ran nothing.
pub const ALREADY: u8 = 75;
/// Exit code: the attempt ended, but its status could not be written.
pub const NO_STATUS: u8 = 74;

/// An observer holds the lock for an instant; a supervisor for as long as it lives.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Room for the status, taken before the script can fill the disk.
const RESERVE_BYTES: usize = 8192;

/// How long the status is tried to be written.
const STATUS_PATIENCE: Duration = Duration::from_mins(10);

/// Why a supervisor ends without a status.
#[derive(Debug)]
struct Refusal {
    code: u8,
    text: String,
}

impl Refusal {
    fn new(code: u8, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }
}

fn refused(what: &str) -> impl FnOnce(io::Error) -> Refusal + '_ {
    move |error| Refusal::new(REFUSED, format!("{what}: {error}"))
}

/// Runs the attempt in `spool` to its end, at most once ever (invariant 4), and writes its status.
///
/// Returns [`FINISHED`], [`REFUSED`], [`ALREADY`] or [`NO_STATUS`].
pub fn supervise(spool: &Path) -> ExitCode {
    match supervise_attempt(spool) {
        Ok(()) => ExitCode::from(FINISHED),
        Err(refusal) => {
            let _ = writeln!(io::stderr(), "countersign supervise: {}", refusal.text);
            // What another supervisor's attempt needs is not touched.
            if refusal.code != ALREADY {
                let _ = fs::write(spool.join(ERROR_FILE), &refusal.text);
            }
            ExitCode::from(refusal.code)
        }
    }
}

fn supervise_attempt(spool: &Path) -> Result<(), Refusal> {
    let spool = fs::canonicalize(spool)
        .map_err(refused("the spool directory can't be opened"))
        .map_err(|refusal| Refusal::new(REFUSED, format!("{} ({})", refusal.text, spool.display())))?;
    let spool = spool.as_path();
    let _signals = settle_in().map_err(refused("the supervisor can't be set up"))?;
    let _lock = take_lock(spool)?;
    let launch = read_launch(spool)?;
    reserve_status(spool).map_err(refused("no room for the status"))?;
    let output = OutputSpool::create(spool, launch.output).map_err(refused("no room for output"))?;
    claim(spool)?;
    let status = match stop_request(spool) {
        Some(stop) => never_ran(Outcome::Stopped { reason: stop.reason }),
        None => run(spool, &launch, output),
    };
    record(spool, &status)
}

/// The status of an attempt whose script did not run.
pub(super) fn never_ran(outcome: Outcome) -> Status {
    Status {
        outcome,
        exit_code: None,
        signal: None,
        started_ms: None,
        ended_ms: now_ms(),
        output: super::spool::OutputSummary::default(),
        survivors: 0,
    }
}

/// Own session, harmless signals, private files, no core dumps, and orphans come here.
fn settle_in() -> io::Result<Runtime> {
    use rustix::process::{getpid, set_child_subreaper, setrlimit, setsid, umask};
    if !own_process()?.leads_session() {
        setsid()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    {
        let _inside = runtime.enter();
        for harmless in [
            Signal::TERM,
            Signal::INT,
            Signal::HUP,
            Signal::QUIT,
            Signal::USR1,
            Signal::USR2,
            Signal::ALARM,
            // A limit on file sizes is to be an error of writing, not the end.
            Signal::XFSZ,
        ] {
            // The handler stays when the stream goes.
            drop(signal(SignalKind::from_raw(harmless.as_raw()))?);
        }
    }
    umask(Mode::RWXG | Mode::RWXO);
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, no_core)?;
    set_child_subreaper(Some(getpid()))?;
    Ok(runtime)
}

fn take_lock(spool: &Path) -> Result<File, Refusal> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(spool.join(LOCK_FILE))
        .map_err(refused("the lock can't be opened"))?;
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(refused("no lock")(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        if spool.join(CLAIM_FILE).exists() || Instant::now() > patience {
            return Err(Refusal::new(ALREADY, "another supervisor has this attempt"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read_launch(spool: &Path) -> Result<Launch, Refusal> {
    let launch: Launch = read_json(&spool.join(LAUNCH_FILE))
        .map_err(refused("the launch can't be read"))?
        .ok_or_else(|| Refusal::new(REFUSED, format!("there is no {LAUNCH_FILE} in {}", spool.display())))?;
    launch
        .check()
        .map_err(|error| Refusal::new(REFUSED, error.to_string()))?;
    Ok(launch)
}

/// Takes the one start that this directory will ever see.
fn claim(spool: &Path) -> Result<(), Refusal> {
    let claim = Claim::Started {
        pid: std::process::id(),
        boot_id: boot_id(),
        at_ms: now_ms(),
    };
    let bytes = to_json(&claim).map_err(refused("the claim can't be written"))?;
    match create_exclusively(spool, CLAIM_FILE, &bytes) {
        Ok(is_first) if is_first || is_out(Guard::SpoolOnce) => Ok(()),
        Ok(_) => Err(Refusal::new(
            ALREADY,
            "this attempt was started before, or its start was forbidden",
        )),
        Err(error) => Err(refused("the start can't be claimed")(error)),
    }
}

/// The kernel's id of this boot, or nothing where there is none.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

fn reserve_status(spool: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(spool.join(RESERVE_FILE))?;
    file.write_all(&[b' '; RESERVE_BYTES])?;
    file.sync_all()
}

/// Writes the status, and tries again while the disk does not take it.
fn record(spool: &Path, status: &Status) -> Result<(), Refusal> {
    let bytes = to_json(status).map_err(|error| Refusal::new(NO_STATUS, error.to_string()))?;
    let patience = Instant::now() + STATUS_PATIENCE;
    let mut pause = Duration::from_millis(50);
    loop {
        match write_status(spool, &bytes) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > patience || !spool.is_dir() => {
                let text = format!("the status can't be written: {error}");
                return Err(Refusal::new(NO_STATUS, text));
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Into the room that was reserved, so that a full disk does not matter.
fn write_status(spool: &Path, bytes: &[u8]) -> io::Result<()> {
    let reserve = spool.join(RESERVE_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&reserve)?;
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()?;
    fs::rename(&reserve, spool.join(STATUS_FILE))?;
    sync_directory(spool)
}
