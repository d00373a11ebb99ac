//! The configuration: what is wrong is told at once, in words with a remedy, and no secret ever shows.

mod rows;

use countersign::config::table::{KEYS, Setting, VARIABLES, variable_names};
use countersign::config::{
    Config, Database, Executor, Member, Problems, StorePlace, Variables, Warnings, parse_duration, show_duration,
    slack_app,
};
use countersign::records::mail::Mailer;
use domain::role::Role;
use proptest::prelude::*;
use rows::{FILE_PROBLEMS, FILE_WARNINGS, VARIABLE_PROBLEMS, VARIABLE_WARNINGS};
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
/// 32 bytes in base64.
const CHECKPOINT_KEY: &str = "canarycanarycanarycanarycanarycanarycanaryA=";

fn variables(pairs: &[(&str, &str)]) -> Variables {
    let whole = [
        ("SLACK_BOT_TOKEN", BOT_TOKEN),
        ("SLACK_SIGNING_SECRET", SIGNING_SECRET),
        ("SMTP_URL", "smtps://bot:canary-mail@mail.acme.test"),
        ("SMTP_FROM", "Countersign <bot@acme.test>"),
        ("COUNTERSIGN_CONFIG", "/etc/countersign/countersign.toml"),
    ];
    whole
        .iter()
        .chain(pairs)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(pairs: &[(&str, &str)], text: &str) -> Result<(Config, Warnings), Problems> {
    Config::load(&variables(pairs), text)
}

/// The file with one piece of it changed; what is to be changed must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(
        from.is_empty() || FILE.contains(from),
        "the file of the tests has no {from:?}"
    );
    if from.is_empty() {
        format!("{FILE}{to}\n")
    } else {
        FILE.replacen(from, to, 1)
    }
}

fn told(problems: &[countersign::config::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn problems_of(result: Result<(Config, Warnings), Problems>) -> String {
    result.map_or_else(|problems| told(&problems.0), |_| "no problem".to_owned())
}

#[test]
fn every_mistake_in_the_file_is_told_in_its_own_words() {
    for ((from, to), expected) in FILE_PROBLEMS {
        assert_eq!(
            problems_of(load(&[], &changed(from, to))),
            *expected,
            "after {from:?} became {to:?}"
        );
    }
}

#[test]
fn every_mistake_in_the_environment_is_told_in_its_own_words() {
    for (pairs, expected) in VARIABLE_PROBLEMS {
        assert_eq!(problems_of(load(pairs, FILE)), *expected, "with {pairs:?}");
    }
}

#[test]
fn what_may_hurt_later_is_a_warning_and_stops_nothing() {
    let warned = |result: Result<(Config, Warnings), Problems>| result.map(|(_, warnings)| told(&warnings.0)).unwrap();
    for ((from, to), expected) in FILE_WARNINGS {
        assert_eq!(
            warned(load(&[], &changed(from, to))),
            *expected,
            "after {from:?} became {to:?}"
        );
    }
    for (pairs, expected) in VARIABLE_WARNINGS {
        assert_eq!(warned(load(pairs, FILE)), *expected, "with {pairs:?}");
    }
    let (_, none) = load(&[], FILE).unwrap();
    assert_eq!(none.to_string(), "No warnings about the configuration.");
    let others = [
        ("COUNTERSIGN_PORT", "tcp://10.0.0.1:80"),
        ("COUNTERSIGN_RELEASE", "REL-789"),
        ("COUNTERSIGN_SERVICE_HOST", "x"),
    ];
    assert!(
        load(&others, FILE).unwrap().1.0.is_empty(),
        "other people's variables are none of our business"
    );
    let (_, one) = load(&[], &changed(r#"["group:S0CTO"]"#, r#"["ann"]"#)).unwrap();
    assert!(
        one.to_string()
            .starts_with("1 warning about the configuration:\n1. roles.cto: "),
        "{one}"
    );
}

#[test]
fn one_mistake_never_hides_the_next() {
    let mut text = FILE.to_owned();
    let pieces = [
        "T0ACME",
        "\"U0BOB\"",
        "group:S0QA",
        "Europe/Berlin",
        "C0PAY",
        "script",
        "{version}",
        "/bin/page",
        "all@acme.test",
    ];
    for piece in pieces {
        text = text.replacen(piece, if piece.starts_with('"') { "7" } else { "{wrong" }, 1);
    }
    let environment = [
        ("SLACK_BOT_TOKEN", "x"),
        ("SLACK_SIGNING_SECRET", "x"),
        ("SLACK_API_URL", "x"),
        ("DATABASE_URL", "x"),
        ("COUNTERSIGN_LISTEN", "x"),
        ("SMTP_URL", "x"),
    ];
    let problems = load(&environment, &text).unwrap_err();
    assert_eq!(problems.0.len(), pieces.len() + environment.len(), "{problems}");
    let printed = problems.to_string();
    assert!(
        printed.starts_with("15 things are wrong with the configuration:\n 1. slack.team_id (line 3): "),
        "{printed}"
    );
    assert!(printed.contains("\n15. DATABASE_URL: "), "{printed}");
    let unreadable = load(&environment, "[slack").unwrap_err();
    assert_eq!(unreadable.0.len(), 1 + environment.len(), "{unreadable}");
}

#[test]
fn a_whole_configuration_becomes_checked_values() {
    let text = changed(
        "channel = \"C0PAY\"",
        "channel = \"C0PAY\"\nroles.tech_lead = [\"bob\"]",
    );
    let (config, _) = load(&[], &text).unwrap();
    let person = |name: &str| Member::Person(name.to_owned());
    assert_eq!(
        config.members("pay", Role::TechLead),
        [person("bob")],
        "the service's own list wins"
    );
    assert_eq!(
        config.members("pay", Role::ProductOwner),
        [person("ann"), person("bob")]
    );
    assert_eq!(config.members("pay", Role::Cto), [Member::Group("S0CTO".to_owned())]);
    assert!(config.members("pay", Role::Auditor).is_empty());
    let production = &config.services["pay"].environments["production"];
    assert_eq!(production.executor, Executor::Script);
    assert_eq!(production.timeout, Duration::from_mins(15));
    assert_eq!(production.working_directory, Path::new("/etc/countersign"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.slack.api_url.as_str(), "https://slack.com/api");
    assert!(
        config.slack.signing_secret_previous.is_none(),
        "no second secret unless one is set"
    );
    let relative = changed("\"/srv/pay.sh\"", "\"./pay.sh\"\nworking_directory = \"/srv\"");
    let (config, warnings) = load(&[], &relative).unwrap();
    assert_eq!(
        config.services["pay"].environments["production"].program,
        Path::new("/srv/./pay.sh")
    );
    assert!(warnings.0.is_empty(), "{warnings}");
}

#[test]
fn the_database_is_a_file_in_the_data_folder_unless_told_otherwise() {
    let url = |pairs: &[(&str, &str)]| StorePlace::load(&variables(pairs)).unwrap().url();
    assert_eq!(url(&[]), "sqlite:./countersign-data/countersign.sqlite");
    assert_eq!(
        url(&[("COUNTERSIGN_DATA", "/var/lib/bot")]),
        "sqlite:/var/lib/bot/countersign.sqlite"
    );
    assert_eq!(url(&[("DATABASE_URL", "sqlite:///srv/a.db")]), "sqlite:/srv/a.db");
    let server = "postgres://bot:canary@db.acme.test/countersign";
    assert_eq!(url(&[("DATABASE_URL", server)]), server);
    let place = StorePlace::load(&variables(&[("DATABASE_URL", server)])).unwrap();
    assert!(matches!(place.database, Database::Postgres { .. }));
    assert!(!format!("{place:?}").contains("canary"), "{place:?}");
    assert!(StorePlace::load(&variables(&[("DATABASE_URL", "x")])).is_err());
}

#[test]
fn addresses_of_this_machine_may_do_without_encryption() {
    for url in [
        "http://127.0.0.1:4000/api",
        "http://[::1]:4000/api",
        "http://localhost:4000/api",
        "https://slack.example.com/api",
    ] {
        load(&[("SLACK_API_URL", url)], FILE).unwrap();
    }
    for url in [
        "smtp://127.0.0.1:2525",
        "smtp://bot:pw@127.0.0.1:2525",
        "smtp://mail.acme.test",
        "smtp://bot:pw@mail.acme.test?tls=required",
        "smtp://bot:pw@127.0.0.1:2525?tls=required",
        "smtps://bot:pw@mail.acme.test",
    ] {
        load(&[("SMTP_URL", url)], FILE).unwrap();
        // What the configuration takes, the mailer can use.
        Mailer::new(url, "bot@acme.test").unwrap();
    }
    for url in [
        "http://127.0.0.1.acme.test/api",
        "http://localhost.acme.test/api",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
    ] {
        load(&[("SLACK_API_URL", url)], FILE).unwrap_err();
    }
    load(
        &[
            ("COUNTERSIGN_LISTEN", "0.0.0.0:3000"),
            ("COUNTERSIGN_METRICS_LISTEN", "127.0.0.1:9100"),
        ],
        FILE,
    )
    .unwrap();
}

#[test]
fn only_known_forms_of_a_repository_reach_git() {
    let with = |place: &str| {
        load(
            &[],
            &changed(
                "channel = \"C0PAY\"",
                &format!("channel = \"C0PAY\"\nrepository = {place:?}"),
            ),
        )
    };
    for place in [
        "https://git.acme.test/a.git",
        "ssh://git@git.acme.test/a.git",
        "git@git.acme.test:a.git",
        "/srv/git/a.git",
        "file:///srv/a.git",
    ] {
        assert_eq!(
            with(place).unwrap().0.services["pay"].repository.as_deref(),
            Some(place)
        );
    }
    for place in [
        "http://git.acme.test/a",
        "ssh://-oProxyCommand=x/a",
        "-x@host:a",
        "git@host:-a",
        "a.git",
        "https://ghp_canary@git.acme.test/a",
    ] {
        let problems = with(place).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{place}");
        assert!(!problems.to_string().contains("canary"), "{problems}");
    }
}

fn secret_file(folder: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_secret_may_stand_in_a_file_that_only_its_owner_can_use() {
    let folder = tempfile::tempdir().unwrap();
    let token_from = |path: &Path| {
        load(
            &[
                ("SLACK_BOT_TOKEN", ""),
                ("SLACK_BOT_TOKEN_FILE", path.to_str().unwrap()),
            ],
            FILE,
        )
    };
    let good = secret_file(folder.path(), "good", &format!("{BOT_TOKEN}\r\n"), 0o400);
    assert_eq!(token_from(&good).unwrap().0.slack.bot_token.expose(), BOT_TOKEN);
    for mode in [0o640, 0o604, 0o620] {
        let open = secret_file(folder.path(), &format!("open-{mode:o}"), BOT_TOKEN, mode);
        let shown = open.display();
        let expected = format!(
            "SLACK_BOT_TOKEN_FILE: {shown}: others than its owner may use this file (mode {mode:03o})\n    Run: chmod 600 {shown}"
        );
        assert_eq!(problems_of(token_from(&open)), expected);
    }
    let empty = secret_file(folder.path(), "empty", "\n", 0o600);
    assert!(problems_of(token_from(&empty)).contains("the file is empty"));
    let large = secret_file(folder.path(), "large", &"x".repeat(70_000), 0o600);
    assert!(problems_of(token_from(&large)).contains("too large for a secret"));
    assert!(problems_of(token_from(folder.path())).contains("this is not a file"));
    let binary = folder.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(problems_of(token_from(&binary)).contains("can't be read"));
}

#[test]
fn no_secret_shows_in_anything_that_is_printed() {
    let secrets = [
        ("SLACK_SIGNING_SECRET_PREVIOUS", "canary9876543210"),
        ("SLACK_APP_TOKEN", "xapp-canary-0123456789"),
        ("DATABASE_URL", "postgres://bot:canary@db.acme.test/countersign"),
        ("COUNTERSIGN_CHECKPOINT_KEY", CHECKPOINT_KEY),
    ];
    let text = changed(
        "[escalation]",
        "[escalation]\nwebhook = \"https://pager.acme.test/canary\"",
    );
    let (config, warnings) = load(&secrets, &text).unwrap();
    let printed = format!(
        "{config:?} {config:#?} {warnings} {warnings:?} {}",
        config.redacted_summary()
    );
    assert!(!printed.contains("canary"), "{printed}");
    assert!(printed.contains("[secret]"));
    for (pairs, _) in VARIABLE_PROBLEMS {
        let problems = load(pairs, FILE).unwrap_err();
        assert!(!format!("{problems} {problems:?}").contains("canary"), "{problems}");
    }
    for ((from, to), _) in FILE_PROBLEMS {
        let problems = load(&secrets, &changed(from, to)).unwrap_err();
        assert!(!format!("{problems} {problems:?}").contains("canary"), "{problems}");
    }
    // A mistake in the notation right beside a secret: the parser would print the line.
    let broken = text.replace("/canary\"", "/canary");
    let problems = load(&secrets, &broken).unwrap_err();
    assert!(!format!("{problems} {problems:?}").contains("canary"), "{problems}");
}

#[test]
fn the_program_reads_its_environment_and_file_and_tells_everything_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |pairs: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        let output = command
            .arg("serve")
            .env_clear()
            .envs(pairs.iter().copied())
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told_of = serve(&[]);
    let place = folder.path().canonicalize().unwrap().join("countersign.toml");
    assert!(
        told_of.contains("3 things are wrong with the configuration:\n"),
        "{told_of}"
    );
    assert!(
        told_of.contains(&format!("1. COUNTERSIGN_CONFIG: {} can't be read", place.display())),
        "{told_of}"
    );
    assert!(
        told_of.contains("2. SLACK_BOT_TOKEN: ") && told_of.contains("3. SLACK_SIGNING_SECRET: "),
        "{told_of}"
    );
    std::fs::write(folder.path().join("mine.toml"), changed("T0ACME", "acme")).unwrap();
    let told_of = serve(&[
        ("COUNTERSIGN_CONFIG", "mine.toml"),
        ("SLACK_BOT_TOKEN", BOT_TOKEN),
        ("SLACK_SIGNING_SECRET", SIGNING_SECRET),
    ]);
    assert!(
        told_of.contains("1 thing is wrong with the configuration:\n1. slack.team_id (line 3): "),
        "{told_of}"
    );
    std::fs::write(folder.path().join("mine.toml"), "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(serve(&[("COUNTERSIGN_CONFIG", "mine.toml")]).contains("is larger than 1 MiB"));
}

#[test]
fn the_summary_says_what_is_in_force() {
    let (config, _) = load(&[], FILE).unwrap();
    let summary = config.redacted_summary();
    for line in [
        "workspace T0ACME, app A0COUNTER, releases in C0RELEASES",
        "qa_lead: S0QA",
        "service pay: channel C0PAY, Europe/Berlin",
        "  production: /srv/pay.sh (at most 15m)",
        "mail: from Countersign <bot@acme.test> by mail.acme.test",
        "escalation: command",
    ] {
        assert!(
            summary.lines().any(|found| found == line),
            "{line:?} is not in:\n{summary}"
        );
    }
}

#[test]
fn a_circle_of_services_is_told_once_and_a_long_chain_is_none() {
    let service = |name: &str, needed: &str| {
        format!(
            "[services.{name}]\nchannel = \"C0X\"\ntime_zone = \"UTC\"\ndepends_on = [{needed}]\nenvironments.production = {{ executor = \"script\", program = \"/a\" }}\n"
        )
    };
    let circle = format!(
        "{FILE}{}{}",
        service("one", "\"two\", \"pay\""),
        service("two", "\"one\"")
    );
    let told_of = problems_of(load(&[], &circle));
    assert!(
        told_of
            .starts_with("services.one.depends_on: the services depend on each other in a circle: one → two → one\n"),
        "{told_of}"
    );
    assert_eq!(told_of.lines().count(), 2, "{told_of}");
    let chain: String = (0..3_000)
        .map(|at| {
            service(
                &format!("s{at}"),
                &if at < 2_999 {
                    format!("\"s{}\"", at + 1)
                } else {
                    String::new()
                },
            )
        })
        .collect();
    assert_eq!(problems_of(load(&[], &format!("{FILE}{chain}"))), "no problem");
}

#[test]
fn lengths_of_time_are_a_number_and_a_unit() {
    let limits = Duration::from_secs(10)..=Duration::from_hours(24 * 14);
    for (text, seconds, shown) in [
        ("90s", 90, "90s"),
        ("15m", 900, "15m"),
        ("24h", 86_400, "24h"),
        ("7d", 604_800, "7d"),
        ("120m", 7_200, "2h"),
    ] {
        let length = parse_duration(text, &limits).unwrap();
        assert_eq!((length.as_secs(), show_duration(length).as_str()), (seconds, shown));
        assert_eq!(parse_duration(&show_duration(length), &limits), Ok(length));
    }
    for text in [
        "",
        "m",
        "15",
        "1.5h",
        "-5m",
        "+5m",
        "15 m",
        "15min",
        "1h30m",
        "15M",
        "٣m",
        "15ｍ",
        "9s",
        "15d",
        "99999999999999999999d",
        "18446744073709551615h",
    ] {
        assert!(parse_duration(text, &limits).is_err(), "{text:?}");
    }
}

fn repository_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_example_loads_and_shows_every_key() {
    let example = repository_file("countersign.example.toml");
    let key = [("COUNTERSIGN_CHECKPOINT_KEY", CHECKPOINT_KEY)];
    let (_, warnings) = load(&key, &example).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(warnings.0.is_empty(), "{warnings}");
    let table: toml::Table = example.parse().unwrap();
    for key in KEYS {
        assert!(
            place_of(key.name, &table).is_some(),
            "add {} to countersign.example.toml, so that people see its form",
            key.name
        );
    }
}

/// Where the example holds a key of the table: placeholders become names that it uses.
fn place_of(name: &str, table: &toml::Table) -> Option<Vec<String>> {
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let is_placeholder = first.starts_with(|letter: char| letter.is_ascii_uppercase());
    let candidates = table.iter().filter(|(key, _)| is_placeholder || *key == first);
    candidates.into_iter().find_map(|(key, value)| {
        let below = match value {
            _ if rest.is_empty() => Vec::new(),
            toml::Value::Table(table) => place_of(rest, table)?,
            _ => return None,
        };
        Some(std::iter::once(key.clone()).chain(below).collect())
    })
}

#[test]
fn every_key_of_the_table_is_read() {
    let example: toml::Table = repository_file("countersign.example.toml").parse().unwrap();
    for key in KEYS {
        let mut table = example.clone();
        let place = place_of(key.name, &table).unwrap();
        let (last, above) = place.split_last().unwrap();
        let parent = above
            .iter()
            .fold(&mut table, |table, step| table[step].as_table_mut().unwrap());
        // No key takes a date, so whatever reads this one must object.
        parent.insert(last.clone(), toml::Value::Datetime("2026-01-01".parse().unwrap()));
        let problems = load(&[], &table.to_string()).unwrap_err();
        let name = place
            .iter()
            .map(|step| {
                if step.contains('.') {
                    format!("{step:?}")
                } else {
                    step.clone()
                }
            })
            .collect::<Vec<_>>()
            .join(".");
        assert!(
            problems.0.iter().any(|problem| problem.place == name),
            "nothing reads {name}:\n{problems}"
        );
    }
}

#[test]
fn the_reference_page_has_a_row_for_every_key_and_variable() {
    let page = repository_file("docs/configuration.md");
    let row = |setting: &Setting| format!("| `{}` | {} | {} |", setting.name, setting.default, setting.meaning);
    let missing: Vec<String> = KEYS
        .iter()
        .chain(VARIABLES)
        .map(row)
        .filter(|row| !page.lines().any(|line| line == row))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/configuration.md lacks these rows, or says something else in them:\n{}",
        missing.join("\n")
    );
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        rows,
        KEYS.len() + VARIABLES.len(),
        "docs/configuration.md has rows for keys that src/config/table.rs doesn't know"
    );
}

#[test]
fn the_example_environment_has_every_variable_and_no_other() {
    let example = repository_file(".env.example");
    let assigned = |line: &str| {
        let (name, value) = line.strip_prefix('#').unwrap_or(line).split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        is_name.then(|| (name.to_owned(), value.to_owned()))
    };
    let lines: Vec<(String, String)> = example.lines().filter_map(assigned).collect();
    let mut found: Vec<&String> = lines.iter().map(|(name, _)| name).collect();
    let mut known = variable_names();
    found.sort();
    known.sort();
    assert_eq!(
        found,
        known.iter().collect::<Vec<_>>(),
        "make .env.example and src/config/table.rs name the same variables"
    );
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        let default = VARIABLES
            .iter()
            .find(|variable| variable.name == name)
            .map(|variable| variable.default);
        assert_eq!(
            Some(value.as_str()),
            default,
            "the value of {name} in .env.example is not the default"
        );
    }
}

#[test]
fn the_manifest_asks_for_what_the_code_gives_reasons_for() {
    let manifest = repository_file("manifest.yml");
    let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
    let after_bot = lines.iter().skip_while(|line| **line != "bot:").skip(1);
    let scopes: Vec<&str> = after_bot.take_while(|line| line.starts_with("- ")).copied().collect();
    let reasons: Vec<String> = slack_app::SCOPES
        .iter()
        .map(|(scope, why)| format!("- {scope} # {why}"))
        .collect();
    assert_eq!(
        scopes, reasons,
        "make the scopes of manifest.yml and src/config/slack_app.rs the same"
    );
    for line in [
        format!("- command: {}", slack_app::SLASH_COMMAND),
        format!("usage_hint: {}", slack_app::USAGE_HINT),
        "should_escape: true".to_owned(),
        "socket_mode_enabled: false".to_owned(),
        "org_deploy_enabled: false".to_owned(),
        "token_rotation_enabled: false".to_owned(),
        "url: https://countersign.example.com/slack/commands".to_owned(),
        "request_url: https://countersign.example.com/slack/interactions".to_owned(),
    ] {
        assert_eq!(
            lines.iter().filter(|found| **found == line).count(),
            1,
            "manifest.yml needs the line {line:?} once"
        );
    }
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, any::<prop::sample::Index>()), 1..6)) {
        let example = repository_file("countersign.example.toml");
        let pieces = ["", "\"", "[", "]", "{", "}", "=", "\n", "\0", ".", "{}", "[]", "2026-01-01", "1e999", "-9223372036854775809", "0xffffffffffffffffff", "inf", "é", "🦀", "''", "[[x]]", "slack = 1\n", "[people]\n", "group:", "{version}", "true"];
        let mut text: Vec<char> = example.chars().collect();
        for (at, removed, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, pieces[piece.index(pieces.len())].chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = load(&[], &text) {
            prop_assert!(!problems.0.is_empty(), "refused without a reason");
            prop_assert!(problems.to_string().lines().count() > problems.0.len());
        }
    }

    #[test]
    fn no_variable_makes_it_panic(at in any::<prop::sample::Index>(), value in "\\PC{0,40}") {
        let names = variable_names();
        let _ = load(&[(names[at.index(names.len())].as_str(), value.as_str())], FILE);
    }
}
