//! The file that checkpoints are appended to, somewhere that a restored database doesn't take back.

use anyhow::Context as _;
use domain::checkpoint::{Note, notes};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A year of hourly checkpoints takes 2 MiB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The notes in a file, in their order.
///
/// # Errors
/// When it can't be read, or holds something that only begins like a checkpoint.
pub fn read(path: &Path) -> anyhow::Result<Vec<Note>> {
    let place = || path.display().to_string();
    let mut text = String::new();
    let file = File::open(path).with_context(place)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(place)?;
    anyhow::ensure!(text.len() as u64 <= FILE_BYTES_MAX, "{} is too large", place());
    notes(&text).map_err(anyhow::Error::msg).with_context(place)
}

/// Appends a signed note, unless it stands there, and makes it durable.
///
/// # Errors
/// When the file can't be read or written.
pub fn append(path: &Path, note: &str) -> anyhow::Result<()> {
    let place = || path.display().to_string();
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)
        .with_context(place)?;
    file.lock().with_context(place)?;
    let mut text = String::new();
    (&file)
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(place)?;
    if text.contains(note) {
        return Ok(());
    }
    let gap = match text.as_str() {
        "" => "",
        whole if whole.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    // One at a time, and whole or not at all: what is half written would be read as a broken checkpoint.
    let written = file
        .write_all(format!("{gap}{note}").as_bytes())
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = file.set_len(text.len() as u64);
        return Err(error).with_context(place);
    }
    if text.is_empty()
        && let Some(folder) = path.parent()
    {
        // The name of a new file is durable only with its folder.
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != ErrorKind::InvalidInput => return Err(error).with_context(place),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::key::SigningKey;
    use crate::config::Secret;
    use domain::checkpoint::Checkpoint;
    use domain::digest::Digest;

    fn note(position: u64) -> String {
        let key = SigningKey::new(&Secret::new("dGhlIGtleSBvZiB0aGUgdGVzdCB2ZWN0b3JzLCBubyE=")).unwrap();
        key.sign(&Checkpoint {
            position,
            log: "log-1".to_owned(),
            hash: Digest::of(&position.to_le_bytes()),
        })
    }

    #[test]
    fn a_checkpoint_is_appended_once_and_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        for position in [1, 2, 2, 1, 30] {
            append(&path, &note(position)).unwrap();
        }
        let positions: Vec<u64> = read(&path)
            .unwrap()
            .iter()
            .map(|note| note.checkpoint.position)
            .collect();
        assert_eq!(positions, [1, 2, 30]);
        assert!(append(&folder.path().join("missing/checkpoints"), &note(1)).is_err());
    }
}
