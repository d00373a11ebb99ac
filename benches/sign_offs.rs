//! The load generator: correctly signed, distinct sign-offs over real HTTP. Only accepted ones count; afterwards the entries equal the
//! acknowledgements and the chain verifies. `cargo bench --bench sign_offs -- sqlite:PATH|postgres://… [SECONDS] [CONCURRENCY]`;
//! a PostgreSQL database must be migrated and empty.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

#[allow(dead_code)]
#[path = "../tests/it/support/orders.rs"]
mod orders;

use countersign::app::{Part, Running, Setup, start};
use countersign::clock::Clock;
use countersign::config::Config;
use domain::log_entry::Verifier;
use playground::{Handle, Options, Workspace, signature};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const CONFIG: &str = include_str!("../tests/it/support/countersign.toml");

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("bench.sqlite").display());
    let url = arguments.first().cloned().unwrap_or(sqlite);
    let seconds: u64 = arguments.get(1).map_or(3, |text| text.parse().unwrap());
    let concurrency: u32 = arguments.get(2).map_or(64, |text| text.parse().unwrap());
    countersign::tls::install();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(folder.path(), &url, Duration::from_secs(seconds), concurrency));
}

async fn measure(folder: &Path, url: &str, length: Duration, concurrency: u32) {
    let slack = playground::start(Options {
        rate_limits: false,
        ..Options::new(Workspace::demo())
    })
    .await
    .unwrap();
    let bot = Arc::new(bot(folder, url, &slack).await);
    // Enough for any speed that this can reach; a release is signed once.
    let releases = u32::try_from(length.as_secs()).unwrap() * 6_000;
    let began = Instant::now();
    orders::plan_many(&bot, releases).await;
    println!("prepared {releases} releases in {:.1} s", began.elapsed().as_secs_f64());

    let before = bot.handler.store.head().await.unwrap().position;
    let (next, acked) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicU32::new(0)));
    let (first_sent, until) = (Instant::now(), Instant::now() + length);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let (bot, next, acked) = (Arc::clone(&bot), Arc::clone(&next), Arc::clone(&acked));
        callers.spawn(async move { call(&bot, &next, &acked, releases, until).await });
    }
    let mut latencies_us: Vec<u64> = callers.join_all().await.into_iter().flatten().collect();
    let elapsed = first_sent.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    judge(&bot, before, u64::from(acked.load(Ordering::SeqCst))).await;
    let at = |share: usize| {
        latencies_us
            .get(latencies_us.len() * share / 1_000)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "c={concurrency}: {} accepted sign-offs in {elapsed:.2} s = {:.0}/s, p50 {:.1} ms, p99 {:.1} ms; entries equal acknowledgements, chain verifies",
        latencies_us.len(),
        f64::from(acked.load(Ordering::SeqCst)) / elapsed,
        Duration::from_micros(at(500)).as_secs_f64() * 1_000.0,
        Duration::from_micros(at(990)).as_secs_f64() * 1_000.0,
    );
}

async fn bot(folder: &Path, url: &str, slack: &Handle) -> Running {
    for service in ["payments", "ledger"] {
        std::fs::create_dir_all(folder.join(service)).unwrap();
        let script = folder.join(service).join("deploy.sh");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let workspace = Workspace::demo();
    let variables = [
        ("SLACK_BOT_TOKEN", workspace.bot_token),
        ("SLACK_SIGNING_SECRET", workspace.signing_secret),
        ("SLACK_API_URL", slack.api_base_url()),
        ("DATABASE_URL", url.to_owned()),
        ("COUNTERSIGN_DATA", folder.join("data").display().to_string()),
        ("COUNTERSIGN_LISTEN", "127.0.0.1:0".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let text = CONFIG.replace("FOLDER", folder.to_str().unwrap());
    let (config, _) = Config::load(&variables, &text).unwrap_or_else(|problems| panic!("{problems}"));
    // Decisions only: what follows from them waits in the queue.
    let binary = std::env::current_exe().unwrap();
    start(Setup {
        config,
        part: Part::Web,
        clock: Clock::default(),
        binary,
    })
    .await
    .unwrap()
}

/// One caller: signs one release after another as Priya until the time is over.
async fn call(bot: &Running, next: &AtomicU32, acked: &AtomicU32, releases: u32, until: Instant) -> Vec<u64> {
    let client = reqwest::Client::new();
    let url = format!("http://{}/slack/commands", bot.address);
    let secret = Workspace::demo().signing_secret;
    let mut latencies_us = Vec::new();
    while Instant::now() < until {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number > releases {
            break;
        }
        let body = format!(
            "token=x&team_id=T0ACME&api_app_id=A0COUNTER&channel_id=C0PAYMENTS&user_id=U0PRIYA&command=%2Frelease&text=approve+REL-{number}&trigger_id={number}"
        );
        let timestamp_s = bot.handler.clock.now_ms() / 1_000;
        let request = client
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", timestamp_s)
            .header("x-slack-signature", signature(&secret, timestamp_s, body.as_bytes()))
            .body(body);
        let sent = Instant::now();
        let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        let text = answer["text"].as_str().unwrap_or_default();
        if text.starts_with("Signed") || text.contains("You signed") {
            acked.fetch_add(1, Ordering::SeqCst);
            latencies_us.push(u64::try_from(sent.elapsed().as_micros()).unwrap());
        } else {
            println!("not accepted: {text}");
        }
    }
    latencies_us
}

/// Every acknowledged sign-off is an entry, nothing else is, and the chain verifies.
async fn judge(bot: &Running, before: u64, acked: u64) {
    let store = &bot.handler.store;
    let (mut verifier, mut signed, mut next) = (Verifier::new(store.log_id()), 0, 1);
    loop {
        let page = store.entries(next, 2_000).await.unwrap();
        let Some(last) = page.last() else { break };
        next = last.position + 1;
        for sealed in &page {
            let entry = verifier.push(sealed).unwrap();
            signed += u64::from(sealed.position > before && entry.event["name"] == "SignedOff.v1");
        }
    }
    verifier.finish(Some(&store.head().await.unwrap())).unwrap();
    assert_eq!(signed, acked, "entries and acknowledgements");
}
