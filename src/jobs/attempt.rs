//! Starting, watching and stopping a deployment attempt. `starting` is durable before the script is started; the
//! spool starts it at most once; only the attempt's own host judges what became of it.

use super::lost::still_running;
use super::retry::Ran;
use super::run::{Desk, Trouble};
use crate::deploy::arguments::expand_arguments;
use crate::deploy::environment::{Variables, ambient_environment, child_environment};
use crate::deploy::launch::{FORMAT, KILL_GRACE_MS, Launch};
use crate::deploy::spool::{Observation, Outcome};
use crate::deploy::start::Certainty;
use crate::fresh;
use crate::handle::Handled;
use domain::command::Intent;
use domain::digest::PrivateText;
use domain::event::{Event, SourceProblem};
use domain::ids::{CommitSha, ReleaseKey};
use domain::refusal::Cause;
use domain::release::{Attempt, AttemptNumber, AttemptResult, AttemptState, NotStarted, Release};
use domain::restore;
use std::path::Path;
use std::time::Duration;

/// How often a running script is looked at.
const WATCH_EVERY_MS: i64 = 1_000;
/// How often Slack is asked who the signers are while a start waits for it.
const FACTS_AGAIN_MS: i64 = 5_000;
/// How often a silent Git, or a machine that can't be looked at, is asked again before the attempt ends as not started.
const TRIES_AT_START: u32 = 3;
/// Between `starting` and the script: longer than this, and the start is forbidden instead of made up for.
const START_WITHIN: Duration = Duration::from_secs(20);
/// When a watcher concludes that the starter is gone. More than [`START_WITHIN`], so that they don't race; the spool
/// decides if they do.
const STARTER_GONE_AFTER_MS: i64 = 45_000;
/// What the story shows of the output: Slack's section limit, with room for the words around it.
const TAIL_BYTES: usize = 2_400;
const TAIL_LINES: usize = 40;

/// How the ids of this log's attempts end: it keeps two bots of one user apart.
pub(super) fn id_ending(desk: &Desk<'_>) -> String {
    let log = desk.handler.store.log_id().chars();
    let log: String = log.filter(char::is_ascii_alphanumeric).take(8).collect();
    format!(".{log}")
}

/// The attempt's id outside: spool directory, environment variable. A lost history may have had an attempt of this number, so
/// after a restore the fence, which no history has twice, is in it.
pub(super) fn attempt_id(desk: &Desk<'_>, key: &ReleaseKey, number: AttemptNumber, fence: u64) -> String {
    let ending = id_ending(desk);
    if restore::is_after_restore(fence) {
        format!("{key}.{number}.{fence}{ending}")
    } else {
        format!("{key}.{number}{ending}")
    }
}

/// Judges all gates and starts the script.
pub(super) async fn start(desk: &Desk<'_>, key: &ReleaseKey, number: AttemptNumber) -> Result<Ran, Trouble> {
    let (Some(release), _) = desk.handler.release(key).await? else {
        return Ok(Ran::Done);
    };
    let queued = release
        .attempt(number)
        .is_some_and(|attempt| attempt.state == AttemptState::Queued);
    if !queued {
        // Started before: its watcher follows it.
        return Ok(Ran::Done);
    }
    let seen = desk.look(&release).await;
    if seen == Err(SourceProblem::GitSilent) && desk.failures() < TRIES_AT_START {
        return Ok(Ran::Failed {
            retry_after_ms: None,
            reason: "Git did not say where the tag points".to_owned(),
        });
    }
    // Looked at below once more; here, so that no attempt is spent on a database that doesn't answer.
    if let Err(reason) = still_running(desk, &release, number).await
        && desk.failures() < TRIES_AT_START
    {
        return Ok(Ran::Failed {
            retry_after_ms: None,
            reason,
        });
    }
    let began = desk.outside.machine.since_boot();
    #[cfg(feature = "sabotage")]
    if domain::sabotage::is_out(domain::sabotage::Guard::StartingBeforeSpawn) {
        spawn_unjudged(desk, &release, number).await;
    }
    let host = desk.outside.deployments.host.clone();
    let handled = desk
        .order(
            key,
            Intent::StartAttempt {
                attempt: number,
                seen,
                host,
            },
            None,
        )
        .await?;
    let (case, events) = match handled {
        Handled::Done { case, events, .. } => (case, events),
        Handled::Refused { refusal, .. } if refusal.cause == Cause::FactsUnavailable => {
            // It waits as long as its sign-offs count; then the start itself ends it.
            return Ok(Ran::NotYet {
                after_ms: FACTS_AGAIN_MS,
                reason: "Slack did not say whether the signers are still in their roles".to_owned(),
            });
        }
        _ => return Ok(Ran::Done),
    };
    let starting = events.iter().find_map(|event| match event {
        Event::AttemptStarting {
            commit, fence, script, ..
        } => Some((commit.clone(), *fence, script.to_string())),
        _ => None,
    });
    let (Some(release), Some((commit, fence, script))) = (case.release, starting) else {
        return Ok(Ran::Done);
    };
    let launch = match launch(desk, &release, number, &commit, fence, script) {
        Ok(launch) => launch,
        Err(error) => {
            tracing::error!(release = %key, attempt = number, error, "the script of {key} can't be started");
            return not_started(desk, key, number, NotStarted::CouldNotSpawn, &error).await;
        }
    };
    match still_running(desk, &release, number).await {
        Ok(None) => spawn(desk, key, number, launch, began).await,
        Ok(Some(reason)) | Err(reason) => not_started(desk, key, number, NotStarted::CouldNotSpawn, &reason).await,
    }
}

#[cfg(feature = "sabotage")]
/// What a start would be whose `starting` is not durable yet: the proofs show that they notice.
async fn spawn_unjudged(desk: &Desk<'_>, release: &Release, number: AttemptNumber) {
    let Some(source) = &release.source else { return };
    let script = source.script.to_string();
    if let Ok(launch) = launch(desk, release, number, &source.commit, 0, script) {
        let deployments = &desk.outside.deployments;
        let (root, binary) = (deployments.spool_root.clone(), deployments.binary.clone());
        let _ = desk.outside.machine.start(launch, root, binary).await;
    }
}

async fn spawn(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    number: AttemptNumber,
    launch: Launch,
    began: Duration,
) -> Result<Ran, Trouble> {
    let (deployments, machine) = (&desk.outside.deployments, &desk.outside.machine);
    let (root, binary) = (deployments.spool_root.clone(), deployments.binary.clone());
    if machine.since_boot().saturating_sub(began) > START_WITHIN {
        // A paused process must not start what was judged long ago.
        let spool = deployments.spool(&launch.attempt);
        return match machine.forbid_start(spool).await {
            Ok(true) => not_started(desk, key, number, NotStarted::CouldNotSpawn, "the start came too late").await,
            // Its watcher finds out.
            Ok(false) | Err(_) => Ok(Ran::Done),
        };
    }
    let started = machine.start(launch, root, binary).await;
    match started {
        Ok(Ok(_)) => desk.record(key, Intent::RecordRunning { attempt: number }).await,
        Ok(Err(error)) if error.certainty() == Certainty::NotStarted => {
            tracing::error!(release = %key, attempt = number, %error, "the script of {key} was not started");
            let why = if matches!(error, crate::deploy::start::StartError::ScriptChanged) {
                NotStarted::ScriptChanged
            } else {
                NotStarted::CouldNotSpawn
            };
            not_started(desk, key, number, why, &error.to_string()).await
        }
        // Its watcher finds out.
        Ok(Err(error)) => {
            tracing::warn!(release = %key, attempt = number, %error, "the start of {key} is not confirmed");
            Ok(Ran::Done)
        }
        Err(error) => Ok(Ran::Failed {
            retry_after_ms: None,
            reason: error.to_string(),
        }),
    }
}

fn launch(
    desk: &Desk<'_>,
    release: &Release,
    number: AttemptNumber,
    commit: &CommitSha,
    fence: u64,
    script_digest: String,
) -> Result<Launch, String> {
    let script = desk
        .outside
        .deployments
        .scripts
        .get(&release.service)
        .ok_or("the service has no script any more")?;
    let variables = Variables {
        release: release.key.to_string(),
        version: release.version.tag(),
        commit: commit.to_string(),
        environment: release.environment.to_string(),
        attempt: attempt_id(desk, &release.key, number, fence),
        fence,
    };
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let ambient = ambient_environment();
    Ok(Launch {
        format: FORMAT,
        attempt: variables.attempt.clone(),
        release: variables.release.clone(),
        program: desk.outside.machine.program(script)?,
        arguments: expand_arguments(&script.arguments, &variables.placeholders()).map_err(|e| text(&e))?,
        working_directory: script.working_directory.clone(),
        environment: child_environment(&script.pass_environment, &ambient, &variables).map_err(|e| text(&e))?,
        script_digest,
        timeout_ms: script.timeout_ms,
        idle_output_timeout_ms: None,
        kill_grace_ms: KILL_GRACE_MS,
        output: script.output,
    })
}

async fn not_started(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    number: AttemptNumber,
    why: NotStarted,
    reason: &str,
) -> Result<Ran, Trouble> {
    let output = fresh::private_text(desk.outside.redactor.redact(reason).into_owned());
    end(desk, key, number, AttemptResult::NotStarted(why), Some(output)).await
}

async fn end(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    number: AttemptNumber,
    result: AttemptResult,
    output: Option<PrivateText>,
) -> Result<Ran, Trouble> {
    desk.record(
        key,
        Intent::RecordEnd {
            attempt: number,
            result,
            output,
        },
    )
    .await
}

/// Looks at a started script once: still running, ended, or lost.
pub(super) async fn watch(desk: &Desk<'_>, key: &ReleaseKey, number: AttemptNumber) -> Result<Ran, Trouble> {
    let (Some(release), _) = desk.handler.release(key).await? else {
        return Ok(Ran::Done);
    };
    let Some(attempt) = release
        .attempt(number)
        // What a restore has lost is settled by people, whatever is found here.
        .filter(|attempt| !matches!(attempt.state, AttemptState::Ended(_)) && !attempt.lost_in_restore)
    else {
        return Ok(Ran::Done);
    };
    if attempt.host.as_deref() != Some(desk.outside.deployments.host()) {
        return watch_from_afar(desk, key, number, attempt).await;
    }
    let spool = desk
        .outside
        .deployments
        .spool(&attempt_id(desk, key, number, attempt.fence));
    let machine = &desk.outside.machine;
    let observed = machine.observe(spool.clone()).await;
    let not_yet = |reason: &str| {
        Ok(Ran::NotYet {
            after_ms: WATCH_EVERY_MS,
            reason: reason.to_owned(),
        })
    };
    match observed {
        Err(error) => Ok(Ran::Failed {
            retry_after_ms: None,
            reason: format!("the spool can't be read: {error}"),
        }),
        Ok(Observation::Running { .. }) => {
            if attempt.state == AttemptState::Starting {
                desk.order(key, Intent::RecordRunning { attempt: number }, None).await?;
            }
            not_yet("running")
        }
        Ok(Observation::Finished(status)) => {
            let result = result_of(&status.outcome);
            let output = output_tail(desk, &spool).await;
            end(desk, key, number, result, output).await
        }
        // Its script ran, and the spool is gone: that is no proof of anything.
        Ok(Observation::NotStarted { .. }) if attempt.state != AttemptState::Starting => {
            interrupted(desk, key, number, attempt).await
        }
        Ok(Observation::NotStarted { forbidden }) => {
            let starting_ms = attempt.starting_ms.unwrap_or_default();
            if !forbidden && desk.now_ms() - starting_ms < STARTER_GONE_AFTER_MS {
                return not_yet("starting");
            }
            // The starter is gone between its two steps. What was judged long ago is not started now.
            if !forbidden && !machine.forbid_start(spool).await.unwrap_or(false) {
                return not_yet("starting");
            }
            // Nothing comes after this. What came before it may have lost its spool, and runs.
            match machine.living_of(attempt_id(desk, key, number, attempt.fence)).await {
                Err(_) => not_yet("starting"),
                Ok(living) if !living.is_empty() => interrupted(desk, key, number, attempt).await,
                Ok(_) => {
                    let why = "the bot stopped before the script was started";
                    not_started(desk, key, number, NotStarted::CouldNotSpawn, why).await
                }
            }
        }
        Ok(Observation::Gone) => interrupted(desk, key, number, attempt).await,
    }
}

/// Only the attempt's own host judges it. If that host is not seen any more, nobody can, and two people have to; if it comes
/// back, its evidence still ends the attempt.
async fn watch_from_afar(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    number: AttemptNumber,
    attempt: &Attempt,
) -> Result<Ran, Trouble> {
    let host = attempt.host.as_deref().unwrap_or_default();
    let seen_ms = desk.handler.store.host_seen_ms(host).await?;
    if desk.outside.is_lost(host, seen_ms, desk.now_ms()) {
        return interrupted(desk, key, number, attempt).await;
    }
    Ok(Ran::NotYet {
        after_ms: 2 * WATCH_EVERY_MS,
        reason: format!("only host {host} can judge it"),
    })
}

/// Nobody knows how it went. The environment stays locked; the watcher goes on, in case evidence turns up.
async fn interrupted(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    number: AttemptNumber,
    attempt: &Attempt,
) -> Result<Ran, Trouble> {
    if attempt.state != AttemptState::Interrupted {
        tracing::error!(release = %key, attempt = number, "attempt {number} of {key} is interrupted: two people must say how it went");
        desk.order(key, Intent::RecordInterrupted { attempt: number }, None)
            .await?;
    }
    Ok(Ran::NotYet {
        after_ms: 30_000,
        reason: "interrupted, waiting for two people".to_owned(),
    })
}

fn result_of(outcome: &Outcome) -> AttemptResult {
    match outcome {
        Outcome::Exited { code: 0 } => AttemptResult::Succeeded,
        Outcome::Exited { code } => AttemptResult::Failed(*code),
        Outcome::Signalled { signal } => AttemptResult::Failed(-signal),
        Outcome::TimedOut | Outcome::IdleTimedOut => AttemptResult::TimedOut,
        Outcome::Stopped { .. } => AttemptResult::Cancelled,
        Outcome::ScriptChanged => AttemptResult::NotStarted(NotStarted::ScriptChanged),
        Outcome::SpawnFailed { .. } => AttemptResult::NotStarted(NotStarted::CouldNotSpawn),
    }
}

async fn output_tail(desk: &Desk<'_>, spool: &Path) -> Option<PrivateText> {
    let (spool, redactor) = (spool.to_owned(), desk.outside.redactor.clone());
    match desk.outside.machine.tail(spool, TAIL_BYTES, TAIL_LINES, redactor).await {
        Ok(tail) if tail.text.trim().is_empty() => None,
        Ok(tail) => Some(fresh::private_text(tail.text)),
        Err(error) => Some(fresh::private_text(format!("(the output can't be read: {error})"))),
    }
}

/// Asks the supervisor to stop the script.
pub(super) async fn stop(desk: &Desk<'_>, key: &ReleaseKey, number: AttemptNumber) -> Result<Ran, Trouble> {
    let (Some(release), _) = desk.handler.release(key).await? else {
        return Ok(Ran::Done);
    };
    let Some(attempt) = release.attempt(number) else {
        return Ok(Ran::Done);
    };
    match attempt.state {
        AttemptState::Ended(_) | AttemptState::Queued => return Ok(Ran::Done),
        _ if attempt.host.as_deref() != Some(desk.outside.deployments.host()) => {
            let reason = "only the attempt's own host can stop it".to_owned();
            return Ok(Ran::NotYet {
                after_ms: WATCH_EVERY_MS,
                reason,
            });
        }
        _ => {}
    }
    let spool = desk
        .outside
        .deployments
        .spool(&attempt_id(desk, key, number, attempt.fence));
    let by = attempt.stop_by.as_ref().map(ToString::to_string).unwrap_or_default();
    match desk.outside.machine.request_stop(spool, by).await {
        Ok(_) => Ok(Ran::Done),
        Err(error) => Ok(Ran::Failed {
            retry_after_ms: None,
            reason: format!("the stop can't be written: {error}"),
        }),
    }
}
