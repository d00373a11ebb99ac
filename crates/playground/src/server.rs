//! Starting the playground: options, routes and background work.
//! Must bind to loopback only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::clock::MovableClock;
use crate::handle::Handle;
use crate::seed::Workspace;
use crate::state::Shared;
use crate::{api, control, page, respond, smtp};

const BODY_BYTES_MAX: usize = 1024 * 1024;
const BOT_CHECK_EVERY: Duration = Duration::from_secs(2);
/// While it is away, so that its return shows at once.
const BOT_CHECK_WHILE_AWAY: Duration = Duration::from_millis(200);

/// One line of the composer's completion list.
#[derive(Debug, Clone, Serialize)]
pub struct CommandHint {
    /// What gets typed, such as `/release plan`.
    pub command: String,
    /// What it takes, such as `[service] [version]`.
    pub usage: String,
    /// What it does.
    pub description: String,
}

impl CommandHint {
    /// A completion with its usage and description.
    pub fn new(command: &str, usage: &str, description: &str) -> Self {
        Self {
            command: command.into(),
            usage: usage.into(),
            description: description.into(),
        }
    }
}

/// How to start a playground.
#[derive(Debug)]
pub struct Options {
    /// What the workspace starts with.
    pub workspace: Workspace,
    /// Address to listen on; must be loopback, port 0 picks a free one.
    pub address: SocketAddr,
    /// Address that takes mail by SMTP for the mailbox on the page, loopback as well; without it there is no mailbox.
    pub mail_address: Option<SocketAddr>,
    /// The bot's addresses, such as `http://127.0.0.1:3000`; several take turns.
    pub bot_urls: Vec<String>,
    /// File that always holds the clock's offset in milliseconds, for the bot to read.
    pub clock_file: Option<PathBuf>,
    /// Hold the bot to Slack's rate limits.
    pub rate_limits: bool,
    /// Completions of the composer. Their first words are the slash commands that exist.
    pub commands: Vec<CommandHint>,
    /// Steps of the "Try this" panel; may use mrkdwn.
    pub steps: Vec<String>,
}

impl Options {
    /// A free port on loopback, no bot yet, rate limits on, and `/release` as the only command.
    pub fn new(workspace: Workspace) -> Self {
        Self {
            workspace,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            mail_address: None,
            bot_urls: Vec::new(),
            clock_file: None,
            rate_limits: true,
            commands: vec![CommandHint::new("/release", "", "Talk to the release bot")],
            steps: Vec::new(),
        }
    }
}

/// Starts the playground; it stops when the handle is dropped.
pub async fn start(options: Options) -> anyhow::Result<Handle> {
    let listener = listen(options.address).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let mail = match options.mail_address {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let mail_address = mail.as_ref().map(TcpListener::local_addr).transpose()?;
    let mail_url = mail_address.map(|address| format!("smtp://{address}"));
    let clock = MovableClock::start(options.clock_file.clone())?;
    let shared = Arc::new(Shared::new(options, clock, base_url, mail_url));
    let app = routes(Arc::clone(&shared));
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!("the playground stopped: {error}");
        }
    });
    let mut tasks = vec![server, tokio::spawn(watch_bot(Arc::clone(&shared)))];
    if let Some(mail) = mail {
        tasks.push(tokio::spawn(smtp::receive(mail, Arc::clone(&shared))));
    }
    Ok(Handle::new(shared, tasks))
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    ensure!(
        address.ip().is_loopback(),
        "the playground lets anybody act as anybody, so it only listens on loopback, not on {address}"
    );
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("can't listen on {address}"))
}

fn routes(shared: Arc<Shared>) -> Router {
    let guarded = control::routes()
        .merge(page::routes())
        .layer(axum::middleware::from_fn(control::only_from_this_machine));
    Router::new()
        .route("/api/{method}", any(api::handle))
        .route("/respond/{id}", post(respond::handle))
        .route("/healthz", get(|| async { "ok" }))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

/// Keeps the page's "bot is reachable" true to life.
async fn watch_bot(shared: Arc<Shared>) {
    loop {
        let urls = shared.state().bot_urls.clone();
        let mut reachable = false;
        for url in &urls {
            reachable = reachable || crate::http::reachable(url).await;
        }
        let changed = {
            let mut state = shared.state();
            let changed = state.bot_reachable != reachable;
            state.bot_reachable = reachable;
            changed
        };
        if changed {
            shared.changed();
        }
        tokio::time::sleep(if reachable {
            BOT_CHECK_EVERY
        } else {
            BOT_CHECK_WHILE_AWAY
        })
        .await;
    }
}
