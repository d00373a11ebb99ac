//! From Slack's flags to one word. Whatever is not plainly a human, active, full member of our workspace is refused.

use super::SlackUser;
use crate::slack::client::{Flag, UserFacts};
use domain::people::Standing;

/// Slack's own bot carries no flag that says so.
const SLACKBOT: &str = "USLACKBOT";

/// What `facts`, asked for `user`, make of them in the workspace `team_id`. Flags are those of Slack's user object
/// (docs.slack.dev/reference/objects/user-object); a flag that is neither yes nor no, or a needed one that is
/// missing, makes somebody unknown.
pub fn standing_of(facts: &UserFacts, user: &SlackUser, team_id: &str) -> Standing {
    if facts.id == SLACKBOT || user.as_str() == SLACKBOT {
        return Standing::Bot;
    }
    if facts.id != user.as_str() {
        return Standing::Unknown;
    }
    let any = |flags: &[Flag], wanted: Flag| flags.contains(&wanted);
    let bot = [
        facts.is_bot,
        facts.is_app_user,
        facts.is_workflow_bot,
        facts.is_connector_bot,
    ];
    let gone = [facts.deleted, facts.is_invited_user];
    let guest = [facts.is_restricted, facts.is_ultra_restricted];
    if any(&gone, Flag::Yes) {
        return Standing::Deactivated;
    }
    if any(&bot, Flag::Yes) {
        return Standing::Bot;
    }
    // A member of an organisation carries the organisation's or another home team; the list of teams decides then.
    // A person of another organisation in a shared channel may come without `is_stranger`.
    let of_our_team =
        facts.team_id.as_deref() == Some(team_id) || facts.enterprise_teams.iter().any(|team| team == team_id);
    if team_id.is_empty() || !of_our_team || facts.is_stranger == Flag::Yes {
        return Standing::Outsider;
    }
    if any(&guest, Flag::Yes) {
        return Standing::Guest;
    }
    let needed = [
        facts.deleted,
        facts.is_bot,
        facts.is_restricted,
        facts.is_ultra_restricted,
    ];
    let odd = any(&bot, Flag::Odd) || any(&gone, Flag::Odd) || facts.is_stranger == Flag::Odd;
    if odd || needed.iter().any(|flag| *flag != Flag::No) {
        return Standing::Unknown;
    }
    Standing::Active
}
