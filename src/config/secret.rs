//! A value that must never be printed: no `Display`, no `Serialize`, and `Debug` says `[secret]`.

use std::fmt;

/// A token, password or address with a password in it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a value out of reach of logs.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one call that needs it. Never for a log, an error or an argument list.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}
