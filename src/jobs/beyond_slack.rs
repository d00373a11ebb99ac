//! The ladder of the emergency notice beyond Slack: mails to all teams, and pages. Says nothing once the notice stands in
//! #releases.

use super::retry::Ran;
use super::run::{Desk, Trouble};
use super::view::Scene;
use crate::failure::Failure;
use crate::records::mail::Mail;
use crate::slack::mail;
use domain::event::NoticeStep;
use domain::ids::ReleaseKey;
use domain::release::AttemptNumber;

/// The scene while the notice is not in #releases: a mail or page that was held up until it stood there must not say otherwise.
async fn scene_without_notice(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    attempt: AttemptNumber,
) -> Result<Option<Scene>, Trouble> {
    let is_posted = |scene: &Scene| {
        let attempt = scene.release().and_then(|release| release.attempt(attempt));
        let notice = attempt.and_then(|attempt| attempt.notice.as_ref());
        notice.is_some_and(|notice| notice.posted_ms.is_some())
    };
    Ok(desk.handler.scene(key).await?.filter(|scene| !is_posted(scene)))
}

/// Nobody can be told by a way that is not configured, and no repetition changes that: said once, and nothing is left over.
fn without_a_way(desk: &Desk<'_>, key: &ReleaseKey, step: NoticeStep) -> Ran {
    let missing = desk.handler.ways.missing(step).unwrap_or_default();
    tracing::warn!(release = %key, "{missing}, though the emergency notice of {key} is not confirmed in #releases");
    Ran::Done
}

/// Mails all teams what #releases could not say, each address by itself. At least once, with a fixed Message-ID.
pub(super) async fn mail_notice(desk: &Desk<'_>, key: &ReleaseKey, attempt: AttemptNumber) -> Result<Ran, Trouble> {
    let Some(scene) = scene_without_notice(desk, key, attempt).await? else {
        return Ok(Ran::Done);
    };
    let Some(mailer) = desk.outside.mailer.as_ref().filter(|_| desk.handler.ways.mail) else {
        return Ok(without_a_way(desk, key, NoticeStep::Mail));
    };
    let Some(view) = scene.view(desk.handler, false) else {
        return Ok(Ran::Done);
    };
    let (subject, body) = mail::mail_notice(&view, attempt);
    let message_id = format!("<notice.{key}.{attempt}@{}>", desk.outside.mail_domain);
    let mut failure: Option<Failure> = None;
    for to in desk.teams() {
        if desk.outside.is_mailed(&message_id, &to) {
            continue;
        }
        let message = Mail {
            to: to.clone(),
            subject: subject.clone(),
            body: body.clone(),
            message_id: message_id.clone(),
        };
        match desk.outside.machine.send_mail(mailer, &message).await {
            Ok(()) => desk.outside.remember_mailed(&message_id, to),
            // The others get theirs all the same; what may still pass has the last word.
            Err(error) if failure.as_ref().is_none_or(|failure| !failure.is_transient()) => failure = Some(error),
            Err(_) => {}
        }
    }
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    desk.outside.forget_mailed(&message_id);
    Ok(Ran::Done)
}

/// Rings outside Slack and mail. At least once.
pub(super) async fn page(
    desk: &Desk<'_>,
    key: &ReleaseKey,
    attempt: AttemptNumber,
    step: NoticeStep,
) -> Result<Ran, Trouble> {
    let Some(scene) = scene_without_notice(desk, key, attempt).await? else {
        return Ok(Ran::Done);
    };
    if !desk.outside.escalation.is_configured() {
        return Ok(without_a_way(desk, key, step));
    }
    let Some(view) = scene.view(desk.handler, false) else {
        return Ok(Ran::Done);
    };
    let page = crate::escalation::Page {
        summary: mail::page_summary(&view, attempt, step),
        release: key.to_string(),
        step: format!("{step:?}").to_lowercase(),
        at_ms: scene.now_ms,
        id: format!("page/{key}/{attempt}/{step:?}"),
    };
    desk.outside.machine.ring(&desk.outside.escalation, &page).await?;
    Ok(Ran::Done)
}
