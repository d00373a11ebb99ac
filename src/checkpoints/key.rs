//! The key that signs checkpoints: Ed25519, from outside the database. Signing and checking, nothing else.

use crate::config::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::checkpoint::{Checkpoint, Note, PublicKey};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use std::fmt;

/// A private key of 32 bytes has so many characters in base64.
pub const SECRET_CHARACTERS: usize = 44;

/// The private key. The same checkpoint is signed the same way every time.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// The key whose 32 bytes stand in base64 in `secret`; nothing if they don't.
    pub fn new(secret: &Secret) -> Option<Self> {
        let seed = BASE64.decode(secret.expose()).ok()?;
        Ed25519KeyPair::from_seed_unchecked(&seed).ok().map(Self)
    }

    /// What the checkpoints of `log` are checked with.
    pub fn public(&self, log: &str) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey {
            name: format!("{}{log}", domain::checkpoint::ORIGIN_PREFIX),
            bytes,
        }
    }

    /// The checkpoint as a signed note.
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        let key = self.public(&checkpoint.log);
        checkpoint.signed(&key, |text| self.0.sign(text).as_ref().to_vec())
    }
}

/// The text of a new private key.
pub fn new_secret() -> String {
    BASE64.encode(crate::fresh::random_bytes::<32>())
}

/// Demands a signature by one of `keys` under the note, and that none by them is false.
///
/// # Errors
/// Says which of the two it is, with the checkpoint's position.
pub fn check(note: &Note, keys: &[PublicKey]) -> Result<(), String> {
    let (position, text) = (note.checkpoint.position, note.checkpoint.text());
    let mut good = false;
    for signature in &note.signatures {
        for key in keys.iter().filter(|key| key.is_named_by(signature)) {
            UnparsedPublicKey::new(&ED25519, key.bytes)
                .verify(text.as_bytes(), &signature.bytes)
                .map_err(|_| format!("the checkpoint at {position} is forged: its signature does not verify"))?;
            good = true;
        }
    }
    if good {
        Ok(())
    } else {
        Err(format!("the checkpoint at {position} is not signed by a given key"))
    }
}
