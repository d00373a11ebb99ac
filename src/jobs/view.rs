//! Gathers what a message shows: the release as it is now, its gates, the people by their mentions, the texts.

use crate::handle::{HandleError, Handler};
use crate::slack::view::{Names, View};
use crate::store::Texts;
use anyhow::Context as _;
use domain::case::Case;
use domain::digest::Digest;
use domain::event::Event;
use domain::ids::{PersonId, ReleaseKey};
use domain::release::Release;
use domain::role::Role;
use domain::rules::gates::{self, Gate, Moment};
use domain::service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a card waits for Slack to tell who holds which role; without an answer it names nobody.
const HOLDERS_WITHIN: Duration = Duration::from_millis(800);

/// Everything that one release's messages show, loaded together.
pub struct Scene {
    /// The release with its service and the people around it.
    pub case: Case,
    /// The version of the release's stream.
    pub version: u64,
    /// The checklist.
    pub gates: Vec<Gate>,
    /// Slack user ids.
    pub mentions: BTreeMap<PersonId, String>,
    /// Names for plain text.
    pub plain: BTreeMap<PersonId, String>,
    /// Texts that are still there.
    pub texts: Texts,
    /// Jobs about the release that were given up.
    pub dead_jobs: usize,
    /// When it was looked at.
    pub now_ms: i64,
}

impl Handler {
    /// Loads what messages about `key` show; nothing if there is no such release.
    ///
    /// # Errors
    /// When the database or a row can't be read.
    pub async fn scene(&self, key: &ReleaseKey) -> Result<Option<Scene>, HandleError> {
        let (Some(release), version) = self.release(key).await? else {
            return Ok(None);
        };
        let service = match self.store.stream(&release.service.stream()).await? {
            None => Service::default(),
            Some(row) => {
                let state = serde_json::from_str(&row.state).context("a service's state row");
                state.map_err(HandleError::of_reading)?
            }
        };
        let target = self.targets.get(&release.service).cloned();
        let wanted = crate::handle::facts::Wanted {
            // Whoever has left the role since holds the start, and the checklist must say so before it is tried.
            people: release.sign_offs.values().map(|signed| signed.person.clone()).collect(),
            holders: false,
            service: release.service.clone(),
            within: HOLDERS_WITHIN,
        };
        let people = self.people.look_up(&wanted).await?;
        let now_ms = self.clock.now_ms();
        let case = Case {
            release: Some(release),
            service,
            target,
            people,
            ..Case::default()
        };
        let gates = gates::gates(&case, &self.policy, now_ms, Moment::Overview);
        let (commitments, persons) = match &case.release {
            Some(release) => (commitments(release), persons(release, &case)),
            None => (Vec::new(), BTreeSet::new()),
        };
        let mentions = self.mentions(&persons).await?;
        let plain = self.plain(&mentions);
        let texts = self.store.texts(&commitments).await?;
        let dead_jobs = self.store.dead_jobs(Some(key.as_str())).await?.len();
        Ok(Some(Scene {
            case,
            version,
            gates,
            mentions,
            plain,
            texts,
            dead_jobs,
            now_ms,
        }))
    }

    /// Slack user ids of people.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn mentions(&self, people: &BTreeSet<PersonId>) -> Result<BTreeMap<PersonId, String>, HandleError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        let rows = self.store.people(&ids).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| Some((PersonId::new(row.id).ok()?, row.user)))
            .collect())
    }

    /// Names from the configuration, where it has one.
    pub fn plain(&self, mentions: &BTreeMap<PersonId, String>) -> BTreeMap<PersonId, String> {
        mentions
            .iter()
            .filter_map(|(person, user)| Some((person.clone(), self.names.get(user)?.clone())))
            .collect()
    }
}

impl Scene {
    /// The release.
    pub fn release(&self) -> Option<&Release> {
        self.case.release.as_ref()
    }

    /// What the renderers take.
    pub fn view<'a>(&'a self, handler: &'a Handler, can_have_buttons: bool) -> Option<View<'a>> {
        Some(View {
            release: self.case.release.as_ref()?,
            version: self.version,
            gates: &self.gates,
            names: Names {
                mentions: &self.mentions,
                plain: &self.plain,
            },
            texts: &self.texts,
            service: &self.case.service,
            people: &self.case.people,
            ways: handler.ways,
            policy: &handler.policy,
            now_ms: self.now_ms,
            dead_jobs: self.dead_jobs,
            can_have_buttons,
        })
    }
}

/// The texts behind a release's state.
fn commitments(release: &Release) -> Vec<Digest> {
    let plan = release
        .plan
        .iter()
        .flat_map(|plan| [&plan.scope, &plan.dependencies, &plan.outcome, &plan.abort_criteria]);
    let rejections = release.rejections.values().map(|rejection| &rejection.reason);
    let outputs = release.attempts.iter().filter_map(|attempt| attempt.output.as_ref());
    let waivers = release.waivers.values().flatten().map(|waiver| &waiver.justification);
    release
        .justification
        .iter()
        .chain(plan)
        .chain(rejections)
        .chain(waivers)
        .chain(outputs)
        .cloned()
        .collect()
}

/// The texts behind an event.
pub(super) fn commitments_of(event: &Event) -> Vec<Digest> {
    match event {
        Event::ReleaseRejected { reason, .. } => vec![reason.clone()],
        Event::SignOffWithdrawn { reason, .. } | Event::ReleaseCancelled { reason, .. } => {
            reason.iter().cloned().collect()
        }
        Event::AttemptEnded { output, .. } => output.iter().cloned().collect(),
        Event::Attested { attestation, .. } => attestation.note.iter().cloned().collect(),
        Event::RuleWaived { waiver, .. } => vec![waiver.justification.clone()],
        Event::HotfixRequested { justification, .. } => vec![justification.clone()],
        Event::ReleasePlanned { plan, .. } | Event::PlanChanged { plan, .. } => vec![plan.scope.clone()],
        _ => Vec::new(),
    }
}

/// Everybody whom a release's messages may name.
fn persons(release: &Release, case: &Case) -> BTreeSet<PersonId> {
    let mut people: BTreeSet<PersonId> = BTreeSet::from([release.requester.clone()]);
    people.extend(release.owner.iter().cloned());
    people.extend(release.authors.iter().cloned());
    people.extend(release.copies.iter().map(|(_, person, _)| person.clone()));
    people.extend(release.sign_offs.values().map(|sign_off| sign_off.person.clone()));
    people.extend(release.rejections.values().map(|rejection| rejection.person.clone()));
    people.extend(release.attestations.values().flatten().map(|word| word.by.clone()));
    people.extend(release.waivers.values().flatten().map(|waiver| waiver.by.clone()));
    people.extend(
        release
            .debts
            .values()
            .filter_map(|debt| debt.closed.as_ref())
            .map(|(person, _)| person.clone()),
    );
    for attempt in &release.attempts {
        people.extend(
            [&attempt.by, &attempt.engineer, &attempt.stop_by]
                .into_iter()
                .flatten()
                .cloned(),
        );
        people.extend(attempt.settlements.keys().cloned());
        people.extend(attempt.unconfirmed.iter().cloned());
    }
    for role in Role::ALL {
        people.extend(case.people.holders_of(role).iter().cloned());
    }
    people
}
