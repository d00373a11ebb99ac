//! One seed: a world, its replicas, a number of steps, and then a while of good weather in which everything has to come right.

use super::judge::{Answered, Judge};
use super::machine::Host;
use super::people::company;
use super::replica::Replica;
use super::steps::Click;
use super::world::{Luck, RELEASES, World};
use countersign::slack::cards;
use domain::ids::{DAY_MS, HOUR_MS, MINUTE_MS};
use domain::job::{Lane, MessageId};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Where each replica runs: two share a host.
const HOSTS: [&str; 3] = ["north", "south", "south"];
/// How many rounds of work the good weather has.
const SETTLING_ROUNDS: usize = 400;

/// What came of a seed.
pub struct Ended {
    pub trace: String,
    pub counts: BTreeMap<&'static str, u64>,
}

/// A seed on its way.
pub struct Play {
    pub world: Arc<World>,
    pub judge: Judge,
    pub replicas: Vec<Replica>,
    pub tasks: JoinSet<()>,
    pub answers: Arc<Mutex<Vec<Answered>>>,
    pub past: Vec<Click>,
    pub deliveries: BTreeMap<String, u32>,
    pub clicks: u64,
    pub proposed: u64,
}

/// Runs one seed; panics with its trace if an invariant breaks.
pub fn one(seed: u64, steps: u64, print: bool) -> Ended {
    countersign::fresh::follow_seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = Arc::new(World::new(seed, print));
        let played = {
            let world = Arc::clone(&world);
            tokio::spawn(async move { Play::new(world).play(steps).await })
        };
        match played.await {
            Ok(()) => Ended {
                trace: world.digest(),
                counts: world.lock().counts.clone(),
            },
            Err(error) => {
                let panic = error.into_panic();
                let why = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                panic!(
                    "seed {seed}, the last steps:\n{}\n{}",
                    world.last_lines(),
                    why.unwrap_or_default()
                );
            }
        }
    })
}

impl Play {
    fn new(world: Arc<World>) -> Self {
        let replicas = HOSTS.iter().map(|host| Replica::boot(&world, host)).collect();
        Self {
            judge: Judge::new(&world),
            replicas,
            world,
            tasks: JoinSet::new(),
            answers: Arc::default(),
            past: Vec::new(),
            deliveries: BTreeMap::new(),
            clicks: 0,
            proposed: 0,
        }
    }

    /// Asks the world's luck.
    pub fn luck<T>(&self, ask: impl FnOnce(&mut Luck) -> T) -> T {
        ask(&mut self.world.lock().luck)
    }

    async fn play(mut self, steps: u64) {
        self.propose();
        for _ in 0..steps {
            self.step().await;
            self.look();
        }
        self.settle().await;
    }

    /// Judges, and notes where the world stands.
    fn look(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                resume_unwind(error.into_panic());
            }
        }
        let mut answers = std::mem::take(&mut *self.answers.lock().unwrap());
        for answered in &mut answers {
            answered.is_only = self.deliveries[&answered.request] == 1;
        }
        for Answered { request, result, .. } in &answers {
            let told = match result {
                Ok(handled) => format!("{handled:?}")
                    .chars()
                    .take_while(|c| c.is_alphanumeric())
                    .collect(),
                Err(error) => error.to_string(),
            };
            self.world.tell(&format!("  {request}: {told}"));
        }
        self.judge.look(answers);
        self.world.count("steps");
        let (position, now_ms) = (self.world.memory.position(), self.world.wall_ms());
        self.world.note(&format!("{position} entries at {now_ms}"));
    }

    async fn step(&mut self) {
        let what = self.luck(|luck| luck.below(1_000));
        match what {
            0..=59 if self.proposed < 8 => self.propose(),
            0..=79 => self.edit(),
            80..=239 => self.press(),
            240..=389 => self.ask(),
            390..=429 => self.repeat(),
            430..=659 => self.work_a_little(),
            660..=769 => drop(self.work(4, 8).await),
            770..=829 => self.live_on().await,
            830..=859 => self.upkeep(),
            860..=999 => self.trouble(what),
            _ => {}
        }
        let pause_ms = self.luck(|luck| [1, 1, 20, 300, 1_200, 4_000][luck.below(6)]);
        sleep(Duration::from_millis(pause_ms)).await;
    }

    fn trouble(&mut self, what: usize) {
        let troubles = self.world.lock().troubles;
        match what {
            860..=884 if troubles.crashes => self.crash(),
            885..=909 => self.restart(),
            910..=921 if troubles.freezes => self.freeze(),
            922..=939 if troubles.jumps => self.jump(),
            940..=946 if troubles.outages => self.outage(),
            947..=952 if troubles.cut_lines => self.cut(),
            953..=969 => self.change_people(),
            970..=981 => self.change_source(),
            982..=999 => self.change_scripts(),
            _ => self.work_a_little(),
        }
    }

    /// Some replicas take some jobs of one lane.
    fn work_a_little(&mut self) {
        for at in 0..self.replicas.len() {
            let (takes_part, lane, limit) = self.luck(|luck| (luck.chance(600), luck.below(6), 1 + luck.below(4)));
            if takes_part {
                self.take_turn(at, &[Lane::ALL[lane]], limit, &Arc::default());
            }
        }
    }

    fn take_turn(&mut self, at: usize, lanes: &[Lane], limit: usize, found: &Arc<AtomicUsize>) {
        if !self.replicas[at].can_work() {
            return;
        }
        let (workers, lanes, found) = (
            Arc::clone(&self.replicas[at].workers),
            lanes.to_vec(),
            Arc::clone(found),
        );
        let world = Arc::clone(&self.world);
        self.tasks.spawn(async move {
            for lane in lanes {
                for job in workers.claim_turn(lane, limit).await {
                    world.count("jobs run");
                    found.fetch_add(1, Ordering::Relaxed);
                    let workers = Arc::clone(&workers);
                    tokio::spawn(async move { workers.run_turn(job).await });
                }
            }
        });
    }

    /// All replicas take what is due, for some rounds or until nothing is. Whether there was something.
    async fn work(&mut self, rounds: usize, limit: usize) -> bool {
        let mut worked = false;
        for _ in 0..rounds {
            let found = Arc::new(AtomicUsize::new(0));
            for at in 0..self.replicas.len() {
                self.take_turn(at, &Lane::ALL, limit, &found);
            }
            sleep(Duration::from_millis(2_500)).await;
            if found.load(Ordering::Relaxed) == 0 {
                break;
            }
            worked = true;
        }
        let now_ms = self.world.wall_ms();
        let jumps = self.world.lock().troubles.jumps;
        if !jumps && !self.world.memory.has_work(Lane::Clock.key(), now_ms) {
            self.look();
            self.judge.notices(now_ms);
        }
        worked
    }

    /// Time passes, and the replicas work on through it.
    async fn live_on(&mut self) {
        let (whole_ms, slices) = self.luck(|luck| {
            let spans = [
                1_000,
                20_000,
                61_000,
                5 * MINUTE_MS,
                11 * MINUTE_MS,
                16 * MINUTE_MS,
                HOUR_MS,
                5 * HOUR_MS,
                2 * DAY_MS,
            ];
            let shorter = usize::from(luck.chance(700));
            (spans[luck.below(spans.len() - shorter)], 1 + luck.below(6))
        });
        self.world.tell(&format!("{whole_ms} ms pass in {slices}"));
        for _ in 0..slices {
            sleep(Duration::from_millis(u64::try_from(whole_ms).unwrap() / slices as u64)).await;
            self.upkeep();
            self.work(1, 8).await;
            self.look();
        }
    }

    fn upkeep(&mut self) {
        for replica in self.replicas.iter().filter(|replica| replica.can_work()) {
            let workers = Arc::clone(&replica.workers);
            self.tasks.spawn(async move { workers.upkeep_turn().await });
        }
    }

    fn crash(&mut self) {
        let (at, calls) = self.luck(|luck| (luck.below(HOSTS.len()), luck.below(60)));
        self.world.tell(&format!("replica {at} dies after {calls} calls"));
        if calls == 0 {
            self.world.count("crashes");
            self.replicas[at].control.kill();
        } else {
            self.replicas[at].control.die_after(calls as u64);
        }
    }

    fn restart(&mut self) {
        for (at, host) in HOSTS.iter().enumerate() {
            if self.replicas[at].control.is_dead() {
                self.world.tell(&format!("replica {at} boots"));
                self.replicas[at] = Replica::boot(&self.world, host);
            }
        }
    }

    fn freeze(&mut self) {
        let at = self.luck(|luck| luck.below(HOSTS.len()));
        let control = &self.replicas[at].control;
        let freezes = !control.is_frozen();
        self.world
            .tell(&format!("replica {at} {}", if freezes { "freezes" } else { "thaws" }));
        self.world.count(if freezes { "freezes" } else { "thaws" });
        control.freeze(freezes);
    }

    fn jump(&mut self) {
        let mut state = self.world.lock();
        if state.off_ms != 0 && state.luck.chance(600) {
            state.off_ms = 0;
            state.count("jumps of the clock");
            drop(state);
            return self.world.tell("the clock is set right");
        }
        let spans = [1_000, 30_000, 5 * MINUTE_MS, HOUR_MS, DAY_MS, 30 * DAY_MS];
        let by_ms = spans[state.luck.below(spans.len())] * if state.luck.chance(500) { 1 } else { -1 };
        // The naive reader's calendar knows no summer time.
        if (-20 * DAY_MS..=100 * DAY_MS).contains(&(state.off_ms + by_ms)) {
            state.off_ms += by_ms;
            state.count("jumps of the clock");
            drop(state);
            self.world.tell(&format!("the clock jumps by {by_ms} ms"));
        }
    }

    fn outage(&mut self) {
        let lasts_ms = self.luck(|luck| [3_590_000, 34_080_000, DAY_MS][luck.below(3)]);
        let now_ms = self.world.true_ms();
        self.world.count("outages of Slack");
        self.world.tell(&format!("Slack is down for {lasts_ms} ms"));
        self.world.lock().slack.down_until_ms = now_ms + lasts_ms;
    }

    fn cut(&mut self) {
        let at = self.luck(|luck| luck.below(HOSTS.len()));
        let is_cut = self.replicas[at].control.is_cut.fetch_not(Ordering::Relaxed);
        self.world.tell(&format!(
            "the line of replica {at} is {}",
            if is_cut { "mended" } else { "cut" }
        ));
    }

    fn change_people(&mut self) {
        let now_ms = self.world.true_ms();
        let mut state = self.world.lock();
        state.count("people changed");
        let users: Vec<&'static str> = state.people.keys().copied().collect();
        let user = *state.luck.pick(&users).unwrap();
        let what = state.luck.below(4);
        let mut is = state.people[user].is().clone();
        let before = company()[user].is().clone();
        match what {
            0 => is.active = false,
            1 | 2 => drop(is.roles.pop_last()),
            _ => is = before,
        }
        drop(state);
        self.world.tell(&format!("{user} is {is:?}"));
        self.world.lock().people.get_mut(user).unwrap().becomes(now_ms, is);
    }

    fn change_source(&mut self) {
        let mut state = self.world.lock();
        let what = state.luck.below(10);
        let told = match what {
            0 => {
                state.git_silent = !state.git_silent;
                format!("Git is silent: {}", state.git_silent)
            }
            1..=2 => {
                *state.scripts.get_mut("payments").unwrap() += 1;
                "a script is edited".to_owned()
            }
            3..=6 => {
                let tags: Vec<(String, String)> = state.tags.keys().cloned().collect();
                let Some(tag) = state.luck.pick(&tags).cloned() else {
                    return;
                };
                let letter = ['a', 'b', 'c'][state.luck.below(3)];
                let told = format!("{tag:?} points to {letter}");
                state.tags.insert(tag, letter);
                told
            }
            _ => {
                state.git_silent = false;
                "Git answers".to_owned()
            }
        };
        drop(state);
        self.world.tell(&told);
    }

    /// Supervisors and scripts have lives of their own.
    fn change_scripts(&mut self) {
        let now_ms = self.world.true_ms();
        let known: Vec<(String, String)> = {
            let state = self.world.lock();
            let of_host = |(name, host): (&String, &Host)| {
                let running = host.spools.iter().filter(|(_, spool)| spool.runs_until_ms.is_some());
                running.map(|(id, _)| (name.clone(), id.clone())).collect::<Vec<_>>()
            };
            state.hosts.iter().flat_map(of_host).collect()
        };
        let Some((host, id)) = self.luck(|luck| luck.pick(&known).cloned()) else {
            return;
        };
        let what = self.luck(|luck| luck.below(10));
        let mut state = self.world.lock();
        let Some(spool) = state.hosts.get_mut(&host).and_then(|host| host.spools.get_mut(&id)) else {
            return;
        };
        let told = match what {
            0..=5 if spool.is_supervised => {
                spool.is_supervised = false;
                state.count("supervisors killed");
                "supervisor is killed"
            }
            6 => {
                let host = state.hosts.get_mut(&host).unwrap();
                for spool in host.spools.values_mut() {
                    spool.is_supervised = false;
                    spool.runs_until_ms = None;
                }
                state.count("hosts rebooted");
                drop(state);
                for (at, name) in HOSTS.iter().enumerate() {
                    if *name == host_of(&known, &id) {
                        self.replicas[at].control.kill();
                    }
                }
                self.world
                    .tell(&format!("{host_name} reboots", host_name = host_of(&known, &id)));
                return;
            }
            7 => {
                spool.vanish();
                state.count("spools that vanished");
                "spool vanishes"
            }
            _ => {
                if let Some((until_ms, _)) = &mut spool.runs_until_ms {
                    *until_ms = now_ms;
                }
                "script comes to its end"
            }
        };
        drop(state);
        self.world.tell(&format!("{id} on {host}: {told}"));
    }

    /// No script takes an hour in good weather.
    fn end_scripts(&self) {
        let now_ms = self.world.true_ms();
        let mut state = self.world.lock();
        let spools = state.hosts.values_mut().flat_map(|host| host.spools.values_mut());
        for (until_ms, _) in spools.filter_map(|spool| spool.runs_until_ms.as_mut()) {
            *until_ms = now_ms.min(*until_ms);
        }
    }

    /// Good weather: everything answers, and what is due is done.
    async fn settle(&mut self) {
        self.world.tell("good weather");
        let now_ms = self.world.true_ms();
        {
            let mut state = self.world.lock();
            state.slack.down_until_ms = 0;
            state.off_ms = 0;
            state.git_silent = false;
            state.troubles.lost_answers = false;
            state.troubles.cut_lines = false;
            state.troubles.freezes = false;
            for (user, person) in company() {
                let is = person.is().clone();
                state.people.get_mut(user).unwrap().becomes(now_ms, is);
            }
            let wanted: Vec<(String, String)> = (1..=self.proposed)
                .flat_map(|number| ["payments", "ledger"].map(|service| (service.to_owned(), format!("v1.{number}.0"))))
                .collect();
            for tag in wanted {
                state.tags.entry(tag).or_insert('a');
            }
        }
        for replica in &self.replicas {
            replica.control.freeze(false);
            replica.control.is_cut.store(false, Ordering::Relaxed);
            replica.control.die_after(0);
        }
        self.restart();
        sleep(Duration::from_secs(1)).await;
        self.look();
        let mut idle = 0;
        for round in 0..SETTLING_ROUNDS {
            self.settle_interrupted();
            self.end_scripts();
            self.upkeep();
            let worked = self.work(2, 16).await;
            self.look();
            let now_ms = self.world.wall_ms();
            if self.world.memory.is_done() {
                idle += 1;
            } else if !worked && let Some(due_ms) = self.world.memory.next_due_ms(now_ms) {
                // Also one that is due waits, if an older one of its key is not.
                let wait_ms = (due_ms - now_ms).clamp(0, 40 * DAY_MS);
                sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap())).await;
            }
            if idle == 2 {
                self.world
                    .lock()
                    .counts
                    .entry("rounds of good weather")
                    .and_modify(|n| *n += round as u64)
                    .or_insert(round as u64);
                break;
            }
        }
        self.judge_the_end();
        self.judge_cards().await;
    }
}

fn host_of<'a>(known: &'a [(String, String)], id: &str) -> &'a str {
    known.iter().find(|(_, known)| known == id).map_or("", |(host, _)| host)
}

impl Play {
    /// What must be true when nothing is left to do.
    fn judge_the_end(&mut self) {
        self.look();
        let mut open = Vec::new();
        for row in self.world.memory.rows("job") {
            let word = |name: &str| row[name].as_str().unwrap_or_default();
            assert!(!word("reason").starts_with("bug"), "7: {row:?}");
            if !matches!(word("state"), "done" | "dropped") {
                let (kind, reason) = (word("payload"), word("reason"));
                open.push(format!("{} {kind} due {} ({reason})", word("state"), row["due_ms"]));
            }
        }
        assert!(open.is_empty(), "7: not done in the end:\n{}", open.join("\n"));
        self.judge.notices(i64::MAX);
        let state = self.world.lock();
        let mut seen = std::collections::BTreeSet::new();
        // Only a worker that was stopped or overtaken between its look and its post makes a second copy.
        let is_plain = !state.troubles.freezes && !state.troubles.jumps && !state.troubles.crashes;
        for message in state.slack.channels.get(RELEASES).into_iter().flatten() {
            let is_first = seen.insert(message.outbox_id.clone());
            assert!(
                is_first || !is_plain,
                "9: {} stands twice in #releases",
                message.outbox_id
            );
        }
    }

    /// Every card in Slack says what is true now. Timers that ran while the clock was ahead don't run again when it is set
    /// right: a card that says when something runs out may then be late.
    async fn judge_cards(&mut self) {
        if self.world.lock().troubles.jumps {
            return;
        }
        let handler = self.replicas[0].handler.clone();
        for row in self.world.memory.rows("message") {
            let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let Ok(id) = MessageId::try_from(word("id")) else {
                panic!("{row:?}")
            };
            let Some(scene) = handler.scene(id.release()).await.unwrap() else {
                continue;
            };
            let Some(view) = scene.view(&handler, true) else {
                continue;
            };
            let rendered = match &id {
                MessageId::Card { .. } => cards::card(&view),
                _ => continue,
            };
            let state = self.world.lock();
            let Some(message) = state.slack.message(&word("channel"), &word("ts")) else {
                continue;
            };
            // What it is called and where it stands. Whom it waits for and what hangs on today change outside, and nobody
            // posts it anew for that.
            assert_eq!(
                message.blocks[0].to_string(),
                rendered.blocks[0].to_string(),
                "7: {id} does not say what is true now"
            );
        }
    }
}

/// A simulation that never starts anything would prove nothing.
pub fn expect_enough(totals: &BTreeMap<&'static str, u64>, seeds: u64) {
    let wanted = [
        ("decisions", 10_000),
        ("sign-offs", 3_000),
        ("starts", 1_000),
        ("starts of hotfixes", 500),
        ("starts of planned releases", 200),
        ("starts on the facts of the click", 2),
        ("scripts started", 1_000),
        ("attempts called off", 20),
        ("attempts interrupted", 200),
        ("attempts settled by two people", 100),
        ("supervisors killed", 100),
        ("notices posted", 500),
        ("notices breached", 20),
        ("crashes within a call or between two", 500),
        ("freezes", 100),
        ("jumps of the clock", 200),
        ("outages of Slack", 100),
        ("posts whose answer was lost", 300),
        ("calls to the database that were cut", 5_000),
        ("clicks whose outcome was not known", 100),
        ("repeated clicks", 2_000),
        ("clicks delivered out of order", 500),
        ("people changed", 1_000),
    ];
    for (what, of_thousand_seeds) in wanted {
        let (count, enough) = (
            totals.get(what).copied().unwrap_or_default(),
            of_thousand_seeds * seeds / 1_000,
        );
        assert!(
            count >= enough,
            "only {count} × {what} in {seeds} seeds, at least {enough} prove something"
        );
    }
}
