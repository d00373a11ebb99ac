//! Answers the path's question about people: Slack's word on standing and groups, in the log's random ids.

use super::{Directory, MAX_AGE_MS, SlackUser};
use crate::fresh;
use crate::handle::HandleError;
use crate::handle::facts::{BoxFuture, Facts, Wanted};
use crate::store::Store;
use domain::ids::PersonId;
use domain::people::{People, PersonFacts, Standing};
use domain::role::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Joins the directory with the store's mapping of Slack ids to the log's random ids.
pub struct KnownPeople {
    directory: Directory,
    store: Store,
    team: String,
}

impl KnownPeople {
    /// People of the workspace `team`.
    pub fn new(directory: Directory, store: Store, team: String) -> Self {
        Self { directory, store, team }
    }

    /// The random ids of Slack users, made at first sight. Always asked of the database: an id that this process remembered
    /// could be that of somebody whom another one has erased.
    ///
    /// # Errors
    /// When the database can't be asked.
    pub async fn ids(&self, users: &[SlackUser]) -> Result<BTreeMap<SlackUser, PersonId>, HandleError> {
        let pairs: Vec<(&str, &str)> = users.iter().map(|user| (self.team.as_str(), user.as_str())).collect();
        let fresh: Vec<String> = users.iter().map(|_| fresh::person_id().to_string()).collect();
        let ids = self.store.person_ids(&pairs, &fresh).await?;
        let mut known = BTreeMap::new();
        for (user, id) in users.iter().zip(ids) {
            let id = PersonId::new(id).map_err(|error| HandleError::Broken(anyhow::Error::new(error)))?;
            known.insert(user.clone(), id);
        }
        Ok(known)
    }

    async fn users(&self, people: &BTreeSet<PersonId>) -> Result<BTreeMap<SlackUser, PersonId>, HandleError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        let rows = self.store.people(&ids).await?;
        Ok(rows
            .into_iter()
            .filter(|row| row.team == self.team)
            .filter_map(|row| Some((SlackUser::new(row.user).ok()?, PersonId::new(row.id).ok()?)))
            .collect())
    }

    /// Facts of an id that stands for nobody: known to hold nothing, which is not the same as a silent Slack.
    fn nobody(&self) -> PersonFacts {
        PersonFacts {
            standing: Standing::Unknown,
            roles: BTreeMap::new(),
            untold: BTreeSet::new(),
            observed_ms: self.directory.now_ms(),
        }
    }

    async fn answer(&self, wanted: &Wanted) -> Result<People, HandleError> {
        let asked = self.users(&wanted.people).await?;
        let service = Some(&wanted.service);
        let mut users: Vec<SlackUser> = asked.keys().cloned().collect();
        if wanted.holders {
            users.extend(self.directory.members_of_all(service, MAX_AGE_MS, wanted.within).await);
        }
        let facts = self.directory.facts(&users, service, MAX_AGE_MS, wanted.within).await;
        // What the facts have just read is remembered; otherwise a name in a refusal is worth no waiting.
        let mut holders = BTreeMap::new();
        for role in Role::ALL {
            if let Some(members) = self.directory.holders(role, service, MAX_AGE_MS, Duration::ZERO).await {
                holders.insert(role, members);
            }
        }
        if wanted.holders {
            // Nobody is asked who can't act, and a role that can't be told is not an empty one.
            holders.retain(|_, members| members.iter().all(|user| facts.contains_key(user)));
            for members in holders.values_mut() {
                members.retain(|user| facts.get(user).is_some_and(|facts| facts.standing == Standing::Active));
            }
        }
        let everybody: Vec<SlackUser> = holders
            .values()
            .flatten()
            .chain(asked.keys())
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let ids = self.ids(&everybody).await?;
        let known: BTreeSet<&PersonId> = asked.values().collect();
        let erased = wanted.people.iter().filter(|person| !known.contains(person));
        let erased = erased.map(|person| (person.clone(), self.nobody()));
        Ok(People {
            facts: facts
                .into_iter()
                .filter_map(|(user, facts)| Some((ids.get(&user)?.clone(), facts)))
                .chain(erased)
                .collect(),
            holders: holders
                .into_iter()
                .map(|(role, members)| (role, members.iter().filter_map(|user| ids.get(user).cloned()).collect()))
                .collect(),
        })
    }
}

impl Facts for KnownPeople {
    fn look_up<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<People, HandleError>> {
        Box::pin(self.answer(wanted))
    }
}
