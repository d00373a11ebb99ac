//! What must follow from events: the list of everything that is ever done outside. Pure; the jobs are committed
//! with the events that cause them.

use crate::event::{Event, NoticeStep};
use crate::ids::{Millis, PersonId, ReleaseKey};
use crate::policy::Policy;
use crate::release::{AttemptNumber, Release};
use crate::role::Role;
use crate::rules::sign_off;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something to be done outside, by ids only. Each kind may run twice, at once, or be killed after any step; why
/// that is safe stands at each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Job {
    /// Look at Git and at the script, and record what is there. Safe: reading, and equal news is no news.
    ResolveSource {
        /// Of which release.
        release: ReleaseKey,
    },
    /// Make a message that changes show the current state. Safe: it renders what is, whoever runs it and however often.
    RefreshMessage {
        /// Which message.
        message: MessageId,
    },
    /// Post a message that never changes. Safe: the outbox id in its metadata finds it again; at worst one copy more.
    PostMessage {
        /// Which message.
        message: MessageId,
    },
    /// Judge all gates and start the script. Safe: `starting` is recorded once, by compare-and-set, and a spool starts once.
    StartAttempt {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Follow a started script to its end. Safe: reading, and an attempt ends once.
    WatchAttempt {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Ask the supervisor to stop the script. Safe: the request is a file that is there or not.
    StopAttempt {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Timer: the CTO has not answered. Safe: decided on the current state.
    AskDeputy {
        /// Of which release.
        release: ReleaseKey,
        /// In which revision.
        revision: u32,
    },
    /// Timer: the wait for the tech lead ends. Safe: decided on the current state.
    EndTechLeadWait {
        /// Of which release.
        release: ReleaseKey,
        /// In which revision.
        revision: u32,
    },
    /// Timer: a step of the notice ladder. Safe: decided on the current state.
    EscalateNotice {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
        /// Which step.
        step: NoticeStep,
    },
    /// Timer: the hour is over. Safe: decided on the current state.
    BreachNotice {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Mail all teams what #releases could not say. At least once, with a fixed Message-ID.
    MailNotice {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Ring release manager and CTO outside Slack and mail. At least once; the summary carries release, attempt and step.
    Page {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
        /// Which step.
        step: NoticeStep,
    },
    /// Timer: a sign-off may have expired, so every copy must say so. Safe: it only asks for refreshes.
    LookAgain {
        /// Of which release.
        release: ReleaseKey,
    },
    /// Timer: the end of a window of repeated refusals. Safe: the count is compared when it is closed.
    CloseRefusals {
        /// The release.
        release: ReleaseKey,
        /// Which window.
        key: String,
    },
}

/// Lanes have their own workers: no backlog of cards delays a start or a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Starts, stops, watching.
    Deploy,
    /// Notices that have a clock.
    Notice,
    /// Timers, and facts that people wait for.
    Clock,
    /// Questions and cards.
    Message,
    /// Mail and pages.
    Mail,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 5] = [Self::Deploy, Self::Notice, Self::Clock, Self::Message, Self::Mail];

    /// The lane in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Notice => "notice",
            Self::Clock => "clock",
            Self::Message => "message",
            Self::Mail => "mail",
        }
    }
}

impl Job {
    /// The lane it runs in.
    pub fn lane(&self) -> Lane {
        match self {
            Self::StartAttempt { .. } | Self::WatchAttempt { .. } | Self::StopAttempt { .. } => Lane::Deploy,
            Self::PostMessage {
                message: MessageId::Notice { .. },
            } => Lane::Notice,
            Self::ResolveSource { .. }
            | Self::AskDeputy { .. }
            | Self::EndTechLeadWait { .. }
            | Self::EscalateNotice { .. }
            | Self::BreachNotice { .. }
            | Self::LookAgain { .. }
            | Self::CloseRefusals { .. } => Lane::Clock,
            Self::RefreshMessage { .. } | Self::PostMessage { .. } => Lane::Message,
            Self::MailNotice { .. } | Self::Page { .. } => Lane::Mail,
        }
    }

    /// The release it is about.
    pub fn release(&self) -> &ReleaseKey {
        match self {
            Self::ResolveSource { release }
            | Self::StartAttempt { release, .. }
            | Self::WatchAttempt { release, .. }
            | Self::StopAttempt { release, .. }
            | Self::AskDeputy { release, .. }
            | Self::EndTechLeadWait { release, .. }
            | Self::EscalateNotice { release, .. }
            | Self::BreachNotice { release, .. }
            | Self::MailNotice { release, .. }
            | Self::Page { release, .. }
            | Self::LookAgain { release }
            | Self::CloseRefusals { release, .. } => release,
            Self::RefreshMessage { message } | Self::PostMessage { message } => message.release(),
        }
    }
}

/// A message that Countersign keeps: its outbox id names what it is for, so that it is posted once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MessageId {
    /// The release's card in the service's channel.
    Card {
        /// Of which release.
        release: ReleaseKey,
    },
    /// The question to one signer, by direct message.
    Question {
        /// Of which release.
        release: ReleaseKey,
        /// For which role.
        role: Role,
        /// To whom.
        person: PersonId,
        /// In which revision.
        revision: u32,
    },
    /// One entry of the story in the card's thread.
    Story {
        /// Of which release.
        release: ReleaseKey,
        /// Which entry of the release's stream.
        version: u64,
    },
    /// The emergency notice in #releases.
    Notice {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// The result in #releases (`notice.result`).
    Outcome {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// A recorded breach of the notice clock, in #releases.
    Breach {
        /// Of which release.
        release: ReleaseKey,
        /// Which attempt.
        attempt: AttemptNumber,
    },
}

impl MessageId {
    /// The release it is about.
    pub fn release(&self) -> &ReleaseKey {
        match self {
            Self::Card { release }
            | Self::Question { release, .. }
            | Self::Story { release, .. }
            | Self::Notice { release, .. }
            | Self::Outcome { release, .. }
            | Self::Breach { release, .. } => release,
        }
    }

    /// Whether it shows the current state and is updated in place.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Card { .. } | Self::Question { .. })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card { release } => write!(f, "card/{release}"),
            Self::Question {
                release,
                role,
                person,
                revision,
            } => write!(f, "question/{release}/{role}/{person}/{revision}"),
            Self::Story { release, version } => write!(f, "story/{release}/{version}"),
            Self::Notice { release, attempt } => write!(f, "notice/{release}/{attempt}"),
            Self::Outcome { release, attempt } => write!(f, "outcome/{release}/{attempt}"),
            Self::Breach { release, attempt } => write!(f, "breach/{release}/{attempt}"),
        }
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for MessageId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = || -> Option<Self> {
            let mut parts = text.split('/');
            let (kind, release) = (parts.next()?, ReleaseKey::new(parts.next()?).ok()?);
            let id = match kind {
                "card" => Self::Card { release },
                "question" => Self::Question {
                    release,
                    role: Role::from_key(parts.next()?)?,
                    person: PersonId::new(parts.next()?).ok()?,
                    revision: parts.next()?.parse().ok()?,
                },
                "story" => Self::Story {
                    release,
                    version: parts.next()?.parse().ok()?,
                },
                "notice" => Self::Notice {
                    release,
                    attempt: parts.next()?.parse().ok()?,
                },
                "outcome" => Self::Outcome {
                    release,
                    attempt: parts.next()?.parse().ok()?,
                },
                "breach" => Self::Breach {
                    release,
                    attempt: parts.next()?.parse().ok()?,
                },
                _ => return None,
            };
            // Only the one spelling that we write: `+1` or `01` would be a second name of the same message.
            (parts.next().is_none() && id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| format!("`{text}` is no message id"))
    }
}

/// A job and when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What.
    pub job: Job,
    /// Not before, UTC milliseconds.
    pub at_ms: Millis,
}

/// What must follow from `events`, which led to `release` at `now_ms`. `first_version` is the stream version of
/// the first event that belongs to the release.
pub fn effects(release: &Release, events: &[Event], first_version: u64, policy: &Policy, now_ms: Millis) -> Vec<Due> {
    let key = &release.key;
    let mut due = Vec::new();
    let of_release = events.iter().filter(|event| event.service_stream().is_none());
    for (version, event) in (first_version..).zip(of_release) {
        for (job, at_ms) in of_event(release, event, policy, now_ms) {
            due.push(Due { job, at_ms });
        }
        if is_told(event) {
            let message = MessageId::Story {
                release: key.clone(),
                version,
            };
            due.push(Due {
                job: Job::PostMessage { message },
                at_ms: now_ms,
            });
        }
    }
    if !events.is_empty() {
        // Whatever happened, every copy must say what is true now.
        due.extend(refreshes(release, now_ms));
    }
    due
}

/// A refresh of every message that shows the release's current state.
pub fn refreshes(release: &Release, now_ms: Millis) -> Vec<Due> {
    let key = &release.key;
    let questions = release
        .copies
        .iter()
        .map(|(role, person, revision)| MessageId::Question {
            release: key.clone(),
            role: *role,
            person: person.clone(),
            revision: *revision,
        });
    std::iter::once(MessageId::Card { release: key.clone() })
        .chain(questions)
        .map(|message| Due {
            job: Job::RefreshMessage { message },
            at_ms: now_ms,
        })
        .collect()
}

/// Whether an event is told in the card's thread.
fn is_told(event: &Event) -> bool {
    !matches!(
        event,
        Event::SignOffRequested { .. }
            | Event::AttemptRunning { .. }
            | Event::CommandRefused { .. }
            | Event::RefusalsRepeated { .. }
    )
}

fn of_event(release: &Release, event: &Event, policy: &Policy, now_ms: Millis) -> Vec<(Job, Millis)> {
    let key = release.key.clone();
    match event {
        Event::ReleasePlanned { .. }
        | Event::HotfixRequested { .. }
        | Event::PlanChanged { .. }
        | Event::CommitTyped { .. } => {
            vec![(Job::ResolveSource { release: key }, now_ms)]
        }
        Event::SignOffRequested { role, revision, .. } => sign_off::timers_of(*role, release.kind, policy, now_ms)
            .map(|at_ms| match role {
                Role::Cto => (
                    Job::AskDeputy {
                        release: key.clone(),
                        revision: *revision,
                    },
                    at_ms,
                ),
                _ => (
                    Job::EndTechLeadWait {
                        release: key.clone(),
                        revision: *revision,
                    },
                    at_ms,
                ),
            })
            .into_iter()
            .collect(),
        Event::SignedOff { sign_off } => {
            // When it expires, the card must say so by itself.
            let at_ms = sign_off::expires_ms(sign_off, release, policy);
            vec![(Job::LookAgain { release: key }, at_ms)]
        }
        Event::ReleaseApproved {} => {
            // When the slot begins the deployment engineer may start, and when it is over nobody may: the card says so by itself.
            let slot = release
                .plan
                .as_ref()
                .map(|plan| [plan.start_ms, plan.start_ms + plan.length_ms]);
            let times = slot.into_iter().flatten().filter(|at_ms| *at_ms > now_ms);
            times
                .map(|at_ms| (Job::LookAgain { release: key.clone() }, at_ms))
                .collect()
        }
        Event::DeploymentRequested { attempt, .. } => vec![(
            Job::StartAttempt {
                release: key,
                attempt: *attempt,
            },
            now_ms,
        )],
        Event::AttemptStarting { attempt, .. } => {
            let mut jobs = vec![(
                Job::WatchAttempt {
                    release: key.clone(),
                    attempt: *attempt,
                },
                now_ms,
            )];
            if release.kind.is_emergency() {
                jobs.extend(notice_clock(&key, *attempt, policy, now_ms));
            }
            jobs
        }
        // What never started has nothing to stop and nothing to tell #releases.
        Event::StopRequested { attempt, .. }
        | Event::AttemptEnded { attempt, .. }
        | Event::AttemptInterrupted { attempt }
        | Event::AttemptSettled { attempt, .. }
            if release.attempt(*attempt).is_none_or(|a| a.starting_ms.is_none()) =>
        {
            Vec::new()
        }
        Event::StopRequested { attempt, .. } => vec![(
            Job::StopAttempt {
                release: key,
                attempt: *attempt,
            },
            now_ms,
        )],
        Event::AttemptInterrupted { attempt } => {
            let message = MessageId::Outcome {
                release: key,
                attempt: *attempt,
            };
            vec![(Job::PostMessage { message }, now_ms)]
        }
        Event::AttemptEnded { attempt, .. } | Event::AttemptSettled { attempt, .. } => {
            let message = MessageId::Outcome {
                release: key,
                attempt: *attempt,
            };
            // An interruption stands in #releases under the same id already; posting again would change nothing.
            let told = release.attempt(*attempt).is_some_and(|a| a.interrupted_ms.is_some());
            let job = if told {
                Job::RefreshMessage { message }
            } else {
                Job::PostMessage { message }
            };
            vec![(job, now_ms)]
        }
        Event::NoticeEscalated { attempt, step } => escalation(&key, *attempt, *step, now_ms),
        Event::NoticeBreached { attempt, .. } => vec![(
            Job::PostMessage {
                message: MessageId::Breach {
                    release: key.clone(),
                    attempt: *attempt,
                },
            },
            now_ms,
        )],
        _ => Vec::new(),
    }
}

/// The notice itself, at once, and every step that is taken if it can't be posted.
fn notice_clock(key: &ReleaseKey, attempt: AttemptNumber, policy: &Policy, started_ms: Millis) -> Vec<(Job, Millis)> {
    let notice = Job::PostMessage {
        message: MessageId::Notice {
            release: key.clone(),
            attempt,
        },
    };
    let steps = NoticeStep::ALL.into_iter().map(|step| {
        (
            Job::EscalateNotice {
                release: key.clone(),
                attempt,
                step,
            },
            started_ms + policy.notice_step_after_ms(step),
        )
    });
    let breach = Job::BreachNotice {
        release: key.clone(),
        attempt,
    };
    std::iter::once((notice, started_ms))
        .chain(steps)
        .chain(std::iter::once((breach, started_ms + policy.notice_breach_after_ms)))
        .collect()
}

/// Mail after five minutes, people rung after fifteen, and once more when the hour is at risk.
fn escalation(key: &ReleaseKey, attempt: AttemptNumber, step: NoticeStep, now_ms: Millis) -> Vec<(Job, Millis)> {
    let release = key.clone();
    let job = match step {
        NoticeStep::Mail => Job::MailNotice { release, attempt },
        NoticeStep::Page | NoticeStep::AtRisk => Job::Page { release, attempt, step },
    };
    vec![(job, now_ms)]
}
