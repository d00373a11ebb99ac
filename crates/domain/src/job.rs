//! The jobs of the queue and the messages that they keep: ids only, so that a job that runs late does what is right then.

use crate::event::NoticeStep;
use crate::ids::{PersonId, ReleaseKey};
use crate::release::AttemptNumber;
use crate::role::Role;
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
    /// Carry a signed checkpoint of the log outside. Safe: it is the same text every time; at worst one copy more.
    Checkpoint {
        /// Where to.
        place: CheckpointPlace,
        /// Of the entries up to here.
        position: u64,
    },
    /// Timer: the end of a window of repeated refusals. Safe: the count is compared when it is closed.
    CloseRefusals {
        /// The release.
        release: ReleaseKey,
        /// Which window.
        key: String,
    },
}

/// Where checkpoints of the log go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointPlace {
    /// A file beside the database.
    File,
    /// A Slack channel.
    Channel,
    /// The mailboxes of witnesses.
    Witnesses,
}

impl CheckpointPlace {
    /// The place in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Channel => "channel",
            Self::Witnesses => "witnesses",
        }
    }
}

/// Lanes have their own workers: no backlog of cards delays a start or a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Starts, stops, watching.
    Deploy,
    /// Notices that have a clock.
    Notice,
    /// Timers.
    Clock,
    /// Looks at Git and the script: a repository that hangs must not delay a timer.
    Source,
    /// Questions and cards.
    Message,
    /// Mail, pages, and checkpoints of the log.
    Mail,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 6] = [
        Self::Deploy,
        Self::Notice,
        Self::Clock,
        Self::Source,
        Self::Message,
        Self::Mail,
    ];

    /// The lane in one word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Notice => "notice",
            Self::Clock => "clock",
            Self::Source => "source",
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
            Self::ResolveSource { .. } => Lane::Source,
            Self::AskDeputy { .. }
            | Self::EndTechLeadWait { .. }
            | Self::EscalateNotice { .. }
            | Self::BreachNotice { .. }
            | Self::LookAgain { .. }
            | Self::CloseRefusals { .. } => Lane::Clock,
            Self::RefreshMessage { .. } | Self::PostMessage { .. } => Lane::Message,
            Self::MailNotice { .. } | Self::Page { .. } | Self::Checkpoint { .. } => Lane::Mail,
        }
    }

    /// The release it is about; nothing if it is about the whole log.
    pub fn release(&self) -> Option<&ReleaseKey> {
        match self {
            Self::Checkpoint { .. } => None,
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
            | Self::CloseRefusals { release, .. } => Some(release),
            Self::RefreshMessage { message } | Self::PostMessage { message } => Some(message.release()),
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
    /// A no, by direct message, to somebody who asked for the release or answers for it.
    Rejection {
        /// Of which release.
        release: ReleaseKey,
        /// Which entry of the release's stream.
        version: u64,
        /// To whom.
        person: PersonId,
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
            | Self::Rejection { release, .. }
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
            Self::Rejection {
                release,
                version,
                person,
            } => write!(f, "rejection/{release}/{version}/{person}"),
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
                "rejection" => Self::Rejection {
                    release,
                    version: parts.next()?.parse().ok()?,
                    person: PersonId::new(parts.next()?).ok()?,
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
