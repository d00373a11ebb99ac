//! What is wrong with a configuration, for a person at a terminal: where, what, and what to do about it.
//! Everything is collected first and told at once; nothing here may quote a secret.

use std::fmt;

/// One thing that is wrong, or that deserves a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key path or the variable, such as `roles.cto` or `SLACK_BOT_TOKEN`.
    pub place: String,
    /// The line in the configuration file, when there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub wrong: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{} (line {line})", self.place)?,
            None => write!(formatter, "{}", self.place)?,
        }
        write!(formatter, ": {}\n    {}", self.wrong, self.remedy)
    }
}

/// Everything that stops the start, in one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let things = if self.0.len() == 1 { "thing is" } else { "things are" };
        write!(formatter, "{} {things} wrong with the configuration:", self.0.len())?;
        numbered(&self.0, formatter)
    }
}

impl std::error::Error for Problems {}

/// What works today and may hurt tomorrow, such as a role with one person in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings(pub Vec<Problem>);

impl fmt::Display for Warnings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(formatter, "No warnings about the configuration.");
        }
        let word = if self.0.len() == 1 { "warning" } else { "warnings" };
        write!(formatter, "{} {word} about the configuration:", self.0.len())?;
        numbered(&self.0, formatter)
    }
}

fn numbered(problems: &[Problem], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let width = problems.len().to_string().len();
    for (index, problem) in problems.iter().enumerate() {
        write!(formatter, "\n{:>width$}. {problem}", index + 1)?;
    }
    Ok(())
}

/// Collects while the parts are read, so that one mistake never hides the next.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl Report {
    /// Records what stops the start.
    pub fn problem(&mut self, place: impl Into<Place>, wrong: impl Into<String>, remedy: impl Into<String>) {
        let Place { name, line } = place.into();
        self.problems.push(Problem {
            place: name,
            line,
            wrong: wrong.into(),
            remedy: remedy.into(),
        });
    }

    /// Records what deserves a look.
    pub fn warning(&mut self, place: impl Into<Place>, wrong: impl Into<String>, remedy: impl Into<String>) {
        let Place { name, line } = place.into();
        self.warnings.push(Problem {
            place: name,
            line,
            wrong: wrong.into(),
            remedy: remedy.into(),
        });
    }
}

/// Where something is wrong: a key path or variable, with its line when it has one.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub name: String,
    pub line: Option<usize>,
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            line: None,
        }
    }
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        Self { name, line: None }
    }
}
