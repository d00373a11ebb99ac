//! Answers with their age. Whoever needs one that is missing or too old asks; whoever needs it meanwhile waits for
//! that same answer. Failures are not kept.

use super::Clock;
use domain::ids::Millis;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// An answer, and when it was asked for (the answer can't be older than that).
#[derive(Debug, Clone)]
pub(super) struct Seen<V> {
    pub(super) value: V,
    pub(super) observed_ms: Millis,
    asked: Instant,
}

/// An asking under way. Those who wait for it are woken in their order, so that a run can be repeated.
struct Flight<V> {
    /// None within: it failed. Empty at the end: its asker died without a word.
    answer: OnceLock<Option<Seen<V>>>,
    /// Closed at the end; never has a permit.
    end: Semaphore,
}

impl<V: Clone> Flight<V> {
    fn begin() -> Arc<Self> {
        Arc::new(Self {
            answer: OnceLock::new(),
            end: Semaphore::new(0),
        })
    }

    async fn answer(&self) -> Option<Seen<V>> {
        let _ = self.end.acquire().await;
        self.answer.get().cloned().flatten()
    }
}

/// Ends a flight however its asker ends.
struct Landing<V>(Arc<Flight<V>>);

impl<V> Drop for Landing<V> {
    fn drop(&mut self) {
        self.0.end.close();
    }
}

struct Entry<V> {
    known: Option<Seen<V>>,
    flight: Option<Arc<Flight<V>>>,
}

/// Answers by key, at most so many; the oldest give way.
pub(super) struct Answers<V> {
    entries: Mutex<HashMap<String, Entry<V>>>,
    entries_max: usize,
    clock: Clock,
}

enum Step<V> {
    Known(Seen<V>),
    Wait(Arc<Flight<V>>),
    Full,
}

impl<V: Clone + Send + Sync + 'static> Answers<V> {
    pub(super) fn new(entries_max: usize, clock: Clock) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            entries_max,
            clock,
        }
    }

    /// The answer to `key` of at most `max_age_ms`, asking if need be. An asking once begun goes on when the asker
    /// goes away, so that the next one finds its answer.
    pub(super) async fn get<F, A>(self: Arc<Self>, key: String, max_age_ms: Millis, ask: F) -> Option<Seen<V>>
    where
        F: Fn() -> A,
        A: Future<Output = Option<V>> + Send + 'static,
    {
        // The second round is for somebody who joined an asking that had begun too long ago.
        for _ in 0..2 {
            let flight = match self.step(&key, max_age_ms, &ask) {
                Step::Known(seen) => return Some(seen),
                Step::Wait(flight) => flight,
                Step::Full => return None,
            };
            let answer = flight.answer().await?;
            if self.is_fresh(&answer, max_age_ms) {
                return Some(answer);
            }
        }
        None
    }

    /// The answer to `key` of at most `max_age_ms`, if there is one; asks nobody.
    pub(super) fn remembered(&self, key: &str, max_age_ms: Millis) -> Option<Seen<V>> {
        let entries = self.lock();
        let known = entries.get(key)?.known.as_ref();
        known.filter(|seen| self.is_fresh(seen, max_age_ms)).cloned()
    }

    fn step<F, A>(self: &Arc<Self>, key: &str, max_age_ms: Millis, ask: &F) -> Step<V>
    where
        F: Fn() -> A,
        A: Future<Output = Option<V>> + Send + 'static,
    {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(key) {
            if let Some(seen) = entry.known.as_ref().filter(|seen| self.is_fresh(seen, max_age_ms)) {
                return Step::Known(seen.clone());
            }
            // A flight whose asker died without a word is over.
            if let Some(flight) = entry.flight.as_ref().filter(|flight| !flight.end.is_closed()) {
                return Step::Wait(Arc::clone(flight));
            }
        } else if !self.make_room(&mut entries) {
            return Step::Full;
        }
        let flight = Flight::begin();
        let landing = Landing(Arc::clone(&flight));
        let entry = entries.entry(key.to_owned()).or_insert(Entry {
            known: None,
            flight: None,
        });
        entry.flight = Some(Arc::clone(&flight));
        let (observed_ms, asked) = ((self.clock)(), Instant::now());
        let (answers, key, asking) = (Arc::clone(self), key.to_owned(), ask());
        tokio::spawn(async move {
            let seen = asking.await.map(|value| Seen {
                value,
                observed_ms,
                asked,
            });
            answers.land(&key, seen.clone());
            let _ = landing.0.answer.set(seen);
        });
        Step::Wait(flight)
    }

    fn land(&self, key: &str, seen: Option<Seen<V>>) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else { return };
        entry.flight = None;
        if seen.is_some() {
            entry.known = seen;
        } else if entry.known.is_none() {
            entries.remove(key);
        }
    }

    fn is_fresh(&self, seen: &Seen<V>, max_age_ms: Millis) -> bool {
        // The clock may be set back, and an answer of long ago look fresh; and time that a machine sleeps through is counted by the
        // clock alone. So both must say that it is.
        let age_ms = (self.clock)().saturating_sub(seen.observed_ms);
        (0..=max_age_ms).contains(&age_ms) && seen.asked.elapsed().as_millis() <= max_age_ms.unsigned_abs().into()
    }

    /// Forgets the oldest answer if it must; false if everything is being asked just now.
    fn make_room(&self, entries: &mut HashMap<String, Entry<V>>) -> bool {
        if entries.len() < self.entries_max {
            return true;
        }
        let idle = entries.iter().filter(|(_, entry)| entry.flight.is_none());
        let oldest = idle.min_by_key(|(_, entry)| entry.known.as_ref().map(|seen| seen.observed_ms));
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return false;
        };
        entries.remove(&key);
        true
    }

    /// The map is whole after every step, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
