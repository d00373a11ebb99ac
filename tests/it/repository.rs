//! Rules of the repository that no compiler knows. A failure names the file and says what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let bytes = std::fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every file that Git tracks and that still exists.
fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let listed = listed.expect("these rules ask Git which files there are: install git (scripts/test does)");
    assert!(
        listed.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let names = String::from_utf8(listed.stdout).expect("names of files are UTF-8");
    let existing: Vec<String> = names
        .split('\0')
        .filter(|name| !name.is_empty() && root().join(name).is_file())
        .map(str::to_owned)
        .collect();
    assert!(
        existing.len() > 20,
        "Git tracks only {} files here: run the tests in a clone",
        existing.len()
    );
    existing
}

fn is_rust(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "rs")
}

/// The Rust files of the library, the binary and the crates, tests beside them left out.
fn sources() -> Vec<String> {
    let inside = |name: &String| name.starts_with("src/") || (name.starts_with("crates/") && name.contains("/src/"));
    tracked()
        .into_iter()
        .filter(|name| is_rust(name) && inside(name))
        .collect()
}

/// The lines of code, without what follows `//`, and with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

/// `true` if `word` stands in `text` and is not a part of a longer name.
fn mentions(text: &str, word: &str) -> bool {
    let part_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part_of_name) && !text[at + word.len()..].starts_with(part_of_name))
}

/// The switches that proofs take guards out with are in no build that does not ask for them.
#[test]
fn no_guard_can_be_taken_out_of_this_program() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign")).unwrap();
    let has = |text: &str| program.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("COUNTERSIGN_LISTEN"), "the search finds what is there");
    for text in ["COUNTERSIGN_SABOTAGE", "fingerprint-compare", "starting-before-spawn"] {
        assert_eq!(has(text), cfg!(feature = "sabotage"), "{text}");
    }
}

#[test]
fn words_are_found_as_words() {
    assert!(mentions("use axum::Router;", "axum") && mentions("async fn a()", "async fn"));
    assert!(!mentions("let taxum = my_axum;", "axum"));
}

#[test]
fn modules_say_what_they_are_for() {
    const EMPTY_WORDS: &[&str] = &[
        "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers", "service", "services",
    ];
    for path in sources() {
        // A service is a thing of the procedure, and this is its state.
        if path == "crates/domain/src/service.rs" {
            continue;
        }
        let within = path.rsplit_once("src/").map_or(path.as_str(), |(_, within)| within);
        for name in within.trim_end_matches(".rs").split('/') {
            assert!(
                !EMPTY_WORDS.contains(&name),
                "{path}: rename {name:?}; a module is called by what it does"
            );
        }
    }
}

#[test]
fn every_source_file_opens_with_what_it_is_for() {
    for path in sources() {
        assert!(
            read(&path).starts_with("//! "),
            "{path}: begin with one to four lines of `//!` that say what it is for"
        );
    }
}

#[test]
fn the_rules_are_pure() {
    const REMEDY: &str = "take what it would tell as an argument";
    const BANNED: &[&str] = &[
        "tokio",
        "sqlx",
        "axum",
        "reqwest",
        "tracing",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "async fn",
        "SystemTime",
        "Instant",
    ];
    let domain: Vec<String> = sources()
        .into_iter()
        .filter(|path| path.starts_with("crates/domain/src/"))
        .collect();
    assert!(
        !domain.is_empty(),
        "crates/domain has no sources: this rule looks in the wrong place"
    );
    for path in domain {
        let text = read(&path);
        for (line, code) in code_lines(&text) {
            let word = BANNED.iter().find(|word| mentions(code, word));
            assert!(
                word.is_none(),
                "{path}:{line}: the domain must not know {}; {REMEDY}",
                word.unwrap_or(&"")
            );
        }
        for (group, _) in text.split("std::{").skip(1).filter_map(|rest| rest.split_once("};")) {
            let inside = ["fs", "net", "env", "process", "thread"];
            let word = inside.iter().find(|word| mentions(group, word));
            assert!(
                word.is_none(),
                "{path}: the domain must not know std::{}; {REMEDY}",
                word.unwrap_or(&"")
            );
        }
    }
}

#[test]
fn every_library_stays_behind_its_door() {
    // The composition root may name axum: it joins the routes and serves them.
    const DOORS: &[(&str, &[&str])] = &[
        ("sqlx", &["src/store/"]),
        ("slack_morphism", &["src/slack/"]),
        ("axum", &["src/http/", "src/app.rs", "crates/playground/"]),
    ];
    for path in sources() {
        let text = read(&path);
        for (library, homes) in DOORS {
            let at_home = homes.iter().any(|home| path.starts_with(home));
            let found = code_lines(&text).find(|(_, code)| mentions(code, library));
            if let (false, Some((line, _))) = (at_home, found) {
                panic!(
                    "{path}:{line}: only {} may use {library}; add what you need there",
                    homes.join(", ")
                );
            }
        }
    }
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |engine: &str| {
        let folder = root().join("migrations").join(engine);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut names: Vec<PathBuf> = entries.map(|entry| PathBuf::from(entry.unwrap().file_name())).collect();
        names.sort();
        names
    };
    let sqlite = names("sqlite");
    assert!(!sqlite.is_empty(), "migrations/sqlite is empty");
    assert_eq!(
        sqlite,
        names("postgres"),
        "every migration exists for SQLite and for PostgreSQL, under one name"
    );
}

#[test]
fn nothing_unfinished_and_nothing_of_one_machine_is_committed() {
    // Put together here, so that this file doesn't find itself.
    let machine_path = concat!("/wo", "rk/");
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    let neighbour = concat!("../", "shared");
    for path in tracked() {
        let text = read(&path);
        assert!(
            !text.contains(machine_path),
            "{path}: remove the path that exists on one machine only ({machine_path})"
        );
        assert!(
            path == ".ci/run" || !text.contains(neighbour),
            "{path}: only .ci/run may look beside the repository"
        );
        let mark = marks.iter().find(|mark| is_rust(&path) && text.contains(**mark));
        assert!(
            mark.is_none(),
            "{path}: finish what stands at {}, or remove it",
            mark.unwrap_or(&"")
        );
    }
}

#[test]
fn the_licences_are_there_and_named() {
    let holder = "Countersign contributors";
    assert!(
        read("LICENSE-MIT").contains(holder),
        "LICENSE-MIT must be the MIT licence of the {holder}"
    );
    let apache = read("LICENSE-APACHE");
    assert!(
        apache.contains("Apache License") && apache.contains("END OF TERMS AND CONDITIONS"),
        "LICENSE-APACHE must be the whole licence"
    );
    assert!(
        read("Cargo.toml").contains("license = \"MIT OR Apache-2.0\""),
        "Cargo.toml must name both licences"
    );
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    for path in ["scripts/test", ".ci/run"] {
        let mode = std::fs::metadata(root().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .permissions()
            .mode();
        assert!(mode & 0o111 == 0o111, "{path}: run `chmod +x {path}` and commit it");
        let text = read(path);
        assert!(
            text.starts_with("#!/usr/bin/env bash\n"),
            "{path}: begin with `#!/usr/bin/env bash`"
        );
        assert!(
            text.contains("\nset -euo pipefail\n"),
            "{path}: must stop at the first failure (`set -euo pipefail`)"
        );
    }
}
