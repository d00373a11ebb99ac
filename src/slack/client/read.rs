//! What the client reads from Slack. Reading changes nothing and can be repeated at will.

use super::errors::Effect;
use super::facts::{WireChannel, WireHistory};
use super::{ChannelFacts, Identity, Refusal, SlackClient, UserFacts};
use crate::failure::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use slack_morphism::SlackUserGroupId;
use slack_morphism::api::SlackApiUserGroupsUsersListRequest;

/// Messages on one page of a channel's history; Slack advises at most 200.
const HISTORY_PAGE: &str = "200";

impl SlackClient {
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
}
