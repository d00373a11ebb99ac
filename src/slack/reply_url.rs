//! The address for private answers (`response_url`) comes from outside, so it is checked before it is used:
//! parsed, not searched; one exact origin; nothing hidden in it.

use url::{Host, Url};

/// Where Slack takes private answers.
pub const SLACK_HOOKS: &str = "hooks.slack.com";

/// An address that a private answer may be sent to. The client that uses it must not follow redirects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyUrl(Url);

impl ReplyUrl {
    /// Checks `text`. `api` is the base address of the Web API: Slack's own means [`SLACK_HOOKS`] by https; a stand-in
    /// on this machine means exactly its own origin.
    pub fn check(text: &str, api: &Url) -> Option<Self> {
        // Browsers and parsers disagree about these; no real address has them.
        if text.len() > 2_000 || text.contains(['\\', '@', '#']) || text.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let is_ours = if is_loopback(api) {
            url.origin() == api.origin()
        } else {
            url.scheme() == "https" && url.host_str() == Some(SLACK_HOOKS) && url.port().is_none()
        };
        (is_bare && is_ours).then_some(Self(url))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
