//! What somebody types after `/release`: what was read reads the same when it is typed again tidily, and what was mistyped
//! gets an answer that Slack takes, with a suggestion that leads somewhere.

use crate::time::bounded;
use crate::{answers, keys, services};
use countersign::slack::blocks::Rendered;
use countersign::slack::modals::{self, Form, HotfixPrefill, PlanPrefill};
use countersign::slack::parse::{Known, Mistyped, Problem, Typed, parse};
use countersign::slack::texts::help;
use countersign::slack::texts::replies::{self, Instead};
use countersign::slack::view::Names;
use domain::ids::{ReleaseKey, ServiceName, Version};
use domain::policy::Policy;
use std::collections::BTreeMap;

/// More than anybody types, for texts that take longer the longer they are.
const LONG_BYTES: usize = 64 * 1024;
/// What would end a quotation of ours.
const CLOSING_QUOTES: [char; 5] = ['"', '\u{201c}', '\u{201d}', '\u{ab}', '\u{bb}'];
/// A suggestion that is copied may be wrong in another word, but not for ever.
const SLIPS_MAX: usize = 6;

/// Checks one text.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let services: Vec<ServiceName> = services().into_iter().map(|choice| choice.name).collect();
    let keys = keys();
    let mut answered = Vec::new();
    // As the bot asks, and with everything and nothing known.
    for known in [
        Known {
            keys: &[],
            services: &services,
        },
        Known {
            keys: &keys,
            services: &services,
        },
        Known::default(),
    ] {
        let typed = bounded("parse", input, || parse(text, &known));
        if let Some(again) = tidily(&typed) {
            assert_eq!(parse(&again, &known), typed, "{again:?}");
        }
        follow(text, &typed, &known);
        if !answered.contains(&typed) {
            answer(&typed);
            answered.push(typed);
        }
    }
    keeps_reasons(text);
    // Of few, for it takes as long as a hundred short texts.
    let is_chosen = input.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % 16 == 0;
    if (1..=24).contains(&input.len()) && is_chosen {
        let long = text.repeat(LONG_BYTES / text.len());
        bounded("parse of a repetition", long.as_bytes(), || {
            drop(parse(&long, &Known::default()));
        });
    }
}

/// What was read, typed tidily; nothing where that can't be typed.
fn tidily(typed: &Typed) -> Option<String> {
    let optional = |verb: &str, words: [Option<String>; 3]| {
        let words = words.into_iter().flatten();
        words.fold(verb.to_owned(), |text, word| text + " " + &word)
    };
    let told = |verb: &str, key: &ReleaseKey, reason: Option<&String>| match reason {
        None => Some(format!("{verb} {key}")),
        // No quotes of ours can enclose quotes.
        Some(reason) if reason.contains(CLOSING_QUOTES) => None,
        Some(reason) => Some(format!("{verb} {key} \"{}\"", escaped(reason))),
    };
    let of_key = |verb: &str, key: &ReleaseKey| Some(format!("{verb} {key}"));
    match typed {
        // The version comes before the service: a service may be called `v2`.
        Typed::Plan { key, service, version } => Some(optional(
            "plan",
            [
                key.as_ref().map(valid_key),
                version.as_ref().map(valid_version),
                service.as_ref().map(valid_service),
            ],
        )),
        Typed::Hotfix { service, version } => Some(optional(
            "hotfix",
            [
                version.as_ref().map(valid_version),
                service.as_ref().map(valid_service),
                None,
            ],
        )),
        Typed::Status { key } => Some(optional("status", [key.as_ref().map(valid_key), None, None])),
        Typed::List { service } => Some(optional("list", [service.as_ref().map(valid_service), None, None])),
        Typed::Why { key } => of_key("why", key),
        Typed::Audit { key } => of_key("audit", key),
        Typed::Deploy { key } => of_key("deploy", key),
        Typed::Stop { key } => of_key("stop", key),
        Typed::Approve { key, role } => {
            let role = role.map(|role| role.key().to_owned());
            Some(optional("approve", [Some(valid_key(key)), role, None]))
        }
        Typed::Reject { key, reason } => told("reject", key, reason.as_ref()),
        Typed::Attest { key, role } => {
            let role = role.map(|role| role.key().to_owned());
            Some(optional("attest", [Some(valid_key(key)), role, None]))
        }
        Typed::Waive { key, rule } => {
            let rule = rule.map(|rule| rule.id().to_owned());
            Some(optional("waive", [Some(valid_key(key)), rule, None]))
        }
        Typed::TakeBack { key, rule } => Some(format!("withdraw {key} {rule}")),
        // What begins like a rule is read as one.
        Typed::Withdraw {
            reason: Some(reason), ..
        } if reason.split_whitespace().next().is_some_and(|word| word.contains('.')) => None,
        Typed::Withdraw { key, reason } => told("withdraw", key, reason.as_ref()),
        Typed::Cancel { key, reason } => told("cancel", key, reason.as_ref()),
        Typed::Commit { key, sha } => Some(format!("commit {key} {sha}")),
        Typed::Help { topic } => Some(optional("help", [topic.map(|entry| entry.name.to_owned()), None, None])),
        Typed::NotYet { verb } => Some(verb.name.to_owned()),
        Typed::Mistyped(_) => None,
    }
}

/// Whatever is said as a reason is kept as it was meant.
fn keeps_reasons(text: &str) {
    if text.trim().is_empty() || text.contains(CLOSING_QUOTES) {
        return;
    }
    let typed = format!("reject REL-789 \"{}\"", escaped(text));
    let Typed::Reject { reason, .. } = parse(&typed, &Known::default()) else {
        panic!("no rejection: {typed:?}");
    };
    assert_eq!(reason.as_deref(), Some(text), "{typed:?}");
}

/// As Slack sends what somebody typed.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plain(name: &str, marks: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    assert!(
        (1..=60).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-'),
        "no name to hand to a program: {name:?}"
    );
    name.to_owned()
}

/// A key that came out is one, and nothing else.
pub fn valid_key(key: &ReleaseKey) -> String {
    plain(key.as_str(), "-")
}

/// The same of a service.
pub fn valid_service(service: &ServiceName) -> String {
    plain(service.as_str(), "-")
}

/// The same of a version.
pub fn valid_version(version: &Version) -> String {
    plain(version.as_str(), "-+.");
    version.tag()
}

/// Copies suggestions until one is read. The first one is another text than the one that was typed.
fn follow(text: &str, typed: &Typed, known: &Known<'_>) {
    let mut typed = typed.clone();
    let mut text = text.to_owned();
    for _ in 0..SLIPS_MAX {
        let Typed::Mistyped(Mistyped {
            did_you_mean: Some(meant),
            ..
        }) = typed
        else {
            return;
        };
        assert_ne!(text, meant, "the suggestion is what was typed");
        typed = parse(&escaped(&meant), known);
        assert!(
            !matches!(
                &typed,
                Typed::Mistyped(Mistyped {
                    problem: Problem::UnknownVerb(_),
                    ..
                })
            ),
            "{text:?}: the suggestion {meant:?} has no verb"
        );
        text = meant;
    }
    panic!("suggestions without end: {text:?}");
}

fn answer(typed: &Typed) {
    let nobody = BTreeMap::new();
    let reason = |form: Form, key: &ReleaseKey| vec![replies::form_not_opened(&Instead::Reason(form, key), false)];
    let of_key = |key: &ReleaseKey| {
        vec![
            replies::duplicate(Some(key)),
            replies::working(Some(key)),
            replies::not_known_yet(Some(key)),
        ]
    };
    let answered: Vec<Rendered> = match typed {
        Typed::Mistyped(slip) => vec![help::mistyped(slip)],
        Typed::Help { topic } => vec![help::help(*topic)],
        Typed::NotYet { verb } => vec![help::not_yet(verb)],
        Typed::Plan { key, service, version } => {
            let prefill = PlanPrefill::new(key.clone(), service.clone(), version.clone(), 1_796_054_400_000);
            answers::check_form(&modals::plan(&prefill, &services()));
            Vec::new()
        }
        Typed::Hotfix { service, version } => {
            let prefill = HotfixPrefill {
                service: service.clone(),
                version: version.clone(),
                ctos: &[],
                names: Names {
                    mentions: &nobody,
                    plain: &nobody,
                },
                policy: &Policy::default(),
            };
            answers::check_form(&modals::hotfix(&prefill, &services()));
            Vec::new()
        }
        Typed::Reject { key, .. } => reason(Form::Reject, key),
        Typed::Withdraw { key, .. } => reason(Form::Withdraw, key),
        Typed::Cancel { key, .. } => reason(Form::Cancel, key),
        Typed::Status { key: Some(key) }
        | Typed::Why { key }
        | Typed::Audit { key }
        | Typed::Approve { key, .. }
        | Typed::Attest { key, .. }
        | Typed::Waive { key, .. }
        | Typed::TakeBack { key, .. }
        | Typed::Deploy { key }
        | Typed::Stop { key }
        | Typed::Commit { key, .. } => of_key(key),
        Typed::Status { key: None } | Typed::List { .. } => Vec::new(),
    };
    answered.iter().for_each(answers::check);
}
