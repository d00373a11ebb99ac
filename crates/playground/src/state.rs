//! Everything the workspace remembers, behind one lock, and the handle all parts share.
//! Holds data; the rules live in the modules that extend it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::MovableClock;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::limits::RateLimits;
use crate::mailbox::Mailbox;
use crate::messages::{Ephemeral, Message};
use crate::seed::{Channel, Group, User, Workspace};
use crate::tickets::{ResponseUrl, Trigger};
use crate::views::OpenView;

/// A short-lived notice for one person, such as a failed click.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Notice {
    pub id: u64,
    pub user: String,
    pub text: String,
}

#[derive(Debug)]
pub(crate) struct State {
    /// Identity of team, app and bot; people and channels move into the maps below.
    pub seed: Workspace,
    pub users: BTreeMap<String, User>,
    pub channels: BTreeMap<String, Channel>,
    pub groups: BTreeMap<String, Group>,
    pub messages: Vec<Message>,
    pub ephemerals: Vec<Ephemeral>,
    pub mailbox: Mailbox,
    /// Open modals per person, the topmost last.
    pub views: HashMap<String, Vec<OpenView>>,
    /// What people have selected in messages but not sent: by (user, channel, ts).
    pub selections: HashMap<(String, String, String), Value>,
    pub triggers: HashMap<String, Trigger>,
    pub response_urls: HashMap<String, ResponseUrl>,
    pub journal: Journal,
    pub faults: Faults,
    pub limits: RateLimits,
    pub notices: VecDeque<Notice>,
    pub bot_urls: Vec<String>,
    /// Ids of people and channels in the order they were seeded, which is how the page lists them.
    pub order: Vec<String>,
    /// Rotates through the bot's addresses like a load balancer.
    pub next_bot: usize,
    pub bot_reachable: bool,
    next_notice: u64,
}

impl State {
    fn new(mut seed: Workspace, bot_urls: Vec<String>) -> Self {
        if !seed.users.iter().any(|user| user.id == seed.bot_user_id) {
            let mut bot = User::member(&seed.bot_user_id, "countersign", &seed.bot_name, "app");
            bot.is_bot = true;
            bot.email = None;
            seed.users.push(bot);
        }
        let users = std::mem::take(&mut seed.users);
        let channels = std::mem::take(&mut seed.channels);
        let groups = std::mem::take(&mut seed.groups);
        let order = users.iter().map(|user| user.id.clone());
        let order = order.chain(channels.iter().map(|channel| channel.id.clone())).collect();
        Self {
            order,
            users: users.into_iter().map(|user| (user.id.clone(), user)).collect(),
            channels: channels
                .into_iter()
                .map(|channel| (channel.id.clone(), channel))
                .collect(),
            groups: groups.into_iter().map(|group| (group.id.clone(), group)).collect(),
            seed,
            messages: Vec::new(),
            ephemerals: Vec::new(),
            mailbox: Mailbox::default(),
            views: HashMap::new(),
            selections: HashMap::new(),
            triggers: HashMap::new(),
            response_urls: HashMap::new(),
            journal: Journal::default(),
            faults: Faults::default(),
            limits: RateLimits::default(),
            notices: VecDeque::new(),
            bot_urls,
            next_bot: 0,
            bot_reachable: false,
            next_notice: 0,
        }
    }

    /// Where an id stands in lists; later additions come last.
    pub fn rank(&self, id: &str) -> usize {
        self.order.iter().position(|known| known == id).unwrap_or(usize::MAX)
    }

    /// The direct message between the bot and a person, opened if need be.
    pub fn open_dm(&mut self, user: &str) -> String {
        let id = dm_id(user);
        let bot = self.seed.bot_user_id.clone();
        self.channels
            .entry(id.clone())
            .or_insert_with(|| Channel::direct(&id, user, &bot));
        id
    }

    /// Tells one person something that is no message.
    pub fn notify(&mut self, user: &str, text: &str) {
        self.next_notice += 1;
        self.notices.push_back(Notice {
            id: self.next_notice,
            user: user.to_owned(),
            text: text.to_owned(),
        });
        if self.notices.len() > 50 {
            self.notices.pop_front();
        }
    }

    /// The name shown for a person, or the id of an unknown one.
    pub fn name_of<'a>(&'a self, user: &'a str) -> &'a str {
        self.users.get(user).map_or(user, |known| known.name.as_str())
    }
}

/// The id of the bot's direct message with a person: `U0RITA` has `D0RITA`.
pub(crate) fn dm_id(user: &str) -> String {
    format!("D{}", user.get(1..).unwrap_or(user))
}

/// What all parts of the playground share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub clock: MovableClock,
    /// Counts changes a page may want to show.
    pub changes: watch::Sender<u64>,
    pub rate_limits: AtomicBool,
    pub base_url: String,
    /// Where mail is taken, if it is.
    pub mail_url: Option<String>,
    pub commands: Vec<crate::CommandHint>,
    pub steps: Vec<String>,
}

impl Shared {
    pub fn new(options: crate::Options, clock: MovableClock, base_url: String, mail_url: Option<String>) -> Self {
        Self {
            state: Mutex::new(State::new(options.workspace, options.bot_urls)),
            clock,
            changes: watch::Sender::new(0),
            rate_limits: AtomicBool::new(options.rate_limits),
            base_url,
            mail_url,
            commands: options.commands,
            steps: options.steps,
        }
    }

    /// Locks the state; never hold it across an `await`.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // Each change is made whole before anything can fail, so a dead thread leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while the bot is held to Slack's rate limits.
    pub fn is_limited(&self) -> bool {
        self.rate_limits.load(Ordering::Relaxed)
    }

    /// Lets the pages know that there is something new.
    pub fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}
