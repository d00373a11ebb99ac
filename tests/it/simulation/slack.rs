//! Slack as the bot sees it: channels with messages, people and groups; up, down, or taking a call and never answering.

use super::people::{ROLES, TEAM, group_of};
use super::replica::Control;
use super::world::State;
use countersign::handle::facts::BoxFuture;
use countersign::slack::client::{Carried, EVENT_TYPE, Wire};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub struct Message {
    pub ts: String,
    pub text: String,
    pub blocks: Value,
    pub outbox_id: String,
    pub is_reply: bool,
}

#[derive(Debug, Default)]
pub struct Workspace {
    pub channels: BTreeMap<String, Vec<Message>>,
    /// Down until this true time.
    pub down_until_ms: i64,
    /// Slack's own clock, which no jump of ours moves.
    now_ms: i64,
    posted: u64,
}

impl Workspace {
    pub fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.channels.get(channel)?.iter().find(|message| message.ts == ts)
    }
}

/// One replica's way to Slack.
pub struct Way(pub Arc<Control>);

impl Wire for Way {
    fn carry(&self, method: String, arguments: Value) -> BoxFuture<'_, Carried> {
        Box::pin(async move {
            self.0.pass().await;
            let true_ms = self.0.world.true_ms();
            let carried = self.0.world.lock().answer(&method, &arguments, true_ms);
            self.0.pass().await;
            carried
        })
    }
}

fn refused(error: &str) -> Carried {
    Carried::Answered(200, None, json!({ "ok": false, "error": error }))
}

fn agreed(mut body: Value) -> Carried {
    body["ok"] = json!(true);
    Carried::Answered(200, None, body)
}

impl State {
    fn answer(&mut self, method: &str, arguments: &Value, true_ms: i64) -> Carried {
        self.count("calls to Slack");
        self.slack.now_ms = super::world::BEGIN_MS + true_ms;
        if true_ms < self.slack.down_until_ms {
            self.count("calls to Slack while it was down");
            return match self.luck.below(3) {
                0 => Carried::Unsent,
                1 => Carried::Lost,
                _ => Carried::Answered(503, None, Value::Null),
            };
        }
        let faults = self.troubles.lost_answers;
        if faults && self.luck.chance(8) {
            return match self.luck.below(3) {
                0 => Carried::Unsent,
                1 => Carried::Answered(429, Some(1 + self.luck.next() % 30), Value::Null),
                _ => Carried::Answered(500, None, Value::Null),
            };
        }
        let carried = self.take(method, arguments);
        if faults && self.luck.chance(25) {
            if method == "chat.postMessage" {
                self.count("posts whose answer was lost");
            }
            return Carried::Lost;
        }
        carried
    }

    fn take(&mut self, method: &str, arguments: &Value) -> Carried {
        let word = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
        let (channel, ts) = (word("channel"), word("ts"));
        match method {
            "auth.test" => agreed(json!({ "team_id": TEAM, "user_id": "U0BOT", "bot_id": "B0BOT" })),
            "users.info" => match self.people.get(word("user").as_str()) {
                Some(person) => agreed(json!({ "user": {
                    "id": word("user"), "team_id": TEAM, "deleted": !person.is().active, "is_bot": false,
                    "is_restricted": false, "is_ultra_restricted": false,
                }})),
                None => refused("user_not_found"),
            },
            "usergroups.users.list" => {
                let role = ROLES.into_iter().find(|role| group_of(*role) == word("usergroup"));
                let users: Vec<&str> = self
                    .people
                    .iter()
                    .filter(|(_, person)| role.is_some_and(|role| person.is().roles.contains(&role)))
                    .map(|(user, _)| *user)
                    .collect();
                agreed(json!({ "users": users }))
            }
            "conversations.info" => agreed(json!({ "channel": { "name": "c", "is_member": true } })),
            "conversations.open" => agreed(json!({ "channel": { "id": format!("D{}", word("users")) } })),
            "conversations.history" => {
                let messages = self.slack.channels.get(&channel).cloned().unwrap_or_default();
                let oldest = word("oldest");
                let found: Vec<Value> = messages
                    .iter()
                    .rev()
                    .filter(|message| !message.is_reply && message.ts >= oldest)
                    .map(|message| {
                        json!({ "ts": message.ts, "user": "U0BOT", "bot_id": "B0BOT", "metadata": {
                            "event_type": EVENT_TYPE, "event_payload": { "outbox_id": message.outbox_id } } })
                    })
                    .collect();
                agreed(json!({ "messages": found }))
            }
            "chat.postMessage" => self.post(&channel, arguments),
            "chat.update" => {
                let message = self.slack.channels.get_mut(&channel);
                match message.and_then(|all| all.iter_mut().find(|message| message.ts == ts)) {
                    Some(message) => {
                        message.text = word("text");
                        message.blocks = arguments["blocks"].clone();
                        agreed(json!({}))
                    }
                    None => refused("message_not_found"),
                }
            }
            "chat.delete" => {
                let messages = self.slack.channels.entry(channel).or_default();
                let before = messages.len();
                messages.retain(|message| message.ts != ts);
                if messages.len() < before {
                    agreed(json!({}))
                } else {
                    refused("message_not_found")
                }
            }
            "chat.getPermalink" => match self.slack.message(&channel, &word("message_ts")) {
                Some(_) => agreed(json!({ "permalink": "https://acme.slack.com/x" })),
                None => refused("message_not_found"),
            },
            other => panic!("the simulated Slack doesn't know {other}"),
        }
    }

    fn post(&mut self, channel: &str, arguments: &Value) -> Carried {
        self.slack.posted += 1;
        self.count("messages posted");
        let ts = format!("{}.{:06}", self.slack.now_ms / 1_000, self.slack.posted);
        let message = Message {
            ts: ts.clone(),
            text: arguments["text"].as_str().unwrap_or_default().to_owned(),
            blocks: arguments["blocks"].clone(),
            outbox_id: arguments["metadata"]["event_payload"]["outbox_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            is_reply: arguments.get("thread_ts").is_some(),
        };
        // An accepted call is no proof of a stored message.
        if self.troubles.lost_answers && self.luck.chance(4) {
            self.count("messages that Slack took and lost");
        } else {
            self.slack.channels.entry(channel.to_owned()).or_default().push(message);
        }
        agreed(json!({ "channel": channel, "ts": ts }))
    }
}
