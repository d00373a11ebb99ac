//! Rings when Slack and mail are down: a webhook and a command, both configured apart from either, both tried.

use crate::child::{NoEnd, Program};
use crate::failure::Failure;
use crate::outbound;
use domain::ids::Millis;
use serde_json::json;
use std::fmt;
use std::time::Duration;
use url::Url;

/// How long the command may take before it and its process group are killed.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
const SUMMARY_CHARS_MAX: usize = 1_000;
const PLACEHOLDER: &str = "{summary}";

/// Someone is to be rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// One sentence: what, where, what to do.
    pub summary: String,
    /// The release.
    pub release: String,
    /// Which step of the ladder.
    pub step: String,
    /// When it was decided, UTC milliseconds.
    pub at_ms: Millis,
    /// The same for every repetition of the same page, so that the receiver can drop the second one.
    pub id: String,
}

/// The ways out. What is not configured is left out.
pub struct Escalation {
    webhook: Option<(Url, reqwest::Client)>,
    command: Vec<String>,
    command_limit: Duration,
}

impl fmt::Debug for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address often is the secret.
        let webhook = self.webhook.as_ref().map(|_| "[secret]");
        f.debug_struct("Escalation")
            .field("webhook", &webhook)
            .field("program", &self.command.first())
            .finish_non_exhaustive()
    }
}

impl Escalation {
    /// `webhook`: https, or plain http on this machine. `command`: a program with its absolute path, then its
    /// arguments; `{summary}` stands for the summary. Empty means none.
    ///
    /// # Errors
    /// Permanent, naming the key of the configuration.
    pub fn new(webhook: Option<&str>, command: &[String]) -> Result<Self, Failure> {
        let webhook = webhook.map(|webhook| {
            let url = outbound::endpoint(webhook, "escalation.webhook")?;
            let client = outbound::client(&url, outbound::CALL_LIMIT)?;
            Ok::<_, Failure>((url, client))
        });
        if command
            .first()
            .is_some_and(|program| !program.starts_with('/') || program.contains(PLACEHOLDER))
        {
            return Err(Failure::permanent(
                "escalation.command must begin with the program's absolute path",
            ));
        }
        if command.iter().any(|part| part.contains('\0')) {
            return Err(Failure::permanent("escalation.command must not hold a NUL character"));
        }
        Ok(Self {
            webhook: webhook.transpose()?,
            command: command.to_vec(),
            command_limit: COMMAND_LIMIT,
        })
    }

    /// The same with another limit for the command.
    #[must_use]
    pub fn with_command_limit(mut self, limit: Duration) -> Self {
        self.command_limit = limit;
        self
    }

    /// Whether there is any way out.
    pub fn is_configured(&self) -> bool {
        self.webhook.is_some() || !self.command.is_empty()
    }

    /// Rings by every way at once. At least once: a repeated page carries the same id.
    ///
    /// # Errors
    /// All that are configured failed, or none is; transient if one of them may work later.
    pub async fn ring(&self, page: &Page) -> Result<(), Failure> {
        let webhook = async {
            match &self.webhook {
                Some((url, client)) => Some(post(client, url, page).await),
                None => None,
            }
        };
        let command = async {
            let (program, arguments) = self.command.split_first()?;
            Some(self.run(program, arguments, page).await)
        };
        let (webhook, command) = tokio::join!(webhook, command);
        let mut failures = Vec::new();
        for (way, result) in [("webhook", webhook), ("command", command)] {
            match result {
                Some(Ok(())) => return Ok(()),
                Some(Err(failure)) => failures.push((way, failure)),
                None => {}
            }
        }
        Err(join(&failures))
    }

    async fn run(&self, path: &str, arguments: &[String], page: &Page) -> Result<(), Failure> {
        let summary = plain(&page.summary);
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| argument.replace(PLACEHOLDER, &summary))
            .collect();
        let program = Program {
            path,
            arguments: &arguments,
            inherited: &["PATH", "HOME", "LANG"],
            set: &[],
            limit: self.command_limit,
            output_bytes_max: OUTPUT_BYTES_MAX,
        };
        match program.run().await {
            Ok(ended) if ended.status.success() => Ok(()),
            Ok(ended) => {
                let said = String::from_utf8_lossy(if ended.errors.is_empty() {
                    &ended.output
                } else {
                    &ended.errors
                });
                let said: String = said.trim().chars().take(150).collect();
                Err(Failure::transient(format!("it ended with {}: {said}", ended.status)))
            }
            Err(NoEnd::TimedOut) => Err(Failure::unknown("it did not end in time and was killed")),
            Err(NoEnd::NotStarted(kind)) => Err(Failure::permanent(format!("it can't be started: {kind}"))),
        }
    }
}

async fn post(client: &reqwest::Client, url: &Url, page: &Page) -> Result<(), Failure> {
    let at = jiff::Timestamp::from_millisecond(page.at_ms)
        .map(|at| at.to_string())
        .unwrap_or_default();
    let body = json!({ "summary": plain(&page.summary), "release": page.release, "step": page.step, "at": at });
    let header = reqwest::header::HeaderValue::from_str(&page.id);
    let id = header.map_err(|_| Failure::permanent("the page's id can't be a header"))?;
    let answer = client
        .post(url.clone())
        .header("Idempotency-Key", id)
        .json(&body)
        .send()
        .await;
    let response = answer.map_err(|error| {
        if error.is_connect() {
            Failure::transient("it can't be reached")
        } else {
            Failure::unknown("it gave no answer")
        }
    })?;
    let status = response.status().as_u16();
    let wait_ms =
        outbound::retry_after_secs(response.headers()).and_then(|secs| i64::try_from(secs).ok()?.checked_mul(1_000));
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(Failure::permanent(format!(
            "it redirects (HTTP {status}); configure its final address"
        ))),
        408 | 425 | 429 => Err(Failure::transient(format!("it answered HTTP {status}")).after(wait_ms)),
        400..=499 => Err(Failure::permanent(format!("it answered HTTP {status}"))),
        _ => Err(Failure::unknown(format!("it answered HTTP {status}")).after(wait_ms)),
    }
}

/// One line, bounded, that can't be taken for an option where it is a whole argument.
fn plain(summary: &str) -> String {
    let line: String = summary
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SUMMARY_CHARS_MAX)
        .collect();
    line.trim_start_matches(['-', ' ']).trim_end().to_owned()
}

fn join(failures: &[(&str, Failure)]) -> Failure {
    if failures.is_empty() {
        return Failure::permanent("no escalation is configured: set escalation.webhook or escalation.command");
    }
    let said: Vec<String> = failures
        .iter()
        .map(|(way, failure)| format!("escalation.{way}: {failure}"))
        .collect();
    let said = said.join("; ");
    if !failures.iter().any(|(_, failure)| failure.is_transient()) {
        return Failure::permanent(said);
    }
    let wait_ms = failures
        .iter()
        .filter_map(|(_, failure)| failure.retry_after_ms())
        .min();
    let unknown = failures.iter().any(|(_, failure)| failure.outcome_unknown());
    let joined = if unknown {
        Failure::unknown(said)
    } else {
        Failure::transient(said)
    };
    // The wait of one way must not hold up the other.
    joined.after(wait_ms.filter(|_| failures.len() == 1))
}
