//! Slack's rate limits, in real time: one message per second and channel, and a bucket per method.
//! Must not use the movable clock: a test that jumps a day must still be held to a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// What has been called lately.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    posted: HashMap<String, Instant>,
    buckets: HashMap<String, Bucket>,
}

impl RateLimits {
    /// Takes one call of `method` out of its bucket, or says how many seconds to wait.
    pub fn take_call(&mut self, method: &str, now: Instant) -> Result<(), u64> {
        let per_minute = calls_per_minute(method);
        let bucket = self.buckets.entry(method.to_owned()).or_insert(Bucket {
            tokens: per_minute,
            filled: now,
        });
        let refill = now.duration_since(bucket.filled).as_secs_f64() * per_minute / 60.0;
        bucket.tokens = (bucket.tokens + refill).min(per_minute);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            // Slack asks for whole seconds and so does the client's clock.
            let wait = Duration::from_secs_f64((1.0 - bucket.tokens) * 60.0 / per_minute);
            return Err(wait.as_secs() + 1);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Lets one message per second into a channel, or says how many seconds to wait.
    pub fn take_post(&mut self, channel: &str, now: Instant) -> Result<(), u64> {
        if let Some(last) = self.posted.get(channel)
            && now.duration_since(*last) < Duration::from_secs(1)
        {
            return Err(1);
        }
        self.posted.insert(channel.to_owned(), now);
        Ok(())
    }
}

fn calls_per_minute(method: &str) -> f64 {
    match method {
        "auth.test" | "chat.getPermalink" => 600.0,
        "chat.postMessage" => 300.0,
        "usergroups.list" | "usergroups.users.list" | "users.list" | "conversations.list" => 20.0,
        "users.info"
        | "chat.postEphemeral"
        | "views.open"
        | "views.push"
        | "views.update"
        | "conversations.members"
        | "api.test" => 100.0,
        _ => 50.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_per_second_and_channel() {
        let mut limits = RateLimits::default();
        let start = Instant::now();
        assert_eq!(limits.take_post("C1", start), Ok(()));
        assert_eq!(limits.take_post("C1", start + Duration::from_millis(900)), Err(1));
        assert_eq!(limits.take_post("C2", start + Duration::from_millis(900)), Ok(()));
        assert_eq!(limits.take_post("C1", start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_tier_two_method_runs_dry_and_refills() {
        let mut limits = RateLimits::default();
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(limits.take_call("usergroups.users.list", start), Ok(()));
        }
        assert_eq!(limits.take_call("usergroups.users.list", start), Err(4));
        assert_eq!(
            limits.take_call("usergroups.users.list", start + Duration::from_secs(4)),
            Ok(())
        );
    }
}
