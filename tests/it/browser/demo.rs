//! The real `countersign demo` as a child process, and a browser beside it.

use super::chromium::Browser;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);

pub struct Demo {
    pub url: String,
    bot: i32,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

/// Runs one story in a demo of its own.
pub fn run(story: impl AsyncFnOnce(&mut Demo, &Browser)) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            countersign::tls::install();
            let browser = Browser::start().await;
            let mut demo = Demo::start().await;
            story(&mut demo, &browser).await;
            demo.stop().await;
            browser.close().await;
        });
}

impl Demo {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["demo", "--keep"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut demo = Self {
            url: String::new(),
            bot: 0,
            child,
            lines,
            folder,
        };
        let line = demo.line_with("http://").await;
        let from = line.find("http://").unwrap();
        demo.url = line[from..].split_whitespace().next().unwrap().to_owned();
        demo.next_bot().await;
        demo.line_with("Ctrl-C").await;
        demo
    }

    /// The next line that the demo prints with these words in it.
    async fn line_with(&mut self, words: &str) -> String {
        let look = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(words) {
                    return line;
                }
            }
            panic!("the demo ended without saying {words:?}");
        };
        timeout(PATIENCE, look)
            .await
            .unwrap_or_else(|_| panic!("the demo does not say {words:?}"))
    }

    /// The process that the demo names next.
    pub async fn next_bot(&mut self) -> i32 {
        let line = self.line_with("The bot is process").await;
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        self.bot = digits.parse().unwrap();
        self.bot
    }

    /// SIGKILL to the bot, once the demo has seen it end.
    pub async fn kill_bot(&mut self) -> i32 {
        kill_process(Pid::from_raw(self.bot).unwrap(), Signal::KILL).unwrap();
        self.line_with("starting it again").await;
        self.bot
    }

    /// Waits until a file of the demo's folder has these words in it.
    pub async fn wait_for(&self, file: &str, words: &str) {
        let path = self.folder.path().join(file);
        let look = async {
            while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains(words)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = timeout(PATIENCE, look).await;
        assert!(found.is_ok(), "waited in vain for {words:?} in {file}");
    }

    /// Ctrl-C, and everything is gone.
    async fn stop(mut self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("Ctrl-C ends the demo")
            .unwrap();
        assert!(status.success(), "{status}");
        assert!(self.folder.path().join("bot.log").exists());
    }
}

impl Drop for Demo {
    /// After a failure: an end in good order, so that the demo takes its own children with it.
    fn drop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = kill_process(pid, Signal::INT);
            let until = std::time::Instant::now() + Duration::from_secs(5);
            while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.start_kill();
        }
    }
}
