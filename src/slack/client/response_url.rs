//! The private answer to a click goes to an address that came in with it. Only Slack's own host is ever called.

use super::SlackClient;
use super::errors::Effect;
use super::{errors, transport::Trouble};
use crate::failure::Failure;
use crate::outbound;
use serde_json::Value;
use url::Url;

/// Where Slack's response addresses live (docs.slack.dev/interactivity/handling-user-interaction).
const HOST: &str = "hooks.slack.com";
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const LENGTH_MAX: usize = 500;

/// Reads a `response_url`: exactly `https://hooks.slack.com/…` on port 443; where the API itself is plain http on
/// this machine, exactly that origin instead.
///
/// # Errors
/// Permanent for anything else; the address is not repeated, since whoever has it can write.
pub fn parse(text: &str, api_url: &Url) -> Result<Url, Failure> {
    let no = || Failure::permanent("the response_url is not one of Slack's, so nothing was sent there");
    // First as plain text, so that nothing depends on how a URL parser forgives tabs, backslashes, case or escapes.
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-._~/?=&%:".contains(&b) || (b == b'[' || b == b']');
    if text.len() > LENGTH_MAX || !text.bytes().all(usual) {
        return Err(no());
    }
    let origins = if api_url.scheme() == "http" && outbound::is_loopback(api_url) {
        vec![api_url.origin().ascii_serialization()]
    } else {
        vec![format!("https://{HOST}"), format!("https://{HOST}:443")]
    };
    let rest = origins
        .iter()
        .filter_map(|origin| text.strip_prefix(origin.as_str()))
        .find(|rest| rest.starts_with('/'))
        .ok_or_else(no)?;
    let has_path = rest.len() > 1 && !rest.starts_with("//") && !rest.contains("..");
    // And then what the parser that will be used makes of it.
    let url = Url::parse(text).map_err(|_| no())?;
    let host_is_right = origins.first() == Some(&url.origin().ascii_serialization());
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if has_path && host_is_right && bare {
        Ok(url)
    } else {
        Err(no())
    }
}

impl SlackClient {
    /// Answers a command or click privately through its own `response_url`, which Slack accepts 5 times within 30
    /// minutes. `body` is a message (`text`, `blocks`, `response_type`); `replace` puts it in place of the message
    /// that was clicked.
    ///
    /// # Errors
    /// Permanent for an address that is not Slack's, or one that is used up.
    pub async fn respond(&self, response_url: &str, body: &Value, replace: bool) -> Result<(), Failure> {
        const METHOD: &str = "response_url";
        let url = parse(response_url, &self.inner.api_url)?;
        self.inner.pacing.check(METHOD)?;
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.entry("response_type").or_insert_with(|| "ephemeral".into());
            fields.insert("replace_original".to_owned(), Value::Bool(replace));
        }
        let call = self.respond_once(url, &body);
        let answer = tokio::time::timeout(self.inner.limits.call, call).await;
        let trouble = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(trouble)) => trouble,
            Err(_) => return Err(errors::timed_out(METHOD, Effect::Once)),
        };
        if matches!(trouble, Trouble::Status(400..=428, _) | Trouble::Refused { .. }) {
            return Err(Failure::permanent(
                "Slack no longer takes an answer to this click (5 answers within 30 minutes)",
            ));
        }
        let verdict = errors::judge(METHOD, Effect::Once, &trouble.into());
        if let Some(secs) = verdict.pause_secs {
            self.inner.pacing.pause(METHOD, secs);
        }
        Err(verdict.failure)
    }

    async fn respond_once(&self, url: Url, body: &Value) -> Result<(), Trouble> {
        let sent = self.inner.http.post(url).json(body).send().await;
        let response = sent.map_err(|error| {
            if error.is_connect() {
                Trouble::Unsent
            } else {
                Trouble::Lost
            }
        })?;
        let status = response.status().as_u16();
        let retry_after_secs = outbound::retry_after_secs(response.headers());
        if status != 200 {
            return Err(Trouble::Status(status, retry_after_secs));
        }
        let body = outbound::read_capped(response, ANSWER_BYTES_MAX)
            .await
            .map_err(|_| Trouble::Lost)?;
        // Slack says `ok` in plain text, or sends JSON whose `ok` may be false.
        let refused = serde_json::from_slice::<Value>(&body)
            .ok()
            .filter(|answer| answer.get("ok") == Some(&Value::Bool(false)));
        match refused {
            None => Ok(()),
            Some(_) => Err(Trouble::Refused {
                error: "refused".to_owned(),
                detail: None,
                retry_after_secs,
            }),
        }
    }
}
