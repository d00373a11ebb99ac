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
    #[cfg(feature = "simulation")]
    if seeded::fill(buffer) {
        return;
    }
    rand::fill(buffer);
}

/// Makes everything random on this thread follow from `seed`: a run of the simulation stays on one thread.
#[cfg(feature = "simulation")]
pub fn follow_seed(seed: u64) {
    seeded::STATE.set(Some(seed));
}

#[cfg(feature = "simulation")]
mod seeded {
    use std::cell::Cell;

    thread_local! {
        pub(super) static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// SplitMix64: short, and equal everywhere. False if this thread follows no seed.
    pub(super) fn fill(buffer: &mut [u8]) -> bool {
        let Some(mut state) = STATE.get() else { return false };
        for bytes in buffer.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
        }
        STATE.set(Some(state));
        true
    }
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
