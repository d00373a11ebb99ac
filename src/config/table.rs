//! The one table of everything that can be configured: keys of the file and variables of the environment.
//! Unknown keys are found by it, and `docs/configuration.md` and `.env.example` are held against it.

/// A key of the file or a variable.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The key path, with placeholders in capitals, or the variable.
    pub name: &'static str,
    /// What holds when it is left out; `required` when nothing does.
    pub default: &'static str,
    /// What it means, with its limits.
    pub meaning: &'static str,
}

const fn setting(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, meaning }
}

/// Every key that the file may hold. NAME, ROLE, ENVIRONMENT and RULE stand for names of your own, or of the procedure.
#[rustfmt::skip]
pub const KEYS: &[Setting] = &[
    setting("slack.team_id", "required", "The workspace, `T…`. Requests from any other are refused."),
    setting("slack.app_id", "required", "The Slack app, `A…`. Requests from any other are refused."),
    setting("slack.releases_channel", "required", "The channel, `C…` or `G…`, where every release is announced (#releases)."),
    setting("slack.admins", "required", "Names from `[people]`. One will propose changes of the policy and another approve them, so name two. Not used yet: whoever edits this file changes the policy."),
    setting("slack.message_gap_ms", "1100", "Between two messages to one channel, 10 to 60000. Slack allows one per second, and refuses what comes faster: shorten it for a workspace that doesn't."),
    setting("people.NAME.slack", "required", "The person's Slack user id, `U…` or `W…`."),
    setting("people.NAME.jira", "none", "The person's Jira account id. Used so far only to find a person who is named twice."),
    setting("people.NAME.github", "none", "The person's GitHub login. Used so far only to find a person who is named twice."),
    setting("people.NAME.email", "none", "The person's e-mail address. Used so far only to find a person who is named twice."),
    setting("roles.ROLE", "none", "Who fills a role: names from `[people]`, or a Slack user group as `group:S…`. Roles: release_manager, deployment_engineer, qa_lead, product_owner, tech_lead, cto, cto_deputy, auditor (not used yet)."),
    setting("mail.teams", "none", "Addresses that reach all teams: mailed when an emergency's notice is not confirmed in #releases after 5 minutes. The notice 24 hours before a release is not mailed yet."),
    setting("audit.witnesses", "none", "Addresses that are mailed a signed checkpoint of the audit log once a day, if anything was logged, so that a rewritten log is noticed. Needs COUNTERSIGN_CHECKPOINT_KEY."),
    setting("audit.file", "none", "The file that signed checkpoints are appended to, hourly and after each deployment, if anything was logged: an absolute path, where a restored database doesn't take it back; `serve` refuses a database that doesn't go through its newest checkpoint. Needs COUNTERSIGN_CHECKPOINT_KEY."),
    setting("audit.channel", "none", "The channel, `C…` or `G…`, where signed checkpoints are posted at the same times. Needs COUNTERSIGN_CHECKPOINT_KEY."),
    setting("escalation.webhook", "none", "An https address that is called when an emergency's notice is not confirmed in #releases after 15 minutes, and again after 45. Treated as a secret."),
    setting("escalation.command", "none", "A program (absolute path) and its arguments, run at the same times. `{summary}` becomes one line about what happened."),
    setting("services.NAME.channel", "required", "The service's Slack channel, `C…` or `G…`, for its cards and their threads."),
    setting("services.NAME.repository", "none", "The Git repository where tags are resolved: https, ssh, `user@host:path`, or an absolute path. Without it a plan needs the full commit hash."),
    setting("services.NAME.time_zone", "UTC", "An IANA time zone. Times are shown and due dates counted in it; peak hours and maintenance windows are not judged yet."),
    setting("services.NAME.depends_on", "none", "Services that this one needs. Not used yet: a deployment of either does not hold back the other."),
    setting("services.NAME.roles.ROLE", "the list in `[roles]`", "Who fills a role for this service. It replaces the list in `[roles]`; it does not add to it."),
    setting("services.NAME.stakeholders", "none", "Addresses that will be told of changes that users see, and of emergencies. Not used yet."),
    setting("services.NAME.environments.ENVIRONMENT.executor", "required", "How a deployment is carried out: `script`. The environment `production` must be configured; others are not deployed to yet."),
    setting("services.NAME.environments.ENVIRONMENT.program", "required", "The deployment script: an absolute path, or one that starts at `working_directory`. It is never looked up in `PATH` and never run through a shell."),
    setting("services.NAME.environments.ENVIRONMENT.arguments", "none", "The script's arguments. `{version}`, `{commit}`, `{release}`, `{environment}` and `{attempt}` are filled in; an argument stays one argument. A brace that is meant as such is written `{{` or `}}`."),
    setting("services.NAME.environments.ENVIRONMENT.timeout", "15m", "How long the script may run, `10s` to `24h`."),
    setting("services.NAME.environments.ENVIRONMENT.working_directory", "the folder of the configuration file", "The folder in which the script runs: an absolute path."),
    setting("services.NAME.environments.ENVIRONMENT.pass_environment", "PATH, HOME, LANG, LC_ALL, TZ, TMPDIR", "The only variables that the script inherits, besides `COUNTERSIGN_RELEASE` and its like. The bot's own secrets can't be passed."),
    setting("services.NAME.environments.ENVIRONMENT.output_head_bytes", "1048576", "How much is kept from the start of the script's output, 0 to 67108864."),
    setting("services.NAME.environments.ENVIRONMENT.output_tail_bytes", "4194304", "How much is kept from the end of the script's output, 65536 to 67108864."),
    setting("policy.rules.RULE", "the procedure", "What differs from the procedure for one rule, such as `[policy.rules.\"signoff.tech-lead\"]`. `planned`, `major`, `minor` and `emergency` say what it does to a start (`block`, `owe`, `warn`, `show`, `off`); less than the procedure asks for needs a `reason`. The other keys are the rule's own."),
    setting("policy.services.NAME.RULE", "the same as everywhere", "What a rule does to the releases of one service, with the same keys."),
];

/// Every variable that the program reads. Those in [`SECRET_VARIABLES`] can also be given as a file.
#[rustfmt::skip]
pub const VARIABLES: &[Setting] = &[
    setting("COUNTERSIGN_CHECKPOINT_KEY", "none", "The private key that signs checkpoints of the audit log, as `countersign audit keygen` makes it. Without it no checkpoint is made."),
    setting("COUNTERSIGN_CONFIG", "countersign.toml", "The configuration file."),
    setting("COUNTERSIGN_DATA", "./countersign-data", "The folder for the SQLite database and the output of deployments."),
    setting("COUNTERSIGN_LISTEN", "127.0.0.1:3000", "Address and port for Slack's requests. `0.0.0.0:3000` listens on every interface; put TLS in front of it."),
    setting("COUNTERSIGN_METRICS_LISTEN", "none", "Address and port for `/metrics` alone; without it `/metrics` is served beside the rest."),
    setting("DATABASE_URL", "`countersign.sqlite` in COUNTERSIGN_DATA", "`sqlite:PATH`, or `postgres://user:password@host/database` for several replicas."),
    setting("SLACK_BOT_TOKEN", "required", "The app's bot token, `xoxb-…`."),
    setting("SLACK_SIGNING_SECRET", "required", "The app's signing secret, at least 16 characters."),
    setting("SLACK_SIGNING_SECRET_PREVIOUS", "none", "The signing secret before the last rotation, accepted as well until you remove it."),
    setting("SLACK_APP_TOKEN", "none", "The app-level token, `xapp-…`, for Socket Mode. Not used yet."),
    setting("SLACK_API_URL", "https://slack.com/api", "Slack's Web API: https, or plain http on this machine for tests."),
    setting("SMTP_URL", "none", "The mail server: `smtps://user:password@host`, or `smtp://user:password@host?tls=required` for STARTTLS. Needs SMTP_FROM."),
    setting("SMTP_FROM", "none", "The sender of every mail, such as `Countersign <countersign@example.com>`. Needs SMTP_URL."),
];

/// The variables that hold secrets. For each, `NAME_FILE` may name a file instead, readable by its owner only.
pub const SECRET_VARIABLES: &[&str] = &[
    "COUNTERSIGN_CHECKPOINT_KEY",
    "DATABASE_URL",
    "SLACK_BOT_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_SIGNING_SECRET_PREVIOUS",
    "SLACK_APP_TOKEN",
    "SMTP_URL",
];

/// Every name that is looked up in the environment, the `…_FILE` forms included.
pub fn variable_names() -> Vec<String> {
    let files = SECRET_VARIABLES.iter().map(|name| format!("{name}_FILE"));
    VARIABLES
        .iter()
        .map(|variable| variable.name.to_owned())
        .chain(files)
        .collect()
}

/// The default of a variable, as the table says it.
pub(super) fn default_of(variable: &str) -> &'static str {
    VARIABLES
        .iter()
        .find(|known| known.name == variable)
        .map_or("", |known| known.default)
}

/// The names that may follow `prefix` (segments of a key path) in the table, each once.
pub(super) fn children(prefix: &[&str]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for key in KEYS {
        let mut segments = key.name.split('.');
        let follows = prefix.iter().all(|expected| segments.next() == Some(expected));
        if let Some(child) = segments.next().filter(|child| follows && !found.contains(child)) {
            found.push(child);
        }
    }
    found
}
