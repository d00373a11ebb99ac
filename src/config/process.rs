//! The only place that asks the process for its environment, and that opens the configuration file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::environment::{Variables, plain};
use super::problem::Report;
use super::table::{default_of, variable_names};

const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// The variables that are known, and those that look as if they were meant to be.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn variables(report: &mut Report) -> Variables {
    let known = variable_names();
    let mut variables = Variables::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if !known.contains(&name) && !name.starts_with("COUNTERSIGN_") {
            continue;
        }
        match value.into_string() {
            Ok(value) => {
                variables.insert(name, value);
            }
            Err(_) => report.problem(name, "it is not UTF-8", "Set it again in a terminal that speaks UTF-8."),
        }
    }
    // Deployments run in folders of their own, so paths must mean the same from anywhere.
    for name in ["COUNTERSIGN_CONFIG", "COUNTERSIGN_DATA"] {
        let path = plain(&variables, name).unwrap_or(default_of(name));
        if let Some(absolute) = std::path::absolute(path)
            .ok()
            .and_then(|path| path.into_os_string().into_string().ok())
        {
            variables.insert(name.to_owned(), absolute);
        }
    }
    variables
}

/// The path of the configuration file.
pub(super) fn config_path(variables: &Variables) -> PathBuf {
    PathBuf::from(plain(variables, "COUNTERSIGN_CONFIG").unwrap_or(default_of("COUNTERSIGN_CONFIG")))
}

/// The text of the configuration file.
pub(super) fn file(variables: &Variables, report: &mut Report) -> Option<String> {
    let path = config_path(variables);
    match read(&path) {
        Ok(text) if text.len() as u64 <= CONFIG_BYTES_MAX => Some(text),
        Ok(_) => {
            report.problem(
                "COUNTERSIGN_CONFIG",
                format!("{} is larger than 1 MiB", path.display()),
                "Name the configuration file; countersign.example.toml shows its form.",
            );
            None
        }
        Err(error) => {
            report.problem(
                "COUNTERSIGN_CONFIG",
                format!("{} can't be read ({error})", path.display()),
                "Copy countersign.example.toml to countersign.toml and fill it in, or name another file.",
            );
            None
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(CONFIG_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}
