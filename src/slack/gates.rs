//! The checklist in words: one sentence per gate, made from what the gate saw. The card, `why` and refusals all use it.

use crate::slack::markup::{foreign_line, joined};
use crate::slack::time::span;
use crate::slack::view::{Names, what};
use domain::digest::Digest;
use domain::event::SourceProblem;
use domain::fingerprint::Field;
use domain::ids::PersonId;
use domain::release::{Release, Status};
use domain::role::Role;
use domain::rule::{Effect, Rule};
use domain::rules::gates::{Detail, Gate, GateState};
use domain::rules::sign_off::{role_of, slot_end_ms};
use std::collections::BTreeMap;

/// What a gate's sentence needs besides the gate.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The release.
    pub release: &'a Release,
    /// How people are called.
    pub names: Names<'a>,
    /// The texts behind the commitments.
    pub texts: &'a BTreeMap<Digest, String>,
}

/// `` `signoff.cto`, clause 3.4 ``: the rule and where it stands.
pub fn rule_ref(rule: Rule) -> String {
    format!("`{}`, {}", rule.id(), clause(rule))
}

/// Where a rule stands in the procedure.
pub fn clause(rule: Rule) -> String {
    match rule.clause() {
        "added" => "added to the procedure".to_owned(),
        one if !one.contains(',') => format!("clause {one}"),
        several => format!("clauses {several}"),
    }
}

/// The state in a word, never by colour or sign.
pub fn state_word(gate: &Gate) -> &'static str {
    match (gate.state, gate.effect) {
        (GateState::Met, _) => "Met",
        (GateState::Owed, _) => "Owed",
        (GateState::Waived, _) => "Waived",
        (GateState::NotApplicable, _) => "Does not apply",
        (GateState::NotJudged, _) => "Not checked yet",
        (GateState::Unmet, Effect::Block) => "Missing",
        (GateState::Stale, Effect::Block) => "No longer counts",
        (GateState::Unknown, Effect::Block) => "Not known yet",
        (_, Effect::Owe) => "Owed",
        _ => "For information",
    }
}

/// One line of the checklist.
pub fn line(gate: &Gate, words: &Words<'_>) -> String {
    if let Some(debt) = words.release.debts.get(&gate.rule).filter(|debt| debt.closed.is_none()) {
        let due = super::time::when(debt.due_ms, &words.release.time_zone);
        return format!(
            "*Owed* · `{}` · due {due}, by a {}",
            gate.rule.id(),
            debt.owed_by.title()
        );
    }
    format!(
        "*{}* · `{}` · {}",
        state_word(gate),
        gate.rule.id(),
        sentence(gate, words)
    )
}

/// What the gate saw, and what meets it.
pub fn sentence(gate: &Gate, words: &Words<'_>) -> String {
    let release = words.release;
    let when = |at_ms| super::time::when(at_ms, &release.time_zone);
    let person = |person| words.names.mention(person);
    match &gate.detail {
        Detail::Plain => met(gate.rule, release, words.names),
        Detail::SignedBy {
            person: signer,
            at_ms,
            until_ms,
            unconfirmed,
        } => {
            let flag = if *unconfirmed {
                "; Slack could not confirm the role just now, so the click's facts count"
            } else {
                ""
            };
            let stands_in = release.sign_offs.get(&Role::Cto).is_some_and(|sign_off| {
                gate.rule == Rule::SignoffCto && sign_off.as_deputy && sign_off.person == *signer
            });
            let deputy = if stands_in { " as deputy" } else { "" };
            format!(
                "{} signed{deputy} {}, counts until {}{flag}",
                person(signer),
                when(*at_ms),
                when(*until_ms)
            )
        }
        Detail::AttestedBy {
            people,
            at_ms,
            until_ms,
        } => {
            let until = until_ms.map_or_else(String::new, |until_ms| format!(", counts until {}", when(until_ms)));
            format!(
                "{}: said by {}, {}{until}",
                gate.rule.title(),
                words.names.mentions(people, "and"),
                when(*at_ms)
            )
        }
        Detail::ToAttest { by, .. } if by.is_empty() => {
            format!("{}: {} has to say that it holds", gate.rule.title(), who(gate, words))
        }
        Detail::ToAttest { by, .. } => format!(
            "{}: said by {}; another one of {} has to say it too",
            gate.rule.title(),
            words.names.mentions(by, "and"),
            who(gate, words)
        ),
        Detail::WaivedBy {
            people,
            at_ms,
            follow_up_ms,
        } => format!(
            "{}: waived by {}, {}, to be looked at again {}{}",
            gate.rule.title(),
            words.names.mentions(people, "and"),
            when(*at_ms),
            when(*follow_up_ms),
            justification(gate.rule, words)
        ),
        Detail::NoOwner => "a developer's draft: a release manager takes it over by saving the plan".to_owned(),
        Detail::SourcePending => "Countersign is reading the tag and the deployment script".to_owned(),
        Detail::Source(problem) => source_problem(*problem, release),
        Detail::Waiting => waiting(gate, words),
        Detail::NobodyCanSign => format!(
            "nobody who is {} may sign this release: each of them asked for it, wrote it, or signed in another role. An admin adds somebody to the role",
            roles(&gate.roles)
        ),
        Detail::Expired { at_ms } if slot_end_ms(release).is_some_and(|end_ms| *at_ms >= end_ms) => format!(
            "the planned slot ended {}: a release manager moves the start, and then it is asked again",
            when(*at_ms)
        ),
        Detail::Expired { at_ms } if role_of(gate.rule).is_none() => format!(
            "{}: what was said counted until {}; {} says it again",
            gate.rule.title(),
            when(*at_ms),
            who(gate, words)
        ),
        Detail::Expired { at_ms } => format!("the sign-off ended {}; {} signs again", when(*at_ms), who(gate, words)),
        Detail::Changed(fields) if role_of(gate.rule).is_none() => format!(
            "{}: {} changed since it was said; {} says it again",
            gate.rule.title(),
            changed(fields),
            who(gate, words)
        ),
        Detail::Changed(fields) => format!(
            "signed on something else: {} changed since; {} is asked again",
            changed(fields),
            who(gate, words)
        ),
        Detail::LostRole(signer) => format!(
            "{} signed, but is no longer {}; somebody in the role signs again",
            person(signer),
            roles(&gate.roles)
        ),
        Detail::RoleUnconfirmed(signer) => format!(
            "{} signed, but Slack can't confirm the role right now; Countersign asks again",
            person(signer)
        ),
        Detail::NotDistinct(signer) => format!(
            "{} asked for it, wrote it or signed in another role, so that sign-off can't count",
            person(signer)
        ),
        Detail::RejectedBy { person: by, at_ms } => rejected(gate, words, &person(by), &when(*at_ms)),
        Detail::Overruled { rejected_by } => format!(
            "rejected by {}; the CTO confirmed the hotfix with that in view",
            person(rejected_by)
        ),
        Detail::OwedUntil { within_ms } => format!("it starts without; owed within {} of the start", span(*within_ms)),
        Detail::NotBefore(start_ms) => format!("not before the planned start, {}", when(*start_ms)),
        Detail::HeldBy(holder) => format!(
            "{holder} holds {} of {} (deploying, or its outcome is not settled); `/release status {holder}` says which",
            release.environment, release.service
        ),
        Detail::WrongStatus => wrong_status(release),
    }
}

fn justification(rule: Rule, words: &Words<'_>) -> String {
    let waivers = words.release.waivers.get(&rule).into_iter().flatten();
    let said = waivers
        .filter_map(|waiver| words.texts.get(&waiver.justification))
        .next_back();
    said.map_or_else(String::new, |text| format!(": “{}”", foreign_line(text, 200)))
}

fn met(rule: Rule, release: &Release, names: Names<'_>) -> String {
    match (rule, &release.source) {
        (Rule::VcsTag, Some(source)) => match &source.typed_by {
            None => format!("tag {} is commit {}", release.version.tag(), source.commit.short()),
            Some(by) => format!(
                "commit {}, typed by {} because Git could not be asked",
                source.commit.short(),
                names.mention(by)
            ),
        },
        (Rule::DeployScript, Some(source)) => format!("script {}", source.script.short()),
        (Rule::PlanComplete, _) => "the plan is complete".to_owned(),
        (Rule::EmergencyJustification, _) => "justified in writing".to_owned(),
        (Rule::SignoffRecorded, _) => "every sign-off stands in the log with time and name".to_owned(),
        (Rule::DeployStart, _) => "the time has come".to_owned(),
        (Rule::DeployExclusive, _) => format!("no other deployment holds {}", release.environment),
        (rule, _) => rule.summary().to_owned(),
    }
}

fn waiting(gate: &Gate, words: &Words<'_>) -> String {
    let until = match gate.next_ms {
        Some(next_ms) => {
            format!(
                "; without an answer it is owed from {} on",
                super::time::when(next_ms, &words.release.time_zone)
            )
        }
        None => String::new(),
    };
    format!("waiting for {}{until}", who(gate, words))
}

fn rejected(gate: &Gate, words: &Words<'_>, by: &str, when: &str) -> String {
    let role = gate.roles.first().copied();
    let reason = role
        .and_then(|role| words.release.rejections.get(&role))
        .and_then(|no| words.texts.get(&no.reason));
    let reason = reason.map_or_else(String::new, |reason| format!(": “{}”", foreign_line(reason, 200)));
    let lift = lifts(role.unwrap_or(Role::Cto));
    format!("{by} said no {when}{reason}; {lift}")
}

/// Who lifts a no of `role`, and how.
pub fn lifts(role: Role) -> &'static str {
    if role == Role::TechLead {
        "a tech lead lifts it by approving, or the CTO confirms with it in view"
    } else {
        "only the same role lifts it, by approving"
    }
}

fn wrong_status(release: &Release) -> String {
    match release.status {
        Status::Released => "it is in production already".to_owned(),
        Status::Cancelled => "it was cancelled".to_owned(),
        Status::Deploying => "it is being deployed".to_owned(),
        Status::Interrupted => "nobody knows yet how the last attempt went; two people settle it".to_owned(),
        Status::Rejected => "it is rejected".to_owned(),
        _ => "it starts once everything above holds".to_owned(),
    }
}

/// Why the tag or the script can't be used, and what helps.
pub fn source_problem(problem: SourceProblem, release: &Release) -> String {
    let (tag, key) = (release.version.tag(), &release.key);
    match problem {
        SourceProblem::TagMissing => format!("the repository has no tag {tag}: push it, and Countersign looks again"),
        SourceProblem::GitSilent => {
            format!("Git did not say where {tag} points: who asked for it may type `/release commit {key} FULL_COMMIT`")
        }
        SourceProblem::NoRepository => {
            format!(
                "{} names no repository: who asked for it types `/release commit {key} FULL_COMMIT`",
                release.service
            )
        }
        SourceProblem::ScriptMissing => {
            format!(
                "the deployment script of {} is missing or can't be run: a deployment engineer puts it right",
                what(release)
            )
        }
    }
}

/// The people who can meet a gate, as far as known: by the gate, or by who was asked; else its roles.
pub fn who(gate: &Gate, words: &Words<'_>) -> String {
    let asked = || gate.roles.first().and_then(|role| words.release.asked.get(role));
    let people: Vec<&PersonId> = match (gate.people.as_slice(), asked()) {
        ([], Some(asked)) => asked.people.iter().collect(),
        (people, _) => people.iter().collect(),
    };
    if people.is_empty() {
        format!("somebody who is {}", roles(&gate.roles))
    } else {
        format!("{} ({})", words.names.mentions(people, "or"), roles(&gate.roles))
    }
}

/// Roles as in a sentence.
pub fn roles(roles: &[Role]) -> String {
    let titles: Vec<String> = roles.iter().map(|role| role.title().to_owned()).collect();
    if titles.is_empty() {
        "allowed to".to_owned()
    } else {
        joined(&titles, "or")
    }
}

/// What changed, as in a sentence.
pub fn changed(fields: &[Field]) -> String {
    let titles: Vec<String> = fields.iter().map(|field| field.title().to_owned()).collect();
    if titles.is_empty() {
        "what was signed".to_owned()
    } else {
        joined(&titles, "and")
    }
}

/// What a role signs, in words.
pub fn signs(role: Role) -> &'static str {
    match role {
        Role::ProductOwner => "scope and start",
        Role::QaLead => "the tests",
        _ => "the hotfix",
    }
}
