//! Slack's Web API as Countersign uses it: each call with a time limit, a size limit and a pace, and every error
//! turned into a [`Failure`]. Cards and texts are made elsewhere.

mod errors;
mod facts;
mod pacing;
pub mod response_url;
mod transport;

pub use facts::{ChannelFacts, Flag, Identity, UserFacts};

use crate::failure::Failure;
use crate::outbound;
use errors::Effect;
use facts::{WireChannel, WireHistory};
use pacing::Pacing;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use slack_morphism::api::SlackApiUserGroupsUsersListRequest;
use slack_morphism::{ClientResult, SlackApiToken, SlackApiTokenValue, SlackUserGroupId};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use transport::Transport;
use url::Url;

/// The `event_type` of the metadata of every message that Countersign keeps.
pub const EVENT_TYPE: &str = "countersign_message";
/// Messages on one page of a channel's history; Slack advises at most 200.
const HISTORY_PAGE: &str = "200";

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
            gap: Duration::from_secs(1),
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
    /// Block Kit blocks, an array.
    pub blocks: Value,
    /// The message whose thread it goes to.
    pub thread_ts: Option<String>,
    /// By what it is found again, see `domain::effects::MessageId`.
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
    /// Permanent: the address can't be used, or the system has no root certificates.
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
        let http = outbound::client(&url, limits.call)?;
        let transport = Transport {
            http: http.clone(),
            api_url: url.as_str().trim_end_matches('/').to_owned(),
            answer_bytes_max: limits.answer_bytes_max,
        };
        let inner = Inner {
            slack: slack_morphism::SlackClient::new(transport),
            token: SlackApiToken::new(SlackApiTokenValue(token.to_owned())),
            http,
            api_url: url,
            limits,
            pacing: Pacing::default(),
            me: OnceCell::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Who the token is (`auth.test`); always asks.
    ///
    /// # Errors
    /// Permanent if the token is refused.
    pub async fn auth_test(&self) -> Result<Identity, Failure> {
        self.get("auth.test", &[]).await.map_err(Refusal::into_failure)
    }

    /// Who we are, asked once.
    async fn me(&self) -> Result<&Identity, Failure> {
        self.inner.me.get_or_try_init(|| self.auth_test()).await
    }

    /// Posts a message (`chat.postMessage`), at most one per second and channel; waits for its turn.
    ///
    /// # Errors
    /// With an unknown outcome the message may stand there: [`SlackClient::find_posted`] before a repeat.
    pub async fn post(&self, post: &Post) -> Result<Posted, Failure> {
        const METHOD: &str = "chat.postMessage";
        // A paused method must not cost a turn.
        self.inner.pacing.check(METHOD)?;
        self.inner.pacing.turn(&post.channel, self.inner.limits.gap).await?;
        let mut body = json!({
            "channel": post.channel, "text": post.text, "blocks": post.blocks,
            "unfurl_links": false, "unfurl_media": false,
            // String values only: slack-morphism refuses clicks on messages with others.
            "metadata": { "event_type": EVENT_TYPE, "event_payload": { "outbox_id": post.outbox_id } },
        });
        if let Some(thread_ts) = &post.thread_ts {
            body["thread_ts"] = json!(thread_ts);
        }
        self.send(METHOD, Effect::Once, &body)
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

    /// The link of a message (`chat.getPermalink`), none if it does not stand there: the proof that a post was stored.
    ///
    /// # Errors
    /// Whether it stands there is not known then.
    pub async fn permalink(&self, channel: &str, ts: &str) -> Result<Option<String>, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            permalink: String,
        }
        match self
            .get::<Answer>("chat.getPermalink", &[("channel", channel), ("message_ts", ts)])
            .await
        {
            Ok(answer) => Ok(Some(answer.permalink)),
            Err(refusal) if refusal.is("message_not_found") => Ok(None),
            Err(refusal) => Err(refusal.into_failure()),
        }
    }

    /// Looks for our message with this outbox id among the channel's messages since `oldest_ts` (seconds since 1970),
    /// replies excepted, on at most `pages_max` pages of 200; the oldest if there are several. None means "not among
    /// those that were read". Needs the scope `channels:history`, for a private channel `groups:history`.
    ///
    /// # Errors
    /// It could not be looked for.
    pub async fn find_posted(
        &self,
        channel: &str,
        outbox_id: &str,
        oldest_ts: &str,
        pages_max: usize,
    ) -> Result<Option<String>, Failure> {
        let me = self.me().await?;
        let mut cursor: Option<String> = None;
        let mut found = None;
        for _ in 0..pages_max {
            let mut query = vec![
                ("channel", channel),
                ("oldest", oldest_ts),
                ("inclusive", "true"),
                ("include_all_metadata", "true"),
                ("limit", HISTORY_PAGE),
            ];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: WireHistory = self
                .get("conversations.history", &query)
                .await
                .map_err(Refusal::into_failure)?;
            // Pages and their messages run from new to old.
            let mut ours = page
                .messages
                .iter()
                .filter_map(|message| message.ts_if_ours(me, outbox_id));
            found = ours.next_back().map(str::to_owned).or(found);
            cursor = page.next_cursor();
            if cursor.is_none() {
                break;
            }
        }
        Ok(found)
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

    /// What Slack says of a member (`users.info`), none if it doesn't know or show them.
    ///
    /// # Errors
    /// Nothing is known of them then.
    pub async fn user(&self, id: &str) -> Result<Option<UserFacts>, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            user: Value,
        }
        match self.get::<Answer>("users.info", &[("user", id)]).await {
            Ok(answer) => Ok(UserFacts::read(&answer.user)),
            Err(refusal) if refusal.is("user_not_found") || refusal.is("user_not_visible") => Ok(None),
            Err(refusal) => Err(refusal.into_failure()),
        }
    }

    /// The members of a user group `S…` (`usergroups.users.list`); a disabled group is an error, not an empty list.
    ///
    /// # Errors
    /// Nothing is known of the group then.
    pub async fn group_members(&self, group: &str) -> Result<Vec<String>, Failure> {
        let request = SlackApiUserGroupsUsersListRequest::new(SlackUserGroupId(group.to_owned()));
        let session = self.inner.slack.open_session(&self.inner.token);
        let call = session.usergroups_users_list(&request);
        let answer = self.run("usergroups.users.list", Effect::Repeatable, call).await;
        let users = answer.map_err(Refusal::into_failure)?.users;
        Ok(users.into_iter().map(|user| user.0).collect())
    }

    /// What Slack says of a channel (`conversations.info`).
    ///
    /// # Errors
    /// Permanent with `channel_not_found` also for a private channel that the bot is not in.
    pub async fn channel(&self, id: &str) -> Result<ChannelFacts, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            channel: WireChannel,
        }
        let answer = self.get::<Answer>("conversations.info", &[("channel", id)]).await;
        answer
            .map(|answer| answer.channel.into())
            .map_err(Refusal::into_failure)
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

    async fn get<T>(&self, method: &'static str, query: &[(&str, &str)]) -> Result<T, Refusal>
    where
        T: DeserializeOwned + Send,
    {
        let query: Vec<(&str, Option<&str>)> = query.iter().map(|(name, value)| (*name, Some(*value))).collect();
        let session = self.inner.slack.open_session(&self.inner.token);
        self.run(
            method,
            Effect::Repeatable,
            session.http_session_api.http_get(method, &query, None),
        )
        .await
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
