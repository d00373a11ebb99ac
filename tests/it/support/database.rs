//! A database of its own for each test, on any engine, and a way to look into it behind the store's back.

use super::memory::{Straight, change, count};
use super::postgres;
use countersign::store::{Memory, Options, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};
use std::future::Future;
use std::sync::Arc;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
    /// The simulation's.
    Memory,
}

pub struct Database {
    pub engine: Engine,
    pub url: String,
    memory: Memory,
    /// Removed at the end.
    _folder: TempDir,
}

impl Database {
    /// Empty on SQLite, migrated on PostgreSQL: ready to be opened on both.
    pub async fn new(engine: Engine) -> Self {
        Self::with_tables(engine, true).await
    }

    pub async fn with_tables(engine: Engine, migrated: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", folder.path().join("test.sqlite").display()),
            Engine::Postgres => postgres::database(migrated).await,
            Engine::Memory => String::new(),
        };
        Self {
            engine,
            url,
            memory: Memory::new(),
            _folder: folder,
        }
    }

    /// What is at this URL.
    pub fn at(engine: Engine, url: String) -> Self {
        Self {
            engine,
            url,
            memory: Memory::new(),
            _folder: tempfile::tempdir().unwrap(),
        }
    }

    pub async fn open(&self) -> Store {
        self.open_with(Options::default()).await
    }

    async fn open_with(&self, options: Options) -> Store {
        match self.engine {
            Engine::Memory => Store::open_memory(&self.memory, Arc::new(Straight), options),
            _ => Store::open(&self.url, options).await.unwrap(),
        }
    }

    /// A store whose clock is `ahead_ms` ahead.
    pub async fn open_ahead(&self, ahead_ms: i64) -> Store {
        let clock = Options::default().clock;
        let clock: countersign::store::Clock = Arc::new(move || clock() + ahead_ms);
        let options = Options {
            wall: Arc::clone(&clock),
            clock,
        };
        self.open_with(options).await
    }

    pub async fn connect(&self) -> Raw {
        match self.engine {
            Engine::Memory => Raw::Memory(self.memory.clone()),
            Engine::Postgres => Raw::Postgres(postgres::connect(&self.url).await),
            Engine::Sqlite => {
                let path = self.url.strip_prefix("sqlite:").unwrap();
                let options = SqliteConnectOptions::new().filename(path);
                Raw::Sqlite(options.connect().await.unwrap())
            }
        }
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        self.connect().await.number(sql).await
    }
}

/// A connection that the store knows nothing of.
pub enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    Memory(Memory),
}

impl Raw {
    pub async fn execute(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(c) => sqlx::query(AssertSqlSafe(sql)).execute(c).await.map(drop),
            Self::Postgres(c) => sqlx::query(AssertSqlSafe(sql)).execute(c).await.map(drop),
            Self::Memory(memory) => {
                change(memory, sql);
                Ok(())
            }
        }
    }

    pub async fn number(mut self, sql: &str) -> i64 {
        match &mut self {
            Self::Sqlite(c) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(c).await.unwrap(),
            Self::Postgres(c) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(c).await.unwrap(),
            Self::Memory(memory) => count(memory, sql),
        }
    }

    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(c) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(c).await.unwrap(),
            Self::Postgres(c) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(c).await.unwrap(),
            Self::Memory(_) => panic!("the store in memory has no SQL: {sql}"),
        }
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite(c) => c.close().await.unwrap(),
            Self::Postgres(c) => c.close().await.unwrap(),
            Self::Memory(_) => {}
        }
    }
}

/// Runs a test on two threads, on a fresh database.
pub fn run<F: Future<Output = ()>>(engine: Engine, test: impl FnOnce(Database) -> F) {
    #[cfg(feature = "sabotage")]
    countersign::sabotage::from_environment();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { test(Database::new(engine).await).await });
}
