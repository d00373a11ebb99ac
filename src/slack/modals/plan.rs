//! The plan of a release (rule `plan.complete`): new, or edited with its present values.

use crate::slack::binding::of_plan;
use crate::slack::blocks::{context, section};
use crate::slack::gates::rule_ref;
use crate::slack::modals::inputs::{Input, commit, form};
use crate::slack::modals::read::{ReadError, Reader};
use crate::slack::modals::{Form, ServiceChoice, SlackUser};
use crate::slack::payload::FormView;
use crate::slack::view::View;
use domain::ids::{CommitSha, MINUTE_MS, Millis, ReleaseKey, ServiceName, Version};
use domain::release::Migration;
use domain::rule::{Kind, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Which plan a form edits; travels in its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditedPlan {
    /// Of which release.
    pub release: ReleaseKey,
    /// Its [`domain::release::Release::plan_changes`] when the form was opened.
    pub changes: u32,
}

/// What stands in the form when it opens.
#[derive(Debug, Clone, Default)]
pub struct PlanPrefill {
    /// The plan that is edited; a new one without it.
    pub edits: Option<EditedPlan>,
    /// The key.
    pub key: Option<ReleaseKey>,
    /// What is released.
    pub service: Option<ServiceName>,
    /// Which version.
    pub version: Option<Version>,
    /// Major or minor.
    pub kind: Option<Kind>,
    /// Planned start.
    pub start_ms: Option<Millis>,
    /// Planned length.
    pub length_ms: Option<Millis>,
    /// What is in it.
    pub scope: String,
    /// Tickets, as text.
    pub tickets: String,
    /// Dependencies.
    pub dependencies: String,
    /// Whether users notice.
    pub user_facing: Option<bool>,
    /// What happens to the database.
    pub migration: Option<Migration>,
    /// Expected outcome.
    pub outcome: String,
    /// When to abort.
    pub abort_criteria: String,
    /// Slack ids of the authors.
    pub authors: Vec<String>,
    /// The full commit, if it was typed.
    pub commit: String,
}

impl PlanPrefill {
    /// A new plan: from now, minor, half an hour.
    pub fn new(
        key: Option<ReleaseKey>,
        service: Option<ServiceName>,
        version: Option<Version>,
        now_ms: Millis,
    ) -> Self {
        Self {
            key,
            service,
            version,
            kind: Some(Kind::Minor),
            start_ms: Some(now_ms),
            length_ms: Some(30 * MINUTE_MS),
            ..Self::default()
        }
    }

    /// The present plan of a release; an erased text opens empty.
    pub fn of(view: &View<'_>) -> Self {
        let release = view.release;
        let text = |digest: Option<&domain::digest::Digest>| {
            digest
                .and_then(|digest| view.texts.get(digest))
                .cloned()
                .unwrap_or_default()
        };
        let plan = release.plan.as_ref();
        Self {
            edits: Some(EditedPlan {
                release: release.key.clone(),
                changes: release.plan_changes,
            }),
            key: Some(release.key.clone()),
            service: Some(release.service.clone()),
            version: Some(release.version.clone()),
            kind: Some(release.kind),
            start_ms: plan.map(|plan| plan.start_ms),
            length_ms: plan.map(|plan| plan.length_ms),
            scope: text(plan.map(|plan| &plan.scope)),
            tickets: release
                .tickets
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            dependencies: text(plan.map(|plan| &plan.dependencies)),
            user_facing: plan.map(|plan| plan.user_facing),
            migration: plan.map(|plan| plan.migration),
            outcome: text(plan.map(|plan| &plan.outcome)),
            abort_criteria: text(plan.map(|plan| &plan.abort_criteria)),
            authors: release
                .authors
                .iter()
                .filter_map(|person| view.names.mentions.get(person))
                .cloned()
                .collect(),
            commit: release
                .typed_commit
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}

/// A plan as it was filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFields {
    /// What was edited; nothing for a new release.
    pub edits: Option<EditedPlan>,
    /// The key.
    pub key: ReleaseKey,
    /// What is released; the release's own service when it is edited.
    pub service: Option<ServiceName>,
    /// Which version.
    pub version: Version,
    /// Major or minor.
    pub kind: Kind,
    /// Planned start.
    pub start_ms: Millis,
    /// Planned length.
    pub length_ms: Millis,
    /// What is in it.
    pub scope: String,
    /// The tickets in it.
    pub tickets: BTreeSet<ReleaseKey>,
    /// Dependencies, or "none".
    pub dependencies: String,
    /// Whether users notice.
    pub user_facing: bool,
    /// What happens to the database.
    pub migration: Migration,
    /// Expected outcome.
    pub outcome: String,
    /// When to abort.
    pub abort_criteria: String,
    /// Who wrote the commits.
    pub authors: BTreeSet<SlackUser>,
    /// The full commit, if typed.
    pub commit: Option<CommitSha>,
}

const KINDS: [(&str, &str); 2] = [
    ("minor", "Minor: small enhancements or fixes"),
    ("major", "Major: big features"),
];
const YES_NO: [(&str, &str); 2] = [("yes", "Yes, users will notice"), ("no", "No")];
const MIGRATIONS: [(&str, &str); 4] = [
    ("none", "None"),
    ("reversible", "Reversible: a down script exists"),
    ("expand_only", "Expand-only: the old version runs on the new schema"),
    ("irreversible", "Irreversible: no way back but a backup"),
];

/// The form.
pub fn plan(prefill: &PlanPrefill, services: &[ServiceChoice]) -> Value {
    // A key and a number always have a JSON form.
    let metadata = prefill
        .edits
        .as_ref()
        .map(|edits| serde_json::to_string(edits).unwrap_or_default());
    let metadata = metadata.unwrap_or_default();
    let mut blocks = head(prefill, services);
    blocks.extend([
        Input::line(
            "version",
            "Version",
            prefill.version.as_ref().map(Version::tag).unwrap_or_default().as_str(),
        )
        .hint("Its Git tag has the same name, such as v1.4.0.")
        .build(),
        Input::select("kind", "Kind", &KINDS, prefill.kind.map(Kind::key)).build(),
        Input::time("start", "Planned start", prefill.start_ms)
            .hint("In your own time zone. Nothing starts earlier.")
            .build(),
        Input::number(
            "length",
            "Length in minutes, the way back included",
            (1, 1_440),
            prefill.length_ms.map(|ms| ms / MINUTE_MS),
        )
        .hint("Sign-offs count until start + length.")
        .build(),
        Input::lines("scope", "Scope", &prefill.scope)
            .hint("What is in it, for the product owner.")
            .build(),
        Input::line("tickets", "Tickets", &prefill.tickets)
            .hint("Such as PAY-101, PAY-107; at most 100.")
            .build(),
        Input::lines("dependencies", "Dependencies", &prefill.dependencies)
            .hint("Internal and external ones, or “none”.")
            .build(),
        Input::radio(
            "user_facing",
            "Will users notice?",
            &YES_NO,
            prefill.user_facing.map(|yes| if yes { "yes" } else { "no" }),
        )
        .build(),
        Input::select(
            "migration",
            "Database migration",
            &MIGRATIONS,
            prefill.migration.map(Migration::key),
        )
        .build(),
        Input::lines("outcome", "Expected outcome", &prefill.outcome).build(),
        Input::lines("abort_criteria", "Abort criteria", &prefill.abort_criteria)
            .hint("When to stop and go back.")
            .build(),
        Input::people("authors", "Authors of the commits", &prefill.authors)
            .hint("Nobody who wrote it, asked for it or answers for it can sign it.")
            .build(),
        commit(services, &prefill.commit),
    ]);
    let (title, submit) = if prefill.edits.is_some() {
        ("Edit the plan", "Save the plan")
    } else {
        ("Plan a release", "Plan it")
    };
    form(Form::Plan, title, submit, &metadata, &blocks)
}

fn head(prefill: &PlanPrefill, services: &[ServiceChoice]) -> Vec<Value> {
    let rule = rule_ref(Rule::PlanComplete);
    match (&prefill.edits, &prefill.service) {
        (Some(edits), Some(service)) => vec![
            section(&format!("*{}* of {service}. Key and service stay.", edits.release)),
            context(&format!("{} · {rule}", of_plan())),
        ],
        _ => vec![
            context(&format!(
                "Once the tag is read, product owner and QA lead are asked at once · {rule}"
            )),
            Input::line(
                "key",
                "Key",
                prefill.key.as_ref().map(ReleaseKey::as_str).unwrap_or_default(),
            )
            .hint("Of the release ticket, such as REL-789. It names this release for ever.")
            .build(),
            Input::service(services, prefill.service.as_ref()).build(),
        ],
    }
}

/// What was filled in.
///
/// # Errors
/// Every problem at its input, or that the form is none of ours.
pub fn read_plan(form: &FormView, services: &[ServiceChoice]) -> Result<PlanFields, ReadError> {
    let edits = match form.private_metadata.as_str() {
        "" => None,
        json => Some(serde_json::from_str::<EditedPlan>(json).map_err(|_| ReadError::Unreadable)?),
    };
    let mut reader = Reader::new(form);
    let (key, service) = match &edits {
        Some(edits) => (Some(edits.release.clone()), None),
        None => (reader.key("key"), reader.service(services)),
    };
    let said = "Say it in words; “none” is an answer.";
    let kind = match reader.chosen("kind") {
        Some("major") => Some(Kind::Major),
        Some("minor") => Some(Kind::Minor),
        _ => reader.wrong("kind", "Choose major or minor. For an emergency use `/release hotfix`."),
    };
    let user_facing = match reader.chosen("user_facing") {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        _ => reader.wrong("user_facing", "Say yes or no."),
    };
    let migration = match reader.chosen("migration").and_then(Migration::from_key) {
        Some(migration) => Some(migration),
        None => reader.wrong("migration", "Choose what happens to the database; “None” is an answer."),
    };
    let version = reader.version();
    let (start_ms, length_ms) = (reader.time("start"), reader.minutes("length"));
    let (scope, dependencies) = (reader.text("scope", said), reader.text("dependencies", said));
    let (outcome, abort_criteria) = (reader.text("outcome", said), reader.text("abort_criteria", said));
    let (tickets, authors) = (reader.tickets("tickets", true), reader.authors());
    let commit = reader.commit(service.as_ref(), services);
    let build = || {
        Some(PlanFields {
            edits,
            key: key?,
            service,
            version: version?,
            kind: kind?,
            start_ms: start_ms?,
            length_ms: length_ms?,
            scope: scope?,
            tickets: tickets?,
            dependencies: dependencies?,
            user_facing: user_facing?,
            migration: migration?,
            outcome: outcome?,
            abort_criteria: abort_criteria?,
            authors: authors?,
            commit,
        })
    };
    let fields = build();
    reader.finish(fields)
}
