//! Help, slips of the hand, and what is not built yet: all from the one table of verbs.

use crate::slack::blocks::{Rendered, context, message, section};
use crate::slack::markup::foreign_line;
use crate::slack::parse::{Mistyped, Problem};
use crate::slack::verbs::{self, COMMAND, Entry};

/// The list of verbs, or one verb in detail.
pub fn help(topic: Option<&Entry>) -> Rendered {
    match topic {
        Some(entry) => one(entry),
        None => all(),
    }
}

fn one(entry: &Entry) -> Rendered {
    if entry.verb == verbs::Verb::Later {
        return not_yet(entry);
    }
    let text = format!(
        "{COMMAND} {}: {}. Example: {COMMAND} {}",
        foreign_line(entry.usage, 200),
        entry.help,
        entry.example
    );
    let shown = format!(
        "`{COMMAND} {}`\n{}.\nTo copy: `{COMMAND} {}`",
        entry.usage,
        super::super::state::capital(entry.help),
        entry.example
    );
    message(&text, 0, |_| vec![section(&shown)])
}

fn all() -> Rendered {
    let text = format!("Countersign takes {COMMAND} and a verb, for example {COMMAND} status REL-789.");
    let lines: Vec<String> = verbs::available()
        .map(|entry| format!("`{COMMAND} {}` – {}", entry.usage, entry.help))
        .collect();
    message(&text, 0, |_| {
        vec![
            section(
                "Countersign lets a release go out once the right people have signed it. Words in [brackets] may be left out.",
            ),
            section(&lines.join("\n")),
            context(&format!("More on one: `{COMMAND} help approve`. Only you see this.")),
        ]
    })
}

/// A slip of the hand: what was wrong, what may have been meant, how it is typed.
pub fn mistyped(slip: &Mistyped) -> Rendered {
    let word = |text: &str| format!("“{}”", foreign_line(text, 80));
    let usage = |entry: &Entry| format!("It is typed `{COMMAND} {}`.", entry.usage);
    let (wrong, how) = match &slip.problem {
        Problem::UnknownVerb(text) => (
            format!("{} is no verb of {COMMAND}", word(text)),
            format!("`{COMMAND} help` lists them."),
        ),
        Problem::KeyMissing(entry) => (
            format!("{COMMAND} {} needs the key of a release, such as REL-789", entry.name),
            usage(entry),
        ),
        Problem::NotAKey(entry, text) => (
            format!("{} is no key of a release; a key looks like REL-789", word(text)),
            usage(entry),
        ),
        Problem::NotAVersion(text) => (
            format!("{} is no version; a version looks like v1.4.0", word(text)),
            "Its Git tag has the same name.".to_owned(),
        ),
        Problem::NotAService(text) => (
            format!("{} is no service that is configured", word(text)),
            format!("`{COMMAND} list` names them."),
        ),
        Problem::NotARole(text) => (
            format!("{} is no role that signs", word(text)),
            "Roles that sign: product owner, QA lead, CTO, tech lead.".to_owned(),
        ),
        Problem::NotARule(text) => (
            format!(
                "{} is no rule of the rulebook; a rule looks like criteria.docs",
                word(text)
            ),
            format!("`{COMMAND} why` names those that hold a release."),
        ),
        Problem::NotACommit(text) => (
            format!("{} is no full commit; that has 40 characters, 0-9 and a-f", word(text)),
            "To read it: `git rev-parse v1.4.0^{commit}`".to_owned(),
        ),
        Problem::TooMany(entry, text) => (
            format!("{} is one word too many for {COMMAND} {}", word(text), entry.name),
            usage(entry),
        ),
    };
    let meant = slip.did_you_mean.as_ref().map_or_else(String::new, |meant| {
        format!(
            " Did you mean `{COMMAND} {}`?",
            foreign_line(&meant.replace('`', "'"), 200)
        )
    });
    let text = format!("{wrong}.{meant} {how} Nothing was changed.");
    message(&text, 0, |_| {
        vec![
            section(&text),
            context(&format!("You typed: {COMMAND} {}", foreign_line(&slip.input, 300))),
        ]
    })
}

/// What helps meanwhile.
fn instead(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "rollback" => {
            "To go back, ask for the earlier version as a hotfix, such as `/release hotfix payments v1.3.9`: the CTO signs it, and the database stays as it is. To end a running deployment: `/release stop KEY`."
        }
        "schedule" => "To move the start, edit the plan: `/release plan KEY`.",
        "hold" | "freeze" => {
            "To hold a release, a signer rejects it (`/release reject KEY`) or takes the sign-off back (`/release withdraw KEY`), until the start."
        }
        "verify" => {
            "Say in the release's thread what you saw; if it is wrong, go back with a hotfix to the earlier version."
        }
        "delegate" => "An admin adds the person to the role, in the configuration or in the Slack group behind it.",
        "calendar" => "What is planned, with its start: `/release list`.",
        "waive" => "No rule that is checked today can be waived.",
        "record-emergency" => {
            "Tell the teams in #releases yourself, within the hour, and keep who decided and why in the ticket."
        }
        _ => return None,
    })
}

/// A verb that is reserved for later.
pub fn not_yet(entry: &Entry) -> Rendered {
    let instead = instead(entry.name).map_or_else(String::new, |instead| format!(" {instead}"));
    let text = format!(
        "{COMMAND} {} ({}) is not available yet. Nothing was changed.{instead} `{COMMAND} help` lists what is.",
        entry.name, entry.help
    );
    message(&text, 0, |_| vec![section(&text)])
}
