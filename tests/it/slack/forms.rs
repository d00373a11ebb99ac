//! What was filled in comes back typed, or with every problem at its own input.

use super::samples::{Sample, key};
use countersign::slack::buttons::ButtonValue;
use countersign::slack::modals::{
    self, Form, PlanPrefill, ReadError, ServiceChoice, SlackUser, errors_of, errors_response, read_hotfix, read_plan,
    read_reason,
};
use countersign::slack::payload::FormView;
use domain::ids::{MINUTE_MS, ServiceName};
use domain::refusal::{Cause, Refusal};
use domain::release::Migration;
use domain::rule::{Kind, Rule};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn services() -> Vec<ServiceChoice> {
    [("payments", true), ("ledger", false)]
        .map(|(name, has_repository)| ServiceChoice {
            name: ServiceName::new(name).unwrap(),
            has_repository,
        })
        .to_vec()
}

fn text(value: &str) -> Value {
    json!({ "value": { "type": "plain_text_input", "value": value } })
}

fn option(value: &str) -> Value {
    json!({ "value": { "type": "static_select", "selected_option": { "value": value, "text": { "type": "plain_text", "text": value } } } })
}

fn filled(metadata: &str, values: &Value) -> FormView {
    serde_json::from_value(
        json!({ "id": "V1", "callback_id": "plan", "private_metadata": metadata, "state": { "values": values } }),
    )
    .unwrap()
}

fn plan_values() -> Value {
    json!({
        "key": text(" rel-789 "), "service": option("payments"), "version": text("v1.4.0"), "kind": option("minor"),
        "start": { "value": { "type": "datetimepicker", "selected_date_time": 1_796_056_200 } }, "length": text("40"),
        "scope": text("refunds"), "tickets": text("PAY-101, pay-107;https://jira.test/browse/PAY-110/\nPAY-101"), "dependencies": text("none"),
        "user_facing": option("yes"), "migration": option("expand_only"), "outcome": text("refunds work"), "abort_criteria": text("errors > 1 %"),
        "authors": { "value": { "type": "multi_users_select", "selected_users": ["U0DORA", "U0DEV"] } }, "commit": { "value": { "value": null } },
    })
}

fn problems<T: std::fmt::Debug>(result: Result<T, ReadError>) -> Vec<(String, String)> {
    match result {
        Err(ReadError::Errors(errors)) => errors.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_is_read_as_it_was_filled_in() {
    let plan = read_plan(&filled("", &plan_values()), &services()).unwrap();
    assert_eq!(
        (plan.key.as_str(), plan.version.as_str(), plan.kind),
        ("REL-789", "1.4.0", Kind::Minor)
    );
    assert_eq!((plan.start_ms, plan.length_ms), (1_796_056_200_000, 40 * MINUTE_MS));
    assert_eq!(
        plan.tickets,
        BTreeSet::from([key("PAY-101"), key("PAY-107"), key("PAY-110")])
    );
    assert_eq!(
        plan.authors,
        BTreeSet::from(["U0DORA", "U0DEV"].map(|id| SlackUser::new(id).unwrap()))
    );
    assert_eq!((plan.user_facing, plan.migration), (true, Migration::ExpandOnly));
    assert_eq!(
        (plan.commit, plan.edits, plan.abort_criteria.as_str()),
        (None, None, "errors > 1 %")
    );
}

#[test]
fn every_problem_of_a_plan_is_told_at_once_with_its_remedy() {
    let errors = problems(read_plan(&filled("", &json!({})), &services()));
    let names: Vec<&str> = errors.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "abort_criteria",
        "authors",
        "dependencies",
        "key",
        "kind",
        "length",
        "migration",
        "outcome",
        "scope",
        "service",
        "start",
        "tickets",
        "user_facing",
        "version",
    ];
    assert_eq!(names, expected);
    assert!(
        errors.iter().all(|(_, text)| text.ends_with('.') && text.len() > 10),
        "{errors:?}"
    );
    // Each names an input of the form, so that Slack can show it there.
    let form = modals::plan(&PlanPrefill::new(None, None, None, 0), &services());
    let inputs: BTreeSet<&str> = form["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|block| block["block_id"].as_str())
        .collect();
    assert!(names.iter().all(|name| inputs.contains(name)), "{inputs:?}");
    let errors = errors.into_iter().collect();
    assert_eq!(errors_response(&errors)["response_action"], "errors");
}

#[test]
fn each_wrong_field_of_a_plan_is_named() {
    for (name, value, says) in [
        ("key", text("REL789"), "REL-789"),
        ("version", text("1.4"), "v1.4.0"),
        ("version", text("<!channel>"), "&lt;!channel&gt;"),
        ("kind", option("emergency"), "hotfix"),
        ("service", option("nope"), "not configured"),
        ("service", option("ledger"), ""),
        ("length", text("0"), "1440"),
        ("length", text("1441"), "1440"),
        ("length", text("half an hour"), "1440"),
        ("tickets", text("PAY101 and <x>"), "PAY101, and, &lt;x&gt;"),
        ("scope", text("   "), "none"),
        ("scope", text(&"x".repeat(3_001)), "3,000"),
        ("authors", json!({ "value": { "selected_users": [] } }), "1 to 50"),
        (
            "authors",
            json!({ "value": { "selected_users": ["<@U1>", 7] } }),
            "1 to 50",
        ),
        // Found by the fuzzer: an id that no member can have was taken here and left out where people are looked up.
        (
            "authors",
            json!({ "value": { "selected_users": ["C0PAYMENTS"] } }),
            "1 to 50",
        ),
        (
            "authors",
            json!({ "value": { "selected_users": ["U0DORA", "S0QALEADS"] } }),
            "1 to 50",
        ),
        ("commit", text("3f9c2e1"), "40 characters"),
        ("start", json!({ "value": { "selected_date_time": "soon" } }), "start"),
        ("migration", option("maybe"), "database"),
    ] {
        let mut values = plan_values();
        values[name] = value;
        let errors = problems(read_plan(&filled("", &values), &services()));
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        let at = if says.is_empty() { "commit" } else { name };
        assert_eq!(errors[0].0, at);
        assert!(errors[0].1.contains(says), "{name}: {errors:?}");
    }
}

#[test]
fn an_edit_carries_ids_only_and_keeps_what_it_edits() {
    let sample = Sample::planned("scope & <things>", 2, 3);
    let prefill = PlanPrefill::of(&sample.view());
    assert_eq!(
        (prefill.scope.as_str(), prefill.user_facing, prefill.authors.as_slice()),
        ("scope & <things>", Some(true), &["U0DORA".to_owned()][..])
    );
    let form = modals::plan(&prefill, &services());
    let metadata = form["private_metadata"].as_str().unwrap();
    assert_eq!(metadata, "{\"release\":\"REL-789\",\"changes\":0}");
    let mut values = plan_values();
    values["key"] = text("REL-1");
    values["service"] = option("ledger");
    let plan = read_plan(&filled(metadata, &values), &services()).unwrap();
    assert_eq!(
        (plan.key.as_str(), plan.service, plan.edits.unwrap().changes),
        ("REL-789", None, 0)
    );
    assert_eq!(
        read_plan(&filled("{\"release\":\"<!channel>\"}", &values), &services()),
        Err(ReadError::Unreadable)
    );
}

#[test]
fn a_hotfix_is_read_and_its_justification_weighed() {
    let values = json!({
        "service": option("payments"), "version": text("1.4.1"), "justification": text("card payments fail for 38 % of customers"),
        "authors": { "value": { "selected_users": ["U0DORA"] } }, "ticket": text("pay-201"), "tickets": { "value": { "value": null } },
    });
    let hotfix = read_hotfix(&filled("", &values), &services()).unwrap();
    assert_eq!(
        (hotfix.version.as_str(), hotfix.ticket, hotfix.tickets.len()),
        ("1.4.1", Some(key("PAY-201")), 0)
    );
    for (justification, chars) in [
        ("", 0),
        ("broken", 6),
        ("broken                          ", 6),
        ("a b c d e f g h i  j", 19),
    ] {
        let mut values = values.clone();
        values["justification"] = text(justification);
        let errors = problems(read_hotfix(&filled("", &values), &services()));
        assert_eq!(errors.len(), 1);
        assert!(
            errors[0].1.contains(&format!("this has {chars}")) && errors[0].1.contains("emergency.justification, 3.4"),
            "{errors:?}"
        );
    }
    let mut values = values;
    values["service"] = option("ledger");
    assert!(
        problems(read_hotfix(&filled("", &values), &services()))[0]
            .1
            .contains("names no repository")
    );
}

#[test]
fn a_rejection_demands_a_reason_and_the_others_do_not() {
    let sample = Sample::planned("x", 1, 1).asked();
    let value = ButtonValue::on(sample.release()).as_role(domain::role::Role::QaLead);
    let form = modals::reject(&sample.view(), &value);
    assert!(
        form["blocks"][0]["text"]["text"]
            .as_str()
            .unwrap()
            .contains("REL-789, payments v1.4.0")
    );
    let metadata = form["private_metadata"].as_str().unwrap();
    for empty in [json!({}), json!({ "reason": text(" \n ") })] {
        let errors = problems(read_reason(&filled(metadata, &empty), Form::Reject));
        assert_eq!(errors[0].0, "reason");
        for form in [Form::Withdraw, Form::Cancel] {
            let fields = read_reason(&filled(metadata, &empty), form).unwrap();
            assert_eq!((fields.reason, &fields.value), (None, &value));
        }
    }
    let fields = read_reason(
        &filled(metadata, &json!({ "reason": text("refunds are untested") })),
        Form::Reject,
    )
    .unwrap();
    assert_eq!(fields.reason.as_deref(), Some("refunds are untested"));
    assert_eq!(
        read_reason(&filled("", &json!({})), Form::Cancel),
        Err(ReadError::Unreadable)
    );
    for form in Form::ALL {
        assert_eq!(Form::parse(&form.to_string()), Some(form));
    }
}

#[test]
fn a_refusal_finds_its_inputs() {
    let of = |cause| errors_of(&Refusal::new(Rule::PlanComplete, cause));
    let form = modals::plan(&PlanPrefill::new(None, None, None, 0), &services()).to_string();
    for name in [
        "scope",
        "dependencies",
        "outcome",
        "abort_criteria",
        "kind",
        "tickets",
        "length",
        "start",
        "authors",
        "commit",
    ] {
        let errors = of(Cause::Incomplete(vec![(name, "say it")])).unwrap();
        assert_eq!(errors[name], "Say it.");
        assert!(form.contains(&format!("\"block_id\":\"{name}\"")), "{name}");
    }
    assert!(of(Cause::KeyTaken).unwrap().contains_key("key"));
    assert!(of(Cause::JustificationTooShort(3)).unwrap()["justification"].contains("this has 3"));
    assert!(of(Cause::NotInRole).is_none());
}

proptest! {
    #[test]
    fn nothing_that_can_be_filled_in_panics(texts in proptest::collection::vec(any::<String>(), 15), number in any::<i64>()) {
        let names = ["key", "service", "version", "kind", "length", "scope", "tickets", "dependencies", "outcome", "abort_criteria", "commit", "justification", "ticket", "reason", "authors"];
        let mut values = serde_json::Map::new();
        for (name, value) in names.iter().zip(&texts) {
            values.insert((*name).to_owned(), text(value));
        }
        values.insert("start".to_owned(), json!({ "value": { "selected_date_time": number } }));
        let values = Value::Object(values);
        let _ = read_plan(&filled("", &values), &services());
        let _ = read_plan(&filled(&texts[0], &values), &services());
        let _ = read_hotfix(&filled("", &values), &services());
        let _ = read_reason(&filled(&texts[1], &values), Form::Reject);
    }
}
