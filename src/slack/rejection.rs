//! A no, by direct message to who asked for the release: who said it, why, and what the reader can do about it.

use crate::slack::blocks::{Rendered, context, header, message, section};
use crate::slack::gates::{lifts, rule_ref};
use crate::slack::markup::quoted;
use crate::slack::state::capital;
use crate::slack::view::View;
use domain::ids::PersonId;
use domain::release::{Rejection, Release, Status};
use domain::role::Role;
use domain::rules::sign_off::rule_of;

/// The no of `role`, to `reader`.
pub fn rejection(view: &View<'_>, role: Role, no: &Rejection, reader: &PersonId) -> Rendered {
    let release = view.release;
    let who = view.names.mention(&no.person);
    let text = format!(
        "{}, {}: {who} said no as {}. {}",
        release.key,
        view.what(),
        role.title(),
        follows(view, role, no, reader)
    );
    message(&text, view.version, |room| {
        vec![
            header(&format!(
                "{} · {} · rejected by the {}",
                release.key,
                view.what(),
                role.title()
            )),
            section(&format!(
                "{who} said no {}:\n{}",
                view.when(no.at_ms),
                quoted(view.text(&no.reason), room, "(nothing)")
            )),
            section(&follows(view, role, no, reader)),
            context(&format!("{} · {}", part(release, reader), rule_ref(rule_of(role)))),
        ]
    })
}

/// Why the reader hears of it.
fn part(release: &Release, reader: &PersonId) -> &'static str {
    if release.requester == *reader {
        "You asked for this release"
    } else {
        "You answer for this release"
    }
}

/// What the reader can do, and what happens if nobody does anything.
fn follows(view: &View<'_>, role: Role, no: &Rejection, reader: &PersonId) -> String {
    let release = view.release;
    let key = &release.key;
    if release.status == Status::Cancelled {
        return "The release was cancelled since; nothing is asked of anybody.".to_owned();
    }
    if release
        .rejections
        .get(&role)
        .is_none_or(|standing| standing.at_ms != no.at_ms)
    {
        return format!("That was answered since: `/release status {key}` says how it stands.");
    }
    let mend = match (&release.owner, release.kind.is_emergency()) {
        (_, true) => format!(
            "Talk to them; a hotfix is not edited. To ask for another version: `/release cancel {key}`, then `/release hotfix`."
        ),
        (Some(owner), false) if owner == reader => format!(
            "Talk to them, and if the plan has to change: `/release plan {key}`. To give it up: `/release cancel {key}`."
        ),
        (owner, false) => {
            let manager = owner
                .as_ref()
                .map_or_else(|| "a release manager".to_owned(), |owner| view.names.mention(owner));
            format!("Talk to them; if the plan has to change, or to give it up, {manager} does that.")
        }
    };
    format!("{mend} {}. If nobody does, it does not start.", capital(lifts(role)))
}
