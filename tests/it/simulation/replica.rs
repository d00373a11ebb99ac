//! A replica: the shipped handler and workers, and the one point that every call outside passes, where the replica may be slow,
//! be stopped, or die.

use super::machine::Simulated;
use super::people::{TEAM, memberships};
use super::slack::Way;
use super::world::{RELEASES, SERVICES, World};
use countersign::clock::Clock;
use countersign::deploy::launch::OutputLimits;
use countersign::deploy::redact::Redactor;
use countersign::escalation::Escalation;
use countersign::handle::Handler;
use countersign::handle::facts::{BoxFuture, Facts};
use countersign::jobs::{Deployments, Outside, Script, Workers};
use countersign::people::{Directory, KnownPeople};
use countersign::records::mail::Mailer;
use countersign::slack::client::SlackClient;
use countersign::slack::view::Ways;
use countersign::store::{Line, Options, Passage, Store};
use domain::case::Target;
use domain::ids::ServiceName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// What the world can do to a replica.
pub struct Control {
    pub world: Arc<World>,
    pub host: String,
    dead: AtomicBool,
    frozen: AtomicBool,
    thawed: Notify,
    /// Dies when so many more calls have been passed; 0 never.
    calls_left: AtomicU64,
    /// Whether its line to the database is cut.
    pub is_cut: AtomicBool,
}

impl Control {
    /// Every call outside comes through here, before and after.
    pub async fn pass(&self) {
        let (turns, slow) = {
            let mut state = self.world.lock();
            (state.luck.below(3), state.troubles.freezes && state.luck.chance(1))
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if slow {
            self.world.count("calls that took half a minute");
            tokio::time::sleep(std::time::Duration::from_secs(33)).await;
        }
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            if !self.frozen.load(Ordering::Relaxed) {
                break;
            }
            self.thawed.notified().await;
        }
        if self.calls_left.load(Ordering::Relaxed) > 0 && self.calls_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.world.count("crashes within a call or between two");
            self.kill();
            std::future::pending::<()>().await;
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }

    /// kill -9: whatever it was about to do is not done.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.thawed.notify_waiters();
    }

    pub fn die_after(&self, calls: u64) {
        self.calls_left.store(calls, Ordering::Relaxed);
    }

    pub fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
        if !frozen {
            self.thawed.notify_waiters();
        }
    }
}

/// Its line to the database.
struct Cable(Arc<Control>);

impl Cable {
    async fn leg(&self, call: &'static str, may_break: bool) -> Passage {
        // A transaction that waits is ended by the database itself: nobody comes back to it half a minute later.
        if call != "commit" || !may_break {
            self.0.pass().await;
        }
        let mut state = self.0.world.lock();
        let broken = state.troubles.cut_lines && state.luck.chance(6);
        if broken || self.0.is_cut.load(Ordering::Relaxed) {
            state.count("calls to the database that were cut");
            return Passage::Cut;
        }
        Passage::Free
    }
}

impl Line for Cable {
    fn there(&self, call: &'static str) -> BoxFuture<'_, Passage> {
        Box::pin(async move {
            if self.0.is_dead() {
                std::future::pending::<()>().await;
            }
            self.leg(call, true).await
        })
    }

    fn back(&self, call: &'static str) -> BoxFuture<'_, Passage> {
        Box::pin(self.leg(call, false))
    }
}

pub struct Replica {
    pub control: Arc<Control>,
    pub handler: Handler,
    pub people: Arc<KnownPeople>,
    pub workers: Arc<Workers>,
}

pub fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn outside(control: &Arc<Control>, slack: SlackClient) -> Outside {
    let script = |name: &str| Script {
        program: format!("/srv/{name}"),
        arguments: vec!["{version}".to_owned()],
        working_directory: PathBuf::from("/srv"),
        timeout_ms: 900_000,
        pass_environment: Vec::new(),
        output: OutputLimits::default(),
    };
    Outside {
        slack,
        releases_channel: RELEASES.to_owned(),
        channels: SERVICES
            .iter()
            .map(|name| (service(name), format!("C0{}", name.to_uppercase())))
            .collect(),
        mailer: Some(Mailer::new("smtp://127.0.0.1:25", "countersign@acme.test").unwrap()),
        teams: vec!["all-teams@acme.test".to_owned()],
        mail_domain: "acme.test".to_owned(),
        escalation: Escalation::new(None, &["/bin/true".to_owned()]).unwrap(),
        deployments: Deployments {
            host: control.host.clone(),
            spool_root: PathBuf::from("/spools"),
            binary: PathBuf::from("/countersign"),
            scripts: SERVICES.iter().map(|name| (service(name), script(name))).collect(),
        },
        machine: Arc::new(Simulated(Arc::clone(control))),
        repositories: SERVICES
            .iter()
            .map(|name| (service(name), (*name).to_owned()))
            .collect(),
        witnesses: None,
        mailed: std::sync::Mutex::default(),
        redactor: Redactor::new(Vec::<String>::new()),
        seen_channels: std::sync::Mutex::default(),
        silent_hosts: std::sync::Mutex::default(),
    }
}

fn targets() -> BTreeMap<ServiceName, Target> {
    let target = |name: &&str| Target {
        service: service(name),
        environment: countersign::handle::production(),
        time_zone: "Europe/Berlin".to_owned(),
        has_repository: true,
    };
    SERVICES.iter().map(|name| (service(name), target(name))).collect()
}

impl Replica {
    /// Boots a process on a host.
    pub fn boot(world: &Arc<World>, host: &str) -> Self {
        world.count("boots");
        let control = Arc::new(Control {
            world: Arc::clone(world),
            host: host.to_owned(),
            dead: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            thawed: Notify::new(),
            calls_left: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
        });
        let now_ms: Arc<dyn Fn() -> i64 + Send + Sync> = {
            let world = Arc::clone(world);
            Arc::new(move || world.wall_ms())
        };
        let options = Options {
            clock: Arc::clone(&now_ms),
            wall: Arc::clone(&now_ms),
        };
        let store = Store::open_memory(&world.memory, Arc::new(Cable(Arc::clone(&control))), options);
        let slack = SlackClient::simulated(Arc::new(Way(Arc::clone(&control)))).unwrap();
        let directory = Directory::new(memberships(), slack.clone(), Arc::clone(&now_ms));
        let people = Arc::new(KnownPeople::new(directory, store.clone(), TEAM.to_owned()));
        let handler = Handler {
            store,
            people: Arc::clone(&people) as Arc<dyn Facts>,
            policy: Arc::new(crate::support::signatures_only()),
            targets: Arc::new(targets()),
            names: Arc::default(),
            ways: Ways {
                mail: true,
                pager: true,
            },
            clock: Clock::simulated(now_ms),
        };
        let workers = Workers::new(handler.clone(), Arc::new(outside(&control, slack)));
        Self {
            control,
            handler,
            people,
            workers,
        }
    }

    pub fn can_work(&self) -> bool {
        !self.control.is_dead() && !self.control.is_frozen()
    }
}
