//! Modals: opening, pushing, updating and closing them, and what people typed into them.
//! Must not talk HTTP; the callers deliver and answer.

use serde::Serialize;
use serde_json::{Value, json};

use crate::choices;
use crate::signing::random_id;
use crate::state::State;
use crate::validate::{self, Refusal};

const STACK_MAX: usize = 3;

/// A modal on somebody's screen.
#[derive(Debug, Clone, Serialize)]
pub struct OpenView {
    /// `V…` id.
    pub id: String,
    /// The whole view object as Slack gives it to the bot, without `state`.
    pub view: Value,
    /// `state.values`.
    pub values: Value,
    /// Complaints shown under inputs, by block id.
    pub errors: serde_json::Map<String, Value>,
    /// A complaint about the modal as a whole.
    pub banner: Option<String>,
}

impl OpenView {
    /// The view object of answers and payloads.
    pub fn to_json(&self) -> Value {
        let mut view = self.view.clone();
        view["state"] = json!({"values": self.values});
        view
    }

    /// Title in plain text.
    pub fn title(&self) -> &str {
        self.view["title"]["text"].as_str().unwrap_or_default()
    }

    /// Everything a person reads in the modal's body.
    pub fn visible_text(&self) -> String {
        crate::messages::visible_text("", self.blocks())
    }

    pub(crate) fn blocks(&self) -> &[Value] {
        self.view["blocks"].as_array().map_or(&[], Vec::as_slice)
    }

    fn set(&mut self, requested: &Value, now_ms: i64) {
        for key in [
            "type",
            "title",
            "submit",
            "close",
            "private_metadata",
            "callback_id",
            "external_id",
            "blocks",
            "clear_on_close",
            "notify_on_close",
        ] {
            self.view[key] = requested[key].clone();
        }
        for key in ["private_metadata", "callback_id", "external_id"] {
            if self.view[key].is_null() {
                self.view[key] = json!("");
            }
        }
        for key in ["clear_on_close", "notify_on_close"] {
            self.view[key] = json!(self.view[key] == true);
        }
        if let Some(blocks) = self.view["blocks"].as_array_mut() {
            choices::fill_in_ids(blocks);
        }
        self.view["hash"] = json!(format!("{}.{}", now_ms / 1_000, random_id("", 8)));
        self.values = choices::initial_values(self.blocks(), &self.values);
        self.errors.clear();
        self.banner = None;
    }

    /// Puts a person's input into the state: by block and action id, or by either alone.
    pub(crate) fn fill(&mut self, inputs: &Value) -> Result<(), String> {
        let mut filled = Vec::new();
        for (block, element) in choices::elements(self.blocks()) {
            let (Some(block_id), Some(action_id)) = (block["block_id"].as_str(), element["action_id"].as_str()) else {
                continue;
            };
            if choices::initial(element).is_none() {
                continue;
            }
            let by_block = inputs.get(block_id);
            let input = by_block
                .and_then(|inner| inner.get(action_id))
                .or_else(|| inputs.get(action_id))
                .or(by_block);
            if let Some(input) = input {
                filled.push((
                    block_id.to_owned(),
                    action_id.to_owned(),
                    choices::choose(element, input)?,
                ));
            }
        }
        for (block_id, action_id, entry) in filled {
            self.values[block_id][action_id] = entry;
        }
        Ok(())
    }
}

impl State {
    /// Shows a view to a person; `push` puts it on top of the open ones.
    pub fn open_view(&mut self, user: &str, requested: &Value, push: bool, now_ms: i64) -> Result<OpenView, Refusal> {
        validate::view(requested)?;
        if requested["type"] != "modal" {
            return Err(refusal("invalid_arguments"));
        }
        let depth = self.views.get(user).map_or(0, Vec::len);
        if push && depth >= STACK_MAX {
            return Err(refusal("push_limit_reached"));
        }
        let external_id = requested["external_id"].as_str().unwrap_or_default();
        if !external_id.is_empty()
            && self
                .views
                .values()
                .flatten()
                .any(|v| v.view["external_id"] == external_id)
        {
            return Err(refusal("duplicate_external_id"));
        }
        let id = random_id("V0", 9);
        let below = if push {
            self.views.get(user).and_then(|stack| stack.last())
        } else {
            None
        };
        let root = below.map_or_else(|| json!(id), |view| view.view["root_view_id"].clone());
        let mut view = OpenView {
            id: id.clone(),
            view: json!({
                "id": id, "team_id": self.seed.team_id, "app_id": self.seed.app_id,
                "app_installed_team_id": self.seed.team_id, "bot_id": self.seed.bot_id,
                "root_view_id": root, "previous_view_id": below.map(|view| view.id.clone()),
            }),
            values: json!({}),
            errors: serde_json::Map::new(),
            banner: None,
        };
        view.set(requested, now_ms);
        let stack = self.views.entry(user.to_owned()).or_default();
        if !push {
            stack.clear();
        }
        stack.push(view.clone());
        Ok(view)
    }

    /// Replaces an open view, keeping input whose block and action ids stay.
    pub fn update_view(
        &mut self,
        id: &str,
        requested: &Value,
        hash: Option<&str>,
        now_ms: i64,
    ) -> Result<OpenView, Refusal> {
        validate::view(requested)?;
        let view = self.view_mut(id).ok_or_else(|| refusal("not_found"))?;
        if hash.is_some_and(|hash| view.view["hash"] != hash) {
            return Err(refusal("hash_conflict"));
        }
        view.set(requested, now_ms);
        Ok(view.clone())
    }

    /// An open view by its id or its external id.
    pub fn view_mut(&mut self, id: &str) -> Option<&mut OpenView> {
        self.views
            .values_mut()
            .flatten()
            .find(|view| view.id == id || view.view["external_id"] == id)
    }

    /// A person's open view.
    pub fn view_of(&self, user: &str, id: &str) -> Option<&OpenView> {
        self.views.get(user)?.iter().find(|view| view.id == id)
    }

    /// Takes a view and everything above it off a person's screen; `all` takes the whole stack.
    pub fn close_view(&mut self, user: &str, id: &str, all: bool) -> Vec<OpenView> {
        let Some(stack) = self.views.get_mut(user) else {
            return Vec::new();
        };
        match stack.iter().position(|view| view.id == id) {
            Some(_) if all => std::mem::take(stack),
            Some(index) => stack.split_off(index),
            None => Vec::new(),
        }
    }
}

fn refusal(code: &'static str) -> Refusal {
    Refusal {
        code,
        problems: Vec::new(),
    }
}
