//! File and environment, read once and checked as a whole into a `Config` that needs no further question.
//! Every problem is told at once, with its place and its remedy; secrets never print.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::policy::{Differences, Policy};
use domain::role::Role;
use jiff::tz::TimeZone;
use url::Url;

mod across;
mod duration;
mod environment;
mod notices;
mod people;
mod problem;
mod process;
mod reader;
mod roles;
mod secret;
mod shapes;
pub mod slack_app;
mod summary;
pub mod table;
mod targets;

pub use duration::{parse_duration, show_duration};
pub use environment::Variables;
pub use problem::{Problem, Problems, Warnings};
pub use roles::{Member, ROLES_OF_A_START, RoleLists, role_keys};
pub use secret::Secret;

use crate::deploy::launch::OutputLimits;
use problem::{Place, Report};
use reader::Node;

/// Everything that the program is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The workspace, and how the bot speaks to it.
    pub slack: Slack,
    /// Everybody who has an entry, by name.
    pub people: BTreeMap<String, Person>,
    /// Who fills a role where a service says nothing else.
    pub roles: RoleLists,
    /// Who is mailed, and by which server.
    pub mail: Mail,
    /// Where checkpoints of the audit log go, and what signs them.
    pub checkpoints: Checkpoints,
    /// What rings when Slack and mail are down.
    pub escalation: Escalation,
    /// What is released, by name.
    pub services: BTreeMap<String, Service>,
    /// What differs from the procedure, by rule id, verbatim: the rules judge it.
    pub policy: Differences,
    /// Where decisions are kept.
    pub store: StorePlace,
    /// Where Slack's requests arrive.
    pub listen: SocketAddr,
    /// Where metrics are served, if not beside the rest.
    pub metrics_listen: Option<SocketAddr>,
}

/// `[slack]` with the tokens of the environment.
#[derive(Debug, Clone)]
pub struct Slack {
    /// `T…`
    pub team_id: String,
    /// `A…`
    pub app_id: String,
    /// `C…` or `G…`
    pub releases_channel: String,
    /// Names from `people`.
    pub admins: Vec<String>,
    /// Between two messages to one channel.
    pub message_gap: Duration,
    /// The Web API.
    pub api_url: Url,
    /// `xoxb-…`
    pub bot_token: Secret,
    /// What Slack signs requests with.
    pub signing_secret: Secret,
    /// What Slack signed with before the last rotation.
    pub signing_secret_previous: Option<Secret>,
    /// `xapp-…`, for Socket Mode.
    pub app_token: Option<Secret>,
}

/// One human with every identity of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `U…` or `W…`
    pub slack: String,
    /// The Jira account id.
    pub jira: Option<String>,
    /// The GitHub login.
    pub github: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
}

/// Who is mailed, and how.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Addresses that reach all teams.
    pub teams: Vec<String>,
    /// The server, if mail is sent at all.
    pub sender: Option<MailSender>,
}

/// A mail server and the name that mails come from.
#[derive(Debug, Clone)]
pub struct MailSender {
    /// The address with user and password, in lettre's form.
    pub url: Secret,
    /// The server alone, for people to read.
    pub host: String,
    /// The sender.
    pub from: lettre::message::Mailbox,
}

/// `[audit]`: where checkpoints of the log go. Without the key none are made.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    /// What signs them, checked to be one.
    pub key: Option<Secret>,
    /// What they are appended to.
    pub file: Option<PathBuf>,
    /// Where they are posted: `C…` or `G…`
    pub channel: Option<String>,
    /// Addresses that are mailed one a day.
    pub witnesses: Vec<String>,
}

/// What rings when Slack and mail are down; neither is set if nobody is rung.
#[derive(Debug, Clone)]
pub struct Escalation {
    /// An address to call; such addresses carry their key in themselves.
    pub webhook: Option<Secret>,
    /// A program and its arguments, `{summary}` still in them.
    pub command: Option<(PathBuf, Vec<String>)>,
}

/// Something that is released.
#[derive(Debug, Clone)]
pub struct Service {
    /// `C…` or `G…`
    pub channel: String,
    /// Where tags are resolved; without it a plan names the full commit.
    pub repository: Option<String>,
    /// In which times are shown and due dates counted.
    pub time_zone: TimeZone,
    /// Services that exist, without a circle.
    pub depends_on: Vec<String>,
    /// Lists that replace those of `[roles]`; see [`Config::members`].
    pub roles: RoleLists,
    /// Who is mailed about changes that users see.
    pub stakeholders: Vec<String>,
    /// By name; `production` is always there.
    pub environments: BTreeMap<String, Environment>,
}

/// How one environment of a service is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What carries it out.
    pub executor: Executor,
    /// The script, joined to `working_directory`.
    pub program: PathBuf,
    /// Its arguments, placeholders still in them: only those of [`crate::deploy::arguments`] occur.
    pub arguments: Vec<String>,
    /// How long it may run.
    pub timeout: Duration,
    /// Where it runs.
    pub working_directory: PathBuf,
    /// The only variables that it inherits.
    pub pass_environment: Vec<String>,
    /// How much of its output is kept.
    pub output: OutputLimits,
}

/// What carries out a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// A program on this machine.
    Script,
}

/// Where decisions are kept.
#[derive(Debug, Clone)]
pub struct StorePlace {
    /// The database.
    pub database: Database,
    /// The folder for the database file and the output of deployments.
    pub data: PathBuf,
}

/// Which database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file on this machine.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A server, for several replicas.
    Postgres {
        /// The address, which holds a password as a rule.
        url: Secret,
    },
}

impl Config {
    /// Checks the variables and the text of the configuration file together.
    pub fn load(variables: &Variables, text: &str) -> Result<(Self, Warnings), Problems> {
        let mut report = Report::default();
        let config = assemble(variables, text, &mut report);
        finish(config, report)
    }

    /// Reads the environment of this process and the file that it names.
    pub fn from_process() -> Result<(Self, Warnings), Problems> {
        let mut report = Report::default();
        let variables = process::variables(&mut report);
        let text = process::file(&variables, &mut report);
        let config = if let Some(text) = text {
            assemble(&variables, &text, &mut report)
        } else {
            // The file is a problem already; the environment's problems are told with it.
            environment::read(&variables, &mut report);
            environment::store(&variables, &mut report);
            None
        };
        finish(config, report)
    }

    /// Who fills a role for a service: its own list wins over the one of `[roles]`.
    pub fn members(&self, service: &str, role: Role) -> &[Member] {
        let own = self.services.get(service).map(|service| &service.roles);
        across::effective(own.unwrap_or(&self.roles), &self.roles, role)
    }

    /// What is in force, in a few lines, without any secret.
    pub fn redacted_summary(&self) -> String {
        summary::summary(self)
    }
}

impl StorePlace {
    /// Where decisions are kept, for verbs that need nothing else.
    pub fn load(variables: &Variables) -> Result<Self, Problems> {
        let mut report = Report::default();
        let place = environment::store(variables, &mut report);
        finish(place, report).map(|(place, _)| place)
    }

    /// The address in the store's form. It may hold a password: not for a log.
    pub fn url(&self) -> String {
        match &self.database {
            Database::Sqlite { path } => format!("sqlite:{}", path.display()),
            Database::Postgres { url } => url.expose().to_owned(),
        }
    }

    /// The same as [`StorePlace::load`], from the environment of this process.
    pub fn from_process() -> Result<Self, Problems> {
        let mut report = Report::default();
        let variables = process::variables(&mut report);
        let place = environment::store(&variables, &mut report);
        finish(place, report).map(|(place, _)| place)
    }
}

impl Checkpoints {
    /// `[audit]` and the key alone, for verbs that need nothing else; `[audit]` is empty without a configuration file.
    pub fn from_process() -> Result<Self, Problems> {
        let mut report = Report::default();
        let variables = process::variables(&mut report);
        let text = if process::config_path(&variables).exists() {
            process::file(&variables, &mut report).unwrap_or_default()
        } else {
            String::new()
        };
        let checkpoints = reader::parse(&text, &mut report)
            .map(|table| notices::checkpoints(&Node::root(&table, &text), &mut report));
        let key = environment::checkpoint_key(&variables, &mut report);
        finish(checkpoints.map(|checkpoints| Self { key, ..checkpoints }), report).map(|(checkpoints, _)| checkpoints)
    }
}

/// The policy of the configuration file, for verbs that need no token: everything in the file is checked with it.
#[derive(Debug)]
pub struct PolicyFile {
    /// The policy.
    pub policy: Policy,
    /// The configured services.
    pub services: Vec<String>,
}

impl PolicyFile {
    /// Reads `path`, or the file that the environment of this process names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_process(path: Option<&Path>) -> Result<(Self, Warnings), Problems> {
        let mut report = Report::default();
        let mut variables = process::variables(&mut report);
        if let Some(path) = path {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            variables.insert("COUNTERSIGN_CONFIG".to_owned(), path.display().to_string());
        }
        let text = process::file(&variables, &mut report).unwrap_or_default();
        let table = reader::parse(&text, &mut report);
        let file = table.map(|table| file(&Node::root(&table, &text), &variables, &mut report));
        let read = file.and_then(|file| {
            let services = file.services.into_keys().collect();
            let policy = Policy::with_differences(&file.policy).ok()?;
            Some(Self { policy, services })
        });
        finish(read, report)
    }
}

/// Which of `words` the configuration file of this process holds, and its path; nothing if there is no such file.
pub fn words_in_file<'w>(words: impl IntoIterator<Item = &'w str>) -> (PathBuf, Vec<&'w str>) {
    let mut report = Report::default();
    let variables = process::variables(&mut report);
    let text = process::file(&variables, &mut report).unwrap_or_default();
    let held = words.into_iter().filter(|word| text.contains(word)).collect();
    (process::config_path(&variables), held)
}

/// The key that signs checkpoints, for verbs that need nothing else.
#[derive(Debug)]
pub struct CheckpointKey(pub Option<Secret>);

impl CheckpointKey {
    /// Reads the environment of this process.
    pub fn from_process() -> Result<Self, Problems> {
        let mut report = Report::default();
        let variables = process::variables(&mut report);
        let key = environment::checkpoint_key(&variables, &mut report);
        finish(Some(Self(key)), report).map(|(key, _)| key)
    }
}

fn finish<T>(value: Option<T>, report: Report) -> Result<(T, Warnings), Problems> {
    match value {
        Some(value) if report.problems.is_empty() => Ok((value, Warnings(report.warnings))),
        _ => Err(Problems(report.problems)),
    }
}

/// Reads every part before any is missed, so that all problems are told. `None` only if there is a problem.
fn assemble(variables: &Variables, text: &str, report: &mut Report) -> Option<Config> {
    let document = reader::parse(text, report);
    let file = document
        .as_ref()
        .map(|table| file(&Node::root(table, text), variables, report));
    let environment = environment::read(variables, report);
    let store = environment::store(variables, report);
    let file = file?;
    let checkpoints = Checkpoints {
        key: environment.checkpoint_key,
        ..file.checkpoints
    };
    notices::check_mail(
        &file.teams,
        &checkpoints.witnesses,
        environment.sender.is_some(),
        report,
    );
    notices::check_checkpoints(&checkpoints, report);
    let slack = Slack {
        team_id: file.workspace.team_id?,
        app_id: file.workspace.app_id?,
        releases_channel: file.workspace.releases_channel?,
        admins: file.workspace.admins,
        message_gap: file.workspace.message_gap,
        api_url: environment.api_url?,
        bot_token: environment.bot_token?,
        signing_secret: environment.signing_secret?,
        signing_secret_previous: environment.signing_secret_previous,
        app_token: environment.app_token,
    };
    Some(Config {
        slack,
        people: file.people,
        roles: file.roles,
        mail: Mail {
            teams: file.teams,
            sender: environment.sender,
        },
        checkpoints,
        escalation: file.escalation,
        services: file.services,
        policy: file.policy,
        store: store?,
        listen: environment.listen?,
        metrics_listen: environment.metrics_listen,
    })
}

/// What the file says, checked.
struct File {
    workspace: people::Workspace,
    people: people::People,
    roles: RoleLists,
    teams: Vec<String>,
    checkpoints: Checkpoints,
    escalation: Escalation,
    services: BTreeMap<String, Service>,
    policy: Differences,
}

fn file(root: &Node<'_>, variables: &Variables, report: &mut Report) -> File {
    root.check_keys(&[], report);
    let known = people::names(root);
    let workspace = people::workspace(root, &known, report);
    let people = people::people(root, report);
    let roles = people::roles(root.get("roles"), &known, report);
    let list = |section: &str, key: &str| root.get(section).and_then(|section| section.get(key));
    let teams = notices::addresses(list("mail", "teams"), report);
    let checkpoints = notices::checkpoints(root, report);
    let escalation = notices::escalation(root, report);
    let config_path = process::config_path(variables);
    let folder = config_path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let sections = root.get("services").into_iter().flat_map(|section| section.entries());
    let listed: BTreeSet<String> = sections.map(|(name, _)| name).collect();
    let around = targets::Surroundings {
        people: &known,
        services: &listed,
        releases_channel: workspace.releases_channel.as_deref(),
        folder,
    };
    let services = targets::targets(root, &around, report);
    across::check_dependencies(&services, report);
    across::check_roles(&services, &roles, report);
    let policy = differences([list("policy", "rules"), list("policy", "services")], &listed, report);
    File {
        workspace,
        people,
        roles,
        teams,
        checkpoints,
        escalation,
        services,
        policy,
    }
}

/// What differs from the procedure: for all services, and for one.
fn differences(
    [rules, services]: [Option<Node<'_>>; 2],
    listed: &BTreeSet<String>,
    report: &mut Report,
) -> Differences {
    let mut places = Vec::new();
    let rules = rules
        .map(|node| changed_rules(&node, &mut places, report))
        .unwrap_or_default();
    let mut of_services = BTreeMap::new();
    for (name, node) in services.map(|node| node.entries()).unwrap_or_default() {
        if !listed.contains(&name) {
            let remedy = "Name a service of [services], or remove it.";
            report.problem(&node, "there is no such service", remedy);
        }
        of_services.insert(name, changed_rules(&node, &mut places, report));
    }
    let policy = Differences {
        rules,
        services: of_services,
    };
    // Judged here as well, so that a rule's mistake is told together with everything else.
    for problem in Policy::with_differences(&policy).err().unwrap_or_default() {
        let line = places
            .iter()
            .find(|place| place.name == problem.key)
            .and_then(|place| place.line);
        let place = Place {
            name: problem.key,
            line,
        };
        report.problem(
            place,
            problem.problem,
            "Correct it, or remove it: the procedure's own value holds then.",
        );
    }
    policy
}

/// The rules of one section, with the places of their settings.
fn changed_rules(
    section: &Node<'_>,
    places: &mut Vec<Place>,
    report: &mut Report,
) -> BTreeMap<String, serde_json::Value> {
    let mut rules = BTreeMap::new();
    for (rule, node) in section.entries() {
        if !shapes::is_rule_id(&rule) || !node.is_table() {
            let remedy =
                "Write it as a section of its own, the rule's id in quotes: [policy.rules.\"signoff.tech-lead\"].";
            report.problem(&node, "this is not a rule with its settings", remedy);
        } else if let Some(value) = node.json(report) {
            places.extend(node.entries().into_iter().map(|(_, setting)| Place::from(&setting)));
            places.push(Place::from(&node));
            rules.insert(rule, value);
        }
    }
    rules
}
