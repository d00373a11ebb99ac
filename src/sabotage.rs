//! Takes out the guard that the environment names, so that a proof can show that it notices. Compiled in only with the feature
//! `sabotage`.

/// Names the guard, see [`domain::sabotage::Guard::ALL`].
pub const VARIABLE: &str = "COUNTERSIGN_SABOTAGE";

/// Takes it out for the rest of this process.
///
/// # Panics
/// If there is no such guard: a proof must not run with all of them and seem to notice nothing.
pub fn from_environment() {
    if let Some((_, name)) = handed_on() {
        assert!(
            domain::sabotage::take_out(&name),
            "{VARIABLE}: there is no guard {name:?}"
        );
    }
}

/// The variable with its value, if it is set, for a child whose environment is bare.
#[expect(clippy::disallowed_methods, reason = "no setting of the bot: only proofs have it")]
pub fn handed_on() -> Option<(&'static str, String)> {
    Some((VARIABLE, std::env::var(VARIABLE).ok()?))
}
