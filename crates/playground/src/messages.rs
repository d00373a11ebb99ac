//! Messages of channels, and the ephemeral ones only a single person sees.
//! Stores and renders; must not check rights or limits.

use serde::Serialize;
use serde_json::{Value, json};

use crate::state::State;

/// A message in a channel or direct message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Channel it is in.
    pub channel: String,
    /// Its identity within the channel, and its time.
    pub ts: String,
    /// Author.
    pub user: String,
    /// Posted by the bot.
    pub by_bot: bool,
    /// Text, or the fallback text beside blocks.
    pub text: String,
    /// Blocks with the ids Slack filled in.
    pub blocks: Vec<Value>,
    /// Message metadata as it was posted.
    pub metadata: Option<Value>,
    /// The thread it belongs to; a thread's first message carries its own `ts` once it has replies.
    pub thread_ts: Option<String>,
    /// A reply that is shown in the channel too.
    pub broadcast: bool,
    /// Time of the last edit that shows the mark "(edited)".
    pub edited_ts: Option<String>,
}

impl Message {
    /// True for a reply inside a thread.
    pub fn is_reply(&self) -> bool {
        self.thread_ts.as_ref().is_some_and(|thread| *thread != self.ts)
    }

    /// Everything a person reads: the blocks' texts line by line, or the text if there are no blocks.
    pub fn visible_text(&self) -> String {
        visible_text(&self.text, &self.blocks)
    }
}

/// A message only one person sees, and only until the page is loaded anew in real Slack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ephemeral {
    /// Channel it shows up in.
    pub channel: String,
    /// Identity within the channel.
    pub ts: String,
    /// The person who sees it.
    pub user: String,
    /// True if Slack itself says it and not the bot.
    pub from_slack: bool,
    /// Text.
    pub text: String,
    /// Blocks.
    pub blocks: Vec<Value>,
    /// Thread it shows up in.
    pub thread_ts: Option<String>,
}

impl Ephemeral {
    /// Everything the person reads.
    pub fn visible_text(&self) -> String {
        visible_text(&self.text, &self.blocks)
    }
}

/// The texts of blocks, line by line; `text` if there are none.
pub(crate) fn visible_text(text: &str, blocks: &[Value]) -> String {
    if blocks.is_empty() {
        return text.to_owned();
    }
    let mut lines = Vec::new();
    for block in blocks {
        collect_texts(block, &mut lines);
    }
    lines.join("\n")
}

fn collect_texts(value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let kind = object.get("type").and_then(Value::as_str);
            if let (Some("plain_text" | "mrkdwn" | "markdown"), Some(text)) =
                (kind, object.get("text").and_then(Value::as_str))
            {
                return lines.push(text.to_owned());
            }
            // A dialog is not on the screen until its button is pressed.
            let shown = object.iter().filter(|(key, _)| *key != "confirm");
            shown.for_each(|(_, inner)| collect_texts(inner, lines));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, lines)),
        _ => {}
    }
}

/// What a new message consists of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub text: String,
    pub blocks: Vec<Value>,
    pub metadata: Option<Value>,
    pub thread_ts: Option<String>,
    pub broadcast: bool,
}

impl State {
    /// Stores a message and returns its `ts`.
    pub fn post(&mut self, channel: &str, user: &str, ts: String, mut draft: Draft) -> Message {
        crate::choices::fill_in_ids(&mut draft.blocks);
        if let Some(parent) = draft
            .thread_ts
            .as_deref()
            .and_then(|thread| self.message_mut(channel, thread))
        {
            parent.thread_ts = Some(parent.ts.clone());
        }
        let message = Message {
            channel: channel.to_owned(),
            ts,
            user: user.to_owned(),
            by_bot: user == self.seed.bot_user_id,
            text: draft.text,
            blocks: draft.blocks,
            metadata: draft.metadata,
            thread_ts: draft.thread_ts,
            broadcast: draft.broadcast,
            edited_ts: None,
        };
        self.messages.push(message.clone());
        message
    }

    /// Stores an ephemeral message and returns its `ts`.
    pub fn whisper(&mut self, channel: &str, user: &str, ts: String, mut draft: Draft) -> String {
        crate::choices::fill_in_ids(&mut draft.blocks);
        self.ephemerals.push(Ephemeral {
            channel: channel.to_owned(),
            ts: ts.clone(),
            user: user.to_owned(),
            from_slack: false,
            text: draft.text,
            blocks: draft.blocks,
            thread_ts: draft.thread_ts,
        });
        ts
    }

    /// Slack itself tells a person something.
    pub fn slack_says(&mut self, channel: &str, user: &str, ts: String, text: String) {
        self.whisper(
            channel,
            user,
            ts,
            Draft {
                text,
                ..Draft::default()
            },
        );
        if let Some(said) = self.ephemerals.last_mut() {
            said.from_slack = true;
        }
    }

    pub fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages
            .iter()
            .find(|message| message.channel == channel && message.ts == ts)
    }

    pub fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.messages
            .iter_mut()
            .find(|message| message.channel == channel && message.ts == ts)
    }

    pub fn ephemeral_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Ephemeral> {
        self.ephemerals
            .iter_mut()
            .find(|message| message.channel == channel && message.ts == ts)
    }

    pub fn ephemeral(&self, channel: &str, ts: &str) -> Option<&Ephemeral> {
        self.ephemerals
            .iter()
            .find(|message| message.channel == channel && message.ts == ts)
    }

    /// Replies of a thread, oldest first, without its first message.
    pub fn replies(&self, channel: &str, thread_ts: &str) -> Vec<&Message> {
        let in_thread = |message: &&Message| {
            message.channel == channel && message.is_reply() && message.thread_ts.as_deref() == Some(thread_ts)
        };
        self.messages.iter().filter(in_thread).collect()
    }

    /// The `message` object of answers, histories and payloads.
    pub fn message_json(&self, message: &Message, with_metadata: bool) -> Value {
        let mut json = json!({
            "type": "message", "user": message.user, "ts": message.ts,
            "text": message.text, "team": self.seed.team_id,
        });
        if message.by_bot {
            json["bot_id"] = json!(self.seed.bot_id);
            json["app_id"] = json!(self.seed.app_id);
            json["bot_profile"] = self.bot_profile();
        }
        if !message.blocks.is_empty() {
            json["blocks"] = json!(message.blocks);
        }
        if let Some(metadata) = message.metadata.as_ref().filter(|_| with_metadata) {
            json["metadata"] = metadata.clone();
        }
        if let Some(edited) = &message.edited_ts {
            json["edited"] = json!({"user": message.user, "ts": edited});
        }
        if let Some(thread_ts) = &message.thread_ts {
            json["thread_ts"] = json!(thread_ts);
            if message.is_reply() {
                json["parent_user_id"] = json!(
                    self.message(&message.channel, thread_ts)
                        .map(|parent| parent.user.clone())
                );
            } else {
                self.add_thread_counts(message, &mut json);
            }
        }
        json
    }

    fn add_thread_counts(&self, message: &Message, json: &mut Value) {
        let replies = self.replies(&message.channel, &message.ts);
        let mut authors: Vec<&str> = replies.iter().map(|reply| reply.user.as_str()).collect();
        authors.sort_unstable();
        authors.dedup();
        json["reply_count"] = json!(replies.len());
        json["reply_users_count"] = json!(authors.len());
        json["reply_users"] = json!(authors);
        json["latest_reply"] = json!(replies.last().map(|reply| &reply.ts));
        json["is_locked"] = json!(false);
        json["subscribed"] = json!(false);
    }

    /// The `bot_profile` object beside the bot's messages.
    pub fn bot_profile(&self) -> Value {
        json!({
            "id": self.seed.bot_id, "app_id": self.seed.app_id, "user_id": self.seed.bot_user_id,
            "name": self.seed.bot_name, "deleted": false, "updated": 1_700_000_000,
            "team_id": self.seed.team_id, "icons": {"image_36": "", "image_48": "", "image_72": ""},
        })
    }
}
