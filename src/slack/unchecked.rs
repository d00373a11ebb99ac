//! What the procedure asks for and nobody has looked at, said wherever somebody decides: a checklist that is all met must not read
//! like the whole procedure.

use crate::slack::view::View;
use domain::rule::{Effect, Rule, SkipReason};
use domain::rules::gates::{Gate, GateState};

/// The line for a card and its questions; nothing if everything was looked at.
pub fn line(view: &View<'_>) -> Option<String> {
    let release = view.release;
    let mut lines = Vec::new();
    let not_judged = titles(view, |gate| {
        gate.state == GateState::NotJudged && gate.effect == Effect::Block
    });
    lines.extend(said("Not checked by Countersign yet", &not_judged));
    if release.kind.is_emergency() {
        let seen = |gate: &Gate| matches!(gate.state, GateState::Met | GateState::NotApplicable);
        let skipped = |gate: &Gate| SkipReason::of(gate.rule, Some(gate.effect)).is_some();
        let unseen = titles(view, |gate| {
            gate.effect == Effect::Show && !seen(gate) && !skipped(gate)
        });
        lines.extend(said("Nobody has said how it is with", &unseen));
    }
    let off = |rule: &&Rule| {
        let effect = view.policy.effect(**rule, release.kind, &release.service);
        rule.effect(release.kind) == Some(Effect::Block) && effect != Some(Effect::Block)
    };
    let weaker: Vec<&str> = Rule::ALL.iter().filter(off).map(|rule| rule.title()).collect();
    lines.extend(said("Holds nothing, by this team's policy", &weaker));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn titles(view: &View<'_>, which: impl Fn(&Gate) -> bool) -> Vec<&'static str> {
    let gates = view.gates.iter().filter(|gate| which(gate));
    gates.map(|gate| gate.rule.title()).collect()
}

fn said(what: &str, titles: &[&str]) -> Option<String> {
    (!titles.is_empty()).then(|| format!("*{what}:* {}.", titles.join(", ")))
}
