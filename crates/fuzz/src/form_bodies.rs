//! Whole bodies, as they stand behind a verified signature: the form is read as a second, naive reader reads it, and what is
//! in it is read on as the routes do. What is answered is checked by the other two targets.

use crate::time::bounded;
use crate::{APP, TEAM};
use countersign::people::SlackUser;
use countersign::slack::form;
use countersign::slack::parse::{Known, parse};
use countersign::slack::payload::{Elsewhere, Interaction, SlashCommand};
use std::collections::BTreeMap;

/// Checks one body, on both routes that take forms.
pub fn check(body: &[u8]) {
    let fields = bounded("fields", body, || form::fields(body)).ok();
    assert_eq!(fields, naively(body), "the two readings of the form");
    if let Some(fields) = &fields {
        assert_eq!(form::fields(&encoded(fields)).as_ref(), Ok(fields));
    }
    let fields = fields.unwrap_or_default();
    if let Ok(command) = SlashCommand::parse(body) {
        check_command(&command, &fields, body);
    }
    let interaction = bounded("interaction", body, || Interaction::parse(body));
    match fields.get("payload") {
        Some(payload) => assert_eq!(interaction, Interaction::from_json(payload), "alone and in its form"),
        None => assert!(interaction.is_err()),
    }
}

fn check_command(command: &SlashCommand, fields: &BTreeMap<String, String>, body: &[u8]) {
    assert_eq!(Some(&command.text), fields.get("text").or(Some(&String::new())));
    let place = command.workspace().check(TEAM, APP);
    assert_eq!(place == Err(Elsewhere::App), command.api_app_id != APP);
    assert_eq!(
        place.is_ok(),
        command.api_app_id == APP && command.team_id.as_deref() == Some(TEAM)
    );
    if let Ok(user) = SlackUser::new(command.user_id.clone()) {
        assert!(user.as_str().bytes().all(|b| b.is_ascii_alphanumeric()), "{user}");
    }
    drop(bounded("text", body, || parse(&command.text, &Known::default())));
}

/// The fields as a form.
pub fn encoded(fields: &BTreeMap<String, String>) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish().into_bytes()
}

/// The same reading without the library: nothing for whatever is not exactly a form of at most 100 fields, each once.
fn naively(body: &[u8]) -> Option<BTreeMap<String, String>> {
    std::str::from_utf8(body).ok()?;
    let mut fields = BTreeMap::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (decoded(&pair[..at])?, decoded(pair.get(at + 1..).unwrap_or_default())?);
        if fields.insert(name, value).is_some() {
            return None;
        }
    }
    (fields.len() <= 100).then_some(fields)
}

fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = text
                    .get(at..at + 2)
                    .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                at += 2;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}
