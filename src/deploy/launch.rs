//! What a supervisor is to run, exactly; written once as `launch.json`, and never holding a secret of the bot.
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::environment::{ATTEMPT_VARIABLE, is_secret};
use super::program::{ProgramError, check_program};

/// The only format of `launch.json` that this version reads and writes.
pub const FORMAT: u32 = 1;

/// Time between TERM and KILL unless the configuration says otherwise, in milliseconds.
pub const KILL_GRACE_MS: u64 = 20_000;

/// How much of a script's output is kept. What is beyond it is dropped, never waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputLimits {
    /// Bytes kept from the start.
    pub head_bytes: u64,
    /// Bytes kept from the end; at least [`OutputLimits::TAIL_BYTES_MIN`].
    pub tail_bytes: u64,
    /// Bytes kept of one line.
    pub line_bytes: usize,
}

impl OutputLimits {
    /// The smallest tail: what is being written and what is being read have to fit side by side.
    pub const TAIL_BYTES_MIN: u64 = 64 * 1024;
    /// The largest head and the largest tail.
    pub const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;
    /// The longest line.
    pub const LINE_BYTES_MAX: usize = 64 * 1024;
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            head_bytes: 1024 * 1024,
            tail_bytes: 4 * 1024 * 1024,
            line_bytes: 16 * 1024,
        }
    }
}

/// One attempt to deploy by a script (`deploy.script`).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// [`FORMAT`].
    pub format: u32,
    /// Attempt id; also the name of the spool directory, so letters, digits, `.`, `_` and `-` only.
    pub attempt: String,
    /// Key of the release.
    pub release: String,
    /// Absolute path, from [`super::program::resolve_program`].
    pub program: PathBuf,
    /// Arguments after the program's name, expanded already; passed on byte by byte.
    pub arguments: Vec<String>,
    /// Absolute path of the directory that the script runs in.
    pub working_directory: PathBuf,
    /// The whole environment, from [`super::environment::child_environment`].
    pub environment: BTreeMap<String, String>,
    /// SHA-256 of the program, from [`super::program::script_digest`], in lower-case hexadecimal.
    pub script_digest: String,
    /// The script is ended after this long, in milliseconds.
    pub timeout_ms: u64,
    /// The script is ended after this long without a byte of output, in milliseconds. A script that
    /// closes its output is only watched by `timeout_ms` from then on.
    pub idle_output_timeout_ms: Option<u64>,
    /// Time between TERM and KILL, in milliseconds.
    pub kill_grace_ms: u64,
    /// How much output is kept.
    pub output: OutputLimits,
}

/// Values of variables stay out of logs: an operator may have allowed one that is a secret of the script.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("attempt", &self.attempt)
            .field("release", &self.release)
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("working_directory", &self.working_directory)
            .field("environment_names", &self.environment.keys().collect::<Vec<_>>())
            .field("script_digest", &self.script_digest)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

/// Why a launch was refused; nothing was started.
#[derive(Debug)]
pub enum LaunchError {
    /// Written by another version.
    Format(u32),
    /// The attempt id can't name a directory.
    Attempt(String),
    /// The program can't be run.
    Program(ProgramError),
    /// A field is out of its bounds; the text names it and its bounds.
    Bounds(&'static str),
    /// An argument holds a NUL.
    Argument(usize),
    /// The environment holds something it must not, by name.
    Environment(String),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(found) => write!(f, "the launch has format {found}, this version reads {FORMAT}"),
            Self::Attempt(attempt) => write!(
                f,
                "{attempt:?} can't be an attempt id: 1 to 100 letters, digits, '.', '_' or '-', the first one a letter or digit"
            ),
            Self::Program(error) => error.fmt(f),
            Self::Bounds(text) => f.write_str(text),
            Self::Argument(index) => write!(f, "argument {index} holds a NUL character"),
            Self::Environment(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for LaunchError {}

impl Launch {
    /// Checks everything that can be known before a process exists.
    ///
    /// # Errors
    /// The first [`LaunchError`] found.
    pub fn check(&self) -> Result<(), LaunchError> {
        if self.format != FORMAT {
            return Err(LaunchError::Format(self.format));
        }
        check_attempt(&self.attempt)?;
        self.check_bounds()?;
        if let Some(index) = self.arguments.iter().position(|text| text.contains('\0')) {
            return Err(LaunchError::Argument(index));
        }
        self.check_environment()?;
        if !self.program.is_absolute() {
            return Err(LaunchError::Bounds(
                "the program must be an absolute path; resolve it first",
            ));
        }
        if !self.working_directory.is_absolute() || !self.working_directory.is_dir() {
            return Err(LaunchError::Program(ProgramError::WorkingDirectory(
                self.working_directory.clone(),
            )));
        }
        check_program(&self.program).map_err(LaunchError::Program)
    }

    fn check_bounds(&self) -> Result<(), LaunchError> {
        const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;
        let limits = self.output;
        let digest_ok = self.script_digest.len() == 64
            && (self.script_digest.bytes()).all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let problem = if !(1..=WEEK_MS).contains(&self.timeout_ms) {
            "timeout_ms must be between 1 and 604800000 (7 days)"
        } else if self.idle_output_timeout_ms == Some(0) {
            "idle_output_timeout_ms must be at least 1"
        } else if self.kill_grace_ms > 600_000 {
            "kill_grace_ms must be at most 600000 (10 minutes)"
        } else if limits.head_bytes > OutputLimits::KEPT_BYTES_MAX {
            "output.head_bytes must be at most 67108864 (64 MiB)"
        } else if !(OutputLimits::TAIL_BYTES_MIN..=OutputLimits::KEPT_BYTES_MAX).contains(&limits.tail_bytes) {
            "output.tail_bytes must be between 65536 (64 KiB) and 67108864 (64 MiB)"
        } else if !(80..=OutputLimits::LINE_BYTES_MAX).contains(&limits.line_bytes) {
            "output.line_bytes must be between 80 and 65536 (64 KiB)"
        } else if !digest_ok {
            "script_digest must be 64 lower-case hexadecimal digits"
        } else {
            return Ok(());
        };
        Err(LaunchError::Bounds(problem))
    }

    fn check_environment(&self) -> Result<(), LaunchError> {
        let refuse = |text: String| Err(LaunchError::Environment(text));
        for (name, value) in &self.environment {
            if is_secret(name) {
                return refuse(format!("the environment holds {name}, a secret of the bot"));
            }
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return refuse(format!("the variable {name:?} can't be passed on"));
            }
        }
        if self.environment.get(ATTEMPT_VARIABLE) != Some(&self.attempt) {
            return refuse(format!("the environment must hold {ATTEMPT_VARIABLE}={}", self.attempt));
        }
        Ok(())
    }
}

/// Whether this text can be an attempt id, and with that the name of a directory.
///
/// # Errors
/// [`LaunchError::Attempt`] with the text.
pub fn check_attempt(attempt: &str) -> Result<(), LaunchError> {
    let fine = attempt.len() <= 100
        && attempt.starts_with(|first: char| first.is_ascii_alphanumeric())
        && attempt
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fine {
        Ok(())
    } else {
        Err(LaunchError::Attempt(attempt.to_owned()))
    }
}
