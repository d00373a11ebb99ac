//! How often this process may call: one message per second and channel, and no call of a method that Slack has asked us to
//! leave alone (docs.slack.dev/apis/web-api/rate-limits).

use crate::failure::Failure;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Channels that are remembered at once; one is forgotten when its second is over.
const CHANNELS_MAX: usize = 1_000;
/// The longest queue that a caller waits in; beyond it the job comes back later.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Turns of channels and pauses of methods.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// When the next message may go to a channel.
    next: Mutex<HashMap<String, Instant>>,
    /// Until when a method is to be left alone.
    paused: Mutex<HashMap<&'static str, Instant>>,
}

impl Pacing {
    /// Waits until a message may go to `channel`, at most one per `gap`.
    pub(super) async fn turn(&self, channel: &str, gap: Duration) -> Result<(), Failure> {
        let at = self.reserve(channel, gap, Instant::now())?;
        tokio::time::sleep_until(at).await;
        Ok(())
    }

    /// Waits for the next turn if nobody else does; else says how many milliseconds to stay away.
    pub(super) async fn next_turn(&self, channel: &str, gap: Duration) -> Result<(), i64> {
        let now = Instant::now();
        let free = lock(&self.next).get(channel).copied().unwrap_or(now);
        let wait = free.saturating_duration_since(now);
        if wait > gap {
            return Err(wait_ms(wait.saturating_sub(gap)));
        }
        let at = self.reserve(channel, gap, now).map_err(|_| wait_ms(gap))?;
        tokio::time::sleep_until(at).await;
        Ok(())
    }

    fn reserve(&self, channel: &str, gap: Duration, now: Instant) -> Result<Instant, Failure> {
        let mut next = lock(&self.next);
        let at = next.get(channel).copied().unwrap_or(now).max(now);
        let wait = at - now;
        if wait > WAIT_MAX {
            return Err(Failure::limited(
                "too many messages wait for this channel",
                wait_ms(wait),
            ));
        }
        if next.len() >= CHANNELS_MAX && !next.contains_key(channel) {
            next.retain(|_, at| *at > now);
            if next.len() >= CHANNELS_MAX {
                return Err(Failure::limited(
                    "too many channels are written to at once",
                    wait_ms(gap),
                ));
            }
        }
        next.insert(channel.to_owned(), at + gap);
        Ok(at)
    }

    /// Refuses a call of `method` while it is paused.
    pub(super) fn check(&self, method: &'static str) -> Result<(), Failure> {
        let mut paused = lock(&self.paused);
        let now = Instant::now();
        match paused.get(method) {
            Some(until) if *until > now => {
                let message = format!("Slack asked us to leave {method} alone for a while");
                Err(Failure::limited(message, wait_ms(*until - now)))
            }
            Some(_) => {
                paused.remove(method);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Leaves `method` alone for `secs`; a longer pause that runs already stays.
    pub(super) fn pause(&self, method: &'static str, secs: u64) {
        let until = Instant::now() + Duration::from_secs(secs.min(3_600));
        let mut paused = lock(&self.paused);
        let current = paused.entry(method).or_insert(until);
        *current = (*current).max(until);
    }
}

/// Both maps are whole after every step, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rounded up, so that whoever waits that long is not early.
fn wait_ms(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(1);

    #[test]
    fn each_channel_has_its_own_queue_of_one_message_per_second() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        let turns: Vec<u64> = (0..3)
            .map(|_| (pacing.reserve("C1", GAP, now).unwrap() - now).as_secs())
            .collect();
        assert_eq!(turns, [0, 1, 2]);
        assert_eq!(pacing.reserve("C2", GAP, now).unwrap(), now);
        assert_eq!(pacing.reserve("C1", GAP, now + 9 * GAP).unwrap(), now + 9 * GAP);
    }

    #[test]
    fn queues_and_the_number_of_channels_are_bounded() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        let refused = (0..100).filter(|_| pacing.reserve("C1", GAP, now).is_err()).count();
        assert_eq!(refused, 100 - 21);
        for n in 0..5_000 {
            let _ = pacing.reserve(&format!("D{n}"), GAP, now);
        }
        assert!(lock(&pacing.next).len() <= CHANNELS_MAX);
        assert!(
            pacing.reserve("C9", GAP, now + 60 * GAP).is_ok(),
            "old turns are forgotten"
        );
    }
}
