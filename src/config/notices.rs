//! `[mail]`, `[audit]` and `[escalation]`: who is told, and who is rung when nothing else gets through.

use std::path::{Path, PathBuf};

use url::Url;

use super::people::{CHANNEL_REMEDY, slack_id};
use super::problem::Report;
use super::reader::Node;
use super::secret::Secret;
use super::shapes::{did_you_mean, is_email, is_safe_web_address};
use super::targets::absolute;
use super::{Checkpoints, Escalation};

/// A list of e-mail addresses, each once.
pub(super) fn addresses(node: Option<Node<'_>>, report: &mut Report) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for item in node.map(|node| node.items(report)).unwrap_or_default() {
        let Some(text) = item.text(report) else {
            continue;
        };
        if !is_email(text) {
            report.problem(
                &item,
                format!("{text:?} is not an e-mail address"),
                "Write the bare address, such as \"all-teams@example.com\".",
            );
        } else if found.iter().any(|other| other.eq_ignore_ascii_case(text)) {
            report.problem(&item, format!("{text} is named twice"), "Remove one of the two.");
        } else {
            found.push(text.to_owned());
        }
    }
    found
}

/// Warns of what no mail can do without a server to send it.
pub(super) fn check_mail(teams: &[String], witnesses: &[String], sends: bool, report: &mut Report) {
    if !sends {
        report.warning(
            "SMTP_URL",
            "no mail is sent: an emergency whose notice fails in Slack has no second way to all teams",
            "Set SMTP_URL and SMTP_FROM.",
        );
        if !witnesses.is_empty() {
            report.warning(
                "audit.witnesses",
                "witnesses are named, but no mail is sent",
                "Set SMTP_URL and SMTP_FROM.",
            );
        }
    }
    if teams.is_empty() {
        report.warning(
            "mail.teams",
            "no address reaches all teams: an emergency whose notice fails in Slack has no second way to them",
            "Name the address of a list, such as \"all-teams@example.com\".",
        );
    }
}

/// `[audit]`; the key is in the environment.
pub(super) fn checkpoints(root: &Node<'_>, report: &mut Report) -> Checkpoints {
    let of = |key: &str| root.get("audit").and_then(|section| section.get(key));
    let channel = of("channel").and_then(|node| slack_id(&node, &['C', 'G'], CHANNEL_REMEDY, report));
    Checkpoints {
        key: None,
        file: of("file").and_then(|node| absolute(&node, report)),
        channel,
        witnesses: addresses(of("witnesses"), report),
    }
}

/// Warns of checkpoints that nothing signs, and of a key that signs none.
pub(super) fn check_checkpoints(checkpoints: &Checkpoints, report: &mut Report) {
    let Checkpoints {
        key,
        file,
        channel,
        witnesses,
    } = checkpoints;
    let goes_somewhere = file.is_some() || channel.is_some() || !witnesses.is_empty();
    match (key, goes_somewhere) {
        (None, true) => report.warning(
            "audit",
            "no checkpoint is made: COUNTERSIGN_CHECKPOINT_KEY is not set",
            "Make a key: countersign audit keygen --output FILE. Then set COUNTERSIGN_CHECKPOINT_KEY_FILE=FILE.",
        ),
        (Some(_), false) => report.warning(
            "COUNTERSIGN_CHECKPOINT_KEY",
            "no checkpoint is made: [audit] names no place for one",
            "Set audit.file, audit.channel or audit.witnesses.",
        ),
        _ => {}
    }
}

pub(super) fn escalation(root: &Node<'_>, report: &mut Report) -> Escalation {
    let section = root.get("escalation");
    let webhook = section.as_ref().and_then(|section| section.get("webhook"));
    let command = section.as_ref().and_then(|section| section.get("command"));
    match (&section, &webhook, &command) {
        (None, ..) => report.warning(
            "escalation",
            "nobody is rung when the notice of an emergency is not confirmed in Slack",
            "Add [escalation] with a webhook or a command.",
        ),
        (Some(section), None, None) if section.is_table() => {
            report.problem(
                section,
                "it names neither a webhook nor a command",
                "Name one of them, or remove the section.",
            );
        }
        _ => {}
    }
    Escalation {
        webhook: webhook.and_then(|node| call(&node, report)),
        command: command.and_then(|node| program(&node, report)),
    }
}

fn call(node: &Node<'_>, report: &mut Report) -> Option<Secret> {
    let text = node.text(report)?;
    if Url::parse(text).is_ok_and(|url| is_safe_web_address(&url)) {
        return Some(Secret::new(text));
    }
    report.problem(
        node,
        "this is no address that can be called",
        "Use https, or plain http on this machine.",
    );
    None
}

fn program(node: &Node<'_>, report: &mut Report) -> Option<(PathBuf, Vec<String>)> {
    let mut words = Vec::new();
    for item in node.items(report) {
        let word = item.text(report)?;
        for name in placeholders(word).filter(|name| *name != "summary") {
            report.problem(
                &item,
                format!("there is no `{{{name}}}`.{}", did_you_mean(name, ["summary"])),
                "Only `{summary}` is filled in.",
            );
        }
        words.push(word.to_owned());
    }
    let mut words = words.into_iter();
    match words.next() {
        Some(first) if Path::new(&first).is_absolute() => Some((PathBuf::from(first), words.collect())),
        _ => {
            report.problem(
                node,
                "it does not begin with the absolute path of a program",
                "Write it as [\"/usr/local/bin/page\", \"{summary}\"].",
            );
            None
        }
    }
}

/// The words in braces; braces around anything else are ordinary text.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once('}')?;
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        is_word.then_some(word)
    })
}
