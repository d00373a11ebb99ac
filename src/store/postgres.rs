//! PostgreSQL: several processes, each with one committer connection and a small pool for everything else.

use super::error::{Failure, Kind, OpenError};
use super::group::Written;
use super::scrub_postgres;
use super::wakes::Wakes;
use super::{Clock, Commit, commit_postgres, migrate};
use domain::log_entry::Head;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use std::str::FromStr as _;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const POOL_MAX: u32 = 8;
/// A replica whose clock is further off would log times that others contradict.
pub(super) const SKEW_MAX_MS: i64 = 2_000;
const SKEW_EVERY: Duration = Duration::from_secs(10);
const SKEW_EVERY_WHEN_BAD: Duration = Duration::from_secs(1);
/// At the start nobody waits for an answer yet.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
const CONNECT_WITHIN: Duration = Duration::from_millis(1_200);
/// Longer than every limit that the server keeps by itself.
const GROUP_WITHIN: Duration = Duration::from_secs(6);
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
const CHANNEL: &str = "countersign_jobs";
/// Notifications are hints: more than one in this time say nothing new.
const NOTIFY_EVERY: Duration = Duration::from_millis(20);

/// A plan made while the tables were empty would scan them for ever, so scans are ruled out. A paused
/// replica is cut off (idle in transaction) before those who wait for its locks give up.
const SETTINGS: &str = "SET lock_timeout = 1200; SET idle_in_transaction_session_timeout = 700; \
    SET statement_timeout = 2000; SET enable_seqscan = off; SET enable_bitmapscan = off";

pub(super) fn options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| OpenError::Url(error.to_string()))?;
    Ok(options.application_name("countersign").disable_statement_logging())
}

async fn connect(options: &PgConnectOptions, within: Duration) -> Result<PgConnection, Failure> {
    let connecting = async {
        let mut connection = options.connect().await?;
        connection.execute(SETTINGS).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    match timeout(within, connecting).await {
        Ok(connection) => Ok(connection?),
        Err(_) => Err(Failure::unavailable("PostgreSQL did not accept a connection in time")),
    }
}

/// Behind the same address may be another server by now, or the same with other settings.
async fn connect_again(options: &PgConnectOptions) -> Result<PgConnection, Failure> {
    let connecting = async {
        let mut connection = connect(options, CONNECT_WITHIN).await?;
        match unsafe_because(&mut connection).await? {
            Some(problem) => Err(Failure::unavailable(problem)),
            None => Ok(connection),
        }
    };
    let late = |_| Failure::unavailable("PostgreSQL did not answer in time");
    timeout(CONNECT_WITHIN, connecting).await.map_err(late)?
}

/// Opens a migrated database.
pub(super) async fn open(url: &str, clock: Clock) -> Result<(PgPool, Writer), OpenError> {
    let options = options(url)?;
    let mut connection = connect(&options, OPEN_WITHIN).await.map_err(super::StoreError::from)?;
    check_durability(&mut connection).await?;
    migrate::check_postgres(&mut connection).await?;
    let log = sqlx::query_scalar("SELECT log FROM meta")
        .fetch_one(&mut connection)
        .await?;
    let pool = PgPoolOptions::new()
        .max_connections(POOL_MAX)
        .acquire_timeout(Duration::from_millis(1_500))
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SETTINGS).await.map(drop) }))
        .connect_with(options.clone())
        .await?;
    let writer = Writer {
        options,
        connection: Some(connection),
        log,
        clock,
        skew: None,
        last: None,
    };
    Ok((pool, writer))
}

/// Refuses servers that acknowledge what they can lose, or can't write at all.
async fn check_durability(connection: &mut PgConnection) -> Result<(), OpenError> {
    match unsafe_because(connection).await? {
        Some(problem) => Err(OpenError::Unsafe(problem.to_owned())),
        None => Ok(()),
    }
}

/// Why decisions must not be kept on this server; nothing if they may.
pub(super) async fn unsafe_because<'e>(
    executor: impl sqlx::PgExecutor<'e>,
) -> Result<Option<&'static str>, sqlx::Error> {
    let (fsync, synchronous, standby): (String, String, bool) =
        sqlx::query_as("SELECT current_setting('fsync'), current_setting('synchronous_commit'), pg_is_in_recovery()")
            .fetch_one(executor)
            .await?;
    Ok(match (fsync.as_str(), synchronous.as_str(), standby) {
        ("off", ..) => Some("PostgreSQL runs with fsync = off"),
        (_, "off", _) => Some("PostgreSQL runs with synchronous_commit = off"),
        (.., true) => Some("this PostgreSQL server is a standby; use the primary"),
        _ => None,
    })
}

/// Brings the database up to date, on a connection of its own without time limits.
pub(super) async fn migrate(url: &str, now_ms: i64) -> Result<(), OpenError> {
    let mut connection = options(url)?.connect().await?;
    check_durability(&mut connection).await?;
    // Whoever comes second waits for the first one's rows and sees them.
    connection
        .execute("SET default_transaction_isolation = 'read committed'")
        .await?;
    let result = migrate::postgres(&mut connection, now_ms).await;
    let _ = connection.close().await;
    result
}

/// How far our clock is ahead of the database's.
pub(super) async fn clock_skew_ms<'e>(executor: impl sqlx::PgExecutor<'e>, clock: &Clock) -> Result<i64, Failure> {
    let before_ms = clock();
    let theirs_ms: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        .fetch_one(executor)
        .await?;
    // Their answer was made somewhere between our two readings.
    Ok(i64::midpoint(before_ms, clock()) - theirs_ms)
}

/// The one connection that commits.
pub(super) struct Writer {
    options: PgConnectOptions,
    /// None after a failure, until the next group opens a new one.
    connection: Option<PgConnection>,
    pub(super) log: String,
    clock: Clock,
    /// When our clock was last compared, and the difference.
    skew: Option<(Instant, i64)>,
    /// The head that was committed last.
    last: Option<Head>,
}

impl Writer {
    /// Writes one group in one transaction.
    pub(super) async fn write(&mut self, commits: &[&Commit], now_ms: i64) -> Result<Written, Failure> {
        let (mut connection, reused) = match self.connection.take() {
            Some(connection) => (connection, true),
            None => (connect_again(&self.options).await?, false),
        };
        let mut progress = Progress::Nothing;
        let result = match self.check_clock(&mut connection).await {
            Ok(()) => {
                let writing = commit_postgres::write(
                    &mut connection,
                    &self.log,
                    commits,
                    now_ms,
                    (&mut progress, &mut self.last),
                );
                timeout(GROUP_WITHIN, writing)
                    .await
                    .unwrap_or_else(|_| Err(Failure::unavailable("PostgreSQL did not answer in time")))
            }
            Err(failure) => Err(failure),
        };
        match result {
            Ok(written) => {
                self.connection = Some(connection);
                Ok(written)
            }
            Err(failure) => {
                // After a closed transaction the connection is as good as new; otherwise it is given
                // up, and the server undoes what was open.
                self.connection = rolled_back(connection).await;
                Err(judged(failure, progress, reused && self.connection.is_none()))
            }
        }
    }

    async fn check_clock(&mut self, connection: &mut PgConnection) -> Result<(), Failure> {
        let skew_ms = match self.skew {
            Some((at, ms)) if at.elapsed() < skew_every(ms) => ms,
            _ => {
                let ms = timeout(CONNECT_WITHIN, clock_skew_ms(&mut *connection, &self.clock))
                    .await
                    .map_err(|_| Failure::unavailable("PostgreSQL did not answer in time"))??;
                self.skew = Some((Instant::now(), ms));
                ms
            }
        };
        if skew_ms.abs() > SKEW_MAX_MS {
            return Err(Failure::unavailable(format!(
                "this machine's clock is {skew_ms} ms ahead of the database's; set one of them right"
            )));
        }
        Ok(())
    }

    /// See [`scrub_postgres`]. On a connection of its own without time limits, so that decisions go on meanwhile.
    pub(super) async fn scrub(&self) -> Result<bool, Failure> {
        let mut connection = self.options.connect().await?;
        let scrubbed = scrub_postgres::scrub(&mut connection).await;
        let _ = connection.close().await;
        scrubbed
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

/// How far a group has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Nothing,
    Begun,
    /// The COMMIT is on its way, and the database has not refused it.
    Committing,
}

fn judged(failure: Failure, progress: Progress, was_stale: bool) -> Failure {
    match (failure.kind, progress) {
        (Kind::Unavailable, Progress::Committing) => Failure {
            kind: Kind::Unknown,
            ..failure
        },
        // The server had closed the connection while it was idle: nothing is lost but a moment.
        (Kind::Unavailable, Progress::Nothing) if was_stale => Failure {
            kind: Kind::Retry,
            ..failure
        },
        _ => failure,
    }
}

fn skew_every(ms: i64) -> Duration {
    if ms.abs() > SKEW_MAX_MS {
        SKEW_EVERY_WHEN_BAD
    } else {
        SKEW_EVERY
    }
}

async fn rolled_back(mut connection: PgConnection) -> Option<PgConnection> {
    let rollback = connection.execute("ROLLBACK");
    if let Ok(Ok(_)) = timeout(Duration::from_millis(500), rollback).await {
        return Some(connection);
    }
    let _ = timeout(Duration::from_millis(100), connection.close_hard()).await;
    None
}

/// Passes hints about new jobs between processes: ours go out as NOTIFY, theirs come in as wakes. All
/// of it may fail or come late; whoever waits polls besides.
pub(super) async fn herald(url: String, pool: PgPool, wakes: Wakes) {
    let us = crate::fresh::random_hex(8);
    tokio::join!(tell(&pool, &us, &wakes), hear(&url, &us, &wakes));
}

async fn tell(pool: &PgPool, us: &str, wakes: &Wakes) {
    loop {
        wakes.news().await;
        // Outside the commit: NOTIFY inside it would take a lock over the whole server.
        let _ = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(us)
            .execute(pool)
            .await;
        tokio::time::sleep(NOTIFY_EVERY).await;
    }
}

async fn hear(url: &str, us: &str, wakes: &Wakes) {
    loop {
        if let Err(error) = hear_until_lost(url, us, wakes).await {
            tracing::warn!(%error, "no notifications from PostgreSQL; polling goes on");
        }
        tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
    }
}

async fn hear_until_lost(url: &str, us: &str, wakes: &Wakes) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    // Something may have been said while nobody listened.
    wakes.wake_here();
    while let Some(notification) = listener.try_recv().await? {
        if notification.payload() != us {
            wakes.wake_here();
        }
    }
    Ok(())
}
