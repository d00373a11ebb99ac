//! `countersign audit keygen|public-key`: the key that signs checkpoints, and what witnesses check them with.

use crate::checkpoints::key::{SigningKey, new_secret};
use crate::config::CheckpointKey;
use crate::store::Store;
use anyhow::Context as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

/// Makes a key in a new file that only its owner can read. It is never printed: terminals and shells remember.
pub(super) fn keygen(output: &Path) -> anyhow::Result<ExitCode> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(output)
        .with_context(|| output.display().to_string())?;
    file.write_all(format!("{}\n", new_secret()).as_bytes())?;
    file.sync_all()?;
    super::say(&format!(
        "{0} holds a new key. Set COUNTERSIGN_CHECKPOINT_KEY_FILE={0}, then give witnesses what `countersign audit public-key` prints.",
        output.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// What the checkpoints of this database's log are checked with.
pub(super) fn public_key(store: &Store) -> anyhow::Result<ExitCode> {
    let secret = CheckpointKey::from_process()?.0;
    let secret = secret.context("COUNTERSIGN_CHECKPOINT_KEY is not set; `countersign audit keygen` makes a key")?;
    let key = SigningKey::new(&secret).context("COUNTERSIGN_CHECKPOINT_KEY")?;
    super::say(&key.public(store.log_id()).to_string());
    Ok(ExitCode::SUCCESS)
}
