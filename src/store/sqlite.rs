//! SQLite: one process, one writer connection, a few readers. Each statement costs a hop to the
//! connection's thread, so a group is two multi-statement texts: one reads, one writes and commits.

use super::error::{Failure, Kind, OpenError};
use super::group::{Write, Written};
use super::plan::{self, Held, Plan, Snapshot, Window};
use super::sql::{AnyRow, Param, bind, guarded, json, signed};
use super::{Commit, erasing, migrate};
use domain::log_entry::{self, Head};
use domain::sabotage::Guard;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READERS: u32 = 3;

/// The file behind `sqlite:PATH` or `sqlite://PATH`.
pub(super) fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(":memory:") || path.contains('?') {
        return Err(OpenError::Url(format!(
            "`{url}` names no file; write `sqlite:PATH`, without parameters"
        )));
    }
    Ok(PathBuf::from(path))
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cache_size", "-65536")
        .disable_statement_logging()
}

fn writer_options(path: &Path) -> SqliteConnectOptions {
    options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "8000")
}

/// The bundled SQLite must not be one that can lose commits: the race at WAL resets was fixed in
/// 3.51.3, and 3.52.0 was withdrawn.
fn check_version(version: &str) -> Result<(), OpenError> {
    let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    if parts.as_slice() < [3, 51, 3].as_slice() || parts == [3, 52, 0] {
        return Err(OpenError::Unsafe(format!(
            "SQLite {version} can lose committed writes; 3.51.3 or later is needed, 3.52.0 excepted"
        )));
    }
    Ok(())
}

/// Keeps other processes out for as long as it lives, even if this process is killed.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = PathBuf::from(name);
    let cannot =
        |error: std::io::Error| OpenError::Database(anyhow::Error::new(error).context(format!("{}", file.display())));
    let mut handle = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file)
        .map_err(cannot)?;
    match handle.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = handle.read_to_string(&mut holder);
            let pid = read.ok().and_then(|_| holder.trim().parse().ok());
            return Err(OpenError::Locked { file, pid });
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    handle.set_len(0).map_err(cannot)?;
    writeln!(handle, "{}", std::process::id()).map_err(cannot)?;
    Ok(handle)
}

/// Opens the file for this process alone and brings its tables up to date.
pub(super) async fn open(path: &Path, now_ms: i64) -> Result<(SqlitePool, Writer), OpenError> {
    let lock = lock(path)?;
    open_locked(path, lock, now_ms).await.map_err(|error| error.about(path))
}

async fn open_locked(path: &Path, lock: File, now_ms: i64) -> Result<(SqlitePool, Writer), OpenError> {
    let mut connection = writer_options(path).connect().await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut connection)
        .await?;
    check_version(&version)?;
    migrate::sqlite(&mut connection, now_ms).await?;
    let log: String = sqlx::query_scalar("SELECT log FROM meta")
        .fetch_one(&mut connection)
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(2))
        .connect_with(options(path).pragma("query_only", "ON"))
        .await?;
    let writer = Writer {
        path: path.to_owned(),
        connection: Some(connection),
        log,
        _lock: lock,
    };
    Ok((readers, writer))
}

/// Opens the file for reading beside whoever serves it.
pub(super) async fn open_read_only(path: &Path) -> Result<SqlitePool, OpenError> {
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(Duration::from_secs(2))
        .connect_with(options(path).read_only(true).pragma("query_only", "ON"))
        .await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&readers)
        .await?;
    check_version(&version)?;
    migrate::check_sqlite(&readers).await?;
    Ok(readers)
}

/// The one connection that writes.
pub(super) struct Writer {
    path: PathBuf,
    /// None after a failure, until the next group opens a new one.
    connection: Option<SqliteConnection>,
    pub(super) log: String,
    /// Released when the writer is dropped.
    _lock: File,
}

impl Writer {
    /// Writes one group in one transaction.
    pub(super) async fn write(
        &mut self,
        commits: &[&Commit],
        writes: &[Write],
        now_ms: i64,
    ) -> Result<Written, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => writer_options(&self.path).connect().await?,
        };
        let result = write(&mut connection, &self.log, commits, writes, now_ms).await;
        if result.is_ok() {
            self.connection = Some(connection);
        } else {
            // What state the connection is in is not worth guessing.
            let _ = sqlx::query("ROLLBACK").execute(&mut connection).await;
            let _ = connection.close().await;
        }
        result
    }

    /// Writes the file anew without what was erased, and empties the write-ahead log: an erased row alone leaves its bytes in
    /// free space of both. False if a reader kept the log from being emptied.
    pub(super) async fn scrub(&mut self) -> Result<bool, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => writer_options(&self.path).connect().await?,
        };
        sqlx::query("VACUUM").execute(&mut connection).await?;
        let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut connection)
            .await?;
        self.connection = Some(connection);
        Ok(busy == 0)
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

async fn write(
    connection: &mut SqliteConnection,
    log: &str,
    commits: &[&Commit],
    writes: &[Write],
    now_ms: i64,
) -> Result<Written, Failure> {
    let (mut snapshot, head) = read(connection, log, commits).await?;
    let (verdicts, plan) = plan::resolve(commits, &mut snapshot);
    let (sealed, new_head) =
        log_entry::seal(&head, &plan.drafts, now_ms).map_err(|why| Failure::broken(why.to_string()))?;
    let nothing =
        plan.answered.is_empty() && plan.winners.is_empty() && plan.settled.is_empty() && plan.windows.is_empty();
    let erasures = erasing::of(commits, &plan);
    let is_last = writes.is_empty() && erasures.is_empty();
    if !nothing {
        let text = if is_last { WRITE_AND_COMMIT } else { WRITE };
        let params = params(commits, &plan, &sealed, &new_head)?;
        bind!(text, params).execute(&mut *connection).await.map_err(in_commit)?;
    }
    for (erasure, decided_ms) in erasures {
        for (sql, params) in erasing::statements(erasure, decided_ms) {
            bind!(sql.sqlite, params).execute(&mut *connection).await?;
        }
    }
    // After the group: what it has settled can't be claimed away under it.
    let mut rows = Vec::with_capacity(writes.len());
    for write in writes {
        let query = bind!(write.sql, write.params.iter().cloned());
        let result = query.fetch_all(&mut *connection).await;
        rows.push(match result {
            Ok(rows) => Ok(rows.into_iter().map(AnyRow::Sqlite).collect()),
            Err(error) => Err(Failure::from(error)),
        });
    }
    if nothing || !is_last {
        sqlx::query("COMMIT")
            .execute(&mut *connection)
            .await
            .map_err(in_commit)?;
    }
    Ok(Written {
        outcomes: plan::outcomes(verdicts, head.position),
        rows,
        wakes: plan.wakes,
    })
}

/// SQLite undoes what it could not commit, unless it was the disk that failed.
fn in_commit(error: sqlx::Error) -> Failure {
    let failure = Failure::from(error);
    if failure.kind == Kind::Unavailable && failure.why.contains("disk I/O error") {
        return Failure {
            kind: Kind::Unknown,
            ..failure
        };
    }
    failure
}

const READ: &str = "
BEGIN IMMEDIATE;
SELECT 'head' AS kind, hash AS key, position AS a, logged_ms AS b, '' AS c FROM head
UNION ALL SELECT 'request', id, 0, 0, reply FROM request WHERE id IN (SELECT value FROM json_each($1))
UNION ALL SELECT 'stream', stream, version, 0, '' FROM stream WHERE stream IN (SELECT value FROM json_each($2))
UNION ALL SELECT 'unique', key, 0, 0, '' FROM business_key WHERE key IN (SELECT value FROM json_each($3))
UNION ALL SELECT 'window', key, opened_ms, count, '' FROM repeat WHERE key IN (SELECT value FROM json_each($4))
UNION ALL SELECT 'job', id, attempt, order_key IS NOT NULL, owner FROM job
    WHERE id IN (SELECT value FROM json_each($5)) AND state = 'running'
UNION ALL SELECT 'person', id, 0, 0, '' FROM person WHERE id IN (SELECT value FROM json_each($6))";

async fn read(connection: &mut SqliteConnection, log: &str, commits: &[&Commit]) -> Result<(Snapshot, Head), Failure> {
    let wanted = plan::wanted(commits);
    let params = [
        wanted.requests,
        wanted.streams,
        wanted.unique,
        wanted.windows,
        wanted.jobs,
        wanted.people,
    ];
    let params: Vec<Param> = params.iter().map(|keys| json(keys)).collect();
    let text = guarded(Guard::BeginImmediate, READ, " IMMEDIATE", "");
    let rows = bind!(text, params).fetch_all(&mut *connection).await?;
    let mut snapshot = Snapshot::default();
    let mut head = Head::genesis(log);
    for row in rows {
        let (key, a, b, c): (String, i64, i64, String) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let unsigned = |value: i64| u64::try_from(value).unwrap_or_default();
        match row.try_get::<&str, _>(0)? {
            "head" => {
                head.hash = key.try_into().map_err(Failure::broken)?;
                head.position = unsigned(a);
                head.logged_ms = b;
            }
            "request" => drop(snapshot.replies.insert(key, c)),
            "stream" => drop(snapshot.versions.insert(key, unsigned(a))),
            "unique" => drop(snapshot.unique.insert(key)),
            "person" => drop(snapshot.people.insert(key)),
            "window" => drop(snapshot.windows.insert(
                key,
                Window {
                    opened_ms: a,
                    count: unsigned(b),
                },
            )),
            _ => {
                let attempt = u32::try_from(a).unwrap_or_default();
                snapshot.held.insert(
                    key,
                    Held {
                        owner: c,
                        attempt,
                        ordered: b != 0,
                    },
                );
            }
        }
    }
    Ok((snapshot, head))
}

/// The order of columns is that of `params`; empty lists cost next to nothing.
macro_rules! write_group {
    ($end:literal) => {
        concat!(
            "
INSERT INTO request (id, reply, answered_ms) SELECT value->>0, value->>1, value->>2 FROM json_each($1);
INSERT INTO stream (stream, version, service, status, state, updated_ms)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM json_each($2) WHERE true
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, service = excluded.service,
        status = excluded.status, state = excluded.state, updated_ms = excluded.updated_ms;
INSERT INTO stream (stream, version, service, status, state, updated_ms)
    SELECT value->>0, value->>1, '', '', '{}', value->>2 FROM json_each($3) WHERE true
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, updated_ms = excluded.updated_ms;
INSERT INTO business_key (key, created_ms) SELECT value->>0, value->>1 FROM json_each($4);
INSERT INTO private_text (commitment, stream, salt, value, erased_ms)
    SELECT item.value->>0, item.value->>1, item.value->>2, item.value->>3, 0 FROM json_each($5) AS item WHERE true
    ON CONFLICT DO NOTHING;
UPDATE job SET state = s.value->>3, due_ms = COALESCE(s.value->>4, job.due_ms), reason = COALESCE(s.value->>5, job.reason),
        forgiven = job.forgiven + (s.value->>6), finished_ms = s.value->>7, lease_until_ms = 0, owner = ''
    FROM json_each($6) AS s
    WHERE job.id = s.value->>0 AND job.owner = s.value->>1 AND job.attempt = s.value->>2 AND job.state = 'running';
UPDATE job SET state = h.value->>1, due_ms = COALESCE(h.value->>2, job.due_ms), reason = COALESCE(h.value->>3, job.reason),
        finished_ms = h.value->>4, lease_until_ms = 0, owner = ''
    FROM json_each($14) AS h WHERE job.id = h.value->>0 AND job.state IN ('queued', 'running');
INSERT INTO job (id, kind, payload, lane, subject, order_key, order_position, coalesce_key, due_ms, attempts_max,
        created_ms, state, attempt, forgiven, lease_until_ms, owner, finished_ms, reason)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
        value->>9, value->>10, 'queued', 0, 0, 0, '', 0, '' FROM json_each($7) WHERE true
    ON CONFLICT DO NOTHING;
INSERT INTO repeat (key, opened_ms, count) SELECT value->>0, value->>1, value->>2 FROM json_each($8) WHERE true
    ON CONFLICT (key) DO UPDATE SET opened_ms = excluded.opened_ms, count = excluded.count;
DELETE FROM repeat WHERE key IN (SELECT value FROM json_each($9));
INSERT INTO log (position, stream, version, logged_ms, bytes, previous, hash)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM json_each($10);
UPDATE head SET position = $11, hash = $12, logged_ms = $13;
",
            $end
        )
    };
}
const WRITE: &str = write_group!("");
const WRITE_AND_COMMIT: &str = write_group!("COMMIT");

fn params(
    commits: &[&Commit],
    plan: &Plan<'_>,
    sealed: &[log_entry::Sealed],
    head: &Head,
) -> Result<Vec<Param>, Failure> {
    let answered = plan.answered.iter().filter_map(|&index| {
        let request = commits[index].request.as_ref()?;
        Some((&request.id, &request.reply, commits[index].decided_ms))
    });
    let states = plan
        .states
        .values()
        .map(|(version, s)| (&s.stream, version, &s.service, &s.status, &s.state, s.updated_ms));
    let bumps = plan.bumps.iter().map(|(stream, (version, ms))| (stream, version, ms));
    let winners = || plan.winners.iter().map(|&index| commits[index]);
    let unique = winners().flat_map(|c| c.unique.iter().map(|key| (key, c.decided_ms)));
    let texts = winners().flat_map(|c| &c.texts);
    let texts = texts.map(|t| (t.text.commitment(), &t.stream, &t.text.salt, &t.text.value));
    let settled = plan.settled.iter().filter_map(|&index| {
        let settlement = commits[index].settles.as_ref()?;
        let (state, due_ms, reason, forgiven, finished_ms) =
            plan::fate_columns(&settlement.fate, commits[index].decided_ms);
        Some((
            &settlement.job,
            &settlement.owner,
            settlement.attempt,
            state,
            due_ms,
            reason,
            forgiven,
            finished_ms,
        ))
    });
    let holds = winners().flat_map(|c| c.holds.iter().map(|hold| (hold, c.decided_ms)));
    let holds = holds.map(|(hold, now_ms)| {
        let (state, due_ms, reason, _, finished_ms) = plan::fate_columns(&hold.fate, now_ms);
        (&hold.job, state, due_ms, reason, finished_ms)
    });
    let jobs = winners().flat_map(|c| c.jobs.iter().map(|job| (job, c.decided_ms)));
    let jobs = jobs.map(|(j, created_ms)| {
        (
            &j.id,
            &j.kind,
            &j.payload,
            &j.lane,
            &j.subject,
            &j.order_key,
            j.order,
            &j.coalesce_key,
            j.due_ms,
            j.attempts_max,
            created_ms,
        )
    });
    let windows = plan
        .windows
        .iter()
        .map(|(key, window)| (key, window.opened_ms, window.count));
    let entries = sealed.iter().map(|e| {
        (
            e.position,
            &e.stream,
            e.version,
            e.logged_ms,
            &e.bytes,
            &e.previous,
            &e.hash,
        )
    });
    Ok(vec![
        json(&answered.collect::<Vec<_>>()),
        json(&states.collect::<Vec<_>>()),
        json(&bumps.collect::<Vec<_>>()),
        json(&unique.collect::<Vec<_>>()),
        json(&texts.collect::<Vec<_>>()),
        json(&settled.collect::<Vec<_>>()),
        json(&jobs.collect::<Vec<_>>()),
        json(&windows.collect::<Vec<_>>()),
        json(&plan.closed.iter().collect::<Vec<_>>()),
        json(&entries.collect::<Vec<_>>()),
        signed(head.position)?.into(),
        head.hash.as_str().into(),
        head.logged_ms.into(),
        json(&holds.collect::<Vec<_>>()),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_can_lose_commits_are_refused() {
        for version in ["3.51.2", "3.50.7", "3.52.0", "3.9.0"] {
            assert!(check_version(version).is_err(), "{version}");
        }
        for version in ["3.51.3", "3.52.1", "3.53.0"] {
            assert!(check_version(version).is_ok(), "{version}");
        }
    }

    #[test]
    fn a_url_names_a_file() {
        for url in ["sqlite:data/a.sqlite", "sqlite://data/a.sqlite"] {
            assert_eq!(path_of(url).ok(), Some(PathBuf::from("data/a.sqlite")));
        }
        assert_eq!(path_of("sqlite:///a.sqlite").ok(), Some(PathBuf::from("/a.sqlite")));
        for url in ["sqlite:", "sqlite::memory:", "sqlite:a?mode=ro"] {
            assert!(path_of(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn the_writer_is_durable_and_readers_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite");
        let (readers, writer) = open(&path, 1).await.unwrap();
        let mut connection = writer.connection.unwrap();
        let settings = [
            // FULL.
            ("PRAGMA synchronous", 2),
            ("PRAGMA foreign_keys", 1),
            ("PRAGMA trusted_schema", 0),
            ("PRAGMA wal_autocheckpoint", 8000),
        ];
        for (pragma, expected) in settings {
            let value: i64 = sqlx::query_scalar(pragma).fetch_one(&mut connection).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
        let refused = sqlx::query("DELETE FROM request").execute(&readers).await.unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }
}
