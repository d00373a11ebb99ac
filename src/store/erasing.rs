//! What is removed of a person who is erased: every statement of it runs in the transaction of the entry that says so.
//! Knows which tables hold something, and not why it has to go.

use super::plan::Plan;
use super::reads::decoded;
use super::sql::{Param, Sql, json, sql};
use super::{Commit, Erasure, Store, StoreError};
use domain::digest::Digest;
use std::collections::HashMap;

/// A text that is still there, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptText {
    /// What the log holds of it.
    pub commitment: Digest,
    /// The stream that it belongs to.
    pub stream: String,
    /// The text.
    pub value: String,
}

/// The erasures of those members that win.
pub(super) fn of<'a>(commits: &[&'a Commit], plan: &Plan<'_>) -> Vec<(&'a Erasure, i64)> {
    let winners = plan.winners.iter().map(|&index| commits[index]);
    winners
        .filter_map(|commit| Some((commit.erases.as_ref()?, commit.decided_ms)))
        .collect()
}

/// What has to be done for one erasure, in this order: the person first, whose row everything that they do needs.
pub(super) fn statements(erasure: &Erasure, now_ms: i64) -> Vec<(Sql, Vec<Param>)> {
    let commitments: Vec<&str> = erasure.texts.iter().map(Digest::as_str).collect();
    vec![
        (
            sql!(erase_person: "DELETE FROM person WHERE id = $1"),
            vec![erasure.person.clone().unwrap_or_default().into()],
        ),
        (
            sql!(
                erase_texts: "UPDATE private_text SET salt = '', value = '', erased_ms = $2
                 WHERE erased_ms = 0 AND commitment" any("$1")
            ),
            vec![json(&commitments), now_ms.into()],
        ),
        // Any of them may name anybody, and all of them are of the last quarter of an hour.
        (
            sql!(erase_replies: "UPDATE request SET reply = '' WHERE reply <> ''"),
            Vec::new(),
        ),
        // A digest without a salt: whoever guesses the rest of a card could check a guess of what was on it.
        (
            sql!(erase_rendered: "UPDATE message SET rendered = '' WHERE subject" any("$1")),
            vec![json(&erasure.subjects)],
        ),
        // The address of a direct message is the person's.
        (
            sql!(
                erase_turns: "DELETE FROM channel_turn WHERE channel IN
                 (SELECT channel FROM message WHERE id" any("$1") ")"
            ),
            vec![json(&erasure.messages)],
        ),
        (
            sql!(erase_messages: "DELETE FROM message WHERE id" any("$1")),
            vec![json(&erasure.messages)],
        ),
        (
            sql!(
                erase_reasons: "UPDATE job SET reason = '' WHERE reason <> '' AND EXISTS
                 (SELECT 1 FROM" rows("$1") "WHERE replace(job.reason," text(0) ", '') <> job.reason)"
            ),
            vec![json(&erasure.marks.iter().map(|mark| (mark,)).collect::<Vec<_>>())],
        ),
    ]
}

impl Store {
    /// The ids of those people who have one, given as team and user.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn ids_on_record(
        &self,
        people: &[(&str, &str)],
    ) -> Result<HashMap<(String, String), String>, StoreError> {
        let known = self.known_people(people).await?;
        let owned = |((team, user), id): ((&str, &str), String)| ((team.to_owned(), user.to_owned()), id);
        Ok(known.into_iter().map(owned).collect())
    }

    /// Texts that are still there, in the order of their commitments, from behind `after` on.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn kept_texts(&self, after: &str, limit: u32) -> Result<Vec<KeptText>, StoreError> {
        let sql = sql!(
            kept_texts: "SELECT commitment, stream, value FROM private_text
             WHERE commitment > $1 AND erased_ms = 0 ORDER BY commitment LIMIT $2"
        );
        decoded(&self.read(sql, vec![after.into(), limit.into()]).await?, |row| {
            Ok(KeptText {
                commitment: row.digest(0)?,
                stream: row.text(1)?,
                value: row.text(2)?,
            })
        })
    }

    /// Has the database forget the bytes of what was erased, as far as it is its own to do. False if it still holds some: for
    /// somebody who reads what was there before, or because this login may not have it done.
    ///
    /// # Errors
    /// When the database can't do it now; nothing that was erased comes back, and trying again is safe.
    pub async fn forget_bytes(&self) -> Result<bool, StoreError> {
        Ok(self.scrub().await?)
    }
}
