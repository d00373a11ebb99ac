//! When there is nothing left to answer: signed, refused, superseded, cancelled, over.

use super::owed;
use crate::slack::gates;
use crate::slack::markup::foreign_line;
use crate::slack::state::capital;
use crate::slack::view::View;
use domain::ids::PersonId;
use domain::release::{OwnPart, Status};
use domain::role::Role;
use domain::rules::gates::Detail;
use domain::rules::sign_off::{expires_ms, rule_of, signed_other_role};

/// Why there is nothing left to answer, if so: what happened and when.
pub(super) fn closed(view: &View<'_>, role: Role, person: &PersonId, revision: u32) -> Option<String> {
    let release = view.release;
    let again = format!("`/release approve {}`", release.key);
    if release.status == Status::Cancelled {
        return Some("The release was cancelled; nothing is asked of you.".to_owned());
    }
    if let Some(sign_off) = release.sign_offs.get(&role) {
        return Some(signed(view, role, person, &again, sign_off));
    }
    if let Some(no) = release.rejections.get(&role) {
        let who = if no.person == *person {
            "You".to_owned()
        } else {
            view.names.mention(&no.person)
        };
        let reason = foreign_line(view.text(&no.reason), 300);
        return Some(format!(
            "{who} said no {}: “{reason}”. {}: {again}.",
            view.when(no.at_ms),
            capital(gates::lifts(role))
        ));
    }
    if let Some(part) = release.own_part(person) {
        return Some(format!("{} Somebody else in the role signs.", own(part)));
    }
    if let Some(other) = signed_other_role(person, role, release) {
        return Some(format!(
            "You signed this release as {}; one person fills one role, so somebody else signs here.",
            other.title()
        ));
    }
    if revision != release.revision {
        return Some(format!(
            "The release has changed since this was asked. If your sign-off is needed for what it is now, you have a newer message; or use {again}."
        ));
    }
    if owed(release, role) {
        return None;
    }
    match (release.status, &release.plan) {
        (Status::Asking | Status::Approved | Status::Rejected, Some(plan))
            if view.now_ms >= plan.start_ms + plan.length_ms =>
        {
            let end = view.when(plan.start_ms + plan.length_ms);
            Some(format!(
                "The planned slot ended {end} without your answer, so it did not start. A new start needs a changed plan, and then you are asked again."
            ))
        }
        (Status::Asking | Status::Approved | Status::Rejected | Status::Queued, _) => None,
        (Status::Drafted, _) => {
            Some("Countersign is reading the tag again; if your sign-off is needed, you are asked anew.".to_owned())
        }
        _ => Some(format!(
            "It went on without your answer: {}.",
            crate::slack::state::lower(&crate::slack::state::status_words(release))
        )),
    }
}

fn signed(view: &View<'_>, role: Role, person: &PersonId, again: &str, sign_off: &domain::event::SignOff) -> String {
    let who = if sign_off.person == *person {
        "You".to_owned()
    } else {
        view.names.mention(&sign_off.person)
    };
    let until_ms = expires_ms(sign_off, view.release, view.policy);
    let deputy = if sign_off.as_deputy { ", standing in" } else { "" };
    let signed = format!(
        "{who} signed {} as {}{deputy}, {}.",
        gates::signs(role),
        role.title(),
        view.when(sign_off.signed_ms)
    );
    let stale = match view.gate(rule_of(role)).map(|gate| &gate.detail) {
        Some(Detail::Changed(fields)) => Some(format!(
            "It no longer counts: {} changed since. A new question follows.",
            gates::changed(fields)
        )),
        Some(Detail::Expired { .. }) => Some(format!(
            "It ended {} and no longer counts. To sign again: {again}.",
            view.when(until_ms)
        )),
        _ => None,
    };
    let is_open = matches!(
        view.release.status,
        Status::Asking | Status::Approved | Status::Queued | Status::Rejected | Status::Drafted
    );
    match stale {
        Some(stale) if is_open => format!("{signed} {stale}"),
        None if is_open => format!(
            "{signed} It counts until {}. To take it back before the start: `/release withdraw {}`.",
            view.when(until_ms),
            view.release.key
        ),
        _ => signed,
    }
}

fn own(part: OwnPart) -> &'static str {
    match part {
        OwnPart::Requester => "You asked for this release or answer for it, so you can't sign it.",
        OwnPart::Author => "You wrote some of this release, so you can't sign it.",
    }
}
