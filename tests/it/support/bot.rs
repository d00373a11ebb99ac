//! The whole bot in one process: real database, real HTTP, the playground as Slack, real scripts and Git. Every test ends by
//! [`TestBot::finish`]: the queue is done, nothing is dead, the chain verifies and every state row is what the log says.

use super::database::{Database, Engine};
use super::process::{has_action, posted};
use countersign::app::{Part, Running, Setup, start};
use countersign::clock::Clock;
use countersign::config::{Config, Variables};
use countersign::deploy::tree::living_of;
use countersign::store::{JobFilter, JobRow};
use domain::ids::ReleaseKey;
use domain::log_entry::Verifier;
use domain::release::Release;
use playground::{Ack, Handle, Message, Options, Workspace};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const RITA: &str = "U0RITA";
pub const PRIYA: &str = "U0PRIYA";
pub const QUINN: &str = "U0QUINN";
pub const THEO: &str = "U0THEO";
pub const TINA: &str = "U0TINA";
pub const CLEO: &str = "U0CLEO";
pub const VERA: &str = "U0VERA";
pub const DEV: &str = "U0DEV";
pub const MIA: &str = "U0MIA";
pub const GUS: &str = "U0GUS";
pub const PAYMENTS: &str = "C0PAYMENTS";
pub const RELEASES: &str = "C0RELEASES";

/// What the answer says when Slack did not tell in time who somebody is.
pub const TOO_SLOW: &str = "Slack did not say in time";
/// How long anything may take to show; far more than it needs, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct TestBot {
    pub slack: Handle,
    pub folder: TempDir,
    pub database: Database,
    pub running: Option<Running>,
    pub clock: Clock,
    /// What is set for it besides [`TestBot::variables`], from the next boot on.
    pub environment: Vec<(String, String)>,
    /// What supervises its deployments, from the next boot on.
    pub binary: PathBuf,
    follower: tokio::task::JoinHandle<()>,
}

const SAMPLE_SCRIPT: &str = r#"echo "deploying $COUNTERSIGN_VERSION at $COUNTERSIGN_COMMIT"
if [ -e slow ]; then sleep "$(cat slow)"; fi
if [ -e fail ]; then echo boom >&2; exit 3; fi
echo live"#;

/// A deployment script that says that it was started, and then does this.
pub fn sample_script(body: &str) -> String {
    // Appends with one write, so that a second start could not hide.
    let start = r#"printf '%s\n' "$COUNTERSIGN_ATTEMPT $COUNTERSIGN_FENCE $*" >> starts"#;
    format!("#!/bin/sh\nset -eu\n{start}\n{body}\n")
}

/// Writes the services' repositories and scripts and the configuration; returns the configuration's text.
pub fn sample(folder: &Path) -> String {
    let mut config = [include_str!("countersign.toml"), super::SIGNATURES_ONLY].join("\n");
    for name in ["payments", "ledger"] {
        let home = folder.join(name);
        fs::create_dir_all(home.join("repository")).unwrap();
        let script = home.join("deploy.sh");
        fs::write(&script, sample_script(SAMPLE_SCRIPT)).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        git(&home, &["init", "--quiet", "--initial-branch=main"]);
        for tag in ["v1.3.9", "v1.4.0", "v1.4.1"] {
            tag_commit(&home, tag);
        }
    }
    config = config.replace("FOLDER", folder.to_str().unwrap());
    config
}

/// A commit of its own, and an annotated tag on it.
pub fn tag_commit(home: &Path, tag: &str) {
    git(
        home,
        &["commit", "--quiet", "--allow-empty", "-m", &format!("PAY-101: {tag}")],
    );
    git(home, &["tag", "-f", "-a", "-m", tag, tag]);
}

fn git(home: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .current_dir(home.join("repository"))
        .args([
            "-c",
            "user.name=Mia",
            "-c",
            "user.email=mia@acme.test",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&status.stderr)
    );
}

impl TestBot {
    pub async fn start(engine: Engine) -> Self {
        Self::with(engine, |config| config).await
    }

    /// `change` has the last word on the configuration's text.
    pub async fn with(engine: Engine, change: impl FnOnce(String) -> String) -> Self {
        countersign::tls::install();
        let folder = tempfile::tempdir().unwrap();
        let text = change(sample(folder.path()));
        fs::write(folder.path().join("countersign.toml"), text).unwrap();
        let clock_file = folder.path().join("clock");
        let slack = playground::start(Options {
            rate_limits: false,
            clock_file: Some(clock_file.clone()),
            ..Options::new(Workspace::demo().with_scopes(countersign::config::slack_app::scopes()))
        })
        .await
        .unwrap();
        let clock = Clock::following(clock_file);
        let follower = tokio::spawn({
            let clock = clock.clone();
            async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    clock.follow();
                }
            }
        });
        let mut bot = Self {
            slack,
            folder,
            database: Database::new(engine).await,
            running: None,
            clock,
            environment: Vec::new(),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_countersign")),
            follower,
        };
        bot.boot().await;
        bot
    }

    /// Starts the bot on what is there.
    pub async fn boot(&mut self) {
        let text = fs::read_to_string(self.folder.path().join("countersign.toml")).unwrap();
        let (config, _) = Config::load(&self.variables(), &text).unwrap_or_else(|problems| panic!("{problems}"));
        let running = start(Setup {
            config,
            part: Part::All,
            clock: self.clock.clone(),
            binary: self.binary.clone(),
        })
        .await
        .unwrap();
        self.slack.set_bot_urls(&[format!("http://{}", running.address)]);
        self.running = Some(running);
    }

    pub fn variables(&self) -> Variables {
        let workspace = Workspace::demo();
        let data = self.folder.path().join("data");
        [
            ("SLACK_BOT_TOKEN", workspace.bot_token),
            ("SLACK_SIGNING_SECRET", workspace.signing_secret),
            ("SLACK_API_URL", self.slack.api_base_url()),
            ("DATABASE_URL", self.database.url.clone()),
            ("COUNTERSIGN_DATA", data.display().to_string()),
            ("COUNTERSIGN_LISTEN", "127.0.0.1:0".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain(self.environment.iter().cloned())
        .collect()
    }

    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("the bot is stopped")
    }

    pub async fn release(&self, key: &str) -> Release {
        let key = ReleaseKey::new(key).unwrap();
        self.running()
            .handler
            .release(&key)
            .await
            .unwrap()
            .0
            .expect("no such release")
    }

    pub fn starts(&self, service: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(service).join("starts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.path().join(path), text).unwrap();
    }

    /// Types `/release TEXT` in #payments and returns the private answer: its text and its blocks. Where Slack was too slow for a
    /// busy machine, it is typed again, as a person would.
    pub async fn types(&self, user: &str, text: &str) -> String {
        loop {
            let ack = self.slack.command(user, PAYMENTS, text).await;
            assert_eq!(ack.failure, None, "/release {text}");
            let answer = format!(
                "{}\n{}",
                ack.body["text"].as_str().unwrap_or_default(),
                ack.body["blocks"]
            );
            if !answer.contains(TOO_SLOW) {
                return answer;
            }
        }
    }

    /// Waits until `look` finds what it looks for.
    pub async fn wait<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            // A clock that was just moved counts from the first look on.
            self.clock.follow();
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                Instant::now() < until,
                "waited in vain for {what}\n{}",
                self.scene().await
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until a message of the channel contains all of `words`.
    pub async fn sees(&self, channel: &str, words: &[&str]) -> Message {
        self.wait(&format!("{words:?} in {channel}"), async || {
            let messages = self.slack.messages(channel);
            messages
                .into_iter()
                .rev()
                .find(|message| words.iter().all(|word| message.visible_text().contains(word)))
        })
        .await
    }

    /// Waits for the release's status.
    pub async fn becomes(&self, key: &str, status: &str) -> Release {
        let name = ReleaseKey::new(key).unwrap();
        self.wait(&format!("{key} to be {status}"), async || {
            let (release, _) = self.running().handler.release(&name).await.ok()?;
            release.filter(|release| release.status.key() == status)
        })
        .await
    }

    /// Clicks the button with this action id in the newest direct message that has it.
    pub async fn clicks_in_dm(&self, user: &str, action: &str) -> Ack {
        let dm = self.slack.dm(user);
        let message = self
            .wait(&format!("{action} for {user}"), async || {
                let has = |message: &Message| {
                    serde_json::to_string(&message.blocks)
                        .unwrap()
                        .contains(&format!("\"action_id\":\"{action}\""))
                };
                self.slack.messages(&dm).into_iter().rev().find(has)
            })
            .await;
        self.slack.click(user, &dm, &message.ts, action).await
    }

    /// The form that stands open on the person's screen.
    pub async fn form(&self, user: &str) -> playground::OpenView {
        self.wait(&format!("a form on {user}'s screen"), async || {
            self.slack.views(user).pop()
        })
        .await
    }

    /// Fills in and sends the form on the screen; returns the complaints under its inputs.
    pub async fn submits(&self, user: &str, inputs: &Value) -> Value {
        let form = self.form(user).await;
        let ack = self.slack.submit_view(user, &form.id, inputs).await;
        assert_eq!(ack.failure, None, "the form of {user}");
        let complaints = Value::Object(ack.errors);
        if complaints.as_object().is_some_and(|complaints| !complaints.is_empty()) {
            return complaints;
        }
        let shown: Vec<String> = self
            .slack
            .views(user)
            .iter()
            .map(playground::OpenView::visible_text)
            .collect();
        for view in self.slack.views(user) {
            self.slack.close_view(user, &view.id).await;
        }
        assert!(
            !shown.iter().any(|text| text.contains("Nothing was changed")),
            "the form of {user} was refused: {shown:?}"
        );
        complaints
    }

    /// Plans REL-789 of payments as the release manager, to start now.
    pub async fn plans(&self, key: &str, version: &str) {
        self.types(RITA, &format!("plan {key} payments {version}")).await;
        let complaints = self.submits(RITA, &plan_inputs()).await;
        assert_eq!(complaints, json!({}), "the plan");
    }

    /// Asks for a hotfix of payments, written by Mia.
    pub async fn asks_for_hotfix(&self, user: &str, version: &str) {
        self.types(user, &format!("hotfix payments {version}")).await;
        let complaints = self.submits(user, &hotfix_inputs()).await;
        assert_eq!(complaints, json!({}), "the hotfix");
    }

    /// Plans a release of payments and has it signed by everybody it needs.
    pub async fn approved(&self, key: &str) {
        self.plans(key, "v1.4.0").await;
        self.becomes(key, "asking").await;
        self.types(PRIYA, &format!("approve {key}")).await;
        self.types(QUINN, &format!("approve {key}")).await;
        self.becomes(key, "approved").await;
    }

    /// Deploys a release whose script goes on until somebody ends it, and waits until it runs.
    pub async fn deploys_for_long(&self, key: &str) {
        self.write("payments/slow", "600");
        let before = self.starts("payments").len();
        self.types(DEV, &format!("deploy {key}")).await;
        self.wait("the script", async || {
            (self.starts("payments").len() > before).then_some(())
        })
        .await;
        self.becomes(key, "deploying").await;
    }

    /// The release's card as it stands.
    pub fn card(&self, key: &str) -> Option<Message> {
        let id = format!("card/{key}");
        let card = posted(&self.slack).into_iter().find(|(posted, _)| *posted == id);
        card.map(|(_, message)| message)
    }

    /// Waits until the card says all of `words` and has these actions and no other of `never`.
    pub async fn card_shows(&self, key: &str, words: &[&str], actions: &[&str], never: &[&str]) -> Message {
        self.wait(&format!("{words:?} and {actions:?} on the card of {key}"), async || {
            let card = self.card(key)?;
            let text = card.visible_text();
            let shows = words.iter().all(|word| text.contains(word))
                && actions.iter().all(|action| has_action(&card, action))
                && !never.iter().any(|action| has_action(&card, action));
            shows.then_some(card)
        })
        .await
    }

    /// Clicks on the card and returns the private answer; again where Slack was too slow for a busy machine.
    pub async fn clicks_on_card(&self, user: &str, key: &str, action: &str) -> String {
        loop {
            let card = self.card_shows(key, &[], &[action], &[]).await;
            let before = self.slack.ephemerals(user).len();
            let ack = self.slack.click(user, &card.channel, &card.ts, action).await;
            assert!(ack.ok(), "{user}'s click on {action}: {ack:?}");
            let answer = self
                .wait(&format!("the answer to {user}'s {action}"), async || {
                    self.slack.ephemerals(user).into_iter().nth(before)
                })
                .await
                .visible_text();
            if !answer.contains(TOO_SLOW) {
                return answer;
            }
        }
    }

    /// How often an event stands in the release's log.
    pub async fn count(&self, key: &str, event: &str) -> usize {
        let stream = ReleaseKey::new(key).unwrap().stream();
        let entries = self.running().handler.store.entries_of(&stream).await.unwrap();
        let name = format!("\"{event}.v1\"");
        entries.iter().filter(|entry| entry.bytes.contains(&name)).count()
    }

    /// What the spool of an attempt says of the two processes behind it, once they run: supervisor and script.
    pub async fn processes(&self, key: &str, attempt: u32) -> [Pid; 2] {
        let said = self
            .wait(&format!("the supervisor of attempt {attempt} of {key}"), async || {
                let spool = spool(self.folder.path(), key, attempt)?;
                let text = fs::read_to_string(spool.join("supervisor.json")).ok()?;
                serde_json::from_str::<Value>(&text).ok()
            })
            .await;
        ["pid", "script_pid"].map(|name| Pid::from_raw(i32::try_from(said[name].as_i64().unwrap()).unwrap()).unwrap())
    }

    /// kill -9 for the supervisor: nothing will say how it went. Returns the script, which goes on.
    pub async fn loses_the_supervisor(&self, key: &str, attempt: u32) -> Pid {
        let [supervisor, script] = self.processes(key, attempt).await;
        kill_process(supervisor, Signal::KILL).unwrap();
        script
    }

    /// As if the host had gone down: supervisor and script are gone at once.
    pub async fn loses_the_host(&self, key: &str, attempt: u32) {
        let script = self.loses_the_supervisor(key, attempt).await;
        let id = spool(self.folder.path(), key, attempt).unwrap();
        let id = id.file_name().unwrap().to_str().unwrap();
        kill_process_group(script, Signal::KILL).unwrap();
        // KILL takes a moment, and what still runs holds back the next attempt.
        self.wait("the script's end", async || living_of(id).is_empty().then_some(()))
            .await;
    }

    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.running().address);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    pub async fn open_jobs(&self) -> Vec<JobRow> {
        let filter = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        self.running().handler.store.jobs(&filter).await.unwrap()
    }

    /// Everything that may explain a failure.
    pub async fn scene(&self) -> String {
        let mut scene = String::new();
        for channel in [PAYMENTS, RELEASES] {
            for message in self.slack.messages(channel) {
                let _ = writeln!(scene, "[{channel}] {}", message.visible_text());
            }
        }
        if self.running.is_some() {
            for job in self.open_jobs().await {
                let due_s = (job.due_ms - self.clock.now_ms()) / 1_000;
                let _ = writeln!(
                    scene,
                    "[job] {} {} due in {due_s} s: {}",
                    job.state, job.payload, job.reason
                );
            }
        }
        scene
    }

    /// Waits until nothing is left to do now but what is dead.
    pub async fn quiet(&self) {
        self.wait("the queue to be quiet", async || {
            let now_ms = self.clock.now_ms();
            let waits = |job: &JobRow| job.state == "dead" || (job.state == "queued" && job.due_ms > now_ms + 1_500);
            self.open_jobs().await.iter().all(waits).then_some(())
        })
        .await;
    }

    /// Waits until nothing is left to do now, then judges what every test must leave behind.
    pub async fn finish(mut self) {
        self.wait("the queue to be done", async || {
            let now_ms = self.clock.now_ms();
            let open = self.open_jobs().await;
            assert!(
                open.iter().all(|job| job.state != "dead"),
                "dead jobs\n{}",
                self.scene().await
            );
            open.iter()
                .all(|job| job.state == "queued" && job.due_ms > now_ms + 1_500)
                .then_some(())
        })
        .await;
        self.judge().await;
        self.stop().await;
        self.follower.abort();
    }

    /// The chain verifies, and every state row is what the log says.
    pub async fn judge(&self) {
        let store = &self.running().handler.store;
        let head = store.head().await.unwrap();
        let mut verifier = Verifier::new(store.log_id());
        for sealed in store.entries(1, 100_000).await.unwrap() {
            if sealed.position <= head.position {
                verifier.push(&sealed).unwrap();
            }
        }
        verifier.finish(Some(&head)).unwrap();
        for row in store.list("release/", None, &[], 10_000).await.unwrap() {
            let entries = store.entries_of(&row.stream).await.unwrap();
            let replayed = countersign::handle::replay(&entries[..usize::try_from(row.version).unwrap()]).unwrap();
            let stored: Value = serde_json::from_str(&row.state).unwrap();
            assert_eq!(serde_json::to_value(replayed).unwrap(), stored, "{}", row.stream);
        }
    }
}

/// Where an attempt's supervisor keeps what it knows, below the folder of its bot.
pub fn spool(folder: &Path, key: &str, attempt: u32) -> Option<PathBuf> {
    let own = format!("{key}.{attempt}.");
    let mut spools = fs::read_dir(folder.join("data/attempts")).ok()?;
    spools.find_map(|spool| {
        let path = spool.ok()?.path();
        path.file_name()?.to_str()?.starts_with(&own).then_some(path)
    })
}

pub fn plan_inputs() -> Value {
    json!({
        "kind": "minor", "length": "60", "scope": "Refunds", "tickets": "PAY-101", "dependencies": "none", "user_facing": "yes",
        "migration": "none", "outcome": "Refunds work", "abort_criteria": "Errors above 1 %", "authors": [MIA],
    })
}

pub fn hotfix_inputs() -> Value {
    json!({ "justification": "Card payments fail for 38 % since 02:41 (INC-52)", "authors": [MIA] })
}

/// Runs one scenario on one engine.
pub fn run<F: Future<Output = ()>>(engine: Engine, scenario: impl FnOnce(Engine) -> F) {
    #[cfg(feature = "sabotage")]
    countersign::sabotage::from_environment();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(scenario(engine));
}
