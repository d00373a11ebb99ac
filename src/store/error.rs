//! What can go wrong, sorted by what may be done about it: nothing was written, nobody knows, or a bug.

use super::StoreError;
use std::fmt;
use std::path::{Path, PathBuf};

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => {
                write!(f, "the database is not available, nothing was recorded: {why:#}")
            }
            Self::Unknown(why) => write!(f, "it is not known whether it was recorded: {why:#}"),
            Self::Broken(why) => write!(f, "the store failed: {why:#}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Why a store could not be opened or migrated.
#[derive(Debug)]
pub enum OpenError {
    /// The URL is of no known kind or names no file.
    Url(String),
    /// Another process holds the SQLite file.
    Locked {
        /// The lock file.
        file: PathBuf,
        /// Who wrote it, if that can be read.
        pid: Option<u32>,
    },
    /// The database must not be used as it is: it could lose what was acknowledged.
    Unsafe(String),
    /// The tables are missing or older than this program.
    NotMigrated,
    /// The database was migrated by a newer program that this one can't run beside.
    Newer {
        /// The oldest migration that a program must know.
        floor: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// A migration that was applied is not the one in this program.
    Changed(i64),
    /// Anything that the database said.
    Database(anyhow::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "DATABASE_URL: {why}"),
            Self::Locked { file, pid: Some(pid) } => write!(
                f,
                "the database is in use by process {pid}, which holds {}; a SQLite database serves one process",
                file.display()
            ),
            Self::Locked { file, pid: None } => write!(
                f,
                "the database is in use by another process, which holds {}; a SQLite database serves one process",
                file.display()
            ),
            Self::Unsafe(why) => write!(f, "this database could lose decisions: {why}"),
            Self::NotMigrated => {
                f.write_str("the database's tables are missing or older than this program: run `countersign migrate`")
            }
            Self::Newer { floor, known } => write!(
                f,
                "the database needs a program that knows migration {floor}, this one knows up to {known}: use a newer countersign"
            ),
            Self::Changed(version) => write!(f, "migration {version} in the database is not the one in this program"),
            Self::Database(why) => write!(f, "the database can't be opened: {why:#}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// Says which file it is about, where the database did not.
    pub(super) fn about(self, file: &Path) -> Self {
        match self {
            Self::Database(why) => Self::Database(why.context(file.display().to_string())),
            other => other,
        }
    }
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Database(anyhow::Error::new(error))
    }
}

/// What may be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A race that the same transaction may win the next time.
    Retry,
    /// Nothing was written.
    Unavailable,
    /// The commit was in flight.
    Unknown,
    /// A bug or a broken row.
    Broken,
}

/// A failure that can be told to every member of a group.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) why: String,
}

impl Failure {
    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self {
            kind: Kind::Unavailable,
            why: why.into(),
        }
    }

    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self {
            kind: Kind::Broken,
            why: why.into(),
        }
    }

    pub(super) fn retry(why: impl Into<String>) -> Self {
        Self {
            kind: Kind::Retry,
            why: why.into(),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let why = anyhow::Error::msg(failure.why);
        match failure.kind {
            Kind::Retry | Kind::Unavailable => Self::Unavailable(why),
            Kind::Unknown => Self::Unknown(why),
            Kind::Broken => Self::Broken(why),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let kind = match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                // PostgreSQL's codes have five characters, SQLite's are small numbers.
                if code.len() == 5 { postgres_kind(&code) } else { sqlite_kind(&code) }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            // What sqlx says when the server closes the connection between two messages.
            | sqlx::Error::Protocol(_) => Kind::Unavailable,
            _ => Kind::Broken,
        };
        Self {
            kind,
            why: error.to_string(),
        }
    }
}

fn postgres_kind(code: &str) -> Kind {
    match code {
        // Serialization failure, deadlock.
        "40001" | "40P01" => Kind::Retry,
        // Read-only transaction, lock not available, query cancelled, too many connections and
        // other limits, disk full, idle-in-transaction timeout, cannot connect now.
        "25006" | "25P03" | "55P03" | "57014" => Kind::Unavailable,
        _ => match &code[..2] {
            "08" | "53" | "57" | "58" => Kind::Unavailable,
            _ => Kind::Broken,
        },
    }
}

fn sqlite_kind(code: &str) -> Kind {
    // The lowest byte is the primary code, the rest tells it more exactly.
    match code.parse::<u32>().unwrap_or_default() & 0xff {
        // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
        5..=10 | 13..=15 => Kind::Unavailable,
        _ => Kind::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_may_be_done() {
        for code in ["57P01", "25006", "08006", "55P03", "53300", "57P03"] {
            assert_eq!(postgres_kind(code), Kind::Unavailable, "{code}");
        }
        assert_eq!(postgres_kind("40P01"), Kind::Retry);
        assert_eq!(postgres_kind("23505"), Kind::Broken);
        // BUSY, BUSY_SNAPSHOT, IOERR_WRITE, FULL; CORRUPT, CONSTRAINT_UNIQUE.
        for code in ["5", "517", "778", "13"] {
            assert_eq!(sqlite_kind(code), Kind::Unavailable, "{code}");
        }
        for code in ["11", "2067"] {
            assert_eq!(sqlite_kind(code), Kind::Broken, "{code}");
        }
    }
}
