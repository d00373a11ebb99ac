//! Loads everything that a decision may look at, with the versions at which it was seen.

use super::{HandleError, Handler, Order, wanted};
use crate::handle::facts::{FactsWanted, Wanted};
use anyhow::Context as _;
use domain::case::Case;
use domain::command::{Actor, Intent};
use domain::event::Event;
use domain::ids::{PersonId, ReleaseKey, ServiceName};
use domain::log_entry::Sealed;
use domain::release::{AttemptState, Release};
use domain::restore::{self, Restores};
use domain::service::Service;
use std::collections::BTreeSet;

/// A case and what its commit must compare.
pub(super) struct Loaded {
    pub case: Case,
    pub release_version: u64,
    /// Set if the service's stream was read.
    pub service: Option<ServiceName>,
    pub service_version: u64,
    /// Of the stream of acknowledged restores, read with the service's: fences come from both.
    pub restores_version: u64,
}

impl Handler {
    pub(super) async fn load(&self, order: &Order<'_>) -> Result<Loaded, HandleError> {
        let command = &order.command;
        let (release, release_version) = match &command.intent {
            // The start replays the release from the log itself: a state row is for reading only.
            Intent::StartAttempt { .. } => self.replay(&command.release).await?,
            _ => self.release(&command.release).await?,
        };
        let service_name = release
            .as_ref()
            .map(|release| release.service.clone())
            .or_else(|| order.service.clone());
        let mut loaded = Loaded {
            case: Case {
                release,
                ..Case::default()
            },
            release_version,
            service: None,
            service_version: 0,
            restores_version: 0,
        };
        let Some(service) = service_name else { return Ok(loaded) };
        loaded.case.target = self.targets.get(&service).cloned();
        if needs_service(&command.intent, loaded.case.release.as_ref()) {
            for row in self.store.streams(&[&service.stream(), restore::STREAM]).await? {
                if row.stream == restore::STREAM {
                    let state = serde_json::from_str::<Restores>(&row.state).context("the restores' state row");
                    loaded.case.fences_above = state.map_err(HandleError::of_reading)?.fences_above();
                    loaded.restores_version = row.version;
                } else {
                    let state = serde_json::from_str(&row.state).context("a service's state row");
                    loaded.case.service = state.map_err(HandleError::of_reading)?;
                    loaded.service_version = row.version;
                }
            }
            loaded.service = Some(service.clone());
        }
        let facts = Wanted {
            people: Self::people_of(&loaded.case, &command.actor, wanted(&command.intent)),
            holders: matches!(
                wanted(&command.intent),
                FactsWanted::Holders | FactsWanted::SignersAndHolders
            ),
            service,
            within: order.facts_within,
        };
        loaded.case.people = self.people.look_up(&facts).await?;
        Ok(loaded)
    }

    fn people_of(case: &Case, actor: &Actor, wanted: FactsWanted) -> BTreeSet<PersonId> {
        let mut people = BTreeSet::new();
        if let Actor::Person(person) = actor {
            people.insert(person.clone());
        }
        if matches!(wanted, FactsWanted::Signers | FactsWanted::SignersAndHolders)
            && let Some(release) = &case.release
        {
            people.extend(release.sign_offs.values().map(|sign_off| sign_off.person.clone()));
            let attempt = release.live_attempt();
            people.extend(
                attempt
                    .into_iter()
                    .flat_map(|attempt| attempt.settlements.keys().cloned()),
            );
        }
        people
    }

    /// The restores that were acknowledged.
    ///
    /// # Errors
    /// When the database or the row can't be read.
    pub async fn restores(&self) -> Result<Restores, HandleError> {
        let row = self.store.stream(restore::STREAM).await?;
        let state = row.map(|row| serde_json::from_str(&row.state)).transpose();
        Ok(state
            .context("the restores' state row")
            .map_err(HandleError::Broken)?
            .unwrap_or_default())
    }

    /// The release's state row.
    ///
    /// # Errors
    /// When the database or the row can't be read.
    pub async fn release(&self, key: &ReleaseKey) -> Result<(Option<Release>, u64), HandleError> {
        let Some(row) = self.store.stream(&key.stream()).await? else {
            return Ok((None, 0));
        };
        let release = serde_json::from_str(&row.state)
            .with_context(|| format!("the state row of {key}; `countersign audit replay` compares it with the log"));
        Ok((Some(release.map_err(HandleError::of_reading)?), row.version))
    }

    /// The release as the log tells it, every hash on the way checked.
    ///
    /// # Errors
    /// When an entry is broken or unknown: such a release is not started.
    pub async fn replay(&self, key: &ReleaseKey) -> Result<(Option<Release>, u64), HandleError> {
        let entries = self.store.entries_of(&key.stream()).await?;
        let version = entries.last().map_or(0, |entry| entry.version);
        let release = replay(&entries).with_context(|| format!("the log of {key}"));
        Ok((release.map_err(HandleError::of_reading)?, version))
    }
}

/// Folds a release's entries into its state.
///
/// # Errors
/// The first entry that is broken, out of order or unknown.
pub fn replay(entries: &[Sealed]) -> anyhow::Result<Option<Release>> {
    let mut case = Case::default();
    for (expected, sealed) in (1..).zip(entries) {
        let (entry, event) = open(sealed, expected)?;
        case.evolve(&event, entry.decided_ms);
    }
    Ok(case.release)
}

/// Folds a service's entries into its state.
///
/// # Errors
/// As [`replay`].
pub fn replay_service(entries: &[Sealed]) -> anyhow::Result<Service> {
    let mut service = Service::default();
    for (expected, sealed) in (1..).zip(entries) {
        service.evolve(&open(sealed, expected)?.1);
    }
    Ok(service)
}

/// Folds the entries of acknowledged restores.
///
/// # Errors
/// As [`replay`].
pub fn replay_restores(entries: &[Sealed]) -> anyhow::Result<Restores> {
    let mut restores = Restores::default();
    for (expected, sealed) in (1..).zip(entries) {
        let (entry, event) = open(sealed, expected)?;
        restores.evolve(&event, entry.decided_ms);
    }
    Ok(restores)
}

fn open(sealed: &Sealed, expected: u64) -> anyhow::Result<(domain::log_entry::Entry, Event)> {
    let entry = sealed
        .open()
        .map_err(|kind| anyhow::anyhow!("entry {} is {kind}", sealed.position))?;
    anyhow::ensure!(
        entry.version == expected,
        "entry {}: its stream has a gap",
        sealed.position
    );
    let event = serde_json::from_value(entry.event.clone())
        .with_context(|| format!("entry {}: an event that this version doesn't know", sealed.position))?;
    Ok((entry, event))
}

/// Whether the decision may look at the service's locks; only then is its stream compared, so that sign-offs of one
/// service's releases don't wait for each other.
fn needs_service(intent: &Intent, release: Option<&Release>) -> bool {
    let Some(release) = release else { return false };
    let queued = release
        .live_attempt()
        .is_some_and(|attempt| attempt.state == AttemptState::Queued);
    match intent {
        Intent::Deploy
        | Intent::StopDeployment
        | Intent::Settle { .. }
        | Intent::StartAttempt { .. }
        | Intent::RecordEnd { .. }
        | Intent::RecordInterrupted { .. } => true,
        Intent::SignOff { .. } | Intent::Attest(_) | Intent::EndTechLeadWait { .. } | Intent::RecordSource(_) => {
            release.kind.is_emergency()
        }
        Intent::Waive(_) | Intent::TakeBack { .. } => queued || release.kind.is_emergency(),
        Intent::Reject { .. } | Intent::Withdraw { .. } | Intent::Cancel { .. } => queued,
        _ => false,
    }
}
