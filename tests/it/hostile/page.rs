//! The page docs/security.md: the tests that its table names exist, so that it can't rot.

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
const HOMES: [(&str, &str); 3] = [
    ("rules::", "crates/domain/tests/rules"),
    ("it::", "tests/it"),
    ("countersign::", "src"),
];

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
        for name in cells[3].split('`').skip(1).step_by(2) {
            let home = HOMES.iter().find(|(prefix, _)| name.starts_with(prefix));
            let (prefix, folder) = home.unwrap_or_else(|| panic!("{name}: begin with rules::, it:: or countersign::"));
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

/// A function that is a scenario is no test until the list of its module names it.
#[test]
fn every_hostile_scenario_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let list = fs::read_to_string(root.join("hostile.rs")).unwrap();
    let mut files = Vec::new();
    sources(&root.join("hostile"), &mut files);
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
