//! What failed because the other side did not answer, and what of it is tried first: pure bookkeeping of one process. One of
//! them goes ahead every few seconds, so that the end of an outage is noticed soon; once one gets through, the rest follows,
//! one after the other. Whoever was told when to come back is not among them.

use super::retry::Ran;
use crate::store::{ClaimedJob, Hurry};
use domain::job::Lane;
use std::collections::HashMap;

/// More than this is left to its own backoff.
const WAITING_MAX: usize = 10_000;
/// Between two that follow: a backlog comes back as a stream, not as a wave.
const SPREAD_MS: i64 = 50;

/// What a run says of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// No answer, and not when there may be one.
    Silence,
    /// It did what was asked.
    Yes,
    /// An answer that says when to come back, or that it is no use.
    No,
    /// Nothing was asked.
    Nothing,
}

impl Heard {
    /// What `ran` says.
    pub(super) fn of(ran: &Ran) -> Self {
        match ran {
            Ran::Failed {
                retry_after_ms: None, ..
            } => Self::Silence,
            Ran::Done | Ran::Settled => Self::Yes,
            Ran::Failed { .. } | Ran::Dead { .. } => Self::No,
            Ran::NotYet { .. } => Self::Nothing,
        }
    }
}

/// One that waits.
#[derive(Debug, Clone, Copy)]
struct Wait {
    attempt: u32,
    /// A notice has a clock.
    is_notice: bool,
    turn: u64,
}

/// Jobs that wait for an answer, by id.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    jobs: HashMap<String, Wait>,
    turn: u64,
}

impl Waiting {
    /// Takes note of how a job went that is settled; says what may be tried soon because this one got through.
    pub(super) fn ran(&mut self, lane: Lane, claimed: &ClaimedJob, heard: Heard, now_ms: i64) -> Vec<Hurry> {
        match heard {
            // Mail has a way of its own, and a deployment is looked at every few seconds anyway.
            _ if matches!(lane, Lane::Mail | Lane::Deploy) => Vec::new(),
            Heard::Silence => {
                self.turn += 1;
                let wait = Wait {
                    attempt: claimed.attempt,
                    is_notice: lane == Lane::Notice,
                    turn: self.turn,
                };
                if self.jobs.len() < WAITING_MAX || self.jobs.contains_key(&claimed.id) {
                    self.jobs.insert(claimed.id.clone(), wait);
                }
                Vec::new()
            }
            Heard::Yes if self.jobs.remove(&claimed.id).is_some() => self.all(now_ms),
            Heard::Yes | Heard::Nothing => Vec::new(),
            Heard::No => {
                self.jobs.remove(&claimed.id);
                Vec::new()
            }
        }
    }

    /// Who goes ahead: the one that has waited longest.
    pub(super) fn scout(&mut self, now_ms: i64) -> Option<Hurry> {
        let id = self.jobs.iter().min_by_key(|(_, wait)| wait.turn)?.0.clone();
        let wait = self.jobs.get_mut(&id)?;
        // Not again before it has been tried, or before the others.
        self.turn += 1;
        wait.turn = self.turn;
        Some(Hurry {
            job: id,
            attempt: wait.attempt,
            due_ms: now_ms,
        })
    }

    fn all(&mut self, now_ms: i64) -> Vec<Hurry> {
        let mut jobs: Vec<(String, Wait)> = self.jobs.drain().collect();
        jobs.sort_by_key(|(_, wait)| (!wait.is_notice, wait.turn));
        let due = (0..).map(|index: i64| now_ms + index * SPREAD_MS);
        jobs.into_iter()
            .zip(due)
            .map(|((job, wait), due_ms)| Hurry {
                job,
                attempt: wait.attempt,
                due_ms,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(id: &str, attempt: u32) -> ClaimedJob {
        ClaimedJob {
            id: id.into(),
            kind: "k".into(),
            payload: "{}".into(),
            subject: "REL-1".into(),
            attempt,
            forgiven: 0,
            attempts_max: 5_000,
            owner: "o".into(),
            due_ms: 0,
            created_ms: 0,
        }
    }

    fn failed(retry_after_ms: Option<i64>) -> Heard {
        Heard::of(&Ran::Failed {
            retry_after_ms,
            reason: "slack".into(),
        })
    }

    fn fails(waiting: &mut Waiting, lane: Lane, id: &str, attempt: u32) {
        assert!(waiting.ran(lane, &claimed(id, attempt), failed(None), 0).is_empty());
    }

    #[test]
    fn once_one_gets_through_the_rest_follows_the_notice_first() {
        let mut waiting = Waiting::default();
        fails(&mut waiting, Lane::Message, "card", 4);
        fails(&mut waiting, Lane::Message, "question", 5);
        fails(&mut waiting, Lane::Notice, "notice", 9);
        let follow = waiting.ran(Lane::Message, &claimed("card", 5), Heard::of(&Ran::Done), 1_000);
        let follow: Vec<_> = follow.iter().map(|h| (h.job.as_str(), h.attempt, h.due_ms)).collect();
        assert_eq!(follow, [("notice", 9, 1_000), ("question", 5, 1_000 + SPREAD_MS)]);
        assert!(waiting.scout(0).is_none(), "nobody is hurried twice");
    }

    #[test]
    fn nobody_is_hurried_by_who_never_failed_or_by_what_says_nothing() {
        let mut waiting = Waiting::default();
        fails(&mut waiting, Lane::Message, "card", 1);
        let not_yet = Ran::NotYet {
            after_ms: 0,
            reason: String::new(),
        };
        let (done, not_yet) = (Heard::of(&Ran::Done), Heard::of(&not_yet));
        for (id, heard) in [("other", done), ("card", not_yet), ("other", failed(Some(1)))] {
            assert!(waiting.ran(Lane::Message, &claimed(id, 2), heard, 0).is_empty(), "{id}");
        }
        assert!(waiting.scout(0).is_some());
    }

    #[test]
    fn who_was_told_when_to_come_back_goes_neither_ahead_nor_along() {
        let mut waiting = Waiting::default();
        fails(&mut waiting, Lane::Message, "limited", 1);
        waiting.ran(Lane::Message, &claimed("limited", 2), failed(Some(30_000)), 0);
        assert!(waiting.scout(0).is_none());
        waiting.ran(Lane::Mail, &claimed("mail", 1), failed(None), 0);
        assert!(waiting.scout(0).is_none());
    }

    #[test]
    fn each_goes_ahead_in_its_turn() {
        let mut waiting = Waiting::default();
        fails(&mut waiting, Lane::Message, "a", 1);
        fails(&mut waiting, Lane::Message, "b", 1);
        let scouts: Vec<String> = (0..4).filter_map(|_| waiting.scout(7).map(|h| h.job)).collect();
        assert_eq!(scouts, ["a", "b", "a", "b"]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut waiting = Waiting::default();
        for n in 0..WAITING_MAX + 100 {
            fails(&mut waiting, Lane::Message, &n.to_string(), 1);
        }
        assert_eq!(waiting.jobs.len(), WAITING_MAX);
    }
}
