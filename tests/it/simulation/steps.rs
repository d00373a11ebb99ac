//! What people do: who asks for what, by which button or words, and how often Slack delivers it.

use super::judge::Answered;
use super::people::{ROLES, Standing};
use super::replica::{Replica, service};
use super::run::Play;
use super::world::{BEGIN_MS, SERVICES, World};
use countersign::fresh;
use countersign::handle::{HandleError, Handled, Handler, Order, Verdict};
use countersign::people::{KnownPeople, SlackUser};
use countersign::slack::buttons::{ActionId, ButtonValue};
use domain::command::{Actor, Command, HotfixRequest, Intent, Proposal};
use domain::ids::{DAY_MS, HOUR_MS, MINUTE_MS, PersonId, ReleaseKey, ServiceName, Version};
use domain::release::{Migration, Release, SettlementChoice, Status};
use domain::role::Role;
use domain::rule::Kind;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What somebody wants, before it is an intent: names become ids where it is delivered.
#[derive(Debug, Clone)]
pub enum Wish {
    Plan {
        start_ms: i64,
        edits: Option<u32>,
        variant: u8,
        version: u64,
    },
    Hotfix {
        version: u64,
    },
    Press(ActionId, ButtonValue),
    Approve(Option<Role>),
    Reject,
    Withdraw,
    Cancel,
    Deploy,
    Stop,
    Settle(u32, SettlementChoice),
}

/// A click or command as Slack signs it.
#[derive(Debug, Clone)]
pub struct Click {
    pub request: String,
    pub user: &'static str,
    pub key: ReleaseKey,
    pub wish: Wish,
    /// By Slack's clock.
    pub signed_ms: i64,
}

/// A signature is believed for so long, as `src/slack/verify.rs` does.
const BELIEVED_MS: i64 = 5 * MINUTE_MS;

pub fn service_of(key: &ReleaseKey) -> ServiceName {
    service(super::machine::service_of(key.as_str()))
}

fn version(number: u64) -> Version {
    Version::new(format!("1.{number}.0")).unwrap()
}

fn reply(_: &Verdict<'_>) -> String {
    "{}".to_owned()
}

/// What the surface does with a verified click: the person's id, the intent, the path.
async fn deliver(handler: Handler, people: Arc<KnownPeople>, click: Click) -> Result<Handled, HandleError> {
    let deadline = Instant::now() + countersign::inbound::ANSWER_WITHIN;
    let names = [click.user, "U0MIA"].map(|user| SlackUser::new(user).unwrap());
    let ids = people.ids(&names).await?;
    let (person, author) = (ids[&names[0]].clone(), ids[&names[1]].clone());
    let service = matches!(click.wish, Wish::Plan { .. } | Wish::Hotfix { .. }).then(|| service_of(&click.key));
    let order = Order {
        command: Command {
            actor: Actor::Person(person),
            release: click.key.clone(),
            intent: intent(click.wish, author),
        },
        service,
        request: Some(click.request),
        settles: None,
        deadline,
        facts_within: Duration::from_secs(1),
        reply: &reply,
    };
    handler.handle(order).await
}

fn intent(wish: Wish, author: PersonId) -> Intent {
    let text = |value: &str| fresh::private_text(value);
    match wish {
        Wish::Plan {
            start_ms,
            edits,
            variant,
            version: number,
        } => Intent::Plan(Box::new(Proposal {
            edits,
            kind: Kind::Minor,
            version: version(number),
            start_ms,
            length_ms: 12 * HOUR_MS,
            scope: text(if variant == 1 { "another scope" } else { "the scope" }),
            dependencies: text("none"),
            user_facing: variant == 2,
            migration: if variant == 3 {
                Migration::Irreversible
            } else {
                Migration::None
            },
            outcome: text(if variant == 4 { "another outcome" } else { "it works" }),
            abort_criteria: text("errors"),
            tickets: BTreeSet::from([ReleaseKey::new("PAY-101").unwrap()]),
            authors: BTreeSet::from([author]),
            commit: None,
        })),
        Wish::Hotfix { version: number } => Intent::RequestHotfix(Box::new(HotfixRequest {
            version: version(number),
            justification: text("customers can't pay, and every minute costs"),
            tickets: BTreeSet::from([ReleaseKey::new("PAY-101").unwrap()]),
            authors: BTreeSet::from([author]),
            commit: None,
        })),
        Wish::Press(action, value) => pressed(action, value),
        Wish::Approve(role) => Intent::SignOff {
            role,
            view: None,
            seen: None,
        },
        Wish::Reject => Intent::Reject {
            role: None,
            view: None,
            reason: text("not like this"),
        },
        Wish::Withdraw => Intent::Withdraw { reason: None },
        Wish::Cancel => Intent::Cancel { reason: None },
        Wish::Deploy => Intent::Deploy,
        Wish::Stop => Intent::StopDeployment,
        Wish::Settle(attempt, choice) => Intent::Settle { attempt, choice },
    }
}

/// As `src/inbound/clicks.rs` reads a button; forms are filled in at once.
fn pressed(action: ActionId, value: ButtonValue) -> Intent {
    let ButtonValue {
        role, view, attempt, ..
    } = value;
    let reason = || fresh::private_text("not like this");
    match action {
        ActionId::Approve => Intent::SignOff { role, view, seen: None },
        ActionId::ChooseRole(role) => Intent::SignOff {
            role: Some(role),
            view,
            seen: None,
        },
        ActionId::Reject => Intent::Reject {
            role,
            view,
            reason: reason(),
        },
        ActionId::ChooseRoleToReject(role) => Intent::Reject {
            role: Some(role),
            view,
            reason: reason(),
        },
        ActionId::Withdraw => Intent::Withdraw { reason: None },
        ActionId::Cancel => Intent::Cancel { reason: None },
        ActionId::Stop => Intent::StopDeployment,
        ActionId::Settle(choice) => Intent::Settle {
            attempt: attempt.unwrap_or_default(),
            choice,
        },
        ActionId::Deploy | ActionId::Why | ActionId::EditPlan | ActionId::Checklist | ActionId::ChecklistAs(_) => {
            Intent::Deploy
        }
    }
}

/// Every button in a message.
fn buttons(blocks: &Value, found: &mut Vec<(ActionId, ButtonValue)>) {
    match blocks {
        Value::Array(items) => items.iter().for_each(|item| buttons(item, found)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            if let (Some(id), Some(value)) = (text("action_id"), text("value"))
                && let (Some(id), Ok(value)) = (ActionId::parse(id), ButtonValue::parse(value))
            {
                found.push((id, value));
            }
            fields.values().for_each(|item| buttons(item, found));
        }
        _ => {}
    }
}

/// Every button in a message, in its order.
fn buttons_in(blocks: &Value) -> Vec<(ActionId, ButtonValue)> {
    let mut found = Vec::new();
    buttons(blocks, &mut found);
    found
}

fn users_in(world: &World, fits: impl Fn(&Standing) -> bool) -> Vec<&'static str> {
    let state = world.lock();
    let fitting = state.people.iter().filter(|(_, person)| fits(person.is()));
    fitting.map(|(user, _)| *user).collect()
}

impl Play {
    /// Slack delivers a click, to one replica or to two at once.
    pub fn send(&mut self, click: &Click) {
        if (self.world.wall_ms() - click.signed_ms).abs() > BELIEVED_MS {
            self.world.count("clicks that were not believed");
            return;
        }
        let twice = self.luck(|luck| luck.chance(80));
        for _ in 0..if twice { 2 } else { 1 } {
            let able: Vec<usize> = (0..self.replicas.len())
                .filter(|at| self.replicas[*at].can_work())
                .collect();
            let Some(&at) = self.luck(|luck| luck.pick(&able).copied()).as_ref() else {
                return;
            };
            *self.deliveries.entry(click.request.clone()).or_default() += 1;
            let Replica { handler, people, .. } = &self.replicas[at];
            let work = deliver(handler.clone(), Arc::clone(people), click.clone());
            let (answers, request) = (Arc::clone(&self.answers), click.request.clone());
            self.tasks.spawn(async move {
                let result = work.await;
                answers.lock().unwrap().push(Answered {
                    request,
                    // Known when it is judged: it may have been delivered again while this one took its time.
                    is_only: false,
                    result,
                });
            });
            self.world.count("clicks delivered");
        }
    }

    fn click(&mut self, user: &'static str, key: ReleaseKey, wish: Wish) {
        self.clicks += 1;
        let click = Click {
            request: format!("request-{}", self.clicks),
            user,
            key,
            wish,
            signed_ms: BEGIN_MS + self.world.true_ms(),
        };
        // One that got lost comes with Slack's next try, after others that were pressed later.
        let is_late = self.luck(|luck| luck.chance(60));
        let how = if is_late { ", late" } else { "" };
        self.world
            .tell(&format!("{} for {}{how}: {:?}", click.user, click.key, click.wish));
        if is_late {
            self.world.count("clicks delivered out of order");
        } else {
            self.send(&click);
        }
        self.past.push(click);
    }

    /// One of a role, or once in a while anybody.
    fn somebody(&mut self, roles: &[Role]) -> &'static str {
        let anybody = users_in(&self.world, |_| true);
        let fitting = users_in(&self.world, |is| roles.iter().any(|role| is.roles.contains(role)));
        let strange = self.luck(|luck| luck.chance(120));
        let among = if strange || fitting.is_empty() {
            anybody
        } else {
            fitting
        };
        self.luck(|luck| *luck.pick(&among).unwrap())
    }

    /// Somebody proposes a release.
    pub fn propose(&mut self) {
        self.proposed += 1;
        let at = self.luck(|luck| luck.below(2));
        let prefix = ["PAY", "LED"][at];
        let key = ReleaseKey::new(format!("{prefix}-{}", self.proposed)).unwrap();
        let number = self.proposed;
        let has_tag = self.luck(|luck| !luck.chance(150));
        if has_tag {
            let tag = (SERVICES[at].to_owned(), version(number).tag());
            self.world.lock().tags.insert(tag, 'a');
        }
        if self.luck(|luck| luck.chance(550)) {
            let user = self.somebody(&[Role::DeploymentEngineer, Role::ReleaseManager]);
            self.click(user, key, Wish::Hotfix { version: number });
        } else {
            let user = self.somebody(&[Role::ReleaseManager]);
            let start_ms =
                self.world.wall_ms() + self.luck(|luck| [MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS, HOUR_MS][luck.below(4)]);
            let wish = Wish::Plan {
                start_ms,
                edits: None,
                variant: 0,
                version: number,
            };
            self.click(user, key, wish);
        }
    }

    /// Somebody edits a plan.
    pub fn edit(&mut self) {
        let plans: Vec<(ReleaseKey, u32, i64, u64)> = self
            .judge
            .all()
            .filter_map(|release| {
                let plan = release.plan.as_ref()?;
                let number = release.key.as_str().rsplit('-').next()?.parse().ok()?;
                Some((release.key.clone(), release.plan_changes, plan.start_ms, number))
            })
            .collect();
        let Some((key, changes, start_ms, version)) = self.luck(|luck| luck.pick(&plans).cloned()) else {
            return self.propose();
        };
        let (variant, later) = self.luck(|luck| (u8::try_from(luck.below(7)).unwrap(), luck.below(4)));
        let stale = self.luck(|luck| u32::from(luck.chance(100)));
        let wish = Wish::Plan {
            start_ms: start_ms + [0, 0, MINUTE_MS, DAY_MS][later],
            edits: Some(changes.saturating_sub(stale)),
            variant,
            version,
        };
        let user = self.somebody(&[Role::ReleaseManager]);
        self.click(user, key, wish);
    }

    /// Somebody presses a button that stands in some message.
    pub fn press(&mut self) {
        let found = {
            let state = self.world.lock();
            let mut found = Vec::new();
            for (channel, messages) in &state.slack.channels {
                for message in messages.iter().rev().take(12) {
                    let here = buttons_in(&message.blocks);
                    found.extend(here.into_iter().map(|button| (channel.clone(), button)));
                }
            }
            found
        };
        let found: Vec<_> = found
            .into_iter()
            .filter(|(_, (action, _))| !matches!(action, ActionId::Why | ActionId::EditPlan))
            .collect();
        // Mostly yes: releases have to get somewhere.
        let yes: Vec<_> = found
            .iter()
            .filter(|(_, (action, _))| {
                matches!(
                    action,
                    ActionId::Approve | ActionId::ChooseRole(_) | ActionId::Deploy | ActionId::Settle(_)
                )
            })
            .cloned()
            .collect();
        let among = if self.luck(|luck| luck.chance(850)) && !yes.is_empty() {
            yes
        } else {
            found
        };
        let Some((channel, (action, value))) = self.luck(|luck| luck.pick(&among).cloned()) else {
            return self.ask();
        };
        let owner = users_in(&self.world, |_| true)
            .into_iter()
            .find(|user| channel == format!("D{user}"));
        let user = match owner {
            Some(user) => user,
            None => self.somebody(match action {
                ActionId::Deploy => &[Role::DeploymentEngineer],
                _ => &ROLES,
            }),
        };
        self.click(user, value.release.clone(), Wish::Press(action, value));
    }

    /// Somebody types what helps a release on, or stops it.
    pub fn ask(&mut self) {
        let open: Vec<Release> = self
            .judge
            .all()
            .filter(|release| !matches!(release.status, Status::Cancelled))
            .cloned()
            .collect();
        let Some(release) = self.luck(|luck| luck.pick(&open).cloned()) else {
            return self.propose();
        };
        let key = release.key.clone();
        let what = self.luck(|luck| luck.below(100));
        let signers: Vec<Role> = if release.kind.is_emergency() {
            vec![Role::Cto, Role::Cto, Role::TechLead]
        } else {
            vec![Role::ProductOwner, Role::QaLead]
        };
        let role = self.luck(|luck| *luck.pick(&signers).unwrap());
        let interrupted = release
            .live_attempt()
            .filter(|_| release.status == Status::Interrupted)
            .map(|attempt| attempt.number);
        // Releases have to get somewhere.
        let what = match release.status {
            Status::Approved if what < 60 => 61,
            Status::Drafted if what < 60 => 70,
            _ => what,
        };
        let missing: Vec<Role> = release
            .asked
            .keys()
            .copied()
            .filter(|r| !release.sign_offs.contains_key(r))
            .collect();
        let role = self
            .luck(|luck| luck.pick(&missing).copied())
            .filter(|_| what < 61)
            .unwrap_or(role);
        let (roles, wish): (&[Role], Wish) = match (what, interrupted) {
            (0..=59, Some(attempt)) => {
                let choice = self.luck(|luck| SettlementChoice::ALL[luck.below(3)]);
                (
                    &[Role::DeploymentEngineer, Role::ReleaseManager, Role::TechLead],
                    Wish::Settle(attempt, choice),
                )
            }
            (0..=54, _) => (std::slice::from_ref(&role), Wish::Approve(None)),
            (55..=60, _) => (std::slice::from_ref(&role), Wish::Approve(Some(role))),
            (61..=82, _) => (&[Role::DeploymentEngineer], Wish::Deploy),
            (83..=87, _) => (std::slice::from_ref(&role), Wish::Reject),
            (88..=92, _) => (std::slice::from_ref(&role), Wish::Withdraw),
            (93..=95, _) => (&[Role::ReleaseManager, Role::Cto], Wish::Cancel),
            _ => (&[Role::DeploymentEngineer, Role::Cto], Wish::Stop),
        };
        let user = self.somebody(roles);
        self.click(user, key, wish);
    }

    /// Slack delivers an old click again.
    pub fn repeat(&mut self) {
        let recent = self.past.len().saturating_sub(10);
        if let Some(click) = self.luck(|luck| luck.pick(&self.past[recent..]).cloned()) {
            self.world.tell(&format!("again: {}", click.request));
            self.send(&click);
        }
    }

    /// Two people say the same of every attempt that nobody knows the end of.
    pub fn settle_interrupted(&mut self) {
        for (key, attempt) in self.judge.interrupted() {
            for user in ["U0RITA", "U0DEV"] {
                let wish = Wish::Settle(attempt, SettlementChoice::Failed);
                self.click(user, key.clone(), wish);
            }
        }
    }
}
