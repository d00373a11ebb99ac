//! The handle tests and the `playground` verb hold: act as a person, look around, make it fail.
//! Everything a page can do goes through the same functions as here.

use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::deliver::{self, Outcome};
use crate::faults::Fault;
use crate::http::Answer;
use crate::journal::{ApiCall, Delivery};
use crate::mailbox::Mail;
use crate::messages::{Ephemeral, Message};
use crate::person::{self, Ack, Action};
use crate::seed::{Channel, Group, User};
use crate::state::{Shared, dm_id};
use crate::views::OpenView;

/// A running playground; dropping it stops it.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What became of one copy of a redelivered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redelivered {
    /// The bot's status; `None` if it didn't answer in time or at all.
    pub status: Option<u16>,
    /// The bot's body.
    pub body: String,
}

/// Calls the Web API over real HTTP, as a bot would.
#[derive(Debug, Clone)]
pub struct ApiClient {
    base_url: String,
    token: String,
}

impl ApiClient {
    /// POSTs a method with JSON arguments.
    pub async fn post(&self, method: &str, args: &Value) -> anyhow::Result<Answer> {
        let url = format!("{}/api/{method}", self.base_url);
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json; charset=utf-8"),
        ];
        crate::http::send("POST", &url, &headers, args.to_string().into_bytes()).await
    }

    /// GETs a method with query arguments.
    pub async fn get(&self, method: &str, args: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(args)
            .finish();
        let url = format!("{}/api/{method}?{query}", self.base_url);
        let bearer = format!("Bearer {}", self.token);
        crate::http::send("GET", &url, &[("authorization", bearer.as_str())], Vec::new()).await
    }

    /// GETs a path of the page or of its control API.
    pub async fn fetch(&self, path: &str) -> anyhow::Result<Answer> {
        crate::http::send("GET", &format!("{}{path}", self.base_url), &[], Vec::new()).await
    }

    /// POSTs JSON to any `http://` address, such as a `response_url`.
    pub async fn post_to(&self, url: &str, body: &Value) -> anyhow::Result<Answer> {
        let headers = [("content-type", "application/json")];
        crate::http::send("POST", url, &headers, body.to_string().into_bytes()).await
    }
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, tasks: Vec<JoinHandle<()>>) -> Self {
        Self { shared, tasks }
    }

    /// Waits until the server ends, which it does only when something is wrong.
    pub async fn wait(mut self) {
        for task in &mut self.tasks {
            let _ = task.await;
        }
    }

    /// Address of the page, such as `http://127.0.0.1:4003`.
    pub fn url(&self) -> &str {
        &self.shared.base_url
    }

    /// What the bot must use instead of `https://slack.com/api`.
    pub fn api_base_url(&self) -> String {
        format!("{}/api", self.shared.base_url)
    }

    /// What the bot must use as `SMTP_URL`, if the playground takes mail.
    pub fn mail_url(&self) -> Option<&str> {
        self.shared.mail_url.as_deref()
    }

    /// A client that calls the Web API with the bot's token.
    pub fn api(&self) -> ApiClient {
        let token = self.shared.state().seed.bot_token.clone();
        ApiClient {
            base_url: self.shared.base_url.clone(),
            token,
        }
    }

    // What people do.

    /// Runs `/release {text}` as a person.
    pub async fn command(&self, user: &str, channel: &str, text: &str) -> Ack {
        self.slash(user, channel, "/release", text).await
    }

    /// Runs any slash command as a person.
    pub async fn slash(&self, user: &str, channel: &str, command: &str, text: &str) -> Ack {
        person::command(&self.shared, user, channel, command, text).await
    }

    /// Clicks in a message. `target` is an action id, `block_id/action_id`, or the button's words.
    pub async fn click(&self, user: &str, channel: &str, ts: &str, target: &str) -> Ack {
        self.choose(user, channel, ts, target, Value::Null).await
    }

    /// Chooses a value in a message's select, picker or overflow menu.
    pub async fn choose(&self, user: &str, channel: &str, ts: &str, target: &str, value: Value) -> Ack {
        let action = Action {
            user: user.into(),
            channel: channel.into(),
            place: ts.into(),
            target: target.into(),
            value,
        };
        person::act_in_message(&self.shared, &action).await
    }

    /// Clicks or changes something inside a modal.
    pub async fn act_in_view(&self, user: &str, view_id: &str, target: &str, value: Value) -> Ack {
        let action = Action {
            user: user.into(),
            channel: String::new(),
            place: view_id.into(),
            target: target.into(),
            value,
        };
        person::act_in_view(&self.shared, &action).await
    }

    /// Fills in and submits a modal.
    ///
    /// `inputs` maps action ids or block ids (or block id, then action id) to plain values: text,
    /// an option's value, a user id, a list of them, a date, or seconds for a date and time.
    pub async fn submit_view(&self, user: &str, view_id: &str, inputs: &Value) -> Ack {
        person::submit(&self.shared, user, view_id, inputs).await
    }

    /// Closes a modal with its close button.
    pub async fn close_view(&self, user: &str, view_id: &str) -> Ack {
        person::close(&self.shared, user, view_id, false).await
    }

    /// Posts a plain message as a person.
    pub fn say(&self, user: &str, channel: &str, text: &str, thread_ts: Option<&str>) -> Result<Message, String> {
        person::say(&self.shared, user, channel, text, thread_ts)
    }

    // What there is to see.

    /// Messages of a channel, oldest first, replies of threads included.
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        let state = self.shared.state();
        state
            .messages
            .iter()
            .filter(|message| message.channel == channel)
            .cloned()
            .collect()
    }

    /// One message.
    pub fn message(&self, channel: &str, ts: &str) -> Option<Message> {
        self.shared.state().message(channel, ts).cloned()
    }

    /// Replies of a thread, oldest first.
    pub fn thread(&self, channel: &str, thread_ts: &str) -> Vec<Message> {
        self.shared
            .state()
            .replies(channel, thread_ts)
            .into_iter()
            .cloned()
            .collect()
    }

    /// Everything shown only to this person, oldest first.
    pub fn ephemerals(&self, user: &str) -> Vec<Ephemeral> {
        self.shared
            .state()
            .ephemerals
            .iter()
            .filter(|message| message.user == user)
            .cloned()
            .collect()
    }

    /// Modals open on this person's screen, the topmost last.
    pub fn views(&self, user: &str) -> Vec<OpenView> {
        self.shared.state().views.get(user).cloned().unwrap_or_default()
    }

    /// The id of the bot's direct message with this person.
    pub fn dm(&self, user: &str) -> String {
        dm_id(user)
    }

    /// Messages in the bot's direct message with this person.
    pub fn dm_messages(&self, user: &str) -> Vec<Message> {
        self.messages(&dm_id(user))
    }

    /// Mails that the bot has sent, oldest first; the newest 50.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.state().mailbox.mails()
    }

    /// Waits for the next change of anything shown; for tests that poll.
    pub async fn changed(&self) {
        let mut changes = self.shared.changes.subscribe();
        let _ = changes.changed().await;
    }

    // What went over the wire.

    /// Every API call so far, `response_url`s as method `respond`.
    pub fn calls(&self) -> Vec<ApiCall> {
        self.shared.state().journal.calls().to_vec()
    }

    /// Every signed request to the bot so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.state().journal.deliveries().to_vec()
    }

    /// Sends the exact bytes of an earlier delivery to these addresses, all at once.
    pub async fn redeliver(&self, delivery_id: u64, urls: &[String]) -> Vec<Redelivered> {
        let outcomes = deliver::redeliver(&self.shared, delivery_id, urls).await;
        outcomes.iter().map(Redelivered::from).collect()
    }

    /// Repeats an earlier click or command as a new one: new signature, trigger and response URL.
    pub async fn repeat(&self, delivery_id: u64) -> Option<Ack> {
        person::repeat_afresh(&self.shared, delivery_id).await
    }

    /// Timestamp (workspace seconds) and signature for a body, to forge or vary requests in tests.
    pub fn sign(&self, body: &[u8]) -> (i64, String) {
        let timestamp_s = self.shared.clock.now_ms() / 1_000;
        (timestamp_s, self.sign_at(body, timestamp_s))
    }

    /// The signature of a body at a given time.
    pub fn sign_at(&self, body: &[u8], timestamp_s: i64) -> String {
        crate::signature(&self.shared.state().seed.signing_secret, timestamp_s, body)
    }

    // What can go wrong, and what can change.

    /// Lets the next `calls` calls of `method` fail; `respond` names response URLs, `*` any method.
    pub fn fault(&self, method: &str, fault: Fault, calls: u32) {
        self.fault_about(method, "", fault, calls);
    }

    /// Lets the next `calls` calls of `method` fail whose arguments, as JSON, hold `about`.
    pub fn fault_about(&self, method: &str, about: &str, fault: Fault, calls: u32) {
        self.shared.state().faults.queue(method, about, fault, calls);
    }

    /// Forgets all faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// Switches Slack off: every call fails like this and nothing is delivered.
    pub fn slack_off(&self, how: Fault) {
        self.shared.state().faults.outage = Some(how);
        self.shared.changed();
    }

    /// Switches Slack on again.
    pub fn slack_on(&self) {
        self.shared.state().faults.outage = None;
        self.shared.changed();
    }

    /// Holds the bot to Slack's rate limits, or not.
    pub fn set_rate_limits(&self, on: bool) {
        self.shared.rate_limits.store(on, std::sync::atomic::Ordering::Relaxed);
    }

    /// Where deliveries go from now on.
    pub fn set_bot_urls(&self, urls: &[String]) {
        self.shared.state().bot_urls = urls.to_vec();
    }

    /// Changes a person, for instance deactivates them.
    pub fn change_user(&self, id: &str, change: impl FnOnce(&mut User)) {
        if let Some(user) = self.shared.state().users.get_mut(id) {
            change(user);
        }
        self.shared.changed();
    }

    /// Adds a person, or replaces them.
    pub fn add_user(&self, user: User) {
        self.shared.state().users.insert(user.id.clone(), user);
        self.shared.changed();
    }

    /// Changes a channel, for instance archives it.
    pub fn change_channel(&self, id: &str, change: impl FnOnce(&mut Channel)) {
        if let Some(channel) = self.shared.state().channels.get_mut(id) {
            change(channel);
        }
        self.shared.changed();
    }

    /// Adds a channel, or replaces it.
    pub fn add_channel(&self, channel: Channel) {
        self.shared.state().channels.insert(channel.id.clone(), channel);
        self.shared.changed();
    }

    /// Changes a user group, for instance its members.
    pub fn change_group(&self, id: &str, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.shared.state().groups.get_mut(id) {
            change(group);
        }
        self.shared.changed();
    }

    // Time.

    /// The workspace's time.
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// Moves the workspace's clock forward.
    pub fn advance(&self, step_ms: u64) -> anyhow::Result<()> {
        self.shared.clock.advance(step_ms)?;
        self.shared.changed();
        Ok(())
    }
}

impl From<&Outcome> for Redelivered {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answered { status, body } => Self {
                status: Some(*status),
                body: body.clone(),
            },
            _ => Self {
                status: None,
                body: String::new(),
            },
        }
    }
}
