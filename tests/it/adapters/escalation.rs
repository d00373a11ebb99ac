//! The webhook and the command that ring when Slack and mail are down.

use super::fake::{Answer, Fake};
use countersign::escalation::{Escalation, Page};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn page(summary: &str) -> Page {
    Page {
        summary: summary.into(),
        release: "REL-789".into(),
        step: "page".into(),
        at_ms: 1_700_000_000_000,
        id: "page/REL-789/1/page".into(),
    }
}

/// A program that writes its arguments, NUL-separated, and its environment.
fn recorder(folder: &Path, then: &str) -> PathBuf {
    let path = folder.join("page.sh");
    let script = format!(
        "#!/bin/sh\ncd '{}'\nprintf '%s\\0' \"$@\" > arguments\nenv > environment\n{then}\n",
        folder.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn command(program: &Path, arguments: &[&str]) -> Vec<String> {
    std::iter::once(program.to_str().unwrap())
        .chain(arguments.iter().copied())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_webhook_gets_json_and_an_id_that_stays_the_same() {
    let fake = Fake::start(|_| Answer::status(202, "")).await;
    let escalation = Escalation::new(Some(&format!("{}/hook?key=1", fake.url)), &[]).unwrap();
    escalation.ring(&page("REL-789: no notice")).await.unwrap();
    escalation.ring(&page("REL-789: no notice")).await.unwrap();
    let asked = fake.asked();
    let expected =
        json!({ "summary": "REL-789: no notice", "release": "REL-789", "step": "page", "at": "2023-11-14T22:13:20Z" });
    assert_eq!(asked[0].body, expected);
    assert_eq!(asked[0].headers["idempotency-key"], asked[1].headers["idempotency-key"]);
}

#[tokio::test]
async fn what_a_webhook_answers_decides_whether_to_try_again() {
    for (status, transient) in [
        (301, false),
        (302, false),
        (400, false),
        (404, false),
        (429, true),
        (500, true),
        (503, true),
    ] {
        let fake =
            Fake::start(move |_| Answer::Http(status, vec![("location", "http://127.0.0.1:1/".into())], Vec::new()))
                .await;
        let escalation = Escalation::new(Some(&format!("{}/secret-path", fake.url)), &[]).unwrap();
        let failure = escalation.ring(&page("x")).await.unwrap_err();
        assert_eq!(failure.is_transient(), transient, "{failure}");
        assert!(!failure.message().contains("secret-path") && !format!("{escalation:?}").contains("secret-path"));
    }
}

#[test]
fn addresses_and_programs_that_can_not_be_meant_are_refused_at_once() {
    for url in [
        "http://pager.acme.test/hook",
        "ftp://x",
        "https://u:p@pager.acme.test",
        "pager",
        "https://pager.acme.test/#x",
    ] {
        assert!(Escalation::new(Some(url), &[]).is_err(), "{url}");
    }
    for program in ["page", "./page", "{summary}", "/bin/{summary}", ""] {
        assert!(Escalation::new(None, &[program.to_owned()]).is_err(), "{program}");
    }
    assert!(!Escalation::new(None, &[]).unwrap().is_configured());
}

#[tokio::test]
async fn the_summary_is_one_argument_whatever_stands_in_it() {
    for hostile in [
        "$(touch witness) `touch witness` ; touch witness",
        "two words and \"quotes\" and 'more' and \\",
        "--option=1 {summary} %s %n",
        "-rf /",
        "line\nbreak\0nul",
        "",
        "ünïcödé 🚨",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let program = recorder(folder.path(), "");
        let escalation = Escalation::new(
            None,
            &command(&program, &["--to", "{summary}", "text={summary}!", "end"]),
        )
        .unwrap();
        escalation.ring(&page(hostile)).await.unwrap();
        let written = fs::read(folder.path().join("arguments")).unwrap();
        let arguments: Vec<String> = written
            .split(|b| *b == 0)
            .map(|part| String::from_utf8(part.to_vec()).unwrap())
            .collect();
        assert_eq!(arguments.len(), 5, "{arguments:?}");
        let summary = arguments[1].clone();
        assert!(!summary.starts_with('-'), "{summary}");
        assert_eq!((arguments[0].as_str(), arguments[3].as_str()), ("--to", "end"));
        assert_eq!(arguments[2], format!("text={summary}!"));
        let plain: String = hostile.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        assert_eq!(summary, plain.trim_start_matches(['-', ' ']).trim_end());
        assert!(!folder.path().join("witness").exists());
    }
}

#[tokio::test]
async fn the_command_sees_none_of_our_environment() {
    let folder = tempfile::tempdir().unwrap();
    let program = recorder(folder.path(), "");
    Escalation::new(None, &command(&program, &[]))
        .unwrap()
        .ring(&page("x"))
        .await
        .unwrap();
    let environment = fs::read_to_string(folder.path().join("environment")).unwrap();
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    // The shell adds the last ones itself.
    let expected = ["PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| expected.contains(name)), "{names:?}");
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let program = recorder(folder.path(), "trap '' TERM\n(sleep 2; touch survivor) &\nsleep 30");
    let escalation = Escalation::new(None, &command(&program, &[]))
        .unwrap()
        .with_command_limit(Duration::from_millis(300));
    let begun = Instant::now();
    let failure = escalation.ring(&page("x")).await.unwrap_err();
    assert!(
        failure.outcome_unknown() && begun.elapsed() < Duration::from_secs(2),
        "{failure}"
    );
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    assert!(!folder.path().join("survivor").exists());
}

#[tokio::test]
async fn endless_output_and_a_child_that_keeps_the_pipe_do_not_hold_us_up() {
    let folder = tempfile::tempdir().unwrap();
    let program = recorder(
        folder.path(),
        "sleep 5 &\nhead -c 50000000 /dev/zero\necho 'bad luck' >&2\nexit 3",
    );
    let begun = Instant::now();
    let failure = Escalation::new(None, &command(&program, &[]))
        .unwrap()
        .ring(&page("x"))
        .await
        .unwrap_err();
    assert!(
        failure.message().contains("exit status: 3") && failure.message().contains("bad luck"),
        "{failure}"
    );
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn both_ways_are_tried_and_one_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let good = command(&recorder(folder.path(), ""), &["{summary}"]);
    let down = Fake::start(|_| Answer::status(500, "")).await;
    let escalation = Escalation::new(Some(&down.url), &good).unwrap();
    escalation.ring(&page("x")).await.unwrap();
    assert_eq!(down.asked().len(), 1);
    assert!(folder.path().join("arguments").exists());
    let neither = Escalation::new(Some(&down.url), &["/nowhere/page".to_owned()]).unwrap();
    let failure = neither.ring(&page("x")).await.unwrap_err();
    assert!(failure.is_transient(), "the webhook may come back");
    assert!(failure.message().contains("escalation.webhook") && failure.message().contains("escalation.command"));
    let failure = Escalation::new(None, &[]).unwrap().ring(&page("x")).await.unwrap_err();
    assert!(!failure.is_transient());
}
