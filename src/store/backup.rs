//! What a backup needs of a database besides reading it: a copy of a SQLite file as of one moment, and whether a PostgreSQL
//! database holds tables of ours.

use super::{OpenError, postgres, sqlite};
use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;

/// Writes the database at `from`, as of one moment, into the empty file `to`, beside whoever serves it.
///
/// # Errors
/// When one of them can't be read or written.
pub async fn copy_sqlite(from: &Path, to: &Path) -> Result<(), OpenError> {
    // Refuses what is none of ours.
    sqlite::open_read_only(from)
        .await
        .map_err(|error| error.about(from))?
        .close()
        .await;
    let mut connection = sqlite::options(from).read_only(true).connect().await?;
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(to.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await;
    let _ = connection.close().await;
    copied?;
    Ok(())
}

/// Whether a PostgreSQL database holds any table of ours.
///
/// # Errors
/// When it can't be asked.
pub async fn has_tables(url: &str) -> Result<bool, OpenError> {
    let mut connection = postgres::options(url)?.connect().await?;
    let found = sqlx::query_scalar(
        "SELECT bool_or(to_regclass(name) IS NOT NULL)
         FROM unnest(ARRAY['meta', 'head', 'log', 'stream', 'job', 'message', '_sqlx_migrations']) AS name",
    )
    .fetch_one(&mut connection)
    .await?;
    let _ = connection.close().await;
    Ok(found)
}
