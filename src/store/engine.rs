//! The store's handle: opening, closing, committing, and how a statement reaches its engine.

use super::error::{Failure, Kind, OpenError};
use super::group::{Committer, Member, WAITING_MAX, Work, Write, Writer};
use super::sql::{AnyRow, Param, Sql, bind, sql};
use super::wakes::{Wake, Wakes};
use super::{Commit, Outcome, StoreError, commit_postgres, plan, postgres, sqlite};
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{Connection as _, PgConnection};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a statement outside the group commit may take.
const CALL_WITHIN: Duration = Duration::from_millis(2_500);
/// A file of some gigabytes is written anew.
const SCRUBBED_WITHIN: Duration = Duration::from_mins(10);
/// Connections in the pool may all be stale after the database was restarted.
const TRIES_MAX: u32 = 10;

tokio::task_local! {
    /// Until when whoever asked in this task must be answered.
    static ANSWER_BY: Instant;
}

/// Runs `work`, whose statements outside the group commit wait no longer than `deadline`, all of them together.
pub async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> T {
    ANSWER_BY.scope(deadline, work).await
}

/// Until when a statement that begins now may take.
fn call_until() -> Instant {
    let longest = Instant::now() + CALL_WITHIN;
    ANSWER_BY.try_with(|by| longest.min(*by)).unwrap_or(longest)
}

/// UTC milliseconds, whoever tells them.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a store needs besides its URL.
#[derive(Clone)]
pub struct Options {
    /// Times entries.
    pub clock: Clock,
    /// Is compared with the database's clock: the same, but for a demo's or test's that runs ahead on purpose.
    pub wall: Clock,
}

impl Default for Options {
    fn default() -> Self {
        let clock = crate::clock::Clock::default();
        let clock: Clock = Arc::new(move || clock.now_ms());
        Self {
            wall: Arc::clone(&clock),
            clock,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Options { .. }")
    }
}

/// The database. Cheap to clone; closed when the last clone is gone or by [`Store::close`].
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    pool: Pool,
    /// None when opened for reading only.
    inbox: Option<mpsc::Sender<Work>>,
    wakes: Wakes,
    clock: Clock,
    wall: Clock,
    log: String,
    herald: Option<AbortHandle>,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    #[cfg(feature = "simulation")]
    Memory(super::memory::Door),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.0.pool {
            Pool::Sqlite(_) => "SQLite",
            Pool::Postgres(_) => "PostgreSQL",
            #[cfg(feature = "simulation")]
            Pool::Memory(_) => "memory",
        };
        write!(f, "Store({engine}, {})", self.0.log)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(herald) = &self.herald {
            herald.abort();
        }
    }
}

fn is_postgres(url: &str) -> Result<bool, OpenError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(true)
    } else if url.starts_with("sqlite:") {
        Ok(false)
    } else {
        // Never print it: it may hold a password.
        Err(OpenError::Url(
            "it must begin with `sqlite:` or `postgres://`".to_owned(),
        ))
    }
}

impl Store {
    /// Opens `sqlite:PATH`, migrating it and keeping other processes out, or a `postgres://…` database
    /// that was migrated before.
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let wakes = Wakes::new();
        let (pool, writer, herald) = if is_postgres(url)? {
            let (pool, writer) = postgres::open(url, Arc::clone(&options.wall)).await?;
            let herald = tokio::spawn(postgres::herald(url.to_owned(), pool.clone(), wakes.clone()));
            (
                Pool::Postgres(pool),
                Writer::Postgres(Box::new(writer)),
                Some(herald.abort_handle()),
            )
        } else {
            let (pool, writer) = sqlite::open(&sqlite::path_of(url)?, (options.clock)()).await?;
            (Pool::Sqlite(pool), Writer::Sqlite(Box::new(writer)), None)
        };
        Ok(Self::serving(pool, writer, herald, wakes, options))
    }

    /// Opens the simulation's database over `line`.
    #[cfg(feature = "simulation")]
    pub fn open_memory(memory: &super::Memory, line: Arc<dyn super::Line>, options: Options) -> Self {
        let door = memory.door(line);
        let writer = Writer::Memory(door.clone());
        Self::serving(Pool::Memory(door), writer, None, Wakes::new(), options)
    }

    fn serving(pool: Pool, writer: Writer, herald: Option<AbortHandle>, wakes: Wakes, options: Options) -> Self {
        let log = writer.log().to_owned();
        let (inbox, work) = mpsc::channel(WAITING_MAX);
        let clock = options.clock;
        let committer = Committer {
            writer,
            inbox: work,
            clock: Arc::clone(&clock),
            wakes: wakes.clone(),
        };
        tokio::spawn(committer.run());
        Self(Arc::new(Inner {
            pool,
            inbox: Some(inbox),
            wakes,
            clock,
            wall: options.wall,
            log,
            herald,
        }))
    }

    /// Opens a database for verbs that only read, beside whoever serves it.
    pub async fn open_read_only(url: &str, options: Options) -> Result<Self, OpenError> {
        let pool = if is_postgres(url)? {
            Pool::Postgres(postgres::open(url, Arc::clone(&options.wall)).await?.0)
        } else {
            Pool::Sqlite(sqlite::open_read_only(&sqlite::path_of(url)?).await?)
        };
        let rows = read_from(&pool, sql!(log: "SELECT log FROM meta"), Vec::new()).await;
        let rows = rows.map_err(StoreError::from)?;
        let log = rows
            .first()
            .ok_or(OpenError::NotMigrated)?
            .text(0)
            .map_err(StoreError::from)?;
        let (wakes, clock) = (Wakes::new(), options.clock);
        Ok(Self(Arc::new(Inner {
            pool,
            inbox: None,
            wakes,
            clock,
            wall: options.wall,
            log,
            herald: None,
        })))
    }

    /// Brings the tables up to date; for PostgreSQL the only way, for SQLite the same as opening.
    pub async fn migrate(url: &str, options: Options) -> Result<(), OpenError> {
        if is_postgres(url)? {
            return postgres::migrate(url, (options.clock)()).await;
        }
        Self::open(url, options).await?.close().await;
        Ok(())
    }

    /// Writes what waits, refuses what comes later, and gives the SQLite file free.
    pub async fn close(self) {
        if let Some(inbox) = &self.0.inbox {
            let (done, closed) = oneshot::channel();
            if inbox.send(Work::Close(done)).await.is_ok() {
                let _ = closed.await;
            }
        }
        match &self.0.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
            #[cfg(feature = "simulation")]
            Pool::Memory(_) => {}
        }
    }

    /// The database's random id, which stands in every entry.
    pub fn log_id(&self) -> &str {
        &self.0.log
    }

    /// Hints that jobs may be ready, from commits here and, on PostgreSQL, in other processes.
    pub fn wake(&self) -> Wake {
        self.0.wakes.subscribe()
    }

    /// How far our clock is ahead of the database's; beyond 2 s commits are refused. 0 on SQLite.
    pub async fn clock_skew_ms(&self) -> Result<i64, StoreError> {
        let Pool::Postgres(pool) = &self.0.pool else {
            return Ok(0);
        };
        match timeout(CALL_WITHIN, postgres::clock_skew_ms(pool, &self.0.wall)).await {
            Ok(skew) => Ok(skew?),
            Err(_) => Err(late().into()),
        }
    }

    /// Why the server must not keep decisions: it could lose them, or it is a standby. Nothing if it may; nothing on SQLite.
    pub async fn unsafe_because(&self) -> Result<Option<&'static str>, StoreError> {
        let Pool::Postgres(pool) = &self.0.pool else {
            return Ok(None);
        };
        match timeout(CALL_WITHIN, postgres::unsafe_because(pool)).await {
            Ok(problem) => Ok(problem.map_err(Failure::from)?),
            Err(_) => Err(late().into()),
        }
    }

    /// Writes `commit` in one transaction or not at all, and answers when it is durable. A caller that
    /// leaves does not undo it. After `deadline` it is not begun any more.
    pub async fn commit(&self, commit: Commit, deadline: Instant) -> Result<Outcome, StoreError> {
        plan::validate(&commit)?;
        let (member, waiter) = Member::new(commit, deadline);
        self.enqueue(Work::Commit(member))?;
        waiter.outcome().await
    }

    /// See [`Store::forget_bytes`].
    pub(super) async fn scrub(&self) -> Result<bool, Failure> {
        let (answer, scrubbed) = oneshot::channel();
        self.enqueue(Work::Scrub(answer))?;
        match timeout(SCRUBBED_WITHIN, scrubbed).await {
            Ok(Ok(scrubbed)) => scrubbed,
            _ => Err(late()),
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.0.clock)()
    }

    pub(super) fn call_deadline() -> Instant {
        Instant::now() + CALL_WITHIN
    }

    pub(super) fn wake_workers(&self) {
        self.0.wakes.wake();
    }

    fn enqueue(&self, work: Work) -> Result<(), Failure> {
        let inbox = self.0.inbox.as_ref();
        let inbox = inbox.ok_or_else(|| Failure::broken("the database was opened for reading only"))?;
        inbox.try_send(work).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::unavailable("busy"),
            mpsc::error::TrySendError::Closed(_) => Failure::unavailable("the store is closed"),
        })
    }

    /// Rows of one statement that changes nothing, all of one moment.
    pub(super) async fn read(&self, sql: Sql, params: Vec<Param>) -> Result<Vec<AnyRow>, Failure> {
        read_from(&self.0.pool, sql, params).await
    }

    /// Rows of one statement that changes something outside the log, durable when they arrive.
    pub(super) async fn change(&self, sql: Sql, params: Vec<Param>) -> Result<Vec<AnyRow>, Failure> {
        #[cfg(feature = "simulation")]
        if let Pool::Memory(door) = &self.0.pool {
            return door.change(sql.name, &params).await;
        }
        let Pool::Postgres(pool) = &self.0.pool else {
            let (answer, rows) = oneshot::channel();
            self.enqueue(Work::Write(Write {
                sql: sql.sqlite,
                params,
                answer,
            }))?;
            return match timeout_at(call_until(), rows).await {
                Ok(Ok(rows)) => rows,
                _ => Err(unknown()),
            };
        };
        let (begun, until) = (Instant::now(), call_until());
        for tries in 1.. {
            let failure = match timeout_at(until, fresh(pool)).await {
                Ok(Ok(mut connection)) => {
                    match timeout_at(until, change_postgres(&mut connection, sql, &params)).await {
                        Ok(Ok(rows)) => return Ok(rows),
                        Ok(Err(failure)) if failure.kind == Kind::Retry => failure,
                        Ok(Err(failure)) => return Err(failure),
                        Err(_) => return Err(unknown()),
                    }
                }
                Ok(Err(error)) => Failure::from(error),
                Err(_) => break,
            };
            if !may_try_again(&failure, tries, begun) {
                return Err(failure);
            }
        }
        Err(late())
    }
}

async fn read_from(pool: &Pool, sql: Sql, params: Vec<Param>) -> Result<Vec<AnyRow>, Failure> {
    let (begun, until) = (Instant::now(), call_until());
    for tries in 1.. {
        let reading = async {
            match pool {
                Pool::Sqlite(pool) => {
                    let rows = bind!(sql.sqlite, params.iter().cloned()).fetch_all(pool).await?;
                    Ok(rows.into_iter().map(AnyRow::Sqlite).collect())
                }
                Pool::Postgres(pool) => {
                    let rows = bind!(sql.postgres, params.iter().cloned()).fetch_all(pool).await?;
                    Ok(rows.into_iter().map(AnyRow::Postgres).collect())
                }
                #[cfg(feature = "simulation")]
                Pool::Memory(door) => door.read(sql.name, &params).await,
            }
        };
        match timeout_at(until, reading).await {
            Ok(Err(failure)) if may_try_again(&failure, tries, begun) => {}
            Ok(result) => return result,
            Err(_) => break,
        }
    }
    Err(late())
}

/// A connection that just answered, so that a failure after this is not one of yesterday.
async fn fresh(pool: &PgPool) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    connection.ping().await?;
    Ok(connection)
}

async fn change_postgres(connection: &mut PgConnection, sql: Sql, params: &[Param]) -> Result<Vec<AnyRow>, Failure> {
    match bind!(sql.postgres, params.iter().cloned()).fetch_all(connection).await {
        Ok(rows) => Ok(rows.into_iter().map(AnyRow::Postgres).collect()),
        Err(error) => {
            let refused = commit_postgres::refused(&error);
            let failure = Failure::from(error);
            match failure.kind {
                Kind::Unavailable if !refused => Err(Failure {
                    kind: Kind::Unknown,
                    ..failure
                }),
                _ => Err(failure),
            }
        }
    }
}

fn may_try_again(failure: &Failure, tries: u32, begun: Instant) -> bool {
    matches!(failure.kind, Kind::Unavailable | Kind::Retry) && tries < TRIES_MAX && begun.elapsed() < CALL_WITHIN / 2
}

fn late() -> Failure {
    Failure::unavailable("the database did not answer in time")
}

fn unknown() -> Failure {
    Failure {
        kind: Kind::Unknown,
        why: "the database did not answer in time".to_owned(),
    }
}
