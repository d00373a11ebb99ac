//! Turns a decision into the one value that is committed: states, entries, texts, business keys and jobs.

use super::load::Loaded;
use super::{Order, repeat_guard};
use crate::store::{ClosedRepeat, Commit, NewJob, Settlement, StateRow, StoredText, StreamVersion};
use anyhow::Context as _;
use domain::case::Case;
use domain::command::Actor;
use domain::effects::{Due, effects};
use domain::event::{Event, SignOff};
use domain::ids::{EnvironmentName, ReleaseKey};
use domain::intents::authority::Ask;
use domain::job::{Job, MessageId};
use domain::log_entry::Draft;
use domain::policy::Policy;
use domain::refusal::Refusal;
use domain::release::Release;
use domain::restore;

/// The commit and the case after it.
pub(super) struct Built {
    pub commit: Commit,
    pub case: Case,
}

/// Everything that `events` write.
pub(super) fn events(
    order: &Order<'_>,
    loaded: &Loaded,
    events: &[Event],
    policy: &Policy,
    now_ms: i64,
) -> anyhow::Result<Built> {
    let mut case = loaded.case.clone();
    let (mut release_version, mut service_version) = (loaded.release_version, loaded.service_version);
    let release_stream = order.command.release.stream();
    let mut commit = Commit {
        reads: reads(order, loaded),
        settles: order.settles.clone(),
        decided_ms: now_ms,
        ..Commit::default()
    };
    for event in events {
        if let Event::SignedOff { sign_off } = event {
            commit
                .unique
                .push(sign_off_key(&order.command.release, case.release.as_ref(), sign_off));
        }
        case.evolve(event, now_ms);
        let (stream, version) = match event.service_stream() {
            Some(stream) => (stream, &mut service_version),
            None => (release_stream.clone(), &mut release_version),
        };
        *version += 1;
        commit.entries.push(draft(order, stream, *version, event, now_ms)?);
    }
    if let Some(release) = &case.release {
        if release_version > loaded.release_version {
            commit.states.push(StateRow {
                stream: release_stream.clone(),
                version: release_version,
                service: release.service.to_string(),
                status: release.status.key().to_owned(),
                state: serde_json::to_string(release).context("a release's state")?,
                updated_ms: now_ms,
            });
            let texts = order.command.intent.texts();
            commit.texts = texts
                .into_iter()
                .map(|text| StoredText {
                    stream: release_stream.clone(),
                    text: text.clone(),
                })
                .collect();
        }
        if service_version > loaded.service_version {
            commit.states.push(StateRow {
                stream: release.service.stream(),
                version: service_version,
                service: release.service.to_string(),
                status: String::new(),
                state: serde_json::to_string(&case.service).context("a service's state")?,
                updated_ms: now_ms,
            });
        }
        let due = effects(release, events, loaded.release_version + 1, policy, now_ms);
        commit.jobs = due
            .iter()
            .enumerate()
            .map(|(index, due)| new_job(due, release_version, index, now_ms))
            .collect::<Result<_, _>>()?;
    }
    Ok(Built { commit, case })
}

/// The entry of a refusal: outside the version that decisions compare.
pub(super) fn refusal(order: &Order<'_>, loaded: &Loaded, refusal: &Refusal, now_ms: i64) -> anyhow::Result<Commit> {
    let command = &order.command;
    let ask = Ask::of(&command.intent, loaded.case.release.as_ref(), &command.actor).word();
    let event = Event::CommandRefused {
        release: command.release.clone(),
        intent: ask.to_owned(),
        rule: refusal.rule,
        cause: refusal.cause.word().to_owned(),
    };
    let guard = repeat_guard(order, refusal, ask);
    let close = Job::CloseRefusals {
        release: command.release.clone(),
        key: guard.key.clone(),
    };
    let close = Due {
        job: close,
        at_ms: now_ms + guard.window_ms,
    };
    let mut job = new_job(&close, 0, 0, now_ms)?;
    job.id = format!("refusals/{}/{now_ms}", guard.key);
    Ok(Commit {
        entries: vec![draft(order, refused_stream(&command.release), 0, &event, now_ms)?],
        jobs: vec![job],
        repeat: Some(guard),
        decided_ms: now_ms,
        ..Commit::default()
    })
}

/// The entry that closes a window of repeats, if there were any.
pub(super) fn closing(
    release: &ReleaseKey,
    key: &str,
    count: u64,
    settles: Settlement,
    now_ms: i64,
) -> anyhow::Result<Commit> {
    let event = Event::RefusalsRepeated {
        release: release.clone(),
        key: key.to_owned(),
        count,
    };
    let entry = Draft {
        stream: refused_stream(release),
        version: 0,
        decided_ms: now_ms,
        actor: Actor::Countersign.id().to_owned(),
        request: None,
        event: serde_json::to_value(event).context("an event")?,
    };
    Ok(Commit {
        entries: if count > 0 { vec![entry] } else { Vec::new() },
        closes_repeat: Some(ClosedRepeat {
            key: key.to_owned(),
            count,
        }),
        settles: Some(settles),
        decided_ms: now_ms,
        ..Commit::default()
    })
}

/// The stream of what was refused about a release.
pub(crate) fn refused_stream(release: &ReleaseKey) -> String {
    format!("refused/{release}")
}

fn reads(order: &Order<'_>, loaded: &Loaded) -> Vec<StreamVersion> {
    let mut reads = vec![StreamVersion {
        stream: order.command.release.stream(),
        version: loaded.release_version,
    }];
    if let Some(service) = &loaded.service {
        reads.push(StreamVersion {
            stream: service.stream(),
            version: loaded.service_version,
        });
        reads.push(StreamVersion {
            stream: restore::STREAM.to_owned(),
            version: loaded.restores_version,
        });
    }
    reads
}

pub(crate) fn draft(
    order: &Order<'_>,
    stream: String,
    version: u64,
    event: &Event,
    now_ms: i64,
) -> anyhow::Result<Draft> {
    Ok(Draft {
        stream,
        version,
        decided_ms: now_ms,
        actor: order.command.actor.id().to_owned(),
        // A job's request id is its own business; a person's is evidence of what Slack signed.
        request: matches!(order.command.actor, Actor::Person(_))
            .then(|| order.request.clone())
            .flatten(),
        event: serde_json::to_value(event).context("an event")?,
    })
}

/// One sign-off of one revision, round, role and person exists once, whatever ids its delivery had.
fn sign_off_key(key: &ReleaseKey, release: Option<&Release>, sign_off: &SignOff) -> String {
    let (revision, round) = release.map_or((0, 0), |release| {
        (
            release.revision,
            release.rounds.get(&sign_off.role).copied().unwrap_or_default(),
        )
    });
    format!(
        "sign-off/{key}/{revision}/{round}/{}/{}",
        sign_off.role, sign_off.person
    )
}

/// A job as the queue stores it. `version` and `index` make its id the same whoever commits it.
pub(crate) fn new_job(due: &Due, version: u64, index: usize, now_ms: i64) -> anyhow::Result<NewJob> {
    let job = &due.job;
    let payload = serde_json::to_value(job).context("a job")?;
    let kind = payload
        .get("kind")
        .and_then(|kind| kind.as_str())
        .unwrap_or_default()
        .to_owned();
    let subject = job.release().map(ReleaseKey::to_string).unwrap_or_default();
    let (order_key, coalesce_key) = match job {
        // One at a time per message, and one waiting is enough: it will render what is true then.
        Job::RefreshMessage { message } => {
            let key = message.to_string();
            (Some(key.clone()), (due.at_ms <= now_ms).then_some(key))
        }
        Job::PostMessage {
            message: MessageId::Story { release, .. },
        } => (Some(format!("story/{release}")), None),
        _ => (None, None),
    };
    Ok(NewJob {
        id: format!("{subject}/{version}/{index}"),
        kind: format!("{kind}.v1"),
        payload: payload.to_string(),
        lane: job.lane().key().to_owned(),
        order_key,
        order: i64::try_from(version).unwrap_or(i64::MAX) * 1_000 + i64::try_from(index).unwrap_or(999),
        coalesce_key,
        due_ms: due.at_ms,
        attempts_max: crate::jobs::attempts_max(job),
        subject,
    })
}

pub(super) fn production() -> EnvironmentName {
    let Ok(name) = EnvironmentName::new("production") else {
        unreachable!("a constant name that its own check accepts")
    };
    name
}
