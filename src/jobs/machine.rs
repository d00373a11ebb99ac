//! The seam between jobs and the machine they run on: processes, their spools, Git, mail and pages. The simulation puts
//! another machine behind it.

use super::run::Script;
use crate::deploy::launch::Launch;
use crate::deploy::program;
use crate::deploy::redact::Redactor;
use crate::deploy::spool::{self, Observation};
use crate::deploy::start::{self, StartError, Started};
use crate::deploy::tail::{Tail, tail};
use crate::deploy::tree::living_of;
use crate::escalation::{Escalation, Page};
use crate::failure::Failure;
use crate::handle::facts::BoxFuture;
use crate::probes::git::{self, Tag};
use crate::records::mail::{Mail, Mailer};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What jobs do on a machine.
pub trait Machine: Send + Sync {
    /// Time since the machine started, its sleep included: a machine that was suspended between the decision and the script
    /// must not start it hours later.
    fn since_boot(&self) -> Duration;
    /// See [`git::resolve_tag`].
    fn resolve_tag<'a>(&'a self, repository: &'a str, tag: &'a str, within: Duration) -> BoxFuture<'a, Tag>;
    /// The program of a script, or why there is none. See [`program::resolve_program`].
    ///
    /// # Errors
    /// For people.
    fn program(&self, script: &Script) -> Result<PathBuf, String>;
    /// See [`program::script_digest`].
    ///
    /// # Errors
    /// For people.
    fn script_digest(&self, program: &Path) -> Result<String, String>;
    /// See [`start::start`].
    fn start(
        &self,
        launch: Launch,
        spool_root: PathBuf,
        binary: PathBuf,
    ) -> BoxFuture<'_, io::Result<Result<Started, StartError>>>;
    /// See [`spool::observe`].
    fn observe(&self, spool: PathBuf) -> BoxFuture<'_, io::Result<Observation>>;
    /// See [`spool::forbid_start`].
    fn forbid_start(&self, spool: PathBuf) -> BoxFuture<'_, io::Result<bool>>;
    /// See [`spool::request_stop`].
    fn request_stop(&self, spool: PathBuf, reason: String) -> BoxFuture<'_, io::Result<bool>>;
    /// See [`tail`].
    fn tail(
        &self,
        spool: PathBuf,
        max_bytes: usize,
        max_lines: usize,
        redactor: Redactor,
    ) -> BoxFuture<'_, io::Result<Tail>>;
    /// See [`spool::unfinished`].
    fn unfinished(&self, spool_root: PathBuf, ending: String) -> BoxFuture<'_, io::Result<Vec<String>>>;
    /// See [`living_of`].
    fn living_of(&self, attempt_id: String) -> BoxFuture<'_, io::Result<Vec<i32>>>;
    /// See [`Mailer::send`].
    fn send_mail<'a>(&'a self, mailer: &'a Mailer, mail: &'a Mail) -> BoxFuture<'a, Result<(), Failure>>;
    /// See [`Escalation::ring`].
    fn ring<'a>(&'a self, escalation: &'a Escalation, page: &'a Page) -> BoxFuture<'a, Result<(), Failure>>;
}

/// The machine that this process runs on.
#[derive(Debug, Clone, Copy)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn since_boot(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let part = |value: i64| u64::try_from(value).unwrap_or_default();
        Duration::new(part(time.tv_sec), 0) + Duration::from_nanos(part(time.tv_nsec))
    }

    fn resolve_tag<'a>(&'a self, repository: &'a str, tag: &'a str, within: Duration) -> BoxFuture<'a, Tag> {
        Box::pin(git::resolve_tag(repository, tag, within))
    }

    fn program(&self, script: &Script) -> Result<PathBuf, String> {
        program::resolve_program(&script.program, &script.working_directory).map_err(|error| error.to_string())
    }

    fn script_digest(&self, program: &Path) -> Result<String, String> {
        program::script_digest(program).map_err(|error| error.to_string())
    }

    fn start(
        &self,
        launch: Launch,
        spool_root: PathBuf,
        binary: PathBuf,
    ) -> BoxFuture<'_, io::Result<Result<Started, StartError>>> {
        blocking(move || Ok(start::start(&launch, &spool_root, &binary)))
    }

    fn observe(&self, spool: PathBuf) -> BoxFuture<'_, io::Result<Observation>> {
        blocking(move || spool::observe(&spool))
    }

    fn forbid_start(&self, spool: PathBuf) -> BoxFuture<'_, io::Result<bool>> {
        blocking(move || spool::forbid_start(&spool))
    }

    fn request_stop(&self, spool: PathBuf, reason: String) -> BoxFuture<'_, io::Result<bool>> {
        blocking(move || spool::request_stop(&spool, &reason))
    }

    fn tail(
        &self,
        spool: PathBuf,
        max_bytes: usize,
        max_lines: usize,
        redactor: Redactor,
    ) -> BoxFuture<'_, io::Result<Tail>> {
        blocking(move || tail(&spool, max_bytes, max_lines, &redactor))
    }

    fn unfinished(&self, spool_root: PathBuf, ending: String) -> BoxFuture<'_, io::Result<Vec<String>>> {
        blocking(move || spool::unfinished(&spool_root, &ending))
    }

    fn living_of(&self, attempt_id: String) -> BoxFuture<'_, io::Result<Vec<i32>>> {
        blocking(move || Ok(living_of(&attempt_id)))
    }

    fn send_mail<'a>(&'a self, mailer: &'a Mailer, mail: &'a Mail) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(mailer.send(mail))
    }

    fn ring<'a>(&'a self, escalation: &'a Escalation, page: &'a Page) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(escalation.ring(page))
    }
}

/// File and process work, off the async threads.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> BoxFuture<'static, io::Result<T>> {
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error)))
    })
}
