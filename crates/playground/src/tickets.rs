//! The short-lived permissions Slack hands out with each payload: trigger ids and response URLs.
//! Trigger ids age in real time (three seconds); response URLs age by the workspace's clock.

use std::time::{Duration, Instant};

use crate::signing::random_id;
use crate::state::State;

const TRIGGER_LIFE: Duration = Duration::from_secs(3);
const RESPONSE_URL_LIFE_MS: i64 = 30 * 60 * 1_000;
const RESPONSE_URL_USES: u32 = 5;

/// Permission to open one view within three seconds.
#[derive(Debug)]
pub(crate) struct Trigger {
    user: String,
    issued: Instant,
    exchanged: bool,
}

/// The message a response URL may replace or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Original {
    Message(String),
    Ephemeral(String),
}

/// Permission to answer five times within thirty minutes.
#[derive(Debug, Clone)]
pub(crate) struct ResponseUrl {
    pub user: String,
    pub channel: String,
    pub thread_ts: Option<String>,
    pub original: Option<Original>,
    issued_ms: i64,
    uses: u32,
}

impl State {
    pub fn issue_trigger(&mut self, user: &str) -> String {
        let id = format!(
            "{}.{}.{:032x}",
            1_000_000_000_000_u64 + u64::from(rand::random::<u32>()),
            rand::random::<u32>(),
            rand::random::<u128>()
        );
        // Only the young ones can still be of use; a few old ones are kept to name their error.
        self.triggers
            .retain(|_, trigger| trigger.issued.elapsed() < TRIGGER_LIFE * 200);
        let trigger = Trigger {
            user: user.to_owned(),
            issued: Instant::now(),
            exchanged: false,
        };
        self.triggers.insert(id.clone(), trigger);
        id
    }

    /// Uses a trigger id up and returns the person it belongs to, or Slack's error.
    pub fn exchange_trigger(&mut self, id: &str) -> Result<String, &'static str> {
        let trigger = self.triggers.get_mut(id).ok_or("invalid_trigger_id")?;
        if trigger.exchanged {
            return Err("exchanged_trigger_id");
        }
        if trigger.issued.elapsed() > TRIGGER_LIFE {
            return Err("expired_trigger_id");
        }
        trigger.exchanged = true;
        Ok(trigger.user.clone())
    }

    /// A new trigger for the person of an old one.
    pub fn renew_trigger(&mut self, old: &str) -> String {
        let user = self
            .triggers
            .get(old)
            .map(|trigger| trigger.user.clone())
            .unwrap_or_default();
        self.issue_trigger(&user)
    }

    /// A new response URL with the rights of an old one.
    pub fn renew_response_url(&mut self, old: &str, now_ms: i64) -> String {
        let id = random_id("", 24);
        if let Some(permission) = self.response_urls.get(old).cloned() {
            let renewed = ResponseUrl {
                issued_ms: now_ms,
                uses: 0,
                ..permission
            };
            self.response_urls.insert(id.clone(), renewed);
        }
        id
    }

    /// Returns the id of a new response URL.
    pub fn issue_response_url(
        &mut self,
        user: &str,
        channel: &str,
        original: Option<Original>,
        thread_ts: Option<String>,
        now_ms: i64,
    ) -> String {
        let id = random_id("", 24);
        let permission = ResponseUrl {
            user: user.to_owned(),
            channel: channel.to_owned(),
            thread_ts,
            original,
            issued_ms: now_ms,
            uses: 0,
        };
        self.response_urls.insert(id.clone(), permission);
        id
    }

    /// Counts one use, or returns Slack's error.
    pub fn use_response_url(&mut self, id: &str, now_ms: i64) -> Result<ResponseUrl, &'static str> {
        let permission = self.response_urls.get_mut(id).ok_or("invalid_url")?;
        if now_ms - permission.issued_ms > RESPONSE_URL_LIFE_MS {
            return Err("expired_url");
        }
        if permission.uses >= RESPONSE_URL_USES {
            return Err("used_url");
        }
        permission.uses += 1;
        Ok(permission.clone())
    }

    /// Remembers what the first answer through this URL created, so that later ones may replace it.
    pub fn set_original(&mut self, response_url: &str, original: Original) {
        if let Some(permission) = self.response_urls.get_mut(response_url)
            && permission.original.is_none()
        {
            permission.original = Some(original);
        }
    }
}
