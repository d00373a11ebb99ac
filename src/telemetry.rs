//! Logs and metrics. A failure is logged once, at the boundary, with the request's or job's id in the message and as
//! a field; no secret and no text that people wrote goes into either.

use crate::handle::Handler;
use crate::store::JobFilter;
use domain::job::Job;
use prometheus::{Encoder as _, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use std::collections::BTreeSet;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Starts structured logs on standard error: JSON lines, or plain text for a terminal. `RUST_LOG` says how much.
///
/// # Errors
/// When logs were started before.
pub fn start_logs(json: bool) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if json {
        logs.json().try_init()
    } else {
        logs.with_ansi(false).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("{error}"))
}

/// What `/metrics` shows.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    jobs: IntGaugeVec,
    oldest_due: IntGaugeVec,
    notices_open: IntGauge,
    heartbeat: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Only if two metrics had one name.
    pub fn new() -> anyhow::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new(
                    "countersign_slack_requests_total",
                    "Requests from Slack by route and answer",
                ),
                &["route", "code"],
            )?,
            jobs: IntGaugeVec::new(
                Opts::new(
                    "countersign_jobs",
                    "Unfinished jobs by lane and state; dead ones wait for a person",
                ),
                &["lane", "state"],
            )?,
            oldest_due: IntGaugeVec::new(
                Opts::new(
                    "countersign_jobs_oldest_due_seconds",
                    "When the oldest unfinished job was or is due, Unix time",
                ),
                &["lane", "state"],
            )?,
            notices_open: IntGauge::new(
                "countersign_emergency_notices_open",
                "Emergency deployments whose notice is not in #releases yet (emergency.notice, 3.4)",
            )?,
            heartbeat: IntGauge::new(
                "countersign_heartbeat_seconds",
                "Unix time of the last sign of life; alert when it is older than a minute or absent",
            )?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.jobs.clone()))?;
        metrics.registry.register(Box::new(metrics.oldest_due.clone()))?;
        metrics.registry.register(Box::new(metrics.notices_open.clone()))?;
        metrics.registry.register(Box::new(metrics.heartbeat.clone()))?;
        Ok(metrics)
    }

    /// Counts an answered request.
    pub fn count_request(&self, route: &str, code: u16) {
        self.requests.with_label_values(&[route, &code.to_string()]).inc();
    }

    /// Looks at the queue and renders everything in Prometheus' text format.
    ///
    /// # Errors
    /// When the database can't be read: then a missing scrape is the alert.
    pub async fn render(&self, handler: &Handler) -> anyhow::Result<String> {
        let counts = handler.store.job_counts().await?;
        self.jobs.reset();
        self.oldest_due.reset();
        for count in counts {
            let labels = [count.lane.as_str(), count.state.as_str()];
            self.jobs
                .with_label_values(&labels)
                .set(i64::try_from(count.count).unwrap_or(i64::MAX));
            self.oldest_due
                .with_label_values(&labels)
                .set(count.oldest_due_ms / 1_000);
        }
        self.notices_open.set(open_notices(handler).await?);
        self.heartbeat.set(handler.clock.now_ms() / 1_000);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8(text)?)
    }
}

/// Emergency notices whose clock runs: every running clock has its timer in the queue.
async fn open_notices(handler: &Handler) -> anyhow::Result<i64> {
    let filter = JobFilter {
        lane: Some("clock".to_owned()),
        limit: 1_000,
        ..JobFilter::default()
    };
    let mut open = BTreeSet::new();
    for row in handler.store.jobs(&filter).await? {
        if let Ok(Job::BreachNotice { release, attempt }) = serde_json::from_str(&row.payload) {
            open.insert((release, attempt));
        }
    }
    let mut count = 0;
    for (release, attempt) in open {
        let (Some(release), _) = handler.release(&release).await? else {
            continue;
        };
        let notice = release.attempt(attempt).and_then(|attempt| attempt.notice.as_ref());
        count += i64::from(notice.is_some_and(|notice| notice.posted_ms.is_none()));
    }
    Ok(count)
}
