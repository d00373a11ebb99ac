//! PostgreSQL's own client tools, which know how to copy one of its databases. Where they connect to stands in their
//! environment, never in their arguments, which everybody on the machine can read.

use crate::child::{Ended, NoEnd, Program};
use anyhow::Context as _;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// A database that takes longer needs another way than this.
pub(super) const WITHIN: Duration = Duration::from_hours(6);
const ERRORS_BYTES_MAX: usize = 16 * 1024;
/// What libpq also takes from our environment, as the bot itself does.
const INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGOPTIONS",
];

/// Writes the database, as of one moment, into `to`.
///
/// # Errors
/// When the tool is missing, too old, or fails; what it said is quoted.
pub async fn dump(url: &str, to: &Path) -> anyhow::Result<()> {
    let arguments = [
        "--format=custom".to_owned(),
        "--no-owner".to_owned(),
        "--no-privileges".to_owned(),
        format!("--file={}", to.display()),
    ];
    run("pg_dump", &arguments, url).await
}

/// Fills an empty database from a dump, whole or not at all.
///
/// # Errors
/// As [`dump`].
pub async fn restore(url: &str, from: &Path) -> anyhow::Result<()> {
    let arguments = [
        "--no-owner".to_owned(),
        "--no-privileges".to_owned(),
        "--exit-on-error".to_owned(),
        "--single-transaction".to_owned(),
        // Empty: the one of the environment.
        "--dbname=".to_owned(),
        from.display().to_string(),
    ];
    run("pg_restore", &arguments, url).await
}

async fn run(tool: &str, arguments: &[String], url: &str) -> anyhow::Result<()> {
    let set = connection(url).context("DATABASE_URL")?;
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let program = Program {
        path: tool,
        arguments,
        inherited: &INHERITED,
        set: &set,
        limit: WITHIN,
        output_bytes_max: ERRORS_BYTES_MAX,
    };
    judge(tool, program.run().await)
}

pub(super) fn missing(tool: &str) -> String {
    format!(
        "{tool} can't be run: install PostgreSQL's client tools, of the server's version or a later one, and have them on the PATH"
    )
}

fn judge(tool: &str, ran: Result<Ended, NoEnd>) -> anyhow::Result<()> {
    match ran {
        Ok(ended) if ended.status.success() => Ok(()),
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.errors);
            let said = said.trim();
            let hint = if said.contains("version mismatch") || said.contains("unsupported version") {
                "; its version must be the server's or a later one"
            } else {
                ""
            };
            anyhow::bail!("{tool} failed{hint}: {said}")
        }
        Err(NoEnd::NotStarted(_)) => anyhow::bail!("{}", missing(tool)),
        Err(NoEnd::TimedOut) => anyhow::bail!("{tool} took longer than {} h", WITHIN.as_secs() / 3_600),
    }
}

/// The variables that lead libpq where `url` leads the bot.
fn connection(url: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    // Never print it: it may hold a password.
    let url = Url::parse(url).map_err(|_| anyhow::anyhow!("it is not an address"))?;
    let mut set = vec![("PGAPPNAME", "countersign".to_owned())];
    let mut add = |name, value: String| {
        if !value.is_empty() {
            set.retain(|(known, _)| *known != name);
            set.push((name, value));
        }
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    add("PGHOST", decoded(host));
    add("PGPORT", url.port().map(|port| port.to_string()).unwrap_or_default());
    add("PGUSER", decoded(url.username()));
    add("PGPASSWORD", decoded(url.password().unwrap_or_default()));
    add("PGDATABASE", decoded(url.path().trim_start_matches('/')));
    for (key, value) in url.query_pairs() {
        let name = match key.as_ref() {
            "host" => "PGHOST",
            "hostaddr" => "PGHOSTADDR",
            "port" => "PGPORT",
            "user" => "PGUSER",
            "password" => "PGPASSWORD",
            "dbname" => "PGDATABASE",
            "sslmode" | "ssl-mode" => "PGSSLMODE",
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "PGSSLROOTCERT",
            "sslcert" | "ssl-cert" => "PGSSLCERT",
            "sslkey" | "ssl-key" => "PGSSLKEY",
            "options" => "PGOPTIONS",
            // How the bot itself uses its connections.
            "application_name" | "statement-cache-capacity" => continue,
            other => anyhow::bail!("PostgreSQL's tools can't be told `{other}`; make the backup with them yourself"),
        };
        add(name, value.into_owned());
    }
    Ok(set)
}

/// Text of an address without its percent signs; what is no escape stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = escape
            .filter(|_| *first == b'%')
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_the_database_goes_into_the_environment() {
        let check = |url: &str, expected: &[(&str, &str)]| {
            let set = connection(url).unwrap();
            let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(set[1..], *expected, "{url}");
        };
        check(
            "postgres://bot:p%40ss%25word@db.acme.test:5433/counter%20sign?sslmode=verify-full&sslrootcert=/ca.pem",
            &[
                ("PGHOST", "db.acme.test"),
                ("PGPORT", "5433"),
                ("PGUSER", "bot"),
                ("PGPASSWORD", "p@ss%word"),
                ("PGDATABASE", "counter sign"),
                ("PGSSLMODE", "verify-full"),
                ("PGSSLROOTCERT", "/ca.pem"),
            ],
        );
        check(
            "postgres://postgres@localhost:5432/test?host=%2Ftmp%2Fsocket",
            &[
                ("PGPORT", "5432"),
                ("PGUSER", "postgres"),
                ("PGDATABASE", "test"),
                ("PGHOST", "/tmp/socket"),
            ],
        );
        check(
            "postgres://u@[::1]/d",
            &[("PGHOST", "::1"), ("PGUSER", "u"), ("PGDATABASE", "d")],
        );
        let error = connection("postgres://u:secret@h/d?target_session_attrs=any").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
