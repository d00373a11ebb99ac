//! THE path from a command to a commit: facts, load, decide, commit; a version conflict loads and decides again.
//! Nothing else decides. Beside it only operators' verbs write to the log, `erase` and `restore`, which start and sign nothing; and
//! nothing starts a deployment but what this path has committed.

mod build;
pub mod erase;
pub mod facts;
pub mod held;
mod load;
pub mod restore;

pub use load::{replay, replay_restores, replay_service};

use crate::clock::Clock;
use crate::handle::facts::{Facts, FactsWanted};
use crate::slack::view::Ways;
use crate::store::{AnsweredRequest, Commit, NewJob, Outcome, RepeatGuard, Settlement, Store, StoreError};
use domain::case::{Case, Target};
use domain::command::{Actor, Command, Intent};
use domain::decide::decide;
use domain::effects::Due;
use domain::event::Event;
use domain::ids::{EnvironmentName, MINUTE_MS, ReleaseKey, ServiceName};
use domain::intents::authority::Ask;
use domain::job::{Job, MessageId};
use domain::people::Standing;
use domain::policy::Policy;
use domain::refusal::Refusal;
use domain::rule::Rule;
use domain::rules::gates::holds_until_ms;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a conflict is decided again before the caller is told that the release is busy.
const TRIES_MAX: u32 = 8;
/// Repeats of one refusal within this window are counted, not chained.
pub const REPEAT_WINDOW_MS: i64 = 10 * MINUTE_MS;

/// Names by Slack user id.
pub type Names = HashMap<String, String>;
/// The configured services, by name.
pub type Targets = BTreeMap<ServiceName, Target>;

/// The path, and what it needs.
#[derive(Clone)]
pub struct Handler {
    /// Where everything is kept.
    pub store: Store,
    /// Who is who.
    pub people: Arc<dyn Facts>,
    /// The rules' parameters.
    pub policy: Arc<Policy>,
    /// The services.
    pub targets: Arc<Targets>,
    /// Names by Slack user id, for mails and pages.
    pub names: Arc<Names>,
    /// The ways to people besides Slack.
    pub ways: Ways,
    /// What time it is.
    pub clock: Clock,
}

/// A command on its way.
pub struct Order<'a> {
    /// What is asked.
    pub command: Command,
    /// The service, for a release that doesn't exist yet.
    pub service: Option<ServiceName>,
    /// The id of the signed request or of the job's claim; a repeat of it gets the saved reply.
    pub request: Option<String>,
    /// The claimed job whose result this is: it ends in the same transaction.
    pub settles: Option<Settlement>,
    /// Until when the answer must be there.
    pub deadline: Instant,
    /// How long Slack may take to say who is who.
    pub facts_within: Duration,
    /// Makes the reply that is saved with the commit, so that a repeat says the same.
    pub reply: &'a (dyn Fn(&Verdict<'_>) -> String + Send + Sync),
}

/// What was decided.
pub enum Verdict<'a> {
    /// It happens.
    Done {
        /// The case before.
        before: &'a Case,
        /// The case afterwards.
        case: &'a Case,
        /// What happened; nothing if nothing changes.
        events: &'a [Event],
    },
    /// A rule forbids it.
    Refused {
        /// The case as it is.
        case: &'a Case,
        /// What was asked.
        ask: Ask,
        /// Why.
        refusal: &'a Refusal,
    },
}

/// What came of an order.
#[derive(Debug)]
pub enum Handled {
    /// Decided and durable.
    Done {
        /// The case afterwards.
        case: Box<Case>,
        /// What happened.
        events: Vec<Event>,
        /// The saved reply.
        reply: String,
    },
    /// Refused; recorded if it belongs on the record.
    Refused {
        /// Why.
        refusal: Box<Refusal>,
        /// The reply.
        reply: String,
    },
    /// The same request was answered before.
    Duplicate {
        /// The saved reply.
        reply: String,
    },
    /// The job belongs to another worker by now.
    LostJob,
}

impl Handled {
    /// The reply, if there is one to give.
    pub fn reply(&self) -> &str {
        match self {
            Self::Done { reply, .. } | Self::Refused { reply, .. } | Self::Duplicate { reply } => reply,
            Self::LostJob => "",
        }
    }
}

/// Why nothing can be said of an order.
#[derive(Debug)]
pub enum HandleError {
    /// Nothing was recorded; trying again may help.
    Unavailable(anyhow::Error),
    /// The commit was in flight when the connection broke: it may be recorded.
    Unknown(anyhow::Error),
    /// The release moved all the time; nothing was recorded.
    Busy,
    /// The release has a past that only a newer version knows; nothing was recorded.
    Newer(anyhow::Error),
    /// A bug, or a row that can't be read; nothing was recorded.
    Broken(anyhow::Error),
}

impl HandleError {
    /// Tells what a newer version has written from what is broken.
    pub(crate) fn of_reading(error: anyhow::Error) -> Self {
        let is_unknown = |cause: &(dyn std::error::Error + 'static)| {
            let text = cause.downcast_ref::<serde_json::Error>().map(ToString::to_string);
            text.is_some_and(|text| text.starts_with("unknown field") || text.starts_with("unknown variant"))
        };
        if error.chain().any(is_unknown) {
            Self::Newer(error)
        } else {
            Self::Broken(error)
        }
    }
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(error) => write!(f, "unavailable, nothing was recorded: {error:#}"),
            Self::Unknown(error) => write!(f, "the outcome is not known: {error:#}"),
            Self::Busy => f.write_str("too many decisions at once, nothing was recorded"),
            Self::Newer(error) => write!(f, "only a newer version of Countersign can judge this: {error:#}"),
            Self::Broken(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for HandleError {}

impl From<StoreError> for HandleError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(error) => Self::Unavailable(error),
            StoreError::Unknown(error) => Self::Unknown(error),
            StoreError::Broken(error) => Self::Broken(error),
        }
    }
}

impl Handler {
    /// Decides and commits `order`, or says why not.
    ///
    /// # Errors
    /// Only for failures of ours; a rule's no is [`Handled::Refused`].
    pub async fn handle(&self, order: Order<'_>) -> Result<Handled, HandleError> {
        for _ in 0..TRIES_MAX {
            if let Some(handled) = self.try_once(&order).await? {
                return Ok(handled);
            }
            if Instant::now() >= order.deadline {
                break;
            }
        }
        Err(HandleError::Busy)
    }

    /// One round; nothing if the case moved between load and commit.
    async fn try_once(&self, order: &Order<'_>) -> Result<Option<Handled>, HandleError> {
        let loaded = self.load(order).await?;
        let now_ms = self.clock.now_ms();
        match decide(&loaded.case, &order.command, &self.policy, now_ms) {
            Ok(events) => self.commit_events(order, loaded, events, now_ms).await,
            Err(refusal) => self.commit_refusal(order, loaded, refusal, now_ms).await,
        }
    }

    async fn commit_events(
        &self,
        order: &Order<'_>,
        loaded: load::Loaded,
        events: Vec<Event>,
        now_ms: i64,
    ) -> Result<Option<Handled>, HandleError> {
        let deadline = self.commit_within(order, &loaded.case, &events, now_ms);
        let built = build::events(order, &loaded, &events, &self.policy, now_ms).map_err(HandleError::Broken)?;
        let reply = (order.reply)(&Verdict::Done {
            before: &loaded.case,
            case: &built.case,
            events: &events,
        });
        let mut commit = built.commit;
        commit.people = acting(&order.command);
        commit.request = order.request.clone().map(|id| AnsweredRequest {
            id,
            reply: reply.clone(),
        });
        Ok(match self.store.commit(commit, deadline).await? {
            Outcome::Committed { .. } | Outcome::Counted => Some(Handled::Done {
                case: Box::new(built.case),
                events,
                reply,
            }),
            Outcome::Duplicate { reply } => Some(Handled::Duplicate { reply }),
            Outcome::LostJob => Some(Handled::LostJob),
            Outcome::Conflict => None,
        })
    }

    /// A start is committed before anything that it was judged on has expired, or not at all (invariant 2).
    fn commit_within(&self, order: &Order<'_>, case: &Case, events: &[Event], now_ms: i64) -> Instant {
        let starts = events
            .iter()
            .any(|event| matches!(event, Event::AttemptStarting { .. }));
        let holds_until_ms = starts.then(|| holds_until_ms(case, &self.policy, now_ms)).flatten();
        holds_until_ms.map_or(order.deadline, |until_ms| {
            let left = Duration::from_millis(u64::try_from(until_ms - now_ms).unwrap_or_default());
            order.deadline.min(Instant::now() + left)
        })
    }

    /// A refusal of an active member on an existing release is an entry too; all other noise is not.
    async fn commit_refusal(
        &self,
        order: &Order<'_>,
        loaded: load::Loaded,
        refusal: Refusal,
        now_ms: i64,
    ) -> Result<Option<Handled>, HandleError> {
        let ask = Ask::of(
            &order.command.intent,
            loaded.case.release.as_ref(),
            &order.command.actor,
        );
        let reply = (order.reply)(&Verdict::Refused {
            case: &loaded.case,
            ask,
            refusal: &refusal,
        });
        let refused = Handled::Refused {
            refusal: Box::new(refusal),
            reply: reply.clone(),
        };
        let Handled::Refused { refusal, .. } = &refused else {
            return Ok(Some(refused));
        };
        let mut commit = if belongs_on_record(order, &loaded.case, refusal) {
            let mut commit = build::refusal(order, &loaded, refusal, now_ms).map_err(HandleError::Broken)?;
            commit.people = acting(&order.command);
            commit
        } else if order.request.is_some() {
            // Not on the record, but answered: the same signed bytes decide nothing later, when it might pass.
            Commit {
                decided_ms: now_ms,
                ..Commit::default()
            }
        } else {
            return Ok(Some(refused));
        };
        commit.request = order.request.clone().map(|id| AnsweredRequest { id, reply });
        Ok(match self.store.commit(commit, order.deadline).await? {
            Outcome::Committed { .. } | Outcome::Counted => Some(refused),
            Outcome::Duplicate { reply } => Some(Handled::Duplicate { reply }),
            Outcome::LostJob => Some(Handled::LostJob),
            Outcome::Conflict => None,
        })
    }

    /// Claims a request that changes no state, such as the opening of a view: true the first time only.
    ///
    /// # Errors
    /// As [`Handler::handle`].
    pub async fn claim_request(&self, id: String, deadline: Instant) -> Result<bool, HandleError> {
        let commit = Commit {
            request: Some(AnsweredRequest {
                id,
                reply: String::new(),
            }),
            decided_ms: self.clock.now_ms(),
            ..Commit::default()
        };
        Ok(matches!(
            self.store.commit(commit, deadline).await?,
            Outcome::Committed { .. }
        ))
    }
}

/// Who must still be on record when it is committed: nothing is done in the name of somebody who was erased meanwhile, and
/// nobody's part in a release is forgotten by it.
fn acting(command: &Command) -> Vec<String> {
    let actor = match &command.actor {
        Actor::Person(person) => Some(person),
        Actor::Countersign => None,
    };
    let authors = match &command.intent {
        Intent::Plan(plan) => Some(&plan.authors),
        Intent::RequestHotfix(request) => Some(&request.authors),
        _ => None,
    };
    let people = actor.into_iter().chain(authors.into_iter().flatten());
    people.map(ToString::to_string).collect()
}

fn belongs_on_record(order: &Order<'_>, case: &Case, refusal: &Refusal) -> bool {
    let Actor::Person(person) = &order.command.actor else {
        return false;
    };
    let is_member = case
        .people
        .facts
        .get(person)
        .is_some_and(|facts| facts.standing == Standing::Active);
    is_member && case.release.is_some() && refusal.cause.is_recorded()
}

/// The environment that releases go to. Others come with the stages of a later issue.
pub fn production() -> EnvironmentName {
    build::production()
}

/// The window of repeats that a refusal belongs to.
fn repeat_guard(order: &Order<'_>, refusal: &Refusal, ask: &str) -> RepeatGuard {
    let Command { actor, release, .. } = &order.command;
    RepeatGuard {
        key: repeat_key(release, actor, ask, refusal.rule),
        window_ms: REPEAT_WINDOW_MS,
    }
}

/// Under what the repeats of one refusal are counted.
pub(crate) fn repeat_key(release: &ReleaseKey, actor: &Actor, ask: &str, rule: Rule) -> String {
    format!("{release}/{}/{ask}/{rule}", actor.id())
}

/// Which people an intent needs facts of, beyond the one who asks.
fn wanted(intent: &Intent) -> FactsWanted {
    match intent {
        Intent::Plan(_)
        | Intent::Waive(_)
        | Intent::TakeBack { .. }
        | Intent::RecordSource(_)
        | Intent::AskDeputy { .. }
        | Intent::EndTechLeadWait { .. } => FactsWanted::Holders,
        Intent::Deploy | Intent::Settle { .. } | Intent::SignOff { .. } | Intent::Attest(_) => FactsWanted::Signers,
        Intent::StartAttempt { .. } => FactsWanted::SignersAndHolders,
        _ => FactsWanted::Nobody,
    }
}

impl Handler {
    /// Queues jobs that a job asks for, in the transaction that ends it.
    ///
    /// # Errors
    /// As [`Handler::handle`].
    pub async fn queue(&self, due: &[Due], version: u64, settles: Settlement) -> Result<(), HandleError> {
        let now_ms = self.clock.now_ms();
        let jobs = due.iter().enumerate().map(|(index, due)| {
            let mut job = build::new_job(due, version, index, now_ms)?;
            job.id = format!("{}/{}", settles.job, index);
            Ok(job)
        });
        let jobs: anyhow::Result<Vec<NewJob>> = jobs.collect();
        let commit = Commit {
            jobs: jobs.map_err(HandleError::Broken)?,
            settles: Some(settles),
            decided_ms: now_ms,
            ..Commit::default()
        };
        self.store
            .commit(commit, Instant::now() + Duration::from_secs(10))
            .await?;
        Ok(())
    }

    /// Has a message shown anew, whatever is believed to stand there; `id` is the job's, so that asking twice is asking once.
    ///
    /// # Errors
    /// As [`Handler::handle`].
    pub async fn show_again(&self, message: &MessageId, id: String) -> Result<(), HandleError> {
        self.store.forget_rendered(&message.to_string()).await?;
        let now_ms = self.clock.now_ms();
        let due = Due {
            job: Job::RefreshMessage {
                message: message.clone(),
            },
            at_ms: now_ms,
        };
        let job = build::new_job(&due, 0, 0, now_ms).map_err(HandleError::Broken)?;
        let commit = Commit {
            jobs: vec![NewJob { id, ..job }],
            decided_ms: now_ms,
            ..Commit::default()
        };
        self.store
            .commit(commit, Instant::now() + Duration::from_secs(10))
            .await?;
        Ok(())
    }

    /// Closes a window of repeated refusals with one entry that names their count. False if more came in.
    ///
    /// # Errors
    /// As [`Handler::handle`].
    pub async fn close_refusals(
        &self,
        release: &domain::ids::ReleaseKey,
        key: &str,
        count: u64,
        settles: Settlement,
    ) -> Result<bool, HandleError> {
        let now_ms = self.clock.now_ms();
        let commit = build::closing(release, key, count, settles, now_ms).map_err(HandleError::Broken)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        Ok(!matches!(self.store.commit(commit, deadline).await?, Outcome::Conflict))
    }
}
