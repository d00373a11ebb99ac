//! The exact environment of a script: an allow-list, what names the release, and never a secret of the bot.
use std::collections::BTreeMap;
use std::fmt;

use super::arguments::{ArgumentError, check_value};

/// What a script gets from the bot's environment unless the configuration says otherwise.
pub const DEFAULT_ALLOW_LIST: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The variable that marks every process of an attempt; the supervisor finds strays by it.
pub const ATTEMPT_VARIABLE: &str = "COUNTERSIGN_ATTEMPT";

/// What the script is told about the deployment it carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    /// Key of the release, such as `REL-789`.
    pub release: String,
    /// Version to deploy.
    pub version: String,
    /// Full commit id.
    pub commit: String,
    /// Name of the environment, such as `production`.
    pub environment: String,
    /// Attempt id.
    pub attempt: String,
    /// Fence number of the grant; it rises with each one, so a target can reject a stale holder (invariant 5).
    pub fence: u64,
}

impl Variables {
    /// The same values by the names that argument templates use.
    pub fn placeholders(&self) -> BTreeMap<&'static str, &str> {
        BTreeMap::from([
            ("release", self.release.as_str()),
            ("version", self.version.as_str()),
            ("commit", self.commit.as_str()),
            ("environment", self.environment.as_str()),
            ("attempt", self.attempt.as_str()),
        ])
    }
}

/// Why no environment could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentError {
    /// The allow-list names a secret of the bot: a mistake in the configuration.
    Secret {
        /// The name.
        name: String,
    },
    /// The allow-list names a variable that the bot itself sets for the script.
    Reserved {
        /// The name.
        name: String,
    },
    /// The allow-list holds something that is no name of a variable.
    NotAName {
        /// The text.
        name: String,
    },
    /// A variable of the bot's environment holds a NUL.
    HoldsNul {
        /// The name.
        name: String,
    },
    /// A value of the release is not acceptable.
    Value(ArgumentError),
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { name } => write!(
                f,
                "{name} is a secret of the bot and must not be passed to a deployment script; take it off the allow-list"
            ),
            Self::Reserved { name } => write!(
                f,
                "{name} can't be on the allow-list: names that start with COUNTERSIGN_ belong to the bot"
            ),
            Self::NotAName { name } => write!(f, "{name:?} is not a name of a variable"),
            Self::HoldsNul { name } => write!(f, "the variable {name} holds a NUL character"),
            Self::Value(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EnvironmentError {}

/// The bot's own environment as text; a variable that is not valid UTF-8 is left out.
#[expect(
    clippy::disallowed_methods,
    reason = "what a script may inherit, filtered by the allow-list"
)]
pub fn ambient_environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Composes the whole environment of a script (`deploy.script`): what `allow_list` names of
/// `ambient`, and the `COUNTERSIGN_…` variables.
///
/// # Errors
/// [`EnvironmentError`] if the allow-list names a secret of the bot, set or not, a reserved name or
/// no name at all, or if a value of the release can't be passed.
pub fn child_environment<N: AsRef<str>>(
    allow_list: &[N],
    ambient: &BTreeMap<String, String>,
    variables: &Variables,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut environment = BTreeMap::new();
    for name in allow_list {
        let name = name.as_ref();
        check_allowed(name)?;
        let Some(value) = ambient.get(name) else {
            continue;
        };
        if value.contains('\0') {
            return Err(EnvironmentError::HoldsNul { name: name.to_owned() });
        }
        environment.insert(name.to_owned(), value.clone());
    }
    for (name, value) in variables.placeholders() {
        check_value(name, value).map_err(EnvironmentError::Value)?;
        environment.insert(format!("COUNTERSIGN_{}", name.to_uppercase()), value.to_owned());
    }
    environment.insert("COUNTERSIGN_FENCE".to_owned(), variables.fence.to_string());
    Ok(environment)
}

/// Whether an allow-list may name this variable; configuration asks it before anything runs.
///
/// # Errors
/// The [`EnvironmentError`] that says why not.
pub fn check_allowed(name: &str) -> Result<(), EnvironmentError> {
    let owned = || name.to_owned();
    if name.is_empty() || name.contains(['=', '\0']) || name.chars().any(char::is_whitespace) {
        return Err(EnvironmentError::NotAName { name: owned() });
    }
    if is_secret(name) {
        return Err(EnvironmentError::Secret { name: owned() });
    }
    if name.starts_with("COUNTERSIGN_") {
        return Err(EnvironmentError::Reserved { name: owned() });
    }
    Ok(())
}

/// Whether a variable of this name holds, or points to, a secret of the bot.
pub fn is_secret(name: &str) -> bool {
    let base = name.strip_suffix("_FILE").unwrap_or(name);
    base.starts_with("SLACK_") || ["DATABASE_URL", "SMTP_URL", "COUNTERSIGN_CONFIG"].contains(&base)
}
