//! Mail by SMTP: plain text, one recipient per mail, a Message-ID that the caller fixes so that a repeated mail is
//! seen as the same one. Encrypted, except to a server on this machine.

use crate::failure::Failure;
use crate::outbound;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::error::Error;
use std::time::Duration;
use std::{fmt, io};
use url::Url;

/// How long one step of the conversation may take.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// How long a mail may take altogether: some servers greet strangers slowly on purpose.
const MAIL_LIMIT: Duration = Duration::from_secs(30);
const SUBJECT_CHARS_MAX: usize = 200;
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A mail to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// One address, `name@host` or `Name <name@host>`. One mail per address: a server that refuses one recipient
    /// refuses the whole mail.
    pub to: String,
    /// At most 200 characters, one line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// `<left@right>`, the same for every repetition of the same mail.
    pub message_id: String,
}

/// Sends mail.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    server: String,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Tells other machines not to answer this one (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mailer {
    /// A mailer over `smtp_url`: `smtps://user:password@host:465` (TLS from the first byte) or
    /// `smtp://user:password@host:587?tls=required` (STARTTLS is required, which only a host on this machine may do
    /// without, by leaving the query out). Letters that mean something in a URL are percent-encoded in user and
    /// password. The system's roots are trusted, as read now. `from` is the sender's address.
    ///
    /// # Errors
    /// Permanent, naming `SMTP_URL` or `SMTP_FROM`, without repeating it; or the system has no root certificates.
    pub fn new(smtp_url: &str, from: &str) -> Result<Self, Failure> {
        let no = |why: &str| Failure::permanent(format!("SMTP_URL can't be used: {why}"));
        crate::tls::install();
        let url = Url::parse(smtp_url).map_err(|_| no("it is not a URL such as smtp://user:password@host:587"))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| no("it names no host"))?;
        let required = match (url.scheme(), url.query()) {
            ("smtp", Some("tls=required")) => true,
            (_, None) => false,
            _ => return Err(no("only ?tls=required may follow smtp://…")),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(no(
                "nothing else may follow the port; percent-encode / ? and # in the password",
            ));
        }
        // The brackets of an IPv6 address belong to the URL, not to the host.
        let host = host.trim_matches(['[', ']']);
        let plain = is_loopback(host) && !required;
        let encrypted = || {
            TlsParameters::new(host.to_owned()).map_err(|_| {
                no("there is no root certificate to trust: install the system's (package ca-certificates), or set SSL_CERT_FILE")
            })
        };
        let (default_port, tls) = match url.scheme() {
            "smtps" => (465, Tls::Wrapper(encrypted()?)),
            "smtp" if plain => (25, Tls::None),
            "smtp" => (587, Tls::Required(encrypted()?)),
            _ => return Err(no("it must begin with smtp:// or smtps://")),
        };
        let port = url.port().unwrap_or(default_port);
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls);
        let mut builder = builder.timeout(Some(STEP_LIMIT));
        match (url.username(), url.password()) {
            ("", None) => {}
            (user, Some(password)) if !user.is_empty() => {
                let decoded = percent_decode(user).zip(percent_decode(password));
                let (user, password) = decoded.ok_or_else(|| no("user or password is not percent-encoded UTF-8"))?;
                builder = builder.credentials(Credentials::new(user, password));
            }
            _ => return Err(no("it needs both a user and a password, or neither")),
        }
        let from = mailbox(from).ok_or_else(|| Failure::permanent("SMTP_FROM is not an e-mail address"))?;
        Ok(Self {
            transport: builder.build(),
            from,
            server: format!("{host}:{port}"),
        })
    }

    /// Sends one mail, within 30 s.
    ///
    /// # Errors
    /// Transient with an unknown outcome if the connection broke under way: the mail may have been taken. Permanent
    /// if the server refuses it for good (5xx), or if it can't be a mail at all.
    pub async fn send(&self, mail: &Mail) -> Result<(), Failure> {
        let message = self.compose(mail)?;
        let sent = tokio::time::timeout(MAIL_LIMIT, self.transport.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge(&error)),
            Err(_) => Err(Failure::unknown("the mail server did not finish in time")),
        }
    }

    fn compose(&self, mail: &Mail) -> Result<Message, Failure> {
        let no = |why: &str| Failure::permanent(format!("this mail can't be sent: {why}"));
        // A line break in a header would begin another header.
        let one_line = |text: &str| !text.chars().any(char::is_control);
        if ![&mail.to, &mail.subject, &mail.message_id]
            .into_iter()
            .all(|text| one_line(text))
        {
            return Err(no("a header holds a line break or another control character"));
        }
        if mail.subject.chars().count() > SUBJECT_CHARS_MAX || mail.body.len() > BODY_BYTES_MAX {
            return Err(no("it is too long"));
        }
        if !is_message_id(&mail.message_id) {
            return Err(no("its Message-ID must look like <left@right>"));
        }
        let to =
            mailbox(&mail.to).ok_or_else(|| no("the recipient is not one e-mail address; check the configuration"))?;
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&mail.subject)
            .message_id(Some(mail.message_id.clone()))
            .header(AutoSubmitted)
            .singlepart(SinglePart::plain(mail.body.clone()))
            .map_err(|_| no("it could not be put together"))
    }
}

fn mailbox(text: &str) -> Option<Mailbox> {
    let fits = text.len() <= 320 && !text.chars().any(char::is_control);
    fits.then(|| text.parse().ok()).flatten()
}

fn is_message_id(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._+~/=".contains(&b))
    };
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    text.len() <= 250
        && inner
            .and_then(|inner| inner.split_once('@'))
            .is_some_and(|(l, r)| plain(l) && plain(r))
}

fn is_loopback(host: &str) -> bool {
    let in_url = if host.contains(':') {
        format!("http://[{host}]")
    } else {
        format!("http://{host}")
    };
    Url::parse(&in_url).is_ok_and(|url| outbound::is_loopback(&url))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// What an SMTP error means. Of the server's own words only the code is repeated: they may hold addresses.
fn judge(error: &lettre::transport::smtp::Error) -> Failure {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    if error.is_transient() {
        return Failure::transient(format!("the mail server asks to try later ({code})"));
    }
    if error.is_permanent() {
        let remedy = match code.as_str() {
            "530" | "534" | "535" | "538" => "check user and password in SMTP_URL",
            "550" | "551" | "553" | "501" => "check the recipient's address and SMTP_FROM",
            "552" => "the mailbox is full or the mail too large",
            _ => "ask whoever runs the mail server",
        };
        return Failure::permanent(format!("the mail server refuses the mail ({code}): {remedy}"));
    }
    if error.is_client() {
        return Failure::permanent("the mail server offers no encryption or no log-in that SMTP_URL asks for");
    }
    if let Some(failure) = tls_failure(error) {
        return failure;
    }
    // lettre tells a failed connection from a broken one only in its words.
    if error.to_string().starts_with("Connection error") {
        return Failure::transient("the mail server can't be reached, or hangs up at once");
    }
    Failure::unknown("the connection to the mail server broke under way; the mail may have been taken")
}

/// What was wrong with the encryption, if that is why there is no connection. Nothing was sent then.
fn tls_failure(error: &lettre::transport::smtp::Error) -> Option<Failure> {
    use rustls::{CertificateError as Wrong, Error as Tls};
    let mut source = error.source();
    let tls = loop {
        let cause = source?;
        let inside = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inside.map_or_else(|| cause.downcast_ref(), |inside| inside.downcast_ref());
        if let Some(tls) = tls {
            break tls;
        }
        source = cause.source();
    };
    let Tls::InvalidCertificate(wrong) = tls else {
        let why = "no encrypted connection to the mail server: check that SMTP_URL names the port where it speaks TLS";
        return Some(Failure::transient(why));
    };
    Some(Failure::permanent(match wrong {
        Wrong::UnknownIssuer | Wrong::BadSignature => {
            "the mail server's certificate is of an authority that this system doesn't trust: add it to the system's \
             roots, or name its file in SSL_CERT_FILE, and start again"
        }
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            "the mail server's certificate is for another name than the host in SMTP_URL"
        }
        Wrong::Expired | Wrong::ExpiredContext { .. } => "the mail server's certificate has expired",
        _ => "the mail server's certificate is not valid",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_would_send_a_password_in_the_clear_or_nowhere_are_refused() {
        for url in [
            "",
            "mail.acme.test",
            "http://mail.acme.test",
            "smtp://",
            "smtp://u@mail.acme.test",
            "smtp://:pw@mail.acme.test",
            "smtp://u:p@mail.acme.test/x",
            "smtp://u:p@mail.acme.test?tls=none",
            "smtps://u:p@mail.acme.test?tls=required",
            "smtp://u:%zz@mail.acme.test",
            "smtp://u:p#x@mail.acme.test",
        ] {
            let failure = Mailer::new(url, "bot@acme.test").unwrap_err();
            assert!(
                !failure.is_transient() && failure.message().contains("SMTP_URL"),
                "{url}: {failure}"
            );
        }
        for from in ["", "bot", "bot@acme.test\r\nBcc: x@y.test", "a@b.test, c@d.test"] {
            assert!(Mailer::new("smtp://127.0.0.1:2525", from).is_err(), "{from:?}");
        }
        assert_eq!(percent_decode("p%40ss%2Fw%C3%B6rd").as_deref(), Some("p@ss/wörd"));
    }
}
