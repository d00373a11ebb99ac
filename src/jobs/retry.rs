//! When a failed job runs again: pure, so that every delay can be tested.

use crate::store::{ClaimedJob, Fate};
use domain::job::{Job, MessageId};

/// The longest wait that a vendor's `Retry-After` may ask for.
const RETRY_AFTER_MAX_MS: i64 = 3_600_000;

/// What became of one run of a job.
#[derive(Debug)]
pub enum Ran {
    /// Done; the job still has to be settled.
    Done,
    /// Done and settled in the same transaction as its result.
    Settled,
    /// Not finished, nothing is wrong: look again after so many milliseconds.
    NotYet {
        /// Milliseconds.
        after_ms: i64,
        /// For `jobs list`.
        reason: String,
    },
    /// Failed; may pass by itself.
    Failed {
        /// What the other side asked for, milliseconds.
        retry_after_ms: Option<i64>,
        /// For `jobs list`, redacted.
        reason: String,
    },
    /// Failed for good: a person has to do something.
    Dead {
        /// For `jobs list`, redacted.
        reason: String,
    },
}

/// How a kind of job is tried.
struct Schedule {
    attempts_max: u32,
    first_ms: i64,
    longest_ms: i64,
}

fn schedule(job: &Job) -> Schedule {
    match job {
        // While a notice's clock runs, nobody waits longer than 30 s for the next try; all of them are tried for a week.
        job if all_teams_wait_for(job) => Schedule {
            attempts_max: 20_000,
            first_ms: 1_000,
            longest_ms: 30_000,
        },
        Job::EscalateNotice { .. } | Job::BreachNotice { .. } | Job::MailNotice { .. } | Job::Page { .. } => Schedule {
            attempts_max: 20_000,
            first_ms: 1_000,
            longest_ms: 30_000,
        },
        Job::StartAttempt { .. } | Job::WatchAttempt { .. } | Job::StopAttempt { .. } => Schedule {
            attempts_max: 1_000,
            first_ms: 500,
            longest_ms: 10_000,
        },
        // Slack can be down for a day: cards and stories are made up for afterwards, a minute after it is back.
        _ => Schedule {
            attempts_max: 5_000,
            first_ms: 1_000,
            longest_ms: 60_000,
        },
    }
}

/// What is promised to all teams in #releases: it is tried even after a no of Slack that only a person can mend (the bot is
/// invited, the channel unarchived, the token renewed), because it has to stand there the moment that this is done.
pub(super) fn all_teams_wait_for(job: &Job) -> bool {
    matches!(
        job,
        Job::PostMessage {
            message: MessageId::Notice { .. } | MessageId::Breach { .. } | MessageId::Outcome { .. }
        }
    )
}

/// How many attempts a job has, those lost to crashes included.
pub fn attempts_max(job: &Job) -> u32 {
    schedule(job).attempts_max
}

/// What becomes of `claimed` after a run. `jitter` is a number from 0 to 999.
pub fn fate(job: &Job, claimed: &ClaimedJob, ran: Ran, now_ms: i64, jitter: u32) -> Option<Fate> {
    let schedule = schedule(job);
    Some(match ran {
        Ran::Settled => return None,
        Ran::Done => Fate::Done,
        Ran::Dead { reason } => Fate::Dead { reason },
        Ran::NotYet { after_ms, reason } => Fate::Again {
            due_ms: now_ms + after_ms,
            reason,
            forgive: true,
        },
        Ran::Failed { reason, .. } if claimed.attempt.saturating_sub(claimed.forgiven) >= schedule.attempts_max => {
            Fate::Dead {
                reason: format!("given up after {} attempts: {reason}", schedule.attempts_max),
            }
        }
        Ran::Failed { retry_after_ms, reason } => {
            let counted = claimed.attempt.saturating_sub(claimed.forgiven).max(1);
            let wait_ms =
                backoff_ms(&schedule, counted, jitter).max(retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS));
            Fate::Again {
                due_ms: now_ms + wait_ms,
                reason,
                forgive: false,
            }
        }
    })
}

/// Doubles from `first_ms` to `longest_ms`; half of it is jitter, so that replicas don't come in step.
fn backoff_ms(schedule: &Schedule, attempt: u32, jitter: u32) -> i64 {
    let doubled = schedule
        .first_ms
        .saturating_mul(1_i64 << attempt.saturating_sub(1).min(20));
    let full_ms = doubled.min(schedule.longest_ms);
    full_ms / 2 + full_ms / 2 * i64::from(jitter.min(999)) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::ReleaseKey;

    fn card() -> Job {
        Job::RefreshMessage {
            message: MessageId::Card {
                release: ReleaseKey::new("REL-1").unwrap(),
            },
        }
    }

    fn claimed(attempt: u32, forgiven: u32) -> ClaimedJob {
        ClaimedJob {
            id: "j".into(),
            kind: "k".into(),
            payload: "{}".into(),
            subject: "REL-1".into(),
            attempt,
            forgiven,
            attempts_max: 5_000,
            owner: "o".into(),
            due_ms: 0,
            created_ms: 0,
        }
    }

    fn failed(retry_after_ms: Option<i64>) -> Ran {
        Ran::Failed {
            retry_after_ms,
            reason: "slack".into(),
        }
    }

    fn due(attempt: u32, forgiven: u32, ran: Ran, jitter: u32) -> i64 {
        match fate(&card(), &claimed(attempt, forgiven), ran, 1_000_000, jitter) {
            Some(Fate::Again { due_ms, .. }) => due_ms - 1_000_000,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_with_half_of_it_jitter() {
        assert_eq!(due(1, 0, failed(None), 0), 500);
        assert_eq!(due(1, 0, failed(None), 999), 999);
        assert_eq!(due(3, 0, failed(None), 0), 2_000);
        assert_eq!(due(900, 0, failed(None), 0), 30_000);
        assert!(due(900, 0, failed(None), 999) < 60_000);
    }

    #[test]
    fn a_vendors_retry_after_is_obeyed_up_to_an_hour() {
        assert_eq!(due(1, 0, failed(Some(30_000)), 0), 30_000);
        assert_eq!(due(1, 0, failed(Some(i64::MAX)), 0), RETRY_AFTER_MAX_MS);
    }

    #[test]
    fn waiting_is_forgiven_and_too_many_failures_are_dead() {
        assert!(matches!(
            fate(
                &card(),
                &claimed(6_000, 5_999),
                Ran::NotYet {
                    after_ms: 1,
                    reason: String::new()
                },
                0,
                0
            ),
            Some(Fate::Again { forgive: true, .. })
        ));
        assert_eq!(due(5_500, 5_499, failed(None), 0), 500);
        assert!(matches!(
            fate(&card(), &claimed(5_000, 0), failed(None), 0, 0),
            Some(Fate::Dead { .. })
        ));
        assert!(fate(&card(), &claimed(1, 0), Ran::Settled, 0, 0).is_none());
    }
}
