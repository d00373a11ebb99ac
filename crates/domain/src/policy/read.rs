//! Reading what differs from the procedure. Everything that is wrong is named at once, with its key and what to do.

use super::{Change, Policy, spell};
use crate::ids::{DAY_MS, HOUR_MS, MINUTE_MS, Millis, ServiceName};
use crate::rule::{Effect, Judged, Kind, Rule};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The longest reason of a change.
const REASON_MAX_CHARS: usize = 500;

/// What differs from the procedure, as it was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Differences {
    /// By rule id: its parameters.
    pub rules: BTreeMap<String, Value>,
    /// By service and rule id: what the rule does there.
    pub services: BTreeMap<String, BTreeMap<String, Value>>,
}

/// A difference that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// Such as `policy.rules."signoff.tech-lead".wait`.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl Policy {
    /// The procedure with `differences`.
    ///
    /// # Errors
    /// Every difference that can't be used, all at once.
    pub fn with_differences(differences: &Differences) -> Result<Self, Vec<PolicyProblem>> {
        let mut policy = Self::default();
        let mut problems = Vec::new();
        for (id, value) in &differences.rules {
            let key = format!("policy.rules.\"{id}\"");
            read_rule(&key, id, value, &mut problems, |rule, name, value| {
                match read_change(policy.changes.entry(rule).or_default(), rule, name, value) {
                    Some(read) => read,
                    None => policy.set(rule, name, value),
                }
            });
        }
        for (name, rules) in &differences.services {
            let key = format!("policy.services.{name}");
            let Ok(service) = ServiceName::new(name) else {
                problems.push(PolicyProblem {
                    key,
                    problem: "is no name of a service".to_owned(),
                });
                continue;
            };
            let changes = policy.service_changes.entry(service).or_default();
            for (id, value) in rules {
                let key = format!("{key}.\"{id}\"");
                read_rule(&key, id, value, &mut problems, |rule, name, value| {
                    read_change(changes.entry(rule).or_default(), rule, name, value).unwrap_or_else(|| {
                        Err(format!(
                            "a service may differ in what a rule does; its parameters stand in policy.rules.\"{rule}\""
                        ))
                    })
                });
            }
        }
        policy.forget_empty_changes();
        problems.extend(policy.weak_without_reason());
        problems.extend(policy.steps_in_disorder());
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// A parameter alone is no change of what a rule does.
    fn forget_empty_changes(&mut self) {
        self.changes.retain(|_, change| *change != Change::default());
        for changes in self.service_changes.values_mut() {
            changes.retain(|_, change| *change != Change::default());
        }
        self.service_changes.retain(|_, changes| !changes.is_empty());
    }

    fn weak_without_reason(&self) -> Vec<PolicyProblem> {
        let of_services = self.service_changes.iter().flat_map(|(service, changes)| {
            let key = move |rule: &Rule| format!("policy.services.{service}.\"{rule}\"");
            changes.iter().map(move |(rule, change)| (key(rule), rule, change))
        });
        let all = self
            .changes
            .iter()
            .map(|(rule, change)| (format!("policy.rules.\"{rule}\""), rule, change));
        let mut problems = Vec::new();
        for (key, rule, change) in all.chain(of_services) {
            let weaker = |(kind, effect): (&Kind, &Option<Effect>)| strength(*effect) < strength(rule.effect(*kind));
            if change.reason.is_none() && change.effects.iter().any(weaker) {
                let clause = rule.clause();
                problems.push(PolicyProblem {
                    key,
                    problem: format!("asks for less than the procedure does ({clause}): say why in `reason`"),
                });
            }
        }
        problems
    }

    fn steps_in_disorder(&self) -> Option<PolicyProblem> {
        let steps = [
            self.notice_mail_after_ms,
            self.notice_page_after_ms,
            self.notice_at_risk_after_ms,
            self.notice_breach_after_ms,
        ];
        (!steps.is_sorted()).then(|| PolicyProblem {
            key: "policy.rules.\"emergency.notice\"".to_owned(),
            problem: "the steps must follow each other: mail_after, page_after, at_risk_after, at most 60m".to_owned(),
        })
    }

    fn set(&mut self, rule: Rule, name: &str, value: &Value) -> Result<(), String> {
        let stricter = |limit: Millis| {
            move |ms: Millis| {
                if ms <= limit {
                    Ok(ms)
                } else {
                    Err(format!("must be at most {}, the procedure's own limit", spell(limit)))
                }
            }
        };
        match (rule, name) {
            (Rule::SignoffTechLead, "mode") => {
                self.tech_lead_mode = serde_json::from_value(value.clone())
                    .map_err(|_| "must be \"block\", \"block_then_owe\" or \"owe\"".to_owned())?;
            }
            (Rule::SignoffTechLead, "wait") => self.tech_lead_wait_ms = duration(value)?,
            (Rule::SignoffTechLead, "within") => {
                self.tech_lead_within_ms = duration(value).and_then(stricter(24 * HOUR_MS))?;
            }
            (Rule::SignoffCto, "deputy_after") => self.deputy_after_ms = duration(value)?,
            (Rule::SignoffCto, "expires_after") => {
                self.emergency_sign_off_ms = duration(value).and_then(stricter(4 * HOUR_MS))?;
            }
            (Rule::SignoffProductOwner | Rule::SignoffQaLead, "expires_after") => {
                self.planned_sign_off_max_ms = duration(value).and_then(stricter(14 * DAY_MS))?;
            }
            (Rule::EmergencyNotice, "mail_after") => self.notice_mail_after_ms = duration(value)?,
            (Rule::EmergencyNotice, "page_after") => self.notice_page_after_ms = duration(value)?,
            (Rule::EmergencyNotice, "at_risk_after") => self.notice_at_risk_after_ms = duration(value)?,
            _ => return Err(format!("rule `{rule}` has no parameter `{name}`")),
        }
        Ok(())
    }
}

/// Gives every parameter of one rule to `set`.
fn read_rule(
    key: &str,
    id: &str,
    value: &Value,
    problems: &mut Vec<PolicyProblem>,
    mut set: impl FnMut(Rule, &str, &Value) -> Result<(), String>,
) {
    let mut name = |key: String, problem: String| problems.push(PolicyProblem { key, problem });
    let Some(rule) = Rule::from_id(id) else {
        return name(
            key.to_owned(),
            format!("there is no rule `{id}`; docs/rulebook.md lists them"),
        );
    };
    let Some(parameters) = value.as_object() else {
        return name(key.to_owned(), "must be a table of parameters".to_owned());
    };
    for (parameter, value) in parameters {
        if let Err(problem) = set(rule, parameter, value) {
            name(format!("{key}.{parameter}"), problem);
        }
    }
}

/// Reads what a rule does, or why; nothing if `name` is another parameter.
fn read_change(change: &mut Change, rule: Rule, name: &str, value: &Value) -> Option<Result<(), String>> {
    let kinds: Vec<Kind> = match name {
        "planned" => vec![Kind::Major, Kind::Minor],
        "reason" => {
            let reason = value.as_str().map(str::trim);
            let said = reason.filter(|reason| !reason.is_empty() && reason.chars().count() <= REASON_MAX_CHARS);
            change.reason = said.map(str::to_owned);
            let problem = || format!("must say why in words, in at most {REASON_MAX_CHARS} characters");
            return Some(said.map(drop).ok_or_else(problem));
        }
        _ => vec![*Kind::ALL.iter().find(|kind| kind.key() == name)?],
    };
    Some(effect(value).and_then(|effect| {
        for kind in kinds {
            may_change(rule, kind, effect)?;
            change.effects.insert(kind, effect);
        }
        Ok(())
    }))
}

/// What people or a probe say of a rule may be asked for more or less strictly. What Countersign sees for itself, the sign-offs
/// among it, and what it does, is the procedure.
fn may_change(rule: Rule, kind: Kind, effect: Option<Effect>) -> Result<(), String> {
    let default = rule.effect(kind);
    let is_fact = matches!(rule.judged(), Judged::Attested(..) | Judged::NotYet) && rule != Rule::PolicyChange;
    if !is_fact || default == Some(Effect::Action) {
        return Err(format!("what `{rule}` does can't be changed"));
    }
    if rule.judged() == Judged::NotYet && strength(effect) > strength(default) {
        return Err("nothing judges this rule yet, so it can't be asked for more strictly".to_owned());
    }
    if effect == Some(Effect::Owe) && !kind.is_emergency() {
        return Err("what a planned release owes is not kept yet: use \"warn\" or \"show\"".to_owned());
    }
    if kind.is_emergency() && matches!(effect, None | Some(Effect::Warn)) && default.is_some() {
        return Err(
            "must be \"block\", \"owe\" or \"show\": whoever signs a hotfix has in view what nobody looked at"
                .to_owned(),
        );
    }
    Ok(())
}

fn effect(value: &Value) -> Result<Option<Effect>, String> {
    let effects = [Effect::Block, Effect::Owe, Effect::Warn, Effect::Show];
    let word = value.as_str();
    if word == Some("off") {
        return Ok(None);
    }
    let found = effects.into_iter().find(|effect| Some(effect.key()) == word);
    found
        .map(Some)
        .ok_or_else(|| "must be \"block\", \"owe\", \"warn\", \"show\" or \"off\"".to_owned())
}

/// How much an effect asks for.
fn strength(effect: Option<Effect>) -> u8 {
    match effect {
        None => 0,
        Some(Effect::Show) => 1,
        Some(Effect::Warn) => 2,
        Some(Effect::Owe | Effect::Action) => 3,
        Some(Effect::Block) => 4,
    }
}

/// Reads `90s`, `15m`, `24h` or `14d`; at most a year.
fn duration(value: &Value) -> Result<Millis, String> {
    let expected = || "must be a duration such as \"15m\", \"24h\" or \"14d\"".to_owned();
    let text = value.as_str().ok_or_else(expected)?;
    let unit_at = text
        .len()
        .checked_sub(1)
        .filter(|at| text.is_char_boundary(*at))
        .ok_or_else(expected)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => DAY_MS,
        _ => return Err(expected()),
    };
    let number: Millis = number.parse().map_err(|_| expected())?;
    let ms = number.checked_mul(unit_ms).ok_or_else(expected)?;
    if (1_000..=365 * DAY_MS).contains(&ms) {
        Ok(ms)
    } else {
        Err(expected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::TechLeadMode;
    use serde_json::json;

    fn check(rules: &Value, services: &Value) -> Result<Policy, Vec<String>> {
        let differences = Differences {
            rules: serde_json::from_value(rules.clone()).unwrap(),
            services: serde_json::from_value(services.clone()).unwrap(),
        };
        Policy::with_differences(&differences).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn service(name: &str) -> ServiceName {
        ServiceName::new(name).unwrap()
    }

    #[test]
    fn no_difference_is_the_procedure() {
        assert_eq!(check(&json!({}), &json!({})).unwrap(), Policy::default());
    }

    #[test]
    fn differences_are_read_by_rule_and_parameter() {
        let policy = check(
            &json!({"signoff.tech-lead": {"mode": "owe", "within": "12h"}, "emergency.notice": {"mail_after": "90s"}}),
            &json!({}),
        )
        .unwrap();
        assert_eq!(policy.tech_lead_mode, TechLeadMode::Owe);
        assert_eq!(policy.tech_lead_within_ms, 12 * HOUR_MS);
        assert_eq!(policy.notice_mail_after_ms, 90_000);
        let differs = |kind, name| {
            let service = service(name);
            policy.effective_digest(kind, &service) != Policy::default().effective_digest(kind, &service)
        };
        assert!(differs(Kind::Emergency, "payments") && !differs(Kind::Minor, "payments"));
    }

    #[test]
    fn what_a_rule_does_differs_by_kind_and_service_and_only_these_sign_anew() {
        let policy = check(
            &json!({"criteria.performance": {"planned": "warn", "reason": "no load tests yet, PAY-12"}, "health.tls": {"emergency": "block"}}),
            &json!({"ledger": {"criteria.performance": {"minor": "off", "reason": "a batch job"}}}),
        )
        .unwrap();
        let effect = |rule, kind, name| policy.effect(rule, kind, &service(name));
        let performance = Rule::CriteriaPerformance;
        assert_eq!(effect(performance, Kind::Minor, "payments"), Some(Effect::Warn));
        assert_eq!(effect(performance, Kind::Emergency, "payments"), Some(Effect::Owe));
        assert_eq!(effect(performance, Kind::Minor, "ledger"), None);
        assert_eq!(effect(performance, Kind::Major, "ledger"), Some(Effect::Warn));
        assert_eq!(effect(Rule::HealthTls, Kind::Emergency, "ledger"), Some(Effect::Block));
        assert_eq!(effect(Rule::HealthTls, Kind::Minor, "ledger"), Some(Effect::Block));
        let digest = |kind, name| policy.effective_digest(kind, &service(name));
        assert_ne!(digest(Kind::Minor, "ledger"), digest(Kind::Minor, "payments"));
        assert_eq!(digest(Kind::Major, "ledger"), digest(Kind::Major, "payments"));
    }

    #[test]
    fn every_problem_is_named_at_once_with_its_key() {
        let problems = check(
            &json!({
                "signoff.boss": {}, "signoff.cto": {"expires_after": "5h", "quorum": 2, "emergency": "show"},
                "signoff.tech-lead": {"mode": "never", "wait": "soon"}, "emergency.notice": {"mail_after": "20m"},
                "deploy.start": 7, "criteria.docs": {"planned": "show"}, "vcs.branch": {"minor": "maybe", "reason": " "},
                "schedule.peak": {"emergency": "block"}, "criteria.coverage": {"minor": "owe", "emergency": "off"}
            }),
            &json!({"No Name": {}, "ledger": {"health.cpu": {"planned": "off"}, "signoff.cto": {"deputy_after": "5m"}}}),
        )
        .unwrap_err();
        assert_eq!(
            problems,
            [
                "policy.rules.\"criteria.coverage\".emergency: must be \"block\", \"owe\" or \"show\": whoever signs a hotfix has in view what nobody looked at",
                "policy.rules.\"criteria.coverage\".minor: what a planned release owes is not kept yet: use \"warn\" or \"show\"",
                "policy.rules.\"deploy.start\": must be a table of parameters",
                "policy.rules.\"schedule.peak\".emergency: nothing judges this rule yet, so it can't be asked for more strictly",
                "policy.rules.\"signoff.boss\": there is no rule `signoff.boss`; docs/rulebook.md lists them",
                "policy.rules.\"signoff.cto\".emergency: what `signoff.cto` does can't be changed",
                "policy.rules.\"signoff.cto\".expires_after: must be at most 4h, the procedure's own limit",
                "policy.rules.\"signoff.cto\".quorum: rule `signoff.cto` has no parameter `quorum`",
                "policy.rules.\"signoff.tech-lead\".mode: must be \"block\", \"block_then_owe\" or \"owe\"",
                "policy.rules.\"signoff.tech-lead\".wait: must be a duration such as \"15m\", \"24h\" or \"14d\"",
                "policy.rules.\"vcs.branch\".minor: must be \"block\", \"owe\", \"warn\", \"show\" or \"off\"",
                "policy.rules.\"vcs.branch\".reason: must say why in words, in at most 500 characters",
                "policy.services.No Name: is no name of a service",
                "policy.services.ledger.\"signoff.cto\".deputy_after: a service may differ in what a rule does; its parameters stand in policy.rules.\"signoff.cto\"",
                "policy.rules.\"criteria.docs\": asks for less than the procedure does (4.3): say why in `reason`",
                "policy.services.ledger.\"health.cpu\": asks for less than the procedure does (5.1.1): say why in `reason`",
                "policy.rules.\"emergency.notice\": the steps must follow each other: mail_after, page_after, at_risk_after, at most 60m",
            ]
        );
    }
}
