//! Logs and metrics. A failure is logged once, at the boundary, with the request's or job's id in the message and as
//! a field; no secret and no text that people wrote goes into either.

use crate::handle::Handler;
use crate::store::JobFilter;
use domain::job::{Job, Lane, MessageId};
use prometheus::{Encoder as _, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
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
    notice_deadline: IntGauge,
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
            notice_deadline: IntGauge::new(
                "countersign_emergency_notice_deadline_seconds",
                "Unix time by which the most urgent open notice must stand in #releases; 0 if none is open",
            )?,
            heartbeat: IntGauge::new(
                "countersign_heartbeat_seconds",
                "Unix time at which a worker last took from every lane of the queue; alert when it is older than a minute, 0 or absent",
            )?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.jobs.clone()))?;
        metrics.registry.register(Box::new(metrics.oldest_due.clone()))?;
        metrics.registry.register(Box::new(metrics.notices_open.clone()))?;
        metrics.registry.register(Box::new(metrics.notice_deadline.clone()))?;
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
        let deadlines_ms = open_notices(handler).await?;
        self.notices_open
            .set(i64::try_from(deadlines_ms.len()).unwrap_or(i64::MAX));
        self.notice_deadline
            .set(deadlines_ms.first().copied().unwrap_or_default() / 1_000);
        // The workers say so in the database: this process may have none, or none that gets on.
        let beats = handler.store.beats().await?;
        let got_on_ms = beats.iter().map(|beat| beat.got_on_ms).max().unwrap_or_default();
        self.heartbeat.set(got_on_ms / 1_000);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8(text)?)
    }
}

/// When each emergency notice that is not in #releases yet has to be there, the most urgent first. A notice that is not there
/// has its job in the queue, dead or alive, also after the hour is over.
async fn open_notices(handler: &Handler) -> anyhow::Result<Vec<i64>> {
    let filter = JobFilter {
        lane: Some(Lane::Notice.key().to_owned()),
        limit: 1_000,
        ..JobFilter::default()
    };
    let mut deadlines_ms = Vec::new();
    for row in handler.store.jobs(&filter).await? {
        let Ok(Job::PostMessage {
            message: MessageId::Notice { release, attempt },
        }) = serde_json::from_str(&row.payload)
        else {
            continue;
        };
        let (Some(release), _) = handler.release(&release).await? else {
            continue;
        };
        let notice = release.attempt(attempt).and_then(|attempt| attempt.notice.as_ref());
        if let Some(notice) = notice.filter(|notice| notice.posted_ms.is_none()) {
            deadlines_ms.push(notice.started_ms + handler.policy.notice_breach_after_ms);
        }
    }
    deadlines_ms.sort_unstable();
    Ok(deadlines_ms)
}
