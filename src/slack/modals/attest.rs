//! The checklist of one role: what nobody but a person can say so far, unticked, and the role's sign-off with it; and the form
//! that excuses a rule.

use crate::slack::blocks::section;
use crate::slack::buttons::ButtonValue;
use crate::slack::gates::{self, Words, signs};
use crate::slack::modals::Form;
use crate::slack::modals::inputs::{Input, form};
use crate::slack::modals::read::{ReadError, Reader};
use crate::slack::payload::FormView;
use crate::slack::state::{capital, kind_word};
use crate::slack::unchecked;
use crate::slack::view::View;
use domain::ids::{DAY_MS, Millis, PersonId};
use domain::role::Role;
use domain::rule::{Effect, Judged, Rule};
use domain::rules::attested::waiving_roles;
use domain::rules::gates::{Detail, Gate, GateState};
use domain::rules::sign_off::roles_of;
use serde_json::Value;
use std::collections::BTreeSet;

/// The groups of the checklist: the part of the rulebook, and how people call it.
pub const GROUPS: &[(&str, &str)] = &[
    ("roles", "Contacts"),
    ("plan", "Plan"),
    ("vcs", "Version control"),
    ("stage", "Stages"),
    ("criteria", "Release criteria"),
    ("risk", "Risks"),
    ("health", "Servers"),
    ("backup", "Backups"),
    ("artifact", "Artifact"),
    ("deps", "Dependencies"),
    ("schedule", "Calendar"),
    ("page", "Confluence"),
    ("record", "Record"),
];
/// When a waiver is looked at again if nobody says when.
const FOLLOW_UP_DAYS: i64 = 14;

/// What was ticked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestFields {
    /// What it is about: what the button carried, with the role.
    pub value: ButtonValue,
    /// The rules that were ticked.
    pub rules: BTreeSet<Rule>,
    /// A note or a link, for all of them.
    pub note: Option<String>,
    /// Whether the role's sign-off was given with it.
    pub signs: bool,
}

/// What was excused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiveFields {
    /// What it is about.
    pub value: ButtonValue,
    /// Which rule.
    pub rule: Rule,
    /// Why.
    pub justification: String,
    /// When it is to be looked at again, UTC milliseconds.
    pub follow_up_ms: Millis,
}

/// The gates that `person` could meet as `role` by saying so.
pub fn open_lines<'v>(view: &'v View<'_>, role: Role, person: &PersonId) -> Vec<&'v Gate> {
    let is_open = |gate: &&Gate| {
        let said = match &gate.detail {
            Detail::ToAttest { by, .. } => by.contains(person),
            _ => gate.state == GateState::NotApplicable,
        };
        let speaks = matches!(gate.rule.judged(), Judged::Attested(roles, _) if roles.contains(&role));
        speaks && !said && gate.state != GateState::Met && gate.effect != Effect::Owe
    };
    view.gates.iter().filter(is_open).collect()
}

/// Whether `role` signs this release and has not yet.
fn may_sign(view: &View<'_>, role: Role) -> bool {
    roles_of(view.release.kind).contains(&role) && !view.release.sign_offs.contains_key(&role)
}

/// Whether there is anything on the checklist of `role`.
pub fn has_checklist(view: &View<'_>, role: Role, person: &PersonId) -> bool {
    !open_lines(view, role, person).is_empty()
}

/// The checklist of one role. Every line comes unticked; what is left so stays open.
pub fn attest(view: &View<'_>, role: Role, person: &PersonId) -> Value {
    let words = Words {
        release: view.release,
        names: view.names,
        texts: view.texts,
    };
    let lines = open_lines(view, role, person);
    let starts = if view.release.kind.is_emergency() {
        " *If nothing else is missing then, the hotfix is deployed at once.*"
    } else {
        ""
    };
    let mut blocks = vec![section(&format!(
        "{}\nYou say it as {}, and it is recorded as said, not as seen. Tick what you know; what you leave stays open.{starts}",
        subject(view),
        role.title()
    ))];
    for (family, title) in GROUPS {
        let of_group: Vec<&&Gate> = lines.iter().filter(|gate| gate.rule.family() == *family).collect();
        if of_group.is_empty() {
            continue;
        }
        let said = of_group.iter().map(|gate| {
            let old = match gate.state {
                GateState::Stale => format!(" _{}_", gates::sentence(gate, &words)),
                _ => String::new(),
            };
            format!(
                "• *{}*: {} (`{}`).{old}",
                capital(gate.rule.title()),
                gate.rule.summary(),
                gate.rule.id()
            )
        });
        blocks.push(section(&said.collect::<Vec<_>>().join("\n")));
        let options: Vec<(&str, String)> = of_group
            .iter()
            .map(|gate| (gate.rule.id(), capital(gate.rule.title())))
            .collect();
        blocks.push(
            Input::ticks(&format!("lines_{family}"), title, &options)
                .optional()
                .build(),
        );
    }
    blocks.push(
        Input::line("note", "A note or a link", "")
            .optional()
            .hint("It is kept with each line that you tick.")
            .build(),
    );
    if may_sign(view, role) {
        blocks.extend(waivers(view).map(|text| section(&text)));
        blocks.extend(unchecked::line(view).map(|text| section(&text)));
        let option = [("sign", format!("Yes, I sign {}", signs(role)))];
        let hint = "It counts only if what it rests on is said or waived; otherwise nothing of this form is recorded.";
        blocks.push(
            Input::ticks("sign", "Your sign-off", &option)
                .optional()
                .hint(hint)
                .build(),
        );
    }
    let value = ButtonValue::on(view.release).as_role(role);
    form(Form::Attest, "Checklist", "Record", &value.to_json(), &blocks)
}

/// What was excused, by whom and why: part of what a QA lead, tech lead or CTO signs.
pub fn waivers(view: &View<'_>) -> Option<String> {
    let words = Words {
        release: view.release,
        names: view.names,
        texts: view.texts,
    };
    let waived = view.gates.iter().filter(|gate| gate.state == GateState::Waived);
    let lines: Vec<String> = waived
        .map(|gate| format!("• {}", gates::sentence(gate, &words)))
        .collect();
    (!lines.is_empty()).then(|| format!("*Waived*\n{}", lines.join("\n")))
}

/// Rules that hold the start and that somebody in `roles` may excuse.
pub fn to_waive<'v>(view: &'v View<'_>, roles: &[Role]) -> Vec<&'v Gate> {
    let may = |gate: &&Gate| {
        let waiving = waiving_roles(gate.rule, view.release);
        gate.holds_start() && waiving.iter().any(|role| roles.contains(role))
    };
    view.gates.iter().filter(may).collect()
}

/// Asks what is excused, why, and until when.
pub fn waive(view: &View<'_>, gates: &[&Gate], rule: Option<Rule>) -> Value {
    let titles: Vec<(&str, String)> = gates
        .iter()
        .map(|gate| {
            (
                gate.rule.id(),
                format!("{} ({})", capital(gate.rule.title()), gate.rule.id()),
            )
        })
        .collect();
    let options: Vec<(&str, &str)> = titles.iter().map(|(id, title)| (*id, title.as_str())).collect();
    let initial = rule
        .filter(|rule| gates.iter().any(|gate| gate.rule == *rule))
        .map(Rule::id);
    let blocks = vec![
        section(&format!(
            "{}\nA waiver counts for exactly this release as it stands, and dies with any change of it. It stands on the card and on the record, and the signers read it.",
            subject(view)
        )),
        Input::select("rule", "What is excused?", &options, initial).build(),
        Input::lines("justification", "Why?", "")
            .hint("At least 20 characters.")
            .build(),
        Input::time(
            "follow_up",
            "When is it looked at again?",
            Some(view.now_ms + FOLLOW_UP_DAYS * DAY_MS),
        )
        .build(),
    ];
    let value = ButtonValue::on(view.release);
    form(Form::Waive, "Waive a rule", "Waive it", &value.to_json(), &blocks)
}

fn subject(view: &View<'_>) -> String {
    let release = view.release;
    let commit = release.source.as_ref().map_or_else(
        || "commit not known yet".to_owned(),
        |source| format!("commit {}", source.commit.short()),
    );
    format!(
        "*{}, {}* ({} to {}, {commit})",
        release.key,
        view.what(),
        kind_word(release),
        release.environment
    )
}

/// What was ticked.
///
/// # Errors
/// That the form is none of ours, or that nothing was ticked.
pub fn read_attest(filled: &FormView) -> Result<AttestFields, ReadError> {
    let value = ButtonValue::parse(&filled.private_metadata).map_err(|_| ReadError::Unreadable)?;
    let mut reader = Reader::new(filled);
    let mut rules = BTreeSet::new();
    for (family, _) in GROUPS {
        for id in reader.ticked(&format!("lines_{family}")) {
            rules.insert(Rule::from_id(id).ok_or(ReadError::Unreadable)?);
        }
    }
    let signs = !reader.ticked("sign").is_empty();
    let note = reader.optional_text("note");
    if rules.is_empty() && !signs {
        let nothing = "Tick what you know, or close the form: nothing was ticked, so nothing is recorded.";
        let _: Option<()> = reader.wrong("note", nothing);
    }
    reader.finish(Some(AttestFields {
        value,
        rules,
        note,
        signs,
    }))
}

/// What was excused.
///
/// # Errors
/// Everything that is missing, or that the form is none of ours.
pub fn read_waive(filled: &FormView) -> Result<WaiveFields, ReadError> {
    let value = ButtonValue::parse(&filled.private_metadata).map_err(|_| ReadError::Unreadable)?;
    let mut reader = Reader::new(filled);
    let rule = match reader.chosen("rule").and_then(Rule::from_id) {
        Some(rule) => Some(rule),
        None => reader.wrong("rule", "Choose what is excused."),
    };
    let justification = reader.justification();
    let follow_up_ms = reader.time_of("follow_up", "Choose the day on which it is looked at again.");
    let fields = rule.zip(justification).zip(follow_up_ms);
    reader.finish(fields.map(|((rule, justification), follow_up_ms)| WaiveFields {
        value,
        rule,
        justification,
        follow_up_ms,
    }))
}
