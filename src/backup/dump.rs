//! Looks into a dump of PostgreSQL without a server: the log in it is read and verified, every entry and the chain.

use super::postgres::{WITHIN, missing};
use anyhow::Context as _;
use domain::log_entry::{Broken, Head, Sealed, Verifier};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

/// Longer than any entry: what is not read as a line is no dump of ours.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Verifies the log in a dump; its end, or the first broken place.
///
/// # Errors
/// When the file is no dump, or holds no log of ours.
pub async fn verify(dump: &Path) -> anyhow::Result<Result<Head, Broken>> {
    let mut log = None;
    read(dump, "meta", |row| {
        log = row.get("log").cloned();
        Ok(true)
    })
    .await?;
    let log = log.context("the dump names no log")?;
    let mut recorded = None;
    read(dump, "head", |row| {
        recorded = Some(Head {
            log: log.clone(),
            position: number(&row, "position")?,
            hash: text(&row, "hash")?.try_into().map_err(anyhow::Error::msg)?,
            logged_ms: number(&row, "logged_ms")?,
        });
        Ok(true)
    })
    .await?;
    let recorded = recorded.context("the dump holds no end of the log")?;
    let (mut verifier, mut broken) = (Verifier::new(&log), None);
    // A table has no order: those that come early wait for their turn.
    let (mut next, mut early) = (1, BTreeMap::new());
    read(dump, "log", |row| {
        let entry = sealed(&row)?;
        early.insert(entry.position, entry);
        while let (None, Some(entry)) = (&broken, early.remove(&next)) {
            broken = verifier.push(&entry).err();
            next += 1;
        }
        Ok(broken.is_none())
    })
    .await?;
    if let (None, Some((_, entry))) = (&broken, early.pop_first()) {
        broken = verifier.push(&entry).err();
    }
    Ok(broken.map_or_else(|| verifier.finish(Some(&recorded)), Err))
}

type Row = HashMap<String, String>;

fn text(row: &Row, column: &str) -> anyhow::Result<String> {
    row.get(column)
        .cloned()
        .with_context(|| format!("a row of the dump has no {column}"))
}

fn number<T: std::str::FromStr>(row: &Row, column: &str) -> anyhow::Result<T> {
    let text = text(row, column)?;
    text.parse()
        .ok()
        .with_context(|| format!("a row of the dump has no number as {column}"))
}

fn sealed(row: &Row) -> anyhow::Result<Sealed> {
    Ok(Sealed {
        position: number(row, "position")?,
        stream: text(row, "stream")?,
        version: number(row, "version")?,
        logged_ms: number(row, "logged_ms")?,
        bytes: text(row, "bytes")?,
        previous: text(row, "previous")?.try_into().map_err(anyhow::Error::msg)?,
        hash: text(row, "hash")?.try_into().map_err(anyhow::Error::msg)?,
    })
}

/// Every row of a table to `take`, until it has enough. The rows come as `COPY` writes them.
async fn read(dump: &Path, table: &str, mut take: impl FnMut(Row) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let mut child = Command::new("pg_restore")
        .args(["--data-only", "--file=-", "--table", table])
        .arg(dump)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|_| anyhow::anyhow!("{}", missing("pg_restore")))?;
    let (stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = stdout.context("the output of pg_restore")?;
    let reading = async {
        let mut lines = BufReader::new(stdout);
        let mut columns: Option<Vec<String>> = None;
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
                return Ok::<bool, anyhow::Error>(true);
            }
            let text = std::str::from_utf8(&line).context("the dump is not UTF-8")?;
            let text = text.strip_suffix('\n').unwrap_or(text);
            match &columns {
                None => columns = copied_columns(text),
                Some(_) if text == "\\." => columns = None,
                Some(names) => {
                    let values = text.split('\t').map(unescaped);
                    if !take(names.iter().cloned().zip(values).collect())? {
                        return Ok(false);
                    }
                }
            }
        }
    };
    let ran_to_its_end = tokio::time::timeout(WITHIN, reading)
        .await
        .context("pg_restore took too long")??;
    if !ran_to_its_end {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(stderr) = &mut stderr {
        stderr.take(16 * 1024).read_to_string(&mut said).await?;
    }
    let status = child.wait().await?;
    anyhow::ensure!(
        status.success(),
        "pg_restore can't read {}: {}",
        dump.display(),
        said.trim()
    );
    Ok(())
}

/// The columns in `COPY public.log ("position", stream) FROM stdin;`
fn copied_columns(line: &str) -> Option<Vec<String>> {
    let (names, _) = line
        .strip_prefix("COPY ")?
        .split_once('(')?
        .1
        .split_once(") FROM stdin;")?;
    Some(
        names
            .split(", ")
            .map(|name| name.trim_matches('"').to_owned())
            .collect(),
    )
}

/// A value as it was before `COPY` wrote it.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('v') => text.push('\u{b}'),
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_copy_writes_them() {
        let columns = copied_columns(r#"COPY public.log ("position", stream, bytes) FROM stdin;"#);
        assert_eq!(columns.unwrap(), ["position", "stream", "bytes"]);
        assert_eq!(copied_columns("SET statement_timeout = 0;"), None);
        assert_eq!(unescaped(r#"{"a":"\\"b\\\\n\tc"}"#), "{\"a\":\"\\\"b\\\\n\tc\"}");
    }
}
