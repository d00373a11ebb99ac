//! Reading: state rows for lists and decisions, entries for replay and audit, saved replies and texts.

use super::error::Failure;
use super::sql::{AnyRow, json, signed, sql};
use super::{StateRow, Store, StoreError, StreamVersion, Texts};
use domain::digest::{Digest, PrivateText};
use domain::log_entry::{Head, Sealed};

/// The end of every key that begins with `prefix`, for a range that an index can serve.
fn prefix_end(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

fn state_row(row: &AnyRow) -> Result<StateRow, Failure> {
    Ok(StateRow {
        stream: row.text(0)?,
        version: row.count(1)?,
        service: row.text(2)?,
        status: row.text(3)?,
        state: row.text(4)?,
        updated_ms: row.int(5)?,
    })
}

fn sealed(row: &AnyRow) -> Result<Sealed, Failure> {
    Ok(Sealed {
        position: row.count(0)?,
        stream: row.text(1)?,
        version: row.count(2)?,
        logged_ms: row.int(3)?,
        bytes: row.text(4)?,
        previous: row.digest(5)?,
        hash: row.digest(6)?,
    })
}

/// Every row through `decode`.
pub(super) fn decoded<T>(
    rows: &[AnyRow],
    decode: impl Fn(&AnyRow) -> Result<T, Failure>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| decode(row).map_err(StoreError::from)).collect()
}

impl Store {
    /// The end of the chain.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let rows = self
            .read(sql!(head: "SELECT position, hash, logged_ms FROM head"), vec![])
            .await?;
        let row = rows.first().ok_or_else(|| Failure::broken("the log has no head"))?;
        Ok(Head {
            log: self.log_id().to_owned(),
            position: row.count(0)?,
            hash: row.digest(1)?,
            logged_ms: row.int(2)?,
        })
    }

    /// The position of the last entry, whatever the head says.
    pub async fn last_position(&self) -> Result<u64, StoreError> {
        let rows = self
            .read(
                sql!(last_position: "SELECT COALESCE(max(position), 0) FROM log"),
                vec![],
            )
            .await?;
        Ok(rows.first().map_or(Ok(0), |row| row.count(0))?)
    }

    /// The state row of one stream.
    pub async fn stream(&self, stream: &str) -> Result<Option<StateRow>, StoreError> {
        Ok(self.streams(&[stream]).await?.pop())
    }

    /// The state rows of those streams that exist, all of one moment.
    pub async fn streams(&self, streams: &[&str]) -> Result<Vec<StateRow>, StoreError> {
        let sql = sql!(
            streams: "SELECT stream, version, service, status, state, updated_ms FROM stream
             WHERE stream" any("$1") " AND version > 0"
        );
        decoded(&self.read(sql, vec![json(streams)]).await?, state_row)
    }

    /// State rows whose stream begins with `prefix`, newest first; of one service, and in any of the
    /// `statuses` unless there are none.
    pub async fn list(
        &self,
        prefix: &str,
        service: Option<&str>,
        statuses: &[&str],
        limit: u32,
    ) -> Result<Vec<StateRow>, StoreError> {
        let sql = sql!(
            list: "SELECT stream, version, service, status, state, updated_ms FROM stream
             WHERE stream >= $1 AND stream < $2 AND version > 0 AND ($3 = '' OR service = $3)
                 AND ($4 = '[]' OR status" any("$4") ")
             ORDER BY updated_ms DESC, stream DESC LIMIT $5"
        );
        let params = vec![
            prefix.into(),
            prefix_end(prefix).into(),
            service.unwrap_or_default().into(),
            json(statuses),
            limit.into(),
        ];
        decoded(&self.read(sql, params).await?, state_row)
    }

    /// How many streams begin with `prefix`.
    pub async fn count(&self, prefix: &str) -> Result<u64, StoreError> {
        let sql = sql!(count: "SELECT count(*) FROM stream WHERE stream >= $1 AND stream < $2 AND version > 0");
        let rows = self.read(sql, vec![prefix.into(), prefix_end(prefix).into()]).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.count(0))?)
    }

    /// The largest `n` of the streams named `prefix` and a number of at most six digits, such as 7 for
    /// `release/HOTFIX-7`; 0 if there is none.
    pub async fn highest_key_number(&self, prefix: &str) -> Result<u64, StoreError> {
        let sql = super::sql::Sql {
            #[cfg(feature = "simulation")]
            name: "highest_key_number",
            sqlite: "SELECT COALESCE(max(CAST(substr(stream, $3) AS INTEGER)), 0) FROM stream
                 WHERE stream >= $1 AND stream < $2 AND version > 0
                     AND substr(stream, $3) NOT GLOB '*[^0-9]*' AND length(substr(stream, $3)) BETWEEN 1 AND 6",
            postgres: "SELECT COALESCE(max(CASE WHEN substr(stream, $3::int) ~ '^[0-9]{1,6}$'
                     THEN substr(stream, $3::int)::bigint END), 0) FROM stream
                 WHERE stream >= $1 AND stream < $2 AND version > 0",
        };
        let digits_from = signed(prefix.chars().count() as u64 + 1)?;
        let params = vec![prefix.into(), prefix_end(prefix).into(), digits_from.into()];
        let rows = self.read(sql, params).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.count(0))?)
    }

    /// The streams that the log names, below `prefix`, each with the version of its last entry.
    pub async fn logged_streams(&self, prefix: &str) -> Result<Vec<StreamVersion>, StoreError> {
        let sql = sql!(
            logged_streams: "SELECT stream, max(version) FROM log WHERE stream >= $1 AND stream < $2 AND version > 0
             GROUP BY stream ORDER BY stream"
        );
        let rows = self.read(sql, vec![prefix.into(), prefix_end(prefix).into()]).await?;
        decoded(&rows, |row| {
            Ok(StreamVersion {
                stream: row.text(0)?,
                version: row.count(1)?,
            })
        })
    }

    /// Entries from a position on, in the order of the log.
    pub async fn entries(&self, from_position: u64, limit: u32) -> Result<Vec<Sealed>, StoreError> {
        let sql = sql!(
            entries: "SELECT position, stream, version, logged_ms, bytes, previous, hash FROM log
             WHERE position >= $1 ORDER BY position LIMIT $2"
        );
        decoded(
            &self
                .read(sql, vec![signed(from_position)?.into(), limit.into()])
                .await?,
            sealed,
        )
    }

    /// All entries of a stream, in the order of its versions.
    pub async fn entries_of(&self, stream: &str) -> Result<Vec<Sealed>, StoreError> {
        let sql = sql!(
            entries_of: "SELECT position, stream, version, logged_ms, bytes, previous, hash FROM log
             WHERE stream = $1 ORDER BY version"
        );
        decoded(&self.read(sql, vec![stream.into()]).await?, sealed)
    }

    /// Those of the texts that are still there.
    pub async fn texts(&self, commitments: &[Digest]) -> Result<Texts, StoreError> {
        let sql = sql!(
            texts: "SELECT commitment, value FROM private_text WHERE erased_ms = 0 AND commitment" any("$1")
        );
        let rows = self.read(sql, vec![json(commitments)]).await?;
        rows.iter().map(|row| Ok((row.digest(0)?, row.text(1)?))).collect()
    }

    /// Those of the texts that are still there, with what their commitments were made of.
    pub async fn private_texts(&self, commitments: &[Digest]) -> Result<Vec<PrivateText>, StoreError> {
        let sql = sql!(
            private_texts: "SELECT salt, value FROM private_text WHERE erased_ms = 0 AND commitment" any("$1")
        );
        decoded(&self.read(sql, vec![json(commitments)]).await?, |row| {
            Ok(PrivateText {
                salt: row.text(0)?,
                value: row.text(1)?,
            })
        })
    }

    /// The saved reply to a request that was answered in the last quarter of an hour.
    pub async fn reply(&self, request: &str) -> Result<Option<String>, StoreError> {
        let rows = self
            .read(
                sql!(reply: "SELECT reply FROM request WHERE id = $1"),
                vec![request.into()],
            )
            .await?;
        Ok(rows.first().map(|row| row.text(0)).transpose()?)
    }

    /// How often a refusal was repeated in its window, if one is open; see [`super::RepeatGuard`].
    pub async fn repeats(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let rows = self
            .read(
                sql!(repeats: "SELECT count FROM repeat WHERE key = $1"),
                vec![key.into()],
            )
            .await?;
        Ok(rows.first().map(|row| row.count(0)).transpose()?)
    }
}
