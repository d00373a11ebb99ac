//! What Slack sends, in structs of ours: lenient about what we don't need, strict about what we do. Only ids are
//! trusted; names are labels. Parsed only after the signature has been verified.

use crate::slack::form;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Why a verified body can't be used. All of them are answered by 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadError {
    /// The body, or what its escapes stand for, is not UTF-8.
    NotUtf8,
    /// No form, or one that says a thing twice.
    MalformedForm,
    /// A field that must be there is missing.
    Missing(&'static str),
    /// The payload is no JSON, or nested too deeply.
    MalformedJson(String),
    /// The payload is JSON of another shape.
    WrongType(String),
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the body is not UTF-8"),
            Self::MalformedForm => f.write_str("the body is no form"),
            Self::Missing(field) => write!(f, "the field `{field}` is missing"),
            Self::MalformedJson(problem) => write!(f, "the payload is no JSON: {problem}"),
            Self::WrongType(problem) => write!(f, "the payload has another shape: {problem}"),
        }
    }
}

impl std::error::Error for PayloadError {}

/// Where a request comes from, by ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workspace<'a> {
    /// The workspace; nothing where the app is installed for a whole organisation.
    pub team_id: Option<&'a str>,
    /// The app that it is for.
    pub api_app_id: &'a str,
    /// Who.
    pub user_id: &'a str,
    /// That person's own workspace, where Slack says it: another one in channels shared with outsiders.
    pub user_team_id: Option<&'a str>,
    /// The organisation.
    pub enterprise_id: Option<&'a str>,
    /// Whether the app is installed for the whole organisation.
    pub is_enterprise_install: bool,
}

/// Why a request is not for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// Another app.
    App,
    /// Another workspace, or none said.
    Team,
    /// A person of another workspace.
    Person,
}

impl Workspace<'_> {
    /// Whether the request is for this workspace and app, and comes from one of its own people.
    ///
    /// # Errors
    /// What is foreign. App and workspace are answered by 403; a foreign person gets a private refusal.
    pub fn check(&self, team_id: &str, app_id: &str) -> Result<(), Elsewhere> {
        if self.api_app_id != app_id {
            return Err(Elsewhere::App);
        }
        if self.team_id != Some(team_id) {
            return Err(Elsewhere::Team);
        }
        // On Enterprise Grid a person's "team" may be the organisation; `users.info` has the last word anyway.
        let is_ours = |team: &str| team == team_id || (team.starts_with('E') && self.enterprise_id == Some(team));
        if self.user_team_id.is_none_or(is_ours) {
            Ok(())
        } else {
            Err(Elsewhere::Person)
        }
    }
}

/// A slash command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlashCommand {
    /// `/release`.
    pub command: String,
    /// What was typed behind it.
    pub text: String,
    /// Where a private answer goes.
    pub response_url: Option<String>,
    /// Opens a form, within 3 s.
    pub trigger_id: Option<String>,
    /// Who.
    pub user_id: String,
    /// A label.
    pub user_name: Option<String>,
    /// The workspace.
    pub team_id: Option<String>,
    /// A label.
    pub team_domain: Option<String>,
    /// Where it was typed.
    pub channel_id: Option<String>,
    /// A label.
    pub channel_name: Option<String>,
    /// The app.
    pub api_app_id: String,
    /// The organisation.
    pub enterprise_id: Option<String>,
    /// A label.
    pub enterprise_name: Option<String>,
    /// Slack sends the words `true` and `false`.
    pub is_enterprise_install: bool,
}

impl SlashCommand {
    /// Reads a form body.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let mut fields = form::fields(body)?;
        let mut optional = |name: &str| fields.remove(name).filter(|value| !value.is_empty());
        Ok(Self {
            command: optional("command").ok_or(PayloadError::Missing("command"))?,
            user_id: optional("user_id").ok_or(PayloadError::Missing("user_id"))?,
            api_app_id: optional("api_app_id").ok_or(PayloadError::Missing("api_app_id"))?,
            text: optional("text").unwrap_or_default(),
            response_url: optional("response_url"),
            trigger_id: optional("trigger_id"),
            user_name: optional("user_name"),
            team_id: optional("team_id"),
            team_domain: optional("team_domain"),
            channel_id: optional("channel_id"),
            channel_name: optional("channel_name"),
            enterprise_id: optional("enterprise_id"),
            enterprise_name: optional("enterprise_name"),
            is_enterprise_install: optional("is_enterprise_install").as_deref() == Some("true"),
        })
    }

    /// Where it comes from. Slash commands don't say a person's own workspace.
    pub fn workspace(&self) -> Workspace<'_> {
        Workspace {
            team_id: self.team_id.as_deref(),
            api_app_id: &self.api_app_id,
            user_id: &self.user_id,
            user_team_id: None,
            enterprise_id: self.enterprise_id.as_deref(),
            is_enterprise_install: self.is_enterprise_install,
        }
    }
}

/// A click or a form.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    /// What kind.
    pub kind: InteractionKind,
    /// Who.
    pub user: User,
    /// The workspace.
    pub team: Option<Team>,
    /// The organisation.
    pub enterprise: Option<Id>,
    /// The app.
    pub api_app_id: String,
    /// Whether the app is installed for the whole organisation.
    pub is_enterprise_install: bool,
    /// Opens a form, within 3 s.
    pub trigger_id: Option<String>,
    /// Where a private answer goes.
    pub response_url: Option<String>,
}

/// What kind of interaction.
#[derive(Debug, Clone, PartialEq)]
pub enum InteractionKind {
    /// A button was clicked.
    Click(Click),
    /// A form was sent.
    Submission(FormView),
    /// A form was closed.
    Closed(FormView),
    /// Something that Countersign doesn't use, such as a shortcut.
    Ignored(String),
}

/// A click on a button.
#[derive(Debug, Clone, PartialEq)]
pub struct Click {
    /// What was clicked; Slack sends one.
    pub actions: Vec<Action>,
    /// The channel of the message.
    pub channel_id: Option<String>,
    /// The message's time stamp.
    pub message_ts: Option<String>,
    /// Whether only the clicker sees the message.
    pub is_ephemeral: bool,
    /// The message as Slack holds it.
    pub message: Option<Value>,
}

/// One clicked element.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// See [`crate::slack::buttons::ActionId`].
    pub action_id: String,
    /// The block that it stood in; it names the rendered version.
    #[serde(default, deserialize_with = "or_default")]
    pub block_id: String,
    /// See [`crate::slack::buttons::ButtonValue`].
    #[serde(default)]
    pub value: Option<String>,
    /// When, by Slack's clock.
    #[serde(default)]
    pub action_ts: Option<String>,
}

/// A form, as sent or closed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FormView {
    /// Slack's id of this form.
    pub id: String,
    /// Changes with every change of the form.
    #[serde(default)]
    pub hash: Option<String>,
    /// Which form: see [`crate::slack::modals::Form`].
    #[serde(default, deserialize_with = "or_default")]
    pub callback_id: String,
    /// The ids that we put there.
    #[serde(default, deserialize_with = "or_default")]
    pub private_metadata: String,
    /// What was filled in.
    #[serde(default, deserialize_with = "or_default")]
    pub state: FormState,
}

/// What was filled in, by block and element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FormState {
    /// By block id, then by action id.
    #[serde(default, deserialize_with = "or_default")]
    pub values: BTreeMap<String, BTreeMap<String, Value>>,
}

/// Who.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Such as `U0PRIYA`.
    pub id: String,
    /// The person's own workspace.
    #[serde(default)]
    pub team_id: Option<String>,
}

/// The workspace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Team {
    /// Such as `T0ACME`.
    pub id: String,
    /// The organisation.
    #[serde(default)]
    pub enterprise_id: Option<String>,
}

/// Something with an id.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Id {
    /// The id.
    pub id: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    user: User,
    #[serde(default)]
    team: Option<Team>,
    #[serde(default)]
    enterprise: Option<Id>,
    #[serde(default, deserialize_with = "or_default")]
    api_app_id: String,
    #[serde(default, deserialize_with = "or_default")]
    is_enterprise_install: bool,
    #[serde(default)]
    trigger_id: Option<String>,
    #[serde(default)]
    response_url: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    actions: Vec<Action>,
    #[serde(default)]
    channel: Option<Id>,
    #[serde(default, deserialize_with = "or_default")]
    container: Container,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    view: Option<FormView>,
}

#[derive(Default, Deserialize)]
struct Container {
    #[serde(default)]
    message_ts: Option<String>,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    is_ephemeral: bool,
}

/// Slack sends `null` where other apps' payloads have a value.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Interaction {
    /// Reads a form body with its one field `payload`.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let mut fields = form::fields(body)?;
        let payload = fields.remove("payload").ok_or(PayloadError::Missing("payload"))?;
        Self::from_json(&payload)
    }

    /// Reads the payload itself.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn from_json(payload: &str) -> Result<Self, PayloadError> {
        let raw: Raw = json(payload)?;
        let missing_view = || PayloadError::WrongType("missing field `view`".to_owned());
        let kind = match raw.kind.as_str() {
            "block_actions" => InteractionKind::Click(Click {
                actions: raw.actions,
                channel_id: raw.channel.map(|channel| channel.id).or(raw.container.channel_id),
                message_ts: raw.container.message_ts,
                is_ephemeral: raw.container.is_ephemeral,
                message: raw.message,
            }),
            "view_submission" => InteractionKind::Submission(raw.view.ok_or_else(missing_view)?),
            "view_closed" => InteractionKind::Closed(raw.view.ok_or_else(missing_view)?),
            _ => InteractionKind::Ignored(raw.kind),
        };
        Ok(Self {
            kind,
            user: raw.user,
            team: raw.team,
            enterprise: raw.enterprise,
            api_app_id: raw.api_app_id,
            is_enterprise_install: raw.is_enterprise_install,
            trigger_id: raw.trigger_id,
            response_url: raw.response_url,
        })
    }

    /// Where it comes from.
    pub fn workspace(&self) -> Workspace<'_> {
        let of_team = self.team.as_ref().and_then(|team| team.enterprise_id.as_deref());
        Workspace {
            team_id: self.team.as_ref().map(|team| team.id.as_str()),
            api_app_id: &self.api_app_id,
            user_id: &self.user.id,
            user_team_id: self.user.team_id.as_deref(),
            enterprise_id: self.enterprise.as_ref().map(|id| id.id.as_str()).or(of_team),
            is_enterprise_install: self.is_enterprise_install,
        }
    }
}

/// JSON in two steps, so that "no JSON" and "another shape" are told apart. Depth is limited by the library.
fn json<T: DeserializeOwned>(text: &str) -> Result<T, PayloadError> {
    let value: Value = serde_json::from_str(text).map_err(|error| PayloadError::MalformedJson(error.to_string()))?;
    serde_json::from_value(value).map_err(|error| {
        // The library quotes what it found; that is foreign and may be long.
        PayloadError::WrongType(error.to_string().chars().take(200).collect())
    })
}
