//! What a restore holds: jobs that may have been done in the history that was lost. They are dead, so that an operator sees
//! them, and only `jobs retry` lets them run.

use crate::store::{Fate, JobRow};
use domain::ids::HOUR_MS;
use domain::job::{CheckpointPlace, Job, MessageId};

/// How the reason of every held job begins.
const HELD: &str = "held after a restore: ";

fn held(why: &str) -> Fate {
    Fate::Dead {
        reason: format!("{HELD}{why}"),
    }
}

/// What an acknowledged restore makes of an unfinished job; nothing for one that only looks, or makes true what stands already.
/// `stands` says whether the message it is about stands in Slack.
pub fn fate(job: &Job, due_ms: i64, stands: bool, now_ms: i64) -> Option<Fate> {
    Some(match job {
        Job::PostMessage { .. } | Job::RefreshMessage { .. } if stands => return None,
        Job::PostMessage { .. }
        | Job::RefreshMessage { .. }
        | Job::MailNotice { .. }
        | Job::Page { .. }
        | Job::Checkpoint {
            place: CheckpointPlace::Channel | CheckpointPlace::Witnesses,
            ..
        } => held("it may have been sent already; `jobs retry` sends it, `jobs drop` does not"),
        Job::AskDeputy { .. } | Job::EscalateNotice { .. } => held(
            "somebody may have been asked, mailed or rung already; `jobs retry` does it if it is still due, `jobs drop` does not",
        ),
        Job::EndTechLeadWait { .. } => held(
            "the deployment may have been started already; `jobs retry` starts it if every gate holds, `jobs drop` does not",
        ),
        // The clock of a notice is not stopped for good: whoever restores has an hour to retry or drop the notice.
        Job::BreachNotice { .. } => Fate::Again {
            due_ms: due_ms.max(now_ms + HOUR_MS),
            reason: "waits after a restore, until the held notice was looked at".to_owned(),
            forgive: false,
        },
        Job::ResolveSource { .. }
        | Job::StartAttempt { .. }
        | Job::WatchAttempt { .. }
        | Job::StopAttempt { .. }
        | Job::LookAgain { .. }
        | Job::CloseRefusals { .. }
        | Job::Checkpoint {
            place: CheckpointPlace::File,
            ..
        } => return None,
    })
}

/// The message that a job posts or refreshes.
pub fn message_of(job: &Job) -> Option<&MessageId> {
    match job {
        Job::PostMessage { message } | Job::RefreshMessage { message } => Some(message),
        _ => None,
    }
}

/// Whether this dead job holds the message.
pub fn is_of(job: &JobRow, message: &MessageId) -> bool {
    job.reason.starts_with(HELD)
        && serde_json::from_str::<Job>(&job.payload).is_ok_and(|job| message_of(&job) == Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::NoticeStep;
    use domain::ids::ReleaseKey;

    #[test]
    fn what_may_have_been_done_is_held_and_what_only_looks_is_not() {
        let release = ReleaseKey::new("REL-1").unwrap();
        let (now_ms, attempt) = (10 * HOUR_MS, 1);
        let of = |job: &Job, stands| match fate(job, now_ms - 5, stands, now_ms) {
            None => "runs on".to_owned(),
            Some(Fate::Dead { reason }) => reason,
            Some(Fate::Again { due_ms, .. }) => format!("again at {due_ms}"),
            Some(Fate::Done) => "done".to_owned(),
        };
        let notice = MessageId::Notice {
            release: release.clone(),
            attempt,
        };
        let post = Job::PostMessage { message: notice };
        assert_eq!(of(&post, true), "runs on");
        assert!(of(&post, false).starts_with(HELD));
        let step = NoticeStep::Mail;
        for job in [
            Job::MailNotice {
                release: release.clone(),
                attempt,
            },
            Job::Page {
                release: release.clone(),
                attempt,
                step,
            },
            Job::EscalateNotice {
                release: release.clone(),
                attempt,
                step,
            },
            Job::EndTechLeadWait {
                release: release.clone(),
                revision: 1,
            },
        ] {
            assert!(of(&job, false).starts_with(HELD), "{job:?}");
        }
        let breach = Job::BreachNotice {
            release: release.clone(),
            attempt,
        };
        assert_eq!(of(&breach, false), format!("again at {}", 11 * HOUR_MS));
        let watch = Job::WatchAttempt { release, attempt };
        assert_eq!(of(&watch, false), "runs on");
    }
}
