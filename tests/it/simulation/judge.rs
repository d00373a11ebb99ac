//! Looks at the log, the tables, the scripts and the answers after every step, and says which invariant of ARCHITECTURE.md is
//! broken. Numbers in its words are those of the invariants there.

use super::machine::ScriptStart;
use super::people::Person;
use super::reading::{Reading, Seat, Start};
use super::world::{RELEASES, World};
use countersign::handle::{HandleError, Handled};
use domain::case::Case;
use domain::event::{Event, NoticeStep};
use domain::ids::{MINUTE_MS, PersonId, ReleaseKey};
use domain::job::{Job, MessageId};
use domain::log_entry::{Entry, Verifier};
use domain::policy::TechLeadMode;
use domain::release::{AttemptResult, AttemptState, NotStarted, Release};
use domain::role::Role;
use domain::service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Slack's word on a role may be this old.
const FACTS_MS: i64 = 61_000;
/// What is left to a breach after the hour, by processes that run.
const BREACH_GRACE_MS: i64 = 2 * MINUTE_MS;

/// An attempt by the log alone.
#[derive(Debug, Clone, Default)]
struct Told {
    fence: u64,
    host: String,
    starting_at: Option<u64>,
    ended_at: Option<u64>,
    started_ms: i64,
    was_interrupted: bool,
    notice_posted: bool,
    breached: bool,
}

/// What came of one delivery of a click.
pub struct Answered {
    pub request: String,
    /// Whether it was the first delivery, and the only one so far.
    pub is_only: bool,
    pub result: Result<Handled, HandleError>,
}

pub struct Judge {
    world: Arc<World>,
    verifier: Verifier,
    position: u64,
    pub releases: BTreeMap<ReleaseKey, Case>,
    services: BTreeMap<String, (Service, u64)>,
    readings: BTreeMap<ReleaseKey, Reading>,
    attempts: BTreeMap<(ReleaseKey, u32), Told>,
    /// Who holds a service's environment: release, attempt and fence.
    locks: BTreeMap<String, Option<(ReleaseKey, u32)>>,
    fences: BTreeMap<String, u64>,
    users: BTreeMap<PersonId, String>,
    requests: BTreeSet<String>,
    script_starts: BTreeMap<String, u64>,
    /// Attempts of jobs, and whether they are over.
    jobs: BTreeMap<String, (i64, bool)>,
    step_began_ms: i64,
}

impl Judge {
    pub fn new(world: &Arc<World>) -> Self {
        Self {
            verifier: Verifier::new(world.memory.log_id()),
            world: Arc::clone(world),
            position: 0,
            releases: BTreeMap::new(),
            services: BTreeMap::new(),
            readings: BTreeMap::new(),
            attempts: BTreeMap::new(),
            locks: BTreeMap::new(),
            fences: BTreeMap::new(),
            users: BTreeMap::new(),
            requests: BTreeSet::new(),
            script_starts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            step_began_ms: 0,
        }
    }

    /// Judges everything since the last call.
    pub fn look(&mut self, answers: Vec<Answered>) {
        let mut touched = BTreeSet::new();
        for sealed in self.world.memory.entries_after(self.position) {
            self.position = sealed.position;
            let entry = self.verifier.push(&sealed).expect("6: the chain verifies");
            touched.insert(entry.stream.clone());
            self.requests.extend(entry.request.clone());
            self.entry(&entry);
        }
        for stream in touched {
            self.state_row(&stream);
        }
        self.scripts();
        for answered in answers {
            self.answer(answered);
        }
        self.one_live_attempt();
        self.fences_of_jobs();
        self.step_began_ms = self.world.true_ms();
    }

    fn entry(&mut self, entry: &Entry) {
        let event: Event = serde_json::from_value(entry.event.clone()).expect("6: every entry is a known event");
        if let Some(name) = entry.stream.strip_prefix("service/") {
            let (service, version) = self.services.entry(name.to_owned()).or_default();
            assert_eq!(entry.version, *version + 1, "6: a service's entries follow each other");
            *version = entry.version;
            service.evolve(&event);
            self.lock_event(name, &event);
            return;
        }
        let Some(key) = entry.stream.strip_prefix("release/") else {
            self.world.count("refusals in the log");
            return;
        };
        let key = ReleaseKey::new(key).unwrap();
        self.world.count("decisions");
        if let Event::AttemptStarting { .. } = &event {
            self.start(&key, &event, entry);
        }
        self.authority(&key, &event, entry);
        self.attempt(&key, &event, entry);
        let case = self.releases.entry(key.clone()).or_default();
        case.evolve(&event, entry.decided_ms);
        self.readings
            .entry(key.clone())
            .or_default()
            .take(entry.decided_ms, &event);
        self.effects(&key, &event);
    }

    fn lock_event(&mut self, service: &str, event: &Event) {
        let held = self.locks.entry(service.to_owned()).or_default();
        match event {
            Event::EnvironmentLocked {
                fence,
                release,
                attempt,
                ..
            } => {
                assert!(
                    held.is_none(),
                    "5: {service} is locked for {held:?}, and now for {release} {attempt}"
                );
                let last = self.fences.insert(service.to_owned(), *fence).unwrap_or_default();
                assert!(*fence > last, "5: fence {fence} after {last}");
                *held = Some((release.clone(), *attempt));
            }
            Event::EnvironmentUnlocked { fence, .. } => {
                assert!(held.is_some(), "5: {service} is unlocked and was not locked");
                assert_eq!(
                    Some(fence),
                    self.fences.get(service),
                    "5: a stale fence unlocked {service}"
                );
                *held = None;
            }
            other => panic!("a service's stream holds {other:?}"),
        }
    }

    /// Whether `person` was active and in one of `roles` lately.
    fn was(&mut self, person: &PersonId, fits: impl Fn(&super::people::Standing) -> bool) -> bool {
        let user = self.user(person);
        let from_ms = self.step_began_ms - FACTS_MS;
        let state = self.world.lock();
        let known: Option<&Person> = state.people.get(user.as_str());
        known.is_some_and(|person| person.was_ever(from_ms, self.world.true_ms(), fits))
    }

    pub fn user(&mut self, person: &PersonId) -> String {
        if let Some(user) = self.users.get(person) {
            return user.clone();
        }
        for row in self.world.memory.rows("person") {
            let id = PersonId::new(row["id"].as_str().unwrap()).unwrap();
            self.users.insert(id, row["slack_user"].as_str().unwrap().to_owned());
        }
        self.users[person].clone()
    }

    fn start(&mut self, key: &ReleaseKey, event: &Event, entry: &Entry) {
        let Event::AttemptStarting {
            attempt, unconfirmed, ..
        } = event
        else {
            return;
        };
        self.world.count("starts");
        if self.readings[key].is_emergency {
            self.world.count("starts of hotfixes");
        } else {
            self.world.count("starts of planned releases");
        }
        if !unconfirmed.is_empty() {
            self.world.count("starts on the facts of the click");
        }
        let service = self.releases[key].release.as_ref().unwrap().service.to_string();
        let locked_for = self.locks.get(&service).cloned().flatten();
        let locked_for = locked_for
            .filter(|(release, _)| release == key)
            .map(|(_, attempt)| attempt);
        let reading = &self.readings[key];
        let users: BTreeMap<PersonId, String> = {
            let mut users = self.users.clone();
            for row in self.world.memory.rows("person") {
                let id = PersonId::new(row["id"].as_str().unwrap()).unwrap();
                users.insert(id, row["slack_user"].as_str().unwrap().to_owned());
            }
            users
        };
        let (from_ms, to_ms) = (self.step_began_ms - FACTS_MS, self.world.true_ms());
        let seat = |person: &PersonId, roles: &[Role]| {
            let state = self.world.lock();
            let known = users.get(person).and_then(|user| state.people.get(user.as_str()));
            let held = known.is_some_and(|person| {
                person.was_ever(from_ms, to_ms, |standing| {
                    standing.active && roles.iter().any(|role| standing.roles.contains(role))
                })
            });
            match held {
                true => Seat::Held,
                // The start says for whom Slack was silent.
                false if unconfirmed.contains(person) => Seat::Unknown,
                false => Seat::NotHeld,
            }
        };
        let objections = reading.objections(&Start {
            confirmed: &[],
            attempt: *attempt,
            now_ms: entry.decided_ms,
            locked_for,
            tech_lead_mode: TechLeadMode::BlockThenOwe,
            seat: &seat,
        });
        assert!(
            objections.is_empty(),
            "2, 3, 8: attempt {attempt} of {key} was started although {objections:?}"
        );
    }

    /// Who did it could do it.
    fn authority(&mut self, key: &ReleaseKey, event: &Event, entry: &Entry) {
        let Ok(actor) = PersonId::new(entry.actor.as_str()) else {
            return;
        };
        let roles: &[Role] = match event {
            Event::SignedOff { sign_off } => match (sign_off.role, sign_off.as_deputy) {
                (Role::Cto, _) => &[Role::Cto, Role::CtoDeputy],
                (role, false) => &[role],
                (_, true) => &[Role::Cto, Role::CtoDeputy],
            },
            Event::ReleaseRejected { role, .. } if *role == Role::Cto => &[Role::Cto, Role::CtoDeputy],
            Event::ReleaseRejected { role, .. } => std::slice::from_ref(role),
            // Who settles an attempt with a new one requests that one.
            Event::DeploymentRequested {
                attempt, by: Some(_), ..
            } if self
                .attempts
                .get(&(key.clone(), attempt - 1))
                .is_some_and(|told| told.was_interrupted) =>
            {
                &[Role::DeploymentEngineer, Role::ReleaseManager, Role::TechLead]
            }
            Event::DeploymentRequested { by: Some(_), .. } => &[Role::DeploymentEngineer],
            Event::StopRequested { .. } => &[
                Role::DeploymentEngineer,
                Role::ReleaseManager,
                Role::TechLead,
                Role::Cto,
            ],
            Event::SettlementProposed { .. } | Event::AttemptSettled { .. } => {
                &[Role::DeploymentEngineer, Role::ReleaseManager, Role::TechLead]
            }
            Event::PlanChanged { .. } | Event::ReleaseCancelled { .. }
                if self.readings[key].requester.as_ref() != Some(&actor) =>
            {
                &[Role::ReleaseManager, Role::Cto]
            }
            _ => &[],
        };
        let fits = self.was(&actor, |standing| {
            standing.active && (roles.is_empty() || roles.iter().any(|role| standing.roles.contains(role)))
        });
        let user = self.user(&actor);
        assert!(
            fits,
            "3, 10: {user} caused {event:?} of {key} and was in none of {roles:?}"
        );
        if let Event::SignedOff { sign_off } = event {
            self.world.count("sign-offs");
            assert_eq!(sign_off.person, actor, "10: signed in somebody else's name");
        }
        if let Event::AttemptSettled { by, .. } = event {
            self.world.count("attempts settled by two people");
            assert!(by.len() == 2, "4: settled by {by:?}");
        }
    }

    /// An attempt is requested, starts once, and ends once.
    fn attempt(&mut self, key: &ReleaseKey, event: &Event, entry: &Entry) {
        let told = |attempts: &mut BTreeMap<(ReleaseKey, u32), Told>, attempt: u32| {
            attempts.remove(&(key.clone(), attempt)).unwrap_or_default()
        };
        let back = |judge: &mut Self, attempt: u32, told: Told| {
            judge.attempts.insert((key.clone(), attempt), told);
        };
        match event {
            Event::DeploymentRequested { attempt, fence, .. } => {
                let known = self.attempts.insert(
                    (key.clone(), *attempt),
                    Told {
                        fence: *fence,
                        ..Told::default()
                    },
                );
                assert!(known.is_none(), "4: attempt {attempt} of {key} was requested before");
            }
            Event::AttemptStarting {
                attempt, fence, host, ..
            } => {
                let mut attempt_told = told(&mut self.attempts, *attempt);
                assert!(
                    attempt_told.starting_at.is_none(),
                    "4: attempt {attempt} of {key} starts twice"
                );
                assert!(
                    attempt_told.ended_at.is_none(),
                    "4, 8: attempt {attempt} of {key} starts after its end"
                );
                assert_eq!(attempt_told.fence, *fence, "5: a stale fence");
                attempt_told.starting_at = Some(entry.position);
                attempt_told.started_ms = entry.decided_ms;
                attempt_told.host.clone_from(host);
                back(self, *attempt, attempt_told);
            }
            Event::AttemptEnded { attempt, result, .. } => {
                let mut attempt_told = told(&mut self.attempts, *attempt);
                assert!(
                    attempt_told.ended_at.is_none(),
                    "4: attempt {attempt} of {key} ends twice"
                );
                attempt_told.ended_at = Some(entry.position);
                if let AttemptResult::NotStarted(why) = result {
                    if *why == NotStarted::CalledOff {
                        self.world.count("attempts called off");
                    }
                    self.world.count("attempts not started");
                    let id = self.attempt_id(key, *attempt);
                    assert!(
                        !self.script_starts.contains_key(&id) || self.left_no_trace(&id),
                        "4: attempt {attempt} of {key} ran and is said not to have started"
                    );
                } else {
                    self.world.count("attempts ended");
                }
                back(self, *attempt, attempt_told);
            }
            Event::AttemptSettled { attempt, .. } => {
                let mut attempt_told = told(&mut self.attempts, *attempt);
                assert!(attempt_told.was_interrupted, "4: settled without an interruption");
                assert!(
                    attempt_told.ended_at.is_none(),
                    "4: attempt {attempt} of {key} ends twice"
                );
                attempt_told.ended_at = Some(entry.position);
                back(self, *attempt, attempt_told);
            }
            Event::AttemptInterrupted { attempt } => {
                self.world.count("attempts interrupted");
                let mut attempt_told = told(&mut self.attempts, *attempt);
                attempt_told.was_interrupted = true;
                back(self, *attempt, attempt_told);
            }
            Event::NoticePosted {
                attempt, channel, ts, ..
            } => {
                self.world.count("notices posted");
                let mut attempt_told = told(&mut self.attempts, *attempt);
                assert!(!attempt_told.notice_posted, "9: a notice was recorded twice");
                attempt_told.notice_posted = true;
                back(self, *attempt, attempt_told);
                let state = self.world.lock();
                assert!(
                    channel == RELEASES && state.slack.message(channel, ts).is_some(),
                    "9: the notice of {key} is not where the log says"
                );
            }
            Event::NoticeBreached { attempt, due_ms } => {
                self.world.count("notices breached");
                let mut attempt_told = told(&mut self.attempts, *attempt);
                assert!(!attempt_told.breached && !attempt_told.notice_posted, "9: no breach");
                assert_eq!(*due_ms, attempt_told.started_ms + 60 * MINUTE_MS, "9: the true times");
                assert!(entry.decided_ms >= *due_ms, "9: a breach before the hour is over");
                attempt_told.breached = true;
                back(self, *attempt, attempt_told);
            }
            _ => {}
        }
    }

    /// What must follow stands in the queue, from the same transaction.
    fn effects(&self, key: &ReleaseKey, event: &Event) {
        let release = key.clone();
        let mut jobs = Vec::new();
        match event {
            Event::ReleasePlanned { .. } | Event::HotfixRequested { .. } | Event::PlanChanged { .. } => {
                jobs.push(Job::ResolveSource { release });
            }
            Event::DeploymentRequested { attempt, .. } => jobs.push(Job::StartAttempt {
                release,
                attempt: *attempt,
            }),
            Event::AttemptStarting { attempt, .. } => {
                let attempt = *attempt;
                jobs.push(Job::WatchAttempt {
                    release: release.clone(),
                    attempt,
                });
                if self.readings[key].is_emergency {
                    let message = MessageId::Notice {
                        release: release.clone(),
                        attempt,
                    };
                    jobs.push(Job::PostMessage { message });
                    jobs.extend(NoticeStep::ALL.into_iter().map(|step| Job::EscalateNotice {
                        release: release.clone(),
                        attempt,
                        step,
                    }));
                    jobs.push(Job::BreachNotice { release, attempt });
                }
            }
            _ => return,
        }
        let queued = self.world.memory.payloads_about(key.as_str());
        for job in jobs {
            let payload = serde_json::to_value(&job).unwrap().to_string();
            assert!(queued.contains(&payload), "7: {event:?} of {key} without {payload}");
        }
    }

    fn state_row(&self, stream: &str) {
        let Some((version, state)) = self.world.memory.state(stream) else {
            panic!("6: {stream} has entries and no state row");
        };
        let replayed = if let Some(name) = stream.strip_prefix("service/") {
            let (service, expected) = &self.services[name];
            assert_eq!(version, *expected, "6: the version of {stream}");
            serde_json::to_string(service).unwrap()
        } else if let Some(key) = stream.strip_prefix("release/") {
            let case = &self.releases[&ReleaseKey::new(key).unwrap()];
            serde_json::to_string(case.release.as_ref().unwrap()).unwrap()
        } else {
            return;
        };
        assert_eq!(state, replayed, "6: the state row of {stream} is not what its log says");
    }

    fn attempt_id(&self, key: &ReleaseKey, attempt: u32) -> String {
        let log: String = self.world.memory.log_id().chars().take(8).collect();
        format!("{key}.{attempt}.{log}")
    }

    fn scripts(&mut self) {
        let starts: Vec<ScriptStart> = {
            let mut state = self.world.lock();
            state
                .hosts
                .values_mut()
                .flat_map(|host| std::mem::take(&mut host.starts))
                .collect()
        };
        for start in starts {
            let mut parts = start.attempt_id.split('.');
            let key = ReleaseKey::new(parts.next().unwrap()).unwrap();
            let number: u32 = parts.next().unwrap().parse().unwrap();
            let times = self.script_starts.entry(start.attempt_id.clone()).or_default();
            *times += 1;
            assert_eq!(*times, 1, "4: the script of {} was started twice", start.attempt_id);
            let told = self.attempts.get(&(key.clone(), number)).cloned().unwrap_or_default();
            assert!(
                told.starting_at.is_some_and(|at| at <= start.position),
                "4: the script of {} was started before `starting` was durable",
                start.attempt_id
            );
            assert_eq!(told.host, start.host, "4: started on another host than its own");
            assert!(
                told.ended_at.is_none_or(|at| at > start.position),
                "4: the script of {} was started after its end",
                start.attempt_id
            );
            for (other, host) in &start.beside {
                let mut parts = other.split('.');
                let other_key = ReleaseKey::new(parts.next().unwrap()).unwrap();
                let other_number: u32 = parts.next().unwrap().parse().unwrap();
                let other_told = &self.attempts[&(other_key, other_number)];
                assert!(
                    other_told.was_interrupted && *host != start.host,
                    "5: {} was started on {} while {other} runs on {host}",
                    start.attempt_id,
                    start.host
                );
                self.world.count("scripts started beside a lost one on another host");
            }
        }
    }

    /// Whether a script was over, and its spool gone, before anybody could record that it ran.
    fn left_no_trace(&self, attempt_id: &str) -> bool {
        let state = self.world.lock();
        let spools = state.hosts.values().filter_map(|host| host.spools.get(attempt_id));
        let left_none = spools
            .into_iter()
            .all(|spool| spool.has_vanished && spool.runs_until_ms.is_none());
        drop(state);
        self.world
            .count("scripts that were over before their spool's loss was noticed");
        left_none
    }

    fn answer(&mut self, answered: Answered) {
        let recorded = self.requests.contains(&answered.request);
        match answered.result {
            Ok(Handled::Done { events, .. }) => {
                self.world.count("clicks that were recorded");
                let on_release = events.iter().any(|event| event.service_stream().is_none());
                assert!(
                    recorded || !on_release,
                    "1: {} was acknowledged and is not in the log",
                    answered.request
                );
            }
            Ok(Handled::Refused { refusal, .. }) => {
                self.world.count("clicks that were refused");
                // A clock that runs ahead for a moment lets saved replies be thrown away while their signatures still hold:
                // such a repeat is decided anew, by what stands then.
                let jumps = self.world.lock().troubles.jumps;
                if !jumps && !refusal.cause.is_recorded() {
                    assert!(!recorded, "1: {} was refused and is recorded", answered.request);
                }
            }
            Ok(Handled::Duplicate { .. }) => self.world.count("repeated clicks"),
            Ok(Handled::LostJob) => panic!("a click settles no job"),
            Err(HandleError::Unknown(_)) => {
                self.world.count("clicks whose outcome was not known");
            }
            Err(HandleError::Unavailable(_) | HandleError::Busy) => {
                self.world.count("clicks that could not be served");
                assert!(
                    !recorded || !answered.is_only,
                    "1: {} is recorded although the answer was that nothing is",
                    answered.request
                );
            }
            Err(HandleError::Newer(error) | HandleError::Broken(error)) => panic!("a click broke: {error:#}"),
        }
    }

    /// A job that is done stays done, and its fence never falls: no stale worker wrote to it.
    fn fences_of_jobs(&mut self) {
        assert_eq!(
            self.world.memory.stale_results(),
            0,
            "5: a result of a worker that did not hold its job"
        );
        for (id, attempt, is_over) in self.world.memory.job_fences() {
            if let Some((before, was_over)) = self.jobs.get(&id) {
                assert!(
                    attempt >= *before,
                    "5: the fence of job {id} fell from {before} to {attempt}"
                );
                assert!(is_over || !was_over, "5, 7: job {id} was over and is open again");
            }
            self.jobs.insert(id, (attempt, is_over));
        }
    }

    /// At most one attempt lives per service, and it is the one that holds the lock.
    fn one_live_attempt(&self) {
        let mut live: BTreeMap<String, (ReleaseKey, u32)> = BTreeMap::new();
        for (key, case) in &self.releases {
            let Some(release) = &case.release else { continue };
            let Some(attempt) = release.live_attempt() else {
                continue;
            };
            let before = live.insert(release.service.to_string(), (key.clone(), attempt.number));
            assert!(
                before.is_none(),
                "5: {before:?} and {key} both live in {}",
                release.service
            );
        }
        for (service, held) in &self.locks {
            assert_eq!(
                live.get(service),
                held.as_ref(),
                "5: the lock of {service} and its live attempt"
            );
        }
    }

    /// Every hotfix whose hour is over has its notice or its breach: to be asked when all processes have had their turn.
    pub fn notices(&self, now_ms: i64) {
        for ((key, attempt), told) in &self.attempts {
            let is_over = told.starting_at.is_some() && now_ms > told.started_ms + 60 * MINUTE_MS + BREACH_GRACE_MS;
            if self.readings[key].is_emergency && is_over {
                assert!(
                    told.notice_posted || told.breached,
                    "9: attempt {attempt} of {key} has neither notice nor breach"
                );
            }
        }
    }

    /// The releases that stand in the log.
    pub fn all(&self) -> impl Iterator<Item = &Release> {
        self.releases.values().filter_map(|case| case.release.as_ref())
    }

    /// Attempts that nobody knows the end of.
    pub fn interrupted(&self) -> Vec<(ReleaseKey, u32)> {
        let lost = |release: &Release| {
            let attempt = release.live_attempt()?;
            (attempt.state == AttemptState::Interrupted).then(|| (release.key.clone(), attempt.number))
        };
        self.all().filter_map(lost).collect()
    }
}
