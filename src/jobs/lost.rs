//! Scripts on this host that nobody follows any more: those of attempts that two people have settled, and those of a history
//! that a restore has lost. Nothing starts beside them.

use super::attempt::{attempt_id, id_ending};
use super::run::Desk;
use crate::deploy::spool::Observation;
use domain::ids::ReleaseKey;
use domain::release::{AttemptNumber, Release};
use serde::Deserialize;

/// Releases of a service, the latest first, among whose attempts a script is looked for that nobody follows any more.
const LOST_AMONG_MAX: u32 = 200;

/// As much of a release as tells what may still be running.
#[derive(Deserialize)]
struct Past {
    key: ReleaseKey,
    attempts: Vec<PastAttempt>,
}

#[derive(Deserialize)]
struct PastAttempt {
    number: AttemptNumber,
    fence: u64,
    host: Option<String>,
    interrupted_ms: Option<i64>,
    #[serde(default)]
    lost_in_restore: bool,
}

/// What two people have settled may still be running on this host, for whichever release of the service, and so may what a
/// restored log knows nothing of: nothing starts beside it.
///
/// # Errors
/// Why it can't be told now, for people.
pub(super) async fn still_running(
    desk: &Desk<'_>,
    release: &Release,
    number: AttemptNumber,
) -> Result<Option<String>, String> {
    let host = desk.outside.deployments.host();
    let service = Some(release.service.as_str());
    let rows = desk.handler.store.list("release/", service, &[], LOST_AMONG_MAX).await;
    for row in rows.map_err(|error| format!("earlier attempts can't be looked for: {error}"))? {
        // Also of a release that only a newer version can judge: what it left running is running.
        let Ok(other) = serde_json::from_str::<Past>(&row.state) else {
            return Ok(Some(format!("the attempts of {} can't be read", row.stream)));
        };
        for earlier in &other.attempts {
            let is_this = other.key == release.key && earlier.number == number;
            let was_here = earlier.host.as_deref() == Some(host) || earlier.lost_in_restore;
            if is_this || earlier.interrupted_ms.is_none() || !was_here {
                continue;
            }
            let id = attempt_id(desk, &other.key, earlier.number, earlier.fence);
            let of = if other.key == release.key {
                String::new()
            } else {
                format!(" of {}", other.key)
            };
            if let Some(list) = living(desk, id).await? {
                return Ok(Some(format!(
                    "attempt {}{of} still runs on {host}, as process {list}; end it there first",
                    earlier.number
                )));
            }
        }
    }
    unknown_running(desk).await
}

/// The processes of an attempt on this host, for people; nothing if there are none.
async fn living(desk: &Desk<'_>, id: String) -> Result<Option<String>, String> {
    let living = desk.outside.machine.living_of(id).await;
    let living = living.map_err(|error| format!("the processes of earlier attempts can't be looked at: {error}"))?;
    let list = living.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Ok((!list.is_empty()).then_some(list))
}

/// A script of this log's lost history that still runs on this host: its spool is here, and the log knows no such attempt. Whose
/// service it is can't be told for sure, so nothing starts beside it.
async fn unknown_running(desk: &Desk<'_>) -> Result<Option<String>, String> {
    let deployments = &desk.outside.deployments;
    let machine = &desk.outside.machine;
    let spools = machine
        .unfinished(deployments.spool_root.clone(), id_ending(desk))
        .await;
    for id in spools.map_err(|error| format!("earlier spools can't be looked at: {error}"))? {
        let mut words = id.splitn(3, '.');
        let key = words.next().and_then(|key| ReleaseKey::new(key).ok());
        let number: Option<AttemptNumber> = words.next().and_then(|number| number.parse().ok());
        let row = match &key {
            Some(key) => desk.handler.store.stream(&key.stream()).await,
            None => Ok(None),
        };
        let row = row.map_err(|error| format!("earlier attempts can't be looked for: {error}"))?;
        let known: Option<Past> = row.and_then(|row| serde_json::from_str(&row.state).ok());
        let attempt = known.as_ref().zip(number).and_then(|(release, number)| {
            let attempt = release.attempts.iter().find(|attempt| attempt.number == number)?;
            Some(attempt_id(desk, &release.key, number, attempt.fence))
        });
        if attempt.as_ref() == Some(&id) {
            continue;
        }
        let processes = match machine.observe(deployments.spool(&id)).await {
            Ok(Observation::Running { pid: Some(pid), .. }) => Some(pid.to_string()),
            _ => living(desk, id.clone()).await?,
        };
        if let Some(list) = processes {
            return Ok(Some(format!(
                "a script that was started before the database was restored, {id}, still runs on {}, as process {list}; end it there first",
                deployments.host()
            )));
        }
    }
    Ok(None)
}
