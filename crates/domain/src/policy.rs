//! What the rules do and their parameters: the defaults are the procedure, `[policy]` says what differs (`policy/read.rs`).

mod read;
pub mod trial;

pub use read::{Differences, PolicyProblem};

use crate::digest::Digest;
use crate::event::NoticeStep;
use crate::ids::{DAY_MS, HOUR_MS, MINUTE_MS, Millis, ServiceName};
use crate::rule::{Effect, Kind, Rule, SkipReason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// What one rule does instead of its default, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// By kind; nothing inside where the rule does not apply any more.
    pub effects: BTreeMap<Kind, Option<Effect>>,
    /// Why it asks for less than the procedure does.
    pub reason: Option<String>,
}

/// The parameters of all rules. Durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What rules do that differs from the rulebook.
    pub changes: BTreeMap<Rule, Change>,
    /// The same for one service; it wins.
    pub service_changes: BTreeMap<ServiceName, BTreeMap<Rule, Change>>,
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
            changes: BTreeMap::new(),
            service_changes: BTreeMap::new(),
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

impl Policy {
    /// `emergency.notice`: how long after the start a step of the ladder is due.
    pub fn notice_step_after_ms(&self, step: NoticeStep) -> Millis {
        match step {
            NoticeStep::Mail => self.notice_mail_after_ms,
            NoticeStep::Page => self.notice_page_after_ms,
            NoticeStep::AtRisk => self.notice_at_risk_after_ms,
        }
    }

    /// What `rule` does to the start of a release of `service`, or nothing where it doesn't apply.
    pub fn effect(&self, rule: Rule, kind: Kind, service: &ServiceName) -> Option<Effect> {
        let of_service = self.service_changes.get(service).and_then(|changes| changes.get(&rule));
        let mut changes = of_service.into_iter().chain(self.changes.get(&rule));
        let changed = changes.find_map(|change| change.effects.get(&kind));
        changed.copied().unwrap_or_else(|| rule.effect(kind))
    }

    /// What an emergency skips, by heading (`emergency.skip-staging`). Derived from what each rule does per kind, so that the list
    /// can't drift from it.
    pub fn skipped_by_emergency(&self, service: &ServiceName) -> Vec<(SkipReason, Rule)> {
        let reason = |rule| SkipReason::of(rule, self.effect(rule, Kind::Emergency, service));
        let mut skipped: Vec<(SkipReason, Rule)> = Rule::ALL
            .iter()
            .filter_map(|rule| Some((reason(*rule)?, *rule)))
            .collect();
        skipped.sort();
        skipped
    }

    /// Digest of what the policy asks of a release of this service and kind: what a signer's approval rests on.
    pub fn effective_digest(&self, kind: Kind, service: &ServiceName) -> Digest {
        let effects: BTreeMap<&str, Effect> = Rule::ALL
            .iter()
            .filter_map(|rule| Some((rule.id(), self.effect(*rule, kind, service)?)))
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

/// A duration in the largest unit that divides it: `15m`, `24h`.
pub fn spell(ms: Millis) -> String {
    match ms {
        ms if ms >= 2 * DAY_MS && ms % DAY_MS == 0 => format!("{}d", ms / DAY_MS),
        ms if ms >= 2 * HOUR_MS && ms % HOUR_MS == 0 => format!("{}h", ms / HOUR_MS),
        ms if ms % MINUTE_MS == 0 => format!("{}m", ms / MINUTE_MS),
        ms => format!("{}s", ms / 1_000),
    }
}
