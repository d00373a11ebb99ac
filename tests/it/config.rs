//! The configuration: what is wrong is told at once, in words with a remedy, and no secret ever shows.

use countersign::config::table::{KEYS, Setting, VARIABLES, variable_names};
use countersign::config::{
    Config, Database, Executor, Member, Problems, StorePlace, Variables, Warnings, parse_duration, show_duration, slack_app,
};
use domain::role::Role;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = r#"
[slack]
team_id = "T0ACME"
app_id = "A0COUNTER"
releases_channel = "C0RELEASES"
admins = ["ann", "bob"]
[people]
ann = { slack = "U0ANN", jira = "acc-1", github = "ann-acme", email = "ann@acme.test" }
bob = { slack = "U0BOB" }
[roles]
release_manager = ["ann", "bob"]
deployment_engineer = ["ann", "bob"]
qa_lead = ["group:S0QA"]
product_owner = ["ann", "bob"]
tech_lead = ["ann", "bob"]
cto = ["group:S0CTO"]
[mail]
teams = ["all@acme.test"]
[escalation]
command = ["/bin/page", "{summary}"]
[services.pay]
channel = "C0PAY"
time_zone = "Europe/Berlin"
[services.pay.environments.production]
executor = "script"
program = "/srv/pay.sh"
arguments = ["{version}"]
"#;

const BOT_TOKEN: &str = "xoxb-canary-0123456789";
const SIGNING_SECRET: &str = "canary0123456789canary";

fn variables(pairs: &[(&str, &str)]) -> Variables {
    let whole = [
        ("SLACK_BOT_TOKEN", BOT_TOKEN),
        ("SLACK_SIGNING_SECRET", SIGNING_SECRET),
        ("SMTP_URL", "smtps://bot:canary-mail@mail.acme.test"),
        ("SMTP_FROM", "Countersign <bot@acme.test>"),
        ("COUNTERSIGN_CONFIG", "/etc/countersign/countersign.toml"),
    ];
    whole.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(pairs: &[(&str, &str)], text: &str) -> Result<(Config, Warnings), Problems> {
    Config::load(&variables(pairs), text)
}

/// The file with one piece of it changed; what is to be changed must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(from.is_empty() || FILE.contains(from), "the file of the tests has no {from:?}");
    if from.is_empty() { format!("{FILE}{to}\n") } else { FILE.replacen(from, to, 1) }
}

fn told(problems: &[countersign::config::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn problems_of(result: Result<(Config, Warnings), Problems>) -> String {
    result.map_or_else(|problems| told(&problems.0), |_| "no problem".to_owned())
}
