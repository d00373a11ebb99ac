//! What goes into a script: its program, arguments and environment, and everything that is refused there.
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use countersign::deploy::arguments::{ArgumentError, expand_arguments};
use countersign::deploy::environment::{DEFAULT_ALLOW_LIST, EnvironmentError, child_environment};
use countersign::deploy::launch::Launch;
use countersign::deploy::program::{resolve_program, script_digest};
use countersign::deploy::spool::{Outcome, observe};
use countersign::deploy::start::{Certainty, start};

use super::{BINARY, Bench, variables};

#[test]
fn what_can_not_be_a_script_is_refused_with_its_reason() {
    let bench = Bench::new();
    let work = bench.work();
    bench.launch("exit 0");
    fs::write(work.join("plain"), "#!/bin/sh\n").unwrap();
    fs::write(work.join("text"), "echo hello\n").unwrap();
    fs::set_permissions(work.join("text"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/bin/sh", work.join("innocent")).unwrap();
    for (program, reason) in [
        ("./missing", "can't read the program"),
        ("./plain", "not executable"),
        (".", "not a regular file"),
        ("./text", "without a #! line"),
        ("/bin/sh", "is a shell"),
        ("./innocent", "is a shell"),
    ] {
        let error = resolve_program(program, &work).unwrap_err().to_string();
        assert!(error.contains(reason), "{program}: {error}");
    }
    let error = resolve_program("x", Path::new("relative")).unwrap_err();
    assert!(error.to_string().contains("working directory"), "{error}");
}

type Spoil = fn(&mut Launch);

#[test]
fn a_bad_launch_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let cases: [(Spoil, &str); 12] = [
        (|launch| launch.format = 2, "format 2"),
        (|launch| launch.attempt = "../up".to_owned(), "attempt id"),
        (|launch| launch.attempt = String::new(), "attempt id"),
        (|launch| launch.timeout_ms = 0, "timeout_ms"),
        (|launch| launch.idle_output_timeout_ms = Some(0), "idle_output"),
        (|launch| launch.kill_grace_ms = u64::MAX, "kill_grace_ms"),
        (|launch| launch.output.tail_bytes = 1, "tail_bytes"),
        (|launch| launch.output.line_bytes = 1, "line_bytes"),
        (|launch| launch.script_digest = "abc".to_owned(), "script_digest"),
        (|launch| launch.arguments = vec!["a\0b".to_owned()], "NUL"),
        (|launch| launch.program = PathBuf::from("/nowhere/deploy"), "can't read"),
        (
            |launch| {
                let token = ("SLACK_BOT_TOKEN".to_owned(), "x".to_owned());
                launch.environment.extend([token]);
            },
            "a secret of the bot",
        ),
    ];
    for (spoil, reason) in cases {
        let mut launch = bench.launch("exit 0");
        spoil(&mut launch);
        let error = bench.start(&launch).unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert_eq!(error.certainty(), Certainty::NotStarted);
    }
    assert_eq!(fs::read_dir(bench.spool_root()).unwrap().count(), 0);
    let nowhere = start(&bench.launch("exit 0"), Path::new("/nowhere"), Path::new(BINARY));
    assert_eq!(nowhere.unwrap_err().certainty(), Certainty::NotStarted);
    assert!(observe(Path::new("/nowhere/attempt")).is_err());
}

#[test]
fn the_environment_is_the_list_and_nothing_else() {
    let bench = Bench::new();
    let mut launch = bench.launch("exit 0");
    // No shell in between: it would add variables of its own.
    launch.program = PathBuf::from("/bin/cp");
    launch.script_digest = script_digest(&launch.program).unwrap();
    launch.arguments = ["/proc/self/environ", "dump"].map(str::to_owned).into();
    let odd = "a b=\"c\" $HOME `id` é\nsecond line";
    launch.environment.insert("ODD".to_owned(), odd.to_owned());
    assert_eq!(bench.finish(&launch).outcome, Outcome::Exited { code: 0 });
    let dumped = fs::read_to_string(bench.work().join("dump")).unwrap();
    let pairs = launch.environment.iter();
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}\0")).collect();
    let expected = pairs.concat();
    assert_eq!(dumped, expected);
}

#[test]
fn secrets_of_the_bot_never_get_into_the_environment() {
    let ambient: BTreeMap<String, String> = [
        "PATH",
        "HOME",
        "GITHUB_TOKEN",
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET_FILE",
        "DATABASE_URL",
        "SMTP_URL_FILE",
        "COUNTERSIGN_CONFIG",
    ]
    .map(|name| (name.to_owned(), format!("value of {name}")))
    .into();
    let variables = variables("attempt-1");
    let environment = child_environment(&DEFAULT_ALLOW_LIST, &ambient, &variables).unwrap();
    let names: Vec<&str> = environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "COUNTERSIGN_ATTEMPT",
            "COUNTERSIGN_COMMIT",
            "COUNTERSIGN_ENVIRONMENT",
            "COUNTERSIGN_FENCE",
            "COUNTERSIGN_RELEASE",
            "COUNTERSIGN_VERSION",
            "HOME",
            "PATH",
        ]
    );
    assert_eq!(environment["COUNTERSIGN_FENCE"], "7");
    for secret in [
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET_FILE",
        "SLACK_ANYTHING",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "SMTP_URL",
        "SMTP_URL_FILE",
        "COUNTERSIGN_CONFIG",
    ] {
        let error = child_environment(&["PATH", secret], &ambient, &variables).unwrap_err();
        assert_eq!(
            error,
            EnvironmentError::Secret {
                name: secret.to_owned()
            }
        );
    }
    for (name, reason) in [
        ("COUNTERSIGN_FENCE", "belong to the bot"),
        ("A=B", "not a name"),
        ("", "not a name"),
    ] {
        let error = child_environment(&[name], &ambient, &variables).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// Every hostile thing a value may hold: it goes through as one argument, byte by byte.
fn hostile(index: usize) -> String {
    const PARTS: [&str; 25] = [
        "$(touch pwned)",
        "`id`",
        "; rm -rf .",
        "| cat",
        "&& true",
        "> out",
        "< in",
        "*",
        "?",
        "~",
        "'",
        "\"",
        "\\",
        "$HOME",
        "${IFS}",
        "!!",
        "#",
        "%s%n",
        "{version}",
        " ",
        "\u{202e}",
        "é",
        "日本",
        "--",
        "=",
    ];
    let mut seed = index as u64 + 1;
    let mut text = format!("v{index}");
    for _ in 0..=index % 9 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(PARTS[usize::try_from(seed >> 33).unwrap() % PARTS.len()]);
    }
    text
}

#[test]
fn a_thousand_hostile_values_arrive_as_they_are() {
    let bench = Bench::new();
    let mut launch = bench.launch("printf '%s\\000' \"$@\" > arguments; echo done > done");
    let template = vec!["{version}".to_owned(), "--version={version}".to_owned()];
    for value in (0..1000).map(hostile) {
        let values = BTreeMap::from([("version", value.as_str())]);
        launch.arguments.extend(expand_arguments(&template, &values).unwrap());
    }
    // What an operator writes literally may hold anything but NUL.
    launch
        .arguments
        .extend(["", "-n", "two\nlines", "\t\u{1b}[31m"].map(str::to_owned));
    bench.finish(&launch);
    bench.told("done");
    let expected = launch.arguments.join("\0") + "\0";
    assert!(fs::read(bench.work().join("arguments")).unwrap() == expected.as_bytes());
    assert!(!bench.work().join("pwned").exists());
}

#[test]
fn values_that_could_be_more_than_data_are_refused() {
    let expand = |template: &str, value: &str| {
        let values = BTreeMap::from([("version", value)]);
        expand_arguments(&[template.to_owned()], &values)
    };
    assert_eq!(expand("{{{version}}}", "{commit}").unwrap(), ["{{commit}}"]);
    assert_eq!(expand("a {version} b", "x y").unwrap(), ["a x y b"]);
    for value in [
        "-rf",
        "--help",
        "a\nb",
        "a\0b",
        "a\rb",
        "\u{1b}[0m",
        "\u{85}",
        "\u{7f}",
        "",
    ] {
        for template in ["{version}", "literal"] {
            assert!(expand(template, value).is_err(), "{value:?} in {template}");
        }
    }
    let named = |name: &str| ArgumentError::UnknownPlaceholder {
        template: format!("{{{name}}}"),
        name: name.to_owned(),
    };
    assert_eq!(expand("{verison}", "1"), Err(named("verison")));
    assert_eq!(expand("{}", "1"), Err(named("")));
    for template in ["{version", "version}", "{", "}"] {
        let error = expand(template, "1").unwrap_err();
        assert!(matches!(error, ArgumentError::UnbalancedBrace { .. }), "{template}");
    }
    assert!(matches!(expand("{commit}", "1"), Err(ArgumentError::NoValue { .. })));
    assert!(matches!(
        expand("a\0", "1"),
        Err(ArgumentError::TemplateHoldsNul { index: 0 })
    ));
}
