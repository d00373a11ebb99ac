//! One match: from a job to what is done outside, and to the command that records its result.

use super::machine::Machine;
use super::retry::{Ran, all_teams_wait_for};
use super::{attempt, beyond_slack, checkpoint, message, settlement};
use crate::deploy::launch::OutputLimits;
use crate::deploy::redact::Redactor;
use crate::escalation::Escalation;
use crate::failure::Failure;
use crate::handle::{HandleError, Handled, Handler, Order};
use crate::probes::git::Tag;
use crate::records::mail::Mailer;
use crate::slack::client::SlackClient;
use crate::store::{ClaimedJob, Fate};
use domain::command::{Actor, Command, Intent, SourceSeen};
use domain::digest::Digest;
use domain::effects::refreshes;
use domain::event::SourceProblem;
use domain::ids::{MINUTE_MS, ReleaseKey, ServiceName};
use domain::job::Job;
use domain::refusal::Cause;
use domain::release::{Release, Status};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a worker's question to Slack may take: nobody is waiting for a click here.
const FACTS_WITHIN: Duration = Duration::from_secs(8);
const DECIDE_WITHIN: Duration = Duration::from_secs(20);
const GIT_WITHIN: Duration = Duration::from_secs(10);
/// How soon a job that only a newer version can do is offered again.
const NEWER_AGAIN_MS: i64 = 5_000;
/// How often something that a person has to mend is looked at again: a tag, a script, the bot's place in #releases.
const LOOK_AGAIN_MS: i64 = 15_000;
const LOOK_AGAIN_MAX_MS: i64 = 300_000;

/// Everything that jobs act through.
pub struct Outside {
    /// Slack.
    pub slack: SlackClient,
    /// Where emergency notices and results are posted.
    pub releases_channel: String,
    /// Service channels, by service.
    pub channels: BTreeMap<ServiceName, String>,
    /// Mail, if configured.
    pub mailer: Option<Mailer>,
    /// Whom `emergency.notice` mails.
    pub teams: Vec<String>,
    /// The part after the `@` of fixed Message-IDs.
    pub mail_domain: String,
    /// What rings when Slack and mail are down.
    pub escalation: Escalation,
    /// How services are deployed.
    pub deployments: Deployments,
    /// Where programs run and mail leaves.
    pub machine: Arc<dyn Machine>,
    /// Where checkpoints of the log go; nothing if none are made.
    pub witnesses: Option<checkpoint::Witnesses>,
    /// Git repositories, by service.
    pub repositories: BTreeMap<ServiceName, String>,
    /// Hides the bot's own secrets in whatever is shown or kept.
    pub redactor: Redactor,
    /// Channels that were looked at, with what was seen and when.
    pub seen_channels: Mutex<HashMap<String, (Instant, bool)>>,
    /// Which addresses a mail has reached while others are still tried, so that a next try does not mail them again.
    pub mailed: Mutex<BTreeSet<(String, String)>>,
    /// Other hosts' last signs of life, and since when nothing newer came.
    pub silent_hosts: Mutex<HashMap<String, (Option<i64>, Instant)>>,
}

/// How long a look at a channel counts: Slack allows 50 looks a minute, and every card asks.
const CHANNEL_SEEN_FOR: Duration = Duration::from_mins(1);

/// A host whose workers have said nothing for this long is lost: longer than a restart or an upgrade takes.
const HOST_LOST_AFTER_MS: i64 = 5 * MINUTE_MS;
/// And for this long by our own watch, so that a clock that jumps makes no host lost.
const HOST_WATCHED_FOR: Duration = Duration::from_secs(20);

impl Outside {
    /// Whether `host`, whose last sign of life is of `seen_ms`, is lost.
    pub fn is_lost(&self, host: &str, seen_ms: Option<i64>, now_ms: i64) -> bool {
        let mut hosts = self.silent_hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen_before_ms, since) = hosts.entry(host.to_owned()).or_insert((seen_ms, Instant::now()));
        if *seen_before_ms != seen_ms {
            (*seen_before_ms, *since) = (seen_ms, Instant::now());
        }
        now_ms - seen_ms.unwrap_or_default() > HOST_LOST_AFTER_MS && since.elapsed() > HOST_WATCHED_FOR
    }

    /// Whether this process has brought the mail to this address.
    pub fn is_mailed(&self, message_id: &str, to: &str) -> bool {
        let mailed = self.mailed.lock().unwrap_or_else(PoisonError::into_inner);
        mailed.contains(&(message_id.to_owned(), to.to_owned()))
    }

    /// Remembers that the mail has reached this address.
    pub fn remember_mailed(&self, message_id: &str, to: String) {
        let mut mailed = self.mailed.lock().unwrap_or_else(PoisonError::into_inner);
        mailed.insert((message_id.to_owned(), to));
    }

    /// Forgets a mail that has reached everybody.
    pub fn forget_mailed(&self, message_id: &str) {
        let mut mailed = self.mailed.lock().unwrap_or_else(PoisonError::into_inner);
        mailed.retain(|(id, _)| id != message_id);
    }

    /// Whether people of other organisations read this channel.
    ///
    /// # Errors
    /// When Slack can't say; then no card is rendered for it.
    pub async fn is_shared(&self, channel: &str) -> Result<bool, Failure> {
        let seen = {
            let seen = self.seen_channels.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get(channel).copied()
        };
        if let Some((at, shared)) = seen
            && at.elapsed() < CHANNEL_SEEN_FOR
        {
            return Ok(shared);
        }
        let shared = self.slack.channel(channel).await?.shared_with_outsiders;
        // One entry per configured channel, so it never grows beyond the configuration.
        let mut seen = self.seen_channels.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(channel.to_owned(), (Instant::now(), shared));
        Ok(shared)
    }
}

/// How services are deployed from this host.
pub struct Deployments {
    /// This host's id: only it judges what it started.
    pub host: String,
    /// Where attempts keep their spools.
    pub spool_root: PathBuf,
    /// This program, which also supervises.
    pub binary: PathBuf,
    /// Scripts, by service.
    pub scripts: BTreeMap<ServiceName, Script>,
}

/// The `script` executor of one environment.
#[derive(Debug, Clone)]
pub struct Script {
    /// As configured, absolute or below the working directory.
    pub program: String,
    /// With placeholders.
    pub arguments: Vec<String>,
    /// Absolute.
    pub working_directory: PathBuf,
    /// Milliseconds.
    pub timeout_ms: u64,
    /// Names of variables that the script may have from the bot's environment.
    pub pass_environment: Vec<String>,
    /// How much of its output is kept.
    pub output: OutputLimits,
}

impl Deployments {
    /// This host's id.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The digests of a service's executor configuration and script, or what is wrong with them.
    ///
    /// # Errors
    /// Says why the script can't be read or run.
    pub fn digests(&self, service: &ServiceName, machine: &dyn Machine) -> Result<(Digest, Digest), String> {
        let script = self
            .scripts
            .get(service)
            .ok_or_else(|| format!("service `{service}` has no script"))?;
        let program = machine.program(script)?;
        let digest = machine.script_digest(&program)?;
        let configuration = serde_json::json!({
            "executor": "script", "program": script.program, "arguments": script.arguments,
            "working_directory": script.working_directory, "timeout_ms": script.timeout_ms,
            "pass_environment": script.pass_environment,
        });
        let bytes = domain::canonical::to_bytes(&configuration).map_err(|error| error.to_string())?;
        Ok((Digest::try_from(digest)?, Digest::of(&bytes)))
    }

    /// The spool of an attempt.
    pub fn spool(&self, attempt_id: &str) -> PathBuf {
        crate::deploy::spool::spool_directory(Path::new(&self.spool_root), attempt_id)
    }
}

/// Runs `job` once.
pub(super) async fn run(handler: &Handler, outside: &Outside, job: &Job, claimed: &ClaimedJob) -> Ran {
    let desk = Desk {
        handler,
        outside,
        claimed,
    };
    let ran = match job {
        Job::ResolveSource { release } => desk.resolve_source(release).await,
        Job::RefreshMessage { message } => message::refresh(&desk, message).await,
        Job::PostMessage { message } => message::post_once(&desk, message).await,
        Job::StartAttempt { release, attempt } => attempt::start(&desk, release, *attempt).await,
        Job::WatchAttempt { release, attempt } => attempt::watch(&desk, release, *attempt).await,
        Job::StopAttempt { release, attempt } => attempt::stop(&desk, release, *attempt).await,
        Job::AskDeputy { release, revision } => desk.record(release, Intent::AskDeputy { revision: *revision }).await,
        Job::EndTechLeadWait { release, revision } => {
            desk.record(release, Intent::EndTechLeadWait { revision: *revision })
                .await
        }
        Job::EscalateNotice { release, attempt, step } => {
            desk.record(
                release,
                Intent::EscalateNotice {
                    attempt: *attempt,
                    step: *step,
                },
            )
            .await
        }
        Job::BreachNotice { release, attempt } => {
            desk.record(release, Intent::BreachNotice { attempt: *attempt }).await
        }
        Job::MailNotice { release, attempt } => beyond_slack::mail_notice(&desk, release, *attempt).await,
        Job::Page { release, attempt, step } => beyond_slack::page(&desk, release, *attempt, *step).await,
        Job::LookAgain { release } => desk.look_again(release).await,
        Job::Checkpoint { place, position } => checkpoint::carry(&desk, *place, *position).await,
        Job::CloseRefusals { release, key } => desk.close_refusals(release, key).await,
    };
    match ran.unwrap_or_else(|trouble| trouble.into_ran(&outside.redactor)) {
        Ran::Dead { reason } if all_teams_wait_for(job) => {
            // Not dead, so it would not be seen among the dead: a person has to mend this all the same.
            tracing::error!(
                job = claimed.id,
                release = claimed.subject,
                reason,
                "#releases can't be told: {reason}"
            );
            Ran::Failed {
                retry_after_ms: Some(LOOK_AGAIN_MS),
                reason,
            }
        }
        ran => ran,
    }
}

/// What may go wrong while a job runs.
pub(super) enum Trouble {
    /// The other side.
    Failure(Failure),
    /// Our own path.
    Handle(HandleError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<HandleError> for Trouble {
    fn from(error: HandleError) -> Self {
        Self::Handle(error)
    }
}

impl From<crate::store::StoreError> for Trouble {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Handle(error.into())
    }
}

impl Trouble {
    fn into_ran(self, redactor: &Redactor) -> Ran {
        match self {
            Self::Failure(Failure::Transient {
                message,
                retry_after_ms,
                ..
            }) => Ran::Failed {
                retry_after_ms,
                reason: redactor.redact(&message).into_owned(),
            },
            Self::Failure(Failure::Permanent { message }) => Ran::Dead {
                reason: redactor.redact(&message).into_owned(),
            },
            // Its workers run beside ours while a version is rolled out.
            Self::Handle(error @ HandleError::Newer(_)) => Ran::NotYet {
                after_ms: NEWER_AGAIN_MS,
                reason: redactor.redact(&error.to_string()).into_owned(),
            },
            // An unknown commit is found out by running again: the job is settled in it, or it isn't.
            Self::Handle(error) => Ran::Failed {
                retry_after_ms: None,
                reason: redactor.redact(&error.to_string()).into_owned(),
            },
        }
    }
}

/// One run's surroundings.
pub(super) struct Desk<'a> {
    pub handler: &'a Handler,
    pub outside: &'a Outside,
    pub claimed: &'a ClaimedJob,
}

impl Desk<'_> {
    pub fn now_ms(&self) -> i64 {
        self.handler.clock.now_ms()
    }

    /// How often this job has failed before this run.
    pub fn failures(&self) -> u32 {
        (self.claimed.attempt.saturating_sub(1)).saturating_sub(self.claimed.forgiven)
    }

    /// Records what this job found; the job is done in the same transaction.
    pub async fn record(&self, release: &ReleaseKey, intent: Intent) -> Result<Ran, Trouble> {
        match self.order(release, intent, Some(Fate::Done)).await? {
            Handled::Done { .. } | Handled::Duplicate { .. } | Handled::LostJob => Ok(Ran::Settled),
            Handled::Refused { refusal, .. } => Ok(match refusal.cause {
                // Slack could not say who is who: nothing was recorded, ask again.
                Cause::FactsUnavailable => Ran::Failed {
                    retry_after_ms: None,
                    reason: "Slack did not say who is in which role".to_owned(),
                },
                // A timer that came early by our clock: it comes back when it is time.
                _ if refusal.next_ms.is_some_and(|next_ms| next_ms > self.now_ms()) => Ran::NotYet {
                    after_ms: refusal.next_ms.unwrap_or_default() - self.now_ms(),
                    reason: "not due yet".to_owned(),
                },
                // Late or twice: the release has moved on.
                _ => Ran::Done,
            }),
        }
    }

    /// Decides `intent` as Countersign itself.
    pub async fn order(&self, release: &ReleaseKey, intent: Intent, fate: Option<Fate>) -> Result<Handled, Trouble> {
        let order = Order {
            command: Command {
                actor: Actor::Countersign,
                release: release.clone(),
                intent,
            },
            service: None,
            request: None,
            settles: fate.map(|fate| settlement(self.claimed, fate)),
            deadline: Instant::now() + DECIDE_WITHIN,
            facts_within: FACTS_WITHIN,
            reply: &|_| String::new(),
        };
        Ok(self.handler.handle(order).await?)
    }

    async fn resolve_source(&self, key: &ReleaseKey) -> Result<Ran, Trouble> {
        let (Some(release), _) = self.handler.release(key).await? else {
            return Ok(Ran::Done);
        };
        if !matches!(
            release.status,
            Status::Drafted | Status::Asking | Status::Approved | Status::Rejected
        ) {
            return Ok(Ran::Done);
        }
        match self.look(&release).await {
            Ok(seen) => self.record(key, Intent::RecordSource(seen)).await,
            Err(problem) => {
                let observed_ms = self.now_ms();
                self.order(key, Intent::RecordSourceProblem { problem, observed_ms }, None)
                    .await?;
                // Soon at first; a draft whose tag nobody pushes is not asked about four times a minute for ever.
                let waited_ms = self.now_ms() - self.claimed.created_ms;
                Ok(Ran::NotYet {
                    after_ms: (waited_ms / 8).clamp(LOOK_AGAIN_MS, LOOK_AGAIN_MAX_MS),
                    reason: format!("{problem:?}"),
                })
            }
        }
    }

    /// What Git and the disk say now.
    pub async fn look(&self, release: &Release) -> Result<SourceSeen, SourceProblem> {
        let machine = self.outside.machine.as_ref();
        let digests = self.outside.deployments.digests(&release.service, machine);
        let (script, executor) = digests.map_err(|error| {
            tracing::warn!(release = %release.key, error, "the deployment script can't be used");
            SourceProblem::ScriptMissing
        })?;
        let commit = match self.outside.repositories.get(&release.service) {
            None if release.typed_commit.is_none() => return Err(SourceProblem::NoRepository),
            None => None,
            Some(repository) => match machine
                .resolve_tag(repository, &release.version.tag(), GIT_WITHIN)
                .await
            {
                Tag::Resolved(commit) => Some(commit),
                Tag::Missing => return Err(SourceProblem::TagMissing),
                Tag::Silent(reason) => {
                    tracing::warn!(release = %release.key, reason = %self.outside.redactor.redact(&reason), "Git did not answer");
                    if release.typed_commit.is_none() {
                        return Err(SourceProblem::GitSilent);
                    }
                    None
                }
            },
        };
        Ok(SourceSeen {
            version: release.version.clone(),
            commit,
            script,
            executor,
            observed_ms: self.now_ms(),
        })
    }

    async fn look_again(&self, key: &ReleaseKey) -> Result<Ran, Trouble> {
        let (Some(release), version) = self.handler.release(key).await? else {
            return Ok(Ran::Done);
        };
        let due = refreshes(&release, self.now_ms());
        let settles = settlement(self.claimed, Fate::Done);
        self.handler.queue(&due, version, settles).await?;
        Ok(Ran::Settled)
    }

    async fn close_refusals(&self, release: &ReleaseKey, key: &str) -> Result<Ran, Trouble> {
        let Some(count) = self.handler.store.repeats(key).await? else {
            return Ok(Ran::Done);
        };
        let settles = settlement(self.claimed, Fate::Done);
        if self.handler.close_refusals(release, key, count, settles).await? {
            return Ok(Ran::Settled);
        }
        Ok(Ran::NotYet {
            after_ms: 1_000,
            reason: "more refusals came in".to_owned(),
        })
    }

    /// The people who must learn of an emergency whatever happens to Slack.
    pub fn teams(&self) -> BTreeSet<String> {
        self.outside.teams.iter().cloned().collect()
    }
}
