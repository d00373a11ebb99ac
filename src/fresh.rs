//! The one source of randomness: ids that say nothing about whom they stand for, and salts.

use domain::digest::{PrivateText, hex};
use domain::ids::PersonId;

/// `bytes` random bytes in hex.
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    rand::fill(&mut buffer[..]);
    hex(&buffer)
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
