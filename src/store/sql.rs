//! One SQL text for both engines where one text will do: lists and sets travel as one JSON parameter,
//! and only how it is unpacked differs.

use super::error::Failure;
#[cfg(feature = "simulation")]
use super::memory;
use domain::digest::Digest;
use domain::sabotage::{self, Guard};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// A statement in both dialects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    /// By which the store in memory knows it.
    #[cfg(feature = "simulation")]
    pub(super) name: &'static str,
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl Sql {
    /// See [`guarded`].
    pub(super) fn guarded(self, guard: Guard, part: &str, instead: &str) -> Self {
        Self {
            #[cfg(feature = "simulation")]
            name: self.name,
            sqlite: guarded(guard, self.sqlite, part, instead),
            postgres: guarded(guard, self.postgres, part, instead),
        }
    }
}

/// The statement; where a proof has taken `guard` out, with `instead` for the part that is this guard.
#[cfg_attr(not(feature = "sabotage"), inline)]
pub(super) fn guarded(guard: Guard, statement: &'static str, part: &str, instead: &str) -> &'static str {
    if !sabotage::is_out(guard) {
        return statement;
    }
    let weaker = statement.replace(part, instead);
    debug_assert_ne!(weaker, statement, "the guard {guard:?} is not in it");
    Box::leak(weaker.into_boxed_str())
}

/// Builds a [`Sql`] from its name and pieces: a literal stands as it is, `any($1)` tests for membership in a JSON
/// array of texts, `rows($1)` reads a JSON array of arrays as `item.value`, `text(0)` and `int(1)` are
/// its columns, and `lock` locks rows, skipping those that somebody else holds.
macro_rules! sql {
    ($name:ident: $($rest:tt)*) => {
        $crate::store::sql::Sql {
            #[cfg(feature = "simulation")]
            name: stringify!($name),
            sqlite: $crate::store::sql::dialect!(sqlite () $($rest)*),
            postgres: $crate::store::sql::dialect!(postgres () $($rest)*),
        }
    };
}

macro_rules! dialect {
    ($engine:ident ($($out:tt)*)) => { concat!($($out)*) };
    (sqlite ($($out:tt)*) any($p:literal) $($rest:tt)*) => {
        $crate::store::sql::dialect!(sqlite ($($out)* " IN (SELECT value FROM json_each(", $p, "))",) $($rest)*)
    };
    (postgres ($($out:tt)*) any($p:literal) $($rest:tt)*) => {
        $crate::store::sql::dialect!(postgres ($($out)* " = ANY(ARRAY(SELECT json_array_elements_text(", $p, "::json)))",) $($rest)*)
    };
    (sqlite ($($out:tt)*) rows($p:literal) $($rest:tt)*) => {
        $crate::store::sql::dialect!(sqlite ($($out)* " json_each(", $p, ") AS item ",) $($rest)*)
    };
    (postgres ($($out:tt)*) rows($p:literal) $($rest:tt)*) => {
        $crate::store::sql::dialect!(postgres ($($out)* " json_array_elements(", $p, "::json) AS item(value) ",) $($rest)*)
    };
    ($engine:ident ($($out:tt)*) text($n:literal) $($rest:tt)*) => {
        $crate::store::sql::dialect!($engine ($($out)* " (item.value->>", $n, ") ",) $($rest)*)
    };
    (sqlite ($($out:tt)*) int($n:literal) $($rest:tt)*) => {
        $crate::store::sql::dialect!(sqlite ($($out)* " (item.value->>", $n, ") ",) $($rest)*)
    };
    (postgres ($($out:tt)*) int($n:literal) $($rest:tt)*) => {
        $crate::store::sql::dialect!(postgres ($($out)* " (item.value->>", $n, ")::bigint ",) $($rest)*)
    };
    (sqlite ($($out:tt)*) lock $($rest:tt)*) => { $crate::store::sql::dialect!(sqlite ($($out)*) $($rest)*) };
    (postgres ($($out:tt)*) lock $($rest:tt)*) => {
        $crate::store::sql::dialect!(postgres ($($out)* " FOR UPDATE SKIP LOCKED",) $($rest)*)
    };
    ($engine:ident ($($out:tt)*) $text:literal $($rest:tt)*) => {
        $crate::store::sql::dialect!($engine ($($out)* $text,) $($rest)*)
    };
}

pub(super) use {dialect, sql};

/// A bound value.
#[derive(Debug, Clone)]
pub(super) enum Param {
    Text(String),
    Int(i64),
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Param {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Param {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Param {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

/// The list or table that `any($n)` and `rows($n)` unpack.
pub(super) fn json<T: serde::Serialize>(items: &[T]) -> Param {
    // Texts and integers in arrays always serialise.
    Param::Text(serde_json::to_string(items).unwrap_or_default())
}

/// `query` with `params` bound in order.
macro_rules! bind {
    ($text:expr, $params:expr) => {
        $params
            .into_iter()
            .fold(sqlx::query($text), |query, param| match param {
                $crate::store::sql::Param::Text(text) => query.bind(text),
                $crate::store::sql::Param::Int(int) => query.bind(int),
            })
    };
}

pub(super) use bind;

/// A row of any engine.
pub(super) enum AnyRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    #[cfg(feature = "simulation")]
    Memory(Vec<Param>),
}

impl AnyRow {
    /// The text in column `index`.
    pub(super) fn text(&self, index: usize) -> Result<String, Failure> {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
            #[cfg(feature = "simulation")]
            Self::Memory(row) => return memory::text(row, index),
        }
        .map_err(Failure::from)
    }

    /// The integer in column `index`.
    pub(super) fn int(&self, index: usize) -> Result<i64, Failure> {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
            #[cfg(feature = "simulation")]
            Self::Memory(row) => return memory::int(row, index),
        }
        .map_err(Failure::from)
    }

    /// The count or version in column `index`.
    pub(super) fn count(&self, index: usize) -> Result<u64, Failure> {
        u64::try_from(self.int(index)?).map_err(|_| Failure::broken("a count or version in the database is negative"))
    }

    /// The small count in column `index`.
    pub(super) fn small(&self, index: usize) -> Result<u32, Failure> {
        u32::try_from(self.int(index)?)
            .map_err(|_| Failure::broken("a number of attempts in the database is out of range"))
    }

    /// The digest in column `index`.
    pub(super) fn digest(&self, index: usize) -> Result<Digest, Failure> {
        Digest::try_from(self.text(index)?).map_err(Failure::broken)
    }
}

/// A version or position as the databases keep it.
pub(super) fn signed(value: u64) -> Result<i64, Failure> {
    i64::try_from(value).map_err(|_| Failure::broken("a version is out of range"))
}
