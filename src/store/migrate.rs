//! Migrations, embedded: applied by number under a lock, with their checksums kept. A database that was
//! migrated further than this program knows still serves it, unless a migration has raised the floor.

use super::OpenError;
use domain::log_entry::Head;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection, SqlitePool};

/// Number, name, SQLite's text, PostgreSQL's text.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[(
    1,
    "spine",
    include_str!("../../migrations/sqlite/0001_spine.sql"),
    include_str!("../../migrations/postgres/0001_spine.sql"),
)];

/// The newest migration that this program knows, and the oldest that its tables need.
const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

const FIRST_META: &str =
    "INSERT INTO meta (id, log, schema_floor, created_ms) VALUES (1, $1, 1, $2) ON CONFLICT DO NOTHING";
const FIRST_HEAD: &str = "INSERT INTO head (id, position, hash, logged_ms) VALUES (1, 0, $1, 0) ON CONFLICT DO NOTHING";
const SCHEMA: &str = "SELECT max(version), max((SELECT schema_floor FROM meta)) FROM _sqlx_migrations WHERE success";

fn migrator(text: fn(&(i64, &'static str, &'static str, &'static str)) -> &'static str) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|migration| {
            let sql = text(migration).into_sql_str();
            Migration::new(migration.0, migration.1.into(), MigrationType::Simple, sql, false)
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    // Newer ones than ours are judged by the floor.
    migrator.set_ignore_missing(true);
    migrator
}

async fn run<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<(), OpenError> {
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMismatch(version) => OpenError::Changed(version),
            error => OpenError::Database(anyhow::Error::new(error).context("migrating")),
        })
}

/// A new log's id: random, so that entries of two databases can't be mixed.
fn new_log_id() -> String {
    format!("log-{}", crate::fresh::random_hex(16))
}

fn judge(newest: Option<i64>, floor: Option<i64>) -> Result<(), OpenError> {
    match (newest, floor) {
        (_, Some(floor)) if floor > NEWEST => Err(OpenError::Newer { floor, known: NEWEST }),
        (Some(newest), Some(_)) if newest >= NEWEST => Ok(()),
        _ => Err(OpenError::NotMigrated),
    }
}

/// Both at once or neither: a log that has an id and no head looks migrated, and can't be written.
macro_rules! first_rows {
    ($connection:expr, $now_ms:expr) => {
        let mut transaction = $connection.begin().await?;
        sqlx::query(FIRST_META)
            .bind(new_log_id())
            .bind($now_ms)
            .execute(&mut *transaction)
            .await?;
        let log: String = sqlx::query_scalar("SELECT log FROM meta")
            .fetch_one(&mut *transaction)
            .await?;
        sqlx::query(FIRST_HEAD)
            .bind(Head::genesis(&log).hash.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    };
}

/// Brings a SQLite file up to date. The caller holds the file's lock.
pub(super) async fn sqlite(connection: &mut SqliteConnection, now_ms: i64) -> Result<(), OpenError> {
    let existing: Result<(Option<i64>, Option<i64>), _> = sqlx::query_as(SCHEMA).fetch_one(&mut *connection).await;
    if let Ok((newest, floor)) = existing
        && let Err(newer @ OpenError::Newer { .. }) = judge(newest, floor)
    {
        return Err(newer);
    }
    run(&migrator(|migration| migration.2), &mut *connection).await?;
    first_rows!(connection, now_ms);
    Ok(())
}

/// Refuses a SQLite file whose tables this program can't read.
pub(super) async fn check_sqlite(readers: &SqlitePool) -> Result<(), OpenError> {
    match sqlx::query_as(SCHEMA).fetch_one(readers).await {
        Ok((newest, floor)) => judge(newest, floor),
        Err(sqlx::Error::Database(error)) if error.message().contains("no such table") => Err(OpenError::NotMigrated),
        Err(error) => Err(error.into()),
    }
}

/// Brings a PostgreSQL database up to date. Several at once wait for each other.
pub(super) async fn postgres(connection: &mut PgConnection, now_ms: i64) -> Result<(), OpenError> {
    if let Err(newer @ OpenError::Newer { .. }) = check_postgres(connection).await {
        return Err(newer);
    }
    run(&migrator(|migration| migration.3), &mut *connection).await?;
    first_rows!(connection, now_ms);
    Ok(())
}

/// Refuses a PostgreSQL database whose tables this program can't use.
pub(super) async fn check_postgres(connection: &mut PgConnection) -> Result<(), OpenError> {
    match sqlx::query_as(SCHEMA).fetch_one(connection).await {
        Ok((newest, floor)) => judge(newest, floor),
        // Undefined table.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Err(OpenError::NotMigrated),
        Err(error) => Err(error.into()),
    }
}
