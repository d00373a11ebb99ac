//! The bot as real processes: the built program beside the playground, over one database, to be killed, stopped and
//! continued. What happened is read from the log behind its back.

use super::bot::{CLEO, DEV, MIA, PAYMENTS, PRIYA, QUINN, RELEASES, RITA, THEO, TINA, VERA, sample};
use super::database::{Database, Engine};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use countersign::app::{Part, Running, Setup, start};
use countersign::clock::Clock;
use countersign::config::{Config, Variables};
use countersign::store::{JobFilter, MessageRow, Options, Store, StoreError};
use domain::ids::ReleaseKey;
use domain::release::Release;
use playground::{Ack, Handle, Message, Workspace};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{Notify, OnceCell};

/// Today's program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
pub const LEDGER: &str = "C0LEDGER";
pub const UMA: &str = "U0UMA";
/// Everybody who may have got a message.
pub const EVERYBODY: [&str; 10] = [RITA, PRIYA, QUINN, UMA, THEO, TINA, CLEO, VERA, DEV, MIA];
/// How long anything may take to show; far more than it needs, for a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// A wait that gets nowhere moves the clock, if it may: leases end, as they would by themselves.
const NUDGE_EVERY: Duration = Duration::from_secs(5);
const NUDGE_MS: u64 = 16_000;

/// A Slack, a database and a folder that processes of the bot share.
pub struct World {
    pub slack: Handle,
    pub folder: TempDir,
    pub database: Database,
    /// Whether waiting may move the clock.
    pub nudges: AtomicBool,
    /// What prepares a process and then becomes the program, such as a shell that sets limits; nothing if empty.
    pub launcher: Vec<String>,
    /// What is set for processes besides what all of them need.
    environment: Vec<(String, String)>,
    store: OnceCell<Store>,
}

/// One event of a release.
#[derive(Debug, Clone)]
pub struct Told {
    pub stream: String,
    pub version: u64,
    pub name: String,
    pub logged_ms: i64,
    pub data: Value,
}

/// Whether this was said because the database was too loaded to answer.
fn is_loaded(said: &str) -> bool {
    let signs = ["did not answer in time", "is not available", "statement timeout"];
    signs.iter().any(|sign| said.contains(sign))
}

/// Asks again while the database is too loaded to answer: that is no answer.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(StoreError::Unavailable(_)) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer.unwrap(),
        }
    }
}

impl World {
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, |config| config, Vec::new()).await
    }

    /// `change` has the last word on the configuration's text; `environment` is set besides.
    pub async fn with(
        engine: Engine,
        change: impl FnOnce(String) -> String,
        environment: Vec<(String, String)>,
    ) -> Self {
        Self::over(Database::new(engine).await, change, environment).await
    }

    /// Over this database.
    pub async fn over(
        database: Database,
        change: impl FnOnce(String) -> String,
        environment: Vec<(String, String)>,
    ) -> Self {
        countersign::tls::install();
        let folder = tempfile::tempdir().unwrap();
        let text = change(sample(folder.path()));
        fs::write(folder.path().join("countersign.toml"), text).unwrap();
        let slack = playground::start(playground::Options {
            rate_limits: false,
            clock_file: Some(folder.path().join("clock")),
            ..playground::Options::new(Workspace::demo().with_scopes(countersign::config::slack_app::scopes()))
        })
        .await
        .unwrap();
        Self {
            slack,
            folder,
            database,
            nudges: AtomicBool::new(true),
            launcher: Vec::new(),
            environment,
            store: OnceCell::new(),
        }
    }

    /// What a bot of this world is told by its environment.
    fn variables(&self) -> Variables {
        let workspace = Workspace::demo();
        let path = |file: &str| self.path(file).display().to_string();
        [
            ("SLACK_BOT_TOKEN", workspace.bot_token),
            ("SLACK_SIGNING_SECRET", workspace.signing_secret),
            ("SLACK_API_URL", self.slack.api_base_url()),
            ("DATABASE_URL", self.database.url.clone()),
            ("COUNTERSIGN_CONFIG", path("countersign.toml")),
            ("COUNTERSIGN_DATA", path("data")),
            ("COUNTERSIGN_LISTEN", "127.0.0.1:0".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain(self.environment.iter().cloned())
        .collect()
    }

    /// The program with what it is told by its environment.
    pub fn command(&self) -> Command {
        self.command_of(PROGRAM)
    }

    /// The same of another build of it.
    pub fn command_of(&self, program: &str) -> Command {
        let program = program.to_owned();
        let mut words = self.launcher.iter().chain([&program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.variables())
            .stdin(Stdio::null());
        #[cfg(feature = "sabotage")]
        command.envs(countersign::sabotage::handed_on());
        command
    }

    /// One more replica, in this process, which only answers.
    pub async fn joins(&self) -> Arc<Running> {
        let text = fs::read_to_string(self.path("countersign.toml")).unwrap();
        let (config, _) = Config::load(&self.variables(), &text).unwrap_or_else(|problems| panic!("{problems}"));
        let setup = Setup {
            config,
            part: Part::Web,
            clock: Clock::following(self.path("clock")),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_countersign")),
        };
        Arc::new(start(setup).await.unwrap())
    }

    /// Starts `countersign serve` and waits until it serves.
    pub async fn serve(&self, name: &str, role: &str) -> Replica {
        self.serve_by(PROGRAM, name, role).await
    }

    /// The same with another build of the program.
    pub async fn serve_by(&self, program: &str, name: &str, role: &str) -> Replica {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut replica = self.spawn(program, name, role);
            match replica.serves(until).await {
                Ok(()) => return replica,
                // A database that is too loaded to answer ends a bot that starts; whatever looks after it starts it again.
                Err(said) if is_loaded(&said) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(said) => panic!("{name} does not serve\n{said}"),
            }
        }
    }

    fn spawn(&self, program: &str, name: &str, role: &str) -> Replica {
        let mut command = self.command_of(program);
        command.args(["serve", "--role", role, "--clock-file"]);
        command.arg(self.folder.path().join("clock"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn({
            let said = Arc::clone(&said);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    said.lock().unwrap().push(line);
                }
            }
        });
        Replica {
            name: name.to_owned(),
            url: String::new(),
            child,
            said,
        }
    }

    /// Runs another verb to its end; its exit code and what it said.
    pub async fn verb(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::from(self.command());
        command.args(arguments).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = ended.unwrap_or_else(|_| panic!("{arguments:?} does not end")).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    }

    /// `audit verify` and `audit replay` of the program itself find nothing wrong.
    pub async fn audit(&self) -> String {
        let verified = self.intact("verify").await;
        let replayed = self.intact("replay").await;
        format!("{}; {}", verified.trim(), replayed.trim())
    }

    /// What the verb said, once the database was free enough to answer it.
    async fn intact(&self, verb: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let (code, said) = self.verb(&["audit", verb]).await;
            if code == Some(0) {
                return said;
            }
            assert!(
                is_loaded(&said) && Instant::now() < until,
                "audit {verb}: {code:?} {said}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The database, opened for reading beside the bot.
    pub async fn store(&self) -> &Store {
        let open = async || {
            Store::open_read_only(&self.database.url, Options::default())
                .await
                .unwrap()
        };
        self.store.get_or_init(open).await
    }

    /// From now on over another database.
    pub fn moves_to(&mut self, database: Database) {
        self.database = database;
        self.store = OnceCell::new();
    }

    pub async fn head(&self) -> u64 {
        let store = self.store().await;
        patiently(async || store.head().await).await.position
    }

    /// What was logged, from a position on.
    pub async fn log(&self, from: u64) -> Vec<Told> {
        let store = self.store().await;
        let entries = patiently(async || store.entries(from, 100_000).await).await;
        entries.iter().map(told).collect()
    }

    pub async fn told(&self, key: &str) -> Vec<Told> {
        let stream = ReleaseKey::new(key).unwrap().stream();
        let store = self.store().await;
        let entries = patiently(async || store.entries_of(&stream).await).await;
        entries.iter().map(told).collect()
    }

    pub async fn count(&self, key: &str, event: &str) -> usize {
        let told = self.told(key).await;
        told.iter().filter(|told| told.name == event).count()
    }

    /// The release as the log tells it.
    pub async fn release(&self, key: &str) -> Option<Release> {
        let stream = ReleaseKey::new(key).unwrap().stream();
        let store = self.store().await;
        let entries = patiently(async || store.entries_of(&stream).await).await;
        countersign::handle::replay(&entries).unwrap()
    }

    pub async fn status(&self, key: &str) -> &'static str {
        self.release(key)
            .await
            .map_or("nothing", |release| release.status.key())
    }

    /// Lines that the service's script wrote when it was started.
    pub fn starts(&self, service: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(service).join("starts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    pub async fn wait<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut nudge = Instant::now() + NUDGE_EVERY;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                Instant::now() < until,
                "waited in vain for {what}\n{}",
                self.scene().await
            );
            if Instant::now() > nudge && self.nudges.load(Ordering::Relaxed) {
                nudge = Instant::now() + NUDGE_EVERY;
                self.slack.advance(NUDGE_MS).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub async fn becomes(&self, key: &str, status: &str) {
        self.wait(&format!("{key} to be {status}"), async || {
            (self.status(key).await == status).then_some(())
        })
        .await;
    }

    /// Does something as a person until it shows: again when Slack said that it failed, or when nothing came of it.
    pub async fn insist<T>(&self, what: &str, shows: impl AsyncFn() -> Option<T>, act: impl AsyncFn() -> bool) -> T {
        self.wait(what, async || {
            if let Some(shown) = shows().await {
                return Some(shown);
            }
            if !act().await {
                // As long as a person takes, so that what was on its way has arrived.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return None;
            }
            let until = Instant::now() + Duration::from_secs(2);
            while Instant::now() < until {
                if let Some(shown) = shows().await {
                    return Some(shown);
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            None
        })
        .await
    }

    /// Types `/release TEXT`; whether the bot answered.
    pub async fn types(&self, user: &str, text: &str) -> bool {
        self.slack.command(user, PAYMENTS, text).await.ok()
    }

    /// Types what opens a form and sends it; whether the bot took it without complaint.
    pub async fn fills(&self, user: &str, text: &str, inputs: &Value) -> bool {
        if !self.types(user, text).await {
            return false;
        }
        let Some(form) = self.slack.views(user).pop() else {
            return false;
        };
        let ack = self.slack.submit_view(user, &form.id, inputs).await;
        for view in self.slack.views(user) {
            self.slack.close_view(user, &view.id).await;
        }
        ack.ok() && ack.errors.is_empty()
    }

    /// Clicks this action in the newest direct message about the release that has it; nothing if there is none.
    pub async fn clicks(&self, user: &str, key: &str, action: &str) -> Option<Ack> {
        let dm = self.slack.dm(user);
        let about = |message: &Message| {
            has_action(message, action) && message.visible_text().contains(key) && outbox_id(message).is_some()
        };
        let message = self.slack.messages(&dm).into_iter().rev().find(about)?;
        Some(self.slack.click(user, &dm, &message.ts, action).await)
    }

    /// Every message that the bot has posted and that still stands.
    pub fn posted(&self) -> Vec<(String, Message)> {
        posted(&self.slack)
    }

    pub async fn rows(&self, key: &str) -> Vec<MessageRow> {
        self.store().await.messages_of(key).await.unwrap()
    }

    /// Waits until nothing is left to do now, and demands that nothing is dead. Messages go out at one a second and channel:
    /// this takes as long as they get fewer.
    pub async fn settles(&self) {
        let mut fewest = usize::MAX;
        loop {
            let left = self
                .wait("the queue to get shorter", async || {
                    let left = self.due().await;
                    (left == 0 || left < fewest).then_some(left)
                })
                .await;
            if left == 0 {
                return;
            }
            fewest = left;
        }
    }

    /// How many jobs are due or run; dead ones are not allowed.
    async fn due(&self) -> usize {
        let filter = JobFilter {
            limit: 10_000,
            ..JobFilter::default()
        };
        let open = self.store().await.jobs(&filter).await.unwrap();
        let dead: Vec<_> = open.iter().filter(|job| job.state == "dead").collect();
        assert!(dead.is_empty(), "dead jobs: {dead:#?}");
        let soon_ms = self.slack.now_ms() + 1_500;
        open.iter()
            .filter(|job| job.state != "queued" || job.due_ms <= soon_ms)
            .count()
    }

    /// Everything that may explain a failure.
    pub async fn scene(&self) -> String {
        let mut scene = String::new();
        for told in self.log(1).await.iter().rev().take(40).rev() {
            let _ = writeln!(scene, "[log] {} {} {}", told.stream, told.version, told.name);
        }
        let filter = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        for job in self.store().await.jobs(&filter).await.unwrap() {
            let due_s = (job.due_ms - self.slack.now_ms()) / 1_000;
            let (state, payload, reason) = (job.state, job.payload, job.reason);
            let _ = writeln!(scene, "[job] {state} {payload} due in {due_s} s: {reason}");
        }
        for user in EVERYBODY {
            for said in self.slack.ephemerals(user).iter().rev().take(3).rev() {
                let _ = writeln!(scene, "[to {user}] {}", said.visible_text());
            }
        }
        scene
    }
}

fn told(sealed: &domain::log_entry::Sealed) -> Told {
    let entry = sealed.open().unwrap();
    Told {
        stream: entry.stream,
        version: entry.version,
        name: entry.event["name"].as_str().unwrap_or_default().to_owned(),
        logged_ms: sealed.logged_ms,
        data: entry.event["data"].clone(),
    }
}

/// Every message of the bot that stands somewhere, by its outbox id.
pub fn posted(slack: &Handle) -> Vec<(String, Message)> {
    let channels = [PAYMENTS, LEDGER, RELEASES].map(str::to_owned);
    let direct = EVERYBODY.into_iter().map(|user| slack.dm(user));
    let messages = channels
        .into_iter()
        .chain(direct)
        .flat_map(|channel| slack.messages(&channel));
    messages
        .filter_map(|message| Some((outbox_id(&message)?, message)))
        .collect()
}

pub fn outbox_id(message: &Message) -> Option<String> {
    let id = message.metadata.as_ref()?["event_payload"]["outbox_id"].as_str()?;
    Some(id.to_owned())
}

pub fn has_action(message: &Message, action: &str) -> bool {
    serde_json::to_string(&message.blocks)
        .unwrap()
        .contains(&format!("\"action_id\":\"{action}\""))
}

/// A zombie counts as gone: who has to reap it is another question.
pub fn is_alive(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    test_kill_process(process).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// A running process; dropping it kills it.
pub struct Replica {
    pub name: String,
    pub url: String,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Replica {
    /// Waits until it serves.
    ///
    /// # Errors
    /// What it said before it ended.
    async fn serves(&mut self, until: Instant) -> Result<(), String> {
        loop {
            let address = self.said.lock().unwrap().iter().find_map(|line| {
                let rest = line.split_once("serving on ")?.1;
                rest.split(['"', ' ']).next().map(str::to_owned)
            });
            if let Some(address) = address {
                self.url = format!("http://{address}");
                return Ok(());
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() {
                // What it said last is still on its way.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return Err(self.tail(30));
            }
            assert!(
                Instant::now() < until,
                "{} does not serve\n{}",
                self.name,
                self.tail(30)
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The newest lines of its log.
    pub fn tail(&self, lines: usize) -> String {
        let said = self.said.lock().unwrap();
        said[said.len().saturating_sub(lines)..].join("\n")
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// kill -9, and gone when this returns.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Asks it to end in good order.
    pub async fn terminate(mut self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{} ended with {status}\n{}", self.name, self.tail(20));
                return;
            }
            assert!(Instant::now() < until, "{} does not end", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the end of {}'s log\n{}", self.name, self.tail(25));
        }
    }
}

/// Stands where Slack sends to, and sends the same signed bytes on to every replica at once.
pub struct Fan {
    pub url: String,
    shared: Arc<FanShared>,
    task: tokio::task::JoinHandle<()>,
}

struct FanShared {
    client: reqwest::Client,
    targets: Mutex<Vec<(String, bool)>>,
    answers: Mutex<Vec<Answered>>,
    late: Mutex<Vec<tokio::task::JoinHandle<Option<u16>>>>,
    /// While set, whoever is asleep is sent to first, and the others only once the test says so.
    staged: AtomicBool,
    sent_first: Notify,
    go_on: Notify,
}

/// What one replica made of one request.
#[derive(Debug, Clone)]
pub struct Answered {
    pub status: Option<u16>,
    pub body: String,
    pub within: Duration,
}

impl Fan {
    pub async fn start(urls: impl IntoIterator<Item = String>) -> Self {
        let shared = Arc::new(FanShared {
            client: reqwest::Client::new(),
            targets: Mutex::new(urls.into_iter().map(|url| (url, true)).collect()),
            answers: Mutex::default(),
            late: Mutex::default(),
            staged: AtomicBool::new(false),
            sent_first: Notify::new(),
            go_on: Notify::new(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(fan_out).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, shared, task }
    }

    /// From now on its answers are not waited for; it gets its copies all the same.
    pub fn sleeps(&self, url: &str) {
        for target in self.shared.targets.lock().unwrap().iter_mut() {
            target.1 = target.1 && target.0 != url;
        }
    }

    /// Its answers are waited for again.
    pub fn wakes(&self, url: &str) {
        for target in self.shared.targets.lock().unwrap().iter_mut() {
            target.1 = target.1 || target.0 == url;
        }
    }

    /// The next request goes to the sleeping ones first; `meanwhile` runs before the others get it.
    pub async fn staged<T>(&self, request: impl Future<Output = T>, meanwhile: impl Future<Output = ()>) -> T {
        self.shared.staged.store(true, Ordering::SeqCst);
        let meanwhile = async {
            self.shared.sent_first.notified().await;
            meanwhile.await;
            self.shared.go_on.notify_one();
        };
        tokio::join!(request, meanwhile).0
    }

    pub fn answers(&self) -> Vec<Answered> {
        self.shared.answers.lock().unwrap().clone()
    }

    /// Waits for what the sleeping ones answer once they are awake; how many copies they answered.
    pub async fn late(&self) -> usize {
        let late: Vec<_> = self.shared.late.lock().unwrap().drain(..).collect();
        let mut answered = 0;
        for copy in late {
            if copy.await.unwrap().is_some() {
                answered += 1;
            }
        }
        answered
    }
}

impl Drop for Fan {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn fan_out(
    State(shared): State<Arc<FanShared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let send = |url: String| {
        let (shared, uri, headers, body) = (Arc::clone(&shared), uri.clone(), headers.clone(), body.clone());
        async move {
            let began = Instant::now();
            let mut request = shared.client.post(format!("{url}{uri}")).body(body.to_vec());
            for name in ["content-type", "x-slack-request-timestamp", "x-slack-signature"] {
                if let Some(value) = headers.get(name) {
                    request = request.header(name, value.to_str().unwrap());
                }
            }
            let answer = request.timeout(Duration::from_mins(1)).send().await;
            let (status, body) = match answer {
                Ok(answer) => (Some(answer.status().as_u16()), answer.text().await.unwrap_or_default()),
                Err(_) => (None, String::new()),
            };
            Answered {
                status,
                body,
                within: began.elapsed(),
            }
        }
    };
    let targets = shared.targets.lock().unwrap().clone();
    for (url, _) in targets.iter().filter(|(_, awake)| !awake) {
        let copy = send(url.clone());
        let copy = tokio::spawn(async move { copy.await.status });
        shared.late.lock().unwrap().push(copy);
    }
    if shared.staged.swap(false, Ordering::SeqCst) {
        shared.sent_first.notify_one();
        shared.go_on.notified().await;
    }
    let mut copies = tokio::task::JoinSet::new();
    for (url, _) in targets.into_iter().filter(|(_, awake)| *awake) {
        copies.spawn(send(url));
    }
    let answers = copies.join_all().await;
    shared.answers.lock().unwrap().extend(answers.iter().cloned());
    // A repeat's answer may be empty; Slack would show the one that says something.
    let told = answers
        .iter()
        .find(|answer| answer.status == Some(200) && !answer.body.is_empty());
    let (status, body) = told
        .or(answers.first())
        .map_or((None, String::new()), |answer| (answer.status, answer.body.clone()));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    (
        status.unwrap_or(StatusCode::BAD_GATEWAY),
        [("content-type", "application/json")],
        body,
    )
}
