//! Argument templates: a value lands in exactly one argument, as data; it is never split and never becomes an option.
use std::collections::BTreeMap;
use std::fmt;

/// The placeholders that a template may name.
pub const PLACEHOLDERS: [&str; 5] = ["version", "commit", "release", "environment", "attempt"];

/// Why arguments could not be made (`deploy.script`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentError {
    /// The template names a placeholder that does not exist.
    UnknownPlaceholder {
        /// The template as configured.
        template: String,
        /// What stood between the braces.
        name: String,
    },
    /// The placeholder exists, but the caller has no value for it.
    NoValue {
        /// The placeholder.
        name: String,
    },
    /// A brace without its partner; a literal brace is written `{{` or `}}`.
    UnbalancedBrace {
        /// The template as configured.
        template: String,
    },
    /// A template holds a NUL, which no argument can carry.
    TemplateHoldsNul {
        /// Position of the template, from 0.
        index: usize,
    },
    /// The value is empty.
    EmptyValue {
        /// The placeholder.
        name: String,
    },
    /// The value starts with `-`, so a program could read it as an option.
    LeadingDash {
        /// The placeholder.
        name: String,
        /// The value.
        value: String,
    },
    /// The value holds NUL, a newline or another control character.
    ControlCharacter {
        /// The placeholder.
        name: String,
        /// The character.
        character: char,
    },
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPlaceholder { template, name } => write!(
                f,
                "argument {template:?} names {{{name}}}, which does not exist; there are {}",
                PLACEHOLDERS.map(|known| format!("{{{known}}}")).join(", ")
            ),
            Self::NoValue { name } => write!(f, "there is no value for {{{name}}}"),
            Self::UnbalancedBrace { template } => write!(
                f,
                "argument {template:?} has a brace without its partner; write {{{{ or }}}} for a literal brace"
            ),
            Self::TemplateHoldsNul { index } => {
                write!(f, "argument {index} holds a NUL character")
            }
            Self::EmptyValue { name } => write!(f, "the value of {{{name}}} is empty"),
            Self::LeadingDash { name, value } => write!(
                f,
                "the value of {{{name}}} is {value:?}; a value must not start with a dash"
            ),
            Self::ControlCharacter { name, character } => write!(
                f,
                "the value of {{{name}}} holds the control character {}",
                character.escape_unicode()
            ),
        }
    }
}

impl std::error::Error for ArgumentError {}

/// Fills the placeholders of each template; one template is one argument, whatever its value holds.
///
/// What a value brings in is not read again, so `{commit}` inside a version stays as it is.
///
/// # Errors
/// An [`ArgumentError`] for the first template or value that is not acceptable; every value is
/// checked, named or not, so that a bad version is refused whatever the templates look like.
pub fn expand_arguments(templates: &[String], values: &BTreeMap<&str, &str>) -> Result<Vec<String>, ArgumentError> {
    for (name, value) in values {
        check_value(name, value)?;
    }
    templates
        .iter()
        .enumerate()
        .map(|(index, template)| {
            if template.contains('\0') {
                return Err(ArgumentError::TemplateHoldsNul { index });
            }
            expand(template, values)
        })
        .collect()
}

/// Whether a value may stand in an argument or in an environment variable of the script.
///
/// # Errors
/// The [`ArgumentError`] that names what is wrong with it.
pub fn check_value(name: &str, value: &str) -> Result<(), ArgumentError> {
    let name = || name.to_owned();
    if value.is_empty() {
        return Err(ArgumentError::EmptyValue { name: name() });
    }
    if let Some(character) = value.chars().find(|character| character.is_control()) {
        return Err(ArgumentError::ControlCharacter {
            name: name(),
            character,
        });
    }
    if value.starts_with('-') {
        return Err(ArgumentError::LeadingDash {
            name: name(),
            value: value.to_owned(),
        });
    }
    Ok(())
}

fn expand(template: &str, values: &BTreeMap<&str, &str>) -> Result<String, ArgumentError> {
    let unbalanced = || ArgumentError::UnbalancedBrace {
        template: template.to_owned(),
    };
    let mut expanded = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        expanded.push_str(before);
        if let Some(after) = brace.strip_prefix("{{") {
            expanded.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            expanded.push('}');
            rest = after;
        } else {
            let inside = brace.strip_prefix('{').ok_or_else(unbalanced)?;
            let (name, after) = inside.split_once('}').ok_or_else(unbalanced)?;
            expanded.push_str(value_of(name, template, values)?);
            rest = after;
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value_of<'a>(name: &str, template: &str, values: &BTreeMap<&str, &'a str>) -> Result<&'a str, ArgumentError> {
    if !PLACEHOLDERS.contains(&name) {
        return Err(ArgumentError::UnknownPlaceholder {
            template: template.to_owned(),
            name: name.to_owned(),
        });
    }
    values
        .get(name)
        .copied()
        .ok_or_else(|| ArgumentError::NoValue { name: name.to_owned() })
}
