//! The composition root: the only place that builds store, adapters and clock together, and takes them down again.

use crate::checkpoints::due::{LOOK_EVERY, Watch, was_made};
use crate::checkpoints::fit::{Fit, Kept};
use crate::checkpoints::key::SigningKey;
use crate::clock::Clock;
use crate::config::{self, Config, Database, StorePlace};
use crate::control;
use crate::deploy::redact::Redactor;
use crate::escalation::Escalation;
use crate::fresh;
use crate::handle::{Handler, Targets, production, restore};
use crate::http::{Surface, health_routes, metrics_routes, slack_routes};
use crate::inbound::Inbound;
use crate::jobs::{Deployments, Outside, Script, ThisMachine, Witnesses, Workers};
use crate::people::{Directory, KnownPeople, Member, Memberships, SlackUser};
use crate::records::mail::Mailer;
use crate::slack::client::{Limits, SlackClient};
use crate::slack::view::Ways;
use crate::store::{Options, Store};
use crate::telemetry::Metrics;
use anyhow::Context as _;
use axum::Router;
use domain::case::Target;
use domain::ids::ServiceName;
use domain::job::CheckpointPlace;
use domain::policy::Policy;
use domain::role::Role;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests may take to end once the process was told to stop.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether emergency notices could be posted.
const LOOK_AT_RELEASES_EVERY: Duration = Duration::from_mins(5);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Answers Slack and works the queue.
    All,
    /// Answers Slack.
    Web,
    /// Works the queue.
    Worker,
}

/// How to build it.
pub struct Setup {
    /// What it is told.
    pub config: Config,
    /// What it does.
    pub part: Part,
    /// What time it is.
    pub clock: Clock,
    /// This program, which also supervises deployments; a path that an upgrade doesn't remove.
    pub binary: PathBuf,
}

/// A running process.
pub struct Running {
    /// Where Slack's requests arrive.
    pub address: SocketAddr,
    /// The parts, for looking in from tests.
    pub handler: Handler,
    inbound: Arc<Inbound>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Ends it in good order: no new requests, running ones and jobs finished or handed back, the database closed.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        self.inbound.finish().await;
        self.handler.store.close().await;
    }
}

/// Builds everything and starts it.
///
/// # Errors
/// Whatever keeps it from working, with its remedy where there is one.
pub async fn start(setup: Setup) -> anyhow::Result<Running> {
    let Setup {
        config,
        part,
        clock,
        binary,
    } = setup;
    let policy = Policy::with_differences(&config.policy).map_err(|problems| {
        anyhow::anyhow!(
            "{}",
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        )
    })?;
    let data = data_folder(&config.store.data)?;
    let store = open_store(&config, &clock).await?;
    goes_through_its_checkpoints(&config.checkpoints, &store).await?;
    let limits = Limits {
        gap: config.slack.message_gap,
        ..Limits::default()
    };
    let slack = SlackClient::with_limits(config.slack.api_url.as_str(), config.slack.bot_token.expose(), limits)?;
    let directory = Directory::new(memberships(&config)?, slack.clone(), {
        let clock = clock.clone();
        Arc::new(move || clock.now_ms())
    });
    let people = Arc::new(KnownPeople::new(directory, store.clone(), config.slack.team_id.clone()));
    let handler = Handler {
        store: store.clone(),
        people: Arc::clone(&people) as Arc<dyn crate::handle::facts::Facts>,
        policy: Arc::new(policy),
        targets: Arc::new(targets(&config)?),
        names: Arc::new(
            config
                .people
                .iter()
                .map(|(name, person)| (person.slack.clone(), name.clone()))
                .collect(),
        ),
        ways: Ways {
            mail: config.mail.sender.is_some() && !config.mail.teams.is_empty(),
            pager: config.escalation.webhook.is_some() || config.escalation.command.is_some(),
        },
        clock: clock.clone(),
    };
    let outside = Arc::new(outside(&config, slack, &data, binary)?);
    let inbound = Arc::new(Inbound {
        handler: handler.clone(),
        outside: Arc::clone(&outside),
        people,
        warnings: Arc::default(),
        later: Arc::default(),
    });
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    if let Database::Sqlite { .. } = config.store.database {
        let held = store.end_leases().await?;
        if held > 0 {
            tracing::info!(jobs = held, "taking over what an earlier process held");
        }
        control::listen(store, clock.clone(), &data)?;
    }
    if part != Part::Web {
        if let Some(witnesses) = outside.witnesses.clone() {
            tasks.push(tokio::spawn(watch_log(handler.clone(), witnesses, stopped.clone())));
        }
        tasks.push(tokio::spawn(
            Workers::new(handler.clone(), outside).run(stopped.clone()),
        ));
    }
    tasks.push(tokio::spawn({
        let (inbound, mut stopped) = (Arc::clone(&inbound), stopped.clone());
        async move {
            while !*stopped.borrow() {
                inbound.check_releases_channel().await;
                let _ = tokio::time::timeout(LOOK_AT_RELEASES_EVERY, stopped.changed()).await;
            }
        }
    }));
    let surface = Arc::new(Surface {
        inbound: Arc::clone(&inbound),
        signing_secrets: std::iter::once(config.slack.signing_secret.clone())
            .chain(config.slack.signing_secret_previous.clone())
            .collect(),
        team_id: config.slack.team_id.clone(),
        app_id: config.slack.app_id.clone(),
        metrics: Metrics::new()?,
    });
    let address = serve(&config, part, &surface, &stopped, &mut tasks).await?;
    Ok(Running {
        address,
        handler,
        inbound,
        stop,
        tasks,
    })
}

async fn serve(
    config: &Config,
    part: Part,
    surface: &Arc<Surface>,
    stopped: &watch::Receiver<bool>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> anyhow::Result<SocketAddr> {
    let mut routes = health_routes(Arc::clone(surface));
    if part != Part::Worker {
        routes = routes.merge(slack_routes(Arc::clone(surface)));
    }
    match config.metrics_listen {
        None => routes = routes.merge(metrics_routes(Arc::clone(surface))),
        Some(address) => {
            let metrics = metrics_routes(Arc::clone(surface));
            tasks.push(listen(address, metrics, stopped.clone()).await?.1);
        }
    }
    let (address, task) = listen(config.listen, routes, stopped.clone()).await?;
    tasks.push(task);
    Ok(address)
}

async fn listen(
    address: SocketAddr,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    let mut cut = stopped.clone();
    let serve = axum::serve(listener, routes).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let task = tokio::spawn(async move {
        // A connection that is kept open must not keep the process from ending.
        let cut = async move {
            let _ = cut.wait_for(|stop| *stop).await;
            tokio::time::sleep(REQUESTS_END_WITHIN).await;
        };
        tokio::select! {
            served = serve => {
                if let Err(error) = served {
                    tracing::error!(%error, "the listener ended");
                }
            }
            () = cut => {}
        }
    });
    Ok((address, task))
}

async fn open_store(config: &Config, clock: &Clock) -> anyhow::Result<Store> {
    let (now, wall) = (clock.clone(), Clock::default());
    let options = Options {
        clock: Arc::new(move || now.now_ms()),
        wall: Arc::new(move || wall.now_ms()),
    };
    Ok(Store::open(&database_url(&config.store), options).await?)
}

/// The database's address as the store takes it.
pub fn database_url(place: &StorePlace) -> String {
    match &place.database {
        Database::Sqlite { path } => format!("sqlite:{}", path.display()),
        Database::Postgres { url } => url.expose().to_owned(),
    }
}

/// The folder for spools and the host's id, its owner's alone.
fn data_folder(data: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(data.join("attempts"))
        .with_context(|| data.display().to_string())?;
    data.canonicalize().with_context(|| data.display().to_string())
}

/// This host's id: the machine's name, and a random part that belongs to its data folder.
fn host_id(data: &Path) -> anyhow::Result<String> {
    use std::io::Write as _;
    let file = data.join("host-id");
    match std::fs::OpenOptions::new().write(true).create_new(true).open(&file) {
        Ok(mut created) => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            created.write_all(format!("{name}-{}", fresh::random_hex(4)).as_bytes())?;
            created.sync_all()?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    }
    // Three processes may begin at once on one folder: the writer may not be done yet.
    for _ in 0..50 {
        let id = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        if !id.trim().is_empty() {
            return Ok(id.trim().to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("{} is empty; remove it if no deployment is under way", file.display())
}

fn service_name(name: &str) -> anyhow::Result<ServiceName> {
    ServiceName::new(name).with_context(|| format!("services.{name}"))
}

fn targets(config: &Config) -> anyhow::Result<Targets> {
    config
        .services
        .iter()
        .map(|(name, service)| {
            let target = Target {
                service: service_name(name)?,
                environment: production(),
                time_zone: service.time_zone.iana_name().unwrap_or("UTC").to_owned(),
                has_repository: service.repository.is_some(),
            };
            Ok((target.service.clone(), target))
        })
        .collect()
}

fn memberships(config: &Config) -> anyhow::Result<Memberships> {
    let member = |member: &config::Member| -> anyhow::Result<Option<Member>> {
        Ok(match member {
            config::Member::Group(id) => Some(Member::Group { id: id.clone() }),
            config::Member::Person(name) => match config.people.get(name) {
                Some(person) => Some(Member::Person {
                    name: name.clone(),
                    slack_user: SlackUser::new(person.slack.clone())?,
                }),
                None => None,
            },
        })
    };
    let mut services = BTreeMap::new();
    for name in config.services.keys() {
        let mut roles = BTreeMap::new();
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
            let members: anyhow::Result<Vec<Option<Member>>> = config.members(name, role).iter().map(member).collect();
            roles.insert(role, members?.into_iter().flatten().collect());
        }
        services.insert(service_name(name)?, roles);
    }
    let admins = config
        .slack
        .admins
        .iter()
        .map(|name| member(&config::Member::Person(name.clone())));
    let admins: anyhow::Result<Vec<Option<Member>>> = admins.collect();
    Ok(Memberships {
        team_id: config.slack.team_id.clone(),
        services,
        admins: admins?.into_iter().flatten().collect(),
        ..Memberships::default()
    })
}

fn outside(config: &Config, slack: SlackClient, data: &Path, binary: PathBuf) -> anyhow::Result<Outside> {
    let mailer = match &config.mail.sender {
        Some(sender) => Some(Mailer::new(sender.url.expose(), &sender.from.to_string())?),
        None => None,
    };
    let (mut channels, mut repositories, mut scripts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (name, service) in &config.services {
        let service_name = service_name(name)?;
        channels.insert(service_name.clone(), service.channel.clone());
        if let Some(repository) = &service.repository {
            repositories.insert(service_name.clone(), repository.clone());
        }
        if let Some(production) = service.environments.get(production().as_str()) {
            scripts.insert(service_name, script(production));
        }
    }
    let command = config.escalation.command.as_ref().map(|(program, arguments)| {
        std::iter::once(program.display().to_string())
            .chain(arguments.iter().cloned())
            .collect::<Vec<_>>()
    });
    let webhook = config.escalation.webhook.as_ref().map(config::Secret::expose);
    Ok(Outside {
        slack,
        releases_channel: config.slack.releases_channel.clone(),
        channels,
        mailer,
        teams: config.mail.teams.clone(),
        mail_domain: config
            .mail
            .sender
            .as_ref()
            .map_or("localhost", |sender| sender.from.email.domain())
            .to_owned(),
        escalation: Escalation::new(webhook, &command.unwrap_or_default())?,
        deployments: Deployments {
            host: host_id(data)?,
            spool_root: data.join("attempts"),
            binary,
            scripts,
        },
        machine: Arc::new(ThisMachine),
        witnesses: witnesses(&config.checkpoints),
        repositories,
        redactor: redactor(config),
        seen_channels: std::sync::Mutex::default(),
        mailed: std::sync::Mutex::default(),
        silent_hosts: std::sync::Mutex::default(),
    })
}

/// Where checkpoints go, if something signs them and there is a place.
fn witnesses(checkpoints: &config::Checkpoints) -> Option<Witnesses> {
    let witnesses = Witnesses {
        key: Arc::new(SigningKey::new(checkpoints.key.as_ref()?)?),
        file: checkpoints.file.clone(),
        channel: checkpoints.channel.clone(),
        addresses: checkpoints.witnesses.clone(),
    };
    (!witnesses.places().is_empty()).then_some(witnesses)
}

/// Refuses a database that is older than its last checkpoint, another one, or rewritten, and one whose checkpoints are gone.
async fn goes_through_its_checkpoints(checkpoints: &config::Checkpoints, store: &Store) -> anyhow::Result<()> {
    let Some(file) = &checkpoints.file else { return Ok(()) };
    let key = checkpoints.key.as_ref().and_then(SigningKey::new);
    let key = key.map(|key| key.public(store.log_id()));
    let kept = Kept::read(file, store.log_id(), key.as_ref())?;
    if let Fit::Not(misfit) = kept.fit(store, &restore::acknowledged(store).await?).await? {
        anyhow::bail!("{misfit}");
    }
    if let Some(why) = kept.suspicion(&store.head().await?, was_made(store, CheckpointPlace::File).await?) {
        anyhow::bail!(why);
    }
    match kept.counts() {
        (0, _) => tracing::warn!(
            file = %file.display(),
            "audit.file holds no checkpoint of this log: whether the database was restored or is another one can't be seen"
        ),
        (all, unchecked) if unchecked > 0 && key.is_some() => {
            tracing::warn!(
                unchecked,
                all,
                "checkpoints in audit.file are not signed by this key, and were compared unchecked"
            );
        }
        _ => {}
    }
    Ok(())
}

/// Looks for checkpoints that are due until it is told to stop.
async fn watch_log(handler: Handler, witnesses: Witnesses, mut stopped: watch::Receiver<bool>) {
    tracing::info!(key = %witnesses.key.public(handler.store.log_id()), "signing checkpoints of the log");
    let mut due = Watch::new(witnesses.places());
    while !*stopped.borrow() {
        if let Err(error) = due.look(&handler).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "could not look for checkpoints that are due"
            );
        }
        let _ = tokio::time::timeout(LOOK_EVERY, stopped.changed()).await;
    }
}

fn script(environment: &config::Environment) -> Script {
    Script {
        program: environment.program.display().to_string(),
        arguments: environment.arguments.clone(),
        working_directory: environment.working_directory.clone(),
        timeout_ms: u64::try_from(environment.timeout.as_millis()).unwrap_or(u64::MAX),
        pass_environment: environment.pass_environment.clone(),
        output: environment.output,
    }
}

/// Hides every secret of the bot's own.
fn redactor(config: &Config) -> Redactor {
    let slack = &config.slack;
    let secrets = [
        Some(&slack.bot_token),
        Some(&slack.signing_secret),
        slack.signing_secret_previous.as_ref(),
        slack.app_token.as_ref(),
    ];
    let others = [
        config.checkpoints.key.as_ref(),
        config.mail.sender.as_ref().map(|sender| &sender.url),
        config.escalation.webhook.as_ref(),
    ];
    let database = match &config.store.database {
        Database::Postgres { url } => Some(url),
        Database::Sqlite { .. } => None,
    };
    Redactor::new(
        secrets
            .into_iter()
            .chain(others)
            .flatten()
            .chain(database)
            .map(config::Secret::expose),
    )
}
