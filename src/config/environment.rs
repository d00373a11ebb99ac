//! What comes from the environment: tokens, addresses, the database. The only reader of secret files.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use url::Url;

use crate::checkpoints::key::{SECRET_CHARACTERS, SigningKey};

use super::problem::Report;
use super::secret::Secret;
use super::shapes::{is_loopback, is_safe_web_address, nearest};
use super::table::{default_of, variable_names};
use super::{Database, MailSender, StorePlace};

const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
const SIGNING_SECRET_CHARACTERS_MIN: usize = 16;

/// The variables of a process, by name.
pub type Variables = BTreeMap<String, String>;

/// Everything that the environment says, checked.
pub(super) struct Environment {
    pub api_url: Option<Url>,
    pub bot_token: Option<Secret>,
    pub signing_secret: Option<Secret>,
    pub signing_secret_previous: Option<Secret>,
    pub app_token: Option<Secret>,
    pub sender: Option<MailSender>,
    pub listen: Option<SocketAddr>,
    pub metrics_listen: Option<SocketAddr>,
    pub checkpoint_key: Option<Secret>,
}

/// A variable that is set to something visible. A blank one counts as not set: that is how env files leave things out.
pub(super) fn plain<'v>(variables: &'v Variables, name: &str) -> Option<&'v str> {
    variables
        .get(name)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

pub(super) fn read(variables: &Variables, report: &mut Report) -> Environment {
    mistyped_names(variables, report);
    let bot_token = token(variables, "SLACK_BOT_TOKEN", "xoxb-", report);
    if bot_token.is_none() {
        required(
            variables,
            "SLACK_BOT_TOKEN",
            "Copy the bot token from the Slack app's page \"OAuth & Permissions\".",
            report,
        );
    }
    let signing_secret = signing(variables, "SLACK_SIGNING_SECRET", report);
    if signing_secret.is_none() {
        required(
            variables,
            "SLACK_SIGNING_SECRET",
            "Copy the signing secret from the Slack app's page \"Basic Information\".",
            report,
        );
    }
    let listen = address(variables, "COUNTERSIGN_LISTEN", report);
    let metrics_listen = address(variables, "COUNTERSIGN_METRICS_LISTEN", report);
    if metrics_listen.is_some() && metrics_listen == listen && listen.is_some_and(|address| address.port() != 0) {
        report.problem(
            "COUNTERSIGN_METRICS_LISTEN",
            "it is the same address as COUNTERSIGN_LISTEN",
            "Choose another port, or remove it: /metrics is then served beside the rest.",
        );
    }
    Environment {
        api_url: api_url(variables, report),
        bot_token,
        signing_secret,
        signing_secret_previous: signing(variables, "SLACK_SIGNING_SECRET_PREVIOUS", report),
        app_token: token(variables, "SLACK_APP_TOKEN", "xapp-", report),
        sender: sender(variables, report),
        listen,
        metrics_listen,
        checkpoint_key: checkpoint_key(variables, report),
    }
}

/// The key that signs checkpoints, if there is one.
pub(super) fn checkpoint_key(variables: &Variables, report: &mut Report) -> Option<Secret> {
    let key = secret(variables, "COUNTERSIGN_CHECKPOINT_KEY", report)?;
    if SigningKey::new(&key).is_none() {
        report.problem(
            "COUNTERSIGN_CHECKPOINT_KEY",
            format!("it is not 32 bytes in base64, which have {SECRET_CHARACTERS} characters"),
            "Copy the whole key, or make one: countersign audit keygen --output FILE",
        );
        return None;
    }
    Some(key)
}

/// Only near misses: others set names of this form too, such as Kubernetes for a service called countersign.
fn mistyped_names(variables: &Variables, report: &mut Report) {
    const PREFIX: &str = "COUNTERSIGN_";
    let known = variable_names();
    let endings: Vec<&str> = known.iter().filter_map(|name| name.strip_prefix(PREFIX)).collect();
    for ending in variables.keys().filter_map(|name| name.strip_prefix(PREFIX)) {
        let near = nearest(ending, endings.iter().copied()).filter(|near| *near != ending);
        if let Some(near) = near {
            let wrong = format!("no such variable is read. Did you mean `{PREFIX}{near}`?");
            report.warning(format!("{PREFIX}{ending}"), wrong, "Correct the name, or remove it.");
        }
    }
}

/// A missing secret is one problem; a present one that is wrong has been told already.
fn required(variables: &Variables, name: &str, remedy: &str, report: &mut Report) {
    if plain(variables, name).is_none() && plain(variables, &format!("{name}_FILE")).is_none() {
        report.problem(
            name,
            "it is not set, or blank",
            format!("{remedy} {name}_FILE may name a file that holds it."),
        );
    }
}

fn token(variables: &Variables, name: &str, prefix: &str, report: &mut Report) -> Option<Secret> {
    let token = secret(variables, name, report)?;
    let rest = token.expose().strip_prefix(prefix).unwrap_or_default();
    if rest.len() < 10 || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        report.problem(
            name,
            format!("this is no such token: one begins with `{prefix}` and has no spaces"),
            "Copy the token again; another kind of token was pasted, or a part of it.",
        );
        return None;
    }
    Some(token)
}

fn signing(variables: &Variables, name: &str, report: &mut Report) -> Option<Secret> {
    let value = secret(variables, name, report)?;
    let text = value.expose();
    if text.chars().count() < SIGNING_SECRET_CHARACTERS_MIN || text.chars().any(char::is_whitespace) {
        report.problem(
            name,
            format!("it is shorter than {SIGNING_SECRET_CHARACTERS_MIN} characters or holds spaces"),
            "Copy the whole signing secret: anybody who guesses it can sign releases.",
        );
        return None;
    }
    Some(value)
}

/// A secret from its variable or from the file that `…_FILE` names.
fn secret(variables: &Variables, name: &str, report: &mut Report) -> Option<Secret> {
    let file_name = format!("{name}_FILE");
    match (plain(variables, name), plain(variables, &file_name)) {
        (Some(_), Some(_)) => {
            report.problem(
                name,
                format!("both {name} and {file_name} are set"),
                "Keep one of them; the program won't guess which is current.",
            );
            None
        }
        (Some(value), None) => Some(Secret::new(value)),
        (None, Some(path)) => match secret_file(Path::new(path)) {
            Ok(value) => Some(Secret::new(value)),
            Err((wrong, remedy)) => {
                report.problem(file_name, format!("{path}: {wrong}"), remedy);
                None
            }
        },
        (None, None) => None,
    }
}

fn secret_file(path: &Path) -> Result<String, (String, String)> {
    let unreadable = |error: std::io::Error| {
        (
            format!("the file can't be read ({error})"),
            "Check the path, and that the bot's user owns the file.".to_owned(),
        )
    };
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err((
            "this is not a file".to_owned(),
            "Name a plain file that holds the secret and nothing else.".to_owned(),
        ));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err((
            format!("others than its owner may use this file (mode {:03o})", mode & 0o777),
            format!("Run: chmod 600 {}", path.display()),
        ));
    }
    let mut text = String::new();
    file.take(SECRET_FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    let value = text.trim_end_matches(['\n', '\r']);
    if value.trim().is_empty() || text.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err((
            "the file is empty, or too large for a secret".to_owned(),
            "Write the secret into it, and nothing else.".to_owned(),
        ));
    }
    Ok(value.to_owned())
}

fn api_url(variables: &Variables, report: &mut Report) -> Option<Url> {
    let text = plain(variables, "SLACK_API_URL").unwrap_or(default_of("SLACK_API_URL"));
    let safe = |url: &Url| {
        is_safe_web_address(url) && url.username().is_empty() && url.password().is_none() && url.query().is_none()
    };
    let url = Url::parse(text).ok().filter(safe);
    if url.is_none() {
        report.problem(
            "SLACK_API_URL",
            "this is no address that the bot's token may be sent to",
            "Use https, or plain http on 127.0.0.1, [::1] or localhost, without user, password or query.",
        );
    }
    url
}

fn address(variables: &Variables, name: &str, report: &mut Report) -> Option<SocketAddr> {
    let text = plain(variables, name).or(Some(default_of(name)).filter(|default| *default != "none"))?;
    let address = text.parse().ok();
    if address.is_none() {
        report.problem(
            name,
            format!("{text:?} is not an IP address with a port"),
            "Write it as 127.0.0.1:3000, [::1]:3000 or 0.0.0.0:3000.",
        );
    }
    address
}

fn sender(variables: &Variables, report: &mut Report) -> Option<MailSender> {
    let url = secret(variables, "SMTP_URL", report);
    let url_given = plain(variables, "SMTP_URL")
        .or(plain(variables, "SMTP_URL_FILE"))
        .is_some();
    let from = plain(variables, "SMTP_FROM");
    match (url_given, from) {
        (true, None) => report.problem(
            "SMTP_FROM",
            "it is not set, but SMTP_URL is",
            "Name the sender, such as `Countersign <countersign@example.com>`, or remove SMTP_URL.",
        ),
        (false, Some(_)) => report.problem(
            "SMTP_URL",
            "it is not set, but SMTP_FROM is",
            "Name the mail server, such as `smtps://user:password@host`, or remove SMTP_FROM.",
        ),
        _ => {}
    }
    let from = from.and_then(|text| {
        let mailbox = text.parse::<lettre::message::Mailbox>();
        if mailbox.is_err() {
            report.problem(
                "SMTP_FROM",
                "this is not an e-mail address",
                "Write `countersign@example.com` or `Countersign <countersign@example.com>`.",
            );
        }
        mailbox.ok()
    });
    let url = url.and_then(|url| match mail_server(url.expose()) {
        Ok(host) => Some((url, host)),
        Err(wrong) => {
            report.problem(
                "SMTP_URL",
                wrong,
                "Write `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS.",
            );
            None
        }
    });
    let ((url, host), from) = (url?, from?);
    Some(MailSender { url, host, from })
}

/// The server's host, or what is wrong with the address, without quoting it.
fn mail_server(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "this is not an address")?;
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or("it names no host")?
        .to_owned();
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err("it goes on after the host");
    }
    if url.username().is_empty() != url.password().is_none() {
        return Err("user and password belong together");
    }
    let encrypted = match (url.scheme(), url.query()) {
        ("smtps", None) | ("smtp", Some("tls=required")) => true,
        ("smtp", None) => false,
        ("smtp" | "smtps", Some(_)) => {
            return Err("it asks for something unknown: only `?tls=required` on smtp:// is read");
        }
        _ => return Err("it is neither smtp:// nor smtps://"),
    };
    // `smtp://127.0.0.1` is no special scheme to the parser: the host stays text.
    let here = Url::parse(&format!("http://{host}")).is_ok_and(|host| is_loopback(&host));
    if url.password().is_some() && !encrypted && !here {
        return Err("the password would travel unencrypted");
    }
    Ok(host)
}

/// Where decisions are kept. Verbs that only need the database read this and nothing else.
pub(super) fn store(variables: &Variables, report: &mut Report) -> Option<StorePlace> {
    let data = PathBuf::from(plain(variables, "COUNTERSIGN_DATA").unwrap_or(default_of("COUNTERSIGN_DATA")));
    let given = plain(variables, "DATABASE_URL")
        .or(plain(variables, "DATABASE_URL_FILE"))
        .is_some();
    if !given {
        return Some(StorePlace {
            database: Database::Sqlite {
                path: data.join("countersign.sqlite"),
            },
            data,
        });
    }
    let url = secret(variables, "DATABASE_URL", report)?;
    match database(&url) {
        Ok(database) => Some(StorePlace { database, data }),
        Err(wrong) => {
            report.problem(
                "DATABASE_URL",
                wrong,
                "Write `sqlite:PATH` or `postgres://user:password@host/database`.",
            );
            None
        }
    }
}

fn database(url: &Secret) -> Result<Database, &'static str> {
    if let Some(rest) = url.expose().strip_prefix("sqlite:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        return match path {
            "" | ":memory:" => Err("a database in memory would forget every decision"),
            path if path.contains(['?', '#']) => {
                Err("nothing may follow the path: how SQLite is opened is not yours to set")
            }
            path => Ok(Database::Sqlite {
                path: PathBuf::from(path),
            }),
        };
    }
    let parsed = Url::parse(url.expose()).map_err(|_| "this is not an address")?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err("it is neither sqlite: nor postgres://");
    }
    // A socket folder may stand in the query instead of a host.
    let host =
        parsed.host_str().is_some_and(|host| !host.is_empty()) || parsed.query_pairs().any(|(key, _)| key == "host");
    if !host || parsed.path().len() < 2 {
        return Err("it names no host, or no database");
    }
    Ok(Database::Postgres { url: url.clone() })
}
