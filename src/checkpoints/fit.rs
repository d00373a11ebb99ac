//! Whether the log still goes through the checkpoints of `audit.file`. If not, the database is older than it should be, another
//! one, or rewritten, and nothing must be decided on it before somebody has looked.

use super::file;
use super::key;
use crate::store::Store;
use anyhow::Context as _;
use domain::checkpoint::{Checkpoint, Note, PublicKey};
use domain::digest::Digest;
use domain::log_entry::Head;
use domain::restore::{LostCheckpoint, Restores};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// The checkpoints of this log in a file.
#[derive(Debug)]
pub struct Kept {
    file: PathBuf,
    is_missing: bool,
    notes: Vec<Note>,
    /// The last one of another log.
    other: Option<Checkpoint>,
    /// When the file was last written, for people; it holds no times.
    written: Option<jiff::Timestamp>,
    /// Checkpoints that no given key has signed.
    unchecked: usize,
}

/// How the log stands to the newest checkpoint that counts.
#[derive(Debug)]
pub enum Fit {
    /// There is none.
    Nothing,
    /// The log goes through it.
    Fits(Checkpoint),
    /// It doesn't.
    Not(Box<Misfit>),
}

/// A log that doesn't go through a checkpoint of it.
#[derive(Debug)]
pub struct Misfit {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// How many entries the log has.
    pub entries: u64,
    file: PathBuf,
    written: Option<jiff::Timestamp>,
}

impl Kept {
    /// Reads the checkpoints of `log`. Where a key is given, none of them may carry a false signature of it.
    ///
    /// # Errors
    /// When the file can't be read, holds something that only begins like a checkpoint, or one that is forged.
    pub fn read(path: &Path, log: &str, key: Option<&PublicKey>) -> anyhow::Result<Self> {
        let written = match path.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    file: path.to_owned(),
                    is_missing: true,
                    notes: Vec::new(),
                    other: None,
                    written: None,
                    unchecked: 0,
                });
            }
            metadata => metadata.with_context(|| path.display().to_string())?.modified().ok(),
        };
        let (notes, others): (Vec<Note>, Vec<Note>) = file::read(path)?
            .into_iter()
            .partition(|note| note.checkpoint.log == log);
        let mut unchecked = 0;
        for note in &notes {
            let signs = |key: &&PublicKey| note.signatures.iter().any(|signature| key.is_named_by(signature));
            match key.filter(signs) {
                Some(key) => key::check(note, std::slice::from_ref(key))
                    .map_err(anyhow::Error::msg)
                    .with_context(|| format!("{}: somebody else wrote into it", path.display()))?,
                // Of an earlier key, or nobody knows: it counts all the same, since nothing is gained by passing it over.
                None => unchecked += 1,
            }
        }
        Ok(Self {
            file: path.to_owned(),
            is_missing: false,
            notes,
            other: others.into_iter().next_back().map(|note| note.checkpoint),
            written: written.and_then(|time| jiff::Timestamp::try_from(time).ok()),
            unchecked,
        })
    }

    /// Why a log must not be served although nothing here contradicts it: `was_written` says whether its database knows of a
    /// checkpoint in this file.
    pub fn suspicion(&self, head: &Head, was_written: bool) -> Option<String> {
        let file = self.file.display();
        if self.is_missing && was_written {
            return Some(format!(
                "audit.file {file} is not there, and checkpoints of this log were written to it. Mount the disk that it is on, or put \
                 it back. If it is lost for good, say so by making an empty one (`touch {file}`): what was logged until now is then \
                 held against no checkpoint any more"
            ));
        }
        match &self.other {
            Some(other) if self.notes.is_empty() && head.position == 0 => Some(format!(
                "this database is empty, and {file} holds checkpoints of another log, {}, up to entry {}. If that log is to be \
                 served, point DATABASE_URL to its database, or restore it. If this is a new log, give it an audit.file of its own",
                other.log, other.position
            )),
            _ => None,
        }
    }

    /// How many there are, and how many of them could not be checked with the key.
    pub fn counts(&self) -> (usize, usize) {
        (self.notes.len(), self.unchecked)
    }

    /// Compares the log with the newest checkpoint that no acknowledged restore names.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn fit(&self, store: &Store, restores: &Restores) -> anyhow::Result<Fit> {
        let counting = || {
            let checkpoints = self.notes.iter().map(|note| &note.checkpoint);
            checkpoints.filter(|checkpoint| !restores.names(checkpoint))
        };
        // The largest, wherever it stands: what is appended late is no newer for it.
        let Some(newest) = counting().map(|checkpoint| checkpoint.position).max() else {
            return Ok(Fit::Nothing);
        };
        let head = store.head().await?;
        let there = hash_at(store, &head, newest).await?;
        let misfit = counting().find(|one| one.position == newest && Some(&one.hash) != there.as_ref());
        Ok(match (misfit, there) {
            (None, Some(hash)) => Fit::Fits(Checkpoint {
                position: newest,
                log: head.log,
                hash,
            }),
            (None, None) => Fit::Nothing,
            (Some(checkpoint), _) => Fit::Not(Box::new(Misfit {
                checkpoint: checkpoint.clone(),
                entries: head.position,
                file: self.file.clone(),
                written: self.written,
            })),
        })
    }

    /// Every checkpoint that the log doesn't go through and that no acknowledged restore names.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn lost(&self, store: &Store, restores: &Restores) -> anyhow::Result<BTreeSet<LostCheckpoint>> {
        let head = store.head().await?;
        let mut lost = BTreeSet::new();
        for Note { checkpoint, .. } in &self.notes {
            if !restores.names(checkpoint)
                && hash_at(store, &head, checkpoint.position).await?.as_ref() != Some(&checkpoint.hash)
            {
                lost.insert(LostCheckpoint::from(checkpoint));
            }
        }
        Ok(lost)
    }
}

/// The hash of the log's first `position` entries; nothing if it has fewer.
async fn hash_at(store: &Store, head: &Head, position: u64) -> anyhow::Result<Option<Digest>> {
    if position == 0 {
        return Ok(Some(Head::genesis(&head.log).hash));
    }
    if position > head.position {
        return Ok(None);
    }
    let entry = store.entries(position, 1).await?.pop();
    Ok(entry.filter(|entry| entry.position == position).map(|entry| entry.hash))
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (position, entries) = (self.checkpoint.position, self.entries);
        write!(
            f,
            "this database is not the one that the last checkpoint was made of. Its log has {entries} entries; a checkpoint in {} says {position}",
            self.file.display()
        )?;
        if let Some(written) = self.written {
            write!(
                f,
                " (when it was made is not written there; the file was last written {written:.0})"
            )?;
        }
        if position > entries {
            write!(f, ". At least {} entries are missing", position - entries)?;
        } else {
            write!(f, ", and entry {position} of this log is another one")?;
        }
        f.write_str(
            ". Either the database was restored from an older backup, or DATABASE_URL points to another place, or somebody \
             rewrote the log. If a newer database exists, point DATABASE_URL to it. If this one is all that is left: stop \
             every process of the bot, run `countersign audit acknowledge-restore --by NAME --reason TEXT`, and start again. \
             It gives unfinished deployments to two people and holds messages that may have been sent; the operations page says more",
        )
    }
}
