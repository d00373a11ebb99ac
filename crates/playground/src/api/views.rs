//! `views.open`, `views.push` and `views.update`.
//! The modal's own rules live in `crate::views`.

use serde_json::{Value, json};

use super::args::Args;
use super::{ApiError, Outcome};
use crate::state::Shared;
use crate::validate;

pub(super) fn open(shared: &Shared, args: &Args) -> Outcome {
    show(shared, args, false)
}

pub(super) fn push(shared: &Shared, args: &Args) -> Outcome {
    show(shared, args, true)
}

fn show(shared: &Shared, args: &Args, push: bool) -> Outcome {
    let requested = requested_view(args)?;
    let trigger_id = args.required("trigger_id")?;
    // A view that is refused must not use up the trigger.
    validate::view(&requested)?;
    let mut state = shared.state();
    let user = state.exchange_trigger(trigger_id)?;
    let view = state.open_view(&user, &requested, push, shared.clock.now_ms())?;
    Ok(json!({"ok": true, "view": view.to_json()}))
}

pub(super) fn update(shared: &Shared, args: &Args) -> Outcome {
    let requested = requested_view(args)?;
    let id = args.text("view_id").or_else(|| args.text("external_id"));
    let id = id.ok_or_else(|| ApiError::missing("view_id"))?;
    let view = shared
        .state()
        .update_view(id, &requested, args.text("hash"), shared.clock.now_ms())?;
    Ok(json!({"ok": true, "view": view.to_json()}))
}

fn requested_view(args: &Args) -> Result<Value, ApiError> {
    match args.nested("view") {
        Ok(Some(view)) if view.is_object() => Ok(view),
        Ok(None) => Err(ApiError::missing("view")),
        _ => Err(ApiError::code("invalid_arguments")),
    }
}
