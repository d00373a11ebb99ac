//! People behind the log's random ids, in a table that can be erased; and which processes are alive.

use super::error::Failure;
use super::reads::decoded;
use super::sql::{AnyRow, json, sql};
use super::{PersonRow, Store, StoreError};
use std::collections::HashMap;

/// A process that was alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Random per process start.
    pub owner: String,
    /// The machine it runs on.
    pub host: String,
    /// When it last said so, UTC milliseconds.
    pub beat_ms: i64,
    /// When it last said that every lane of it gets on; 0 for never.
    pub got_on_ms: i64,
}

fn person_row(row: &AnyRow) -> Result<PersonRow, Failure> {
    Ok(PersonRow {
        id: row.text(0)?,
        team: row.text(1)?,
        user: row.text(2)?,
    })
}

impl Store {
    /// The ids of people, given as team and user, in their order. Who is new gets the id in the same
    /// place of `fresh_ids`, unless somebody else was faster.
    pub async fn person_ids(&self, people: &[(&str, &str)], fresh_ids: &[String]) -> Result<Vec<String>, StoreError> {
        if people.len() != fresh_ids.len() {
            return Err(Failure::broken("each person needs a fresh id").into());
        }
        let mut known = self.known_people(people).await?;
        let new: Vec<(&String, &str, &str)> = {
            let mut new: Vec<_> = people
                .iter()
                .zip(fresh_ids)
                .filter(|(person, _)| !known.contains_key(*person))
                .map(|((team, user), id)| (id, *team, *user))
                .collect();
            new.sort_unstable_by_key(|(_, team, user)| (*team, *user));
            new.dedup_by_key(|(_, team, user)| (*team, *user));
            new
        };
        if !new.is_empty() {
            let sql = sql!(
                add_people: "INSERT INTO person (id, team, slack_user, created_ms) SELECT"
                text(0) "," text(1) "," text(2) ", $2 FROM" rows("$1")
                "WHERE true ON CONFLICT (team, slack_user) DO NOTHING RETURNING id"
            );
            self.change(sql, vec![json(&new), self.now_ms().into()]).await?;
            known = self.known_people(people).await?;
        }
        let missing = || Failure::broken("a person was erased while being looked up").into();
        let id = |(team, user): &(&str, &str)| known.get(&(*team, *user)).cloned().ok_or_else(missing);
        people.iter().map(id).collect()
    }

    pub(super) async fn known_people<'a>(
        &self,
        people: &[(&'a str, &'a str)],
    ) -> Result<HashMap<(&'a str, &'a str), String>, StoreError> {
        let sql = sql!(
            known_people: "SELECT person.id, person.team, person.slack_user FROM" rows("$1")
            "JOIN person ON person.team =" text(0) "AND person.slack_user =" text(1)
        );
        let rows = decoded(&self.read(sql, vec![json(people)]).await?, person_row)?;
        let ids: HashMap<(String, String), String> =
            rows.into_iter().map(|row| ((row.team, row.user), row.id)).collect();
        let known = people.iter().filter_map(|(team, user)| {
            let id = ids.get(&((*team).to_owned(), (*user).to_owned()))?;
            Some(((*team, *user), id.clone()))
        });
        Ok(known.collect())
    }

    /// Those of the people who are not erased.
    pub async fn people(&self, ids: &[&str]) -> Result<Vec<PersonRow>, StoreError> {
        let sql = sql!(people: "SELECT id, team, slack_user FROM person WHERE id" any("$1") " ORDER BY id");
        decoded(&self.read(sql, vec![json(ids)]).await?, person_row)
    }

    /// Says that this process is alive, and, if so, that every lane of it gets on.
    pub async fn beat(&self, owner: &str, host: &str, now_ms: i64, gets_on: bool) -> Result<(), StoreError> {
        let sql = sql!(
            beat: "INSERT INTO heartbeat (owner, host, beat_ms, got_on_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (owner) DO UPDATE SET host = excluded.host, beat_ms = excluded.beat_ms, got_on_ms =
                 CASE excluded.got_on_ms WHEN 0 THEN heartbeat.got_on_ms ELSE excluded.got_on_ms END
             RETURNING owner"
        );
        let got_on_ms = if gets_on { now_ms } else { 0 };
        let params = vec![owner.into(), host.into(), now_ms.into(), got_on_ms.into()];
        self.change(sql, params).await?;
        Ok(())
    }

    /// When a worker on `host` last said that it is alive.
    pub async fn host_seen_ms(&self, host: &str) -> Result<Option<i64>, StoreError> {
        let sql = sql!(host_seen: "SELECT beat_ms FROM heartbeat WHERE host = $1 ORDER BY beat_ms DESC LIMIT 1");
        Ok(decoded(&self.read(sql, vec![host.into()]).await?, |row| row.int(0))?.pop())
    }

    /// Who was alive when, the latest first.
    pub async fn beats(&self) -> Result<Vec<Beat>, StoreError> {
        let sql = sql!(beats: "SELECT owner, host, beat_ms, got_on_ms FROM heartbeat ORDER BY beat_ms DESC, owner");
        decoded(&self.read(sql, vec![]).await?, |row| {
            Ok(Beat {
                owner: row.text(0)?,
                host: row.text(1)?,
                beat_ms: row.int(2)?,
                got_on_ms: row.int(3)?,
            })
        })
    }
}
