//! Hosts with their scripts: a script's life and its spool go on when a bot dies, and both can be lost. The rules of the
//! spool are those of `src/deploy/spool.rs`: one claim for ever, a status that never changes.

use super::replica::Control;
use super::world::State;
use countersign::deploy::launch::Launch;
use countersign::deploy::redact::Redactor;
use countersign::deploy::spool::{Observation, Outcome, OutputSummary, Status, Supervisor};
use countersign::deploy::start::{StartError, Started};
use countersign::deploy::tail::Tail;
use countersign::escalation::{Escalation, Page};
use countersign::failure::Failure;
use countersign::handle::facts::BoxFuture;
use countersign::jobs::{Machine, Script};
use countersign::probes::git::Tag;
use countersign::records::mail::{Mail, Mailer};
use domain::digest::Digest;
use domain::ids::CommitSha;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Started,
    Forbidden,
}

/// An attempt's directory, and its processes.
#[derive(Debug, Clone, Default)]
pub struct Spool {
    pub claim: Option<Claim>,
    pub status: Option<Outcome>,
    pub is_supervised: bool,
    /// Until when the script runs, in true time, and how it ends.
    pub runs_until_ms: Option<(i64, i32)>,
    pub is_asked_to_stop: bool,
    pub has_vanished: bool,
}

impl Spool {
    /// The directory is gone, and what was started from it runs on.
    pub fn vanish(&mut self) {
        *self = Self {
            runs_until_ms: self.runs_until_ms,
            has_vanished: true,
            ..Self::default()
        };
    }
}

/// A script was started: what the judge has to look at.
#[derive(Debug, Clone)]
pub struct ScriptStart {
    pub attempt_id: String,
    pub host: String,
    /// How long the log was at that moment.
    pub position: u64,
    /// Other scripts of the same service that were running then, with their hosts.
    pub beside: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub struct Host {
    pub spools: BTreeMap<String, Spool>,
    pub starts: Vec<ScriptStart>,
}

/// The service that an attempt's id leads to: releases are named after it.
pub fn service_of(attempt_id: &str) -> &'static str {
    if attempt_id.starts_with("LED") {
        "ledger"
    } else {
        "payments"
    }
}

impl Host {
    /// Ends what has come to its end by now.
    pub fn live_on(&mut self, now_ms: i64) {
        for spool in self.spools.values_mut() {
            let Some((until_ms, code)) = spool.runs_until_ms else {
                continue;
            };
            let stopped = spool.is_supervised && spool.is_asked_to_stop;
            if now_ms < until_ms && !stopped {
                continue;
            }
            spool.runs_until_ms = None;
            if spool.is_supervised {
                spool.is_supervised = false;
                spool.status = Some(if stopped {
                    Outcome::Stopped { reason: None }
                } else {
                    Outcome::Exited { code }
                });
            }
        }
    }
}

/// The machine as one replica sees it.
pub struct Simulated(pub Arc<Control>);

impl Simulated {
    /// Does something with a spool of this host, at a moment when the replica lives.
    async fn with<T>(&self, spool: &Path, act: impl FnOnce(&mut State, &str, &str) -> T) -> io::Result<T> {
        self.0.pass().await;
        let id = spool.file_name().unwrap().to_string_lossy().into_owned();
        let result = {
            let now_ms = self.0.world.true_ms();
            let mut state = self.0.world.lock();
            let host = state.hosts.entry(self.0.host.clone()).or_default();
            host.live_on(now_ms);
            act(&mut state, &self.0.host, &id)
        };
        self.0.pass().await;
        Ok(result)
    }
}

fn spool_of<'a>(state: &'a mut State, host: &str, id: &str) -> &'a mut Spool {
    let host = state.hosts.entry(host.to_owned()).or_default();
    host.spools.entry(id.to_owned()).or_default()
}

pub fn commit(letter: char) -> CommitSha {
    CommitSha::new(letter.to_string().repeat(40)).unwrap()
}

fn status(outcome: Outcome) -> Status {
    Status {
        exit_code: None,
        signal: None,
        started_ms: None,
        ended_ms: 0,
        output: OutputSummary::default(),
        survivors: 0,
        outcome,
    }
}

impl Machine for Simulated {
    fn since_boot(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.world.true_ms()).unwrap())
    }

    fn resolve_tag<'a>(&'a self, repository: &'a str, tag: &'a str, _: Duration) -> BoxFuture<'a, Tag> {
        Box::pin(async move {
            self.0.pass().await;
            let found = {
                let state = self.0.world.lock();
                if state.git_silent {
                    Tag::Silent("no answer".to_owned())
                } else {
                    match state.tags.get(&(repository.to_owned(), tag.to_owned())) {
                        Some(letter) => Tag::Resolved(commit(*letter)),
                        None => Tag::Missing,
                    }
                }
            };
            self.0.pass().await;
            found
        })
    }

    fn program(&self, script: &Script) -> Result<PathBuf, String> {
        Ok(PathBuf::from(&script.program))
    }

    fn script_digest(&self, program: &Path) -> Result<String, String> {
        let state = self.0.world.lock();
        let service = program.file_name().unwrap().to_string_lossy();
        let text = state.scripts.get(service.as_ref()).ok_or("no such script")?;
        Ok(Digest::of(format!("{service} {text}").as_bytes()).to_string())
    }

    fn start(
        &self,
        launch: Launch,
        spool_root: PathBuf,
        _: PathBuf,
    ) -> BoxFuture<'_, io::Result<Result<Started, StartError>>> {
        Box::pin(async move {
            let spool = spool_root.join(&launch.attempt);
            let digest = self.script_digest(&launch.program);
            let (position, now_ms) = (self.0.world.memory.position(), self.0.world.true_ms());
            // The same for a call that comes late: the position is that of the moment of the claim.
            let world = Arc::clone(&self.0.world);
            let started = self
                .with(&spool.clone(), move |state, host, id| {
                    let position = world.memory.position().max(position);
                    let lasts_ms = [800, 5_000, 90_000, 600_000, 3_600_000, 14_400_000][state.luck.below(6)];
                    let code = i32::from(state.luck.chance(200));
                    let fails_to_spawn = state.luck.chance(30);
                    let says_nothing = state.luck.chance(40);
                    match spool_of(state, host, id).claim {
                        Some(Claim::Forbidden) => return Err(StartError::Forbidden),
                        Some(Claim::Started) => return Err(StartError::AlreadyStarted),
                        None => {}
                    }
                    spool_of(state, host, id).claim = Some(Claim::Started);
                    if digest.as_deref() != Ok(launch.script_digest.as_str()) {
                        spool_of(state, host, id).status = Some(Outcome::ScriptChanged);
                        return Err(StartError::ScriptChanged);
                    }
                    if spool_of(state, host, id).is_asked_to_stop {
                        spool_of(state, host, id).status = Some(Outcome::Stopped { reason: None });
                        return Err(StartError::Stopped);
                    }
                    if fails_to_spawn {
                        let error = "no memory".to_owned();
                        spool_of(state, host, id).status = Some(Outcome::SpawnFailed { error: error.clone() });
                        return Err(StartError::SpawnFailed(error));
                    }
                    let beside = running_beside(state, id);
                    state
                        .hosts
                        .entry(host.to_owned())
                        .or_default()
                        .starts
                        .push(ScriptStart {
                            attempt_id: id.to_owned(),
                            host: host.to_owned(),
                            position,
                            beside,
                        });
                    state.count("scripts started");
                    let spool = spool_of(state, host, id);
                    spool.is_supervised = true;
                    spool.runs_until_ms = Some((now_ms + lasts_ms, code));
                    if says_nothing {
                        if state.luck.chance(500) {
                            state.count("spools that vanished");
                            spool_of(state, host, id).vanish();
                        }
                        return Err(StartError::Unknown("the supervisor said nothing".to_owned()));
                    }
                    Ok(())
                })
                .await?;
            Ok(started.map(|()| Started {
                spool,
                supervisor: Supervisor {
                    pid: 1,
                    script_pid: 2,
                    boot_id: "boot".to_owned(),
                    started_ms: 0,
                },
            }))
        })
    }

    fn observe(&self, spool: PathBuf) -> BoxFuture<'_, io::Result<Observation>> {
        Box::pin(async move {
            self.with(&spool, |state, host, id| {
                let host = state.hosts.entry(host.to_owned()).or_default();
                let Some(spool) = host.spools.get(id) else {
                    return Observation::NotStarted { forbidden: false };
                };
                match (&spool.claim, &spool.status) {
                    _ if spool.is_supervised => Observation::Running {
                        pid: Some(1),
                        since_ms: None,
                    },
                    (_, Some(outcome)) => Observation::Finished(status(outcome.clone())),
                    (Some(Claim::Started), None) => Observation::Gone,
                    (Some(Claim::Forbidden), None) => Observation::NotStarted { forbidden: true },
                    (None, None) => Observation::NotStarted { forbidden: false },
                }
            })
            .await
        })
    }

    fn forbid_start(&self, spool: PathBuf) -> BoxFuture<'_, io::Result<bool>> {
        Box::pin(async move {
            self.with(&spool, |state, host, id| {
                let claim = spool_of(state, host, id).claim.get_or_insert(Claim::Forbidden);
                *claim == Claim::Forbidden
            })
            .await
        })
    }

    fn request_stop(&self, spool: PathBuf, _: String) -> BoxFuture<'_, io::Result<bool>> {
        Box::pin(async move {
            self.with(&spool, |state, host, id| {
                let spool = spool_of(state, host, id);
                !std::mem::replace(&mut spool.is_asked_to_stop, true)
            })
            .await
        })
    }

    fn tail(&self, spool: PathBuf, _: usize, _: usize, _: Redactor) -> BoxFuture<'_, io::Result<Tail>> {
        Box::pin(async move {
            self.with(&spool, |_, _, id| Tail {
                text: format!("output of {id}"),
                truncated: false,
                total_bytes: 20,
            })
            .await
        })
    }

    fn unfinished(&self, spool_root: PathBuf, ending: String) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async move {
            self.with(&spool_root, move |state, host, _| {
                let host = state.hosts.entry(host.to_owned()).or_default();
                let is_unfinished = |id: &str, spool: &Spool| {
                    let started = spool.claim == Some(Claim::Started) && spool.status.is_none();
                    id.ends_with(&ending) && started
                };
                let spools = host.spools.iter().filter(|(id, spool)| is_unfinished(id, spool));
                spools.map(|(id, _)| id.clone()).collect()
            })
            .await
        })
    }

    fn living_of(&self, attempt_id: String) -> BoxFuture<'_, io::Result<Vec<i32>>> {
        Box::pin(async move {
            self.with(Path::new(&attempt_id), |state, host, id| {
                let host = state.hosts.entry(host.to_owned()).or_default();
                // A script outlives its supervisor, and its spool.
                let runs = host.spools.get(id).is_some_and(|spool| spool.runs_until_ms.is_some());
                if runs { vec![2] } else { Vec::new() }
            })
            .await
        })
    }

    fn send_mail<'a>(&'a self, _: &'a Mailer, _: &'a Mail) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.send("mails sent"))
    }

    fn ring<'a>(&'a self, _: &'a Escalation, _: &'a Page) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.send("pages sent"))
    }
}

impl Simulated {
    async fn send(&self, what: &'static str) -> Result<(), Failure> {
        self.0.pass().await;
        let failed = {
            let mut state = self.0.world.lock();
            let failed = state.luck.chance(100);
            if !failed {
                state.count(what);
            }
            failed
        };
        self.0.pass().await;
        if failed {
            Err(Failure::unknown("the connection broke"))
        } else {
            Ok(())
        }
    }
}

fn running_beside(state: &mut State, id: &str) -> Vec<(String, String)> {
    let mut beside = Vec::new();
    for (name, host) in &state.hosts {
        for (other, spool) in &host.spools {
            if other != id && service_of(other) == service_of(id) && spool.runs_until_ms.is_some() {
                beside.push((other.clone(), name.clone()));
            }
        }
    }
    beside
}
