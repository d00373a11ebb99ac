//! Restores from a backup that somebody has acknowledged: which checkpoints can't fit any more, and above which number fences
//! go on, so that nothing of the lost history is taken for something of this one.

use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::event::Event;
use crate::ids::Millis;
use crate::release::Release;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The stream that acknowledgements stand in.
pub const STREAM: &str = "log/restores";

/// Fences are counted from 1 and never come near this; after a restore they go on above it.
const COUNTED_FENCES_MAX: u64 = 1 << 40;

/// A checkpoint that a restore has made untrue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostCheckpoint {
    /// How many entries the lost log had.
    pub position: u64,
    /// The hash of its last one.
    pub hash: Digest,
}

impl From<&Checkpoint> for LostCheckpoint {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            position: checkpoint.position,
            hash: checkpoint.hash.clone(),
        }
    }
}

/// One acknowledged restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// When it was acknowledged.
    pub at_ms: Millis,
    /// See [`Event::RestoreAcknowledged`].
    pub fences_above: u64,
    /// What does not fit any more.
    pub checkpoints: BTreeSet<LostCheckpoint>,
}

/// The state of the stream: every acknowledged restore, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restores(pub Vec<Restore>);

impl Restores {
    /// Folds one event into the state.
    pub fn evolve(&mut self, event: &Event, at_ms: Millis) {
        if let Event::RestoreAcknowledged {
            fences_above,
            checkpoints,
            ..
        } = event
        {
            self.0.push(Restore {
                at_ms,
                fences_above: *fences_above,
                checkpoints: checkpoints.clone(),
            });
        }
    }

    /// Above which number fences go on; 0 if nothing was restored.
    pub fn fences_above(&self) -> u64 {
        self.0.iter().map(|restore| restore.fences_above).max().unwrap_or(0)
    }

    /// Whether an acknowledgement names this checkpoint as lost.
    pub fn names(&self, checkpoint: &Checkpoint) -> bool {
        let lost = LostCheckpoint::from(checkpoint);
        self.0.iter().any(|restore| restore.checkpoints.contains(&lost))
    }

    /// Under what a message goes out whose posting began at `began_ms`. A message of the lost history may have the same id.
    pub fn outbox_id(&self, id: &str, began_ms: Millis) -> String {
        match self.0.iter().rfind(|restore| restore.at_ms <= began_ms) {
            Some(restore) => format!("{id}@{}", restore.fences_above),
            None => id.to_owned(),
        }
    }
}

/// What a restore makes of a release: its attempt that is not over is lost, in whatever state the backup has it, for the lost
/// history may have gone on from there. Two people have to settle it.
pub fn lost_attempt(release: &Release) -> Option<Event> {
    release.live_attempt().map(|attempt| Event::AttemptLostInRestore {
        attempt: attempt.number,
    })
}

/// Where fences go on after a restore at `at_ms`: no history counts grants as fast as time counts milliseconds, so this is
/// above every fence of any lost one, and those of earlier restores that were lost themselves.
pub fn fences_after(at_ms: Millis, known: &Restores) -> u64 {
    let time = u64::try_from(at_ms).unwrap_or_default();
    time.max(COUNTED_FENCES_MAX).max(known.fences_above() + 1)
}

/// Whether a fence was granted after a restore.
pub fn is_after_restore(fence: u64) -> bool {
    fence > COUNTED_FENCES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(restores: &mut Restores, at_ms: Millis, positions: &[u64]) {
        let lost = |position: &u64| LostCheckpoint {
            position: *position,
            hash: Digest::of(&position.to_le_bytes()),
        };
        let event = Event::RestoreAcknowledged {
            by: Digest::of(b"by"),
            reason: Digest::of(b"reason"),
            fences_above: fences_after(at_ms, restores),
            checkpoints: positions.iter().map(lost).collect(),
            attempts: 0,
            held: 0,
        };
        restores.evolve(&event, at_ms);
    }

    const NOW_MS: Millis = 1_795_435_200_000;

    #[test]
    fn fences_go_on_above_every_one_of_a_lost_history() {
        let mut restores = Restores::default();
        assert_eq!(restores.fences_above(), 0);
        acknowledged(&mut restores, NOW_MS, &[]);
        // A grant for every millisecond since, and the same backup again: a history that knows nothing of the first restore.
        let lost = restores.fences_above() + 60_000;
        let mut again = Restores::default();
        acknowledged(&mut again, NOW_MS + 60_001, &[]);
        assert!(again.fences_above() > lost);
        // A clock that was set back makes none smaller.
        acknowledged(&mut again, 5, &[]);
        assert!(again.fences_above() > lost + 1);
        assert!(is_after_restore(again.fences_above() + 1) && !is_after_restore(1_000_000));
    }

    #[test]
    fn exactly_the_named_checkpoints_are_exempt() {
        let mut restores = Restores::default();
        acknowledged(&mut restores, NOW_MS, &[7, 9]);
        let checkpoint = |position: u64, of: u64| Checkpoint {
            position,
            log: "log-1".to_owned(),
            hash: Digest::of(&of.to_le_bytes()),
        };
        assert!(restores.names(&checkpoint(7, 7)) && restores.names(&checkpoint(9, 9)));
        assert!(!restores.names(&checkpoint(8, 8)) && !restores.names(&checkpoint(7, 8)));
    }

    #[test]
    fn a_message_of_before_a_restore_and_one_of_after_it_are_two() {
        let mut restores = Restores::default();
        let id = "outcome/REL-1/2";
        assert_eq!(restores.outbox_id(id, NOW_MS), id);
        acknowledged(&mut restores, NOW_MS, &[]);
        acknowledged(&mut restores, NOW_MS + 10, &[]);
        assert_eq!(restores.outbox_id(id, NOW_MS - 1), id);
        assert_eq!(restores.outbox_id(id, NOW_MS + 5), format!("{id}@{NOW_MS}"));
        assert_eq!(restores.outbox_id(id, NOW_MS + 10), format!("{id}@{}", NOW_MS + 10));
    }
}
