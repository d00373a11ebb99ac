//! Names and numbers that are checked once, when they come in, and trusted afterwards.

use serde::{Deserialize, Serialize};
use std::fmt;

/// UTC milliseconds since 1970.
pub type Millis = i64;

/// One minute in milliseconds.
pub const MINUTE_MS: Millis = 60_000;
/// One hour in milliseconds.
pub const HOUR_MS: Millis = 60 * MINUTE_MS;
/// One day of 86,400 elapsed seconds in milliseconds.
pub const DAY_MS: Millis = 24 * HOUR_MS;

/// A text that is not a valid name of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    /// What was expected, for people.
    pub expected: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }
}

impl std::error::Error for InvalidName {}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text`, which must be in canonical form already.
            ///
            /// # Errors
            /// Says what was expected.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(InvalidName { expected: $expected }) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Names a release once and for ever: a Jira-like key such as `REL-789` or `HOTFIX-3`.
    ReleaseKey,
    "a key such as REL-789",
    |text| {
        let Some((project, number)) = text.split_once('-') else { return false };
        (2..=10).contains(&project.len())
            && project.starts_with(|c: char| c.is_ascii_uppercase())
            && project.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && (1..=9).contains(&number.len())
            && !number.starts_with('0')
            && number.bytes().all(|b| b.is_ascii_digit())
    }
);

name!(
    /// A configured service, such as `payments`.
    ServiceName,
    "a service name: lower-case letters, digits and hyphens, at most 40",
    |text| {
        (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

name!(
    /// An environment of a service, such as `production` (clause 1.3).
    EnvironmentName,
    "an environment name: lower-case letters, digits and hyphens, at most 40",
    |text| ServiceName::new(text).is_ok()
);

name!(
    /// The random id that stands for a person in the log; who it is stands in an erasable table.
    PersonId,
    "a person id such as p-0123456789abcdef",
    |text| {
        text.strip_prefix("p-").is_some_and(|rest| {
            (1..=32).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
    }
);

name!(
    /// A version without its leading `v`, such as `1.4.0` or `2.0.0-rc.1`; its tag is `v1.4.0` (clause 3.3).
    Version,
    "a version such as v1.4.0",
    |text| {
        let (core, rest) = match text.find(['-', '+']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let numbers: Vec<&str> = core.split('.').collect();
        let is_number = |n: &&str| {
            (1..=9).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()) && (n.len() == 1 || !n.starts_with('0'))
        };
        numbers.len() == 3
            && numbers.iter().all(is_number)
            && rest.len() != 1
            && text.len() <= 60
            && !rest.contains("..")
            // What Git takes for no tag name is no version: its tag could never be looked up.
            && text.ends_with(|end: char| end.is_ascii_alphanumeric())
            && !text.to_ascii_lowercase().ends_with(".lock")
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
    }
);

impl Version {
    /// The Git tag of this version.
    pub fn tag(&self) -> String {
        format!("v{}", self.0)
    }

    /// Whether this is certainly an earlier version than `other` (semver.org, 11.2 and 11.3); two pre-releases of the same
    /// version are not told apart.
    pub fn is_before(&self, other: &Self) -> bool {
        let parts = |version: &Self| {
            let bare = version.0.split('+').next().unwrap_or_default().to_owned();
            let (core, is_final) = match bare.split_once('-') {
                Some((core, _)) => (core.to_owned(), false),
                None => (bare, true),
            };
            let numbers: Vec<u64> = core.split('.').filter_map(|number| number.parse().ok()).collect();
            (numbers, is_final)
        };
        parts(self) < parts(other)
    }
}

name!(
    /// A full commit id, 40 or 64 lower-case hex characters; never a branch, a tag or a short form.
    CommitSha,
    "a full commit id of 40 hex characters",
    |text| {
        (text.len() == 40 || text.len() == 64)
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }
);

impl CommitSha {
    /// The first 7 characters, for people.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

/// Tidies what a person typed: smart quotes and dashes, no-break spaces, surrounding space and quotes.
pub fn tidy(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{2032}' => '\'',
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' | '\u{2033}' => '"',
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            '\u{a0}' | '\u{2007}' | '\u{202f}' | '\t' => ' ',
            c => c,
        })
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{202a}'..='\u{202e}'))
        .collect();
    plain.trim().to_owned()
}

impl ReleaseKey {
    /// Reads a key as people type it: any case, odd hyphens, surrounding space or quotes.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn from_typed(text: &str) -> Result<Self, InvalidName> {
        Self::new(tidy(text).trim_matches(['"', '\'', '`', '*']).to_ascii_uppercase())
    }

    /// The stream that holds the release.
    pub fn stream(&self) -> String {
        format!("release/{self}")
    }
}

impl ServiceName {
    /// The stream that holds the service's locks and fences.
    pub fn stream(&self) -> String {
        format!("service/{self}")
    }
}

impl Version {
    /// Reads a version as people type it, with or without the `v`.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn from_typed(text: &str) -> Result<Self, InvalidName> {
        let tidied = tidy(text);
        let bare = tidied.trim_matches(['"', '\'', '`', '*']);
        Self::new(bare.strip_prefix(['v', 'V']).unwrap_or(bare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_type_them() {
        for typed in [
            "REL-789",
            "rel-789",
            " Rel\u{2011}789 ",
            "\u{201c}REL-789\u{201d}",
            "`rel-789`",
            "rel\u{2013}789\u{a0}",
        ] {
            assert_eq!(ReleaseKey::from_typed(typed).unwrap().as_str(), "REL-789", "{typed:?}");
        }
        for typed in [
            "",
            "REL",
            "REL-",
            "REL-0",
            "REL-07",
            "7-7",
            "R-1",
            "REL-1234567890",
            "REL-7; DROP",
            "REL--7",
            "РEL-7",
        ] {
            assert!(ReleaseKey::from_typed(typed).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn versions_are_semantic_and_can_never_be_an_option_or_a_path() {
        for (typed, version) in [
            ("v1.4.0", "1.4.0"),
            ("1.4.0", "1.4.0"),
            ("V2.0.0-rc.1", "2.0.0-rc.1"),
            ("“v1.0.0+b7”", "1.0.0+b7"),
        ] {
            assert_eq!(Version::from_typed(typed).unwrap().as_str(), version);
        }
        for typed in [
            "",
            "1.4",
            "latest",
            "-h",
            "v1.4.0/..",
            "1.4.0 ",
            "1.04.0",
            "1.4.0-",
            "1.4.0-a..b",
            "v1.4.0\n",
        ]
        .iter()
        .filter(|t| tidy(t) == **t)
        {
            assert!(Version::from_typed(typed).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn a_version_comes_before_a_greater_one_and_a_pre_release_before_its_release() {
        let version = |text| Version::new(text).unwrap();
        for (before, after) in [
            ("1.3.9", "1.4.0"),
            ("1.9.0", "1.10.0"),
            ("1.4.0-rc.2", "1.4.0"),
            ("1.4.0", "2.0.0-rc.1"),
            ("1.4.0-rc.2+b7", "1.4.0+b1"),
        ] {
            assert!(version(before).is_before(&version(after)), "{before} {after}");
            assert!(!version(after).is_before(&version(before)), "{before} {after}");
        }
        for same in [
            ("1.4.0", "1.4.0"),
            ("1.4.0+b1", "1.4.0+b2"),
            ("1.4.0-rc.2", "1.4.0-rc.1"),
        ] {
            assert!(!version(same.0).is_before(&version(same.1)), "{same:?}");
        }
    }

    #[test]
    fn a_commit_is_never_abbreviated() {
        assert!(CommitSha::new("3f9c2e1").is_err());
        assert!(CommitSha::new("3F9C2E1".repeat(6)).is_err());
        assert!(CommitSha::new("a".repeat(40)).is_ok());
    }
}
