//! Slack's Web API as Countersign uses it: each call with a time limit, a size limit and a pace, and every error
//! turned into a [`Failure`]. Cards and texts are made elsewhere.

mod errors;
mod facts;
mod pacing;
mod read;
pub mod response_url;
mod transport;

pub use facts::{ChannelFacts, Flag, Identity, UserFacts};
#[cfg(feature = "simulation")]
pub use transport::{Carried, Wire};

use crate::failure::Failure;
use crate::outbound;
use errors::Effect;
use pacing::Pacing;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use slack_morphism::{ClientResult, SlackApiToken, SlackApiTokenValue};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use transport::Transport;
use url::Url;

/// The `event_type` of the metadata of every message that Countersign keeps.
pub const EVENT_TYPE: &str = "countersign_message";
const POST: &str = "chat.postMessage";

/// How long and how much. The default is right for Slack; tests are less patient.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one call, from sending to the last byte of the answer.
    pub call: Duration,
    /// Bytes of one answer.
    pub answer_bytes_max: usize,
    /// Between two messages to one channel.
    pub gap: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: outbound::CALL_LIMIT,
            answer_bytes_max: 4 * 1024 * 1024,
            // A little over Slack's second: two requests don't take equally long to get there.
            gap: Duration::from_millis(1_100),
        }
    }
}

/// A message to be posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// Where: `C…`, `G…` or `D…`.
    pub channel: String,
    /// What notifications and screen readers say.
    pub text: String,
    /// Block Kit blocks, an array; null for a message of text alone.
    pub blocks: Value,
    /// The message whose thread it goes to.
    pub thread_ts: Option<String>,
    /// By what it is found again, see `domain::job::MessageId`.
    pub outbox_id: String,
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Posted {
    /// The conversation; for direct messages the `D…` that updates need.
    pub channel: String,
    /// Slack's time stamp, the message's name within the channel.
    pub ts: String,
}

/// The Web API, for one workspace. Cloning is cheap and shares the pace.
#[derive(Clone)]
pub struct SlackClient {
    inner: Arc<Inner>,
}

struct Inner {
    slack: slack_morphism::SlackClient<Transport>,
    token: SlackApiToken,
    http: reqwest::Client,
    api_url: Url,
    limits: Limits,
    pacing: Pacing,
    me: OnceCell<Identity>,
}

impl fmt::Debug for SlackClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackClient")
            .field("api_url", &self.inner.api_url.as_str())
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Nothing {}

impl SlackClient {
    /// A client for `api_url` (`https://slack.com/api`; plain http on this machine only) with the bot's token.
    ///
    /// # Errors
    /// Permanent: the address or the token can't be used, or the system has no root certificates.
    pub fn new(api_url: &str, token: &str) -> Result<Self, Failure> {
        Self::with_limits(api_url, token, Limits::default())
    }

    /// [`SlackClient::new`] with limits of your own.
    ///
    /// # Errors
    /// See there.
    pub fn with_limits(api_url: &str, token: &str, limits: Limits) -> Result<Self, Failure> {
        let url = outbound::endpoint(api_url, "SLACK_API_URL")?;
        if url.query().is_some() {
            return Err(Failure::permanent(
                "SLACK_API_URL can't be used: it must not have a query (?…)",
            ));
        }
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Failure::permanent(
                "SLACK_BOT_TOKEN can't be used: it is empty or holds a space, a line break or a letter outside ASCII",
            ));
        }
        let http = outbound::client(&url, limits.call)?;
        let transport = Transport {
            http: http.clone(),
            api_url: url.as_str().trim_end_matches('/').to_owned(),
            answer_bytes_max: limits.answer_bytes_max,
            #[cfg(feature = "simulation")]
            wire: None,
        };
        Ok(Self::over(transport, url, token, limits, http))
    }

    /// A client whose calls go over the simulation's network.
    ///
    /// # Errors
    /// As [`SlackClient::new`].
    #[cfg(feature = "simulation")]
    pub fn simulated(wire: Arc<dyn Wire>) -> Result<Self, Failure> {
        static NOWHERE: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
        let limits = Limits::default();
        let url = outbound::endpoint("http://127.0.0.1:1/api", "SLACK_API_URL")?;
        let http = match NOWHERE.get() {
            Some(http) => http.clone(),
            None => NOWHERE
                .get_or_init(|| outbound::client(&url, limits.call).unwrap_or_default())
                .clone(),
        };
        let transport = Transport {
            http: http.clone(),
            api_url: url.as_str().trim_end_matches('/').to_owned(),
            answer_bytes_max: limits.answer_bytes_max,
            wire: Some(wire),
        };
        Ok(Self::over(transport, url, "simulated", limits, http))
    }

    fn over(transport: Transport, api_url: Url, token: &str, limits: Limits, http: reqwest::Client) -> Self {
        let inner = Inner {
            slack: slack_morphism::SlackClient::new(transport),
            token: SlackApiToken::new(SlackApiTokenValue(token.to_owned())),
            http,
            api_url,
            limits,
            pacing: Pacing::default(),
            me: OnceCell::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes a channel's next turn for [`SlackClient::post_in_turn`], unless another caller waits for it already: then
    /// it says how many milliseconds to do other things.
    ///
    /// # Errors
    /// The milliseconds.
    pub async fn next_turn(&self, channel: &str) -> Result<(), i64> {
        self.inner.pacing.next_turn(channel, self.inner.limits.gap).await
    }

    /// Between two messages to one channel.
    pub fn gap(&self) -> Duration {
        self.inner.limits.gap
    }

    /// Posts a message (`chat.postMessage`), at most one per second and channel; waits for its turn.
    ///
    /// # Errors
    /// With an unknown outcome the message may stand there: [`SlackClient::find_posted`] before a repeat.
    pub async fn post(&self, post: &Post) -> Result<Posted, Failure> {
        // A paused method must not cost a turn.
        self.inner.pacing.check(POST)?;
        self.inner.pacing.turn(&post.channel, self.inner.limits.gap).await?;
        self.post_in_turn(post).await
    }

    /// Posts a message when the caller has waited for its turn.
    ///
    /// # Errors
    /// As [`SlackClient::post`].
    pub async fn post_in_turn(&self, post: &Post) -> Result<Posted, Failure> {
        let mut body = json!({
            "channel": post.channel, "text": post.text,
            "unfurl_links": false, "unfurl_media": false,
            // String values only: slack-morphism refuses clicks on messages with others.
            "metadata": { "event_type": EVENT_TYPE, "event_payload": { "outbox_id": post.outbox_id } },
        });
        if !post.blocks.is_null() {
            body["blocks"] = post.blocks.clone();
        }
        if let Some(thread_ts) = &post.thread_ts {
            body["thread_ts"] = json!(thread_ts);
        }
        self.send(POST, Effect::Once, &body)
            .await
            .map_err(Refusal::into_failure)
    }

    /// Puts a new text and new blocks in a message (`chat.update`). Both always go: without blocks Slack removes them.
    ///
    /// # Errors
    /// Permanent if the message is gone or can't be changed any more.
    pub async fn update(&self, channel: &str, ts: &str, text: &str, blocks: &Value) -> Result<(), Failure> {
        let body = json!({ "channel": channel, "ts": ts, "text": text, "blocks": blocks });
        let answer = self.send::<Nothing>("chat.update", Effect::Repeatable, &body).await;
        answer.map(|_| ()).map_err(Refusal::into_failure)
    }

    /// Deletes a message of ours (`chat.delete`); one that is gone already is fine.
    ///
    /// # Errors
    /// Permanent if Slack doesn't let us.
    pub async fn delete(&self, channel: &str, ts: &str) -> Result<(), Failure> {
        let body = json!({ "channel": channel, "ts": ts });
        match self.send::<Nothing>("chat.delete", Effect::Repeatable, &body).await {
            Err(refusal) if !refusal.is("message_not_found") => Err(refusal.into_failure()),
            _ => Ok(()),
        }
    }

    /// The direct message conversation `D…` with a member (`conversations.open`).
    ///
    /// # Errors
    /// Permanent if the member can't be written to.
    pub async fn open_dm(&self, user: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Conversation {
            id: String,
        }
        #[derive(Deserialize)]
        struct Answer {
            channel: Conversation,
        }
        let body = json!({ "users": user });
        let answer = self
            .send::<Answer>("conversations.open", Effect::Repeatable, &body)
            .await;
        answer.map(|answer| answer.channel.id).map_err(Refusal::into_failure)
    }

    /// Opens a view (`views.open`), at most once and not after `deadline`: a trigger lives 3 seconds.
    ///
    /// # Errors
    /// Permanent if the trigger is too old; never to be repeated.
    pub async fn open_view(&self, trigger_id: &str, view: &Value, deadline: Instant) -> Result<(), Failure> {
        const METHOD: &str = "views.open";
        let body = json!({ "trigger_id": trigger_id, "view": view });
        let call = self.send::<Nothing>(METHOD, Effect::Once, &body);
        match tokio::time::timeout_at(deadline.into(), call).await {
            Ok(answer) => answer.map(|_| ()).map_err(Refusal::into_failure),
            Err(_) => Err(errors::timed_out(METHOD, Effect::Once)),
        }
    }

    /// Says something to one member in a channel (`chat.postEphemeral`). Slack does not promise that they see it.
    ///
    /// # Errors
    /// Permanent if the member or the bot is not in the channel.
    pub async fn post_ephemeral(&self, channel: &str, user: &str, text: &str, blocks: &Value) -> Result<(), Failure> {
        let body = json!({ "channel": channel, "user": user, "text": text, "blocks": blocks });
        let answer = self.send::<Nothing>("chat.postEphemeral", Effect::Once, &body).await;
        answer.map(|_| ()).map_err(Refusal::into_failure)
    }

    async fn send<T>(&self, method: &'static str, effect: Effect, body: &Value) -> Result<T, Refusal>
    where
        T: DeserializeOwned + Send,
    {
        let session = self.inner.slack.open_session(&self.inner.token);
        self.run(method, effect, session.http_session_api.http_post(method, body, None))
            .await
    }

    /// Makes one call within its time, unless its method is paused, and pauses the method if Slack asks for it.
    async fn run<T>(
        &self,
        method: &'static str,
        effect: Effect,
        call: impl Future<Output = ClientResult<T>>,
    ) -> Result<T, Refusal> {
        self.inner.pacing.check(method).map_err(Refusal::from)?;
        let error = match tokio::time::timeout(self.inner.limits.call, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => return Err(errors::timed_out(method, effect).into()),
        };
        let verdict = errors::judge(method, effect, &error);
        if let Some(secs) = verdict.pause_secs {
            self.inner.pacing.pause(method, secs);
        }
        Err(Refusal {
            failure: verdict.failure,
            error: verdict.error,
        })
    }
}

/// A failure with Slack's own word for it, where it has one.
struct Refusal {
    failure: Failure,
    error: Option<String>,
}

impl Refusal {
    fn is(&self, error: &str) -> bool {
        self.error.as_deref() == Some(error)
    }

    fn into_failure(self) -> Failure {
        self.failure
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, error: None }
    }
}
