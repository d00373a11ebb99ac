//! The pages docs/security.md, docs/guarantees.md and ARCHITECTURE.md: the tests that they name exist, so that they can't rot.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Where a test named `a::b::c` may be: `c` in the file `a/b.rs`, below one of these.
const HOMES: [(&str, &str); 4] = [
    ("rules::", "crates/domain/tests/rules"),
    ("audit::", "crates/domain/tests/audit"),
    ("it::", "tests/it"),
    ("countersign::", "src"),
];

/// Whether a word in backquotes names a test.
fn is_test(name: &str) -> bool {
    HOMES.iter().any(|(prefix, _)| name.starts_with(prefix))
}

/// The code words of a text.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[track_caller]
fn assert_exists(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = HOMES.iter().find(|(prefix, _)| name.starts_with(prefix));
    let (prefix, folder) = home.unwrap_or_else(|| panic!("{name}: begin with rules::, audit::, it:: or countersign::"));
    let (module, test) = name[prefix.len()..]
        .rsplit_once("::")
        .unwrap_or_else(|| panic!("{name}"));
    let file = root.join(folder).join(module.replace("::", "/")).with_extension("rs");
    let source = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{name}: no file {}", file.display()));
    assert!(
        source.contains(&format!("fn {test}(")),
        "{name}: no such test in {}",
        file.display()
    );
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (_, table) = page.split_once("| no. |").expect("the table");
    let table = table.split("\n\n").next().unwrap();
    let mut named = 0;
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells[3].contains("::"), "no test in {row}");
        for name in code_words(cells[3]) {
            assert_exists(name);
            named += 1;
        }
    }
    for number in [
        "A1", "A2", "A6", "A7", "A8", "A9", "A10", "A11", "A12", "A13", "A14", "A15", "A17", "A18", "A20", "A22",
    ] {
        assert!(table.contains(&format!("| {number} |")), "{number} has no row");
    }
    assert!(named >= 40, "{named} tests are named");
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, invariants) = page.split_once("## Invariants").expect("the invariants");
    let invariants = invariants.split("\n## ").next().unwrap();
    for number in 1..=10 {
        let (_, invariant) = invariants.split_once(&format!("\n{number}. **")).expect("an invariant");
        let invariant = invariant.split(&format!("\n{}. **", number + 1)).next().unwrap();
        let tests: Vec<&str> = code_words(invariant).filter(|word| is_test(word)).collect();
        assert!(!tests.is_empty(), "invariant {number} names no test");
        tests.into_iter().for_each(assert_exists);
    }
}

#[test]
fn every_guarantee_names_proofs_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    for number in 1..=10 {
        let start = format!("| {number} | **");
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("promise {number} is missing"));
        assert!(code_words(row).any(is_test), "promise {number} names no proof");
    }
    code_words(&page).filter(|word| is_test(word)).for_each(assert_exists);
}

/// A function that is a scenario is no test until the list of its module names it.
#[test]
fn every_scenario_is_run() {
    for module in ["hostile", "scenarios"] {
        every_scenario_of(module);
    }
}

fn every_scenario_of(module: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let list = fs::read_to_string(root.join(module).with_extension("rs")).unwrap();
    let mut files = Vec::new();
    sources(&root.join(module), &mut files);
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let scenarios = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        for scenario in scenarios.filter(|line| line.contains("(engine: Engine)")) {
            let name = scenario.split('(').next().unwrap();
            assert!(
                list.contains(&format!(" {name}\n")),
                "{name} of {} is not run",
                file.display()
            );
        }
    }
}
