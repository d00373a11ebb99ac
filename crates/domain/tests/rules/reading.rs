//! A second, naive reading of a release's log: who wrote what, who signed what, and every reason why a start is against the
//! rulebook. It shares no rule with the domain, only the words of its events. The simulation of the whole bot reads by it too.

use domain::event::{Event, SignOff};
use domain::ids::{DAY_MS, HOUR_MS, MINUTE_MS, Millis, PersonId};
use domain::policy::TechLeadMode;
use domain::release::Plan;
use domain::role::Role;
use domain::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};

type Content = BTreeMap<&'static str, String>;

/// Whether somebody is active and in a role, as far as anybody could say within the last minute.
pub enum Seat {
    Held,
    NotHeld,
    Unknown,
}

/// What the world says of the moment of a start.
pub struct Start<'a> {
    pub attempt: u32,
    pub now_ms: Millis,
    /// Which attempt of this release holds the environment.
    pub locked_for: Option<u32>,
    pub tech_lead_mode: TechLeadMode,
    /// Rules that hold a start until somebody confirms or waives them: of those that the reading knows, `CONFIRMED`.
    pub confirmed: &'a [Rule],
    /// Whether somebody has one of these roles.
    pub seat: &'a dyn Fn(&PersonId, &[Role]) -> Seat,
}

/// Who may waive a rule, said anew.
pub enum Waivers {
    Nobody,
    AnyOf(&'static [Role]),
    AllOf(&'static [Role]),
}

/// A rule that people confirm: what a word of it is about, how long it counts, and how many people it takes.
pub struct Confirmed {
    pub rule: Rule,
    pub in_emergencies: bool,
    pub fields: &'static [&'static str],
    pub counts_ms: Option<Millis>,
    pub people: usize,
    pub waivers: Waivers,
}

/// One rule of every sort.
pub const CONFIRMED: &[Confirmed] = &[
    Confirmed {
        rule: Rule::StageStaging,
        in_emergencies: false,
        fields: &["version", "commit", "migration"],
        counts_ms: None,
        people: 1,
        waivers: Waivers::Nobody,
    },
    Confirmed {
        rule: Rule::CriteriaDocs,
        in_emergencies: false,
        fields: &["version", "scope"],
        counts_ms: None,
        people: 2,
        waivers: Waivers::AnyOf(&[Role::ProductOwner]),
    },
    Confirmed {
        rule: Rule::CriteriaBugs,
        in_emergencies: false,
        fields: &["version", "commit"],
        counts_ms: None,
        people: 1,
        waivers: Waivers::AllOf(&[Role::ProductOwner, Role::QaLead]),
    },
    Confirmed {
        rule: Rule::HealthCpu,
        in_emergencies: false,
        fields: &[],
        counts_ms: Some(HOUR_MS),
        people: 1,
        waivers: Waivers::AnyOf(&[Role::ReleaseManager, Role::TechLead, Role::Cto]),
    },
    Confirmed {
        rule: Rule::ArtifactPublished,
        in_emergencies: true,
        fields: &["version", "commit"],
        counts_ms: None,
        people: 1,
        waivers: Waivers::AnyOf(&[Role::TechLead]),
    },
];

#[derive(Default)]
pub struct Reading {
    pub is_emergency: bool,
    pub requester: Option<PersonId>,
    parts: BTreeSet<PersonId>,
    plan: Option<Plan>,
    /// What a signature was given on, in plain words.
    content: Content,
    signed: BTreeMap<Role, (SignOff, Content)>,
    /// Who said when, and of what, that a rule holds.
    said: BTreeMap<Rule, BTreeMap<PersonId, (Millis, Content)>>,
    /// Who waived a rule, in which role, and of what.
    waived: BTreeMap<Rule, BTreeMap<PersonId, (Role, Content)>>,
    rejected: BTreeMap<Role, (usize, PersonId)>,
    /// The tech lead had signed, took it back, and no tech lead has signed since.
    tech_lead_took_it_back: bool,
    confirmed_at: Option<usize>,
    asked_tech_leads: Option<(Millis, BTreeSet<PersonId>)>,
    cancelled: bool,
    started: Vec<u32>,
    entries: usize,
}

impl Reading {
    pub fn take(&mut self, at_ms: Millis, event: &Event) {
        self.entries += 1;
        match event {
            Event::ReleasePlanned {
                requester,
                owner,
                authors,
                plan,
                kind,
                version,
                tickets,
                ..
            } => {
                self.requester = Some(requester.clone());
                self.are_part(owner.as_ref(), authors);
                self.content_of_plan(plan, format!("{kind:?}"), version.to_string(), format!("{tickets:?}"));
            }
            Event::PlanChanged {
                owner,
                authors,
                plan,
                kind,
                version,
                tickets,
                ..
            } => {
                self.are_part(owner.as_ref(), authors);
                self.content_of_plan(plan, format!("{kind:?}"), version.to_string(), format!("{tickets:?}"));
                self.asked_tech_leads = None;
            }
            Event::HotfixRequested { requester, authors, .. } => {
                self.is_emergency = true;
                self.requester = Some(requester.clone());
                self.are_part(None, authors);
            }
            Event::SourceResolved {
                commit,
                script,
                executor,
                ..
            } => {
                self.content.insert("commit", commit.to_string());
                self.content.insert("script", format!("{script} {executor}"));
                self.asked_tech_leads = None;
                self.tech_lead_took_it_back = false;
            }
            Event::SignOffRequested {
                role: Role::TechLead,
                people,
                ..
            // A question to nobody begins no new wait.
            } if self.asked_tech_leads.is_none() || !people.is_empty() => {
                let mut all = self
                    .asked_tech_leads
                    .take()
                    .map(|(_, people)| people)
                    .unwrap_or_default();
                all.extend(people.clone());
                self.asked_tech_leads = Some((at_ms, all));
            }
            Event::AttemptStarting { attempt, .. } => self.started.push(*attempt),
            Event::ReleaseCancelled { .. } => self.cancelled = true,
            _ => self.take_word(event),
        }
    }

    fn take_word(&mut self, event: &Event) {
        match event {
            Event::SignedOff { sign_off } => {
                self.rejected.remove(&sign_off.role);
                self.tech_lead_took_it_back &= sign_off.role != Role::TechLead;
                if sign_off.role == Role::Cto {
                    self.confirmed_at = sign_off.confirms_rejection.then_some(self.entries);
                }
                self.signed
                    .insert(sign_off.role, ((**sign_off).clone(), self.content.clone()));
            }
            Event::Attested { rule, attestation } => {
                let word = (attestation.said_ms, self.content.clone());
                self.said.entry(*rule).or_default().insert(attestation.by.clone(), word);
            }
            Event::AttestationWithdrawn { rule, by } => {
                self.said.entry(*rule).or_default().remove(by);
            }
            Event::RuleWaived { rule, waiver } => {
                let waived = (waiver.role, self.content.clone());
                self.waived.entry(*rule).or_default().insert(waiver.by.clone(), waived);
            }
            Event::WaiverWithdrawn { rule, by } => {
                self.waived.entry(*rule).or_default().remove(by);
            }
            Event::SignOffWithdrawn { role, .. } => {
                self.signed.remove(role);
                self.tech_lead_took_it_back |= *role == Role::TechLead;
            }
            Event::SignOffsVoided { roles, .. } => self.signed.retain(|role, _| !roles.contains(role)),
            Event::ReleaseRejected { role, person, .. } => {
                self.signed.remove(role);
                self.rejected.insert(*role, (self.entries, person.clone()));
            }
            _ => {}
        }
    }

    /// Who asks, answers or wrote is part of the release.
    fn are_part(&mut self, owner: Option<&PersonId>, authors: &BTreeSet<PersonId>) {
        self.parts.clone_from(authors);
        self.parts.extend(self.requester.clone());
        self.parts.extend(owner.cloned());
    }

    fn content_of_plan(&mut self, plan: &Plan, kind: String, version: String, tickets: String) {
        self.content.insert("kind", kind);
        self.content.insert("version", version);
        self.content.insert("tickets", tickets);
        self.content
            .insert("scope", format!("{} {}", plan.scope, plan.dependencies));
        self.content.insert("user-facing", plan.user_facing.to_string());
        self.content.insert("migration", format!("{:?}", plan.migration));
        // Winter in Berlin: UTC + 1 h, no change of the clock near.
        self.content
            .insert("day", ((plan.start_ms + HOUR_MS).div_euclid(DAY_MS)).to_string());
        self.content.insert("start", plan.start_ms.to_string());
        self.content.insert("length", plan.length_ms.to_string());
        self.plan = Some(plan.clone());
    }

    /// Why the sign-off of `role` does not count at this start.
    fn flaw(&self, role: Role, start: &Start<'_>) -> Option<String> {
        let Some((signed, content)) = self.signed.get(&role) else {
            return Some("missing".to_owned());
        };
        let until_ms = match &self.plan {
            Some(plan) => {
                let signed_length_ms: Millis = content["length"].parse().unwrap();
                (signed.signed_ms + 14 * DAY_MS).min(plan.start_ms + plan.length_ms.min(signed_length_ms))
            }
            None => signed.signed_ms + 4 * HOUR_MS,
        };
        if start.now_ms >= until_ms {
            return Some("over".to_owned());
        }
        if self.parts.contains(&signed.person) {
            return Some("own release".to_owned());
        }
        let mut fields = vec!["commit", "script", "kind", "version"];
        match role {
            Role::ProductOwner => fields.extend(["tickets", "scope", "user-facing", "day"]),
            Role::QaLead => fields.push("migration"),
            _ => {}
        }
        if let Some(field) = fields
            .iter()
            .find(|field| content.get(*field) != self.content.get(*field))
        {
            return Some(format!("{field} changed"));
        }
        let starts = |content: &Content| content.get("start").and_then(|text| text.parse::<Millis>().ok());
        if role == Role::ProductOwner && starts(&self.content) < starts(content) {
            return Some("earlier".to_owned());
        }
        let by_deputy = role == Role::Cto || role == Role::TechLead && signed.as_deputy;
        let roles: &[Role] = if by_deputy {
            &[role, Role::Cto, Role::CtoDeputy]
        } else {
            &[role]
        };
        // Slack was silent: an emergency goes on what it said at the click.
        let recent = self.is_emergency && start.now_ms - signed.facts_ms <= HOUR_MS;
        match (start.seat)(&signed.person, roles) {
            Seat::Held => None,
            Seat::NotHeld => Some("not in the role any more".to_owned()),
            Seat::Unknown => (!recent).then(|| "nobody can tell whether in the role".to_owned()),
        }
    }

    /// Every reason why this start is against the rulebook.
    pub fn objections(&self, start: &Start<'_>) -> Vec<String> {
        let mut objections = Vec::new();
        let mut say = |text: String| objections.push(text);
        if self.cancelled {
            say("cancelled".to_owned());
        }
        if self.started.contains(&start.attempt) {
            say("started twice".to_owned());
        }
        if start.locked_for != Some(start.attempt) {
            say(format!("locked for {:?}", start.locked_for));
        }
        if self.plan.as_ref().is_some_and(|plan| start.now_ms < plan.start_ms) {
            say("before the planned start".to_owned());
        }
        let roles: &[Role] = if self.is_emergency {
            &[Role::Cto]
        } else {
            &[Role::ProductOwner, Role::QaLead]
        };
        for role in roles {
            if let Some(flaw) = self.flaw(*role, start) {
                say(format!("{role}: {flaw}"));
            }
            if self.rejected.contains_key(role) {
                say(format!("{role}: rejected"));
            }
        }
        if self.is_emergency
            && let Some(objection) = self.tech_lead(start)
        {
            say(objection);
        }
        for rule in start.confirmed {
            if let Some(objection) = self.not_confirmed(*rule, start.now_ms) {
                say(format!("{rule}: {objection}"));
            }
        }
        let signers: BTreeSet<&PersonId> = self.signed.values().map(|(signed, _)| &signed.person).collect();
        if signers.len() < self.signed.len() {
            say("one person signed twice".to_owned());
        }
        if self.rejected.values().any(|(_, who)| signers.contains(who)) {
            say("one person says no in one role and yes in another".to_owned());
        }
        objections
    }

    /// Why a rule that people confirm holds this start.
    fn not_confirmed(&self, rule: Rule, now_ms: Millis) -> Option<&'static str> {
        let confirmed = CONFIRMED.iter().find(|confirmed| confirmed.rule == rule).unwrap();
        if self.is_emergency && !confirmed.in_emergencies {
            return None;
        }
        let none = BTreeMap::new();
        let waived = self.waived.get(&rule).unwrap_or(&none).iter();
        let waivers: BTreeSet<Role> = waived
            .filter(|(who, (_, content))| *content == self.content && !self.parts.contains(*who))
            .map(|(_, (role, _))| *role)
            .collect();
        let waived = match confirmed.waivers {
            Waivers::Nobody => false,
            Waivers::AnyOf(roles) => roles.iter().any(|role| waivers.contains(role)),
            Waivers::AllOf(roles) => roles.iter().all(|role| waivers.contains(role)),
        };
        if waived {
            return None;
        }
        let same = |content: &Content| {
            confirmed
                .fields
                .iter()
                .all(|field| content.get(field) == self.content.get(field))
        };
        let none = BTreeMap::new();
        let said = self.said.get(&rule).unwrap_or(&none).values();
        let standing = said.filter(|(said_ms, content)| {
            same(content) && confirmed.counts_ms.is_none_or(|counts_ms| now_ms < said_ms + counts_ms)
        });
        (standing.count() < confirmed.people).then_some("neither confirmed nor waived")
    }

    fn tech_lead(&self, start: &Start<'_>) -> Option<String> {
        if let Some((rejected_at, _)) = self.rejected.get(&Role::TechLead) {
            let confirmed = self.signed.contains_key(&Role::Cto) && self.confirmed_at > Some(*rejected_at);
            return (!confirmed).then(|| "tech lead: rejected, not confirmed by the CTO".to_owned());
        }
        let flaw = self.flaw(Role::TechLead, start)?;
        if self.tech_lead_took_it_back {
            return Some("tech lead: taken back".to_owned());
        }
        let Some((asked_ms, asked)) = &self.asked_tech_leads else {
            return Some("tech lead: never asked".to_owned());
        };
        let signed_as_other: BTreeSet<&PersonId> = self
            .signed
            .iter()
            .filter(|(role, _)| **role != Role::TechLead)
            .map(|(_, (signed, _))| &signed.person)
            .collect();
        let somebody = asked
            .iter()
            .any(|who| !self.parts.contains(who) && !signed_as_other.contains(who));
        let owed = match start.tech_lead_mode {
            TechLeadMode::Block => false,
            TechLeadMode::Owe => true,
            TechLeadMode::BlockThenOwe => !somebody || start.now_ms >= asked_ms + 15 * MINUTE_MS,
        };
        (!owed).then(|| format!("tech lead: {flaw}, and not owed yet"))
    }
}
