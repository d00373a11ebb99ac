//! Exports of the audit log and their two verifiers: the program, and a Python script that shares no line with it. They must
//! agree on checked-in vectors and on random changes. `COUNTERSIGN_BLESS=1` writes vectors that are missing.

mod fuzzed;
mod log;
mod vectors;

pub use log::SECRET;

use std::path::{Path, PathBuf};
use std::process::Command;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/verify_audit.py")
}

/// Runs it to its end; its exit code, and what it said on standard output.
fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs what is missing"));
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn python() -> Command {
    let mut python = Command::new("python3");
    // No cache beside the script.
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    python
}
