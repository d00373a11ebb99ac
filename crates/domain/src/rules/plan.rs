//! `plan.complete` and `emergency.justification`: what must be said before anybody is asked.

use crate::command::{HotfixRequest, Proposal};
use crate::ids::{DAY_MS, MINUTE_MS, Millis, PersonId, tidy};
use crate::policy::{JUSTIFICATION_MIN_CHARS, TEXT_MAX_CHARS};
use crate::release::Release;
use crate::role::Role;
use crate::rule::{Kind, Rule};
use crate::rules::gates::{Detail, Gate, GateState};
use std::collections::BTreeSet;

/// A field and what is expected of it.
pub type Missing = (&'static str, &'static str);

/// The gate: a complete plan for which a release manager answers, or a complete request of a hotfix. Incomplete ones are
/// refused when they are proposed, so only a plan's owner can be missing here.
pub fn complete(release: &Release) -> Gate {
    let (state, detail) = match release.owner {
        None if !release.kind.is_emergency() => (GateState::Unmet, Detail::NoOwner),
        _ => (GateState::Met, Detail::Plain),
    };
    Gate {
        roles: vec![Role::ReleaseManager],
        ..Gate::new(Rule::PlanComplete, release, state, detail)
    }
}

/// What a proposal lacks, field by field; the names are those of the modal's inputs.
pub fn lacks(plan: &Proposal, has_repository: bool, now_ms: Millis) -> Vec<Missing> {
    let texts = [
        ("scope", &plan.scope),
        ("dependencies", &plan.dependencies),
        ("outcome", &plan.outcome),
        ("abort_criteria", &plan.abort_criteria),
    ];
    let mut missing: Vec<Missing> = texts
        .into_iter()
        .filter(|(_, text)| !is_said(&text.value))
        .map(|(name, _)| (name, "say it in words, at most 3,000 characters; \"none\" is an answer"))
        .collect();
    if plan.kind == Kind::Emergency {
        missing.push((
            "kind",
            "a planned release is major or minor; for an emergency use `/release hotfix`",
        ));
    }
    if plan.tickets.is_empty() || plan.tickets.len() > 100 {
        missing.push(("tickets", "name 1 to 100 tickets, such as PAY-101"));
    }
    missing.extend(shared_lacks(&plan.authors, plan.commit.is_none() && !has_repository));
    if plan.length_ms < MINUTE_MS || plan.length_ms > DAY_MS {
        missing.push(("length", "between 1 minute and 24 hours"));
    }
    if plan.start_ms.saturating_add(plan.length_ms) <= now_ms {
        missing.push(("start", "the slot is over already; choose a later start"));
    }
    if plan.start_ms > now_ms.saturating_add(366 * DAY_MS) {
        missing.push(("start", "at most a year ahead"));
    }
    missing
}

/// What a hotfix request lacks, besides its justification.
pub fn hotfix_lacks(request: &HotfixRequest, has_repository: bool) -> Vec<Missing> {
    let mut missing = Vec::new();
    if request.justification.value.chars().count() > TEXT_MAX_CHARS {
        missing.push(("justification", "at most 3,000 characters"));
    }
    if request.tickets.len() > 100 {
        missing.push(("tickets", "at most 100 tickets"));
    }
    missing.extend(shared_lacks(
        &request.authors,
        request.commit.is_none() && !has_repository,
    ));
    missing
}

/// How many characters of a justification count, if they are too few.
pub fn justification_too_short(request: &HotfixRequest) -> Option<usize> {
    let chars = chars_that_count(&request.justification.value);
    (chars < JUSTIFICATION_MIN_CHARS).then_some(chars)
}

/// How many characters of a text say something: neither padding nor what nobody can see.
pub fn chars_that_count(text: &str) -> usize {
    let tidied = tidy(text);
    let words: Vec<&str> = tidied.split_whitespace().collect();
    words.join(" ").chars().count()
}

fn shared_lacks(authors: &BTreeSet<PersonId>, needs_commit: bool) -> Vec<Missing> {
    let mut missing = Vec::new();
    if authors.is_empty() || authors.len() > 50 {
        missing.push(("authors", "name 1 to 50 people who wrote the commits"));
    }
    if needs_commit {
        missing.push((
            "commit",
            "the service names no repository, so type the full commit id of 40 characters",
        ));
    }
    missing
}

/// Whether a text says something that a person can read.
pub fn is_said(text: &str) -> bool {
    !tidy(text).is_empty() && text.chars().count() <= TEXT_MAX_CHARS
}
