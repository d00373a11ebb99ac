//! `countersign policy check|explain|test`, as somebody types them who writes a policy.

use std::fs;
use std::process::{Command, Output};
use tempfile::TempDir;

fn policy(folder: &TempDir, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.current_dir(folder.path()).arg("policy").args(words);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COUNTERSIGN_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

/// A folder with the example as its configuration, and this at its end.
fn with(more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let example = include_str!("../../countersign.example.toml");
    fs::write(folder.path().join("countersign.toml"), format!("{example}\n{more}")).unwrap();
    folder
}

#[track_caller]
fn check(folder: &TempDir, words: &[&str], code: i32, expected: &[&str]) -> String {
    let output = policy(folder, words);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "{words:?}: {part:?} in {said}");
    }
    said
}

#[test]
fn everything_that_is_wrong_is_named_at_once_with_key_line_and_remedy() {
    let folder = with("");
    check(&folder, &["check"], 0, &["nothing is wrong", "1 for one service"]);
    let folder = with(
        "[policy.rules.\"criteria.docs\"]\nplanned = \"show\"\n[policy.rules.\"signoff.boss\"]\n[policy.rules.\"vcs.branch\"]\nminor = \"perhaps\"\n",
    );
    let text = fs::read_to_string(folder.path().join("countersign.toml")).unwrap();
    let line = |of: &str| text.lines().position(|line| line == of).unwrap() + 1;
    check(
        &folder,
        &["check"],
        1,
        &[
            &format!(
                "policy.rules.\"criteria.docs\" (line {}): asks for less than the procedure does (4.3)",
                line("[policy.rules.\"criteria.docs\"]")
            ),
            "there is no rule `signoff.boss`",
            &format!(
                "policy.rules.\"vcs.branch\".minor (line {}): must be \"block\"",
                line("minor = \"perhaps\"")
            ),
            "the procedure's own value holds then",
        ],
    );
    check(&folder, &["check", "nowhere.toml"], 1, &["nowhere.toml"]);
}

#[test]
fn a_rule_is_explained_with_its_clause_who_meets_it_and_where_it_differs() {
    let folder = with("");
    check(
        &folder,
        &["explain", "criteria.performance"],
        0,
        &[
            "criteria.performance (clause 4.3): the performance tests are within their thresholds",
            "confirmed by a QA lead; waived by a tech lead",
            "differs from the procedure: load tests come with LED-12",
        ],
    );
    let ledger = check(
        &folder,
        &[
            "explain",
            "criteria.performance",
            "--service",
            "ledger",
            "--kind",
            "minor",
        ],
        0,
        &["minor warns"],
    );
    assert!(!ledger.contains("major"), "{ledger}");
    check(
        &folder,
        &["explain", "signoff.cto"],
        0,
        &["emergency holds the start", "never waived"],
    );
    let all = check(&folder, &["explain"], 0, &[]);
    for rule in domain::rule::Rule::ALL {
        assert!(all.contains(&format!("{rule} (")), "{rule}");
    }
    check(
        &folder,
        &["explain", "signoff.boss"],
        1,
        &["there is no rule `signoff.boss`"],
    );
    check(
        &folder,
        &["explain", "--service", "nothing"],
        1,
        &["there is no service `nothing`", "payments"],
    );
}

#[test]
fn the_shipped_cases_hold_and_a_teams_own_are_judged_by_its_policy() {
    let folder = with("");
    let shipped = check(&folder, &["test"], 0, &["0 failed"]);
    let cases: usize = shipped.split(' ').next().unwrap().parse().unwrap();
    assert!(cases >= 60, "{shipped}");

    let own = r#"
[[case]]
given = "ledger needs no load test yet"
service = "ledger"
kind = "minor"
missing = ["criteria.performance"]
expect = "allowed"

[[case]]
given = "payments does"
service = "payments"
kind = "minor"
missing = ["criteria.performance"]
expect = ["criteria.performance"]
"#;
    fs::write(folder.path().join("cases.toml"), own).unwrap();
    check(&folder, &["test", "cases.toml"], 0, &["2 cases, 0 failed"]);
    let wrong = own.replace("expect = \"allowed\"", "expect = [\"criteria.docs\"]");
    fs::write(folder.path().join("cases.toml"), wrong).unwrap();
    check(
        &folder,
        &["test", "cases.toml"],
        1,
        &[
            "FAILED 1: ledger needs no load test yet",
            "refused by nothing; expected: criteria.docs",
            "2 cases, 1 failed",
        ],
    );
    for (text, problem) in [
        ("", "case"),
        (
            "[[case]]\ngiven = \"x\"\nkind = \"minor\"\nexpect = \"perhaps\"\n",
            "`expect` is \"allowed\" or a list of rules",
        ),
        (
            "[[case]]\ngiven = \"x\"\nkind = \"minor\"\nmissing = [\"signoff.boss\"]\nexpect = \"allowed\"\n",
            "signoff.boss",
        ),
        (
            "[[case]]\ngiven = \"x\"\nkind = \"minor\"\nwaited = \"soon\"\nexpect = \"allowed\"\n",
            "soon",
        ),
    ] {
        fs::write(folder.path().join("cases.toml"), text).unwrap();
        check(&folder, &["test", "cases.toml"], 1, &[problem]);
    }
}
