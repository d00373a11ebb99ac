//! Turns what Slack has signed into commands, and verdicts into answers. Decides nothing: what is asked goes through
//! [`crate::handle`], and only active members get any answer but a refusal.

mod clicks;
mod commands;
mod forms;
mod reads;
mod words;

use crate::handle::{HandleError, Handled, Handler, Order, Verdict};
use crate::jobs::Outside;
use crate::people::{KnownPeople, SlackUser};
use crate::slack::blocks::Rendered;
use crate::slack::texts::{self, refusal::Attempted, replies::ChannelProblem};
use crate::slack::view::{Names, View};
use crate::store::Texts;
use domain::case::Case;
use domain::command::{Actor, Command, Intent};
use domain::ids::{PersonId, ReleaseKey, ServiceName};
use domain::intents::authority::{Ask, permit_person};
use domain::refusal::{Cause, Refusal};
use domain::rules::gates::{Moment, gates};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Slack waits 3 s; whatever is not decided by then was not decided.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// How much of that Slack may take to say who somebody is.
const FACTS_WITHIN: Duration = Duration::from_secs(1);

/// How long the end of the process waits for private answers that are on their way.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// How many keys a "did you mean" is chosen from.
const KNOWN_MAX: u32 = 200;

/// What comes in from Slack.
pub struct Inbound {
    /// The path.
    pub handler: Handler,
    /// The way out, for forms and private answers.
    pub outside: Arc<Outside>,
    /// Slack ids and the log's ids.
    pub people: Arc<KnownPeople>,
    /// What is wrong with #releases, as last seen.
    pub warnings: Arc<Mutex<Vec<String>>>,
    /// What goes on after an acknowledgement.
    pub later: Arc<Mutex<JoinSet<()>>>,
}

/// A verified request of one person.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub user: SlackUser,
    /// The id of the signed bytes.
    pub request: String,
    /// Until when the answer must be there.
    pub deadline: Instant,
    /// Opens a form.
    pub trigger: Option<String>,
    /// Takes a private answer later.
    pub response_url: Option<String>,
    /// The channel it was asked in.
    pub channel: Option<String>,
}

impl Asked {
    /// The request in the log, and in an answer that says that something is broken.
    fn id(&self) -> &str {
        &self.request[..12.min(self.request.len())]
    }
}

async fn check_releases_channel(outside: &Outside, known: &Mutex<Vec<String>>) -> Vec<ChannelProblem> {
    let channel = &outside.releases_channel;
    let mut problems = Vec::new();
    match outside.slack.channel(channel).await {
        Ok(facts) => {
            if facts.is_archived {
                problems.push(ChannelProblem::Archived);
            }
            if !facts.is_member {
                problems.push(ChannelProblem::NotAMember);
            }
        }
        Err(failure) => problems.push(ChannelProblem::NotLookedAt(failure.to_string())),
    }
    let warnings: Vec<String> = problems.iter().map(|problem| problem.line(channel)).collect();
    for warning in &warnings {
        tracing::error!(channel, "{warning}");
    }
    known
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone_from(&warnings);
    problems
}

/// What a refusal may quote: whoever may not read learns nothing of the release, not even whether there is one.
fn as_told<'a>(refusal: &Refusal, attempted: Attempted<'a>) -> Attempted<'a> {
    match refusal.cause {
        // What was asked for is their own word; whether that plans or edits, or whose role it takes, is not theirs to know.
        Cause::Standing(_) => Attempted {
            ask: match attempted.ask {
                Ask::EditPlan | Ask::EditDraft => Ask::Plan,
                ask => ask,
            },
            key: None,
            release: None,
            ..attempted
        },
        // Who it is isn't known yet.
        Cause::FactsUnavailable => Attempted {
            release: None,
            ..attempted
        },
        _ => attempted,
    }
}

/// Whether `intent` is about a release that has to exist.
fn intent_needs_release(intent: &Intent) -> bool {
    !matches!(intent, Intent::Plan(_) | Intent::RequestHotfix(_))
}

/// A message that only one person sees.
fn private_message(rendered: &Rendered) -> Value {
    json!({ "response_type": "ephemeral", "text": rendered.text, "blocks": rendered.blocks })
}

/// What is answered to Slack's request itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing but the acknowledgement.
    Empty,
    /// A message that only the asker sees, or a form's `response_action`.
    Body(Value),
}

impl Reply {
    /// A private message.
    pub fn private(rendered: &Rendered) -> Self {
        Self::Body(private_message(rendered))
    }

    fn saved(text: &str) -> Self {
        serde_json::from_str(text).map_or(Self::Empty, Self::Body)
    }
}

impl Inbound {
    /// What is wrong with #releases, as last seen.
    pub fn channel_warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether the bot can post to #releases: while there is time, not when the notice is due.
    pub async fn check_releases_channel(&self) {
        check_releases_channel(&self.outside, &self.warnings).await;
    }

    /// Goes on with `work` after the acknowledgement.
    fn later(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        while later.try_join_next().is_some() {}
        later.spawn(work);
    }

    /// Waits for what still goes on, for a while.
    pub async fn finish(&self) {
        let mut later = std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner));
        let done = async { while later.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FINISH_WITHIN, done).await;
    }

    /// Tells a person of another workspace that this is not theirs.
    pub fn turn_away(&self, asked: &Asked) {
        self.answer_later(asked, private_message(&texts::refusal::outsider()), false);
    }

    async fn person(&self, user: &SlackUser) -> Result<PersonId, HandleError> {
        let ids = self.people.ids(std::slice::from_ref(user)).await?;
        ids.get(user)
            .cloned()
            .ok_or_else(|| HandleError::Broken(anyhow::anyhow!("a person has no id")))
    }

    /// The people and, if it exists, the release around a question, without deciding anything.
    async fn surroundings(&self, person: &PersonId, release: Option<&ReleaseKey>) -> Result<Case, HandleError> {
        let release = match release {
            Some(key) => self.handler.release(key).await?.0,
            None => None,
        };
        let service = release.as_ref().map(|release| release.service.clone());
        let service = service.or_else(|| self.handler.targets.keys().next().cloned());
        let mut case = Case {
            release,
            ..Case::default()
        };
        if let Some(service) = service {
            let wanted = crate::handle::facts::Wanted {
                people: BTreeSet::from([person.clone()]),
                holders: false,
                service,
                within: FACTS_WITHIN,
            };
            case.people = self.handler.people.look_up(&wanted).await?;
        }
        Ok(case)
    }

    /// Whether this person may read at all, or ask for `ask`; guests and outsiders may nothing.
    async fn permit(
        &self,
        asked: &Asked,
        ask: Ask,
        release: Option<&ReleaseKey>,
    ) -> Result<Result<Case, Rendered>, HandleError> {
        let person = self.person(&asked.user).await?;
        let case = self.surroundings(&person, release).await?;
        let permitted =
            permit_person(&case, Ask::Read, &person, self.handler.clock.now_ms()).and_then(|()| match ask {
                Ask::Read => Ok(()),
                ask => permit_person(&case, ask, &person, self.handler.clock.now_ms()),
            });
        match permitted {
            Ok(()) => Ok(Ok(case)),
            Err(refusal) => Ok(Err(self.refusal(ask, &case, &refusal, release).await?)),
        }
    }

    async fn refusal(
        &self,
        ask: Ask,
        case: &Case,
        refusal: &Refusal,
        key: Option<&ReleaseKey>,
    ) -> Result<Rendered, HandleError> {
        let mentions = self.handler.mentions(&refusal.people.iter().cloned().collect()).await?;
        let plain = self.handler.plain(&mentions);
        let known = self.known_keys(refusal).await?;
        let attempted = Attempted {
            ask,
            key,
            release: case.release.as_ref(),
            names: Names {
                mentions: &mentions,
                plain: &plain,
            },
            texts: &BTreeMap::new(),
            known: &known,
            time_zone: "UTC",
        };
        Ok(texts::refusal::refusal(refusal, &as_told(refusal, attempted)))
    }

    /// Keys for "did you mean", read only where they are of use.
    async fn known_keys(&self, refusal: &Refusal) -> Result<Vec<ReleaseKey>, HandleError> {
        if refusal.cause != Cause::NoSuchRelease {
            return Ok(Vec::new());
        }
        self.keys().await
    }

    async fn keys(&self) -> Result<Vec<ReleaseKey>, HandleError> {
        let rows = self.handler.store.list("release/", None, &[], KNOWN_MAX).await?;
        Ok(rows
            .iter()
            .filter_map(|row| ReleaseKey::new(row.stream.strip_prefix("release/")?).ok())
            .collect())
    }

    /// Asks for `intent` in this person's name; the reply is made once and saved with the decision.
    async fn decide(
        &self,
        asked: &Asked,
        key: &ReleaseKey,
        service: Option<ServiceName>,
        intent: Intent,
    ) -> Result<Handled, HandleError> {
        let person = self.person(&asked.user).await?;
        let scene = self.handler.scene(key).await?;
        let actor = Actor::Person(person.clone());
        let ask = Ask::of(&intent, scene.as_ref().and_then(|scene| scene.release()), &actor).word();
        let known = if scene.is_none() && intent_needs_release(&intent) {
            self.keys().await?
        } else {
            Vec::new()
        };
        let (mut mentions, mut words) = scene.map(|scene| (scene.mentions, scene.texts)).unwrap_or_default();
        mentions.insert(person.clone(), asked.user.as_str().to_owned());
        words.extend(
            intent
                .texts()
                .into_iter()
                .map(|text| (text.commitment(), text.value.clone())),
        );
        let plain = self.handler.plain(&mentions);
        let reply = |verdict: &Verdict<'_>| {
            let names = Names {
                mentions: &mentions,
                plain: &plain,
            };
            private_message(&self.answer(verdict, key, names, &words, &known)).to_string()
        };
        let order = Order {
            command: Command {
                actor,
                release: key.clone(),
                intent,
            },
            service,
            request: Some(asked.request.clone()),
            settles: None,
            deadline: asked.deadline,
            facts_within: FACTS_WITHIN,
            reply: &reply,
        };
        let began = Instant::now();
        let by = order.command.actor.id().to_owned();
        let handled = self.handler.handle(order).await;
        let verdict = match &handled {
            Ok(Handled::Done { events, .. }) if events.is_empty() => "nothing changed".to_owned(),
            Ok(Handled::Done { .. }) => "recorded".to_owned(),
            Ok(Handled::Refused { refusal, .. }) => format!("refused by {}: {}", refusal.rule, refusal.cause.word()),
            Ok(Handled::Duplicate { .. }) => "answered before".to_owned(),
            Ok(Handled::LostJob) | Err(_) => "not decided".to_owned(),
        };
        let (request, took_ms) = (asked.id(), began.elapsed().as_millis());
        tracing::info!(request, release = %key, by, ask, verdict, took_ms, "{ask} {key}: {verdict}");
        handled
    }

    fn answer(
        &self,
        verdict: &Verdict<'_>,
        key: &ReleaseKey,
        names: Names<'_>,
        words: &Texts,
        known: &[ReleaseKey],
    ) -> Rendered {
        let now_ms = self.handler.clock.now_ms();
        match verdict {
            Verdict::Done { before, case, events } => {
                let Some(release) = &case.release else {
                    return texts::replies::duplicate(Some(key));
                };
                let gates = gates(case, &self.handler.policy, now_ms, Moment::Overview);
                let view = View {
                    release,
                    version: 0,
                    gates: &gates,
                    names,
                    texts: words,
                    service: &case.service,
                    people: &case.people,
                    ways: self.handler.ways,
                    policy: &self.handler.policy,
                    now_ms,
                    dead_jobs: 0,
                    can_have_buttons: true,
                };
                texts::replies::done(before.release.as_ref(), &view, events)
            }
            Verdict::Refused { case, ask, refusal } => {
                let attempted = Attempted {
                    ask: *ask,
                    key: Some(key),
                    release: case.release.as_ref(),
                    names,
                    texts: words,
                    known,
                    time_zone: "UTC",
                };
                texts::refusal::refusal(refusal, &as_told(refusal, attempted))
            }
        }
    }

    /// The answer to a failure of ours: honest about what is known, with an id for the log.
    fn trouble(asked: &Asked, key: Option<&ReleaseKey>, error: &HandleError) -> Rendered {
        let id = asked.id();
        match error {
            HandleError::Unknown(_) => {
                tracing::error!(request = id, %error, "request {id}: the outcome is not known");
                texts::replies::not_known_yet(key)
            }
            HandleError::Unavailable(_) | HandleError::Busy => {
                tracing::warn!(request = id, %error, "request {id} could not be served");
                texts::replies::busy(id)
            }
            HandleError::Newer(_) => {
                tracing::warn!(request = id, %error, "request {id} is for a newer version");
                texts::replies::newer(key)
            }
            HandleError::Broken(_) => {
                tracing::error!(request = id, %error, "request {id} failed");
                texts::replies::internal_error(id)
            }
        }
    }

    /// Sends a private answer to a click after it was acknowledged. Best effort: the card says the same.
    fn answer_later(&self, asked: &Asked, body: Value, replace: bool) {
        let Some(url) = asked.response_url.clone() else { return };
        let outside = Arc::clone(&self.outside);
        self.later(async move {
            if let Err(failure) = outside.slack.respond(&url, &body, replace).await {
                tracing::warn!(%failure, "a private answer was not delivered");
            }
        });
    }
}
