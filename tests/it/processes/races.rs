//! Decisions that race: each is delivered to three processes at once, several to one release at the same time. What the log
//! holds is one sequential history that a model of its own allows, and every answer is that history's. `COUNTERSIGN_RACES`
//! says how many decisions, `COUNTERSIGN_SEED` repeats a run's random choices.

use super::number;
use crate::support::bot::{DEV, PRIYA, QUINN, RITA, TOO_SLOW, run};
use crate::support::database::Engine;
use crate::support::orders::{order, person, plan_many, proposal};
use crate::support::process::{Replica, Told, World};
use countersign::app::Running;
use domain::command::{Actor, Intent};
use domain::ids::ReleaseKey;
use playground::{Workspace, signature};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const RACES: u64 = 1_000;
/// Decisions about one release.
pub(super) const EACH: u64 = 6;
/// Longer than any machine is busy.
const DECIDED_WITHIN: Duration = Duration::from_mins(1);
/// Releases that are raced for at once.
const AT_ONCE: u64 = 12;

/// One decision of one person about one release: the words behind `/release`, and by which event the log tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    OwnerSigns,
    QaSigns,
    OwnerWithdraws,
    ManagerCancels,
    EngineerDeploys,
    ManagerEdits,
}

impl Act {
    /// Who types what; an edit has no words, it is a form.
    fn typed(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::OwnerSigns => (PRIYA, "approve"),
            Self::QaSigns => (QUINN, "approve"),
            Self::OwnerWithdraws => (PRIYA, "withdraw"),
            Self::ManagerCancels => (RITA, "cancel"),
            Self::EngineerDeploys => (DEV, "deploy"),
            Self::ManagerEdits => return None,
        })
    }

    /// When it begins, so that it comes before the others and after them about as often.
    fn begins_ms(self) -> Range<u64> {
        match self {
            Self::OwnerSigns | Self::QaSigns => 0..100,
            Self::ManagerEdits => 0..300,
            Self::EngineerDeploys | Self::OwnerWithdraws => 50..400,
            Self::ManagerCancels => 100..500,
        }
    }

    fn of(told: &Told) -> Option<Self> {
        Some(match told.name.as_str() {
            "SignedOff.v1" if told.data["sign_off"]["role"] == "product_owner" => Self::OwnerSigns,
            "SignedOff.v1" => Self::QaSigns,
            "SignOffWithdrawn.v1" => Self::OwnerWithdraws,
            "ReleaseCancelled.v1" => Self::ManagerCancels,
            "DeploymentRequested.v1" => Self::EngineerDeploys,
            "PlanChanged.v1" => Self::ManagerEdits,
            _ => return None,
        })
    }
}

/// What became of a decision, and between which moments that was settled.
#[derive(Debug)]
pub(super) struct Decided {
    act: Act,
    accepted: bool,
    began: Instant,
    ended: Instant,
}

/// The sequential specification: what may follow what, for one release. It knows nothing of how the bot decides.
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
#[derive(Debug, Default)]
struct Model {
    owner_signed: bool,
    qa_signed: bool,
    cancelled: bool,
    queued: bool,
}

impl Model {
    /// Takes the next decision of the log; false where no sequential run could have come to it.
    fn takes(&mut self, act: Act) -> bool {
        let may = match act {
            Act::OwnerSigns => !self.owner_signed,
            Act::QaSigns => !self.qa_signed,
            Act::OwnerWithdraws => self.owner_signed,
            Act::EngineerDeploys => self.owner_signed && self.qa_signed && !self.queued,
            Act::ManagerCancels => true,
            Act::ManagerEdits => !self.queued,
        };
        let allowed = may && !self.cancelled;
        match act {
            Act::OwnerSigns => self.owner_signed = true,
            Act::QaSigns => self.qa_signed = true,
            Act::OwnerWithdraws => (self.owner_signed, self.queued) = (false, false),
            Act::EngineerDeploys => self.queued = true,
            Act::ManagerCancels => (self.cancelled, self.queued) = (true, false),
            // It changes the scope, which the product owner has signed.
            Act::ManagerEdits => self.owner_signed = false,
        }
        allowed
    }
}

#[test]
fn three_processes_race_for_every_decision_and_the_log_is_one_sequential_history() {
    run(Engine::Postgres, async |engine| {
        let seed = number("COUNTERSIGN_SEED").unwrap_or_else(rand::random);
        let releases = number("COUNTERSIGN_RACES").unwrap_or(RACES).div_ceil(EACH);
        println!("races for {releases} releases, COUNTERSIGN_SEED={seed}");
        let world = World::new(engine).await;
        let own = world.joins().await;
        plan_many(&own, u32::try_from(releases).unwrap()).await;
        // Nobody works the queue: what is requested stays so until it is called off.
        let (one, two, three) = tokio::join!(
            world.serve("replica-1", "web"),
            world.serve("replica-2", "web"),
            world.serve("replica-3", "web")
        );
        let race = Race::new(own, [&one, &two, &three]);
        let began = Instant::now();
        let decided = race.run(releases, seed, &AtomicU64::new(0)).await;
        let raced_s = began.elapsed().as_secs_f64();
        judge(&world, &decided, raced_s, race.again()).await;
        for replica in [one, two, three] {
            replica.terminate().await;
        }
    });
}

/// Where a replica takes commands.
pub(super) fn commands_of(replica: &Replica) -> String {
    format!("{}/slack/commands", replica.url)
}

fn is_accepted(answer: &str) -> bool {
    let words = ["Signed: ", "Withdrawn: ", "Cancelled: ", "Deploying: "];
    words.iter().any(|word| answer.contains(&format!("\"text\":\"{word}")))
}

fn is_refused(answer: &str) -> bool {
    answer.contains("Nothing was changed") && answer.contains("Rule `") && !answer.contains(TOO_SLOW)
}

/// What a busy machine may make of an answer's 2.5 s.
fn is_excuse(answer: &str) -> bool {
    let excuses = [TOO_SLOW, "Not known yet", "could not record this just now"];
    excuses.iter().any(|excuse| answer.contains(excuse))
}

pub(super) struct Race {
    /// Where everything is sent to at once; who is being restarted is not among them.
    pub(super) urls: Mutex<Vec<String>>,
    client: reqwest::Client,
    own: Arc<Running>,
    /// Makes every request's bytes its own.
    bytes: AtomicU64,
    /// How often bytes were sent again.
    again: AtomicU64,
}

impl Race {
    pub(super) fn new<'r>(own: Arc<Running>, replicas: impl IntoIterator<Item = &'r Replica>) -> Arc<Self> {
        Arc::new(Self {
            urls: Mutex::new(replicas.into_iter().map(commands_of).collect()),
            client: reqwest::Client::new(),
            own,
            bytes: AtomicU64::new(0),
            again: AtomicU64::new(0),
        })
    }

    /// Races for all of the releases, some at once; `raced` counts those that are over.
    pub(super) async fn run(
        self: &Arc<Self>,
        releases: u64,
        seed: u64,
        raced: &AtomicU64,
    ) -> BTreeMap<u64, Vec<Decided>> {
        let mut racing = JoinSet::new();
        let mut decided: BTreeMap<u64, Vec<Decided>> = BTreeMap::new();
        for release in 1..=releases {
            if racing.len() as u64 == AT_ONCE {
                decided.extend(racing.join_next().await.map(Result::unwrap));
                raced.fetch_add(1, Ordering::SeqCst);
            }
            let race = Arc::clone(self);
            let random = StdRng::seed_from_u64(seed ^ release);
            racing.spawn(async move { (release, race.for_release(release, random).await) });
        }
        decided.extend(racing.join_all().await);
        raced.store(releases, Ordering::SeqCst);
        decided
    }

    /// How often something was sent again.
    pub(super) fn again(&self) -> u64 {
        self.again.load(Ordering::SeqCst)
    }

    /// Six people's decisions about one release, all under way at once, and at last a cancellation that frees the environment.
    async fn for_release(self: &Arc<Self>, release: u64, mut random: StdRng) -> Vec<Decided> {
        let mut acts = vec![
            Act::OwnerSigns,
            Act::OwnerSigns,
            Act::QaSigns,
            Act::EngineerDeploys,
            Act::EngineerDeploys,
            Act::OwnerWithdraws,
            Act::ManagerEdits,
            Act::ManagerCancels,
        ];
        acts.shuffle(&mut random);
        acts.truncate(usize::try_from(EACH).unwrap() - 1);
        let mut under_way = JoinSet::new();
        for act in acts {
            let (race, pause_ms) = (Arc::clone(self), random.random_range(act.begins_ms()));
            under_way.spawn(async move {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                race.decide(release, act).await
            });
        }
        let mut decided = under_way.join_all().await;
        decided.push(self.decide(release, Act::ManagerCancels).await);
        decided
    }

    async fn decide(&self, release: u64, act: Act) -> Decided {
        let began = Instant::now();
        let accepted = match act.typed() {
            Some((user, verb)) => self.types(user, &format!("{verb}+REL-{release}")).await,
            None => self.edits(release).await,
        };
        Decided {
            act,
            accepted,
            began,
            ended: Instant::now(),
        }
    }

    /// The same signed bytes to all three at once, and again, as Slack would, while one of them says that it doesn't know or
    /// could not. Whatever was decided, all of them answer the same.
    async fn types(&self, user: &str, text: &str) -> bool {
        let bytes = self.bytes.fetch_add(1, Ordering::SeqCst);
        let body = format!(
            "token=x&team_id=T0ACME&api_app_id=A0COUNTER&channel_id=C0PAYMENTS&user_id={user}&command=%2Frelease&text={text}&trigger_id={bytes}"
        );
        let timestamp_s = self.own.handler.clock.now_ms() / 1_000;
        let signature = signature(&Workspace::demo().signing_secret, timestamp_s, body.as_bytes());
        let send = |url: String| {
            let request = self.client.post(url);
            let request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("x-slack-request-timestamp", timestamp_s)
                .header("x-slack-signature", &signature)
                .body(body.clone());
            async move {
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.text().await.unwrap()
            }
        };
        let until = Instant::now() + DECIDED_WITHIN;
        loop {
            let urls = self.urls.lock().unwrap().clone();
            let sending: JoinSet<String> = urls.into_iter().map(send).collect();
            let answers = sending.join_all().await;
            if answers.iter().all(|answer| is_accepted(answer)) {
                assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
                return true;
            }
            if answers.iter().all(|answer| is_refused(answer)) {
                return false;
            }
            let is_known = |answer: &String| is_accepted(answer) || is_refused(answer);
            let excuses: Vec<&String> = answers.iter().filter(|answer| !is_known(answer)).collect();
            assert!(
                !excuses.is_empty() && excuses.iter().all(|answer| is_excuse(answer)) && Instant::now() < until,
                "{answers:#?}"
            );
            self.again.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What the form does: it names the state that its sender saw.
    async fn edits(&self, release: u64) -> bool {
        let key = ReleaseKey::new(format!("REL-{release}")).unwrap();
        let seen = self.own.handler.release(&key).await.unwrap().0.unwrap();
        let (rita, mia) = (person(&self.own, RITA).await, person(&self.own, "U0MIA").await);
        let mut plan = proposal(&self.own, &mia);
        plan.edits = Some(seen.plan_changes);
        plan.start_ms = seen.plan.as_ref().unwrap().start_ms;
        let handled = order(&self.own, &key, Actor::Person(rita), Intent::Plan(Box::new(plan))).await;
        matches!(handled, countersign::handle::Handled::Done { .. })
    }
}

pub(super) async fn judge(world: &World, decided: &BTreeMap<u64, Vec<Decided>>, raced_s: f64, again: u64) {
    let log = world.log(1).await;
    let mut accepted: BTreeMap<Act, usize> = BTreeMap::new();
    let mut ordered = 0;
    for (release, decisions) in decided {
        let stream = format!("release/REL-{release}");
        let history: Vec<(usize, Act)> = log
            .iter()
            .enumerate()
            .filter(|(_, told)| told.stream == stream)
            .filter_map(|(position, told)| Some((position, Act::of(told)?)))
            .collect();
        let mut model = Model::default();
        for (_, act) in &history {
            assert!(model.takes(*act), "no sequential run comes to {act:?}: {history:?}");
        }
        for act in decisions.iter().map(|decision| decision.act).collect::<BTreeSet<_>>() {
            let places: Vec<usize> = history
                .iter()
                .filter(|(_, of)| *of == act)
                .map(|(place, _)| *place)
                .collect();
            let told: Vec<&Decided> = decisions.iter().filter(|d| d.act == act && d.accepted).collect();
            assert_eq!(places.len(), told.len(), "{act:?} of {stream}: entries and acceptances");
            *accepted.entry(act).or_default() += told.len();
        }
        ordered += in_order_of_time(decisions, &history);
    }
    one_holder_at_a_time(&log);
    let all: usize = decided.values().map(Vec::len).sum();
    let refused = all - accepted.values().sum::<usize>();
    for act in [
        Act::OwnerSigns,
        Act::QaSigns,
        Act::OwnerWithdraws,
        Act::ManagerEdits,
        Act::EngineerDeploys,
    ] {
        assert!(
            accepted.get(&act).is_some_and(|count| *count > 0),
            "{act:?} never won: {accepted:?}"
        );
    }
    println!(
        "{all} decisions, each to all processes at once, {} per second: {accepted:?} accepted, one entry each, {refused} refused, {again} \
         sent again; {ordered} pairs in the order of time; {}",
        (f64::from(u32::try_from(all).unwrap()) / raced_s).round(),
        world.audit().await
    );
}

/// What was answered before something else was begun stands before it in the log. Says how many such pairs there were.
fn in_order_of_time(decisions: &[Decided], history: &[(usize, Act)]) -> usize {
    let place = |act: Act| {
        let mut places = history.iter().filter(|(_, of)| *of == act).map(|(place, _)| *place);
        // Which of two is whose can't be told.
        places.next().filter(|_| places.next().is_none())
    };
    let mut pairs = 0;
    for earlier in decisions.iter().filter(|decision| decision.accepted) {
        for later in decisions
            .iter()
            .filter(|decision| decision.accepted && decision.began > earlier.ended)
        {
            if let (Some(first), Some(second)) = (place(earlier.act), place(later.act))
                && earlier.act != later.act
            {
                assert!(first < second, "{earlier:?} before {later:?}: {history:?}");
                pairs += 1;
            }
        }
    }
    pairs
}

/// Invariant 5, read from the log alone: each grant follows the end of the one before it and raises the fence.
fn one_holder_at_a_time(log: &[Told]) {
    let (mut holder, mut fence) = (None, 0);
    for told in log {
        let release = told.data["release"].as_str().map(str::to_owned);
        match told.name.as_str() {
            "EnvironmentLocked.v1" => {
                assert_eq!(holder, None, "{told:?}");
                assert!(told.data["fence"].as_u64().unwrap() > fence, "{told:?}");
                (holder, fence) = (release, told.data["fence"].as_u64().unwrap());
            }
            "EnvironmentUnlocked.v1" => {
                assert_eq!(told.data["fence"].as_u64(), Some(fence), "{told:?}");
                holder = None;
            }
            _ => {}
        }
    }
}
