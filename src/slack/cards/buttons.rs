//! The buttons of a card, by status.

use crate::slack::blocks::Button;
use crate::slack::buttons::{ActionId, ButtonValue};
use crate::slack::view::View;
use domain::release::{Release, SettlementChoice, Status};
use domain::rule::{Judged, Rule};
use domain::rules::sign_off::role_of;

/// The buttons that the status allows. Who may press them is looked up at the click.
pub(super) fn buttons(view: &View<'_>) -> Vec<Button> {
    let release = view.release;
    let button = |action, label: &str| {
        let reader_label = format!("{} {}, {}", label.trim_end_matches('…'), release.key, view.what());
        Button::new(action, label, &reader_label, ButtonValue::on(release))
    };
    let approve = || approve(view);
    let reject = || button(ActionId::Reject, "Reject…").danger();
    let edit = || (!release.kind.is_emergency()).then(|| button(ActionId::EditPlan, "Edit plan…"));
    let cancel = || button(ActionId::Cancel, "Cancel…");
    let why = || button(ActionId::Why, "Why not now?");
    let mut row = match release.status {
        Status::Drafted => vec![why(), cancel()],
        Status::Asking if view.slot_over() => vec![why(), cancel()],
        Status::Asking => vec![approve(), reject(), why(), cancel()],
        Status::Approved if view.slot_over() => vec![why(), cancel()],
        Status::Approved => {
            let needs_signing = view.holding().iter().any(|gate| role_of(gate.rule).is_some());
            let first = if needs_signing { approve() } else { deploy(view) };
            vec![
                first,
                reject(),
                button(ActionId::Withdraw, "Withdraw…"),
                why(),
                cancel(),
            ]
        }
        Status::Queued => vec![stop(view), reject(), button(ActionId::Withdraw, "Withdraw…")],
        Status::Deploying => vec![stop(view)],
        Status::Interrupted => settle(view),
        Status::Rejected if view.slot_over() => vec![why(), cancel()],
        Status::Rejected => vec![approve(), reject(), why(), cancel()],
        Status::Released if owes_sign_off(release) => {
            vec![button(ActionId::Approve, "Give the owed sign-off").primary()]
        }
        Status::Released | Status::Cancelled => Vec::new(),
    };
    if view.is_before_start()
        && view
            .holding()
            .iter()
            .any(|gate| matches!(gate.rule.judged(), Judged::Attested(..)))
    {
        row.insert(0, button(ActionId::Checklist, "Open checklist…"));
    }
    if matches!(
        release.status,
        Status::Drafted | Status::Asking | Status::Approved | Status::Rejected
    ) {
        let at = row.len().saturating_sub(1);
        if let Some(edit) = edit() {
            row.insert(at, edit);
        }
    }
    row
}

fn owes_sign_off(release: &Release) -> bool {
    release.open_debts().any(|(rule, _)| rule == Rule::SignoffTechLead)
}

/// On a card anybody may be the last one to sign, so a hotfix, which then starts by itself, is asked about once more. The
/// question in a direct message knows who is asked, and has no second dialog.
fn approve(view: &View<'_>) -> Button {
    let release = view.release;
    let label = if release.kind.is_emergency() {
        "Approve hotfix"
    } else {
        "Approve"
    };
    let reader_label = format!("{label} {}, {}", release.key, view.what());
    let button = Button::new(ActionId::Approve, label, &reader_label, ButtonValue::on(release)).primary();
    if !release.kind.is_emergency() {
        return button;
    }
    button.confirm(
        "Approve the hotfix?",
        &format!(
            "You sign as CTO, as the deputy or as tech lead. If nothing else is missing then, this deploys {} to {} at once.",
            view.what(),
            release.environment
        ),
        label,
    )
}

fn deploy(view: &View<'_>) -> Button {
    let release = view.release;
    let label = format!("Deploy {} {} to {} now", release.key, view.what(), release.environment);
    Button::new(ActionId::Deploy, "Deploy", &label, ButtonValue::on(release))
        .primary()
        .confirm(
            "Deploy now?",
            &format!(
                "{} goes to {} now, if every gate holds at that moment.",
                view.what(),
                release.environment
            ),
            "Deploy",
        )
}

fn stop(view: &View<'_>) -> Button {
    let release = view.release;
    let mut value = ButtonValue::on(release);
    value.attempt = release.live_attempt().map(|attempt| attempt.number);
    let label = format!("Stop the deployment of {} {}", release.key, view.what());
    Button::new(ActionId::Stop, "Stop", &label, value).danger().confirm(
        "Stop the deployment?",
        &format!(
            "The deployment of {} to {} is ended where it stands. What it has done so far stays done.",
            view.what(),
            release.environment
        ),
        "Stop it",
    )
}

fn settle(view: &View<'_>) -> Vec<Button> {
    let release = view.release;
    let Some(attempt) = release.live_attempt() else {
        return Vec::new();
    };
    SettlementChoice::ALL
        .into_iter()
        .map(|choice| {
            let (label, follows) = match choice {
                SettlementChoice::Finished => (
                    "It finished",
                    format!("{} counts as released, and the environment is free again.", view.what()),
                ),
                SettlementChoice::Failed => (
                    "It failed",
                    "The attempt counts as failed, and the environment is free again.".to_owned(),
                ),
                SettlementChoice::NewAttempt => (
                    "New attempt",
                    "The attempt counts as failed; every gate is judged, and if all hold, a new attempt starts."
                        .to_owned(),
                ),
            };
            let reader_label = format!("{} {}: {label}", release.key, view.what());
            let value = ButtonValue::on(release).of_attempt(attempt.number);
            Button::new(ActionId::Settle(choice), label, &reader_label, value).confirm(
                &format!("Attempt {} of {}", attempt.number, release.key),
                &format!("Once two people say so: {follows}"),
                label,
            )
        })
        .collect()
}
