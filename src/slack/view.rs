//! What a message is rendered from: the release, its checklist, and how people are called. Nothing is looked up here.

use domain::digest::Digest;
use domain::event::NoticeStep;
use domain::ids::{Millis, PersonId, Version};
use domain::people::People;
use domain::policy::Policy;
use domain::release::{Release, Status};
use domain::role::Role;
use domain::rule::Rule;
use domain::rules::gates::{Detail, Gate};
use domain::rules::sign_off::{can_judge, slot_end_ms};
use domain::service::Service;
use std::collections::BTreeMap;

/// How people are called: by Slack's mention where Slack reads it, by name in mails and pages.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Slack user ids.
    pub mentions: &'a BTreeMap<PersonId, String>,
    /// Names for plain text.
    pub plain: &'a BTreeMap<PersonId, String>,
}

impl Names<'_> {
    /// The person as a mention in Slack's markup.
    pub fn mention(&self, person: &PersonId) -> String {
        match self.mentions.get(person).filter(|id| is_slack_id(id)) {
            Some(id) => format!("<@{id}>"),
            None => "a person no longer on record".to_owned(),
        }
    }

    /// The person's name in plain text.
    pub fn name(&self, person: &PersonId) -> String {
        let name = self.plain.get(person).or_else(|| self.mentions.get(person));
        name.map_or_else(
            || "a person no longer on record".to_owned(),
            |name| name.chars().filter(|c| !c.is_control()).take(80).collect(),
        )
    }

    /// The first few of several people, as in a sentence.
    pub fn mentions<'p>(&self, people: impl IntoIterator<Item = &'p PersonId>, word: &str) -> String {
        let all: Vec<String> = people.into_iter().map(|person| self.mention(person)).collect();
        if all.len() > 5 {
            format!("{} and {} more", all[..4].join(", "), all.len() - 4)
        } else {
            super::markup::joined(&all, word)
        }
    }
}

/// Whether this can stand in a mention: nothing that could end it or start another.
pub(crate) fn is_slack_id(text: &str) -> bool {
    (2..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Which ways to people besides Slack are configured; without one, nobody is told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Mail to all teams.
    pub mail: bool,
    /// A pager.
    pub pager: bool,
}

impl Ways {
    /// What a step of an unconfirmed notice could not do, if its way is not configured.
    pub fn missing(self, step: NoticeStep) -> Option<&'static str> {
        match step {
            NoticeStep::Mail => (!self.mail).then_some("no mail is configured, so nobody was mailed"),
            NoticeStep::Page | NoticeStep::AtRisk => {
                (!self.pager).then_some("no pager is configured, so nobody was rung")
            }
        }
    }
}

/// A release as its messages show it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The release.
    pub release: &'a Release,
    /// The version of its stream that is rendered.
    pub version: u64,
    /// Its checklist at `now_ms`.
    pub gates: &'a [Gate],
    /// How people are called.
    pub names: Names<'a>,
    /// The texts behind the commitments; an erased one is missing.
    pub texts: &'a BTreeMap<Digest, String>,
    /// The state of its service.
    pub service: &'a Service,
    /// Who holds which role of its service, as far as known.
    pub people: &'a People,
    /// The ways to people besides Slack.
    pub ways: Ways,
    /// The policy in force.
    pub policy: &'a Policy,
    /// The time of rendering.
    pub now_ms: Millis,
    /// Jobs of this release that were given up.
    pub dead_jobs: usize,
    /// Whether buttons may stand where this goes; not in channels that are shared with outsiders.
    pub can_have_buttons: bool,
}

impl View<'_> {
    /// The text behind a commitment.
    pub fn text(&self, digest: &Digest) -> &str {
        self.texts.get(digest).map_or("(this text was erased)", String::as_str)
    }

    /// `payments v1.4.0`.
    pub fn what(&self) -> String {
        what(self.release)
    }

    /// What a successful deployment put last where this release goes.
    pub fn deployed(&self) -> Option<Version> {
        self.service.environment(&self.release.environment).deployed
    }

    /// Somebody in a role, with those who can act in it for this release, as far as they are known.
    pub fn somebody(&self, role: Role) -> String {
        let people = self.people.holders_of(role).iter();
        let able: Vec<&PersonId> = people.filter(|person| can_judge(person, role, self.release)).collect();
        if able.is_empty() {
            return format!("a {}", role.title());
        }
        format!("a {} ({})", role.title(), self.names.mentions(able, "or"))
    }

    /// Somebody in a role, with everybody who holds it: what is confirmed may be confirmed by who asked for the release, too.
    pub fn holders(&self, role: Role) -> String {
        match self.people.holders_of(role) {
            [] => format!("a {}", role.title()),
            people => format!("a {} ({})", role.title(), self.names.mentions(people, "or")),
        }
    }

    /// A time in the release's zone, for Slack.
    pub fn when(&self, at_ms: Millis) -> String {
        super::time::when(at_ms, &self.release.time_zone)
    }

    /// A time in the release's zone, in plain text.
    pub fn clock(&self, at_ms: Millis) -> String {
        super::time::clock(at_ms, &self.release.time_zone)
    }

    /// Whether the planned slot is over, so that nothing can be signed or started in it.
    pub fn slot_over(&self) -> bool {
        slot_end_ms(self.release).is_some_and(|end_ms| self.now_ms >= end_ms)
    }

    /// Whether a start is still ahead.
    pub fn is_before_start(&self) -> bool {
        matches!(
            self.release.status,
            Status::Drafted | Status::Asking | Status::Approved | Status::Queued | Status::Rejected
        )
    }

    /// The gate of a rule.
    pub fn gate(&self, rule: Rule) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.rule == rule)
    }

    /// The gates that hold the start and that somebody or something can still meet; "wrong status" only repeats them.
    pub fn holding(&self) -> Vec<&Gate> {
        let holding: Vec<&Gate> = self.gates.iter().filter(|gate| gate.holds_start()).collect();
        let real: Vec<&Gate> = holding
            .iter()
            .copied()
            .filter(|gate| gate.detail != Detail::WrongStatus)
            .collect();
        if real.is_empty() { holding } else { real }
    }

    /// The people who can sign for `role`: as the gate says, or as they were asked.
    pub fn signers(&self, role: Role) -> Vec<&PersonId> {
        let gate = self.gate(domain::rules::sign_off::rule_of(role));
        let asked = self.release.asked.get(&role);
        match asked {
            Some(asked) if !asked.people.is_empty() => {
                // In the gate's order, so that a card names them the same way twice.
                let order = gate.map(|gate| gate.people.as_slice()).unwrap_or_default();
                let mut people: Vec<&PersonId> = asked.people.iter().collect();
                people.sort_by_key(|person| order.iter().position(|one| one == *person).unwrap_or(usize::MAX));
                people
            }
            _ => gate.map(|gate| gate.people.iter().collect()).unwrap_or_default(),
        }
    }
}

/// `payments v1.4.0`.
pub(crate) fn what(release: &Release) -> String {
    format!("{} {}", release.service, release.version.tag())
}
