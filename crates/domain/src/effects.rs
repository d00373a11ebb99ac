//! What must follow from events: the list of everything that is ever done outside. Pure; the jobs are committed
//! with the events that cause them.

use crate::event::{Event, NoticeStep};
use crate::ids::{Millis, PersonId, ReleaseKey};
use crate::job::{Job, MessageId};
use crate::policy::Policy;
use crate::release::{Attempt, AttemptNumber, AttemptState, Release};
use crate::role::Role;
use crate::rules::{attested, sign_off};
use std::collections::BTreeSet;

/// A job and when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What.
    pub job: Job,
    /// Not before, UTC milliseconds.
    pub at_ms: Millis,
}

/// What must follow from `events`, which led to `release` at `now_ms`. `first_version` is the stream version of
/// the first event that belongs to the release.
pub fn effects(release: &Release, events: &[Event], first_version: u64, policy: &Policy, now_ms: Millis) -> Vec<Due> {
    let key = &release.key;
    let mut due = Vec::new();
    let of_release = events.iter().filter(|event| event.service_stream().is_none());
    let mut before: Option<&Event> = None;
    for (version, event) in (first_version..).zip(of_release) {
        for (job, at_ms) in of_event(release, event, policy, now_ms) {
            due.push(Due { job, at_ms });
        }
        if matches!(event, Event::ReleaseRejected { .. }) {
            due.extend(told_by_message(release, version, now_ms));
        }
        // What somebody says in one visit is told once.
        let goes_on = matches!(event, Event::Attested { .. }) && matches!(before, Some(Event::Attested { .. }));
        before = Some(event);
        if is_told(event) && !goes_on {
            let message = MessageId::Story {
                release: key.clone(),
                version,
            };
            due.push(Due {
                job: Job::PostMessage { message },
                at_ms: now_ms,
            });
        }
    }
    if !events.is_empty() {
        // Whatever happened, every copy must say what is true now.
        due.extend(refreshes(release, now_ms));
    }
    due
}

/// A refresh of every message that shows the release's current state.
pub fn refreshes(release: &Release, now_ms: Millis) -> Vec<Due> {
    let key = &release.key;
    let questions = release
        .copies
        .iter()
        .map(|(role, person, revision)| MessageId::Question {
            release: key.clone(),
            role: *role,
            person: person.clone(),
            revision: *revision,
        });
    std::iter::once(MessageId::Card { release: key.clone() })
        .chain(questions)
        .map(|message| Due {
            job: Job::RefreshMessage { message },
            at_ms: now_ms,
        })
        .collect()
}

/// A no is told to who asked for the release and to who answers for it: they can put it right.
fn told_by_message(release: &Release, version: u64, now_ms: Millis) -> Vec<Due> {
    let people: BTreeSet<_> = std::iter::once(&release.requester).chain(&release.owner).collect();
    let message = |person: &PersonId| MessageId::Rejection {
        release: release.key.clone(),
        version,
        person: person.clone(),
    };
    let post = |person| Due {
        job: Job::PostMessage {
            message: message(person),
        },
        at_ms: now_ms,
    };
    people.into_iter().map(post).collect()
}

/// The last result that #releases was told, before attempt `before` if one is given: it invites to another attempt, and
/// must not go on doing so.
fn invitation(release: &Release, before: Option<AttemptNumber>, now_ms: Millis) -> Vec<(Job, Millis)> {
    let told = release
        .attempts
        .iter()
        .rev()
        .filter(|attempt| before.is_none_or(|before| attempt.number < before))
        .find(|attempt| attempt.starting_ms.is_some());
    let refresh = |attempt: &Attempt| Job::RefreshMessage {
        message: MessageId::Outcome {
            release: release.key.clone(),
            attempt: attempt.number,
        },
    };
    told.filter(|attempt| matches!(attempt.state, AttemptState::Ended(_)))
        .map(|attempt| (refresh(attempt), now_ms))
        .into_iter()
        .collect()
}

/// Whether an event is told in the card's thread.
fn is_told(event: &Event) -> bool {
    !matches!(
        event,
        Event::SignOffRequested { .. }
            | Event::AttemptRunning { .. }
            | Event::CommandRefused { .. }
            | Event::RefusalsRepeated { .. }
            | Event::RestoreAcknowledged { .. }
            | Event::PersonErased { .. }
    )
}

fn of_event(release: &Release, event: &Event, policy: &Policy, now_ms: Millis) -> Vec<(Job, Millis)> {
    let key = release.key.clone();
    match event {
        Event::ReleasePlanned { plan, .. } | Event::PlanChanged { plan, .. } => {
            // When the slot is over, card and question must say so by themselves, wherever the release stands.
            let end_ms = plan.start_ms + plan.length_ms;
            let look_again = (Job::LookAgain { release: key.clone() }, end_ms);
            let mut jobs = vec![(Job::ResolveSource { release: key }, now_ms)];
            jobs.extend((end_ms > now_ms).then_some(look_again));
            jobs
        }
        Event::HotfixRequested { .. } | Event::CommitTyped { .. } => {
            vec![(Job::ResolveSource { release: key }, now_ms)]
        }
        Event::SignOffRequested { role, revision, .. } => {
            let Some(at_ms) = sign_off::timers_of(*role, release.kind, policy, now_ms) else {
                return Vec::new();
            };
            let (release, revision) = (key.clone(), *revision);
            match role {
                Role::Cto => vec![(Job::AskDeputy { release, revision }, at_ms)],
                // From here on the CTO's click deploys at once, and card and question must say so even if nothing is recorded.
                _ => vec![
                    (Job::EndTechLeadWait { release, revision }, at_ms),
                    (Job::LookAgain { release: key }, at_ms),
                ],
            }
        }
        Event::SignedOff { sign_off } => {
            // When it expires, the card must say so by itself.
            let at_ms = sign_off::expires_ms(sign_off, release, policy);
            vec![(Job::LookAgain { release: key }, at_ms)]
        }
        Event::Attested { rule, attestation } => {
            // When time makes it old, the card must say so by itself.
            let counts_ms = attested::counts_ms(*rule, release);
            let old_ms = counts_ms.map(|counts_ms| attestation.said_ms + counts_ms);
            let look = old_ms.map(|at_ms| (Job::LookAgain { release: key }, at_ms));
            look.into_iter().collect()
        }
        Event::ReleaseApproved {} => {
            // When the slot begins the deployment engineer may start: the card says so by itself. Its end is looked at since
            // the plan.
            let begins_ms = release.plan.as_ref().map(|plan| plan.start_ms);
            let begins_ms = begins_ms.filter(|at_ms| *at_ms > now_ms);
            begins_ms
                .map(|at_ms| (Job::LookAgain { release: key }, at_ms))
                .into_iter()
                .collect()
        }
        Event::DeploymentRequested { attempt, .. } => vec![(
            Job::StartAttempt {
                release: key,
                attempt: *attempt,
            },
            now_ms,
        )],
        Event::AttemptStarting { attempt, .. } => {
            let mut jobs = vec![(
                Job::WatchAttempt {
                    release: key.clone(),
                    attempt: *attempt,
                },
                now_ms,
            )];
            if release.kind.is_emergency() {
                jobs.extend(notice_clock(&key, *attempt, policy, now_ms));
            }
            jobs.extend(invitation(release, Some(*attempt), now_ms));
            jobs
        }
        Event::ReleaseCancelled { .. } => invitation(release, None, now_ms),
        // What never started has nothing to stop and nothing to tell #releases.
        Event::StopRequested { attempt, .. }
        | Event::AttemptEnded { attempt, .. }
        | Event::AttemptInterrupted { attempt }
        | Event::AttemptSettled { attempt, .. }
            if release
                .attempt(*attempt)
                .is_none_or(|a| a.starting_ms.is_none() && !a.lost_in_restore) =>
        {
            Vec::new()
        }
        Event::StopRequested { attempt, .. } => vec![(
            Job::StopAttempt {
                release: key,
                attempt: *attempt,
            },
            now_ms,
        )],
        Event::AttemptInterrupted { attempt } | Event::AttemptLostInRestore { attempt } => {
            let message = MessageId::Outcome {
                release: key,
                attempt: *attempt,
            };
            vec![(Job::PostMessage { message }, now_ms)]
        }
        Event::AttemptEnded { attempt, .. } | Event::AttemptSettled { attempt, .. } => {
            let message = MessageId::Outcome {
                release: key,
                attempt: *attempt,
            };
            // An interruption stands in #releases under the same id already; posting again would change nothing.
            let told = release.attempt(*attempt).is_some_and(|a| a.interrupted_ms.is_some());
            let job = if told {
                Job::RefreshMessage { message }
            } else {
                Job::PostMessage { message }
            };
            vec![(job, now_ms)]
        }
        Event::NoticeEscalated { attempt, step } => escalation(&key, *attempt, *step, now_ms),
        Event::NoticeBreached { attempt, .. } => vec![(
            Job::PostMessage {
                message: MessageId::Breach {
                    release: key.clone(),
                    attempt: *attempt,
                },
            },
            now_ms,
        )],
        _ => Vec::new(),
    }
}

/// The notice itself, at once, and every step that is taken if it can't be posted.
fn notice_clock(key: &ReleaseKey, attempt: AttemptNumber, policy: &Policy, started_ms: Millis) -> Vec<(Job, Millis)> {
    let notice = Job::PostMessage {
        message: MessageId::Notice {
            release: key.clone(),
            attempt,
        },
    };
    let steps = NoticeStep::ALL.into_iter().map(|step| {
        (
            Job::EscalateNotice {
                release: key.clone(),
                attempt,
                step,
            },
            started_ms + policy.notice_step_after_ms(step),
        )
    });
    let breach = Job::BreachNotice {
        release: key.clone(),
        attempt,
    };
    std::iter::once((notice, started_ms))
        .chain(steps)
        .chain(std::iter::once((breach, started_ms + policy.notice_breach_after_ms)))
        .collect()
}

/// Mail after five minutes, people rung after fifteen, and once more when the hour is at risk.
fn escalation(key: &ReleaseKey, attempt: AttemptNumber, step: NoticeStep, now_ms: Millis) -> Vec<(Job, Millis)> {
    let release = key.clone();
    let job = match step {
        NoticeStep::Mail => Job::MailNotice { release, attempt },
        NoticeStep::Page | NoticeStep::AtRisk => Job::Page { release, attempt, step },
    };
    vec![(job, now_ms)]
}
