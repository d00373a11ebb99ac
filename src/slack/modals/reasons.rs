//! Saying no, taking a sign-off back, giving a release up: what it is about, what follows, and why.

use crate::slack::blocks::section;
use crate::slack::buttons::ButtonValue;
use crate::slack::gates::{lifts, signs};
use crate::slack::modals::Form;
use crate::slack::modals::inputs::{Input, form};
use crate::slack::modals::read::{ReadError, Reader};
use crate::slack::payload::FormView;
use crate::slack::state::{capital, kind_word};
use crate::slack::view::View;
use domain::role::Role;
use serde_json::Value;

/// What was filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonFields {
    /// What it is about: what the button carried when it was clicked.
    pub value: ButtonValue,
    /// Why.
    pub reason: Option<String>,
}

/// Asks why not. `value` is what the button carried, so that nobody rejects what they did not see.
pub fn reject(view: &View<'_>, value: &ButtonValue) -> Value {
    let role = value
        .role
        .map_or_else(String::new, |role| format!(" as {}", role.title()));
    // On a hotfix's card the role is known only at the click.
    let lifted = match value.role {
        Some(role) => format!("{}.", capital(lifts(role))),
        None if view.release.kind.is_emergency() => {
            "Your role lifts it by approving; a tech lead's no the CTO may also confirm with it in view.".to_owned()
        }
        None => format!("{}.", capital(lifts(Role::ProductOwner))),
    };
    let blocks = vec![
        section(&format!(
            "You say no to {}{role}. It does not start. {lifted}",
            subject(view)
        )),
        Input::lines("reason", "Why not?", "")
            .hint("The requester and everyone in the thread read it, and it stays on the record.")
            .build(),
    ];
    form(Form::Reject, "Reject the release", "Reject", &value.to_json(), &blocks)
}

/// Asks for a reason to take a sign-off back.
pub fn withdraw(view: &View<'_>, value: &ButtonValue) -> Value {
    let signed = value.role.map_or_else(
        || "your sign-off".to_owned(),
        |role| format!("your sign-off of {}", signs(role)),
    );
    let blocks = vec![
        section(&format!(
            "You take back {signed} of {}. Until somebody in your role signs again, it does not start; a requested deployment that has not started is called off.",
            subject(view)
        )),
        Input::lines("reason", "Why?", "").optional().build(),
    ];
    form(
        Form::Withdraw,
        "Withdraw your sign-off",
        "Withdraw",
        &value.to_json(),
        &blocks,
    )
}

/// Asks for a reason to give a release up.
pub fn cancel(view: &View<'_>, value: &ButtonValue) -> Value {
    let blocks = vec![
        section(&format!(
            "You give up {}. It will not happen, and its key is not used again. To deploy it later, plan it anew.",
            subject(view)
        )),
        Input::lines("reason", "Why?", "").optional().build(),
    ];
    form(
        Form::Cancel,
        "Cancel the release",
        "Cancel the release",
        &value.to_json(),
        &blocks,
    )
}

fn subject(view: &View<'_>) -> String {
    let release = view.release;
    let start = release
        .plan
        .as_ref()
        .map_or_else(String::new, |plan| format!(", start {}", view.when(plan.start_ms)));
    format!(
        "*{}, {}* ({} to {}{start})",
        release.key,
        view.what(),
        kind_word(release),
        release.environment
    )
}

/// What was filled in; a rejection demands a reason.
///
/// # Errors
/// The missing reason, or that the form is none of ours.
pub fn read_reason(filled: &FormView, form: Form) -> Result<ReasonFields, ReadError> {
    let value = ButtonValue::parse(&filled.private_metadata).map_err(|_| ReadError::Unreadable)?;
    let mut reader = Reader::new(filled);
    let reason = if form == Form::Reject {
        reader.text(
            "reason",
            "Say why, in a few words; only then can somebody put it right.",
        )
    } else {
        reader.optional_text("reason")
    };
    reader.finish(Some(ReasonFields { value, reason }))
}
