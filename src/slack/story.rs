//! The story in the card's thread, entry by entry, and the same sentences for `/release audit`.

pub use crate::slack::sentences::{lifted, sentence};

use crate::slack::blocks::{Rendered, context, message, section};
use crate::slack::gates::rule_ref;
use crate::slack::markup::{code_tail, count, quoted};
use crate::slack::state::capital;
use crate::slack::time::span;
use crate::slack::view::View;
use domain::attestation::Attestation;
use domain::command::Actor;
use domain::digest::Digest;
use domain::event::Event;
use domain::ids::Millis;
use domain::role::Role;
use domain::rule::Rule;
use std::collections::BTreeSet;

/// The rejections that stand while a log is read from its beginning: a sign-off alone does not say that it lifts one.
#[derive(Debug, Clone, Default)]
pub struct Standing(BTreeSet<Role>);

impl Standing {
    /// Whether `event`, the next one of the log, lifts a rejection.
    pub fn lifted_by(&mut self, event: &Event) -> bool {
        match event {
            Event::ReleaseRejected { role, .. } => {
                self.0.insert(*role);
                false
            }
            Event::SignedOff { sign_off } => self.0.remove(&sign_off.role),
            _ => false,
        }
    }
}

/// One entry of the thread: what happened at `at_ms`. `lifts` says that it is a sign-off that lifted a rejection.
pub fn story(view: &View<'_>, event: &Event, actor: &Actor, at_ms: Millis, lifts: bool) -> Rendered {
    let sentence = match event {
        Event::SignedOff { sign_off } if lifts => lifted(sign_off, view.names),
        event => sentence(event, actor, view.release, view.names),
    };
    let text = format!("{}: {sentence}", view.release.key);
    message(&text, view.version, |room| {
        let mut blocks = vec![section(&sentence)];
        blocks.extend(detail(view, event, room).map(|detail| section(&detail)));
        let rule = rule_behind(event).map_or_else(String::new, |rule| format!(" · {}", rule_ref(rule)));
        blocks.push(context(&format!("{}{rule}", view.when(at_ms))));
        blocks
    })
}

/// Whether `next` was said in the same visit as `first`.
pub fn goes_on(first: &Event, next: &Event) -> bool {
    match (first, next) {
        (Event::Attested { attestation: first, .. }, Event::Attested { attestation: next, .. }) => {
            first.by == next.by && first.said_ms == next.said_ms
        }
        _ => false,
    }
}

/// What somebody confirmed in one visit, in one entry of the thread.
pub fn visit(view: &View<'_>, first: &Event, with_it: &[Event], at_ms: Millis) -> Rendered {
    let said: Vec<(Rule, &Attestation)> = std::iter::once(first)
        .chain(with_it)
        .filter_map(|event| match event {
            Event::Attested { rule, attestation } => Some((*rule, &**attestation)),
            _ => None,
        })
        .collect();
    let who = said.first().map_or_else(String::new, |(_, word)| {
        format!("{} confirmed as {}", view.names.mention(&word.by), word.role.title())
    });
    let sentence = format!("{who}: {}.", count(said.len(), "line"));
    let note = said.iter().find_map(|(_, word)| word.note.as_ref());
    let text = format!("{}: {sentence}", view.release.key);
    message(&text, view.version, |room| {
        let lines = said
            .iter()
            .map(|(rule, _)| format!("• {} (`{}`)", rule.summary(), rule.id()));
        let mut blocks = vec![section(&format!(
            "{sentence}\n{}",
            lines.collect::<Vec<_>>().join("\n")
        ))];
        blocks.extend(note.map(|note| section(&format!("*Note*\n{}", quoted(view.text(note), room, "(nothing)")))));
        blocks.push(context(&format!(
            "{} · recorded as said, not as seen",
            view.when(at_ms)
        )));
        blocks
    })
}

/// The reason that somebody gave, where the event has one.
pub fn reason(event: &Event) -> Option<&Digest> {
    match event {
        Event::ReleaseRejected { reason, .. } => Some(reason),
        Event::RuleWaived { waiver, .. } => Some(&waiver.justification),
        Event::Attested { attestation, .. } => attestation.note.as_ref(),
        Event::SignOffWithdrawn { reason, .. } | Event::ReleaseCancelled { reason, .. } => reason.as_ref(),
        _ => None,
    }
}

/// What stands below the sentence.
fn detail(view: &View<'_>, event: &Event, room: usize) -> Option<String> {
    let quote = |digest: &Digest| quoted(view.text(digest), room, "(nothing)");
    match event {
        Event::HotfixRequested { justification, .. } => Some(format!("*Why it can't wait*\n{}", quote(justification))),
        Event::ReleasePlanned { plan, .. } => Some(format!("*Scope*\n{}", quote(&plan.scope))),
        Event::AttemptEnded {
            output: Some(output), ..
        } => Some(format!(
            "*The end of its output*\n{}",
            code_tail(view.text(output), room.min(2_500))
        )),
        Event::ReleaseApproved {} => view
            .release
            .plan
            .as_ref()
            .filter(|plan| plan.start_ms > view.now_ms)
            .map(|plan| {
                format!(
                    "Not before {}, in {}.",
                    view.when(plan.start_ms),
                    span(plan.start_ms - view.now_ms)
                )
            }),
        Event::NoticeEscalated { step, .. } => view.ways.missing(*step).map(|missing| format!("{}.", capital(missing))),
        event => reason(event).map(|reason| format!("*Why*\n{}", quote(reason))),
    }
}

/// The rule that the entry is about.
fn rule_behind(event: &Event) -> Option<Rule> {
    let of_role = |role: Role| domain::rules::sign_off::rule_of(role);
    match event {
        Event::ReleasePlanned { .. } | Event::PlanChanged { .. } => Some(Rule::PlanComplete),
        Event::HotfixRequested { .. } => Some(Rule::EmergencyJustification),
        Event::CommitTyped { .. } | Event::SourceResolved { .. } | Event::SourceNotResolved { .. } => {
            Some(Rule::VcsTag)
        }
        Event::SignedOff { sign_off } => Some(of_role(sign_off.role)),
        Event::SignOffRequested { role, .. }
        | Event::SignOffWithdrawn { role, .. }
        | Event::ReleaseRejected { role, .. } => Some(of_role(*role)),
        Event::DebtIncurred { .. } | Event::DebtClosed { .. } => Some(Rule::EmergencyReview),
        Event::DeploymentRequested { .. } | Event::AttemptStarting { .. } => Some(Rule::DeployStart),
        Event::StopRequested { .. } | Event::SettlementProposed { .. } | Event::AttemptSettled { .. } => {
            Some(Rule::RolesCommands)
        }
        Event::AttemptInterrupted { .. } | Event::AttemptLostInRestore { .. } => Some(Rule::DeployExclusive),
        Event::NoticePosted { .. } | Event::NoticeEscalated { .. } | Event::NoticeBreached { .. } => {
            Some(Rule::EmergencyNotice)
        }
        Event::CommandRefused { rule, .. }
        | Event::Attested { rule, .. }
        | Event::AttestationWithdrawn { rule, .. }
        | Event::RuleWaived { rule, .. }
        | Event::WaiverWithdrawn { rule, .. } => Some(*rule),
        _ => None,
    }
}
