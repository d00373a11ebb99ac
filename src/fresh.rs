//! The one source of randomness: ids that say nothing about whom they stand for, and salts.

use domain::digest::{PrivateText, hex};
use domain::ids::PersonId;

/// Random bytes, for a key.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0_u8; N];
    fill(&mut buffer);
    buffer
}

/// `bytes` random bytes in hex.
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    fill(&mut buffer);
    hex(&buffer)
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes random bytes")]
fn fill(buffer: &mut [u8]) {
    rand::fill(buffer);
}

/// A number from 0 to below `end`, to keep replicas out of step.
pub fn jitter(end: u32) -> u32 {
    let mut bytes = [0_u8; 4];
    fill(&mut bytes);
    u32::from_le_bytes(bytes) % end.max(1)
}

/// A new person id; it means a person only once the store has mapped it.
pub fn person_id() -> PersonId {
    let mut id = random_hex(8);
    loop {
        match PersonId::new(format!("p-{id}")) {
            Ok(person) => return person,
            // Hex always fits; asking again keeps this total without a panic.
            Err(_) => id = random_hex(8),
        }
    }
}

/// A text with a fresh salt.
pub fn private_text(value: impl Into<String>) -> PrivateText {
    PrivateText {
        salt: random_hex(32),
        value: value.into(),
    }
}
