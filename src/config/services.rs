//! `[services]`: where a service lives, who answers for it, and how it is deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use url::Url;

use super::duration::parse_duration;
use super::people::{CHANNEL_REMEDY, roles, slack_id};
use super::problem::Report;
use super::reader::Node;
use super::shapes::{did_you_mean, is_safe_web_address, is_variable_name};
use super::table::variable_names;
use super::{Environment, Executor, Service};

/// What may stand in braces in a script's arguments.
pub const ARGUMENT_PLACEHOLDERS: &[&str] =
    &["version", "commit", "release", "environment", "attempt"];
const EXECUTORS: &[&str] = &["script"];
const TIMEOUT_DEFAULT: Duration = Duration::from_mins(15);
const TIMEOUT_LIMITS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);
const OUTPUT_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;
const OUTPUT_BYTES_LIMITS: RangeInclusive<u64> = 64 * 1024..=1024 * 1024 * 1024;

/// What a service's section is judged against.
pub(super) struct Surroundings<'s> {
    /// The names under `[people]`.
    pub people: &'s BTreeSet<String>,
    /// The channel where every release is announced.
    pub releases_channel: Option<&'s str>,
    /// The folder of the configuration file.
    pub folder: &'s Path,
}

/// Services by name, those with mistakes included: what they lack elsewhere is told as well.
pub(super) fn services(
    root: &Node<'_>,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> BTreeMap<String, Service> {
    let entries = root
        .get("services")
        .map(|section| section.entries())
        .unwrap_or_default();
    if entries.is_empty() {
        report.problem(
            "services",
            "no service is listed",
            "Add a section [services.NAME] for every service that is released.",
        );
    }
    let tables = entries.into_iter().filter(|(_, node)| node.is_table());
    tables
        .map(|(name, node)| (name, service(&node, around, report)))
        .collect()
}

fn service(node: &Node<'_>, around: &Surroundings<'_>, report: &mut Report) -> Service {
    let channel = if let Some(channel) = node.get("channel") {
        let id = slack_id(&channel, &['C', 'G'], CHANNEL_REMEDY, report);
        if id.is_some() && id.as_deref() == around.releases_channel {
            report.warning(
                &channel,
                "it is the releases channel as well: cards and announcements mix",
                "Give the service a channel of its own.",
            );
        }
        id
    } else {
        report.problem(node.path_of("channel"), "it is missing", CHANNEL_REMEDY);
        None
    };
    let repository = node
        .get("repository")
        .and_then(|node| repository(&node, report));
    let time_zone = time_zone(node, report);
    let depends_on = node
        .get("depends_on")
        .map(|node| depends_on(&node, report))
        .unwrap_or_default();
    let roles = roles(node.get("roles"), around.people, report);
    let stakeholders = super::notices::addresses(node.get("stakeholders"), report);
    let environments = environments(node, around, report);
    // What is missing is a problem already, and a configuration with a problem is never handed out.
    Service {
        channel: channel.unwrap_or_default(),
        repository,
        time_zone: time_zone.unwrap_or(TimeZone::UTC),
        depends_on,
        roles,
        stakeholders,
        environments,
    }
}

fn repository(node: &Node<'_>, report: &mut Report) -> Option<String> {
    let text = node.text(report)?;
    if Url::parse(text).is_ok_and(|url| url.password().is_some()) {
        report.problem(
            node,
            "it holds a password",
            "Remove it, and let Git ask a credential helper or use an SSH key.",
        );
        return None;
    }
    if is_repository(text) {
        return Some(text.to_owned());
    }
    report.problem(node, "this is no place of a Git repository", "Write https://host/path.git, ssh://user@host/path.git, user@host:path, or an absolute path.");
    None
}

/// Git takes options and commands (`ext::`) where an address should stand, so only known forms pass.
fn is_repository(text: &str) -> bool {
    if text.contains(char::is_whitespace) || text.contains("::") {
        return false;
    }
    if let Ok(url) = Url::parse(text) {
        return match url.scheme() {
            "ssh" => {
                url.host_str()
                    .is_some_and(|host| !host.is_empty() && !host.starts_with('-'))
                    && !url.username().starts_with('-')
            }
            "file" => true,
            _ => is_safe_web_address(&url),
        };
    }
    let by_ssh = text.split_once(':').is_some_and(|(host, path)| {
        let starts_well = host.starts_with(|first: char| first.is_ascii_alphanumeric());
        starts_well
            && !host.contains('/')
            && host.contains('@')
            && !path.is_empty()
            && !path.starts_with('-')
    });
    by_ssh || text.starts_with('/')
}

fn time_zone(service: &Node<'_>, report: &mut Report) -> Option<TimeZone> {
    let Some(node) = service.get("time_zone") else {
        report.warning(
            service.path_of("time_zone"),
            "it is missing: peak hours and windows are judged in UTC",
            "Name an IANA time zone, such as \"Europe/Berlin\".",
        );
        return Some(TimeZone::UTC);
    };
    let text = node.text(report)?;
    let zone = jiff::tz::db().get(text).ok();
    if zone.is_none() {
        let known: Vec<String> = jiff::tz::db()
            .available()
            .map(|name| name.to_string())
            .collect();
        let wrong = format!(
            "{text:?} is not a time zone.{}",
            did_you_mean(text, known.iter().map(String::as_str))
        );
        report.problem(&node, wrong, "Name one of the IANA database, such as \"Europe/Berlin\"; abbreviations such as CEST won't do.");
    }
    zone
}

fn depends_on(node: &Node<'_>, report: &mut Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in node.items(report) {
        let Some(name) = item.text(report) else {
            continue;
        };
        if names.iter().any(|other| other == name) {
            report.problem(
                &item,
                format!("{name} is named twice"),
                "Remove one of the two.",
            );
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

fn environments(
    service: &Node<'_>,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> BTreeMap<String, Environment> {
    let section = service.get("environments");
    if section
        .as_ref()
        .and_then(|section| section.get("production"))
        .is_none()
    {
        let place = format!("{}.production", service.path_of("environments"));
        report.problem(place, "it is missing", "Say how production is deployed: `executor = \"script\"`, `program`, `arguments`, `timeout`.");
    }
    let entries = section.map(|section| section.entries()).unwrap_or_default();
    let tables = entries.into_iter().filter(|(_, node)| node.is_table());
    tables
        .filter_map(|(name, node)| Some((name, environment(&node, around, report)?)))
        .collect()
}

fn environment(
    node: &Node<'_>,
    around: &Surroundings<'_>,
    report: &mut Report,
) -> Option<Environment> {
    let executor = executor(node, report);
    let working_directory = node
        .get("working_directory")
        .map(|node| absolute(&node, report));
    let program = program(node, around, working_directory.is_some(), report);
    let arguments = node
        .get("arguments")
        .map(|node| arguments(&node, report))
        .unwrap_or_default();
    let timeout = node
        .get("timeout")
        .map_or(Some(TIMEOUT_DEFAULT), |node| timeout(&node, report));
    let pass_environment = node.get("pass_environment").map_or_else(
        || vec!["PATH".to_owned()],
        |node| pass_environment(&node, report),
    );
    let output_limit_bytes = node
        .get("output_limit_bytes")
        .map_or(Some(OUTPUT_BYTES_DEFAULT), |node| {
            output_limit(&node, report)
        });
    let working_directory = working_directory.unwrap_or_else(|| Some(around.folder.to_owned()))?;
    Some(Environment {
        executor: executor?,
        program: working_directory.join(program?),
        arguments,
        timeout: timeout?,
        working_directory,
        pass_environment,
        output_limit_bytes: output_limit_bytes?,
    })
}

fn executor(environment: &Node<'_>, report: &mut Report) -> Option<Executor> {
    let remedy = format!("Known executors: {}.", EXECUTORS.join(", "));
    let Some(node) = environment.get("executor") else {
        report.problem(environment.path_of("executor"), "it is missing", remedy);
        return None;
    };
    match node.text(report)? {
        "script" => Some(Executor::Script),
        other => {
            let wrong = format!(
                "there is no executor {other:?}.{}",
                did_you_mean(other, EXECUTORS.iter().copied())
            );
            report.problem(&node, wrong, remedy);
            None
        }
    }
}

fn program<'t>(
    environment: &Node<'t>,
    around: &Surroundings<'_>,
    has_folder: bool,
    report: &mut Report,
) -> Option<&'t Path> {
    let Some(node) = environment.get("program") else {
        report.problem(
            environment.path_of("program"),
            "it is missing",
            "Name the deployment script by its absolute path.",
        );
        return None;
    };
    let program = Path::new(node.text(report)?);
    if program.is_relative() && !has_folder {
        let wrong = format!(
            "it is not an absolute path, and no working_directory is set: it is taken from {}",
            around.folder.display()
        );
        report.warning(
            &node,
            wrong,
            "Write the absolute path, or set working_directory.",
        );
    }
    Some(program)
}

fn absolute(node: &Node<'_>, report: &mut Report) -> Option<PathBuf> {
    let path = Path::new(node.text(report)?);
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    report.problem(
        node,
        "it is not an absolute path",
        "Write the whole path, from / on.",
    );
    None
}

fn arguments(node: &Node<'_>, report: &mut Report) -> Vec<String> {
    let mut arguments = Vec::new();
    for item in node.items(report) {
        let Some(text) = item.text(report) else {
            continue;
        };
        for name in placeholders(text).filter(|name| !ARGUMENT_PLACEHOLDERS.contains(name)) {
            let wrong = format!(
                "there is no `{{{name}}}`.{}",
                did_you_mean(name, ARGUMENT_PLACEHOLDERS.iter().copied())
            );
            report.problem(
                &item,
                wrong,
                format!("Known are {{{}}}.", ARGUMENT_PLACEHOLDERS.join("}, {")),
            );
        }
        arguments.push(text.to_owned());
    }
    arguments
}

/// The words in braces; braces around anything else are ordinary text, such as JSON.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once('}')?;
        (!word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .then_some(word)
    })
}

fn timeout(node: &Node<'_>, report: &mut Report) -> Option<Duration> {
    match parse_duration(node.text(report)?, &TIMEOUT_LIMITS) {
        Ok(length) => Some(length),
        Err(wrong) => {
            report.problem(
                node,
                wrong,
                "Write a time that the slowest deployment stays under, such as \"15m\".",
            );
            None
        }
    }
}

fn output_limit(node: &Node<'_>, report: &mut Report) -> Option<u64> {
    let bytes = node.number(report)?;
    if OUTPUT_BYTES_LIMITS.contains(&bytes) {
        return Some(bytes);
    }
    let (least, most) = (OUTPUT_BYTES_LIMITS.start(), OUTPUT_BYTES_LIMITS.end());
    report.problem(
        node,
        format!("{bytes} is outside the limits, {least} to {most}"),
        "Choose a number of bytes between them.",
    );
    None
}

fn pass_environment(node: &Node<'_>, report: &mut Report) -> Vec<String> {
    let own = variable_names();
    let mut names = Vec::new();
    for item in node.items(report) {
        let Some(name) = item.text(report) else {
            continue;
        };
        if !is_variable_name(name) {
            report.problem(
                &item,
                format!("{name:?} is not the name of a variable"),
                "Write the name alone, such as \"PATH\".",
            );
        } else if own.iter().any(|variable| variable == name) {
            report.problem(
                &item,
                format!("{name} is the bot's own and never passed on"),
                "Remove it; give the script a token of its own.",
            );
        } else {
            names.push(name.to_owned());
        }
    }
    names
}
