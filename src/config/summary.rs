//! A configuration in a few lines, for `doctor`: what is in force, and never a secret.

use std::fmt::Write as _;

use super::duration::show_duration;
use super::{Config, Database, Member, RoleLists};

pub(super) fn summary(config: &Config) -> String {
    let mut lines = Vec::new();
    let slack = &config.slack;
    lines.push(format!(
        "workspace {}, app {}, releases in {}",
        slack.team_id, slack.app_id, slack.releases_channel
    ));
    lines.push(format!("Slack's Web API: {}", slack.api_url));
    lines.push(format!(
        "signing secret: set{}",
        if slack.signing_secret_previous.is_some() {
            ", and the previous one is still accepted"
        } else {
            ""
        }
    ));
    lines.push(format!(
        "Socket Mode: {}",
        if slack.app_token.is_some() {
            "token set"
        } else {
            "no token"
        }
    ));
    lines.push(match &config.store.database {
        Database::Sqlite { path } => format!("database: SQLite, {}", path.display()),
        Database::Postgres { .. } => "database: PostgreSQL".to_owned(),
    });
    lines.push(format!("data folder: {}", config.store.data.display()));
    lines.push(format!("listens on {}", config.listen));
    lines.push(config.metrics_listen.map_or_else(
        || "metrics: beside the rest".to_owned(),
        |address| format!("metrics on {address}"),
    ));
    lines.push(config.mail.sender.as_ref().map_or_else(
        || "mail: none".to_owned(),
        |sender| format!("mail: from {} by {}", sender.from, sender.host),
    ));
    let escalation = [
        ("webhook", config.escalation.webhook.is_some()),
        ("command", config.escalation.command.is_some()),
    ];
    let ways: Vec<&str> = escalation.iter().filter(|(_, set)| *set).map(|(way, _)| *way).collect();
    lines.push(format!(
        "escalation: {}",
        if ways.is_empty() {
            "none".to_owned()
        } else {
            ways.join(" and ")
        }
    ));
    lines.push(format!(
        "{} people, admins: {}",
        config.people.len(),
        slack.admins.join(", ")
    ));
    lines.extend(roles("", &config.roles));
    for (name, service) in &config.services {
        let zone = service.time_zone.iana_name().unwrap_or("UTC");
        lines.push(format!("service {name}: channel {}, {zone}", service.channel));
        lines.extend(roles("  ", &service.roles));
        for (environment, deployment) in &service.environments {
            lines.push(format!(
                "  {environment}: {} (at most {})",
                deployment.program.display(),
                show_duration(deployment.timeout)
            ));
        }
    }
    let rules: Vec<&str> = config
        .policy
        .rules
        .keys()
        .chain(config.policy.services.values().flat_map(|rules| rules.keys()))
        .map(String::as_str)
        .collect();
    lines.push(format!(
        "rules that differ from the procedure: {}",
        if rules.is_empty() {
            "none".to_owned()
        } else {
            rules.join(", ")
        }
    ));
    lines.join("\n")
}

fn roles<'r>(indent: &'r str, lists: &'r RoleLists) -> impl Iterator<Item = String> + 'r {
    lists.iter().map(move |(role, members)| {
        let mut line = format!("{indent}{role}:");
        for member in members {
            let (Member::Person(name) | Member::Group(name)) = member;
            // Writing to a String can't fail.
            let _ = write!(line, " {name}");
        }
        line
    })
}
