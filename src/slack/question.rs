//! The question to one signer, by direct message, and what its copy says once there is nothing left to answer.

mod closed;

use crate::slack::binding::asks_again;
use crate::slack::blocks::{Button, Rendered, actions, context, fields, header, message, section};
use crate::slack::buttons::{ActionId, ButtonValue};
use crate::slack::cards::{migration, skipped, tickets, version_to_judge};
use crate::slack::gates::{self, Words, rule_ref};
use crate::slack::markup::{foreign_line, quoted};
use crate::slack::modals;
use crate::slack::state::{capital, deputy, if_held};
use crate::slack::time::span;
use crate::slack::unchecked;
use crate::slack::view::View;
use closed::closed;
use domain::ids::PersonId;
use domain::release::{Plan, Release, Status};
use domain::role::Role;
use domain::rule::{Judged, Rule};
use domain::rules::gates::{Detail, Gate, GateState};
use domain::rules::sign_off::rule_of;
use serde_json::Value;

/// The question to `person` for `role`, as asked in `revision`. Buttons stand in it only while the answer counts.
pub fn question(view: &View<'_>, role: Role, person: &PersonId, revision: u32) -> Rendered {
    if let Some(answer) = closed(view, role, person, revision) {
        return closed_copy(view, role, &answer);
    }
    match &view.release.plan {
        Some(plan) => planned(view, role, plan),
        None => hotfix(view, role),
    }
}

/// Whether this role's sign-off is owed after the start.
fn owed(release: &Release, role: Role) -> bool {
    release.open_debts().any(|(rule, _)| rule == rule_of(role))
}

fn closed_copy(view: &View<'_>, role: Role, answer: &str) -> Rendered {
    let release = view.release;
    let text = format!("{} {}, {}: {answer}", release.key, view.what(), role.title());
    message(&text, view.version, |_| {
        vec![
            header(&format!("{} · {} · nothing to sign now", release.key, view.what())),
            section(answer),
            context(&format!(
                "You were asked as {} · {}",
                role.title(),
                rule_ref(rule_of(role))
            )),
        ]
    })
}

fn planned(view: &View<'_>, role: Role, plan: &Plan) -> Rendered {
    let release = view.release;
    let start = view.clock(plan.start_ms);
    let asked = match role {
        Role::QaLead => format!("do you sign off the tests of {}, {start}?", view.what()),
        _ => format!("do you approve scope and start of {}, {start}?", view.what()),
    };
    let text = format!("{}: {asked} It does not start without your answer.", release.key);
    message(&text, view.version, |room| {
        let mut blocks = vec![
            header(&format!(
                "{} · {} · {} · your sign-off?",
                release.key,
                view.what(),
                release.kind.key()
            )),
            section(&format!("As {}: *{asked}*\n{}", role.title(), until(view, plan))),
            fields(&planned_facts(view, role, plan)),
            section(&format!(
                "*Scope*\n{}",
                quoted(view.text(&plan.scope), room, "(nothing)")
            )),
            section(&format!(
                "*Dependencies*\n{}",
                quoted(view.text(&plan.dependencies), room / 2, "(nothing)")
            )),
            section(&format!(
                "*Expected outcome*\n{}\n*Abort if*\n{}",
                quoted(view.text(&plan.outcome), room / 3, "(nothing)"),
                quoted(view.text(&plan.abort_criteria), room / 3, "(nothing)")
            )),
        ];
        let vouch = match role {
            Role::QaLead => " You vouch for tests, coverage and open bugs.",
            _ => "",
        };
        blocks.extend(
            modals::waivers(view)
                .filter(|_| role == Role::QaLead)
                .map(|text| section(&text)),
        );
        let unseen = unchecked::line(view).unwrap_or_default();
        let said = format!("{unseen}{vouch}");
        blocks.extend((!said.is_empty()).then(|| section(said.trim())));
        blocks.push(context(&format!(
            "{} · {}",
            binding(release, role),
            rule_ref(rule_of(role))
        )));
        let label = if role == Role::QaLead {
            "Sign off the tests"
        } else {
            "Approve scope and start"
        };
        blocks.extend(answer_buttons(view, role, label));
        blocks
    })
}

fn until(view: &View<'_>, plan: &Plan) -> String {
    let end_ms = plan.start_ms + plan.length_ms;
    format!(
        "Start {}; nothing starts after {}. Your answer is needed before; if nobody answers, it does not start. Your sign-off counts until {}; until the start you can take it back.",
        view.when(plan.start_ms),
        view.when(end_ms),
        view.when(end_ms.min(view.now_ms + view.policy.planned_sign_off_max_ms))
    )
}

fn planned_facts(view: &View<'_>, role: Role, plan: &Plan) -> Vec<(&'static str, String)> {
    let release = view.release;
    let mut facts = vec![
        ("Version", version_to_judge(view)),
        ("Tickets", tickets(release)),
        ("Users notice", if plan.user_facing { "yes" } else { "no" }.to_owned()),
        ("Migration", migration(plan.migration).to_owned()),
        ("Asked for by", view.names.mention(&release.requester)),
        ("Authors", view.names.mentions(&release.authors, "and")),
    ];
    facts.extend(other_signers(view, role));
    facts
}

/// How the other role stands.
fn other_signers(view: &View<'_>, role: Role) -> Option<(&'static str, String)> {
    let other = domain::rules::sign_off::roles_of(view.release.kind)
        .iter()
        .find(|other| **other != role)?;
    let gate = view.gate(rule_of(*other))?;
    let title = match other {
        Role::ProductOwner => "Product owner",
        Role::QaLead => "QA lead",
        Role::TechLead => "Tech lead",
        _ => "CTO",
    };
    Some((title, capital(&gates::sentence(gate, &words(view)))))
}

fn words<'a>(view: &View<'a>) -> Words<'a> {
    Words {
        release: view.release,
        names: view.names,
        texts: view.texts,
    }
}

/// What the answer is tied to.
fn binding(release: &Release, role: Role) -> String {
    let commit = release
        .source
        .as_ref()
        .map_or_else(String::new, |source| format!(", commit {}", source.commit.short()));
    format!(
        "It holds for exactly this (tag {}{commit}); a change of {} asks you again",
        release.version.tag(),
        asks_again(role)
    )
}

fn hotfix(view: &View<'_>, role: Role) -> Rendered {
    let release = view.release;
    let is_owed = owed(release, role);
    let follows = if is_owed { owed_click(view) } else { click(view, role) };
    let asked = if is_owed { "owed sign-off" } else { "your decision" };
    let text = format!(
        "HOTFIX {} ({}), {asked}: asked for by {} {}. {}",
        view.what(),
        release.key,
        view.names.mention(&release.requester),
        view.clock(release.proposed_ms),
        follows.sentence
    );
    message(&text, view.version, |room| {
        let mut blocks = vec![
            header(&format!("HOTFIX {} · {} · {asked}", view.what(), release.key)),
            section(&format!(
                "As {}: asked for by {} {}, to {}.\n{}",
                role.title(),
                view.names.mention(&release.requester),
                view.when(release.proposed_ms),
                release.environment,
                follows.sentence
            )),
        ];
        blocks.extend(objection(view, role));
        let why = release
            .justification
            .as_ref()
            .map_or("(no justification)", |digest| view.text(digest));
        blocks.push(section(&format!(
            "*Why it can't wait*\n{}",
            quoted(why, room, "(nothing)")
        )));
        blocks.push(fields(&hotfix_facts(view, role)));
        blocks.extend(modals::waivers(view).map(|text| section(&text)));
        blocks.push(section(&format!(
            "{}\n{}",
            skipped(view),
            unchecked::line(view).unwrap_or_default()
        )));
        if !is_owed {
            blocks.push(section(&patience(view, role)));
        }
        blocks.push(context(&format!(
            "{} · {}",
            binding(release, role),
            rule_ref(rule_of(role))
        )));
        blocks.extend(answer_buttons(view, role, &follows.label));
        blocks
    })
}

fn hotfix_facts(view: &View<'_>, role: Role) -> Vec<(&'static str, String)> {
    let release = view.release;
    let deployed = view.deployed();
    let mut facts = vec![
        ("Version", version_to_judge(view)),
        (
            "Way back",
            deployed.map_or_else(
                || "no earlier version on record".to_owned(),
                |version| format!("{}, not rehearsed", version.tag()),
            ),
        ),
        ("Authors", view.names.mentions(&release.authors, "and")),
        ("Tickets", tickets(release)),
    ];
    facts.extend(other_signers(view, role));
    facts
}

/// A tech lead's no, before the CTO's eyes.
fn objection(view: &View<'_>, role: Role) -> Option<Value> {
    let no = view
        .release
        .rejections
        .get(&Role::TechLead)
        .filter(|_| role == Role::Cto)?;
    Some(section(&format!(
        "*The tech lead said no.* {} {}: “{}”\nYour click confirms the hotfix with this in view, and the record says so.",
        view.names.mention(&no.person),
        view.when(no.at_ms),
        foreign_line(view.text(&no.reason), 500)
    )))
}

/// What a click does, and what the button says.
struct Click {
    sentence: String,
    label: String,
}

fn owed_click(view: &View<'_>) -> Click {
    let due = view
        .release
        .debts
        .get(&Rule::SignoffTechLead)
        .map_or_else(String::new, |debt| format!(", due {}", view.when(debt.due_ms)));
    Click {
        sentence: format!(
            "It was started without the tech lead's sign-off; that is owed{due}. Your click gives it and changes nothing else. If nobody does, the debt stays open on the record."
        ),
        label: "Give the owed sign-off".to_owned(),
    }
}

/// "Deploys now" stands there only if nothing else is missing.
fn click(view: &View<'_>, role: Role) -> Click {
    let mine = rule_of(role);
    let missing: Vec<&Gate> = view
        .gates
        .iter()
        .filter(|gate| gate.holds_start() && gate.rule != mine && gate.rule != Rule::DeployStart)
        // The CTO's click overrules a tech lead's no.
        .filter(|gate| {
            !(role == Role::Cto
                && gate.rule == Rule::SignoffTechLead
                && matches!(gate.detail, Detail::RejectedBy { .. }))
        })
        .collect();
    let accepts = if role == Role::Cto {
        " and accepts the list of what is skipped below"
    } else {
        ""
    };
    let approve = || format!("Approve {}", view.release.version.tag());
    let holds = view.gate(mine).is_some_and(Gate::holds_start);
    if !holds && !matches!(view.release.status, Status::Asking | Status::Rejected) {
        // What doesn't hold the start doesn't cause one.
        return Click {
            sentence: format!(
                "Your click signs it{accepts}, so that it isn't owed afterwards. It starts nothing by itself: a deployment engineer does, with `/release deploy {}`.",
                view.release.key
            ),
            label: approve(),
        };
    }
    match missing.as_slice() {
        [] => Click {
            sentence: format!("One click *deploys now*{accepts}."),
            label: format!("Deploy {} now", view.release.version.tag()),
        },
        [gate] if gate.rule == Rule::SignoffTechLead && !view.signers(Role::TechLead).is_empty() => Click {
            sentence: format!("Your click approves it{accepts}. {}", starts_with_tech_lead(view, gate)),
            label: approve(),
        },
        [gate] if gate.rule == Rule::SignoffCto => Click {
            sentence: "Your click approves it. It starts when the CTO signs.".to_owned(),
            label: approve(),
        },
        several => {
            let others = several.iter().filter(|gate| gate.rule != Rule::DeployExclusive);
            let what: Vec<String> = others.map(|gate| gates::sentence(gate, &words(view))).collect();
            let settled = if what.is_empty() {
                String::new()
            } else {
                format!(" It does not start before this is settled: {}.", what.join("; "))
            };
            Click {
                sentence: format!("Your click approves it{accepts}.{settled}{}", if_held(view)),
                label: approve(),
            }
        }
    }
}

fn starts_with_tech_lead(view: &View<'_>, gate: &Gate) -> String {
    let who = view.names.mentions(view.signers(Role::TechLead), "or");
    match gate.next_ms {
        Some(next_ms) => format!("It starts when {who} signs, at {} at the latest.", view.when(next_ms)),
        None => format!("It starts when {who} signs, and not before."),
    }
}

/// Until when, and what happens if nobody answers.
fn patience(view: &View<'_>, role: Role) -> String {
    let counts = format!("Your sign-off counts for {}.", span(view.policy.emergency_sign_off_ms));
    let silence = match role {
        Role::TechLead => match view.gate(Rule::SignoffTechLead).and_then(|gate| gate.next_ms) {
            Some(next_ms) => format!(
                "Without your answer by {} it goes on without it, and the sign-off is owed within {} of the start.",
                view.when(next_ms),
                span(view.policy.tech_lead_within_ms)
            ),
            None => without_tech_lead(view),
        },
        _ => match deputy(view) {
            Some((people, at_ms)) => format!(
                "Without an answer by {} {people} is asked too. Without any, it does not start.",
                view.when(at_ms)
            ),
            None => "Without an answer it does not start.".to_owned(),
        },
    };
    format!("{silence} {counts}")
}

/// What happens without the tech lead where no wait is running: by the mode of `signoff.tech-lead`, and by whether the wait is over.
fn without_tech_lead(view: &View<'_>) -> String {
    let is_owed = view
        .gate(Rule::SignoffTechLead)
        .is_some_and(|gate| gate.state == GateState::Owed);
    if is_owed {
        return format!(
            "It does not wait for your answer; without it the sign-off is owed within {} of the start.",
            span(view.policy.tech_lead_within_ms)
        );
    }
    "Without your answer it does not start.".to_owned()
}

/// Whether somebody in `role` has lines on the checklist that hold the start.
fn has_lines(view: &View<'_>, role: Role) -> bool {
    let speaks = |gate: &Gate| matches!(gate.rule.judged(), Judged::Attested(roles, _) if roles.contains(&role));
    view.is_before_start() && view.gates.iter().any(|gate| gate.holds_start() && speaks(gate))
}

fn answer_buttons(view: &View<'_>, role: Role, label: &str) -> Option<Value> {
    if !view.can_have_buttons {
        return None;
    }
    let release = view.release;
    let value = ButtonValue::on(release).as_role(role);
    let named = format!("{} {}", release.key, view.what());
    let approve = Button::new(ActionId::Approve, label, &format!("{label}: {named}"), value.clone());
    let mut row = Vec::new();
    // Who has lines to confirm first signs with them, in one visit.
    if has_lines(view, role) {
        let label = "Confirm and sign…";
        row.push(Button::new(ActionId::Checklist, label, &format!("{label} {named}"), value.clone()).primary());
        row.push(approve);
    } else {
        row.push(approve.primary());
    }
    if !owed(release, role) {
        row.push(Button::new(ActionId::Reject, "Reject…", &format!("Reject {named}"), value.clone()).danger());
        row.push(Button::new(
            ActionId::Why,
            "Why not now?",
            &format!("Why not now? {named}"),
            value,
        ));
    }
    actions(row)
}
