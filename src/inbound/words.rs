//! Checklists and waivers: which form somebody gets, and what comes back from it.

use super::forms::{in_form, unread};
use super::{Asked, Inbound, Reply};
use crate::fresh;
use crate::handle::HandleError;
use crate::jobs::view::Scene;
use crate::slack::modals;
use crate::slack::payload::FormView;
use crate::slack::texts::replies::{self, Instead};
use domain::command::{Attested, AttestedLine, Intent, WaiverRequest};
use domain::ids::{PersonId, ReleaseKey};
use domain::intents::authority::Ask;
use domain::role::Role;
use domain::rule::Rule;
use domain::rules::plan::is_said;

/// Somebody who asks for a form about a release.
struct Visit {
    /// What they are, for its service.
    roles: Vec<Role>,
    person: PersonId,
    scene: Scene,
}

impl Inbound {
    /// Opens the checklist of one of the person's roles; asks which one if several have something to say.
    pub(super) async fn open_checklist(
        &self,
        asked: &Asked,
        key: &ReleaseKey,
        role: Option<Role>,
    ) -> Result<Reply, HandleError> {
        let Visit { roles, person, scene } = match self.visit(asked, key, Ask::Attest).await? {
            Ok(visit) => visit,
            Err(reply) => return Ok(reply),
        };
        let Some(view) = scene.view(&self.handler, true) else {
            return Ok(Reply::Empty);
        };
        let has_lines = |role: &Role| modals::has_checklist(&view, *role, &person);
        let roles: Vec<Role> = roles.into_iter().filter(has_lines).collect();
        let chosen = role.filter(|role| roles.contains(role));
        let only = match roles.as_slice() {
            [only] if role.is_none() => Some(*only),
            _ => None,
        };
        match chosen.or(only).filter(|_| view.is_before_start()) {
            Some(role) => {
                let form = modals::attest(&view, role, &person);
                self.open(asked, &form, &Instead::Checklist(key)).await
            }
            None if roles.len() > 1 && role.is_none() && view.is_before_start() => {
                Ok(Reply::private(&replies::choose_checklist(&view, &roles)))
            }
            None => Ok(Reply::private(&replies::nothing_to_confirm(&view))),
        }
    }

    /// Opens the form that excuses a rule.
    pub(super) async fn open_waiver(
        &self,
        asked: &Asked,
        key: &ReleaseKey,
        rule: Option<Rule>,
    ) -> Result<Reply, HandleError> {
        let Visit { roles, scene, .. } = match self.visit(asked, key, Ask::Waive).await? {
            Ok(visit) => visit,
            Err(reply) => return Ok(reply),
        };
        let Some(view) = scene.view(&self.handler, true) else {
            return Ok(Reply::Empty);
        };
        let gates = modals::to_waive(&view, &roles);
        if gates.is_empty() {
            return Ok(Reply::private(&replies::nothing_to_waive(&view)));
        }
        let form = modals::waive(&view, &gates, rule);
        self.open(asked, &form, &Instead::Waiver(key)).await
    }

    /// Who asks for a form about `key` and what it shows, or why they get none.
    async fn visit(&self, asked: &Asked, key: &ReleaseKey, ask: Ask) -> Result<Result<Visit, Reply>, HandleError> {
        let case = match self.permit(asked, ask, Some(key)).await? {
            Ok(case) => case,
            Err(refusal) => return Ok(Err(Reply::private(&refusal))),
        };
        let Some(scene) = self.handler.scene(key).await? else {
            return Ok(Err(self.no_such(asked, key).await?));
        };
        let person = self.person(&asked.user).await?;
        let facts = case.people.facts.get(&person);
        let held = |role: &Role| facts.is_some_and(|facts| facts.holds(*role));
        Ok(Ok(Visit {
            roles: Role::ALL.into_iter().filter(held).collect(),
            person,
            scene,
        }))
    }

    pub(super) async fn submitted_checklist(&self, asked: &Asked, filled: &FormView) -> Result<Reply, HandleError> {
        let fields = match modals::read_attest(filled) {
            Ok(fields) => fields,
            Err(error) => return Ok(unread(&error)),
        };
        let Some(role) = fields.value.role else {
            return Ok(unread(&modals::ReadError::Unreadable));
        };
        let note = fields.note.filter(|note| is_said(note));
        let note = || note.clone().map(fresh::private_text);
        let lines = fields.rules.iter().map(|rule| AttestedLine {
            rule: *rule,
            note: note(),
        });
        // Whoever signs here goes by the card, and by what they have ticked.
        let card = if fields.signs {
            self.seen_when_typed(&fields.value.release).await?
        } else {
            None
        };
        let said: Vec<String> = fields
            .rules
            .iter()
            .map(|rule| format!("{}: {}", rule.id(), rule.summary()))
            .collect();
        let intent = Intent::Attest(Box::new(Attested {
            role,
            view: fields.value.view,
            lines: lines.collect(),
            signs: fields.signs,
            seen: card.map(|card| fresh::private_text(format!("{}\n{}", card.value, said.join("\n")))),
        }));
        Ok(in_form(&self.decide(asked, &fields.value.release, None, intent).await?))
    }

    pub(super) async fn submitted_waiver(&self, asked: &Asked, filled: &FormView) -> Result<Reply, HandleError> {
        let fields = match modals::read_waive(filled) {
            Ok(fields) => fields,
            Err(error) => return Ok(unread(&error)),
        };
        let intent = Intent::Waive(Box::new(WaiverRequest {
            rule: fields.rule,
            view: fields.value.view,
            justification: fresh::private_text(fields.justification),
            follow_up_ms: fields.follow_up_ms,
        }));
        Ok(in_form(&self.decide(asked, &fields.value.release, None, intent).await?))
    }
}
