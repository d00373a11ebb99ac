//! What is known of messages in Slack: which attempt posts, where it stands, what is rendered in it.

use super::error::Failure;
use super::reads::decoded;
use super::sql::{AnyRow, signed, sql};
use super::{MessageRow, MessageState, Store, StoreError};
use domain::sabotage::Guard;

/// No queue of replicas for a channel gets longer than this.
const TURN_AHEAD_MAX_MS: i64 = 60_000;

/// Whether this caller may post now, and the message as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAttempt {
    /// The row after the attempt was recorded, or as somebody else has left it.
    pub message: MessageRow,
    /// Whether the attempt is this caller's.
    pub begun: bool,
}

fn message_row(row: &AnyRow) -> Result<MessageRow, Failure> {
    Ok(MessageRow {
        id: row.text(0)?,
        subject: row.text(1)?,
        channel: row.text(2)?,
        ts: row.text(3)?,
        state: match row.text(4)?.as_str() {
            "posting" => MessageState::Posting,
            "posted" => MessageState::Posted,
            "verified" => MessageState::Verified,
            other => {
                return Err(Failure::broken(format!("a message is in the unknown state `{other}`")));
            }
        },
        rendered_version: row.count(5)?,
        rendered: row.text(6)?,
        attempted_ms: row.int(7)?,
    })
}

impl Store {
    /// A message by its outbox id.
    pub async fn message(&self, id: &str) -> Result<Option<MessageRow>, StoreError> {
        let sql = sql!(
            message: "SELECT id, subject, channel, ts, state, rendered_version, rendered, attempted_ms FROM message
             WHERE id = $1"
        );
        Ok(decoded(&self.read(sql, vec![id.into()]).await?, message_row)?.pop())
    }

    /// All messages about a release.
    pub async fn messages_of(&self, subject: &str) -> Result<Vec<MessageRow>, StoreError> {
        let sql = sql!(
            messages_of: "SELECT id, subject, channel, ts, state, rendered_version, rendered, attempted_ms FROM message
             WHERE subject = $1 ORDER BY id"
        );
        decoded(&self.read(sql, vec![subject.into()]).await?, message_row)
    }

    /// The message that Slack names by channel and `ts`.
    pub async fn find_message(&self, channel: &str, ts: &str) -> Result<Option<MessageRow>, StoreError> {
        let sql = sql!(
            find_message: "SELECT id, subject, channel, ts, state, rendered_version, rendered, attempted_ms FROM message
             WHERE channel = $1 AND ts = $2 AND ts <> ''"
        );
        Ok(decoded(&self.read(sql, vec![channel.into(), ts.into()]).await?, message_row)?.pop())
    }

    /// Records that an attempt to post begins: the first one (`seen_ms` 0), or one after an attempt that
    /// was seen at `seen_ms` and whose outcome the caller has looked for. Of several callers one begins.
    pub async fn begin_post(
        &self,
        id: &str,
        subject: &str,
        channel: &str,
        seen_ms: i64,
        now_ms: i64,
    ) -> Result<PostAttempt, StoreError> {
        let sql = sql!(
            begin_post: "INSERT INTO message (id, subject, channel, ts, state, rendered_version, rendered, attempted_ms)
             VALUES ($1, $2, $3, '', 'posting', 0, '', $5)
             ON CONFLICT (id) DO UPDATE SET attempted_ms = $5, channel = $3
                 WHERE message.state = 'posting' AND message.attempted_ms = $4
             RETURNING id, subject, channel, ts, state, rendered_version, rendered, attempted_ms"
        );
        // Strictly later, or an attempt of the same millisecond could be taken for the one that was seen.
        let now_ms = now_ms.max(seen_ms.saturating_add(1));
        let params = vec![id.into(), subject.into(), channel.into(), seen_ms.into(), now_ms.into()];
        if let Some(message) = decoded(&self.change(sql, params).await?, message_row)?.pop() {
            return Ok(PostAttempt { message, begun: true });
        }
        let message = self
            .message(id)
            .await?
            .ok_or_else(|| Failure::broken("a message has vanished"))?;
        Ok(PostAttempt { message, begun: false })
    }

    /// Takes the next turn to post to a channel, `gap_ms` after the one before it, whichever replica had that, and returns how
    /// many milliseconds to wait for it. None, and nothing is taken, if that were more than `wait_max_ms`.
    pub async fn take_turn(
        &self,
        channel: &str,
        now_ms: i64,
        gap_ms: i64,
        wait_max_ms: i64,
    ) -> Result<Option<i64>, StoreError> {
        // A turn far ahead is one of a clock that was set back since.
        let sql = sql!(
            take_turn: "INSERT INTO channel_turn (channel, next_ms) VALUES ($1, $2 + $3)
             ON CONFLICT (channel) DO UPDATE SET next_ms = $3 +
                 CASE WHEN channel_turn.next_ms BETWEEN $2 AND $2 + $4 THEN channel_turn.next_ms ELSE $2 END
                 WHERE channel_turn.next_ms <= $2 + $4 OR channel_turn.next_ms > $2 + $5
             RETURNING next_ms - $3 - $2"
        );
        let params = vec![
            channel.into(),
            now_ms.into(),
            gap_ms.into(),
            wait_max_ms.into(),
            TURN_AHEAD_MAX_MS.into(),
        ];
        Ok(decoded(&self.change(sql, params).await?, |row| row.int(0))?.pop())
    }

    /// Records where the message stands and what is rendered in it. False if it already stands elsewhere:
    /// then Slack has a second one.
    pub async fn record_posted(
        &self,
        id: &str,
        channel: &str,
        ts: &str,
        rendered_version: u64,
        rendered: &str,
    ) -> Result<bool, StoreError> {
        // A repeat must not undo what was rendered since.
        let sql = sql!(
            record_posted: "UPDATE message SET channel = $2, ts = $3,
                 state = CASE WHEN state = 'verified' THEN state ELSE 'posted' END,
                 rendered_version = CASE WHEN ts = '' THEN $4 ELSE rendered_version END,
                 rendered = CASE WHEN ts = '' THEN $5 ELSE rendered END
             WHERE id = $1 AND (ts = '' OR (ts = $3 AND channel = $2)) RETURNING id"
        );
        let params = vec![
            id.into(),
            channel.into(),
            ts.into(),
            signed(rendered_version)?.into(),
            rendered.into(),
        ];
        Ok(!self.change(sql, params).await?.is_empty())
    }

    /// Forgets where a message was posted that Slack took and does not have: it is looked for and posted again. False if it
    /// stands elsewhere by now, or was read back.
    pub async fn forget_posted(&self, id: &str, ts: &str) -> Result<bool, StoreError> {
        let sql = sql!(
            forget_posted: "UPDATE message SET ts = '', state = 'posting', rendered_version = 0, rendered = ''
             WHERE id = $1 AND ts = $2 AND state = 'posted' RETURNING id"
        );
        Ok(!self.change(sql, vec![id.into(), ts.into()]).await?.is_empty())
    }

    /// Forgets what is rendered in a message, after two workers have updated it at once: the next one looks and updates.
    pub async fn forget_rendered(&self, id: &str) -> Result<(), StoreError> {
        let sql = sql!(forget_rendered: "UPDATE message SET rendered = '' WHERE id = $1 RETURNING id");
        self.change(sql, vec![id.into()]).await?;
        Ok(())
    }

    /// Records that Slack was read back and has the message; false unless it was posted.
    pub async fn record_verified(&self, id: &str) -> Result<bool, StoreError> {
        let sql =
            sql!(record_verified: "UPDATE message SET state = 'verified' WHERE id = $1 AND ts <> '' RETURNING id");
        Ok(!self.change(sql, vec![id.into()]).await?.is_empty())
    }

    /// Records what is rendered now where `seen` was; false if another rendering came in between, be it of the same version.
    pub async fn record_rendered(
        &self,
        seen: &MessageRow,
        to_version: u64,
        rendered: &str,
    ) -> Result<bool, StoreError> {
        let sql = sql!(
            record_rendered: "UPDATE message SET rendered_version = $3, rendered = $4
             WHERE id = $1 AND rendered_version = $2 AND rendered = $5 RETURNING id"
        )
        .guarded(
            Guard::CardVersion,
            "rendered_version = $2 AND rendered = $5",
            "$2 >= 0 AND $5 >= ''",
        );
        let params = vec![
            seen.id.as_str().into(),
            signed(seen.rendered_version)?.into(),
            signed(to_version)?.into(),
            rendered.into(),
            seen.rendered.as_str().into(),
        ];
        Ok(!self.change(sql, params).await?.is_empty())
    }
}
