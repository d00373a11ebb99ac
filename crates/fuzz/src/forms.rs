//! Filled-in forms: every problem names an input of the form, and what was read is within the rules' bounds and comes back the
//! same when the form is opened with it and sent again.

use crate::command_texts::{valid_key, valid_service, valid_version};
use crate::{answers, services};
use countersign::people;
use countersign::slack::buttons::ButtonValue;
use countersign::slack::modals::{
    self, Errors, Form, HotfixFields, HotfixPrefill, PlanFields, PlanPrefill, ReadError, SlackUser,
};
use countersign::slack::payload::FormView;
use countersign::slack::view::Names;
use domain::ids::{MINUTE_MS, ReleaseKey};
use domain::policy::Policy;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The first time that a form can show: Slack takes ten digits.
const SHOWN_FROM_MS: i64 = 1_000_000_000_000;

/// Reads `view` as each of the forms, whichever it says it is.
pub fn check(view: &FormView) {
    match modals::read_plan(view, &services()) {
        Ok(fields) => check_plan(&fields),
        Err(error) => check_errors(error, &modals::plan(&PlanPrefill::default(), &services())),
    }
    match modals::read_hotfix(view, &services()) {
        Ok(fields) => check_hotfix(&fields),
        Err(error) => check_errors(error, &hotfix()),
    }
    for form in [Form::Reject, Form::Withdraw, Form::Cancel] {
        match modals::read_reason(view, form) {
            Ok(fields) => {
                valid_key(&fields.value.release);
                assert_eq!(ButtonValue::parse(&view.private_metadata), Ok(fields.value));
                fields.reason.as_deref().into_iter().for_each(check_text);
                assert!(form != Form::Reject || fields.reason.is_some());
            }
            Err(ReadError::Errors(errors)) => check_each(&errors, |name| name == "reason"),
            Err(ReadError::Unreadable) => {}
        }
    }
}

fn hotfix() -> Value {
    let nobody = BTreeMap::new();
    let prefill = HotfixPrefill {
        service: None,
        version: None,
        ctos: &[],
        names: Names {
            mentions: &nobody,
            plain: &nobody,
        },
        policy: &Policy::default(),
    };
    modals::hotfix(&prefill, &services())
}

fn check_errors(error: ReadError, form: &Value) {
    let blocks = form["blocks"].as_array().unwrap();
    let inputs: BTreeSet<&str> = blocks.iter().filter_map(|block| block["block_id"].as_str()).collect();
    if let ReadError::Errors(errors) = error {
        check_each(&errors, |name| inputs.contains(name));
    }
}

fn check_each(errors: &Errors, is_input: impl Fn(&str) -> bool) {
    assert!(!errors.is_empty());
    for (name, text) in errors {
        assert!(is_input(name), "the form has no input {name}: {text}");
        assert!((10..=1_000).contains(&text.chars().count()), "{name}: {text:?}");
        answers::no_tags(text);
    }
}

fn check_text(text: &str) {
    assert!(
        !text.trim().is_empty() && text.chars().count() <= 3_000,
        "{} characters",
        text.chars().count()
    );
}

fn check_tickets(tickets: &BTreeSet<ReleaseKey>) {
    assert!(tickets.len() <= 100);
    for ticket in tickets {
        valid_key(ticket);
    }
}

/// Nobody who is named as an author is lost where the bot looks people up.
fn check_authors(authors: &BTreeSet<SlackUser>) {
    assert!((1..=50).contains(&authors.len()));
    for author in authors {
        assert!(people::SlackUser::new(author.as_str()).is_ok(), "{author:?}");
    }
}

fn check_plan(fields: &PlanFields) {
    valid_key(&fields.key);
    valid_version(&fields.version);
    fields.service.iter().for_each(|service| drop(valid_service(service)));
    assert_eq!(fields.service.is_none(), fields.edits.is_some());
    assert!((MINUTE_MS..=1_440 * MINUTE_MS).contains(&fields.length_ms));
    assert!(!fields.tickets.is_empty());
    check_tickets(&fields.tickets);
    check_authors(&fields.authors);
    for text in [
        &fields.scope,
        &fields.dependencies,
        &fields.outcome,
        &fields.abort_criteria,
    ] {
        check_text(text);
    }
    let prefill = PlanPrefill {
        edits: fields.edits.clone(),
        key: Some(fields.key.clone()),
        service: fields.service.clone().or_else(|| Some(services()[0].name.clone())),
        version: Some(fields.version.clone()),
        kind: Some(fields.kind),
        start_ms: Some(fields.start_ms),
        length_ms: Some(fields.length_ms),
        scope: fields.scope.clone(),
        tickets: fields
            .tickets
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        dependencies: fields.dependencies.clone(),
        user_facing: Some(fields.user_facing),
        migration: Some(fields.migration),
        outcome: fields.outcome.clone(),
        abort_criteria: fields.abort_criteria.clone(),
        authors: fields.authors.iter().map(|author| author.as_str().to_owned()).collect(),
        commit: fields.commit.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let form = modals::plan(&prefill, &services());
    answers::check_form(&form);
    if fields.start_ms >= SHOWN_FROM_MS {
        assert_eq!(modals::read_plan(&as_sent(&form), &services()).as_ref(), Ok(fields));
    }
}

fn check_hotfix(fields: &HotfixFields) {
    valid_version(&fields.version);
    valid_service(&fields.service);
    check_text(&fields.justification);
    check_authors(&fields.authors);
    check_tickets(&fields.tickets);
    fields.ticket.iter().for_each(|ticket| drop(valid_key(ticket)));
}

/// An open form, sent as it stands.
fn as_sent(form: &Value) -> FormView {
    let inputs = form["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|block| block["type"] == "input");
    let values: BTreeMap<&str, Value> = inputs
        .map(|block| {
            let element = &block["element"];
            let filled = json!({
                "type": element["type"], "value": element["initial_value"], "selected_option": element["initial_option"],
                "selected_date_time": element["initial_date_time"], "selected_users": element["initial_users"],
            });
            (block["block_id"].as_str().unwrap(), json!({ "value": filled }))
        })
        .collect();
    let view = json!({
        "id": "V0", "callback_id": form["callback_id"], "private_metadata": form["private_metadata"],
        "state": { "values": values },
    });
    serde_json::from_value(view).unwrap()
}
