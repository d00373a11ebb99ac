//! What may be asked of an erasure. Knows nothing of the database.

use super::trail::{self, Words};
use crate::people::SlackUser;
use serde::{Deserialize, Serialize};

/// People that are erased in one go.
pub const PEOPLE_MAX: usize = 2_000;
const REASON_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=1_000;
/// A name that is shorter would be found everywhere.
const NAME_CHARACTERS_MIN: usize = 3;

/// Who is to be erased, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The workspace, `T…`.
    pub team: String,
    /// Whom, `U…` or `W…`.
    pub users: Vec<String>,
    /// What else they are called, such as a name or an e-mail address: texts that hold it go too.
    pub names: Vec<String>,
    /// Who decides it, a member of the same workspace.
    pub by: String,
    /// Why; kept beside the log, so it must not name them.
    pub reason: String,
    /// Whether it is to be done; otherwise what would go is only counted.
    pub confirmed: bool,
}

/// Why a wish can't be meant.
pub(super) fn check(wish: &Wish) -> Result<(), String> {
    let is_team = wish.team.starts_with('T') && crate::slack::view::is_slack_id(&wish.team);
    if !is_team {
        return Err("write each person as TEAM/USER, such as T0ACME/U0123456".to_owned());
    }
    for user in wish.users.iter().chain([&wish.by]) {
        SlackUser::new(user.as_str()).map_err(|why| format!("`{user}`: {why}"))?;
    }
    if wish.users.is_empty() || wish.users.len() > PEOPLE_MAX {
        return Err(format!("name 1 to {PEOPLE_MAX} people"));
    }
    if wish.users.contains(&wish.by) {
        return Err("somebody else has to decide it: who is erased can't answer for it".to_owned());
    }
    if wish.names.len() > 20 || (wish.users.len() > 1 && !wish.names.is_empty()) {
        return Err("names belong to one person; erase people with names one by one".to_owned());
    }
    if let Some(short) = wish
        .names
        .iter()
        .find(|name| name.trim().chars().count() < NAME_CHARACTERS_MIN)
    {
        return Err(format!(
            "`{short}` would be found everywhere; names here have {NAME_CHARACTERS_MIN} characters or more"
        ));
    }
    if !REASON_CHARACTERS.contains(&wish.reason.trim().chars().count()) || wish.reason.contains('\0') {
        return Err("say why, in 3 to 1,000 characters".to_owned());
    }
    let words = Words::of(&wish.names);
    if wish
        .users
        .iter()
        .any(|user| trail::slack_ids(&wish.reason).any(|id| id == user))
        || words.are_in(&wish.reason)
    {
        return Err("the reason is kept: say it without naming the person".to_owned());
    }
    Ok(())
}
