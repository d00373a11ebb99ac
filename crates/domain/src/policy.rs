//! The parameters of the rules: defaults equal the procedure, differences come from `[policy.rules]`.
//! An empty set of differences is the procedure.

use crate::digest::Digest;
use crate::event::NoticeStep;
use crate::ids::{DAY_MS, HOUR_MS, MINUTE_MS, Millis};
use crate::rule::{Effect, Kind, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// When the tech lead's sign-off of an emergency is needed (rule `signoff.tech-lead`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TechLeadMode {
    /// No start without it.
    Block,
    /// No start without it while the wait runs; owed afterwards.
    BlockThenOwe,
    /// Never holds a start; owed.
    Owe,
}

/// The parameters of all rules. Durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `signoff.tech-lead`: when it is needed.
    pub tech_lead_mode: TechLeadMode,
    /// `signoff.tech-lead`: how long a start waits for it in mode `block_then_owe`.
    pub tech_lead_wait_ms: Millis,
    /// `signoff.tech-lead`: by when an owed sign-off is due after the start.
    pub tech_lead_within_ms: Millis,
    /// `signoff.cto`: after how long the standing deputy is asked as well.
    pub deputy_after_ms: Millis,
    /// `signoff.cto` and `signoff.tech-lead`: how long an emergency sign-off counts.
    pub emergency_sign_off_ms: Millis,
    /// `signoff.product-owner` and `signoff.qa-lead`: how long a planned sign-off counts at most.
    pub planned_sign_off_max_ms: Millis,
    /// `emergency.notice`: e-mail to all teams when the notice is still unsent.
    pub notice_mail_after_ms: Millis,
    /// `emergency.notice`: release manager and CTO are paged.
    pub notice_page_after_ms: Millis,
    /// `emergency.notice`: the clock is at risk.
    pub notice_at_risk_after_ms: Millis,
    /// `emergency.notice`: breached. Clause 3.4 says one hour; no policy can move it.
    pub notice_breach_after_ms: Millis,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tech_lead_mode: TechLeadMode::BlockThenOwe,
            tech_lead_wait_ms: 15 * MINUTE_MS,
            tech_lead_within_ms: 24 * HOUR_MS,
            deputy_after_ms: 10 * MINUTE_MS,
            emergency_sign_off_ms: 4 * HOUR_MS,
            planned_sign_off_max_ms: 14 * DAY_MS,
            notice_mail_after_ms: 5 * MINUTE_MS,
            notice_page_after_ms: 15 * MINUTE_MS,
            notice_at_risk_after_ms: 45 * MINUTE_MS,
            notice_breach_after_ms: HOUR_MS,
        }
    }
}

/// How old facts about people may be at a decision (`design.md`, Roles).
pub const FACTS_MAX_AGE_MS: Millis = MINUTE_MS;
/// How old the membership seen at the click may be when Slack is silent at an emergency's start.
pub const CLICK_FACTS_MAX_AGE_MS: Millis = HOUR_MS;
/// The shortest justification of a hotfix, in characters (rule `emergency.justification`).
pub const JUSTIFICATION_MIN_CHARS: usize = 20;
/// The longest free text that is taken anywhere, in characters: Slack's own limit of an input.
pub const TEXT_MAX_CHARS: usize = 3_000;

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
    /// The procedure with `differences`, by rule id and parameter.
    ///
    /// # Errors
    /// Every difference that can't be used, all at once.
    pub fn with_differences(differences: &BTreeMap<String, Value>) -> Result<Self, Vec<PolicyProblem>> {
        let mut policy = Self::default();
        let mut problems = Vec::new();
        for (id, parameters) in differences {
            let key = format!("policy.rules.\"{id}\"");
            match (Rule::from_id(id), parameters.as_object()) {
                (None, _) => problems.push(PolicyProblem {
                    problem: format!("there is no rule `{id}`; docs/rulebook.md lists them"),
                    key,
                }),
                (Some(_), None) => problems.push(PolicyProblem {
                    key,
                    problem: "must be a table of parameters".to_owned(),
                }),
                (Some(rule), Some(parameters)) => {
                    for (name, value) in parameters {
                        if let Err(problem) = policy.set(rule, name, value) {
                            problems.push(PolicyProblem {
                                key: format!("{key}.{name}"),
                                problem,
                            });
                        }
                    }
                }
            }
        }
        if policy.notice_mail_after_ms > policy.notice_page_after_ms
            || policy.notice_page_after_ms > policy.notice_at_risk_after_ms
            || policy.notice_at_risk_after_ms > policy.notice_breach_after_ms
        {
            problems.push(PolicyProblem {
                key: "policy.rules.\"emergency.notice\"".to_owned(),
                problem: "the steps must follow each other: mail_after, page_after, at_risk_after, at most 60m"
                    .to_owned(),
            });
        }
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
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

    /// `emergency.notice`: how long after the start a step of the ladder is due.
    pub fn notice_step_after_ms(&self, step: NoticeStep) -> Millis {
        match step {
            NoticeStep::Mail => self.notice_mail_after_ms,
            NoticeStep::Page => self.notice_page_after_ms,
            NoticeStep::AtRisk => self.notice_at_risk_after_ms,
        }
    }

    /// Digest of what the policy asks of a release of this kind: what a signer's approval rests on.
    pub fn effective_digest(&self, kind: Kind) -> Digest {
        let effects: BTreeMap<&str, Effect> = Rule::ALL
            .iter()
            .filter_map(|rule| rule.effect(kind).map(|effect| (rule.id(), effect)))
            .collect();
        let parameters = if kind.is_emergency() {
            serde_json::json!({
                "tech_lead_mode": self.tech_lead_mode, "tech_lead_wait_ms": self.tech_lead_wait_ms,
                "tech_lead_within_ms": self.tech_lead_within_ms, "expires_ms": self.emergency_sign_off_ms,
            })
        } else {
            serde_json::json!({ "expires_ms": self.planned_sign_off_max_ms })
        };
        let effective = serde_json::json!({ "effects": effects, "parameters": parameters });
        // Only strings and integers are inside, so it always has a canonical form.
        Digest::of(&crate::canonical::to_bytes(&effective).unwrap_or_default())
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

/// A duration in the largest unit that divides it: `15m`, `24h`.
pub fn spell(ms: Millis) -> String {
    match ms {
        ms if ms >= 2 * DAY_MS && ms % DAY_MS == 0 => format!("{}d", ms / DAY_MS),
        ms if ms >= 2 * HOUR_MS && ms % HOUR_MS == 0 => format!("{}h", ms / HOUR_MS),
        ms if ms % MINUTE_MS == 0 => format!("{}m", ms / MINUTE_MS),
        ms => format!("{}s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(differences: &Value) -> Result<Policy, Vec<String>> {
        let differences = serde_json::from_value(differences.clone()).unwrap();
        Policy::with_differences(&differences).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn no_difference_is_the_procedure() {
        assert_eq!(check(&json!({})).unwrap(), Policy::default());
    }

    #[test]
    fn differences_are_read_by_rule_and_parameter() {
        let policy = check(
            &json!({"signoff.tech-lead": {"mode": "owe", "within": "12h"}, "emergency.notice": {"mail_after": "90s"}}),
        )
        .unwrap();
        assert_eq!(policy.tech_lead_mode, TechLeadMode::Owe);
        assert_eq!(policy.tech_lead_within_ms, 12 * HOUR_MS);
        assert_eq!(policy.notice_mail_after_ms, 90_000);
        assert_ne!(
            policy.effective_digest(Kind::Emergency),
            Policy::default().effective_digest(Kind::Emergency)
        );
        assert_eq!(
            policy.effective_digest(Kind::Minor),
            Policy::default().effective_digest(Kind::Minor)
        );
    }

    #[test]
    fn every_problem_is_named_at_once_with_its_key() {
        let problems = check(&json!({
            "signoff.boss": {}, "signoff.cto": {"expires_after": "5h", "quorum": 2}, "signoff.tech-lead": {"mode": "never", "wait": "soon"},
            "emergency.notice": {"mail_after": "20m"}, "deploy.start": 7
        }))
        .unwrap_err();
        assert_eq!(
            problems,
            [
                "policy.rules.\"deploy.start\": must be a table of parameters",
                "policy.rules.\"signoff.boss\": there is no rule `signoff.boss`; docs/rulebook.md lists them",
                "policy.rules.\"signoff.cto\".expires_after: must be at most 4h, the procedure's own limit",
                "policy.rules.\"signoff.cto\".quorum: rule `signoff.cto` has no parameter `quorum`",
                "policy.rules.\"signoff.tech-lead\".mode: must be \"block\", \"block_then_owe\" or \"owe\"",
                "policy.rules.\"signoff.tech-lead\".wait: must be a duration such as \"15m\", \"24h\" or \"14d\"",
                "policy.rules.\"emergency.notice\": the steps must follow each other: mail_after, page_after, at_risk_after, at most 60m",
            ]
        );
    }
}
