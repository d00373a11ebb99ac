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

/// The same, but a file that isn't there yet holds none.
///
/// # Errors
/// As [`read`].
pub fn read_if_there(path: &Path) -> anyhow::Result<Vec<Note>> {
    match path.try_exists() {
        Ok(false) => Ok(Vec::new()),
        Ok(true) => read(path),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Appends a signed note, unless it stands there, and makes it durable. A piece that a crash left behind is cut from it by
/// an empty line.
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
    file.write_all(format!("{gap}{note}").as_bytes()).with_context(place)?;
    file.sync_all().with_context(place)?;
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
