//! The log as a file: one JSON object a line, each with the exact bytes that were hashed, so that whoever has only the file
//! and some checkpoints can judge it. `scripts/verify_audit.py` is a second reading of the same form.

use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::log_entry::{BreakKind, Broken, Head, Sealed, Verifier};
use crate::restore::{LostCheckpoint, STREAM};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// The longest line that is read: an entry holds ids, names and digests, never texts of any length.
pub const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    bytes: String,
    hash: Digest,
    logged_ms: i64,
    position: u64,
    previous: Digest,
    stream: String,
    version: u64,
}

/// The line of an entry, without its end.
pub fn line(sealed: &Sealed) -> String {
    let Sealed {
        position,
        stream,
        version,
        logged_ms,
        bytes,
        previous,
        hash,
    } = sealed.clone();
    let line = Line {
        bytes,
        hash,
        logged_ms,
        position,
        previous,
        stream,
        version,
    };
    // Texts and integers only: this can't fail, and an empty line would be refused by every reader.
    serde_json::to_string(&line).unwrap_or_default()
}

fn sealed(line: &str) -> Option<Sealed> {
    let line: Line = serde_json::from_str(line).ok()?;
    Some(Sealed {
        position: line.position,
        stream: line.stream,
        version: line.version,
        logged_ms: line.logged_ms,
        bytes: line.bytes,
        previous: line.previous,
        hash: line.hash,
    })
}

/// The checkpoints that this line names as lost in a restore. That it is part of the log remains to be judged.
pub fn named_as_lost(line: &str) -> BTreeSet<LostCheckpoint> {
    let named = || -> Option<BTreeSet<LostCheckpoint>> {
        let line: Value = serde_json::from_str(line).ok()?;
        if line["stream"] != STREAM {
            return None;
        }
        let entry: Value = serde_json::from_str(line["bytes"].as_str()?).ok()?;
        if entry["event"]["name"] != "RestoreAcknowledged.v1" {
            return None;
        }
        let lost = entry["event"]["data"]["checkpoints"].as_array()?.iter();
        let one = |lost: &Value| {
            Some(LostCheckpoint {
                position: lost["position"].as_u64()?,
                hash: lost["hash"].as_str()?.to_owned().try_into().ok()?,
            })
        };
        Some(lost.filter_map(one).collect())
    };
    named().unwrap_or_default()
}

/// Judges an export line by line. The log's id is that of the checkpoints, or else what the first entry says.
#[derive(Debug, Clone)]
pub struct LineVerifier {
    checkpoints: Vec<Checkpoint>,
    verifier: Option<Verifier>,
    /// Where the next line belongs.
    position: u64,
}

impl LineVerifier {
    /// Before the first line.
    pub fn new(checkpoints: Vec<Checkpoint>) -> Self {
        Self {
            checkpoints,
            verifier: None,
            position: 1,
        }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// Where and how the log is broken.
    pub fn push(&mut self, line: &str) -> Result<(), Broken> {
        let unreadable = Broken {
            position: self.position,
            kind: BreakKind::Unreadable,
        };
        let sealed = sealed(line).ok_or(unreadable)?;
        self.verifier(Some(&sealed)).push(&sealed)?;
        self.position += 1;
        Ok(())
    }

    fn verifier(&mut self, first: Option<&Sealed>) -> &mut Verifier {
        let checkpoints = &mut self.checkpoints;
        self.verifier.get_or_insert_with(|| {
            let named = checkpoints.first().map(|checkpoint| checkpoint.log.clone());
            // An entry that can't be opened is refused whatever the log is called.
            let told = || Some(first?.open().ok()?.log);
            let log = named.or_else(told).unwrap_or_default();
            Verifier::new(&log).against(std::mem::take(checkpoints))
        })
    }

    /// The end of the log, if it reaches every checkpoint.
    ///
    /// # Errors
    /// [`BreakKind::Truncated`].
    pub fn finish(mut self) -> Result<Head, Broken> {
        std::mem::replace(self.verifier(None), Verifier::new("")).finish(None)
    }
}
