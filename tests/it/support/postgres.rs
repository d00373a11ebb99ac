//! A throwaway PostgreSQL for the tests: `COUNTERSIGN_TEST_POSTGRES` if it is set, or one cluster that the first
//! test starts, all others share whatever process they run in, and a watchdog stops once nobody uses it.

use countersign::store::{Options, Store};
use domain::digest::Digest;
use domain::log_entry::Head;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const REMEDY: &str = "these tests need PostgreSQL 14 or later (Debian: apt-get install postgresql); \
    scripts/test installs it, or set COUNTERSIGN_TEST_POSTGRES=postgres://… to a server whose databases may be created";
const MIGRATIONS: &str = include_str!("../../../migrations/postgres/0001_spine.sql");

/// Stops the cluster when nobody has held the lock `used` at two looks in a row. `$1` is the folder, the
/// rest the command that stops it.
const WATCHDOG: &str = r#"
folder=$1; shift; idle=0
while [ $idle -lt 2 ]; do
    sleep 10
    [ -d "$folder" ] || exit 0
    if flock --nonblock --exclusive "$folder.used" true; then idle=$((idle + 1)); else idle=0; fi
done
exec 9>"$folder.lock"; flock 9
if flock --nonblock --exclusive "$folder.used" true; then "$@"; rm -rf "$folder"; fi
"#;

/// Held shared for as long as this process lives.
static USED: OnceLock<File> = OnceLock::new();

/// The URL of a new database, migrated or empty.
pub async fn database(migrated: bool) -> String {
    let server = server();
    let name = format!("test_{:032x}", rand::random::<u128>());
    let mut admin = connect(&server.url("postgres")).await;
    let create = if migrated {
        format!(
            "CREATE DATABASE {name} TEMPLATE {}",
            template(&server, &mut admin).await
        )
    } else {
        format!("CREATE DATABASE {name}")
    };
    admin.execute(AssertSqlSafe(create)).await.expect("CREATE DATABASE");
    let url = server.url(&name);
    if migrated {
        name_log(&url, &name).await;
    }
    url
}

/// A copy's log is a log of its own: two bots of this machine must not take each other's attempts for theirs.
async fn name_log(url: &str, name: &str) {
    let log = name.replace("test_", "log-");
    let genesis = Head::genesis(&log).hash.as_str().to_owned();
    let mut own = connect(url).await;
    for (text, value) in [
        ("UPDATE meta SET log = $1", log),
        ("UPDATE head SET hash = $1", genesis),
    ] {
        sqlx::query(text).bind(value).execute(&mut own).await.unwrap();
    }
}

/// A plain connection.
pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{REMEDY}"))
}

/// A migrated database to copy, made once per cluster and version of the migrations.
async fn template(server: &Server, admin: &mut PgConnection) -> String {
    let name = format!("template_{}", Digest::of(MIGRATIONS.as_bytes()).short());
    let ready = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)";
    let exists = async |admin: &mut PgConnection| -> bool {
        sqlx::query_scalar(ready).bind(&name).fetch_one(admin).await.unwrap()
    };
    if exists(admin).await {
        return name;
    }
    admin.execute("SELECT pg_advisory_lock(4242)").await.unwrap();
    if !exists(admin).await {
        admin
            .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}")))
            .await
            .unwrap();
        admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .unwrap();
        Store::migrate(&server.url(&name), Options::default()).await.unwrap();
        let done = format!("ALTER DATABASE {name} WITH IS_TEMPLATE true");
        admin.execute(AssertSqlSafe(done)).await.unwrap();
    }
    admin.execute("SELECT pg_advisory_unlock(4242)").await.unwrap();
    name
}

struct Server {
    /// With `{database}` in its place.
    pattern: String,
}

impl Server {
    fn url(&self, database: &str) -> String {
        self.pattern.replace("{database}", database)
    }
}

fn server() -> Server {
    if let Ok(url) = std::env::var("COUNTERSIGN_TEST_POSTGRES") {
        let mut url = url::Url::parse(&url).expect("COUNTERSIGN_TEST_POSTGRES is no URL");
        url.set_path("/DATABASE");
        return Server {
            pattern: url.as_str().replace("/DATABASE", "/{database}"),
        };
    }
    let folder = folder();
    let lock = open(&beside(&folder, "lock"));
    lock.lock().unwrap();
    USED.get_or_init(|| {
        let used = open(&beside(&folder, "used"));
        used.lock_shared().unwrap();
        used
    });
    if !is_running(&folder) {
        start(&folder);
    }
    Server {
        pattern: Installed::in_folder(&folder).pattern(),
    }
}

/// One per target folder and user, and short: the path of a socket has a limit of 107 bytes.
fn folder() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let key = format!("{}{:?}", exe.parent().unwrap().display(), rustix::process::getuid());
    let name = format!("countersign-postgres-{}", Digest::of(key.as_bytes()).short());
    std::env::temp_dir().join(name)
}

fn beside(folder: &Path, what: &str) -> PathBuf {
    folder.with_extension(what)
}

fn open(path: &Path) -> File {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap()
}

fn is_running(folder: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(folder.join("socket/.s.PGSQL.5432")).is_ok()
}

fn start(folder: &Path) {
    let server = Installed::in_folder(folder);
    server.init();
    // Durable as in production, reachable by nobody else.
    server.control(&["-o", &server.settings("-c max_connections=300"), "start"]);
    server.watch(folder);
}

/// PostgreSQL's programs, for a cluster in one folder: `data`, and the socket in `socket`.
struct Installed {
    bin: PathBuf,
    /// What makes a command run as a user that PostgreSQL accepts.
    user: Vec<String>,
    folder: PathBuf,
}

impl Installed {
    fn in_folder(folder: &Path) -> Self {
        Self {
            bin: programs().unwrap_or_else(|| panic!("no initdb found: {REMEDY}")),
            user: as_server_user(),
            folder: folder.to_owned(),
        }
    }

    fn data(&self) -> String {
        self.folder.join("data").to_str().unwrap().to_owned()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Vec<String> {
        let program = self.bin.join(program).to_str().unwrap().to_owned();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        self.user.iter().cloned().chain([program]).chain(arguments).collect()
    }

    /// An empty folder that the server's user may write.
    fn make_folder(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(self.folder.join("socket")).unwrap();
        if !self.user.is_empty() {
            let folder = self.folder.to_str().unwrap().to_owned();
            run(&["chown".into(), "-R".into(), "postgres".into(), folder]);
        }
    }

    fn init(&self) {
        self.make_folder();
        let data = self.data();
        let arguments = ["-D", &data, "-U", "postgres"];
        let quick = ["--no-sync", "--locale=C", "--encoding=UTF8", "--auth=trust"];
        run(&self.command("initdb", &[arguments.as_slice(), quick.as_slice()].concat()));
    }

    fn settings(&self, more: &str) -> String {
        let socket = self.folder.join("socket");
        format!(
            "-c fsync=on -c listen_addresses= -c unix_socket_directories={} -c unix_socket_permissions=0777 -c port=5432 \
             {more}",
            socket.display()
        )
    }

    fn control(&self, arguments: &[&str]) {
        let data = self.data();
        let log = format!("{data}/server.log");
        let all = ["-D", data.as_str(), "-l", log.as_str(), "-w"];
        run(&self.command("pg_ctl", &[all.as_slice(), arguments].concat()));
    }

    fn watch(&self, folder: &Path) {
        let data = self.data();
        let stop = self.command("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
        let mut watchdog = Command::new("setsid");
        watchdog.args(["sh", "-c", WATCHDOG, "watchdog"]).arg(folder).args(stop);
        watchdog
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        drop(watchdog.spawn().expect("setsid (util-linux) is needed"));
    }

    fn pattern(&self) -> String {
        let socket = self.folder.join("socket");
        let host = socket.to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@localhost:5432/{{database}}?host={host}")
    }
}

/// A cluster of one test's own, to be restarted, crashed and copied. Dropping it removes it.
pub struct Cluster {
    server: Installed,
    _used: File,
}

impl Cluster {
    /// A running one; nothing where PostgreSQL's programs are not installed, as beside `COUNTERSIGN_TEST_POSTGRES`.
    pub fn start() -> Option<Self> {
        programs()?;
        let cluster = Self::new();
        cluster.server.init();
        cluster.go_on("");
        cluster.server.watch(&cluster.server.folder);
        Some(cluster)
    }

    fn new() -> Self {
        // Short: the path of a socket has a limit of 107 bytes.
        let folder = std::env::temp_dir().join(format!("countersign-own-{:016x}", rand::random::<u64>()));
        let used = open(&beside(&folder, "used"));
        used.lock_shared().unwrap();
        Self {
            server: Installed::in_folder(&folder),
            _used: used,
        }
    }

    /// A running standby of this one, which is stopped for a moment.
    pub fn standby(&self) -> Self {
        let standby = Self::new();
        standby.server.make_folder();
        self.stop("fast");
        let copy = ["cp", "-a", &self.server.data(), &standby.server.data()].map(str::to_owned);
        run(&[self.server.user.as_slice(), copy.as_slice()].concat());
        self.go_on("");
        let data = PathBuf::from(standby.server.data());
        let primary = self.server.folder.join("socket");
        let settings = format!("primary_conninfo = 'host={} user=postgres'\n", primary.display());
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        fs::write(data.join("standby.signal"), "").unwrap();
        standby.go_on("");
        standby.server.watch(&standby.server.folder);
        standby
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        self.server.control(&["promote"]);
    }

    /// `how` is `fast` or `immediate`, which is a crash.
    pub fn stop(&self, how: &str) {
        self.server.control(&["-m", how, "stop"]);
    }

    /// Starts a stopped one, with settings like `-c fsync=off`.
    pub fn go_on(&self, settings: &str) {
        self.server.control(&["-o", &self.server.settings(settings), "start"]);
    }

    pub fn url(&self, database: &str) -> String {
        self.server.pattern().replace("{database}", database)
    }

    /// The URL of a new, migrated database.
    pub async fn database(&self, name: &str) -> String {
        let mut admin = connect(&self.url("postgres")).await;
        let create = format!("CREATE DATABASE {name}");
        admin.execute(AssertSqlSafe(create)).await.unwrap();
        Store::migrate(&self.url(name), Options::default()).await.unwrap();
        self.url(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.server.data();
        let stop = self.server.command("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
        let mut stop = Command::new(&stop[0])
            .args(&stop[1..])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = stop.wait();
        let folder = &self.server.folder;
        let _ = fs::remove_dir_all(folder);
        let _ = fs::remove_file(beside(folder, "used"));
    }
}

/// PostgreSQL refuses to run as root.
fn as_server_user() -> Vec<String> {
    if rustix::process::getuid().is_root() {
        ["runuser", "-u", "postgres", "--"].map(str::to_owned).to_vec()
    } else {
        Vec::new()
    }
}

fn programs() -> Option<PathBuf> {
    let mut installed: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    installed.sort();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    installed.extend(std::env::split_paths(&paths));
    installed
        .into_iter()
        .rev()
        .find(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
}

fn run(command: &[String]) {
    let output = Command::new(&command[0])
        .args(&command[1..])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}\n{REMEDY}", command[0]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}\n{REMEDY}");
}
