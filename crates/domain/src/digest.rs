//! SHA-256 digests as lower-case hex, and salted commitments to texts that must stay erasable.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 digest, 64 lower-case hex characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// The 64 hex characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 characters: enough for people to compare, never for machines.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if text.len() == 64 && is_hex {
            Ok(Self(text))
        } else {
            Err("a SHA-256 digest is 64 lower-case hex characters".to_owned())
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A text that people wrote or saw. The log holds only its salted commitment; the text stands
/// beside the log, where it can be erased without breaking the chain.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateText {
    /// 32 random bytes in hex, made by the caller; without it a guessed text can't be confirmed.
    pub salt: String,
    /// The text itself.
    pub value: String,
}

impl PrivateText {
    /// What the log keeps: SHA-256 over salt and text.
    pub fn commitment(&self) -> Digest {
        let mut bytes = Vec::with_capacity(self.salt.len() + self.value.len() + 24);
        bytes.extend_from_slice(b"countersign-text-v1\0");
        bytes.extend_from_slice(self.salt.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.value.as_bytes());
        Digest::of(&bytes)
    }
}

impl fmt::Debug for PrivateText {
    /// Never prints the text: it may hold names, and debug output ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateText({})", self.commitment().short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_the_empty_input_is_the_published_one() {
        assert_eq!(
            Digest::of(b"").as_str(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn a_commitment_depends_on_salt_and_text_and_debug_hides_both() {
        let text = |salt: &str, value: &str| PrivateText {
            salt: salt.to_owned(),
            value: value.to_owned(),
        };
        let one = text("aa", "card payments fail");
        assert_ne!(one.commitment(), text("ab", "card payments fail").commitment());
        assert_ne!(one.commitment(), text("aa", "card payments fai").commitment());
        assert!(!format!("{one:?}").contains("payments"));
    }
}
