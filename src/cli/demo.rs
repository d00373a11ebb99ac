//! `countersign demo`: the bot on an embedded database and the playground beside it, each a process of its own. Needs
//! nothing: no Slack account, no database, no other command before it.

mod sample;

use crate::fresh;
use anyhow::Context as _;
use clap::Args;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How long a killed bot stays away, so that one can watch what the playground does meanwhile.
const RESTART_AFTER: Duration = Duration::from_secs(3);
const READY_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keep everything in this folder, and go on with what is there. Without it a fresh temporary folder is used.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Hold releases to the whole procedure: people confirm by hand what nothing looks at yet. Without it only sign-offs are asked for.
    #[arg(long)]
    procedure: bool,
    /// Where the page is served; a free port is chosen if it is left out.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

struct Stage {
    folder: PathBuf,
    page: SocketAddr,
    mail: SocketAddr,
    bot: SocketAddr,
    signing_secret: String,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let folder = folder(arguments.keep.as_deref())?;
    let stage = Stage {
        page: free_address(arguments.listen)?,
        mail: free_address(SocketAddr::from(([127, 0, 0, 1], 0)))?,
        bot: free_address(SocketAddr::from(([127, 0, 0, 1], 0)))?,
        signing_secret: playground::Workspace::demo().signing_secret,
        folder,
    };
    sample::write(&stage.folder, arguments.procedure)
        .await
        .context("the sample services")?;
    let mut page = stage.playground().context("the playground")?;
    let mut bot = stage.bot().context("the bot")?;
    stage.wait_until_ready(&mut page, &mut bot).await?;
    super::say(&format!("\n  Open  http://{}  and follow \"Try this\".\n", stage.page));
    super::say(&format!(
        "  The bot is process {}; kill it if you like, it comes back.",
        bot.id().unwrap_or_default()
    ));
    super::say(&format!(
        "  Everything is in {}. Ctrl-C ends the demo.",
        stage.folder.display()
    ));
    stage.watch(page, bot).await
}

fn folder(keep: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match keep {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("countersign-demo-{}", fresh::random_hex(4))),
    };
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    folder.canonicalize().with_context(|| folder.display().to_string())
}

/// The address, with its port chosen now if it is left open.
fn free_address(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
    Ok(listener.local_addr()?)
}

impl Stage {
    fn playground(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([
                "playground",
                "--listen",
                &self.page.to_string(),
                "--mail",
                &self.mail.to_string(),
                "--bot",
                &format!("http://{}", self.bot),
            ])
            .arg("--clock-file")
            .arg(self.clock_file())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command.spawn()?)
    }

    fn bot(&self) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("bot.log"))?;
        let workspace = playground::Workspace::demo();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["serve", "--clock-file"])
            .arg(self.clock_file())
            .env("COUNTERSIGN_CONFIG", self.folder.join("countersign.toml"))
            .env("COUNTERSIGN_DATA", self.folder.join("data"))
            .env("COUNTERSIGN_LISTEN", self.bot.to_string())
            .env("SLACK_BOT_TOKEN", &workspace.bot_token)
            .env("SLACK_SIGNING_SECRET", &self.signing_secret)
            .env("SLACK_API_URL", format!("http://{}/api", self.page))
            .env("SMTP_URL", format!("smtp://{}", self.mail))
            .env("SMTP_FROM", "Countersign <countersign@acme.example>")
            .env_remove("DATABASE_URL")
            .env_remove("SMTP_URL_FILE")
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        Ok(command.spawn()?)
    }

    fn clock_file(&self) -> PathBuf {
        self.folder.join("clock-offset-ms")
    }

    async fn wait_until_ready(&self, page: &mut Child, bot: &mut Child) -> anyhow::Result<()> {
        let give_up = tokio::time::Instant::now() + READY_WITHIN;
        let client = reqwest::Client::new();
        for url in [
            format!("http://{}/healthz", self.page),
            format!("http://{}/readyz", self.bot),
        ] {
            loop {
                if client
                    .get(&url)
                    .send()
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
                {
                    break;
                }
                if let Some(status) = bot.try_wait()? {
                    anyhow::bail!(
                        "the bot ended with {status}; {} says why",
                        self.folder.join("bot.log").display()
                    );
                }
                anyhow::ensure!(page.try_wait()?.is_none(), "the playground ended");
                anyhow::ensure!(
                    tokio::time::Instant::now() < give_up,
                    "{url} did not answer within 30 s"
                );
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Until Ctrl-C; a bot that was killed is started again.
    async fn watch(&self, mut page: Child, mut bot: Child) -> anyhow::Result<ExitCode> {
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                status = page.wait() => anyhow::bail!("the playground ended with {}", status?),
                status = bot.wait() => {
                    super::say(&format!("  The bot ended ({}); starting it again in {} s.", status?, RESTART_AFTER.as_secs()));
                    sleep(RESTART_AFTER).await;
                    bot = self.bot()?;
                    super::say(&format!("  The bot is process {} now.", bot.id().unwrap_or_default()));
                }
            }
        }
        stop(&mut bot).await;
        let _ = page.kill().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks for an end in good order, and waits for it.
async fn stop(bot: &mut Child) {
    if let Some(pid) = bot
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(Duration::from_secs(15), bot.wait()).await.is_err() {
        let _ = bot.kill().await;
    }
}
