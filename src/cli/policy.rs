//! `countersign policy check|explain|test`: reads the policy in the configuration file, says it in words, and holds it against a
//! team's own cases. Changes nothing.

use crate::config::{PolicyFile, parse_duration};
use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use domain::ids::ServiceName;
use domain::policy::Policy;
use domain::policy::trial::{Facts, Outcome, judge};
use domain::release::Migration;
use domain::role::Role;
use domain::rule::{Effect, Judged, Kind, Rule, Waivable};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The cases that come with the program: what the procedure itself says.
const SHIPPED: &str = include_str!("policy/cases.toml");
/// A file of cases is written by hand.
const CASES_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Name everything that is wrong with the configuration file, the policy among it.
    Check {
        /// Another file than COUNTERSIGN_CONFIG.
        file: Option<PathBuf>,
    },
    /// Say in words what a rule asks for, or all of them.
    Explain {
        /// One rule, such as criteria.docs.
        rule: Option<String>,
        /// For the releases of this service.
        #[arg(long)]
        service: Option<String>,
        /// For releases of this kind.
        #[arg(long)]
        kind: Option<KindName>,
        /// Another file than COUNTERSIGN_CONFIG.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Hold the policy against cases: given these facts, allowed, or refused by these rules.
    Test {
        /// The cases; without it, those that come with the program, against the procedure itself.
        cases: Option<PathBuf>,
        /// Another configuration file than COUNTERSIGN_CONFIG.
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

/// A kind, as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum KindName {
    Major,
    Minor,
    Emergency,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Major => Self::Major,
            KindName::Minor => Self::Minor,
            KindName::Emergency => Self::Emergency,
        }
    }
}

pub(super) fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Check { file } => check(file.as_deref()),
        Verb::Explain {
            rule,
            service,
            kind,
            file,
        } => explain(
            rule.as_deref(),
            service.as_deref(),
            kind.map(Kind::from),
            file.as_deref(),
        ),
        Verb::Test { cases: None, .. } => test(SHIPPED, &Policy::default(), "the cases of the procedure"),
        Verb::Test {
            cases: Some(cases),
            file,
        } => {
            let policy = PolicyFile::from_process(file.as_deref())?.0.policy;
            test(&read(cases)?, &policy, &cases.display().to_string())
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let place = || path.display().to_string();
    let length = path.metadata().with_context(place)?.len();
    anyhow::ensure!(length <= CASES_BYTES_MAX, "{} is too large", place());
    std::fs::read_to_string(path).with_context(place)
}

fn check(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (policy, warnings) = PolicyFile::from_process(file)?;
    for warning in &warnings.0 {
        super::say(&format!("warning: {warning}"));
    }
    let changed = policy.policy.changes.len();
    let of_services: usize = policy
        .policy
        .service_changes
        .values()
        .map(std::collections::BTreeMap::len)
        .sum();
    super::say(&match (changed, of_services) {
        (0, 0) => "nothing is wrong; no rule is switched off or made weaker".to_owned(),
        _ => format!(
            "nothing is wrong; {changed} rules do something else than the procedure says, and {of_services} for one service"
        ),
    });
    Ok(ExitCode::SUCCESS)
}

fn explain(
    rule: Option<&str>,
    service: Option<&str>,
    kind: Option<Kind>,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let (policy, _) = PolicyFile::from_process(file)?;
    let services: Vec<ServiceName> = match service {
        Some(name) => {
            let known = policy.services.iter().any(|service| service == name);
            anyhow::ensure!(
                known,
                "there is no service `{name}`; there are: {}",
                policy.services.join(", ")
            );
            vec![ServiceName::new(name)?]
        }
        None => policy
            .services
            .iter()
            .filter_map(|name| ServiceName::new(name).ok())
            .collect(),
    };
    let rules: Vec<Rule> = match rule {
        Some(id) => {
            vec![Rule::from_id(id).with_context(|| format!("there is no rule `{id}`; docs/rulebook.md lists them"))?]
        }
        None => Rule::ALL.to_vec(),
    };
    let kinds = kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    for rule in rules {
        for line in explained(rule, &policy.policy, &services, &kinds) {
            super::say(&line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One rule, in words.
fn explained(rule: Rule, policy: &Policy, services: &[ServiceName], kinds: &[Kind]) -> Vec<String> {
    let clause = match rule.clause() {
        "added" => "added to the procedure".to_owned(),
        clause => format!("clause {clause}"),
    };
    let mut lines = vec![format!("{rule} ({clause}): {}", rule.summary())];
    let does = |kind: Kind, service: Option<&ServiceName>| match service {
        Some(service) => policy.effect(rule, kind, service),
        None => rule.effect(kind),
    };
    let words: Vec<String> = kinds
        .iter()
        .map(|kind| format!("{} {}", kind.key(), effect_word(does(*kind, services.first()))))
        .collect();
    lines.push(format!("    {}", words.join(", ")));
    for service in services.iter().skip(1) {
        let other: Vec<String> = kinds
            .iter()
            .filter(|kind| does(**kind, Some(service)) != does(**kind, services.first()))
            .map(|kind| format!("{} {}", kind.key(), effect_word(does(*kind, Some(service)))))
            .collect();
        if !other.is_empty() {
            lines.push(format!("    for {service}: {}", other.join(", ")));
        }
    }
    lines.push(format!("    {}; {}", judged_by(rule), waivable_by(rule)));
    let reasons = policy.changes.get(&rule).into_iter();
    let of_services = services
        .iter()
        .filter_map(|service| policy.service_changes.get(service)?.get(&rule));
    let reasons = reasons.chain(of_services).filter_map(|change| change.reason.as_ref());
    lines.extend(reasons.map(|reason| format!("    differs from the procedure: {reason}")));
    lines
}

fn effect_word(effect: Option<Effect>) -> &'static str {
    match effect {
        Some(Effect::Block) => "holds the start",
        Some(Effect::Warn) => "warns",
        Some(Effect::Show) => "is shown",
        Some(Effect::Owe) => "is owed afterwards",
        Some(Effect::Action) => "is done by Countersign",
        None => "does not ask for it",
    }
}

fn titles(roles: &[Role], last: &str) -> String {
    let titles: Vec<&str> = roles.iter().map(|role| role.title()).collect();
    titles.join(last)
}

fn judged_by(rule: Rule) -> String {
    match rule.judged() {
        Judged::Recorded => "judged by Countersign's own record".to_owned(),
        Judged::Done => "done by Countersign".to_owned(),
        Judged::NotYet => "not judged by this version".to_owned(),
        Judged::Attested(roles, 1) => format!("confirmed by a {}", titles(roles, " or ")),
        Judged::Attested(roles, several) => format!("confirmed by {several} people of: {}", titles(roles, ", ")),
    }
}

fn waivable_by(rule: Rule) -> String {
    match rule.waivable() {
        Waivable::Never => "never waived".to_owned(),
        Waivable::By(roles) => format!("waived by a {}", titles(roles, " or ")),
        Waivable::ByAll(roles) => format!("waived by {} together", titles(roles, " and ")),
    }
}

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Written>,
}

/// One case as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// In words.
    given: String,
    #[serde(default = "any_service")]
    service: String,
    kind: Kind,
    #[serde(default)]
    missing: BTreeSet<Rule>,
    #[serde(default)]
    waived: BTreeSet<Rule>,
    #[serde(default)]
    rejected_by: BTreeSet<Role>,
    migration: Option<Migration>,
    /// How long after the last word, such as `15m`.
    waited: Option<String>,
    /// `"allowed"`, or the rules that refuse it.
    expect: Expected,
    #[serde(default)]
    owed: BTreeSet<Rule>,
}

fn any_service() -> String {
    "any".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Word(String),
    RefusedBy(BTreeSet<Rule>),
}

fn test(text: &str, policy: &Policy, place: &str) -> anyhow::Result<ExitCode> {
    let cases: Cases = toml::from_str(text).with_context(|| place.to_owned())?;
    anyhow::ensure!(!cases.case.is_empty(), "{place} holds no case");
    let mut failed = 0;
    for (at, written) in cases.case.iter().enumerate() {
        let outcome = tried(written, policy).with_context(|| format!("{place}, case {}: {}", at + 1, written.given))?;
        if let Err(difference) = outcome {
            failed += 1;
            super::say(&format!("FAILED {}: {}\n    {difference}", at + 1, written.given));
        }
    }
    super::say(&format!("{} cases, {failed} failed", cases.case.len()));
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The difference between what a case expects and what the policy makes of it.
fn tried(written: &Written, policy: &Policy) -> anyhow::Result<Result<(), String>> {
    let waited = written.waited.as_deref().map(|text| {
        parse_duration(
            text,
            &(std::time::Duration::ZERO..=std::time::Duration::from_hours(24 * 365)),
        )
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("`{text}` is no length of time such as 15m"))
    });
    let facts = Facts {
        missing: written.missing.clone(),
        waived: written.waived.clone(),
        rejected: written.rejected_by.clone(),
        migration: written.migration.unwrap_or(Migration::None),
        waited_ms: waited
            .transpose()?
            .map_or(0, |waited| i64::try_from(waited.as_millis()).unwrap_or(i64::MAX)),
        ..Facts::all_held(ServiceName::new(&written.service)?, written.kind)
    };
    let expected = Outcome {
        refused_by: match &written.expect {
            Expected::RefusedBy(rules) => rules.clone(),
            Expected::Word(word) if word == "allowed" => BTreeSet::new(),
            Expected::Word(word) => anyhow::bail!("`expect` is \"allowed\" or a list of rules, not `{word}`"),
        },
        owed: written.owed.clone(),
    };
    let found = judge(policy, &facts).context("the release of this case can't be made up")?;
    let words = |rules: &BTreeSet<Rule>| match rules.len() {
        0 => "nothing".to_owned(),
        _ => rules.iter().map(|rule| rule.id()).collect::<Vec<_>>().join(", "),
    };
    if found.refused_by != expected.refused_by {
        let (wanted, got) = (words(&expected.refused_by), words(&found.refused_by));
        return Ok(Err(format!("refused by {got}; expected: {wanted}")));
    }
    if !expected.owed.is_empty() && found.owed != expected.owed {
        return Ok(Err(format!(
            "owed: {}; expected: {}",
            words(&found.owed),
            words(&expected.owed)
        )));
    }
    Ok(Ok(()))
}
