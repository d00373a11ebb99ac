//! The file that checkpoints are appended to, somewhere that a restored database doesn't take back.

use anyhow::Context as _;
use domain::checkpoint::{Note, notes, unfinished_at};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A year of hourly checkpoints takes 2 MiB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The notes in a file, in their order. A last one whose writer was cut off was never said to be there, and is passed over.
///
/// # Errors
/// When it can't be read, or holds something that only begins like a checkpoint.
pub fn read(path: &Path) -> anyhow::Result<Vec<Note>> {
    let place = || path.display().to_string();
    let file = File::open(path).with_context(place)?;
    file.lock_shared().with_context(place)?;
    let text = text_of(&file).with_context(place)?;
    let whole = whole(&text);
    if whole.len() < text.len() {
        tracing::warn!(file = %path.display(), "its last checkpoint was cut off while it was written, and is passed over");
    }
    notes(whole).map_err(anyhow::Error::msg).with_context(place)
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
    let text = text_of(&file).with_context(place)?;
    let whole = whole(&text);
    if whole.contains(note) {
        return Ok(());
    }
    file.set_len(whole.len() as u64).with_context(place)?;
    let gap = match whole {
        "" => "",
        whole if whole.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    // One at a time, and whole or not at all: what is half written is in the way of nothing, but says nothing either.
    let written = file
        .write_all(format!("{gap}{note}").as_bytes())
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = file.set_len(whole.len() as u64);
        return Err(error).with_context(place);
    }
    if whole.is_empty()
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

fn text_of(file: &File) -> anyhow::Result<String> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    anyhow::ensure!(text.len() as u64 <= FILE_BYTES_MAX, "it is too large");
    Ok(text)
}

/// The text without a last note that was cut off.
fn whole(text: &str) -> &str {
    &text[..unfinished_at(text).unwrap_or(text.len())]
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
        // A writer was cut off: nobody is kept from reading, and the next one leaves no rest of it.
        let whole = std::fs::read_to_string(&path).unwrap();
        let cut = format!("{whole}\n{}", &note(40)[..60]);
        std::fs::write(&path, &cut).unwrap();
        assert_eq!(read(&path).unwrap().len(), 3);
        append(&path, &note(41)).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{whole}\n\n{}", note(41))
        );
        assert!(append(&folder.path().join("missing/checkpoints"), &note(1)).is_err());
    }
}
