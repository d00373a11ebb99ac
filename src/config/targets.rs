//! `[services]`: what is released where: a service's place, who answers for it, and how it is deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use url::Url;

use crate::deploy::arguments::{ArgumentError, PLACEHOLDERS, expand_arguments};
use crate::deploy::environment::{DEFAULT_ALLOW_LIST, EnvironmentError, check_allowed};
use crate::deploy::launch::OutputLimits;

use super::duration::parse_duration;
use super::people::{CHANNEL_REMEDY, roles, slack_id};
use super::problem::Report;
use super::reader::Node;
use super::shapes::{did_you_mean, is_safe_web_address};
use super::{Environment, Executor, Service};

const EXECUTORS: &[&str] = &["script"];
const TIMEOUT_DEFAULT: Duration = Duration::from_mins(15);
const TIMEOUT_LIMITS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);
const HEAD_BYTES_LIMITS: RangeInclusive<u64> = 0..=OutputLimits::KEPT_BYTES_MAX;
const TAIL_BYTES_LIMITS: RangeInclusive<u64> = OutputLimits::TAIL_BYTES_MIN..=OutputLimits::KEPT_BYTES_MAX;

/// What a service's section is judged against.
pub(super) struct Surroundings<'s> {
    /// The names under `[people]`.
    pub people: &'s BTreeSet<String>,
    /// The names under `[services]`.
    pub services: &'s BTreeSet<String>,
    /// The channel where every release is announced.
    pub releases_channel: Option<&'s str>,
    /// The folder of the configuration file.
    pub folder: &'s Path,
}

/// Services by name, those with mistakes included: what they lack elsewhere is told as well.
pub(super) fn targets(root: &Node<'_>, around: &Surroundings<'_>, report: &mut Report) -> BTreeMap<String, Service> {
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
    let repository = node.get("repository").and_then(|node| repository(&node, report));
    let time_zone = time_zone(node, report);
    let depends_on = node
        .get("depends_on")
        .map(|node| depends_on(&node, around.services, report))
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
    // A token may stand where the user's name does.
    let with_login = |url: Url| url.password().is_some() || url.scheme() != "ssh" && !url.username().is_empty();
    if Url::parse(text).is_ok_and(with_login) {
        report.problem(
            node,
            "it holds a password or token",
            "Remove it, and let Git ask a credential helper or use an SSH key.",
        );
        return None;
    }
    if is_repository(text) {
        return Some(text.to_owned());
    }
    report.problem(
        node,
        "this is no place of a Git repository",
        "Write https://host/path.git, ssh://user@host/path.git, user@host:path, or an absolute path.",
    );
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
        starts_well && !host.contains('/') && host.contains('@') && !path.is_empty() && !path.starts_with('-')
    });
    by_ssh || text.starts_with('/')
}

fn time_zone(service: &Node<'_>, report: &mut Report) -> Option<TimeZone> {
    let Some(node) = service.get("time_zone") else {
        report.warning(
            service.path_of("time_zone"),
            "it is missing: times are shown and due dates counted in UTC",
            "Name an IANA time zone, such as \"Europe/Berlin\".",
        );
        return Some(TimeZone::UTC);
    };
    let text = node.text(report)?;
    let zone = jiff::tz::db().get(text).ok();
    if zone.is_none() {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let wrong = format!(
            "{text:?} is not a time zone.{}",
            did_you_mean(text, known.iter().map(String::as_str))
        );
        report.problem(
            &node,
            wrong,
            "Name one of the IANA database, such as \"Europe/Berlin\"; abbreviations such as CEST won't do.",
        );
    }
    zone
}

fn depends_on(node: &Node<'_>, listed: &BTreeSet<String>, report: &mut Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in node.items(report) {
        let Some(name) = item.text(report) else {
            continue;
        };
        if names.iter().any(|other| other == name) {
            report.problem(&item, format!("{name} is named twice"), "Remove one of the two.");
        } else if !listed.contains(name) {
            let wrong = format!(
                "there is no service {name:?}.{}",
                did_you_mean(name, listed.iter().map(String::as_str))
            );
            report.problem(&item, wrong, "Correct the name, or add the service.");
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

fn environments(service: &Node<'_>, around: &Surroundings<'_>, report: &mut Report) -> BTreeMap<String, Environment> {
    let section = service.get("environments");
    if section.as_ref().and_then(|section| section.get("production")).is_none() {
        let place = format!("{}.production", service.path_of("environments"));
        report.problem(
            place,
            "it is missing",
            "Say how production is deployed: `executor = \"script\"`, `program`, `arguments`, `timeout`.",
        );
    }
    let entries = section.map(|section| section.entries()).unwrap_or_default();
    let tables = entries.into_iter().filter(|(_, node)| node.is_table());
    tables
        .filter_map(|(name, node)| Some((name, environment(&node, around, report)?)))
        .collect()
}

fn environment(node: &Node<'_>, around: &Surroundings<'_>, report: &mut Report) -> Option<Environment> {
    let executor = executor(node, report);
    let working_directory = node.get("working_directory").map(|node| absolute(&node, report));
    let program = program(node, around, working_directory.is_some(), report);
    let arguments = node
        .get("arguments")
        .map(|node| arguments(&node, report))
        .unwrap_or_default();
    let timeout = node
        .get("timeout")
        .map_or(Some(TIMEOUT_DEFAULT), |node| timeout(&node, report));
    let pass_environment = node.get("pass_environment").map_or_else(
        || DEFAULT_ALLOW_LIST.map(str::to_owned).to_vec(),
        |node| pass_environment(&node, report),
    );
    let kept = OutputLimits::default();
    let head_bytes = kept_bytes(
        node.get("output_head_bytes"),
        kept.head_bytes,
        &HEAD_BYTES_LIMITS,
        report,
    );
    let tail_bytes = kept_bytes(
        node.get("output_tail_bytes"),
        kept.tail_bytes,
        &TAIL_BYTES_LIMITS,
        report,
    );
    let working_directory = working_directory.unwrap_or_else(|| Some(around.folder.to_owned()))?;
    Some(Environment {
        executor: executor?,
        program: working_directory.join(program?),
        arguments,
        timeout: timeout?,
        working_directory,
        pass_environment,
        output: OutputLimits {
            head_bytes: head_bytes?,
            tail_bytes: tail_bytes?,
            ..kept
        },
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
        report.warning(&node, wrong, "Write the absolute path, or set working_directory.");
    }
    Some(program)
}

pub(super) fn absolute(node: &Node<'_>, report: &mut Report) -> Option<PathBuf> {
    let path = Path::new(node.text(report)?);
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    report.problem(node, "it is not an absolute path", "Write the whole path, from / on.");
    None
}

fn arguments(node: &Node<'_>, report: &mut Report) -> Vec<String> {
    let sample: BTreeMap<&str, &str> = PLACEHOLDERS.iter().map(|name| (*name, "sample")).collect();
    let mut arguments = Vec::new();
    for item in node.items(report) {
        let Some(text) = item.text(report) else { continue };
        arguments.push(text.to_owned());
        match expand_arguments(&arguments[arguments.len() - 1..], &sample) {
            Ok(_) => {}
            Err(ArgumentError::UnknownPlaceholder { name, .. }) => {
                let wrong = format!("there is no `{{{name}}}`.{}", did_you_mean(&name, PLACEHOLDERS));
                report.problem(&item, wrong, format!("Known are {{{}}}.", PLACEHOLDERS.join("}, {")));
            }
            Err(_) => report.problem(
                &item,
                "a brace has no partner",
                "Write {{ or }} for a brace that is meant as such.",
            ),
        }
    }
    arguments
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

fn kept_bytes(node: Option<Node<'_>>, default: u64, limits: &RangeInclusive<u64>, report: &mut Report) -> Option<u64> {
    let Some(node) = node else { return Some(default) };
    node.number_within(limits, "Choose a number of bytes between them.", report)
}

fn pass_environment(node: &Node<'_>, report: &mut Report) -> Vec<String> {
    let mut names = Vec::new();
    for item in node.items(report) {
        let Some(name) = item.text(report) else { continue };
        match check_allowed(name) {
            Ok(()) => names.push(name.to_owned()),
            Err(EnvironmentError::NotAName { .. }) => {
                report.problem(
                    &item,
                    format!("{name:?} is not the name of a variable"),
                    "Write the name alone, such as \"PATH\".",
                );
            }
            Err(_) => report.problem(
                &item,
                format!("{name} is the bot's own and never passed on"),
                "Remove it; give the script a secret of its own.",
            ),
        }
    }
    names
}
