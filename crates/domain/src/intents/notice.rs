//! The clock of `emergency.notice`: met, escalated or recorded as breached, never silently missed.

use crate::decide::Draft;
use crate::event::{Event, NoticeStep};
use crate::ids::Millis;
use crate::refusal::{Cause, Refusal};
use crate::release::{AttemptNumber, Notice};
use crate::rule::Rule;

/// The notice was read back in #releases. If the hour was over by then, the breach is recorded with it, whichever of the
/// two jobs came first.
pub(crate) fn posted(draft: &mut Draft<'_>, number: AttemptNumber, channel: &str, ts: &str) -> Result<(), Refusal> {
    let known = notice(draft, number)?;
    if known.posted_ms.is_none() {
        let due_ms = known.started_ms + draft.policy.notice_breach_after_ms;
        if draft.now_ms >= due_ms && known.breached.is_none() {
            draft.record(Event::NoticeBreached {
                attempt: number,
                due_ms,
            });
        }
        let event = Event::NoticePosted {
            attempt: number,
            channel: channel.to_owned(),
            ts: ts.to_owned(),
            verified_ms: draft.now_ms,
        };
        draft.record(event);
    }
    Ok(())
}

/// The notice is still unsent when a step of the ladder is due.
pub(crate) fn escalate(draft: &mut Draft<'_>, number: AttemptNumber, step: NoticeStep) -> Result<(), Refusal> {
    let notice = notice(draft, number)?;
    if notice.posted_ms.is_none() && !notice.steps.contains(&step) {
        not_before(draft, notice.started_ms + draft.policy.notice_step_after_ms(step))?;
        draft.record(Event::NoticeEscalated { attempt: number, step });
    }
    Ok(())
}

/// The hour is over; recorded with the true times, however late the program itself comes.
pub(crate) fn breach(draft: &mut Draft<'_>, number: AttemptNumber) -> Result<(), Refusal> {
    let notice = notice(draft, number)?;
    let due_ms = notice.started_ms + draft.policy.notice_breach_after_ms;
    if notice.posted_ms.is_none() && notice.breached.is_none() {
        not_before(draft, due_ms)?;
        draft.record(Event::NoticeBreached {
            attempt: number,
            due_ms,
        });
    }
    Ok(())
}

/// A timer that comes before its time, because a clock was set back, must come back: it would be the last one.
fn not_before(draft: &Draft<'_>, due_ms: Millis) -> Result<(), Refusal> {
    if draft.now_ms < due_ms {
        return Err(Refusal::new(Rule::EmergencyNotice, Cause::Outdated).until(due_ms));
    }
    Ok(())
}

fn notice<'d>(draft: &'d Draft<'_>, number: AttemptNumber) -> Result<&'d Notice, Refusal> {
    draft
        .release()?
        .attempt(number)
        .and_then(|attempt| attempt.notice.as_ref())
        .ok_or_else(|| Refusal::new(Rule::EmergencyNotice, Cause::AttemptMoved(number)))
}
