//! Forms: opened in line, at most once per request, and changing nothing; what comes back is read, decided and answered
//! in the form itself.

use super::{Asked, FACTS_WITHIN, Inbound, Reply};
use crate::fresh;
use crate::handle::facts::Wanted;
use crate::handle::{HandleError, Handled};
use crate::people::SlackUser;
use crate::slack::blocks::Rendered;
use crate::slack::buttons::ButtonValue;
use crate::slack::modals::{
    self, Form, HotfixFields, HotfixPrefill, PlanFields, PlanPrefill, ReadError, ServiceChoice,
};
use crate::slack::payload::FormView;
use crate::slack::texts::replies::{self, Instead};
use crate::slack::view::Names;
use domain::command::{HotfixRequest, Intent, Proposal};
use domain::digest::PrivateText;
use domain::ids::{PersonId, ReleaseKey, ServiceName, Version};
use domain::intents::authority::Ask;
use domain::refusal::Cause;
use domain::role::Role;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The keys of hotfixes without a ticket.
const NUMBERED_BY_US: &str = "HOTFIX-";
/// How often the next free `HOTFIX-n` is tried when others take it first.
const KEY_TRIES_MAX: u32 = 5;

impl Inbound {
    pub(super) fn services(&self) -> Vec<ServiceChoice> {
        let choice = |target: &domain::case::Target| ServiceChoice {
            name: target.service.clone(),
            has_repository: target.has_repository,
        };
        self.handler.targets.values().map(choice).collect()
    }

    /// Opens the plan form: empty, prefilled from what was typed, or with the plan that exists.
    pub(super) async fn open_plan(
        &self,
        asked: &Asked,
        key: Option<ReleaseKey>,
        service: Option<ServiceName>,
        version: Option<Version>,
    ) -> Result<Reply, HandleError> {
        let scene = match &key {
            Some(key) => self.handler.scene(key).await?,
            None => None,
        };
        let ask = if scene.is_some() { Ask::Read } else { Ask::Plan };
        if let Err(refusal) = self.permit(asked, ask, key.as_ref()).await? {
            return Ok(Reply::private(&refusal));
        }
        let typed = typed([
            key.as_ref().map(ToString::to_string),
            service.as_ref().map(ToString::to_string),
            version.as_ref().map(Version::tag),
        ]);
        let existing = scene.as_ref().and_then(|scene| scene.view(&self.handler, true));
        let prefill = match &existing {
            Some(view) => PlanPrefill::of(view),
            None => PlanPrefill::new(key, service, version, self.handler.clock.now_ms()),
        };
        let form = modals::plan(&prefill, &self.services());
        self.open(asked, &form, &Instead::Plan(typed)).await
    }

    pub(super) async fn open_hotfix(
        &self,
        asked: &Asked,
        service: Option<ServiceName>,
        version: Option<Version>,
    ) -> Result<Reply, HandleError> {
        if let Err(refusal) = self.permit(asked, Ask::RequestHotfix, None).await? {
            return Ok(Reply::private(&refusal));
        }
        let ctos = match service.clone().or_else(|| self.handler.targets.keys().next().cloned()) {
            Some(service) => self.ctos(service).await?,
            None => Vec::new(),
        };
        let mentions = self.handler.mentions(&ctos.iter().cloned().collect()).await?;
        let plain = self.handler.plain(&mentions);
        let prefill = HotfixPrefill {
            service,
            version,
            ctos: &ctos,
            names: Names {
                mentions: &mentions,
                plain: &plain,
            },
            policy: &self.handler.policy,
        };
        let view = modals::hotfix(&prefill, &self.services());
        let typed = typed([
            prefill.service.as_ref().map(ToString::to_string),
            prefill.version.as_ref().map(Version::tag),
        ]);
        let opened = self.open(asked, &view, &Instead::Hotfix(typed)).await;
        self.warn_of_releases_channel(asked);
        opened
    }

    async fn ctos(&self, service: ServiceName) -> Result<Vec<PersonId>, HandleError> {
        let wanted = Wanted {
            people: BTreeSet::new(),
            holders: false,
            service,
            within: FACTS_WITHIN,
        };
        Ok(self
            .handler
            .people
            .look_up(&wanted)
            .await?
            .holders_of(Role::Cto)
            .to_vec())
    }

    /// While there is time: a hotfix whose notice could not be posted is better known now.
    fn warn_of_releases_channel(&self, asked: &Asked) {
        let (outside, asked, warnings) = (Arc::clone(&self.outside), asked.clone(), Arc::clone(&self.warnings));
        self.later(async move {
            for problem in super::check_releases_channel(&outside, &warnings).await {
                let text = replies::releases_channel_unusable(&problem);
                let Some(url) = &asked.response_url else { continue };
                if let Err(failure) = outside.slack.respond(url, &super::private_message(&text), false).await {
                    tracing::warn!(%failure, "a warning about #releases was not delivered");
                }
            }
        });
    }

    /// Opens the form that asks why.
    pub(super) async fn open_reason(
        &self,
        asked: &Asked,
        form: Form,
        value: ButtonValue,
    ) -> Result<Reply, HandleError> {
        let key = value.release.clone();
        if let Err(refusal) = self.permit(asked, Ask::Read, Some(&key)).await? {
            return Ok(Reply::private(&refusal));
        }
        let Some(scene) = self.handler.scene(&key).await? else {
            return self.no_such(asked, &key).await;
        };
        let Some(view) = scene.view(&self.handler, true) else {
            return Ok(Reply::Empty);
        };
        let modal = match form {
            Form::Withdraw => modals::withdraw(&view, &value),
            Form::Cancel => modals::cancel(&view, &value),
            _ => modals::reject(&view, &value),
        };
        self.open(asked, &modal, &Instead::Reason(form, &key)).await
    }

    /// Opens a view in line, at most once per request.
    pub(super) async fn open(&self, asked: &Asked, view: &Value, instead: &Instead<'_>) -> Result<Reply, HandleError> {
        let Some(trigger) = &asked.trigger else {
            return Ok(Reply::private(&replies::form_not_opened(instead, false)));
        };
        if !self
            .handler
            .claim_request(asked.request.clone(), asked.deadline)
            .await?
        {
            return Ok(Reply::Empty);
        }
        match self
            .outside
            .slack
            .open_view(trigger, view, asked.deadline.into_std())
            .await
        {
            Ok(()) => Ok(Reply::Empty),
            Err(failure) => {
                tracing::warn!(%failure, "a form could not be opened");
                let is_too_late = tokio::time::Instant::now() >= asked.deadline;
                Ok(Reply::private(&replies::form_not_opened(instead, is_too_late)))
            }
        }
    }

    /// Decides what a form asks for; the answer stands in the form.
    pub async fn submitted(&self, asked: &Asked, filled: &FormView) -> Reply {
        let answered = match Form::parse(&filled.callback_id) {
            Some(Form::Plan) => self.submitted_plan(asked, filled).await,
            Some(Form::Hotfix) => self.submitted_hotfix(asked, filled).await,
            Some(Form::Attest) => self.submitted_checklist(asked, filled).await,
            Some(Form::Waive) => self.submitted_waiver(asked, filled).await,
            Some(form) => self.submitted_reason(asked, form, filled).await,
            None => Ok(shown(&replies::unreadable())),
        };
        answered.unwrap_or_else(|error| shown(&Self::trouble(asked, None, &error)))
    }

    async fn submitted_plan(&self, asked: &Asked, filled: &FormView) -> Result<Reply, HandleError> {
        let fields = match modals::read_plan(filled, &self.services()) {
            Ok(fields) => fields,
            Err(error) => return Ok(unread(&error)),
        };
        if fields.edits.is_none() && is_numbered_by_us(&fields.key) {
            return Ok(numbered_by_us("key"));
        }
        let authors = self.authors(&fields.authors).await?;
        let (key, service) = (fields.key.clone(), fields.service.clone());
        let known = self.texts_of_plan(&key).await?;
        let intent = Intent::Plan(Box::new(proposal(fields, authors, known)));
        let handled = self.decide(asked, &key, service, intent).await?;
        if matches!(&handled, Handled::Refused { refusal, .. } if refusal.cause == Cause::StaleView) {
            // In the form, so that nothing that was typed is lost.
            return Ok(Reply::Body(modals::errors_response(&modals::plan_has_changed(&key))));
        }
        Ok(in_form(&handled))
    }

    /// The texts of the plan as it stands. A text that an edit leaves as it is keeps its commitment: another one would be
    /// another scope, and void what was signed.
    async fn texts_of_plan(&self, key: &ReleaseKey) -> Result<KnownTexts, HandleError> {
        let plan = self.handler.release(key).await?.0.and_then(|release| release.plan);
        let Some(plan) = plan else {
            return Ok(KnownTexts::default());
        };
        // Field by field: two fields that say the same, such as "none", have commitments of their own.
        let commitments = [plan.scope, plan.dependencies, plan.outcome, plan.abort_criteria];
        let texts = self.handler.store.private_texts(&commitments).await?;
        Ok(commitments.map(|of_field| texts.iter().find(|text| text.commitment() == of_field).cloned()))
    }

    async fn submitted_hotfix(&self, asked: &Asked, filled: &FormView) -> Result<Reply, HandleError> {
        let fields = match modals::read_hotfix(filled, &self.services()) {
            Ok(fields) => fields,
            Err(error) => return Ok(unread(&error)),
        };
        if fields.ticket.as_ref().is_some_and(is_numbered_by_us) {
            return Ok(numbered_by_us("ticket"));
        }
        let authors = self.authors(&fields.authors).await?;
        let named = fields.ticket.clone();
        for attempt in 0..KEY_TRIES_MAX {
            let key = match &named {
                Some(key) => key.clone(),
                None => self.next_hotfix_key(attempt).await?,
            };
            let intent = Intent::RequestHotfix(Box::new(hotfix_request(&fields, authors.clone())));
            let handled = self.decide(asked, &key, Some(fields.service.clone()), intent).await?;
            let taken = matches!(&handled, Handled::Refused { refusal, .. } if refusal.cause == Cause::KeyTaken);
            if !taken || named.is_some() {
                return Ok(in_form(&handled));
            }
        }
        Err(HandleError::Busy)
    }

    async fn next_hotfix_key(&self, ahead: u32) -> Result<ReleaseKey, HandleError> {
        let highest = self
            .handler
            .store
            .highest_key_number(&format!("release/{NUMBERED_BY_US}"))
            .await?;
        let key = ReleaseKey::new(format!("{NUMBERED_BY_US}{}", highest + 1 + u64::from(ahead)));
        key.map_err(|error| HandleError::Broken(anyhow::Error::new(error)))
    }

    async fn submitted_reason(&self, asked: &Asked, form: Form, filled: &FormView) -> Result<Reply, HandleError> {
        let fields = match modals::read_reason(filled, form) {
            Ok(fields) => fields,
            Err(error) => return Ok(unread(&error)),
        };
        let ButtonValue {
            release, role, view, ..
        } = fields.value;
        let reason = fields.reason.map(fresh::private_text);
        let intent = match (form, reason) {
            (Form::Withdraw, reason) => Intent::Withdraw { reason },
            (Form::Cancel, reason) => Intent::Cancel { reason },
            (_, reason) => Intent::Reject {
                role,
                view,
                reason: reason.unwrap_or_else(|| fresh::private_text("")),
            },
        };
        Ok(in_form(&self.decide(asked, &release, None, intent).await?))
    }

    /// The log's ids of the people whom a form names.
    async fn authors(&self, users: &BTreeSet<modals::SlackUser>) -> Result<BTreeSet<PersonId>, HandleError> {
        let users: Vec<SlackUser> = users
            .iter()
            .filter_map(|user| SlackUser::new(user.as_str()).ok())
            .collect();
        let ids: BTreeMap<SlackUser, PersonId> = self.people.ids(&users).await?;
        Ok(ids.into_values().collect())
    }
}

/// What was typed behind the verb, to type it again.
fn typed<const N: usize>(words: [Option<String>; N]) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Scope, dependencies, outcome and abort criteria as they stand; nothing for a new plan or an erased text.
type KnownTexts = [Option<PrivateText>; 4];

fn proposal(fields: PlanFields, authors: BTreeSet<PersonId>, known: KnownTexts) -> Proposal {
    let text = |value: String, known: Option<PrivateText>| {
        let same = known.filter(|text| text.value == value);
        same.unwrap_or_else(|| fresh::private_text(value))
    };
    let [scope, dependencies, outcome, abort_criteria] = known;
    Proposal {
        edits: fields.edits.map(|edits| edits.changes),
        kind: fields.kind,
        version: fields.version,
        start_ms: fields.start_ms,
        length_ms: fields.length_ms,
        scope: text(fields.scope, scope),
        dependencies: text(fields.dependencies, dependencies),
        user_facing: fields.user_facing,
        migration: fields.migration,
        outcome: text(fields.outcome, outcome),
        abort_criteria: text(fields.abort_criteria, abort_criteria),
        tickets: fields.tickets,
        authors,
        commit: fields.commit,
    }
}

fn hotfix_request(fields: &HotfixFields, authors: BTreeSet<PersonId>) -> HotfixRequest {
    HotfixRequest {
        version: fields.version.clone(),
        justification: fresh::private_text(fields.justification.clone()),
        tickets: fields.tickets.clone(),
        authors,
        commit: fields.commit.clone(),
    }
}

/// These numbers are given out one after the other; a plan or ticket that took one far ahead would end them.
fn is_numbered_by_us(key: &ReleaseKey) -> bool {
    key.as_str().starts_with(NUMBERED_BY_US)
}

fn numbered_by_us(input: &str) -> Reply {
    let text = format!(
        "Countersign numbers {NUMBERED_BY_US}… itself: leave it to a hotfix without a ticket, and use another key here."
    );
    Reply::Body(modals::errors_response(&BTreeMap::from([(input.to_owned(), text)])))
}

pub(super) fn unread(error: &ReadError) -> Reply {
    match error {
        ReadError::Errors(errors) => Reply::Body(modals::errors_response(errors)),
        ReadError::Unreadable => shown(&replies::unreadable()),
    }
}

/// The verdict, in the form: at its inputs where they can mend it, else in words.
pub(super) fn in_form(handled: &Handled) -> Reply {
    if let Handled::Refused { refusal, .. } = handled
        && let Some(errors) = modals::errors_of(refusal)
    {
        return Reply::Body(modals::errors_response(&errors));
    }
    let message: Value = serde_json::from_str(handled.reply()).unwrap_or_default();
    match message.get("blocks") {
        Some(blocks) => Reply::Body(show(blocks)),
        None => Reply::Empty,
    }
}

fn shown(rendered: &Rendered) -> Reply {
    Reply::Body(show(&rendered.blocks))
}

fn show(blocks: &Value) -> Value {
    let plain = |text: &str| json!({ "type": "plain_text", "text": text });
    let blocks: Vec<&Value> = blocks
        .as_array()
        .into_iter()
        .flatten()
        .filter(|block| block["type"] != "actions")
        .collect();
    json!({
        "response_action": "update",
        "view": { "type": "modal", "title": plain("Countersign"), "close": plain("Close"), "blocks": blocks },
    })
}
