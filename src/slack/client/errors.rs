//! What Slack's errors mean for us: try again, look first, or tell somebody what to mend.

use super::transport::Trouble;
use crate::failure::Failure;
use slack_morphism::errors::SlackClientError;

/// The pause after a 429 that names no time.
const LIMITED_SECS_DEFAULT: u64 = 10;

/// Whether repeating a call would be seen by people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Reading, or a write that ends the same however often it is made.
    Repeatable,
    /// A second call shows a second copy.
    Once,
}

/// A failed call: the failure, Slack's error word, and for how many seconds the method is to be left alone.
pub(super) struct Verdict {
    pub(super) failure: Failure,
    pub(super) error: Option<String>,
    pub(super) pause_secs: Option<u64>,
}

/// Judges the failure of `method`.
pub(super) fn judge(method: &str, effect: Effect, error: &SlackClientError) -> Verdict {
    let trouble = match error {
        SlackClientError::SystemError(system) => {
            system.cause.as_ref().and_then(|cause| cause.downcast_ref::<Trouble>())
        }
        _ => None,
    };
    let Some(trouble) = trouble else {
        return plain(Failure::permanent(format!(
            "Slack's {method} could not be called: check SLACK_API_URL"
        )));
    };
    match trouble {
        Trouble::Unsent => plain(Failure::transient(format!("Slack can't be reached ({method})"))),
        Trouble::Lost => plain(after_sending(
            effect,
            format!("the connection to Slack broke during {method}"),
        )),
        Trouble::Garbled(why) => plain(after_sending(
            effect,
            format!("Slack did not answer {method} properly: {why}"),
        )),
        Trouble::Status(429, secs) => limited(method, *secs),
        Trouble::Status(status @ (400..=407 | 409..=424 | 426..=499), _) => {
            let advice = "check SLACK_API_URL and what stands between it and us";
            plain(Failure::permanent(format!(
                "Slack answered {method} with HTTP {status}: {advice}"
            )))
        }
        Trouble::Status(status, secs) => {
            let failure = after_sending(effect, format!("Slack answered {method} with HTTP {status}"));
            plain(failure.after(secs.map(millis)))
        }
        Trouble::Refused {
            error,
            detail,
            retry_after_secs,
        } => {
            let error = word(error);
            let mut verdict = match error.as_str() {
                "ratelimited" | "rate_limited" => limited(method, *retry_after_secs),
                "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
                    plain(after_sending(effect, format!("Slack answered {method} with {error}")))
                }
                // A workspace that is being moved answers again when the move is over.
                "team_added_to_org" => plain(Failure::transient(format!("Slack answered {method} with {error}"))),
                _ => plain(Failure::permanent(refusal(method, &error, detail.as_deref()))),
            };
            verdict.error = Some(error);
            verdict
        }
    }
}

/// The call took too long; whether it arrived is not known.
pub(super) fn timed_out(method: &str, effect: Effect) -> Failure {
    after_sending(effect, format!("Slack did not answer {method} in time"))
}

fn after_sending(effect: Effect, message: String) -> Failure {
    match effect {
        Effect::Repeatable => Failure::transient(message),
        Effect::Once => Failure::unknown(message),
    }
}

fn plain(failure: Failure) -> Verdict {
    Verdict {
        failure,
        error: None,
        pause_secs: None,
    }
}

fn limited(method: &str, retry_after_secs: Option<u64>) -> Verdict {
    let secs = retry_after_secs.unwrap_or(LIMITED_SECS_DEFAULT).min(3_600);
    Verdict {
        failure: Failure::limited(
            format!("Slack asks us to call {method} less often, wait {secs} s"),
            millis(secs),
        ),
        error: Some("ratelimited".to_owned()),
        pause_secs: Some(secs),
    }
}

fn millis(secs: u64) -> i64 {
    i64::try_from(secs).map_or(i64::MAX, |secs| secs.saturating_mul(1_000))
}

/// Slack's error words are lower case with underscores; anything else is not repeated.
fn word(error: &str) -> String {
    let is_word = (1..=60).contains(&error.len())
        && error
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_word {
        error.to_owned()
    } else {
        "an_unreadable_error".to_owned()
    }
}

fn refusal(method: &str, error: &str, detail: Option<&str>) -> String {
    let detail = detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("Slack refused {method}: {error}{detail}. {}", remedy(error))
}

/// What a person can do about an error, see the error lists at docs.slack.dev/reference/methods.
fn remedy(error: &str) -> &'static str {
    match error {
        "not_in_channel" => "Add the bot: /invite @countersign in that channel.",
        "channel_not_found" => "Check the channel's id; for a private channel, /invite @countersign there.",
        "is_archived" => "Unarchive the channel, or name another one in the configuration.",
        "restricted_action" | "restricted_action_read_only_channel" | "restricted_action_thread_only_channel" => {
            "Let the bot post there, in the channel's settings."
        }
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            "Install the app again and set SLACK_BOT_TOKEN to its new token."
        }
        "missing_scope" | "not_allowed_token_type" | "no_permission" => {
            "Compare the app's scopes with manifest.yml and install it again."
        }
        "access_denied"
        | "ekm_access_denied"
        | "team_access_not_granted"
        | "org_login_required"
        | "enterprise_is_restricted" => "Ask a Slack administrator to allow the app.",
        "message_not_found" => "The message is gone.",
        "cant_update_message" | "edit_window_closed" | "update_failed" => "The message can't be changed any more.",
        "cant_delete_message" => "The message can't be deleted by the bot.",
        "expired_trigger_id" | "exchanged_trigger_id" | "invalid_trigger_id" | "invalid_trigger" => {
            "Slack waits 3 seconds only: do it again."
        }
        "user_not_found" | "users_not_found" | "user_not_visible" => "Check the person's Slack id.",
        "user_disabled" => "This person's Slack account is switched off.",
        "user_not_in_channel" => "This person is not in that channel.",
        "cannot_dm_bot" | "messages_tab_disabled" => "Direct messages don't reach this member.",
        "no_such_subteam" | "subteam_not_found" | "invalid_usergroup" => {
            "Check the user group's id and that it is switched on."
        }
        "plan_upgrade_required" => "User groups need a paid plan: name people instead.",
        "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_args"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "view_too_large"
        | "invalid_metadata_format"
        | "metadata_too_large"
        | "metadata_must_be_sent_from_app"
        | "unknown_method"
        | "invalid_json"
        | "json_not_object" => "This is a mistake in Countersign: please report it.",
        _ => "See this error at docs.slack.dev/reference/methods.",
    }
}
