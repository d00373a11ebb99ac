//! Erasing people: finds what of them stands beside the log, and removes it in one transaction with the entry that says so.
//! The log itself holds random ids and salted commitments, and is not touched.

mod judged;
mod removal;
mod trail;
mod wish;

pub use wish::{PEOPLE_MAX, Wish};

use super::HandleError;
use crate::store::{Outcome, Store, StreamVersion};
use anyhow::Context as _;
use domain::ids::{PersonId, ReleaseKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;
use trail::{Reading, Trail, Which, Words};

/// Where erasures are logged.
pub const STREAM: &str = "workspace/people";
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// How often somebody is judged again because a release of theirs has moved meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// What became of one person of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Gone.
    Erased {
        /// The id in the log that stands for nobody now, if there was one.
        person: Option<String>,
        /// Texts that went.
        texts: u64,
        /// Releases whose log holds the id.
        releases: u64,
        /// Releases that they got a part in while they were being erased, and that are not over.
        open: Vec<String>,
    },
    /// Would go if the wish were confirmed.
    Found {
        /// The id in the log that would stand for nobody, if there is one.
        person: Option<String>,
        /// Texts that would go.
        texts: u64,
        /// Those of them that only hold one of the names given.
        only_named: u64,
        /// Releases that these texts belong to.
        releases: u64,
    },
    /// They have a part in releases that are not over, or are named in such.
    Unfinished {
        /// Which.
        releases: Vec<String>,
    },
    /// There was nothing of theirs.
    Nothing,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// By Slack id.
    pub fates: BTreeMap<String, Fate>,
    /// Whether the database has given up the bytes too; it isn't asked to before the wish is confirmed.
    pub forgotten: bool,
}

/// Does it, or counts what would go. Safe to repeat: what is gone is gone, and what came in since goes too.
///
/// # Errors
/// `Err` within for a wish that can't be meant; a [`HandleError`] when the database can't be asked. People that were erased
/// before it stay erased.
pub async fn erase(store: &Store, wish: &Wish, now_ms: i64) -> Result<Result<Report, String>, HandleError> {
    if let Err(why) = wish::check(wish) {
        return Ok(Err(why));
    }
    let users = wish.users.iter().chain([&wish.by]);
    let pairs: Vec<(&str, &str)> = users.map(|user| (wish.team.as_str(), user.as_str())).collect();
    let ids = store.ids_on_record(&pairs).await?;
    let id = |user: &String| ids.get(&(wish.team.clone(), user.clone())).cloned();
    let Some(by) = id(&wish.by) else {
        let why = "is not on record; who decides it must have used Countersign in this workspace";
        return Ok(Err(format!("`{}` {why}", wish.by)));
    };
    let mut people = Vec::new();
    for user in wish.users.iter().collect::<BTreeSet<_>>() {
        let id = id(user).map(PersonId::new).transpose().context("a person's id");
        people.push(Trail::new(user.clone(), id.map_err(HandleError::Broken)?));
    }
    let mut erasing = Erasing {
        store,
        wish,
        by,
        names: Words::of(&wish.names),
        reading: Reading::of(&people),
        people,
        now_ms,
    };
    Ok(Ok(erasing.run().await?))
}

struct Erasing<'a> {
    store: &'a Store,
    wish: &'a Wish,
    /// The log's id of who decides it.
    by: String,
    names: Words,
    reading: Reading,
    people: Vec<Trail>,
    now_ms: i64,
}

impl Erasing<'_> {
    async fn run(&mut self) -> Result<Report, HandleError> {
        self.reading.go_on(self.store, &mut self.people).await?;
        let which = Which::All(&self.names);
        trail::read_texts(self.store, &mut self.people, &self.reading, which).await?;
        let mut fates = BTreeMap::new();
        for index in 0..self.people.len() {
            let fate = self.one(index).await?;
            fates.insert(self.people[index].user.clone(), fate);
        }
        if !self.wish.confirmed {
            let forgotten = false;
            return Ok(Report { fates, forgotten });
        }
        self.late(&mut fates).await?;
        let forgotten = self.store.forget_bytes().await?;
        Ok(Report { fates, forgotten })
    }

    /// Judges by what the log says now, and again if a release that was judged has moved before the commit.
    async fn one(&mut self, index: usize) -> Result<Fate, HandleError> {
        for _ in 0..ATTEMPTS_MAX {
            self.reading.go_on(self.store, &mut self.people).await?;
            let person = &mut self.people[index];
            if self.reading.has_more_of(person) {
                let which = Which::All(&self.names);
                trail::read_texts(self.store, std::slice::from_mut(person), &self.reading, which).await?;
            }
            let person = &self.people[index];
            let judged = judged::judge(self.store, &person.involved()).await?;
            if !judged.open.is_empty() {
                return Ok(Fate::Unfinished { releases: judged.open });
            }
            if person.id.is_none() && person.texts.is_empty() {
                return Ok(Fate::Nothing);
            }
            let (id, texts) = (person.id.as_ref().map(ToString::to_string), person.texts.len() as u64);
            if !self.wish.confirmed {
                return Ok(Fate::Found {
                    person: id,
                    texts,
                    only_named: person.only_named,
                    releases: person.text_releases.len() as u64,
                });
            }
            if self.remove(index, judged.over).await? {
                let person = &mut self.people[index];
                person.is_gone = true;
                return Ok(Fate::Erased {
                    person: id,
                    texts,
                    releases: person.releases.len() as u64,
                    open: Vec::new(),
                });
            }
        }
        Err(HandleError::Busy)
    }

    /// False if a release has moved since it was judged.
    async fn remove(&self, index: usize, judged: Vec<StreamVersion>) -> Result<bool, HandleError> {
        let person = &self.people[index];
        let commit = removal::of(self.store, self.wish, &self.by, person, judged, self.now_ms).await?;
        match self.store.commit(commit, Instant::now() + COMMIT_WITHIN).await? {
            Outcome::Committed { .. } => Ok(true),
            Outcome::Conflict => Ok(false),
            outcome => Err(HandleError::Broken(anyhow::anyhow!("an erasure ended as {outcome:?}"))),
        }
    }

    /// Nothing that they do is committed any more; what was, between our last reading and their end, goes as well. Nobody could
    /// find it later, so it goes also from releases that are open, and these are named.
    async fn late(&mut self, fates: &mut BTreeMap<String, Fate>) -> Result<(), HandleError> {
        self.reading.go_on(self.store, &mut self.people).await?;
        for index in 0..self.people.len() {
            let Some(Fate::Erased {
                texts, releases, open, ..
            }) = fates.get_mut(&self.people[index].user)
            else {
                continue;
            };
            let person = &mut self.people[index];
            let is_new_in_some = person.releases.len() as u64 > *releases;
            let has_written = self.reading.has_more_of(person);
            if has_written {
                let written = std::slice::from_mut(person);
                trail::read_texts(self.store, written, &self.reading, Which::Written).await?;
            }
            if !has_written && !is_new_in_some {
                continue;
            }
            let more = person.texts.len() as u64;
            *open = judged::judge(self.store, &self.people[index].involved()).await?.open;
            *releases = self.people[index].releases.len() as u64;
            if has_written && more > 0 {
                *texts += more;
                if !self.remove(index, Vec::new()).await? {
                    return Err(HandleError::Busy);
                }
            }
        }
        Ok(())
    }
}

impl Trail {
    /// Every release that an erasure could tear a hole in.
    fn involved(&self) -> BTreeSet<ReleaseKey> {
        self.releases.union(&self.text_releases).cloned().collect()
    }
}
