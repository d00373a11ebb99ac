//! A group's transaction on PostgreSQL. Rows are locked in one order everywhere (requests, streams,
//! business keys, windows, jobs; each sorted), the head last and shortest, so that replicas neither
//! deadlock nor wait for each other's whole work.

use super::Commit;
use super::erasing;
use super::error::Failure;
use super::group::Written;
use super::plan::{self, Held, Plan, Snapshot, Wanted, Window};
use super::postgres::Progress;
use super::sql::{bind, guarded, signed};
use domain::log_entry::{self, Head, Sealed};
use domain::sabotage::Guard;
use sqlx::{Executor as _, PgConnection, Row as _};
use std::collections::HashSet;

/// Writes the group. `progress` tells how far it came if it fails; `last` is the head that this process committed last.
pub(super) async fn write(
    connection: &mut PgConnection,
    log: &str,
    commits: &[&Commit],
    now_ms: i64,
    (progress, last): (&mut Progress, &mut Option<Head>),
) -> Result<Written, Failure> {
    connection.execute("BEGIN").await?;
    *progress = Progress::Begun;
    let wanted = plan::wanted(commits);
    let claimed = claim_keys(connection, commits).await?;
    let mut snapshot = read(connection, commits, &wanted, &claimed).await?;
    let (verdicts, plan) = plan::resolve(commits, &mut snapshot);
    release_keys(connection, commits, &plan, claimed).await?;
    hold_jobs(connection, commits, &plan).await?;
    write_rows(connection, commits, &plan).await?;
    let erasures = erasing::of(commits, &plan);
    if !erasures.is_empty() {
        // Scans that are ruled out look dear to the planner, and it would compile each of these rare statements first.
        connection.execute("SET LOCAL jit = off").await?;
    }
    for (erasure, decided_ms) in erasures {
        for (sql, params) in erasing::statements(erasure, decided_ms) {
            bind!(sql.postgres, params).execute(&mut *connection).await?;
        }
    }
    let mut position = 0;
    let mut new = None;
    if !plan.drafts.is_empty() {
        let head = lock_head(connection, log).await?;
        went_on(&head, last.as_ref())?;
        position = head.position;
        let (sealed, head) =
            log_entry::seal(&head, &plan.drafts, now_ms).map_err(|why| Failure::broken(why.to_string()))?;
        append(connection, &sealed, &head).await?;
        new = Some(head);
    }
    *progress = Progress::Committing;
    if let Err(error) = connection.execute("COMMIT").await {
        if refused(&error) {
            *progress = Progress::Begun;
        }
        return Err(error.into());
    }
    if new.is_some() {
        *last = new;
    }
    Ok(Written {
        outcomes: plan::outcomes(verdicts, position),
        rows: Vec::new(),
        wakes: plan.wakes,
    })
}

/// Whether the database itself said no, and not because it was going away.
pub(super) fn refused(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| !code.starts_with("57P"))
}

/// Keys that did not exist before this transaction and are ours now.
#[derive(Debug, Default)]
struct Claimed {
    requests: HashSet<String>,
    unique: HashSet<String>,
    windows: HashSet<String>,
}

/// An insert waits for others who insert the same key, and then knows whether it exists. Streams get an
/// empty row of version 0, which no reading shows: what is absent can't be locked.
const CLAIM_KEYS: &str = "
WITH r AS (INSERT INTO request (id, reply, answered_ms) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
        ON CONFLICT DO NOTHING RETURNING id),
    s AS (INSERT INTO stream (stream, version, service, status, state, updated_ms)
        SELECT stream, 0, '', '', '{}', 0 FROM unnest($4::text[]) AS stream ON CONFLICT DO NOTHING RETURNING stream),
    u AS (INSERT INTO business_key (key, created_ms) SELECT * FROM unnest($5::text[], $6::bigint[])
        ON CONFLICT DO NOTHING RETURNING key),
    w AS (INSERT INTO repeat (key, opened_ms, count) SELECT key, $8, 0 FROM unnest($7::text[]) AS key
        ON CONFLICT DO NOTHING RETURNING key)
SELECT 'request', id FROM r UNION ALL SELECT 'stream', stream FROM s
UNION ALL SELECT 'unique', key FROM u UNION ALL SELECT 'window', key FROM w";

async fn claim_keys(connection: &mut PgConnection, commits: &[&Commit]) -> Result<Claimed, Failure> {
    // Keys are exclusive within a group, so sorting by key keeps each with its member's columns.
    let mut requests: Vec<_> = commits
        .iter()
        .filter_map(|c| Some((c.request.as_ref()?, c.decided_ms)))
        .collect();
    requests.sort_unstable_by_key(|(request, _)| &request.id);
    let mut unique: Vec<_> = commits
        .iter()
        .flat_map(|c| c.unique.iter().map(|key| (key.as_str(), c.decided_ms)))
        .collect();
    unique.sort_unstable();
    let mut windows: Vec<&str> = commits
        .iter()
        .filter_map(|c| Some(c.repeat.as_ref()?.key.as_str()))
        .collect();
    windows.sort_unstable();
    let absent = plan::absent(commits);
    if requests.is_empty() && unique.is_empty() && windows.is_empty() && absent.is_empty() {
        return Ok(Claimed::default());
    }
    let rows = sqlx::query(CLAIM_KEYS)
        .bind(requests.iter().map(|(r, _)| r.id.as_str()).collect::<Vec<_>>())
        .bind(requests.iter().map(|(r, _)| r.reply.as_str()).collect::<Vec<_>>())
        .bind(requests.iter().map(|(_, ms)| *ms).collect::<Vec<_>>())
        .bind(absent)
        .bind(unique.iter().map(|(key, _)| *key).collect::<Vec<_>>())
        .bind(unique.iter().map(|(_, ms)| *ms).collect::<Vec<_>>())
        .bind(windows)
        .bind(commits.first().map_or(0, |c| c.decided_ms))
        .fetch_all(connection)
        .await?;
    let mut claimed = Claimed::default();
    for row in rows {
        let key: String = row.try_get(1)?;
        match row.try_get::<&str, _>(0)? {
            "request" => drop(claimed.requests.insert(key)),
            "unique" => drop(claimed.unique.insert(key)),
            "window" => drop(claimed.windows.insert(key)),
            _ => {}
        }
    }
    Ok(claimed)
}

/// Locks in the order of the keys, each as strongly as it needs: a stream that is only read may be
/// read by others too.
const READ: &str = "
SELECT 'request', id, 0::bigint, 0::bigint, reply FROM request WHERE id = ANY($1::text[])
UNION ALL
SELECT 'stream', wanted.stream, COALESCE(w.version, r.version, 0), 0, ''
    FROM unnest($2::text[], $3::boolean[]) AS wanted(stream, written)
    LEFT JOIN LATERAL (SELECT version FROM stream s WHERE s.stream = wanted.stream AND wanted.written FOR UPDATE) w ON true
    LEFT JOIN LATERAL (SELECT version FROM stream s WHERE s.stream = wanted.stream AND NOT wanted.written FOR SHARE) r ON true
UNION ALL
SELECT 'window', key, opened_ms, count, '' FROM
    (SELECT key, opened_ms, count FROM repeat WHERE key = ANY($4::text[]) ORDER BY key FOR UPDATE) w
UNION ALL
SELECT 'job', id, attempt, (order_key IS NOT NULL)::int::bigint, owner FROM
    (SELECT id, attempt, order_key, owner FROM job WHERE id = ANY($5::text[]) AND state = 'running' ORDER BY id FOR UPDATE) j
UNION ALL
SELECT 'person', id, 0, 0, '' FROM (SELECT id FROM person WHERE id = ANY($6::text[]) ORDER BY id FOR KEY SHARE) p";

async fn read(
    connection: &mut PgConnection,
    commits: &[&Commit],
    wanted: &Wanted<'_>,
    claimed: &Claimed,
) -> Result<Snapshot, Failure> {
    let old = |keys: &[&str], new: &HashSet<String>| -> Vec<String> {
        keys.iter()
            .filter(|key| !new.contains(**key))
            .map(|key| (*key).to_owned())
            .collect()
    };
    let requests = old(&wanted.requests, &claimed.requests);
    let windows = old(&wanted.windows, &claimed.windows);
    let mut snapshot = Snapshot {
        unique: old(&wanted.unique, &claimed.unique).into_iter().collect(),
        ..Snapshot::default()
    };
    let nothing = requests.is_empty() && windows.is_empty() && wanted.streams.is_empty();
    if nothing && wanted.jobs.is_empty() && wanted.people.is_empty() {
        return Ok(snapshot);
    }
    let written = plan::written_streams(commits);
    let rows = sqlx::query(READ)
        .bind(&requests)
        .bind(&wanted.streams)
        .bind(
            wanted
                .streams
                .iter()
                .map(|stream| written.contains(stream))
                .collect::<Vec<_>>(),
        )
        .bind(&windows)
        .bind(&wanted.jobs)
        .bind(&wanted.people)
        .fetch_all(connection)
        .await?;
    for row in rows {
        let (key, a, b, c): (String, i64, i64, String) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let unsigned = |value: i64| u64::try_from(value).unwrap_or_default();
        match row.try_get::<&str, _>(0)? {
            "request" => drop(snapshot.replies.insert(key, c)),
            "stream" => drop(snapshot.versions.insert(key, unsigned(a))),
            "person" => drop(snapshot.people.insert(key)),
            "window" => drop(snapshot.windows.insert(
                key,
                Window {
                    opened_ms: a,
                    count: unsigned(b),
                },
            )),
            _ => {
                let attempt = u32::try_from(a).unwrap_or_default();
                snapshot.held.insert(
                    key,
                    Held {
                        owner: c,
                        attempt,
                        ordered: b != 0,
                    },
                );
            }
        }
    }
    if requests.iter().any(|id| !snapshot.replies.contains_key(id)) {
        return Err(Failure::retry("a request was purged while it was looked at"));
    }
    Ok(snapshot)
}

/// Losers leave nothing behind.
async fn release_keys(
    connection: &mut PgConnection,
    commits: &[&Commit],
    plan: &Plan<'_>,
    claimed: Claimed,
) -> Result<(), Failure> {
    let Claimed {
        mut requests,
        mut unique,
        mut windows,
    } = claimed;
    for &index in &plan.answered {
        requests.remove(commits[index].request.as_ref().map_or("", |r| &r.id));
    }
    for &index in &plan.winners {
        unique.retain(|key| !commits[index].unique.contains(key));
    }
    windows.retain(|key| !plan.windows.contains_key(key.as_str()));
    if requests.is_empty() && unique.is_empty() && windows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH r AS (DELETE FROM request WHERE id = ANY($1::text[])),
              u AS (DELETE FROM business_key WHERE key = ANY($2::text[]))
         DELETE FROM repeat WHERE key = ANY($3::text[])",
    )
    .bind(requests.into_iter().collect::<Vec<_>>())
    .bind(unique.into_iter().collect::<Vec<_>>())
    .bind(windows.into_iter().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// A column of `rows`, ready to be bound.
macro_rules! column {
    ($rows:expr, $pattern:pat => $value:expr) => {
        $rows.iter().map(|$pattern| $value).collect::<Vec<_>>()
    };
}

/// Before new jobs, so that none of them waits behind one that is held.
async fn hold_jobs(connection: &mut PgConnection, commits: &[&Commit], plan: &Plan<'_>) -> Result<(), Failure> {
    let mut held: Vec<_> = plan
        .winners
        .iter()
        .flat_map(|&index| {
            commits[index]
                .holds
                .iter()
                .map(move |hold| (hold, commits[index].decided_ms))
        })
        .map(|(hold, now_ms)| (hold.job.as_str(), plan::fate_columns(&hold.fate, now_ms)))
        .collect();
    if held.is_empty() {
        return Ok(());
    }
    held.sort_unstable();
    sqlx::query(
        "UPDATE job SET state = n.state, due_ms = COALESCE(n.due_ms, job.due_ms), reason = COALESCE(n.reason, job.reason),
             finished_ms = n.finished_ms, lease_until_ms = 0, owner = ''
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
             AS n(id, state, due_ms, reason, finished_ms)
         WHERE job.id = n.id AND job.state IN ('queued', 'running')",
    )
    .bind(column!(held, (id, _) => *id))
    .bind(column!(held, (_, fate) => fate.0))
    .bind(column!(held, (_, fate) => fate.1))
    .bind(column!(held, (_, fate) => fate.2))
    .bind(column!(held, (_, fate) => fate.4))
    .execute(connection)
    .await?;
    Ok(())
}

/// Everything but the log. No row is touched by two of these parts, which see the same moment. A waiting job that stands for
/// a new one is locked until this commits: a worker that took it meanwhile would not see what this commit writes.
const WRITE_ROWS: &str = "
WITH states AS (
    UPDATE stream SET version = n.version, service = n.service, status = n.status, state = n.state, updated_ms = n.ms
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        AS n(stream, version, service, status, state, ms) WHERE stream.stream = n.stream),
bumps AS (
    UPDATE stream SET version = n.version, updated_ms = n.ms
    FROM unnest($7::text[], $8::bigint[], $9::bigint[]) AS n(stream, version, ms) WHERE stream.stream = n.stream),
texts AS (
    INSERT INTO private_text (commitment, stream, salt, value, erased_ms)
    SELECT n.*, 0 FROM unnest($10::text[], $11::text[], $12::text[], $13::text[]) AS n ON CONFLICT DO NOTHING),
settled AS (
    UPDATE job SET state = n.state, due_ms = COALESCE(n.due_ms, job.due_ms), reason = COALESCE(n.reason, job.reason),
        forgiven = job.forgiven + n.forgiven, finished_ms = n.finished_ms, lease_until_ms = 0, owner = ''
    FROM unnest($14::text[], $15::text[], $16::bigint[], $17::text[], $18::bigint[], $19::bigint[])
        AS n(id, state, due_ms, reason, forgiven, finished_ms) WHERE job.id = n.id),
windows AS (
    INSERT INTO repeat (key, opened_ms, count) SELECT * FROM unnest($20::text[], $21::bigint[], $22::bigint[])
    ON CONFLICT (key) DO UPDATE SET opened_ms = excluded.opened_ms, count = excluded.count),
closed AS (DELETE FROM repeat WHERE key = ANY($23::text[]))
INSERT INTO job (id, kind, payload, lane, subject, order_key, order_position, coalesce_key, due_ms, attempts_max,
        created_ms, state, attempt, forgiven, lease_until_ms, owner, finished_ms, reason)
    SELECT n.*, 'queued', 0, 0, 0, '', 0, '' FROM unnest($24::text[], $25::text[], $26::text[], $27::text[], $28::text[],
        $29::text[], $30::bigint[], $31::text[], $32::bigint[], $33::bigint[], $34::bigint[]) AS n(id, kind, payload, lane,
        subject, order_key, order_position, coalesce_key, due_ms, attempts_max, created_ms)
    WHERE NOT EXISTS (SELECT 1 FROM job known WHERE known.id = n.id)
    ON CONFLICT (coalesce_key) WHERE state = 'queued' AND attempt = 0 AND coalesce_key IS NOT NULL
    DO UPDATE SET due_ms = LEAST(job.due_ms, excluded.due_ms)";

async fn write_rows(connection: &mut PgConnection, commits: &[&Commit], plan: &Plan<'_>) -> Result<(), Failure> {
    if plan.winners.is_empty() && plan.settled.is_empty() && plan.windows.is_empty() {
        return Ok(());
    }
    let winners = || plan.winners.iter().map(|&index| commits[index]);
    let states: Vec<_> = plan.states.values().collect();
    let bumps: Vec<_> = plan.bumps.iter().collect();
    let texts: Vec<_> = winners().flat_map(|c| &c.texts).collect();
    let settled: Vec<_> = plan
        .settled
        .iter()
        .filter_map(|&index| {
            let settlement = commits[index].settles.as_ref()?;
            Some((
                &settlement.job,
                plan::fate_columns(&settlement.fate, commits[index].decided_ms),
            ))
        })
        .collect();
    let windows: Vec<_> = plan.windows.iter().collect();
    let mut jobs: Vec<_> = winners()
        .flat_map(|c| c.jobs.iter().map(|job| (job, c.decided_ms)))
        .collect();
    // The order in which their unique keys are locked.
    jobs.sort_by(|(a, _), (b, _)| (&a.coalesce_key, &a.id).cmp(&(&b.coalesce_key, &b.id)));
    let mut ids = HashSet::new();
    jobs.retain(|(job, _)| ids.insert(job.id.as_str()));
    jobs.dedup_by(|(later, _), (first, _)| later.coalesce_key.is_some() && later.coalesce_key == first.coalesce_key);
    sqlx::query(WRITE_ROWS)
        .bind(column!(states, (_, s) => s.stream.as_str()))
        .bind(
            states
                .iter()
                .map(|(version, _)| signed(*version))
                .collect::<Result<Vec<_>, _>>()?,
        )
        .bind(column!(states, (_, s) => s.service.as_str()))
        .bind(column!(states, (_, s) => s.status.as_str()))
        .bind(column!(states, (_, s) => s.state.as_str()))
        .bind(column!(states, (_, s) => s.updated_ms))
        .bind(column!(bumps, (stream, _) => **stream))
        .bind(
            bumps
                .iter()
                .map(|(_, (version, _))| signed(*version))
                .collect::<Result<Vec<_>, _>>()?,
        )
        .bind(column!(bumps, (_, (_, ms)) => *ms))
        .bind(column!(texts, t => String::from(t.text.commitment())))
        .bind(column!(texts, t => t.stream.as_str()))
        .bind(column!(texts, t => t.text.salt.as_str()))
        .bind(column!(texts, t => t.text.value.as_str()))
        .bind(column!(settled, (id, _) => id.as_str()))
        .bind(column!(settled, (_, fate) => fate.0))
        .bind(column!(settled, (_, fate) => fate.1))
        .bind(column!(settled, (_, fate) => fate.2))
        .bind(column!(settled, (_, fate) => fate.3))
        .bind(column!(settled, (_, fate) => fate.4))
        .bind(column!(windows, (key, _) => **key))
        .bind(column!(windows, (_, window) => window.opened_ms))
        .bind(
            windows
                .iter()
                .map(|(_, window)| signed(window.count))
                .collect::<Result<Vec<_>, _>>()?,
        )
        .bind(plan.closed.iter().copied().collect::<Vec<_>>())
        .bind(column!(jobs, (j, _) => j.id.as_str()))
        .bind(column!(jobs, (j, _) => j.kind.as_str()))
        .bind(column!(jobs, (j, _) => j.payload.as_str()))
        .bind(column!(jobs, (j, _) => j.lane.as_str()))
        .bind(column!(jobs, (j, _) => j.subject.as_str()))
        .bind(column!(jobs, (j, _) => j.order_key.as_deref()))
        .bind(column!(jobs, (j, _) => j.order))
        .bind(column!(jobs, (j, _) => j.coalesce_key.as_deref()))
        .bind(column!(jobs, (j, _) => j.due_ms))
        .bind(column!(jobs, (j, _) => i64::from(j.attempts_max)))
        .bind(column!(jobs, (_, created_ms) => *created_ms))
        .execute(connection)
        .await?;
    Ok(())
}

async fn lock_head(connection: &mut PgConnection, log: &str) -> Result<Head, Failure> {
    let text = "SELECT position, hash, logged_ms FROM head WHERE id = 1 FOR UPDATE";
    let text = guarded(Guard::HeadLock, text, " FOR UPDATE", "");
    let (position, hash, logged_ms): (i64, String, i64) = sqlx::query_as(text).fetch_one(connection).await?;
    Ok(Head {
        log: log.to_owned(),
        position: u64::try_from(position).unwrap_or_default(),
        hash: hash.try_into().map_err(Failure::broken)?,
        logged_ms,
    })
}

/// A log that ends before what was committed is another history: a restore, or a standby that had not everything. Nothing is
/// decided on it by a process that knows better.
fn went_on(head: &Head, last: Option<&Head>) -> Result<(), Failure> {
    match last {
        Some(last) if head.position < last.position || (head.position == last.position && head.hash != last.hash) => {
            Err(Failure::unavailable(format!(
                "the database went back: its log ends at entry {}, and this process has committed entry {}. It was restored, or a \
                 standby took over that had not everything. Stop every process of the bot; the operations page says what then",
                head.position, last.position
            )))
        }
        _ => Ok(()),
    }
}

async fn append(connection: &mut PgConnection, sealed: &[Sealed], head: &Head) -> Result<(), Failure> {
    sqlx::query(
        "WITH entries AS (INSERT INTO log (position, stream, version, logged_ms, bytes, previous, hash)
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[]))
         UPDATE head SET position = $8, hash = $9, logged_ms = $10 WHERE id = 1",
    )
    .bind(sealed.iter().map(|e| signed(e.position)).collect::<Result<Vec<_>, _>>()?)
    .bind(column!(sealed, e => e.stream.as_str()))
    .bind(sealed.iter().map(|e| signed(e.version)).collect::<Result<Vec<_>, _>>()?)
    .bind(column!(sealed, e => e.logged_ms))
    .bind(column!(sealed, e => e.bytes.as_str()))
    .bind(column!(sealed, e => e.previous.as_str()))
    .bind(column!(sealed, e => e.hash.as_str()))
    .bind(signed(head.position)?)
    .bind(head.hash.as_str())
    .bind(head.logged_ms)
    .execute(connection)
    .await?;
    Ok(())
}
