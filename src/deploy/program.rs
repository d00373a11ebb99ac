//! The program of a deployment: found once, never a shell, and pinned by the digest of its bytes.
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use sha2::{Digest, Sha256};

/// Programs that read a command line out of an argument; a value in there could become a command.
const SHELLS: [&str; 15] = [
    "sh", "ash", "bash", "busybox", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "pwsh", "rbash", "tcsh",
    "zsh",
];

/// Why a program can't be a deployment script (`deploy.script`).
#[derive(Debug)]
pub enum ProgramError {
    /// The working directory is not an absolute path of a directory.
    WorkingDirectory(PathBuf),
    /// There is no such file, or it can't be read.
    Unreadable(PathBuf, io::Error),
    /// It is a directory, a device or another thing that is not a regular file.
    NotAFile(PathBuf),
    /// The bot's user may not execute it.
    NotExecutable(PathBuf),
    /// It is a shell; name the script itself.
    Shell(PathBuf),
    /// It is text without a `#!` line, so it would be run by whatever shell happens to be there.
    NoInterpreter(PathBuf),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkingDirectory(path) => write!(
                f,
                "the working directory {} is not an absolute path of a directory",
                path.display()
            ),
            Self::Unreadable(path, error) => {
                write!(f, "can't read the program {}: {error}", path.display())
            }
            Self::NotAFile(path) => {
                write!(f, "the program {} is not a regular file", path.display())
            }
            Self::NotExecutable(path) => write!(
                f,
                "the program {} is not executable for this user; try chmod +x",
                path.display()
            ),
            Self::Shell(path) => write!(
                f,
                "the program {} is a shell; name the script itself, which says its interpreter in its #! line",
                path.display()
            ),
            Self::NoInterpreter(path) => write!(
                f,
                "the program {} is text without a #! line; say what runs it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ProgramError {}

/// The absolute path of `program`, taken relative to `working_directory`, checked to be a regular
/// executable file that is no shell. A symbolic link stays in the path, so `current/deploy.sh` works.
///
/// # Errors
/// A [`ProgramError`] that says what is wrong with it.
pub fn resolve_program(program: &str, working_directory: &Path) -> Result<PathBuf, ProgramError> {
    if !working_directory.is_absolute() || !working_directory.is_dir() {
        return Err(ProgramError::WorkingDirectory(working_directory.to_path_buf()));
    }
    let path = working_directory.join(program);
    check_program(&path)?;
    Ok(path)
}

/// The checks of [`resolve_program`] on a path that is absolute already.
///
/// # Errors
/// A [`ProgramError`] that says what is wrong with it.
pub fn check_program(path: &Path) -> Result<(), ProgramError> {
    let unreadable = |error| ProgramError::Unreadable(path.to_path_buf(), error);
    let canonical = fs::canonicalize(path).map_err(unreadable)?;
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ProgramError::NotAFile(path.to_path_buf()));
    }
    if is_shell(path) || is_shell(&canonical) {
        return Err(ProgramError::Shell(path.to_path_buf()));
    }
    if rustix::fs::access(path, Access::EXEC_OK).is_err() {
        return Err(ProgramError::NotExecutable(path.to_path_buf()));
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(128).read_to_end(&mut start))
        .map_err(unreadable)?;
    // The C library hands text without a #! line to /bin/sh; a binary always has a NUL early on.
    if !start.starts_with(b"#!") && !start.contains(&0) {
        return Err(ProgramError::NoInterpreter(path.to_path_buf()));
    }
    Ok(())
}

fn is_shell(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| SHELLS.contains(&name))
}

/// SHA-256 of the file's bytes in lower-case hexadecimal; a start is pinned to it.
///
/// # Errors
/// The error of reading the file.
pub fn script_digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let mut digest = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String can't fail.
        let _ = write!(digest, "{byte:02x}");
    }
    Ok(digest)
}
