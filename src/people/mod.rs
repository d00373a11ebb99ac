//! Who is this, and what may they be: Slack's word on people and groups, joined with the configuration, each answer
//! with its age. What can't be read is missing, never guessed; no name, e-mail or text gives anybody a role.

mod answers;
mod look_up;
mod members;
mod standing;

pub use look_up::KnownPeople;
pub use members::{Member, Memberships, SlackUser};
pub use standing::standing_of;

use crate::slack::client::SlackClient;
use answers::{Answers, Seen};
use domain::ids::{MINUTE_MS, Millis, ServiceName};
use domain::people::{PersonFacts, Standing};
use domain::role::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Tells the time in UTC milliseconds.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// How old an answer of Slack may be at a decision (clause on roles: at the click and at the start).
pub const MAX_AGE_MS: Millis = MINUTE_MS;
/// How long asking may take while a person waits.
pub const BUDGET: Duration = Duration::from_secs(1);
/// People that one question may be about, all roles of a service together; more are not answered.
const PEOPLE_MAX: usize = 500;

/// A group's members, ids that are none left out.
type Members = Arc<BTreeSet<SlackUser>>;

/// Asks Slack, and remembers for a while.
pub struct Directory {
    memberships: Memberships,
    slack: SlackClient,
    clock: Clock,
    people: Arc<Answers<Standing>>,
    groups: Arc<Answers<Members>>,
}

impl Directory {
    /// A directory over `memberships`, with `clock` for the age of answers.
    pub fn new(memberships: Memberships, slack: SlackClient, clock: Clock) -> Self {
        Self {
            memberships,
            slack,
            people: Arc::new(Answers::new(5_000, Arc::clone(&clock))),
            groups: Arc::new(Answers::new(500, Arc::clone(&clock))),
            clock,
        }
    }

    /// Whether `user` may act at all, as Slack says or said within `max_age_ms`, and when it said so. None if Slack
    /// gave no answer within `budget`.
    pub async fn standing(&self, user: &SlackUser, max_age_ms: Millis, budget: Duration) -> Option<(Standing, Millis)> {
        let seen = tokio::time::timeout(budget, self.ask_person(user.clone(), max_age_ms))
            .await
            .ok()??;
        Some((seen.value, seen.observed_ms))
    }

    /// What is known of `users`, with their roles for `service` (without one: the general roles), from answers of at
    /// most `max_age_ms`, within `budget`. Who could not be read is missing; a role that only an unread group could
    /// give is untold. `observed_ms` is the oldest of all that an answer rests on.
    pub async fn facts(
        &self,
        users: &[SlackUser],
        service: Option<&ServiceName>,
        max_age_ms: Millis,
        budget: Duration,
    ) -> BTreeMap<SlackUser, PersonFacts> {
        let deadline = Instant::now() + budget;
        let mut asked = JoinSet::new();
        for user in users.iter().take(PEOPLE_MAX).cloned().collect::<BTreeSet<_>>() {
            let answer = self.ask_person(user.clone(), max_age_ms);
            asked.spawn(async move { (user, answer.await) });
        }
        let groups = self.read_groups(self.memberships.groups(service), max_age_ms, deadline);
        let (people, groups) = tokio::join!(gather(asked, deadline), groups);
        let facts_of = |(user, seen): (SlackUser, Seen<Standing>)| {
            let facts = self.facts_of(&user, &seen, service, &groups);
            (user, facts)
        };
        people.into_iter().map(facts_of).collect()
    }

    fn facts_of(
        &self,
        user: &SlackUser,
        seen: &Seen<Standing>,
        service: Option<&ServiceName>,
        groups: &BTreeMap<String, Seen<Members>>,
    ) -> PersonFacts {
        let membership = |role: &Role| {
            let members = self.memberships.members(service, *role);
            let own = members.iter().find_map(|member| match member {
                // Not by what name: a sign-off keeps this for ever.
                Member::Person { slack_user, .. } if slack_user == user => Some("person".to_owned()),
                _ => None,
            });
            let by_group = || {
                members.iter().find_map(|member| match member {
                    Member::Group { id } if groups.get(id)?.value.contains(user) => Some(format!("group:{id}")),
                    _ => None,
                })
            };
            own.or_else(by_group)
        };
        let roles: BTreeMap<Role, String> = Role::ALL
            .into_iter()
            .filter_map(|role| Some((role, membership(&role)?)))
            .collect();
        let has_unread_group = |role: &Role| {
            let mut ids = self
                .memberships
                .members(service, *role)
                .iter()
                .filter_map(Member::group);
            ids.any(|id| !groups.contains_key(id))
        };
        let untold = Role::ALL
            .into_iter()
            .filter(|role| !roles.contains_key(role) && has_unread_group(role))
            .collect();
        // Not being in a group rests on that group's answer as much as being in it.
        let oldest_group = groups.values().map(|group| group.observed_ms).min();
        PersonFacts {
            standing: seen.value,
            roles,
            untold,
            observed_ms: oldest_group.map_or(seen.observed_ms, |group| group.min(seen.observed_ms)),
        }
    }

    /// Who holds `role` for `service`, in the order of the configuration; none if one of its groups is not known
    /// within `budget`. An empty list is a role with nobody in it. After [`Directory::facts`] the groups are
    /// remembered, and a budget of zero asks nobody.
    pub async fn holders(
        &self,
        role: Role,
        service: Option<&ServiceName>,
        max_age_ms: Millis,
        budget: Duration,
    ) -> Option<Vec<SlackUser>> {
        let members = self.memberships.members(service, role);
        let ids: BTreeSet<String> = members.iter().filter_map(Member::group).map(str::to_owned).collect();
        let groups = self.read_groups(ids, max_age_ms, Instant::now() + budget).await;
        let mut holders = Vec::new();
        for member in members {
            let add = match member {
                Member::Person { slack_user, .. } => vec![slack_user.clone()],
                Member::Group { id } => groups.get(id)?.value.iter().cloned().collect(),
            };
            for user in add {
                if !holders.contains(&user) {
                    holders.push(user);
                }
            }
        }
        Some(holders)
    }

    /// Everybody who has some role for `service`, as far as known within `budget`: whom to ask about.
    pub async fn members_of_all(
        &self,
        service: Option<&ServiceName>,
        max_age_ms: Millis,
        budget: Duration,
    ) -> BTreeSet<SlackUser> {
        let groups = self
            .read_groups(self.memberships.groups(service), max_age_ms, Instant::now() + budget)
            .await;
        let people = self.memberships.people(service);
        groups
            .into_values()
            .flat_map(|group| group.value.iter().cloned().collect::<Vec<_>>())
            .chain(people)
            .collect()
    }

    async fn read_groups(
        &self,
        ids: BTreeSet<String>,
        max_age_ms: Millis,
        deadline: Instant,
    ) -> BTreeMap<String, Seen<Members>> {
        let max_age_ms = max_age_ms.min(MAX_AGE_MS);
        let (mut known, mut asked) = (BTreeMap::new(), JoinSet::new());
        for id in ids {
            // What is remembered is there without waiting, also with a budget of zero.
            if let Some(seen) = self.groups.remembered(&id, max_age_ms) {
                known.insert(id, seen);
                continue;
            }
            let answer = self.ask_group(id.clone(), max_age_ms);
            asked.spawn(async move { (id, answer.await) });
        }
        known.extend(gather(asked, deadline).await);
        known
    }

    fn ask_person(
        &self,
        user: SlackUser,
        max_age_ms: Millis,
    ) -> impl Future<Output = Option<Seen<Standing>>> + Send + use<> {
        let (slack, team_id) = (self.slack.clone(), self.memberships.team_id.clone());
        let answers = Arc::clone(&self.people);
        async move {
            let key = user.as_str().to_owned();
            let ask = move || {
                let (slack, user, team_id) = (slack.clone(), user.clone(), team_id.clone());
                async move {
                    let facts = slack.user(user.as_str()).await;
                    let facts = facts.inspect_err(|problem| tracing::warn!(%problem, "people: users.info"));
                    Some(
                        facts
                            .ok()?
                            .map_or(Standing::Unknown, |facts| standing_of(&facts, &user, &team_id)),
                    )
                }
            };
            answers.get(key, max_age_ms, ask).await
        }
    }

    fn ask_group(&self, id: String, max_age_ms: Millis) -> impl Future<Output = Option<Seen<Members>>> + Send + use<> {
        let (slack, answers) = (self.slack.clone(), Arc::clone(&self.groups));
        async move {
            let key = id.clone();
            let ask = move || {
                let (slack, id) = (slack.clone(), id.clone());
                async move {
                    let members = slack.group_members(&id).await;
                    let members = members
                        .inspect_err(|problem| tracing::warn!(group = %id, %problem, "people: usergroups.users.list"));
                    let members = members.ok()?.into_iter().filter_map(|user| SlackUser::new(user).ok());
                    Some(Arc::new(members.collect()))
                }
            };
            answers.get(key, max_age_ms, ask).await
        }
    }

    /// The clock that ages are counted by.
    pub fn now_ms(&self) -> Millis {
        (self.clock)()
    }
}

/// What has been answered by the deadline.
async fn gather<K: Ord + 'static, V: 'static>(
    mut asked: JoinSet<(K, Option<Seen<V>>)>,
    deadline: Instant,
) -> BTreeMap<K, Seen<V>> {
    let mut answered = BTreeMap::new();
    while let Ok(Some(joined)) = tokio::time::timeout_at(deadline, asked.join_next()).await {
        if let Ok((key, Some(seen))) = joined {
            answered.insert(key, seen);
        }
    }
    answered
}
