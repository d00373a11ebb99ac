//! The JSON of clicks and forms: what a button carries is ids and comes back the same, and whatever is filled in is read, or
//! told at its input.

use crate::command_texts::valid_key;
use crate::time::bounded;
use crate::{APP, TEAM, answers, form_bodies, forms};
use countersign::slack::buttons::{ActionId, ButtonValue};
use countersign::slack::modals::Form;
use countersign::slack::payload::{Click, Elsewhere, Interaction, InteractionKind};
use countersign::slack::texts::replies::{self, Instead};
use std::collections::BTreeMap;

/// Checks one payload, and the same text as the value of a button.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    check_value(text);
    check_action(text);
    let read = bounded("payload", input, || Interaction::from_json(text));
    let body = form_bodies::encoded(&BTreeMap::from([("payload".to_owned(), text.to_owned())]));
    assert_eq!(Interaction::parse(&body), read, "alone and in its form");
    if let Ok(interaction) = read {
        judge(&interaction, input);
    }
}

/// Checks what is read on from a payload; `input` is where it came from.
fn judge(interaction: &Interaction, input: &[u8]) {
    let team = interaction.team.as_ref().map(|team| team.id.as_str());
    let place = interaction.workspace().check(TEAM, APP);
    assert_eq!(place == Err(Elsewhere::App), interaction.api_app_id != APP);
    assert!(place.is_err() || team == Some(TEAM));
    let own = interaction.user.team_id.as_deref();
    assert!(
        place.is_err() || own.is_none_or(|own| own == TEAM || own.starts_with('E')),
        "{own:?}"
    );
    match &interaction.kind {
        InteractionKind::Click(click) => check_click(click),
        InteractionKind::Submission(view) => bounded("form", input, || forms::check(view)),
        InteractionKind::Closed(_) | InteractionKind::Ignored(_) => {}
    }
}

fn check_click(click: &Click) {
    for action in &click.actions {
        check_action(&action.action_id);
        action.value.as_deref().into_iter().for_each(check_value);
    }
}

fn check_action(id: &str) {
    if let Some(action) = ActionId::parse(id) {
        assert_eq!(action.to_string(), id);
    }
}

/// Whatever is taken for a value of ours is one that we could have made.
fn check_value(text: &str) {
    let Ok(value) = ButtonValue::parse(text) else { return };
    valid_key(&value.release);
    let view = value.view.as_deref().unwrap_or("1");
    assert!(
        view.len() <= 30 && view.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
        "{view:?}"
    );
    let made = value.to_json();
    assert!(made.len() <= 2_000, "Slack takes at most 2,000 characters: {made}");
    assert_eq!(ButtonValue::parse(&made), Ok(value.clone()));
    for form in [Form::Reject, Form::Withdraw, Form::Cancel] {
        answers::check(&replies::form_not_opened(&Instead::Reason(form, &value.release), true));
    }
}
