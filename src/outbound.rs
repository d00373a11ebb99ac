//! HTTP to the outside: which addresses are allowed, and one client with a limit on everything. No redirect is
//! followed and no proxy is taken from the environment.

use crate::failure::Failure;
use std::time::Duration;
use url::{Host, Url};

/// How long connecting may take.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long a whole call may take.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Reads an address that we may call: https, or plain http on this machine only; no user in it, no fragment.
///
/// # Errors
/// Names `what` and the remedy; the address itself is not repeated, since it may hold a secret.
pub fn endpoint(text: &str, what: &str) -> Result<Url, Failure> {
    let no = |why: &str| Failure::permanent(format!("{what} can't be used: {why}"));
    let url = Url::parse(text).map_err(|_| no("it is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(no("it must not hold a user or a password"));
    }
    if url.fragment().is_some() {
        return Err(no("it must not have a fragment (#…)"));
    }
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(no("plain http is for this machine only; use https")),
        _ => Err(no("use https")),
    }
}

/// Whether the address is on this machine: `localhost`, 127.0.0.0/8 or ::1.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A client for `url`: https only, unless `url` is plain http on this machine.
///
/// # Errors
/// The system's root certificates can't be read.
pub(crate) fn client(url: &Url, call_limit: Duration) -> Result<reqwest::Client, Failure> {
    crate::tls::install();
    let plain = url.scheme() == "http";
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT.min(call_limit))
        .timeout(call_limit)
        .pool_idle_timeout(Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .https_only(!plain)
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
    // On this machine no certificate is ever looked at, so a system without any is no obstacle there.
    let builder = if plain { builder.tls_certs_only([]) } else { builder };
    builder.build().map_err(|_| {
        Failure::permanent(
            "the HTTP client can't start: install the system's root certificates (package ca-certificates)",
        )
    })
}

/// Why an answer could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The connection broke or stalled.
    Lost,
    /// It is longer than the limit.
    TooLong,
}

/// Reads at most `bytes_max` of an answer's body.
pub(crate) async fn read_capped(mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Unread> {
    if response
        .content_length()
        .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bytes_max))
    {
        return Err(Unread::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Unread::Lost)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The seconds of a `Retry-After` header. The form with a date is not used by anybody we call and counts as none.
pub(crate) fn retry_after_secs(headers: &reqwest::header::HeaderMap) -> Option<u64> {
    headers
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
