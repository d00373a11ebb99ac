//! Small structs for what we read from Slack: slack-morphism's models lack these fields or refuse real payloads.

use serde::Deserialize;
use serde_json::Value;

/// Who the bot is, by `auth.test`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The workspace, `T…`.
    pub team_id: String,
    /// The bot as a member, `U…`.
    pub user_id: String,
    /// The bot as a sender, `B…`; missing for a token that is no bot's.
    pub bot_id: Option<String>,
    /// The app, `A…`, where Slack says so.
    pub app_id: Option<String>,
}

/// One of Slack's yes-or-no flags as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// `true`.
    Yes,
    /// `false`.
    No,
    /// Not there.
    Absent,
    /// There, and neither `true` nor `false`.
    Odd,
}

impl Flag {
    fn of(user: &Value, name: &str) -> Self {
        match user.get(name) {
            None => Self::Absent,
            Some(Value::Bool(true)) => Self::Yes,
            Some(Value::Bool(false)) => Self::No,
            Some(_) => Self::Odd,
        }
    }
}

/// What `users.info` says of a member, as far as it decides whether they may act. No names, no e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// `U…` or `W…`.
    pub id: String,
    /// Their workspace, `T…`, on Enterprise Grid also the organisation, `E…`.
    pub team_id: Option<String>,
    /// The workspaces of the organisation they are in (`enterprise_user.teams`).
    pub enterprise_teams: Vec<String>,
    /// Deactivated.
    pub deleted: Flag,
    /// A bot user; Slackbot is one without this flag.
    pub is_bot: Flag,
    /// See Slack's user object.
    pub is_app_user: Flag,
    /// Posts for a workflow.
    pub is_workflow_bot: Flag,
    /// Posts for a connector.
    pub is_connector_bot: Flag,
    /// A guest of several channels, or of one.
    pub is_restricted: Flag,
    /// A guest of one channel.
    pub is_ultra_restricted: Flag,
    /// From elsewhere, not in any channel with us.
    pub is_stranger: Flag,
    /// Invited, not yet here.
    pub is_invited_user: Flag,
}

impl UserFacts {
    /// Reads Slack's user object; none if it has no id.
    pub fn read(user: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let teams = user.pointer("/enterprise_user/teams").and_then(Value::as_array);
        Some(Self {
            id: text(user.get("id")?)?,
            team_id: user.get("team_id").and_then(text),
            enterprise_teams: teams.into_iter().flatten().filter_map(text).collect(),
            deleted: Flag::of(user, "deleted"),
            is_bot: Flag::of(user, "is_bot"),
            is_app_user: Flag::of(user, "is_app_user"),
            is_workflow_bot: Flag::of(user, "is_workflow_bot"),
            is_connector_bot: Flag::of(user, "is_connector_bot"),
            is_restricted: Flag::of(user, "is_restricted"),
            is_ultra_restricted: Flag::of(user, "is_ultra_restricted"),
            is_stranger: Flag::of(user, "is_stranger"),
            is_invited_user: Flag::of(user, "is_invited_user"),
        })
    }
}

/// What `conversations.info` says of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // They are Slack's flags, one by one.
pub struct ChannelFacts {
    /// Its name without `#`; a label, never an authority. Empty for direct messages.
    pub name: String,
    /// Whether the bot is in it.
    pub is_member: bool,
    /// Whether it is closed for good.
    pub is_archived: bool,
    /// Whether it is by invitation.
    pub is_private: bool,
    /// Whether people of other organisations are in it, or are about to be: no buttons there.
    pub shared_with_outsiders: bool,
}

/// Slack's own channel object; flags that don't concern a kind of conversation are absent from it.
#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct WireChannel {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    is_member: bool,
    #[serde(default)]
    is_archived: bool,
    #[serde(default)]
    is_private: bool,
    #[serde(default)]
    is_im: bool,
    #[serde(default)]
    is_shared: bool,
    #[serde(default)]
    is_org_shared: bool,
    #[serde(default)]
    is_ext_shared: bool,
    #[serde(default)]
    is_pending_ext_shared: bool,
}

impl From<WireChannel> for ChannelFacts {
    fn from(wire: WireChannel) -> Self {
        let shared_outside = wire.is_shared && !wire.is_org_shared;
        Self {
            name: wire.name.unwrap_or_default(),
            // A direct message that Slack shows to the bot is one of its own.
            is_member: wire.is_member || wire.is_im,
            is_archived: wire.is_archived,
            is_private: wire.is_private || wire.is_im,
            shared_with_outsiders: wire.is_ext_shared || wire.is_pending_ext_shared || shared_outside,
        }
    }
}

/// A message in a channel's history, as far as finding our own goes.
#[derive(Deserialize)]
pub(super) struct WireMessage {
    ts: String,
    user: Option<String>,
    bot_id: Option<String>,
    metadata: Option<Value>,
}

/// One page of `conversations.history`.
#[derive(Deserialize)]
pub(super) struct WireHistory {
    pub(super) messages: Vec<WireMessage>,
    response_metadata: Option<Value>,
}

impl WireHistory {
    /// The cursor of the next, older page.
    pub(super) fn next_cursor(&self) -> Option<String> {
        let cursor = self.response_metadata.as_ref()?.get("next_cursor")?.as_str()?;
        (!cursor.is_empty()).then(|| cursor.to_owned())
    }
}

impl WireMessage {
    /// Its time stamp, if `me` posted it with this outbox id. Metadata can be written by any app: the sender counts too.
    pub(super) fn ts_if_ours(&self, me: &Identity, outbox_id: &str) -> Option<&str> {
        let ours = self.user.as_deref() == Some(&me.user_id) || (self.bot_id.is_some() && self.bot_id == me.bot_id);
        let metadata = self.metadata.as_ref()?;
        let matches = metadata.get("event_type").and_then(Value::as_str) == Some(super::EVENT_TYPE)
            && metadata.pointer("/event_payload/outbox_id").and_then(Value::as_str) == Some(outbox_id);
        (ours && matches).then_some(&self.ts)
    }
}
