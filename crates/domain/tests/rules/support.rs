//! The harness: people by name, a clock in minutes, and one line per event.

use domain::case::{Case, Target};
use domain::command::{
    Actor, Attested, AttestedLine, Command, HotfixRequest, Intent, Proposal, SourceSeen, WaiverRequest,
};
use domain::decide::decide;
use domain::digest::{Digest, PrivateText};
use domain::event::{Event, NoticeStep, SourceProblem};
use domain::ids::{CommitSha, EnvironmentName, MINUTE_MS, Millis, PersonId, ReleaseKey, ServiceName, Version};
use domain::people::{People, PersonFacts, Standing};
use domain::policy::{Differences, Policy, TechLeadMode};
use domain::refusal::Refusal;
use domain::release::{AttemptResult, Migration, NotStarted, Release, SettlementChoice, Status};
use domain::role::Role;
use domain::rule::{Effect, Judged, Kind, Rule};
use domain::rules::gates::{self, Gate, Moment};
use std::collections::{BTreeMap, BTreeSet};

/// Minute 0 of every scenario: Monday 23 November 2026, 12:00 in Berlin.
pub const T0: Millis = 1_795_431_600_000;

/// Everybody, with what they are.
const EVERYBODY: &[(&str, Standing, &[Role])] = &[
    ("rita", Standing::Active, &[Role::ReleaseManager]),
    ("rob", Standing::Active, &[Role::ReleaseManager]),
    ("priya", Standing::Active, &[Role::ProductOwner]),
    ("paul", Standing::Active, &[Role::ProductOwner]),
    ("quinn", Standing::Active, &[Role::QaLead]),
    ("theo", Standing::Active, &[Role::TechLead]),
    ("tina", Standing::Active, &[Role::TechLead]),
    ("cleo", Standing::Active, &[Role::Cto]),
    ("vera", Standing::Active, &[Role::CtoDeputy]),
    ("dev", Standing::Active, &[Role::DeploymentEngineer]),
    ("adam", Standing::Active, &[Role::Admin]),
    ("aud", Standing::Active, &[Role::Auditor]),
    ("mia", Standing::Active, &[]),
    ("moe", Standing::Active, &[]),
    ("gus", Standing::Guest, &[]),
    ("otto", Standing::Outsider, &[]),
    ("bot", Standing::Bot, &[]),
    ("dana", Standing::Deactivated, &[]),
    ("ugo", Standing::Unknown, &[]),
];

pub fn person(name: &str) -> PersonId {
    PersonId::new(format!("p-{name}")).unwrap()
}

pub fn people(names: &[&str]) -> BTreeSet<PersonId> {
    names.iter().map(|name| person(name)).collect()
}

pub fn name_of(person: &PersonId) -> &str {
    person.as_str().trim_start_matches("p-")
}

pub fn key(text: &str) -> ReleaseKey {
    ReleaseKey::new(text).unwrap()
}

pub fn text(value: &str) -> PrivateText {
    PrivateText {
        salt: "00".repeat(32),
        value: value.to_owned(),
    }
}

pub fn commit(letter: char) -> CommitSha {
    CommitSha::new(letter.to_string().repeat(40)).unwrap()
}

/// What a worker sees by default.
pub fn seen(letter: char, script: &str, observed_ms: Millis) -> SourceSeen {
    SourceSeen {
        version: Version::new("1.4.0").unwrap(),
        commit: Some(commit(letter)),
        script: Digest::of(script.as_bytes()),
        executor: Digest::of(b"executor"),
        observed_ms,
    }
}

/// A complete plan: from minute 60 to minute 120.
pub fn proposal() -> Proposal {
    Proposal {
        edits: None,
        kind: Kind::Minor,
        version: Version::new("1.4.0").unwrap(),
        start_ms: T0 + 60 * MINUTE_MS,
        length_ms: 60 * MINUTE_MS,
        scope: text("refunds"),
        dependencies: text("none"),
        user_facing: true,
        migration: Migration::None,
        outcome: text("refunds work"),
        abort_criteria: text("error rate above 1 %"),
        tickets: BTreeSet::from([key("PAY-101")]),
        authors: people(&["mia"]),
        commit: None,
    }
}

/// A justified hotfix.
pub fn hotfix_request() -> HotfixRequest {
    HotfixRequest {
        version: Version::new("1.4.1").unwrap(),
        justification: text("card payments fail since 02:41"),
        tickets: BTreeSet::from([key("INC-52")]),
        authors: people(&["mia"]),
        commit: None,
    }
}

/// A team that asks nobody's word on what nothing looks at by itself: the scenarios of the sign-offs and of the deployment.
pub fn signatures_only() -> Policy {
    let mut rules = BTreeMap::new();
    for rule in Rule::ALL
        .iter()
        .filter(|rule| matches!(rule.judged(), Judged::Attested(..)))
    {
        let blocks = |kind: &&Kind| rule.effect(**kind) == Some(Effect::Block);
        let kinds = Kind::ALL.iter().filter(blocks).map(|kind| {
            (
                kind.key().to_owned(),
                if kind.is_emergency() { "show" } else { "off" }.into(),
            )
        });
        let mut parameters: serde_json::Map<String, serde_json::Value> = kinds.collect();
        if !parameters.is_empty() {
            parameters.insert("reason".to_owned(), "these scenarios are about something else".into());
            rules.insert(rule.id().to_owned(), parameters.into());
        }
    }
    let differences = Differences {
        rules,
        ..Differences::default()
    };
    Policy::with_differences(&differences).unwrap()
}

#[derive(Clone)]
pub struct Scenario {
    pub case: Case,
    pub policy: Policy,
    pub now: Millis,
    /// Who is what at this moment.
    pub world: BTreeMap<String, (Standing, BTreeSet<Role>)>,
    /// How old facts are at a decision.
    pub facts_age: Millis,
    /// Slack tells nothing of anybody but the one who acts.
    pub silent: bool,
    /// Roles that Slack does not tell of somebody.
    pub untold: BTreeMap<String, BTreeSet<Role>>,
    pub key: ReleaseKey,
    /// Every event with its time, in order.
    pub log: Vec<(Millis, Event)>,
    pub last: Result<Vec<Event>, Refusal>,
    /// Another release writes to the same service.
    pub shares_service: bool,
    first: Case,
}

impl Scenario {
    /// Nothing has happened.
    pub fn empty() -> Self {
        #[cfg(feature = "sabotage")]
        if let Ok(name) = std::env::var("COUNTERSIGN_SABOTAGE") {
            assert!(domain::sabotage::take_out(&name), "there is no guard {name:?}");
        }
        let case = Case {
            target: Some(Target {
                service: ServiceName::new("payments").unwrap(),
                environment: EnvironmentName::new("production").unwrap(),
                time_zone: "Europe/Berlin".to_owned(),
                has_repository: true,
            }),
            ..Case::default()
        };
        let world = EVERYBODY
            .iter()
            .map(|(name, standing, roles)| ((*name).to_owned(), (*standing, roles.iter().copied().collect())))
            .collect();
        Self {
            first: case.clone(),
            case,
            policy: signatures_only(),
            now: T0,
            world,
            facts_age: 0,
            silent: false,
            untold: BTreeMap::new(),
            key: key("REL-789"),
            log: Vec::new(),
            last: Ok(Vec::new()),
            shares_service: false,
        }
    }

    /// Ends a line whose outcome is somebody else's question.
    pub fn done(&self) {
        assert!(self.now > 0, "every scenario has a time");
    }

    /// Forgets how it came to this: the state was forced by the test.
    pub fn rebase(&mut self) {
        self.first = self.case.clone();
        self.log.clear();
    }

    /// Rita planned payments v1.4.0, written by Mia.
    pub fn planned() -> Self {
        Self::empty().and(|s| {
            s.by("rita").plans(proposal());
        })
    }

    /// Rita asked for the hotfix payments v1.4.1, written by Mia.
    pub fn hotfix() -> Self {
        Self::empty().and(|s| {
            s.by("rita").asks_for_hotfix(hotfix_request());
        })
    }

    /// The planned release, with both sign-offs.
    pub fn approved() -> Self {
        Self::planned().resolved().and(|s| {
            s.by("priya").approves();
            s.by("quinn").approves();
            s.then_status(Status::Approved);
        })
    }

    /// The planned release, asked to deploy by Dev at its planned start.
    pub fn queued() -> Self {
        Self::approved().and(|s| {
            s.at(60).by("dev").deploys().then_status(Status::Queued);
        })
    }

    /// The planned release, starting at minute 60.
    pub fn deploying() -> Self {
        Self::queued().and(|s| {
            s.starts().then_status(Status::Deploying);
        })
    }

    /// The hotfix, started at minute 2 by Theo's and Cleo's sign-offs.
    pub fn hotfix_deploying() -> Self {
        Self::hotfix().resolved().and(|s| {
            s.at(1).by("theo").approves();
            s.at(2).by("cleo").approves();
            s.starts().then_status(Status::Deploying);
        })
    }

    /// A hotfix that nobody signs in time: owed, and queued by Cleo's click at minute 15.
    pub fn hotfix_owed() -> Self {
        Self::hotfix().resolved().and(|s| {
            s.at(15).by("cleo").approves().then_status(Status::Queued);
        })
    }

    pub fn and(mut self, f: impl FnOnce(&mut Self)) -> Self {
        f(&mut self);
        self
    }

    /// A worker has resolved the tag: commit `aaa…`.
    pub fn resolved(mut self) -> Self {
        self.worker(Intent::RecordSource(seen('a', "deploy.sh", self.now)));
        self.last.as_ref().unwrap();
        self
    }

    /// A worker looks again and sees this now.
    pub fn looks(&mut self, letter: char, script: &str) -> &mut Self {
        self.worker(Intent::RecordSource(seen(letter, script, self.now)))
    }

    pub fn release(&self) -> &Release {
        self.case.release.as_ref().unwrap()
    }

    pub fn at(&mut self, minutes: i64) -> &mut Self {
        self.at_ms(minutes * MINUTE_MS)
    }

    /// Milliseconds after minute 0.
    pub fn at_ms(&mut self, ms: Millis) -> &mut Self {
        self.now = T0 + ms;
        self
    }

    pub fn mode(&mut self, mode: TechLeadMode) -> &mut Self {
        self.policy.tech_lead_mode = mode;
        self
    }

    /// What the world knows of somebody from now on.
    pub fn is_now(&mut self, name: &str, standing: Standing, roles: &[Role]) -> &mut Self {
        self.world
            .insert(name.to_owned(), (standing, roles.iter().copied().collect()));
        self
    }

    /// The group that gives `name` this role does not answer: Slack tells neither that they hold it nor that they don't.
    pub fn group_is_silent(&mut self, name: &str, role: Role) -> &mut Self {
        if let Some((_, roles)) = self.world.get_mut(name) {
            roles.remove(&role);
        }
        self.untold.entry(name.to_owned()).or_default().insert(role);
        self
    }

    /// The people as a decision by `actor` sees them.
    pub fn people_for(&self, actor: &Actor) -> People {
        let facts = self
            .world
            .iter()
            .filter(|(name, _)| !self.silent || *actor == Actor::Person(person(name)))
            .map(|(name, (standing, roles))| {
                let facts = PersonFacts {
                    standing: *standing,
                    roles: roles.iter().map(|role| (*role, format!("person:{name}"))).collect(),
                    untold: self.untold.get(name).cloned().unwrap_or_default(),
                    observed_ms: self.now - self.facts_age,
                };
                (person(name), facts)
            })
            .collect();
        let holders = Role::ALL
            .into_iter()
            .filter(|_| !self.silent)
            .map(|role| {
                let of_role = self.world.iter().filter(|(_, (_, roles))| roles.contains(&role));
                (role, of_role.map(|(name, _)| person(name)).collect())
            })
            .collect();
        People { facts, holders }
    }

    /// Decides, and folds what follows into the case; every state equals the replay of the log.
    pub fn command(&mut self, actor: Actor, intent: Intent) -> &mut Self {
        let people = self.people_for(&actor);
        self.case.people = people;
        let command = Command {
            actor,
            release: self.key.clone(),
            intent,
        };
        self.last = decide(&self.case, &command, &self.policy, self.now);
        if let Ok(events) = self.last.clone() {
            for event in events {
                self.case.evolve(&event, self.now);
                self.log.push((self.now, event));
            }
            self.check_replay();
        }
        self
    }

    fn check_replay(&self) {
        let mut replayed = self.first.clone();
        for (at_ms, event) in &self.log {
            let written = serde_json::to_string(event).unwrap();
            replayed.evolve(&serde_json::from_str(&written).unwrap(), *at_ms);
        }
        assert_eq!(replayed.release, self.case.release, "the replay differs");
        if !self.shares_service {
            assert_eq!(replayed.service, self.case.service, "the replay differs");
        }
        if let Some(release) = &self.case.release {
            let state = serde_json::to_string(release).unwrap();
            assert_eq!(serde_json::from_str::<Release>(&state).unwrap(), *release);
        }
    }

    pub fn by<'s>(&'s mut self, name: &str) -> By<'s> {
        By {
            scenario: self,
            name: name.to_owned(),
        }
    }

    /// A worker looks at the version that the plan names now; see [`Scenario::looked_at`] for one that is late.
    pub fn worker(&mut self, mut intent: Intent) -> &mut Self {
        if let (Intent::RecordSource(seen) | Intent::StartAttempt { seen: Ok(seen), .. }, Some(release)) =
            (&mut intent, &self.case.release)
        {
            seen.version = release.version.clone();
        }
        self.command(Actor::Countersign, intent)
    }

    /// What a worker saw of the version that it was asked about, whatever the plan says now.
    pub fn looked_at(&mut self, version: &str, letter: char) -> &mut Self {
        let mut seen = seen(letter, "deploy.sh", self.now);
        seen.version = Version::new(version).unwrap();
        self.command(Actor::Countersign, Intent::RecordSource(seen))
    }

    /// The number of the last attempt.
    pub fn attempt(&self) -> u32 {
        self.release().attempts.last().map_or(0, |attempt| attempt.number)
    }

    /// The worker that is about to start the last attempt sees what was signed.
    pub fn starts(&mut self) -> &mut Self {
        self.starts_seeing(Ok(seen('a', "deploy.sh", self.now)))
    }

    pub fn starts_seeing(&mut self, seen: Result<SourceSeen, SourceProblem>) -> &mut Self {
        let attempt = self.attempt();
        self.worker(Intent::StartAttempt {
            attempt,
            seen,
            host: "host-1".to_owned(),
        })
    }

    pub fn ends(&mut self, result: AttemptResult) -> &mut Self {
        let attempt = self.attempt();
        self.worker(Intent::RecordEnd {
            attempt,
            result,
            output: None,
        })
    }

    pub fn is_interrupted(&mut self) -> &mut Self {
        let attempt = self.attempt();
        self.worker(Intent::RecordInterrupted { attempt })
    }

    pub fn deputy_timer(&mut self) -> &mut Self {
        let revision = self.release().revision;
        self.worker(Intent::AskDeputy { revision })
    }

    pub fn tech_lead_timer(&mut self) -> &mut Self {
        let revision = self.release().revision;
        self.worker(Intent::EndTechLeadWait { revision })
    }

    pub fn notice_step(&mut self, step: NoticeStep) -> &mut Self {
        self.worker(Intent::EscalateNotice { attempt: 1, step })
    }

    pub fn notice_breach(&mut self) -> &mut Self {
        self.worker(Intent::BreachNotice { attempt: 1 })
    }

    pub fn notice_posted(&mut self) -> &mut Self {
        self.worker(Intent::RecordNotice {
            attempt: 1,
            channel: "C0RELEASES".to_owned(),
            ts: "1.2".to_owned(),
        })
    }

    pub fn gates(&self, moment: Moment) -> Vec<Gate> {
        gates::gates(&self.case, &self.policy, self.now, moment)
    }

    pub fn gate(&self, rule: &str) -> Gate {
        let rule = Rule::from_id(rule).unwrap();
        self.gates(Moment::Overview)
            .into_iter()
            .find(|gate| gate.rule == rule)
            .unwrap()
    }

    #[track_caller]
    pub fn then_events<const N: usize>(&mut self, expected: [&str; N]) -> &mut Self {
        let events = self.last.as_ref().unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert_eq!(events.iter().map(tell).collect::<Vec<_>>(), expected);
        self
    }

    #[track_caller]
    pub fn then_nothing(&mut self) -> &mut Self {
        self.then_events([])
    }

    #[track_caller]
    pub fn then_refused(&mut self, rule: &str, cause: &str) -> &Refusal {
        match &self.last {
            Err(refusal) => assert_eq!((refusal.rule.id(), refusal.cause.word()), (rule, cause), "{refusal:?}"),
            Ok(events) => panic!("not refused: {:?}", events.iter().map(tell).collect::<Vec<_>>()),
        }
        self.last.as_ref().unwrap_err()
    }

    #[track_caller]
    pub fn then_status(&mut self, status: Status) -> &mut Self {
        assert_eq!(self.release().status, status, "after {:?}", self.last);
        self
    }

    /// Who holds the environment now.
    pub fn holder(&self) -> Option<String> {
        let environment = self.case.service.environments.values().next()?;
        environment
            .holder
            .as_ref()
            .map(|h| format!("{} {}", h.release, h.attempt))
    }
}

/// A person about to do something.
pub struct By<'s> {
    pub scenario: &'s mut Scenario,
    name: String,
}

impl<'s> By<'s> {
    pub fn does(self, intent: Intent) -> &'s mut Scenario {
        let actor = Actor::Person(person(&self.name));
        self.scenario.command(actor, intent)
    }

    /// Sends the form for a new release, or for the current plan of the one that exists.
    pub fn plans(self, mut proposal: Proposal) -> &'s mut Scenario {
        proposal.edits = self.scenario.case.release.as_ref().map(|release| release.plan_changes);
        self.does(Intent::Plan(Box::new(proposal)))
    }

    pub fn asks_for_hotfix(self, request: HotfixRequest) -> &'s mut Scenario {
        self.does(Intent::RequestHotfix(Box::new(request)))
    }

    /// Clicks the button of the current card.
    pub fn approves(self) -> &'s mut Scenario {
        let view = self.scenario.case.release.as_ref().map(Release::view);
        self.signs(None, view)
    }

    pub fn approves_as(self, role: Role) -> &'s mut Scenario {
        let view = self.scenario.case.release.as_ref().map(Release::view);
        self.signs(Some(role), view)
    }

    /// Says in one visit that these rules hold.
    pub fn attests(self, role: Role, rules: &[Rule]) -> &'s mut Scenario {
        self.visits(role, rules, false)
    }

    /// Says it, and signs with it.
    pub fn attests_and_signs(self, role: Role, rules: &[Rule]) -> &'s mut Scenario {
        self.visits(role, rules, true)
    }

    fn visits(self, role: Role, rules: &[Rule], signs: bool) -> &'s mut Scenario {
        let view = self.scenario.case.release.as_ref().map(Release::view);
        let line = |rule: &Rule| AttestedLine {
            rule: *rule,
            note: None,
        };
        self.does(Intent::Attest(Box::new(Attested {
            role,
            view,
            lines: rules.iter().map(line).collect(),
            signs,
            seen: None,
        })))
    }

    pub fn waives(self, rule: Rule) -> &'s mut Scenario {
        let view = self.scenario.case.release.as_ref().map(Release::view);
        let follow_up_ms = self.scenario.now + 7 * 24 * 60 * MINUTE_MS;
        self.does(Intent::Waive(Box::new(WaiverRequest {
            rule,
            view,
            justification: text("only the fix of a typing error"),
            follow_up_ms,
        })))
    }

    pub fn takes_back(self, rule: Rule) -> &'s mut Scenario {
        self.does(Intent::TakeBack { rule })
    }

    /// Types `/release approve`.
    pub fn types_approve(self) -> &'s mut Scenario {
        self.signs(None, None)
    }

    pub fn signs(self, role: Option<Role>, view: Option<String>) -> &'s mut Scenario {
        self.does(Intent::SignOff {
            role,
            view,
            seen: Some(text("the card")),
        })
    }

    pub fn rejects(self) -> &'s mut Scenario {
        let view = self.scenario.case.release.as_ref().map(Release::view);
        self.rejects_with(view, "not like this")
    }

    pub fn rejects_with(self, view: Option<String>, reason: &str) -> &'s mut Scenario {
        self.does(Intent::Reject {
            role: None,
            view,
            reason: text(reason),
        })
    }

    pub fn withdraws(self) -> &'s mut Scenario {
        self.does(Intent::Withdraw { reason: None })
    }

    pub fn cancels(self) -> &'s mut Scenario {
        self.does(Intent::Cancel { reason: None })
    }

    pub fn deploys(self) -> &'s mut Scenario {
        self.does(Intent::Deploy)
    }

    pub fn stops(self) -> &'s mut Scenario {
        self.does(Intent::StopDeployment)
    }

    pub fn settles(self, choice: SettlementChoice) -> &'s mut Scenario {
        let attempt = self.scenario.attempt();
        self.does(Intent::Settle { attempt, choice })
    }
}

fn names(people: &BTreeSet<PersonId>) -> String {
    people.iter().map(name_of).collect::<Vec<_>>().join(" ")
}

/// An event in a line.
pub fn tell(event: &Event) -> String {
    let name = serde_json::to_value(event).unwrap()["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let name = name.trim_end_matches(".v1");
    let joined = |parts: Vec<String>| parts.join(" ");
    match event {
        Event::SignOffRequested { role, people, .. } => joined(vec![format!("{name} {role}:"), names(people)]),
        Event::SignedOff { sign_off } => {
            let suffix = match (sign_off.as_deputy, sign_off.confirms_rejection) {
                (true, _) => " as deputy",
                (_, true) => " over the rejection",
                _ => "",
            };
            format!("{name} {}: {}{suffix}", sign_off.role, name_of(&sign_off.person))
        }
        Event::SignOffsVoided { roles, changed } => {
            let roles: Vec<&str> = roles.iter().map(|role| role.key()).collect();
            let changed: Vec<String> = changed
                .iter()
                .map(|field| serde_json::to_value(field).unwrap().as_str().unwrap().to_owned())
                .collect();
            format!("{name} {}: {}", roles.join(" "), changed.join(" "))
        }
        Event::ReleaseRejected { role, person, .. } | Event::SignOffWithdrawn { role, person, .. } => {
            format!("{name} {role}: {}", name_of(person))
        }
        Event::DebtIncurred { rules, .. } if rules.len() > 1 => format!("{name} what is skipped"),
        Event::DebtIncurred { rules, .. } => joined(vec![
            name.to_owned(),
            rules.iter().map(|rule| rule.id().to_owned()).collect(),
        ]),
        Event::Attested { rule, attestation } => {
            format!("{name} {rule} by {}, {}", name_of(&attestation.by), attestation.role)
        }
        Event::RuleWaived { rule, waiver } => format!("{name} {rule} by {}, {}", name_of(&waiver.by), waiver.role),
        Event::AttestationWithdrawn { rule, by } | Event::WaiverWithdrawn { rule, by } => {
            format!("{name} {rule} by {}", name_of(by))
        }
        Event::DebtClosed { rule, by } => format!("{name} {rule} by {}", name_of(by)),
        Event::DeploymentRequested { attempt, by, .. } => {
            let by = by.as_ref().map_or("nobody", |person| name_of(person));
            format!("{name} {attempt} by {by}")
        }
        Event::AttemptStarting {
            attempt, unconfirmed, ..
        } if unconfirmed.is_empty() => format!("{name} {attempt}"),
        Event::AttemptStarting {
            attempt, unconfirmed, ..
        } => {
            format!("{name} {attempt} unconfirmed {}", names(unconfirmed))
        }
        Event::AttemptEnded { attempt, result, .. } => {
            let result = match result {
                AttemptResult::NotStarted(why) => format!("not started: {}", why_word(*why)),
                AttemptResult::Succeeded => "succeeded".to_owned(),
                AttemptResult::Failed(code) => format!("failed {code}"),
                AttemptResult::TimedOut => "timed out".to_owned(),
                AttemptResult::Cancelled => "cancelled".to_owned(),
            };
            format!("{name} {attempt} {result}")
        }
        Event::SettlementProposed { by, choice, .. } => format!("{name} {} by {}", choice.key(), name_of(by)),
        Event::AttemptSettled { by, choice, .. } => format!("{name} {} by {}", choice.key(), names(by)),
        Event::EnvironmentLocked { fence, release, .. } => format!("{name} {fence} for {release}"),
        Event::EnvironmentUnlocked { fence, deployed, .. } => {
            let deployed = deployed
                .as_ref()
                .map_or(String::new(), |version| format!(" with {version}"));
            format!("{name} {fence}{deployed}")
        }
        Event::NoticeEscalated { step, .. } => joined(vec![
            name.to_owned(),
            serde_json::to_value(step).unwrap().as_str().unwrap().to_owned(),
        ]),
        _ => name.to_owned(),
    }
}

fn why_word(why: NotStarted) -> String {
    let words = match serde_json::to_value(why).unwrap() {
        serde_json::Value::Object(about) => {
            let (word, of) = about.iter().next().unwrap();
            format!("{word} {}", of.as_str().unwrap())
        }
        word => word.as_str().unwrap().to_owned(),
    };
    words.replace('_', " ")
}
