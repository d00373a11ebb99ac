//! Faults of the database under a stream of signed decisions, each about a release of its own: every one ends recorded once
//! or with a clear error, and when the fault is over the next ones are recorded again.

mod postgres;
mod sqlite;

use crate::support::bot::{PRIYA, TOO_SLOW};
use crate::support::database::Database;
use crate::support::orders::plan_many;
use crate::support::process::{Replica, World};
use playground::{Workspace, signature};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many people's hands decide, and how long each rests between two decisions.
const HANDS_REST: Duration = Duration::from_millis(150);
const RELEASES: u32 = 180;
/// How long it goes well before the fault and after it.
const CALM: Duration = Duration::from_millis(400);
/// Slack waits 3 s; the bot answers after 2.5 s at the latest, and the rest is for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_millis(2_800);
const RECOVERS_WITHIN: Duration = Duration::from_secs(10);

/// What somebody was told of their decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It is recorded.
    Signed,
    /// Nothing was recorded.
    Nothing,
    /// It may be recorded or not.
    NotKnown,
    /// A rule forbids it.
    Refused,
}

#[derive(Debug, Clone, Copy)]
struct Decision {
    release: u64,
    told: Told,
    began: Instant,
    took: Duration,
}

/// A bot and people who sign off one release after the other.
struct Stream {
    world: World,
    bot: Replica,
    client: reqwest::Client,
    over: AtomicBool,
    next: AtomicU64,
    /// Makes every request's bytes its own.
    bytes: AtomicU64,
    decisions: Mutex<Vec<Decision>>,
}

impl Stream {
    /// Releases to be signed, and the bot over `database`, started by `launcher`.
    async fn over(database: Database, launcher: Vec<String>) -> Self {
        // What is posted to one channel is not what this is about.
        let quick = |config: String| config.replace("message_gap_ms = 100", "message_gap_ms = 10");
        let mut world = World::over(database, quick, Vec::new()).await;
        let own = world.joins().await;
        plan_many(&own, RELEASES).await;
        Arc::into_inner(own).unwrap().stop().await;
        // Their cards and questions would keep the workers busy all the time.
        let mut raw = world.database.connect().await;
        raw.execute("DELETE FROM job").await.unwrap();
        raw.close().await;
        world.launcher = launcher;
        let bot = world.serve("bot", "all").await;
        world.slack.set_bot_urls(std::slice::from_ref(&bot.url));
        Self {
            world,
            bot,
            client: reqwest::Client::new(),
            over: AtomicBool::new(false),
            next: AtomicU64::new(1),
            bytes: AtomicU64::new(0),
            decisions: Mutex::default(),
        }
    }

    /// Lets people decide while `fault` comes and goes, and judges what became of it. Some must have felt it, if `is_felt`.
    async fn endures(self, what: &str, is_felt: bool, fault: impl AsyncFnOnce(&Self)) {
        let (.., ended) = tokio::join!(self.hand(), self.hand(), self.hand(), self.hand(), async {
            tokio::time::sleep(CALM).await;
            fault(&self).await;
            let ended = Instant::now();
            while self.recovered(ended).is_none() && ended.elapsed() < RECOVERS_WITHIN {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(CALM).await;
            self.over.store(true, Ordering::SeqCst);
            ended
        });
        let recovered = self.recovered(ended);
        let recovered = recovered.unwrap_or_else(|| panic!("nothing was recorded within 10 s\n{}", self.bot.tail(30)));
        let summary = self.summary(is_felt);
        self.is_true_to_what_was_told().await;
        let again = self.decides_again().await;
        self.world.settles().await;
        let audited = self.world.audit().await;
        println!(
            "{what}: {summary}; {again} decided again; recorded again {} ms after its end; {audited}",
            recovered.as_millis()
        );
        self.bot.terminate().await;
    }

    /// Signs the next release, and the next, until it is over.
    async fn hand(&self) {
        while !self.over.load(Ordering::SeqCst) {
            let release = self.next.fetch_add(1, Ordering::SeqCst);
            assert!(release <= u64::from(RELEASES), "more releases are needed");
            let began = Instant::now();
            let told = self.signs(release).await;
            let took = began.elapsed();
            self.decisions.lock().unwrap().push(Decision {
                release,
                told,
                began,
                took,
            });
            tokio::time::sleep(HANDS_REST).await;
        }
    }

    async fn signs(&self, release: u64) -> Told {
        let bytes = self.bytes.fetch_add(1, Ordering::SeqCst);
        let body = format!(
            "token=x&team_id=T0ACME&api_app_id=A0COUNTER&channel_id=C0PAYMENTS&user_id={PRIYA}&command=%2Frelease&text=approve+REL-{release}&trigger_id={bytes}"
        );
        let timestamp_s = self.world.slack.now_ms() / 1_000;
        let signature = signature(&Workspace::demo().signing_secret, timestamp_s, body.as_bytes());
        let request = self.client.post(format!("{}/slack/commands", self.bot.url));
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", timestamp_s)
            .header("x-slack-signature", &signature);
        let answer = request.timeout(Duration::from_secs(30)).body(body).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.bot.tail(30)));
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{text}");
        told(&text).unwrap_or_else(|| panic!("no clear answer: {text}\n{}", self.bot.tail(30)))
    }

    /// How long after `ended` the first decision was recorded that began after it.
    fn recovered(&self, ended: Instant) -> Option<Duration> {
        let decisions = self.decisions.lock().unwrap();
        let after = decisions.iter().filter(|d| d.told == Told::Signed && d.began >= ended);
        after.map(|d| d.began + d.took - ended).min()
    }

    fn summary(&self, is_felt: bool) -> String {
        let decisions = self.decisions.lock().unwrap();
        let of = |told: Told| decisions.iter().filter(|d| d.told == told).count();
        let slowest = decisions.iter().map(|decision| decision.took).max().unwrap();
        let (signed, nothing, not_known) = (of(Told::Signed), of(Told::Nothing), of(Told::NotKnown));
        let summary = format!(
            "{} decisions, {signed} recorded, {nothing} told that nothing was, {not_known} told that it is not known; \
             slowest answer {} ms",
            decisions.len(),
            slowest.as_millis()
        );
        assert_eq!(of(Told::Refused), 0, "{summary}");
        assert!(slowest < ANSWERED_WITHIN, "{summary}\n{}", self.bot.tail(30));
        assert!(!is_felt || nothing + not_known > 0, "nobody felt it: {summary}");
        summary
    }

    /// Sign-offs in the log, by release.
    async fn signed(&self) -> BTreeMap<u64, usize> {
        let mut signed = BTreeMap::new();
        for told in self.world.log(1).await {
            if told.name == "SignedOff.v1" {
                let number = told.stream.strip_prefix("release/REL-").unwrap().parse().unwrap();
                *signed.entry(number).or_default() += 1;
            }
        }
        signed
    }

    async fn is_true_to_what_was_told(&self) {
        let signed = self.signed().await;
        for decision in self.decisions.lock().unwrap().iter() {
            let entries = signed.get(&decision.release).copied().unwrap_or_default();
            let may = match decision.told {
                Told::Signed => 1..=1,
                Told::NotKnown => 0..=1,
                Told::Nothing | Told::Refused => 0..=0,
            };
            assert!(
                may.contains(&entries),
                "{entries} entries: {decision:?}\n{}",
                self.bot.tail(30)
            );
        }
    }

    /// Whoever got no clear answer does it again: then it is on record once, however often it was tried.
    async fn decides_again(&self) -> usize {
        let decisions = self.decisions.lock().unwrap().clone();
        let unclear: Vec<Decision> = decisions.into_iter().filter(|d| d.told != Told::Signed).collect();
        let before = self.signed().await;
        for decision in &unclear {
            let was_recorded = before.contains_key(&decision.release);
            let expected = if was_recorded { Told::Refused } else { Told::Signed };
            let mut told = Told::Nothing;
            for _ in 0..5 {
                told = self.signs(decision.release).await;
                if told != Told::Nothing {
                    break;
                }
            }
            assert_eq!(told, expected, "{decision:?}");
        }
        let after = self.signed().await;
        assert!(after.values().all(|entries| *entries == 1), "{after:?}");
        assert_eq!(after.len() as u64, self.next.load(Ordering::SeqCst) - 1);
        unclear.len()
    }
}

fn told(answer: &str) -> Option<Told> {
    let says = |words: &str| answer.contains(words);
    if says("\"text\":\"Signed: ") {
        Some(Told::Signed)
    } else if says("Not known yet: ") {
        Some(Told::NotKnown)
    } else if says("could not record this just now") && says("Nothing was changed") || says(TOO_SLOW) {
        Some(Told::Nothing)
    } else if says("Rule `") && says("Nothing was changed") {
        Some(Told::Refused)
    } else {
        None
    }
}
