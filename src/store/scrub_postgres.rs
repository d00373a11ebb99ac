//! What makes PostgreSQL give up the bytes of what was erased, and what tells whether it could. Decides nothing.

use super::error::Failure;
use sqlx::{Executor as _, PgConnection};
use std::time::Duration;
use tokio::time::Instant;

/// Tables that hold something of people.
const SCRUBBED: [&str; 6] = ["person", "private_text", "request", "message", "job", "channel_turn"];
/// How long a snapshot from before is waited for; those of the bot end within a moment.
const SNAPSHOTS_WITHIN: Duration = Duration::from_secs(3);

/// Owners of the table or the database may, and from PostgreSQL 17 on who was granted MAINTAIN.
const MAY_VACUUM: &str = "
SELECT bool_and(pg_has_role(c.relowner, 'USAGE')
    OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
    OR COALESCE(has_table_privilege(c.oid,
        CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'MAINTAIN' END), false))
FROM pg_class c WHERE c.oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name)";

/// Whether somebody holds back what VACUUM may remove at a transaction before `$1`: a session or a standby by its snapshot, a
/// replication slot, a prepared transaction. Vacuuming itself holds nothing back.
const IS_HELD_BACK: &str = "
SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid()
        AND (datname IS NULL OR datname = current_database()) AND backend_type IS DISTINCT FROM 'autovacuum worker'
        AND GREATEST(age(backend_xmin), age(backend_xid)) > age($1::text::xid)
    UNION ALL SELECT FROM pg_replication_slots WHERE age(xmin) > age($1::text::xid)
    UNION ALL SELECT FROM pg_prepared_xacts WHERE database = current_database() AND age(transaction) > age($1::text::xid))";

/// Waits until everybody sees what is committed by now; false if somebody doesn't in time.
async fn snapshots_end(connection: &mut PgConnection) -> Result<bool, Failure> {
    let now: String = sqlx::query_scalar("SELECT pg_current_xact_id()::xid::text")
        .fetch_one(&mut *connection)
        .await?;
    let until = Instant::now() + SNAPSHOTS_WITHIN;
    loop {
        let is_held_back: bool = sqlx::query_scalar(IS_HELD_BACK)
            .bind(&now)
            .fetch_one(&mut *connection)
            .await?;
        if !is_held_back || Instant::now() >= until {
            return Ok(!is_held_back);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Removes dead rows, and the samples of values that the planner keeps. False if some may be kept: for a snapshot from before, or
/// because this login may not vacuum, which PostgreSQL only warns of.
pub(super) async fn scrub(connection: &mut PgConnection) -> Result<bool, Failure> {
    let may_vacuum: bool = sqlx::query_scalar(MAY_VACUUM)
        .bind(SCRUBBED)
        .fetch_one(&mut *connection)
        .await?;
    let is_behind_us = snapshots_end(connection).await?;
    for table in SCRUBBED {
        let vacuum = format!("VACUUM (ANALYZE, INDEX_CLEANUP ON) {table}");
        connection.execute(sqlx::AssertSqlSafe(vacuum)).await?;
    }
    Ok(may_vacuum && is_behind_us)
}
