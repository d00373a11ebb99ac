//! The bot's front door, as a stranger on the network sees it: raw requests, signed or not, and whether they moved anything.

use crate::support::bot::{PAYMENTS, PRIYA, TestBot};
use crate::support::database::Engine;
use countersign::app::{Part, Setup, start};
use countersign::config::Config;
use countersign::store::JobFilter;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const FORM: &str = "application/x-www-form-urlencoded";
pub const COMMANDS: &str = "/slack/commands";
pub const INTERACTIONS: &str = "/slack/interactions";
pub const EVENTS: &str = "/slack/events";
pub const KEY: &str = "REL-789";

/// One request.
#[derive(Debug, Clone)]
pub struct Knock {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Knock {
    pub fn new(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: body.into(),
        }
        .with("content-type", FORM)
    }

    pub fn with(self, name: &str, value: &str) -> Self {
        self.with_bytes(name, value.as_bytes())
    }

    pub fn with_bytes(mut self, name: &str, value: &[u8]) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub fn signed_with(self, timestamp: &str, signature: &str) -> Self {
        self.with("x-slack-request-timestamp", timestamp)
            .with("x-slack-signature", signature)
    }
}

/// What must not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    entries: u64,
    requests: i64,
    jobs: i64,
    messages: i64,
    texts: i64,
    releases: Vec<(String, u64)>,
}

/// A bot with one planned release, [`KEY`], that waits for its sign-offs.
pub struct Door {
    pub bot: TestBot,
    pub http: reqwest::Client,
}

impl Door {
    pub async fn open(engine: Engine) -> Self {
        Self::opened(TestBot::start(engine).await).await
    }

    /// With another deployment script.
    pub async fn open_with(engine: Engine, script: &str) -> Self {
        let bot = TestBot::start(engine).await;
        bot.write("payments/deploy.sh", script);
        Self::opened(bot).await
    }

    async fn opened(bot: TestBot) -> Self {
        bot.plans(KEY, "v1.4.0").await;
        bot.becomes(KEY, "asking").await;
        let door = Self {
            bot,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        door.quiet().await;
        door
    }

    /// Starts the bot again with one more variable.
    pub async fn boot_with(&mut self, name: &str, value: &str) {
        self.bot.stop().await;
        let text = std::fs::read_to_string(self.bot.folder.path().join("countersign.toml")).unwrap();
        let mut variables = self.bot.variables();
        variables.insert(name.to_owned(), value.to_owned());
        let (config, _) = Config::load(&variables, &text).unwrap_or_else(|problems| panic!("{problems}"));
        let setup = Setup {
            config,
            part: Part::All,
            clock: self.bot.clock.clone(),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_countersign")),
        };
        self.bot.running = Some(start(setup).await.unwrap());
    }

    /// Waits until nothing is left to do now.
    pub async fn quiet(&self) {
        self.bot
            .wait("the queue to be quiet", async || {
                let filter = JobFilter {
                    limit: 1_000,
                    ..JobFilter::default()
                };
                let jobs = self.bot.running().handler.store.jobs(&filter).await.ok()?;
                let soon_ms = self.bot.clock.now_ms() + 1_500;
                let later = |job: &countersign::store::JobRow| job.state == "queued" && job.due_ms > soon_ms;
                jobs.iter().all(later).then_some(())
            })
            .await;
    }

    pub async fn still(&self) -> Still {
        let store = &self.bot.running().handler.store;
        let count = async |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            self.bot.database.number(&sql).await
        };
        let rows = store.list("release/", None, &[], 10_000).await.unwrap();
        Still {
            entries: store.head().await.unwrap().position,
            requests: count("request").await,
            jobs: count("job").await,
            messages: count("message").await,
            texts: count("private_text").await,
            releases: rows.into_iter().map(|row| (row.stream, row.version)).collect(),
        }
    }

    /// Asserts that nothing moved since.
    pub async fn stands(&self, before: &Still) {
        assert_eq!(&self.still().await, before, "something moved");
    }

    /// Asserts that nothing moved since but the saved replies to what was asked.
    pub async fn answers_only(&self, before: &Still) {
        let mut now = self.still().await;
        assert!(now.requests >= before.requests);
        now.requests = before.requests;
        assert_eq!(&now, before, "something moved");
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.bot.running().address)
    }

    /// A request as Slack signs it.
    pub fn signed(&self, path: &str, body: impl Into<Vec<u8>>) -> Knock {
        let knock = Knock::new(path, body);
        let (timestamp, signature) = self.bot.slack.sign(&knock.body);
        knock.signed_with(&timestamp.to_string(), &signature)
    }

    /// The same, signed `ahead_s` from now.
    pub fn signed_ahead(&self, path: &str, body: impl Into<Vec<u8>>, ahead_s: i64) -> Knock {
        let knock = Knock::new(path, body);
        let timestamp = self.bot.slack.now_ms() / 1_000 + ahead_s;
        let signature = self.bot.slack.sign_at(&knock.body, timestamp);
        knock.signed_with(&timestamp.to_string(), &signature)
    }

    pub async fn send(&self, knock: &Knock) -> (u16, String) {
        let request = self.http.request(knock.method.clone(), self.url(&knock.path));
        let request = request.headers(knock.headers.clone()).body(knock.body.clone());
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Sends each and asserts its code, and that all of them together moved nothing.
    pub async fn all_are(&self, code: u16, knocks: &[(&str, Knock)]) {
        let before = self.still().await;
        for (what, knock) in knocks {
            let (status, answer) = self.send(knock).await;
            assert_eq!(status, code, "{what}: {answer}");
            assert!(answer.len() < 200, "{what}: says too much: {answer}");
        }
        self.stands(&before).await;
    }

    /// A click by `user` on the question that the product owner got.
    pub fn click(&self, user: &str) -> Value {
        let dm = self.bot.slack.dm(PRIYA);
        let messages = self.bot.slack.messages(&dm);
        let (message, block, button) = messages
            .iter()
            .rev()
            .find_map(|message| {
                let blocks = message.blocks.iter();
                let mut buttons = blocks.flat_map(|block| {
                    let elements = block["elements"].as_array().into_iter().flatten();
                    elements.map(move |element| (block, element))
                });
                let (block, button) = buttons.find(|(_, element)| element["action_id"] == "approve")?;
                Some((message, block, button))
            })
            .expect("the product owner's question");
        json!({
            "type": "block_actions",
            "user": { "id": user, "username": "x", "name": "x", "team_id": "T0ACME" },
            "team": { "id": "T0ACME", "domain": "acme" },
            "enterprise": null, "is_enterprise_install": false, "api_app_id": "A0COUNTER", "token": "x",
            "trigger_id": "1.2.3",
            "container": { "type": "message", "message_ts": message.ts, "channel_id": dm, "is_ephemeral": false },
            "channel": { "id": dm, "name": "directmessage" },
            "response_url": format!("{}/respond/none", self.bot.slack.url().trim_end_matches('/')),
            "message": { "ts": message.ts, "text": message.text, "blocks": message.blocks },
            "actions": [{
                "type": "button", "action_id": "approve", "block_id": block["block_id"],
                "action_ts": format!("{}.0", self.bot.slack.now_ms()), "value": button["value"],
            }],
        })
    }

    /// The value of the button that [`Door::click`] clicks.
    pub fn value(&self) -> Value {
        let click = self.click(PRIYA);
        serde_json::from_str(click["actions"][0]["value"].as_str().unwrap()).unwrap()
    }

    pub fn command(&self, user: &str, text: &str) -> String {
        let url = format!("{}/respond/none", self.bot.slack.url().trim_end_matches('/'));
        fields(&[
            ("team_id", "T0ACME"),
            ("api_app_id", "A0COUNTER"),
            ("channel_id", PAYMENTS),
            ("user_id", user),
            ("command", "/release"),
            ("text", text),
            ("trigger_id", "1.2.3"),
            ("response_url", &url),
        ])
    }

    /// How many private answers went out so far.
    pub fn answers(&self) -> Vec<String> {
        let calls = self.bot.slack.calls().into_iter();
        let answers = calls.filter(|call| call.method == "respond");
        answers.map(|call| call.args.to_string()).collect()
    }

    /// Sends a signed interaction, asserts 200 and returns the private answer that follows it.
    pub async fn asks(&self, payload: &Value) -> String {
        let before = self.answers().len();
        let (status, answer) = self.send(&self.signed(INTERACTIONS, form(payload))).await;
        assert_eq!((status, answer.as_str()), (200, ""), "{payload}");
        self.bot
            .wait("a private answer", async || self.answers().into_iter().nth(before))
            .await
    }

    pub async fn sign_offs(&self) -> usize {
        self.bot.release(KEY).await.sign_offs.len()
    }

    /// The end of every test: the healthy click still works, and everything is in order.
    pub async fn finish(self) {
        let (status, _) = self.send(&self.signed(INTERACTIONS, form(&self.click(PRIYA)))).await;
        assert_eq!(status, 200);
        assert_eq!(self.sign_offs().await, 1, "the product owner's own click");
        self.bot.finish().await;
    }

    /// A connection of one's own.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.bot.running().address).await.unwrap()
    }

    /// The head of a signed request whose body is sent by hand.
    pub fn head(&self, body: &[u8], framing: &str) -> String {
        let (timestamp, signature) = self.bot.slack.sign(body);
        format!(
            "POST {INTERACTIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM}\r\nx-slack-request-timestamp: {timestamp}\r\n\
             x-slack-signature: {signature}\r\n{framing}\r\n\r\n"
        )
    }
}

/// Writes all that is taken; then the first line that comes back.
pub async fn say(stream: &mut TcpStream, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes).await;
    status_line(stream).await
}

pub async fn status_line(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 512];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

pub fn fields(pairs: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    form.finish()
}

pub fn form(payload: &Value) -> String {
    fields(&[("payload", &payload.to_string())])
}
