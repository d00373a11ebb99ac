//! Where the bot's secrets must not be: answers, messages, the database, the logs, the environment of what it starts.

use super::door::{COMMANDS, Door, INTERACTIONS, KEY, Knock, form};
use crate::audit::SECRET;
use crate::support::bot::{DEV, PAYMENTS, PRIYA, QUINN, TestBot};
use crate::support::database::{Engine, Raw};
use playground::Workspace;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A script that tells all it can find out, and secrets that it happens to know.
const SCRIPT: &str = "#!/bin/sh\nenv > env.txt\ntr '\\0' '\\n' < /proc/$PPID/environ > parent.txt\n\
                      tr '\\0' ' ' < /proc/$PPID/cmdline > line.txt\ncat \"$0\"\n\
                      echo \"token xoxb-playground-token\"\necho playground-signing-secret >&2\n";

/// The program itself, as an operator runs it: secrets in its environment, its own log.
struct Program {
    child: Child,
    address: String,
    log: PathBuf,
    /// What it signs goes there.
    checkpoints: PathBuf,
}

impl Program {
    async fn start(bot: &TestBot) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let log = bot.folder.path().join("program.log");
        let file = fs::File::create(&log).unwrap();
        let [config, checkpoints] = ["witnessed.toml", "checkpoints"].map(|name| bot.folder.path().join(name));
        let text = fs::read_to_string(bot.folder.path().join("countersign.toml")).unwrap();
        let audit = format!("{text}\n[audit]\nfile = \"{}\"\n", checkpoints.display());
        fs::write(&config, audit).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .arg("serve")
            .envs(bot.variables())
            .env("COUNTERSIGN_CONFIG", &config)
            .env("COUNTERSIGN_CHECKPOINT_KEY", SECRET)
            .env("COUNTERSIGN_LISTEN", &address)
            .env("RUST_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let program = Self {
            child,
            address,
            log,
            checkpoints,
        };
        bot.slack.set_bot_urls(&[format!("http://{}", program.address)]);
        let ready = format!("http://{}/readyz", program.address);
        bot.wait("the program to be ready", async || {
            reqwest::get(&ready).await.ok()?.status().is_success().then_some(())
        })
        .await;
        program
    }

    fn stop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap();
        let _ = Command::new("kill").args(["-TERM", &id.to_string()]).status();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_under(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// Everything that is stored, as text.
async fn stored(bot: &TestBot) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    if let Some(path) = bot.database.url.strip_prefix("sqlite:") {
        for suffix in ["", "-wal", "-shm"] {
            if let Ok(bytes) = fs::read(format!("{path}{suffix}")) {
                all.push((format!("the file{suffix}"), bytes));
            }
        }
        assert!(!all.is_empty(), "no database at {path}");
    } else {
        let mut raw: Raw = bot.database.connect().await;
        for table in [
            "meta",
            "head",
            "log",
            "stream",
            "request",
            "business_key",
            "private_text",
            "repeat",
            "job",
            "message",
            "person",
            "heartbeat",
            "channel_turn",
        ] {
            let rows = raw.texts(&format!("SELECT row_to_json(t)::text FROM {table} t")).await;
            all.push((format!("the table {table}"), rows.join("\n").into_bytes()));
        }
        raw.close().await;
    }
    all
}

pub async fn no_secret_is_in_anything_that_leaves_or_stays(engine: Engine) {
    let mut door = Door::open_with(engine, SCRIPT).await;
    let workspace = Workspace::demo();
    let mut canaries = vec![workspace.bot_token, workspace.signing_secret, SECRET.to_owned()];
    if let Some((_, rest)) = door.bot.database.url.split_once("://")
        && let Some((login, _)) = rest.split_once('@')
        && let Some((_, password)) = login.split_once(':')
    {
        canaries.push(password.to_owned());
    }
    door.bot.stop().await;
    let mut program = Program::start(&door.bot).await;
    let url = |path: &str| format!("http://{}{path}", program.address);
    let mut replies = Vec::new();
    let click = form(&door.click(PRIYA));
    for knock in [
        Knock::new(INTERACTIONS, click.clone()),
        door.signed(INTERACTIONS, "payload=%zz"),
        door.signed(INTERACTIONS, click.clone())
            .with("content-type", "text/plain"),
        door.signed(INTERACTIONS, click.clone()),
        door.signed(COMMANDS, door.command(QUINN, "approve REL-789")),
        door.signed(COMMANDS, door.command(DEV, "status REL-789")),
    ] {
        let request = door.http.request(knock.method.clone(), url(&knock.path));
        let response = request.headers(knock.headers).body(knock.body).send().await.unwrap();
        replies.push(format!(
            "{:?} {}",
            response.headers().clone(),
            response.text().await.unwrap()
        ));
    }
    for path in ["/livez", "/readyz", "/metrics", "/nothing"] {
        replies.push(door.http.get(url(path)).send().await.unwrap().text().await.unwrap());
    }
    let ack = door.bot.slack.command(DEV, PAYMENTS, "deploy REL-789").await;
    assert_eq!(ack.failure, None);
    door.bot
        .wait("the script to have run", async || {
            let line = door.bot.folder.path().join("payments/line.txt");
            fs::read(line).ok().filter(|text| !text.is_empty())
        })
        .await;
    let signed = door
        .bot
        .wait("a signed checkpoint", async || {
            fs::read(&program.checkpoints).ok().filter(|text| !text.is_empty())
        })
        .await;
    program.stop();
    door.bot.boot().await;
    door.bot.becomes(KEY, "released").await;
    let card = door.bot.sees(PAYMENTS, &["REL-789", "RELEASED"]).await;
    door.bot
        .wait("the output in the thread", async || {
            let thread = door.bot.slack.thread(PAYMENTS, &card.ts);
            let is_there = thread.iter().any(|entry| entry.visible_text().contains("token"));
            is_there.then_some(())
        })
        .await;

    let mut everything: Vec<(String, Vec<u8>)> = vec![
        ("the log".into(), fs::read(&program.log).unwrap()),
        ("the file of checkpoints".into(), signed),
    ];
    everything.extend(
        replies
            .into_iter()
            .map(|reply| ("a reply".to_owned(), reply.into_bytes())),
    );
    for call in door.bot.slack.calls() {
        everything.push((
            format!("a call of {}", call.method),
            format!("{} {}", call.args, call.answer).into_bytes(),
        ));
    }
    for delivery in door.bot.slack.deliveries() {
        everything.push(("an answer to Slack".into(), delivery.answer.into_bytes()));
    }
    everything.extend(stored(&door.bot).await);
    let mut spooled = Vec::new();
    files_under(&door.bot.folder.path().join("data"), &mut spooled);
    // A script's own output lies there as it came, for its owner only; it is cleaned when it is read.
    spooled.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with("output"));
    for path in spooled {
        everything.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
    }
    let dump = |name: &str| fs::read(door.bot.folder.path().join("payments").join(name)).unwrap();
    for name in ["env.txt", "parent.txt", "line.txt"] {
        everything.push((name.to_owned(), dump(name)));
    }
    let environment = String::from_utf8(dump("env.txt")).unwrap();
    assert!(environment.contains("COUNTERSIGN_RELEASE=REL-789"), "{environment}");
    for name in [
        "SLACK_",
        "DATABASE_URL",
        "SMTP",
        "COUNTERSIGN_DATA",
        "COUNTERSIGN_CONFIG",
        "COUNTERSIGN_CHECKPOINT_KEY",
    ] {
        assert!(!environment.contains(name), "{environment}");
    }
    for (place, bytes) in &everything {
        for canary in &canaries {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} is in {place}: {}", String::from_utf8_lossy(bytes));
        }
    }
    assert!(everything.len() > 20, "too little was looked at");

    door.bot.finish().await;
}
