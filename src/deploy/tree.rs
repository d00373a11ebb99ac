//! Every process that a script brought into being, found and ended, also those that left its process group.
//! A process is known by four signs: its group, the supervisor's session, its ancestry (the supervisor
//! is the subreaper, so orphans become its children) and the attempt's marker in its environment.
use super::environment::ATTEMPT_VARIABLE;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal, waitid,
};

const POLL: Duration = Duration::from_millis(50);

/// How long killed processes may take to disappear; one in the kernel's hands may take for ever.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// Which processes to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The script's process group. A daemon that the script put into a session of its own stays.
    Group,
    /// Everything that the script brought into being.
    Everything,
}

/// The processes of one script.
#[derive(Debug)]
pub(super) struct Tree {
    leader: Pid,
    own: Process,
    uid: u32,
    marker: Vec<u8>,
}

/// One line of the process table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pid: i32,
    state: u8,
    parent: i32,
    group: i32,
    session: i32,
    born_ticks: u64,
}

/// This process as the system knows it. Without `/proc` a script could not be ended for sure, so
/// this is asked before one is started.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn own_process() -> io::Result<Process> {
    read_process(rustix::process::getpid().as_raw_nonzero().get()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "/proc is not readable, so the processes of a script can't be found; deployments by script need it",
        )
    })
}

impl Process {
    /// Whether this process's session is its own. The session's number is 0 where its leader is in a PID namespace
    /// outside this one (a command run inside a container from outside), which `getsid` of rustix can't express.
    pub(super) fn leads_session(self) -> bool {
        self.session == self.pid
    }
}

/// Processes of this user, on this machine, that still carry the marker of `attempt`: its script, or what the script left
/// behind. One that wiped its environment is not found.
pub fn living_of(attempt: &str) -> Vec<i32> {
    let marker = format!("{ATTEMPT_VARIABLE}={attempt}").into_bytes();
    let uid = rustix::process::geteuid().as_raw();
    let mut living: Vec<i32> = processes()
        .into_iter()
        .filter(|process| !matches!(process.state, b'Z' | b'X') && carries(*process, uid, &marker))
        .map(|process| process.pid)
        .collect();
    living.sort_unstable();
    living
}

/// Whether the environment of a process of this user holds the marker.
fn carries(process: Process, uid: u32, marker: &[u8]) -> bool {
    let directory = format!("/proc/{}", process.pid);
    fs::metadata(&directory).is_ok_and(|data| data.uid() == uid)
        && fs::read(format!("{directory}/environ"))
            .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == marker))
}

impl Tree {
    /// The tree under the supervisor `own` whose script's process, and group, is `leader`; the
    /// leader must not be reaped before the tree is done with.
    pub(super) fn new(own: Process, leader: Pid, marker: String) -> Self {
        Self {
            leader,
            own,
            uid: rustix::process::geteuid().as_raw(),
            marker: marker.into_bytes(),
        }
    }

    /// The script's process.
    pub(super) fn leader(&self) -> Pid {
        self.leader
    }

    /// TERM, then KILL once `grace` is over; returns how many processes are still there.
    pub(super) fn end(&self, scope: Scope, grace: Duration) -> usize {
        if self.living(scope).is_empty() {
            return 0;
        }
        self.signal(scope, Signal::TERM);
        // A stopped process only gets its TERM when it goes on.
        self.signal(scope, Signal::CONT);
        let patience = Instant::now() + grace;
        while Instant::now() < patience {
            std::thread::sleep(POLL.min(grace));
            self.reap_orphans();
            if self.living(scope).is_empty() {
                return 0;
            }
        }
        let patience = Instant::now() + KILL_WAIT;
        loop {
            // Again and again: a process may have been born between the look and the signal.
            self.signal(scope, Signal::KILL);
            std::thread::sleep(Duration::from_millis(5));
            self.reap_orphans();
            let living = self.living(scope).len();
            if living == 0 || Instant::now() > patience {
                return living;
            }
        }
    }

    /// Reaps the orphans that became the supervisor's children, but never the leader: while it is
    /// there, dead or alive, no other group can get its number.
    pub(super) fn reap_orphans(&self) {
        let leader = self.leader.as_raw_nonzero().get();
        for process in processes() {
            let orphan = process.parent == self.own.pid && process.pid != leader;
            if orphan && process.state == b'Z' {
                let _ = Pid::from_raw(process.pid)
                    .map(|pid| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG));
            }
        }
    }

    fn signal(&self, scope: Scope, signal: Signal) {
        // The kernel reaches the whole group at once; a fork in the middle can't escape it.
        // An error means that nobody is left in it.
        let _ = kill_process_group(self.leader, signal);
        for process in self.living(scope) {
            if process.group != self.leader.as_raw_nonzero().get() {
                signal_exactly(process, signal);
            }
        }
    }

    fn living(&self, scope: Scope) -> Vec<Process> {
        let everybody = processes();
        let descendants = self.descendants(&everybody);
        everybody
            .into_iter()
            .filter(|process| process.pid != self.own.pid && !matches!(process.state, b'Z' | b'X'))
            .filter(|process| match scope {
                _ if process.group == self.leader.as_raw_nonzero().get() => true,
                Scope::Group => false,
                Scope::Everything => {
                    process.session == self.own.pid || descendants.contains(&process.pid) || self.is_marked(*process)
                }
            })
            .collect()
    }

    fn descendants(&self, everybody: &[Process]) -> BTreeSet<i32> {
        let mut family = BTreeSet::from([self.own.pid]);
        loop {
            let before = family.len();
            for process in everybody {
                if family.contains(&process.parent) {
                    family.insert(process.pid);
                }
            }
            if family.len() == before {
                return family;
            }
        }
    }

    /// Whether the environment of a process of this user, born under this supervisor, holds the marker.
    fn is_marked(&self, process: Process) -> bool {
        process.born_ticks >= self.own.born_ticks && carries(process, self.uid, &self.marker)
    }
}

/// Signals this process and no other one that got its number since.
fn signal_exactly(process: Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    let same = read_process(process.pid).is_some_and(|now| now.born_ticks == process.born_ticks);
    if same {
        // It may be gone, or another user's; the next look tells.
        let _ = pidfd_send_signal(handle, signal);
    }
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(read_process)
        .collect()
}

fn read_process(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name in parentheses may hold blanks and parentheses itself.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    Some(Process {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        born_ticks: fields.get(19)?.parse().ok()?,
    })
}
