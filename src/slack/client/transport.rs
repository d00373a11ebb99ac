//! The wire under slack-morphism: its connector trait over our HTTP client. slack-morphism's own connector has no
//! time-outs, reads answers of any length, can't tell "never sent" from "no answer", and repeats answers in errors.

use crate::outbound::{self, Unread};
use serde::Deserialize;
use slack_morphism::errors::{SlackClientError, SlackClientSystemError};
use slack_morphism::multipart_form::FileMultipartData;
use slack_morphism::{
    ClientResult, SlackApiToken, SlackClientApiCallContext, SlackClientHttpConnector, SlackClientId, SlackClientSecret,
};
use std::fmt;
use std::pin::Pin;
use url::Url;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What went wrong on the wire, with nothing of the answer but Slack's own error words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The request was never sent.
    Unsent,
    /// Sent, and no whole answer came.
    Lost,
    /// The answer is not what Slack says when it has understood.
    Garbled(&'static str),
    /// An HTTP status other than 200, with the seconds of `Retry-After`.
    Status(u16, Option<u64>),
    /// `ok: false`.
    Refused {
        /// Slack's `error`.
        error: String,
        /// The scope that is `needed`, or what `response_metadata` says of the mistake.
        detail: Option<String>,
        /// The seconds of `Retry-After`.
        retry_after_secs: Option<u64>,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Trouble {}

impl From<Trouble> for SlackClientError {
    fn from(trouble: Trouble) -> Self {
        Self::SystemError(SlackClientSystemError::new().with_cause(Box::new(trouble)))
    }
}

/// The connector.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    /// Without a slash at its end.
    pub(super) api_url: String,
    pub(super) answer_bytes_max: usize,
    #[cfg(feature = "simulation")]
    pub(super) wire: Option<std::sync::Arc<dyn Wire>>,
}

/// The simulation's network: calls in, Slack's answers out, or nothing.
#[cfg(feature = "simulation")]
pub trait Wire: Send + Sync {
    /// Carries one call of a method with its arguments.
    fn carry(&self, method: String, arguments: serde_json::Value) -> BoxFuture<'_, Carried>;
}

/// How a call on the simulation's network ended.
#[cfg(feature = "simulation")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// It never left.
    Unsent,
    /// It left, and no answer came.
    Lost,
    /// Slack's status, the seconds of its `Retry-After`, and its body.
    Answered(u16, Option<u64>, serde_json::Value),
}

#[cfg(feature = "simulation")]
impl Transport {
    async fn carry<RS>(&self, wire: &dyn Wire, uri: &Url, body: Option<Vec<u8>>) -> ClientResult<RS>
    where
        RS: for<'de> Deserialize<'de>,
    {
        let method = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let arguments = match body {
            Some(body) => serde_json::from_slice(&body).unwrap_or_default(),
            None => uri
                .query_pairs()
                .map(|(name, value)| (name.into_owned(), serde_json::Value::from(value.into_owned())))
                .collect(),
        };
        match wire.carry(method, arguments).await {
            Carried::Unsent => Err(Trouble::Unsent.into()),
            Carried::Lost => Err(Trouble::Lost.into()),
            Carried::Answered(status, retry_after_secs, body) => {
                judge(status, retry_after_secs, body.to_string().as_bytes())
            }
        }
    }
}

/// What every answer of Slack has.
#[derive(Deserialize)]
struct Envelope {
    ok: bool,
    error: Option<String>,
    needed: Option<serde_json::Value>,
    response_metadata: Option<serde_json::Value>,
}

impl Transport {
    async fn call<RS>(&self, request: reqwest::RequestBuilder, token: Option<&SlackApiToken>) -> ClientResult<RS>
    where
        RS: for<'de> Deserialize<'de>,
    {
        let request = match token {
            Some(token) => request.bearer_auth(&token.token_value.0),
            None => request,
        };
        let response = request.send().await.map_err(|error| {
            // hyper reports a refused or timed-out connection apart from one that broke under a request.
            if error.is_connect() || error.is_builder() {
                Trouble::Unsent
            } else {
                Trouble::Lost
            }
        })?;
        let status = response.status().as_u16();
        let retry_after_secs = outbound::retry_after_secs(response.headers());
        let body = match outbound::read_capped(response, self.answer_bytes_max).await {
            Ok(body) => body,
            // The status alone says enough.
            Err(_) if status != 200 => return Err(Trouble::Status(status, retry_after_secs).into()),
            Err(Unread::Lost) => return Err(Trouble::Lost.into()),
            Err(Unread::TooLong) => return Err(Trouble::Garbled("its answer was too long").into()),
        };
        judge(status, retry_after_secs, &body)
    }
}

fn judge<RS>(status: u16, retry_after_secs: Option<u64>, body: &[u8]) -> ClientResult<RS>
where
    RS: for<'de> Deserialize<'de>,
{
    let envelope = serde_json::from_slice::<Envelope>(body);
    let refusal = envelope.as_ref().ok().filter(|envelope| !envelope.ok);
    if let Some((envelope, error)) = refusal.and_then(|envelope| Some((envelope, envelope.error.clone()?)))
        // A 5xx or 429 outweighs the words in its body.
        && status < 429
    {
        return Err(Trouble::Refused {
            error,
            detail: detail(envelope),
            retry_after_secs,
        }
        .into());
    }
    if status != 200 {
        return Err(Trouble::Status(status, retry_after_secs).into());
    }
    match envelope {
        Ok(envelope) if envelope.ok => {
            serde_json::from_slice(body).map_err(|_| Trouble::Garbled("its answer lacked what we need").into())
        }
        Ok(_) => Err(Trouble::Garbled("its answer was neither yes nor no").into()),
        Err(_) => Err(Trouble::Garbled("its answer was not Slack's JSON").into()),
    }
}

fn detail(envelope: &Envelope) -> Option<String> {
    if let Some(needed) = envelope.needed.as_ref().and_then(|needed| needed.as_str()) {
        return Some(needed.to_owned());
    }
    let messages = envelope.response_metadata.as_ref()?.get("messages")?;
    messages.get(0)?.as_str().map(str::to_owned)
}

fn unused<'a, RS: 'a>() -> BoxFuture<'a, ClientResult<RS>> {
    Box::pin(async { Err(Trouble::Unsent.into()) })
}

impl SlackClientHttpConnector for Transport {
    fn http_get_uri<'a, RS>(
        &'a self,
        full_uri: Url,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        #[cfg(feature = "simulation")]
        if let Some(wire) = &self.wire {
            return Box::pin(async move { self.carry(wire.as_ref(), &full_uri, None).await });
        }
        Box::pin(self.call(self.http.get(full_uri), context.token))
    }

    fn http_post_uri<'a, RQ, RS>(
        &'a self,
        full_uri: Url,
        request_body: &'a RQ,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RQ: serde::Serialize + Send + Sync,
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        let Ok(body) = serde_json::to_vec(request_body) else {
            return unused();
        };
        #[cfg(feature = "simulation")]
        if let Some(wire) = &self.wire {
            return Box::pin(async move { self.carry(wire.as_ref(), &full_uri, Some(body)).await });
        }
        let request = self
            .http
            .post(full_uri)
            .header("content-type", "application/json; charset=utf-8");
        Box::pin(self.call(request.body(body), context.token))
    }

    fn create_method_uri_path(&self, method: &str) -> ClientResult<Url> {
        Ok(Url::parse(&format!("{}/{method}", self.api_url))?)
    }

    // OAuth and uploads: Countersign does neither.
    fn http_get_with_client_secret<'a, RS>(
        &'a self,
        _: Url,
        _: &'a SlackClientId,
        _: &'a SlackClientSecret,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        unused()
    }

    fn http_post_uri_multipart_form<'a, 'p, RS, PT, TS>(
        &'a self,
        _: Url,
        _: Option<FileMultipartData<'p>>,
        _: &'p PT,
        _: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
        PT: IntoIterator<Item = (&'p str, Option<TS>)> + Clone,
        TS: AsRef<str> + 'p + Send,
    {
        unused()
    }

    fn http_post_uri_binary<'a, 'p, RS>(
        &'a self,
        _: Url,
        _: String,
        _: &'a [u8],
        _: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        unused()
    }
}
