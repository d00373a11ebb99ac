//! A small HTTP client for plain `http://` addresses, one connection per request.
//! Has no TLS on purpose: everything the playground talks to is on this machine.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An HTTP answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// `Retry-After` in seconds, when there is one.
    pub retry_after_s: Option<u64>,
    /// Body as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON; `null` if it isn't JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Sends one request; `url` must start with `http://`.
pub async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> anyhow::Result<Answer> {
    let (authority, path) = split_url(url)?;
    let address = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&address))
        .await
        .with_context(|| format!("connecting to {address} took too long"))?
        .with_context(|| format!("can't connect to {address}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = response.status().as_u16();
    let retry_after_s = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let collected = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    driver.abort();
    let bytes = collected.map_err(|error| anyhow::anyhow!("reading the answer failed: {error}"))?;
    let body = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
    Ok(Answer {
        status,
        retry_after_s,
        body,
    })
}

/// True if something accepts connections at this address.
pub(crate) async fn reachable(url: &str) -> bool {
    let Ok((authority, _)) = split_url(url) else {
        return false;
    };
    let connecting = TcpStream::connect(authority.to_owned());
    matches!(
        tokio::time::timeout(Duration::from_secs(1), connecting).await,
        Ok(Ok(_))
    )
}

fn split_url(url: &str) -> anyhow::Result<(&str, &str)> {
    let Some(rest) = url.strip_prefix("http://") else {
        bail!("{url} does not start with http://")
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    Ok((authority, if path.is_empty() { "/" } else { path }))
}
