//! One run of a script under its supervisor: spawn, watch, end, and say how it went.
//! The script is never held up by what is done with its output.
use std::io::{self, PipeReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::environment::ATTEMPT_VARIABLE;
use super::launch::Launch;
use super::output::OutputSpool;
use super::program::script_digest;
use super::spool::{
    Outcome, OutputSummary, SUPERVISOR_FILE, Status, Supervisor, now_ms, stop_request, to_json, write_durably,
};
use super::supervise::{boot_id, never_ran};
use super::tree::{Scope, Tree, own_process};

const TICK: Duration = Duration::from_millis(25);

/// Between two looks for orphans to reap; each reads all of /proc.
const REAP_EVERY: Duration = Duration::from_secs(2);

/// How long the output may stay open after the script's end, before its leftovers are ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Between TERM and KILL for what an ended script left in its group.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// How long an output that nobody should hold any more is waited for.
const LAST_DRAIN: Duration = Duration::from_millis(500);

/// The output as its reader and the watcher share it.
struct Listener {
    spool: Mutex<OutputSpool>,
    since: Instant,
    heard_ms: AtomicU64,
    closed: AtomicBool,
}

/// Why the script is no longer to run.
enum Ending {
    OnItsOwn,
    Stopped(Option<String>),
    TimedOut,
    IdleTimedOut,
}

/// Runs the script to its end. Every failure is a status; the start was claimed before.
pub(super) fn run(spool: &Path, launch: &Launch, output: OutputSpool) -> Status {
    let prepared = check_script(launch).and_then(|()| own_process().map_err(|error| failed(&error)));
    let spawned = prepared.and_then(|own| Ok((own, spawn(launch, output)?)));
    match spawned {
        Ok((own, (child, listener))) => {
            let started_ms = now_ms();
            announce(spool, &child, started_ms);
            let marker = format!("{ATTEMPT_VARIABLE}={}", launch.attempt);
            let tree = Tree::new(own, Pid::from_child(&child), marker);
            watch_to_end(spool, launch, &tree, &listener, started_ms)
        }
        Err(outcome) => never_ran(outcome),
    }
}

fn check_script(launch: &Launch) -> Result<(), Outcome> {
    let digest = script_digest(&launch.program).map_err(|error| failed(&error))?;
    if digest == launch.script_digest {
        Ok(())
    } else {
        Err(Outcome::ScriptChanged)
    }
}

fn failed(error: &dyn std::error::Error) -> Outcome {
    Outcome::SpawnFailed {
        error: error.to_string().chars().take(500).collect(),
    }
}

fn spawn(launch: &Launch, output: OutputSpool) -> Result<(Child, Arc<Listener>), Outcome> {
    let (reader, writer) = io::pipe().map_err(|error| failed(&error))?;
    let listener = Arc::new(Listener {
        spool: Mutex::new(output),
        since: Instant::now(),
        heard_ms: AtomicU64::new(0),
        closed: AtomicBool::new(false),
    });
    let ears = Arc::clone(&listener);
    std::thread::Builder::new()
        .spawn(move || listen(reader, &ears))
        .map_err(|error| failed(&error))?;
    // One pipe for both, so that what is said stays in its order.
    let second = writer.try_clone().map_err(|error| failed(&error))?;
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.arguments)
        .env_clear()
        .envs(&launch.environment)
        .current_dir(&launch.working_directory)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second)
        .process_group(0);
    let child = spawn_free_file(&mut command).map_err(|error| failed(&error))?;
    // The command goes here, and with it this process's ends of the pipe.
    drop(command);
    Ok((child, listener))
}

/// A program that is still open for writing somewhere, if only in a process being made, can't be run yet.
fn spawn_free_file(command: &mut Command) -> io::Result<Child> {
    let patience = Instant::now() + Duration::from_secs(2);
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

fn listen(mut reader: PipeReader, listener: &Listener) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                listener.heard_ms.store(elapsed_ms(listener.since), Ordering::Relaxed);
                listener.with_spool(|spool| spool.append(&buffer[..length]));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    listener.closed.store(true, Ordering::Release);
}

impl Listener {
    fn with_spool<T>(&self, what: impl FnOnce(&mut OutputSpool) -> T) -> T {
        // A panic while writing can only have left output out.
        what(&mut self.spool.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn wait_closed(&self, at_most: Duration) {
        let patience = Instant::now() + at_most;
        while !self.is_closed() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn silent_ms(&self) -> u64 {
        elapsed_ms(self.since).saturating_sub(self.heard_ms.load(Ordering::Relaxed))
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Says durably that the script's process exists. If the disk does not take it, the start is not
/// confirmed, and the bot finds the attempt running when it looks.
fn announce(spool: &Path, child: &Child, started_ms: i64) {
    let supervisor = Supervisor {
        pid: std::process::id(),
        script_pid: child.id(),
        boot_id: boot_id(),
        started_ms,
    };
    let _ = to_json(&supervisor).and_then(|bytes| write_durably(spool, SUPERVISOR_FILE, &bytes));
}

fn watch_to_end(spool: &Path, launch: &Launch, tree: &Tree, listener: &Listener, started_ms: i64) -> Status {
    let leader = tree.leader();
    let ending = watch(spool, launch, listener, tree);
    let mut ended_ms = now_ms();
    let (scope, grace) = match ending {
        Ending::OnItsOwn => {
            listener.wait_closed(DRAIN);
            (Scope::Group, LEFTOVER_GRACE)
        }
        _ => (Scope::Everything, Duration::from_millis(launch.kill_grace_ms)),
    };
    let survivors = tree.end(scope, grace);
    let last = reap(leader);
    if !matches!(ending, Ending::OnItsOwn) {
        ended_ms = now_ms();
    }
    listener.wait_closed(LAST_DRAIN);
    Status {
        exit_code: last.as_ref().and_then(WaitIdStatus::exit_status),
        signal: last.as_ref().and_then(WaitIdStatus::terminating_signal),
        outcome: outcome(ending, last.as_ref()),
        started_ms: Some(started_ms),
        ended_ms,
        output: bounded(listener.with_spool(OutputSpool::summary)),
        survivors,
    }
}

/// The status has to fit into the room reserved for it.
fn bounded(mut summary: OutputSummary) -> OutputSummary {
    summary.error = summary.error.map(|error| error.chars().take(500).collect());
    summary
}

fn watch(spool: &Path, launch: &Launch, listener: &Listener, tree: &Tree) -> Ending {
    let mut reaped = Instant::now();
    loop {
        if has_ended(tree.leader()) {
            return Ending::OnItsOwn;
        }
        if let Some(stop) = stop_request(spool) {
            return Ending::Stopped(stop.reason);
        }
        if elapsed_ms(listener.since) >= launch.timeout_ms {
            return Ending::TimedOut;
        }
        let too_silent = |limit| listener.silent_ms() >= limit && !listener.is_closed();
        if launch.idle_output_timeout_ms.is_some_and(too_silent) {
            return Ending::IdleTimedOut;
        }
        if reaped.elapsed() > REAP_EVERY {
            tree.reap_orphans();
            reaped = Instant::now();
        }
        std::thread::sleep(TICK);
    }
}

/// Whether the script's own process is over; it stays unreaped, so its number stays its own.
fn has_ended(leader: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error would mean that it is no child of ours any more.
    !matches!(waitid(WaitId::Pid(leader), options), Ok(None))
}

fn reap(leader: Pid) -> Option<WaitIdStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    waitid(WaitId::Pid(leader), options).ok().flatten()
}

fn outcome(ending: Ending, last: Option<&WaitIdStatus>) -> Outcome {
    match ending {
        Ending::Stopped(reason) => Outcome::Stopped { reason },
        Ending::TimedOut => Outcome::TimedOut,
        Ending::IdleTimedOut => Outcome::IdleTimedOut,
        Ending::OnItsOwn => {
            let code = last.and_then(WaitIdStatus::exit_status);
            let signal = last.and_then(WaitIdStatus::terminating_signal);
            match (code, signal) {
                (Some(code), _) => Outcome::Exited { code },
                // Signal 0 stands for an end that the kernel did not explain; it is no success.
                (None, signal) => Outcome::Signalled {
                    signal: signal.unwrap_or(0),
                },
            }
        }
    }
}
