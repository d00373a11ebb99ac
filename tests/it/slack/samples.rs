//! Releases in every state, made by the domain itself, with ordinary and odd texts.

use countersign::slack::view::{Names, View, Ways};
use domain::case::{Case, Target};
use domain::digest::{Digest, PrivateText};
use domain::event::{Event, NoticeStep, SignOff, SourceProblem};
use domain::fingerprint::Fingerprint;
use domain::ids::{CommitSha, EnvironmentName, HOUR_MS, MINUTE_MS, Millis, PersonId, ReleaseKey, ServiceName, Version};
use domain::people::People;
use domain::policy::Policy;
use domain::release::{AttemptResult, Migration, NotStarted, Plan, Release, SettlementChoice};
use domain::role::Role;
use domain::rule::{Kind, Rule, SkipReason};
use domain::rules::gates::{Gate, Moment, gates};
use domain::service::Service;
use std::collections::{BTreeMap, BTreeSet};

/// Mon 30 Nov 2026, 17:00 in Berlin.
pub const NOW: Millis = 1_796_054_400_000;

pub fn person(name: &str) -> PersonId {
    PersonId::new(format!("p-{name}")).unwrap()
}

pub fn key(text: &str) -> ReleaseKey {
    ReleaseKey::new(text).unwrap()
}

pub const PEOPLE: [(&str, &str); 11] = [
    ("rita", "U0RITA"),
    ("priya", "U0PRIYA"),
    ("quinn", "U0QUINN"),
    ("theo", "U0THEO"),
    ("tina", "U0TINA"),
    ("cleo", "U0CLEO"),
    ("vera", "U0VERA"),
    ("dev", "U0DEV"),
    ("dora", "U0DORA"),
    ("ann", "U0ANN"),
    ("gus", "U0GUS"),
];

pub fn mentions() -> BTreeMap<PersonId, String> {
    PEOPLE
        .iter()
        .map(|(name, id)| (person(name), (*id).to_owned()))
        .collect()
}

pub fn names() -> BTreeMap<PersonId, String> {
    PEOPLE
        .iter()
        .map(|(name, _)| (person(name), name[..1].to_uppercase() + &name[1..]))
        .collect()
}

/// Texts that try to break out, to flood or to vanish.
pub fn odd_texts() -> Vec<(&'static str, String)> {
    vec![
        (
            "plain",
            "Card payments fail for 38 % of customers since 02:41.".to_owned(),
        ),
        (
            "markup",
            "<!channel> <!here> <@U0EVIL> <https://evil.test|click> & *bold* _x_ `code` ```fence```".to_owned(),
        ),
        ("long", "payments fail again and again. ".repeat(97)[..3_000].to_owned()),
        ("escapes", "<&>".repeat(1_000)),
        ("emoji", "🙂".repeat(3_000)),
        ("rtl", "\u{202e}תשלומים נכשלים\u{202c} fails مدفوعات".to_owned()),
        ("lines", "line\n".repeat(600)),
        ("empty", String::new()),
        ("controls", "a\u{0}b\u{7}c\r\n\td".to_owned()),
    ]
}

/// A release in the making.
#[derive(Clone)]
pub struct Sample {
    pub name: String,
    pub case: Case,
    pub texts: BTreeMap<Digest, String>,
    pub mentions: BTreeMap<PersonId, String>,
    pub plain: BTreeMap<PersonId, String>,
    pub policy: Policy,
    pub gates: Vec<Gate>,
    pub told: Vec<(Event, Millis)>,
    pub ways: Ways,
    pub now_ms: Millis,
    pub odd: String,
}

impl Sample {
    fn empty(name: &str, odd: &str) -> Self {
        let holders = [
            (Role::ReleaseManager, vec!["rita"]),
            (Role::DeploymentEngineer, vec!["dev"]),
            (Role::ProductOwner, vec!["priya"]),
            (Role::QaLead, vec!["quinn"]),
            (Role::TechLead, vec!["theo", "tina"]),
            (Role::Cto, vec!["cleo"]),
            (Role::CtoDeputy, vec!["vera"]),
        ];
        let holders = holders
            .into_iter()
            .map(|(role, names)| (role, names.into_iter().map(person).collect()))
            .collect();
        let target = Target {
            service: ServiceName::new("payments").unwrap(),
            environment: EnvironmentName::new("production").unwrap(),
            time_zone: "Europe/Berlin".to_owned(),
            has_repository: true,
        };
        Self {
            name: name.to_owned(),
            case: Case {
                release: None,
                service: Service::default(),
                target: Some(target),
                people: People {
                    facts: BTreeMap::new(),
                    holders,
                },
                fences_above: 0,
            },
            texts: BTreeMap::new(),
            mentions: mentions(),
            plain: names(),
            policy: crate::support::signatures_only(),
            gates: Vec::new(),
            told: Vec::new(),
            ways: Ways {
                mail: true,
                pager: true,
            },
            now_ms: NOW,
            odd: odd.to_owned(),
        }
    }

    pub fn release(&self) -> &Release {
        self.case.release.as_ref().unwrap()
    }

    pub fn text(&mut self, value: &str) -> Digest {
        let digest = PrivateText {
            salt: "00".to_owned(),
            value: value.to_owned(),
        }
        .commitment();
        self.texts.insert(digest.clone(), value.to_owned());
        digest
    }

    pub fn at(mut self, now_ms: Millis) -> Self {
        self.now_ms = now_ms;
        self.judged()
    }

    pub fn judged(mut self) -> Self {
        self.gates = gates(&self.case, &self.policy, self.now_ms, Moment::Overview);
        self
    }

    pub fn then(mut self, event: Event) -> Self {
        self.case.evolve(&event, self.now_ms);
        if event.service_stream().is_none() {
            self.told.push((event, self.now_ms));
        }
        self.judged()
    }

    pub fn view(&self) -> View<'_> {
        View {
            release: self.release(),
            version: self.told.len() as u64,
            gates: &self.gates,
            names: Names {
                mentions: &self.mentions,
                plain: &self.plain,
            },
            texts: &self.texts,
            service: &self.case.service,
            people: &self.case.people,
            ways: self.ways,
            policy: &self.policy,
            now_ms: self.now_ms,
            dead_jobs: 0,
            can_have_buttons: true,
        }
    }

    pub fn planned(odd: &str, authors: usize, tickets: usize) -> Self {
        let mut sample = Self::empty("planned", odd);
        let plan = Plan {
            start_ms: NOW + 30 * MINUTE_MS,
            length_ms: 40 * MINUTE_MS,
            scope: sample.text(odd),
            dependencies: sample.text(&format!("none {odd}")),
            user_facing: true,
            migration: Migration::ExpandOnly,
            outcome: sample.text(&format!("out {odd}")),
            abort_criteria: sample.text(&format!("abort {odd}")),
        };
        let event = Event::ReleasePlanned {
            release: key("REL-789"),
            kind: Kind::Minor,
            service: ServiceName::new("payments").unwrap(),
            environment: EnvironmentName::new("production").unwrap(),
            time_zone: "Europe/Berlin".to_owned(),
            version: Version::new("1.4.0").unwrap(),
            requester: person("rita"),
            owner: Some(person("rita")),
            plan,
            tickets: many_tickets(tickets),
            authors: many_authors(authors),
            typed_commit: None,
        };
        sample.then(event)
    }

    pub fn draft(odd: &str) -> Self {
        let mut sample = Self::planned(odd, 1, 1);
        let (event, _) = sample.told.remove(0);
        let Event::ReleasePlanned {
            release,
            kind,
            service,
            environment,
            time_zone,
            version,
            plan,
            tickets,
            authors,
            ..
        } = event
        else {
            panic!("a plan comes first")
        };
        sample.case.release = None;
        sample.then(Event::ReleasePlanned {
            release,
            kind,
            service,
            environment,
            time_zone,
            version,
            requester: person("ann"),
            owner: None,
            plan,
            tickets,
            authors,
            typed_commit: None,
        })
    }

    pub fn hotfix(odd: &str, authors: usize, tickets: usize) -> Self {
        let mut sample = Self::empty("hotfix", odd);
        let justification = sample.text(odd);
        sample.then(Event::HotfixRequested {
            release: key("HOTFIX-3"),
            service: ServiceName::new("payments").unwrap(),
            environment: EnvironmentName::new("production").unwrap(),
            time_zone: "Europe/Berlin".to_owned(),
            version: Version::new("1.4.1").unwrap(),
            requester: person("gus"),
            justification,
            tickets: many_tickets(tickets),
            authors: many_authors(authors),
            typed_commit: None,
        })
    }

    pub fn resolved(self) -> Self {
        let now_ms = self.now_ms;
        self.then(Event::SourceResolved {
            commit: CommitSha::new("3f9c2e1d0b8a47569cfe3d2b1a0f9e8d7c6b5a43").unwrap(),
            script: Digest::of(b"script"),
            executor: Digest::of(b"executor"),
            observed_ms: now_ms,
            typed_by: None,
        })
    }

    pub fn asked(self) -> Self {
        let sample = self.resolved();
        let revision = sample.release().revision;
        let pairs: &[(Role, &[&str])] = if sample.release().kind.is_emergency() {
            &[(Role::Cto, &["cleo"]), (Role::TechLead, &["theo", "tina"])]
        } else {
            &[(Role::ProductOwner, &["priya"]), (Role::QaLead, &["quinn"])]
        };
        pairs.iter().fold(sample, |sample, (role, people)| {
            let people = people.iter().map(|name| person(name)).collect();
            sample.then(Event::SignOffRequested {
                role: *role,
                people,
                revision,
            })
        })
    }

    pub fn signed(self, role: Role, by: &str) -> Self {
        let release = self.release();
        let sign_off = SignOff {
            role,
            person: person(by),
            as_deputy: by == "vera",
            membership: "person".to_owned(),
            facts_ms: self.now_ms,
            fingerprint: Fingerprint::of(release, &self.policy),
            rules: self.policy.effective_digest(release.kind, &release.service),
            seen: None,
            signed_ms: self.now_ms,
            confirms_rejection: release.rejections.contains_key(&Role::TechLead) && role == Role::Cto,
        };
        self.then(Event::SignedOff {
            sign_off: Box::new(sign_off),
        })
    }

    pub fn rejected(mut self, role: Role, by: &str) -> Self {
        let odd = self.odd.clone();
        let reason = self.text(&format!("no: {odd}"));
        self.then(Event::ReleaseRejected {
            role,
            person: person(by),
            reason,
        })
    }

    pub fn approved(self) -> Self {
        let emergency = self.release().kind.is_emergency();
        let sample = self.asked();
        let sample = if emergency {
            sample.signed(Role::Cto, "cleo").signed(Role::TechLead, "theo")
        } else {
            sample.signed(Role::ProductOwner, "priya").signed(Role::QaLead, "quinn")
        };
        sample.then(Event::ReleaseApproved {})
    }

    pub fn queued(self) -> Self {
        let number = u32::try_from(self.release().attempts.len()).unwrap() + 1;
        let (service, environment) = (self.release().service.clone(), self.release().environment.clone());
        let release = self.release().key.clone();
        self.then(Event::DeploymentRequested {
            attempt: number,
            fence: 1,
            by: Some(person("dev")),
            engineer: Some(person("dev")),
        })
        .then(Event::EnvironmentLocked {
            service,
            environment,
            fence: 1,
            release,
            attempt: number,
        })
    }

    pub fn started(self) -> Self {
        let source = self.release().source.clone().unwrap();
        let number = u32::try_from(self.release().attempts.len()).unwrap();
        let sample = self.then(Event::AttemptStarting {
            attempt: number,
            fence: 1,
            fingerprint: Digest::of(b"fingerprint"),
            commit: source.commit,
            script: source.script,
            host: "runner-1 <!channel>".to_owned(),
            unconfirmed: BTreeSet::from([person("cleo")]),
        });
        sample.then(Event::AttemptRunning { attempt: number })
    }

    pub fn indebted(self) -> Self {
        let skipped = self.policy.skipped_by_emergency(&self.release().service);
        let rules = skipped.into_iter().filter(|(reason, _)| *reason != SkipReason::SameDay);
        let rules = rules.map(|(_, rule)| rule).collect();
        let due_ms = self.now_ms + 24 * HOUR_MS;
        self.then(Event::DebtIncurred {
            rules: BTreeSet::from([Rule::SignoffTechLead]),
            owed_by: Role::TechLead,
            due_ms,
        })
        .then(Event::DebtIncurred {
            rules,
            owed_by: Role::TechLead,
            due_ms: due_ms + HOUR_MS,
        })
    }

    pub fn ended(mut self, result: AttemptResult) -> Self {
        let odd = self.odd.clone();
        let output = Some(self.text(&format!("step 1 of 5\n{odd}\nlast line")));
        let number = u32::try_from(self.release().attempts.len()).unwrap();
        self.now_ms += 4 * MINUTE_MS;
        self.then(Event::AttemptEnded {
            attempt: number,
            result,
            output,
        })
    }

    pub fn settled(self, choice: SettlementChoice) -> Self {
        self.then(Event::SettlementProposed {
            attempt: 1,
            choice,
            by: person("dev"),
        })
        .then(Event::SettlementProposed {
            attempt: 1,
            choice,
            by: person("theo"),
        })
        .then(Event::AttemptSettled {
            attempt: 1,
            choice,
            by: BTreeSet::from([person("dev"), person("theo")]),
        })
    }

    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

fn many_tickets(number: usize) -> BTreeSet<ReleaseKey> {
    (1..=number)
        .map(|n| key(&format!("PAYMENTS-{}", 100_000_000 + n)))
        .collect()
}

fn many_authors(number: usize) -> BTreeSet<PersonId> {
    (1..=number)
        .map(|n| {
            if n == 1 {
                person("dora")
            } else {
                person(&format!("author{n}"))
            }
        })
        .collect()
}

/// Releases in every state that the texts know.
pub fn every_state(odd: &str, authors: usize, tickets: usize) -> Vec<Sample> {
    let planned = || Sample::planned(odd, authors, tickets);
    let hotfix = || Sample::hotfix(odd, authors, tickets);
    let mut all = vec![
        Sample::draft(odd).named("draft"),
        planned().named("planned-drafted"),
        planned().asked().named("planned-asking"),
        planned().asked().at(NOW + 3 * HOUR_MS).named("planned-slot-over"),
        planned()
            .asked()
            .signed(Role::ProductOwner, "priya")
            .named("planned-half"),
        planned().approved().named("planned-approved"),
        planned()
            .approved()
            .at(NOW + 45 * MINUTE_MS)
            .named("planned-approved-due"),
        planned().approved().at(NOW + 3 * HOUR_MS).named("planned-expired"),
        planned()
            .asked()
            .rejected(Role::QaLead, "quinn")
            .named("planned-rejected"),
        planned()
            .approved()
            .then(Event::ReleaseCancelled {
                by: person("rita"),
                reason: None,
            })
            .named("planned-cancelled"),
        planned().approved().queued().named("planned-queued"),
        planned().approved().queued().started().named("planned-deploying"),
        planned()
            .approved()
            .queued()
            .started()
            .ended(AttemptResult::Succeeded)
            .named("planned-released"),
        planned()
            .approved()
            .then(Event::SignOffWithdrawn {
                role: Role::QaLead,
                person: person("quinn"),
                reason: None,
            })
            .named("planned-withdrawn"),
        planned()
            .approved()
            .then(Event::SignOffsVoided {
                roles: BTreeSet::from([Role::ProductOwner, Role::QaLead]),
                changed: vec![domain::fingerprint::Field::Commit],
            })
            .named("planned-voided"),
        hotfix().named("hotfix-drafted"),
        hotfix().asked().named("hotfix-asking"),
        hotfix().asked().at(NOW + 20 * MINUTE_MS).named("hotfix-tech-lead-late"),
        hotfix()
            .asked()
            .signed(Role::TechLead, "theo")
            .named("hotfix-tech-lead-signed"),
        hotfix().asked().signed(Role::Cto, "cleo").named("hotfix-cto-signed"),
        hotfix()
            .asked()
            .rejected(Role::TechLead, "theo")
            .named("hotfix-objection"),
        hotfix()
            .asked()
            .rejected(Role::TechLead, "theo")
            .signed(Role::Cto, "cleo")
            .named("hotfix-overruled"),
        hotfix().asked().rejected(Role::Cto, "cleo").named("hotfix-rejected"),
        hotfix().approved().named("hotfix-approved"),
        hotfix().approved().at(NOW + 5 * HOUR_MS).named("hotfix-expired"),
        hotfix().approved().queued().named("hotfix-queued"),
        hotfix()
            .asked()
            .signed(Role::Cto, "vera")
            .queued()
            .started()
            .indebted()
            .named("hotfix-deploying"),
        hotfix()
            .approved()
            .then(Event::ReleaseCancelled {
                by: person("gus"),
                reason: None,
            })
            .named("hotfix-cancelled"),
        hotfix()
            .asked()
            .signed(Role::Cto, "cleo")
            .queued()
            .started()
            .indebted()
            .ended(AttemptResult::Succeeded)
            .named("hotfix-released"),
    ];
    for problem in [
        SourceProblem::TagMissing,
        SourceProblem::GitSilent,
        SourceProblem::NoRepository,
        SourceProblem::ScriptMissing,
    ] {
        let event = Event::SourceNotResolved {
            problem,
            observed_ms: NOW,
        };
        all.push(planned().then(event.clone()).named(&format!("planned-{problem:?}")));
        all.push(hotfix().then(event).named(&format!("hotfix-{problem:?}")));
    }
    let mut results = vec![
        AttemptResult::Failed(3),
        AttemptResult::Failed(-9),
        AttemptResult::TimedOut,
        AttemptResult::Cancelled,
    ];
    results.extend(
        [
            NotStarted::GateUnmet,
            NotStarted::TagMoved,
            NotStarted::SourceUnknown(SourceProblem::GitSilent),
            NotStarted::SourceUnknown(SourceProblem::TagMissing),
            NotStarted::SourceUnknown(SourceProblem::NoRepository),
            NotStarted::SourceUnknown(SourceProblem::ScriptMissing),
            NotStarted::ScriptChanged,
            NotStarted::CouldNotSpawn,
            NotStarted::CalledOff,
        ]
        .map(AttemptResult::NotStarted),
    );
    for result in results {
        all.push(
            planned()
                .approved()
                .queued()
                .started()
                .ended(result)
                .named(&format!("planned-ended-{result:?}")),
        );
    }
    all.push(
        planned()
            .approved()
            .queued()
            .started()
            .then(Event::StopRequested {
                attempt: 1,
                by: person("dev"),
            })
            .named("planned-stopping"),
    );
    let unknown = || {
        hotfix()
            .approved()
            .queued()
            .started()
            .then(Event::AttemptInterrupted { attempt: 1 })
    };
    all.push(unknown().named("hotfix-interrupted"));
    all.push(
        unknown()
            .then(Event::SettlementProposed {
                attempt: 1,
                choice: SettlementChoice::Failed,
                by: person("dev"),
            })
            .named("hotfix-half-settled"),
    );
    for choice in SettlementChoice::ALL {
        all.push(unknown().settled(choice).named(&format!("hotfix-settled-{choice:?}")));
    }
    all.extend(notices(hotfix));
    all
}

/// The notice's clock: unsent, escalated, breached, late.
fn notices(hotfix: impl Fn() -> Sample) -> Vec<Sample> {
    let running = || hotfix().approved().queued().started();
    let escalated = || {
        NoticeStep::ALL.into_iter().fold(running(), |sample, step| {
            sample.then(Event::NoticeEscalated { attempt: 1, step })
        })
    };
    let posted = |verified_ms| Event::NoticePosted {
        attempt: 1,
        channel: "C0RELEASES".to_owned(),
        ts: "1.2".to_owned(),
        verified_ms,
    };
    let breached = || {
        escalated().at(NOW + HOUR_MS).then(Event::NoticeBreached {
            attempt: 1,
            due_ms: NOW + HOUR_MS,
        })
    };
    vec![
        running().then(posted(NOW + MINUTE_MS)).named("hotfix-notice-posted"),
        escalated().named("hotfix-notice-escalated"),
        breached().named("hotfix-notice-breached"),
        breached()
            .at(NOW + HOUR_MS + 19 * MINUTE_MS)
            .then(posted(NOW + HOUR_MS + 19 * MINUTE_MS))
            .named("hotfix-notice-late"),
    ]
}
