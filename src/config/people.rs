//! `[slack]`, `[people]` and `[roles]`: who there is, and who may do what. One human is one entry.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Person;
use super::problem::Report;
use super::reader::Node;
use super::roles::{Member, RoleLists, listed_role};
use super::shapes::{did_you_mean, is_email, is_github_login, is_jira_account, is_slack_id};

/// People by the name under which roles mention them.
pub(super) type People = BTreeMap<String, Person>;

/// The part of `[slack]` that the file holds.
pub(super) struct Workspace {
    pub team_id: Option<String>,
    pub app_id: Option<String>,
    pub releases_channel: Option<String>,
    pub admins: Vec<String>,
    pub message_gap: Duration,
}

/// The names under `[people]`, even of entries with mistakes: a role may mention them without a second problem.
pub(super) fn names(root: &Node<'_>) -> BTreeSet<String> {
    root.get("people")
        .map(|people| people.entries().into_iter().map(|(name, _)| name).collect())
        .unwrap_or_default()
}

pub(super) fn workspace(root: &Node<'_>, known: &BTreeSet<String>, report: &mut Report) -> Workspace {
    let section = root.get("slack");
    let mut id = |key: &str, prefixes: &[char], remedy: &str| {
        let Some(node) = section.as_ref().and_then(|section| section.get(key)) else {
            report.problem(format!("slack.{key}"), "it is missing", remedy);
            return None;
        };
        slack_id(&node, prefixes, remedy, report)
    };
    let team_id = id(
        "team_id",
        &['T'],
        "Copy the workspace's id, T…, from the address bar of Slack in a browser.",
    );
    let app_id = id(
        "app_id",
        &['A'],
        "Copy the app's id, A…, from its page \"Basic Information\".",
    );
    let releases_channel = id("releases_channel", &['C', 'G'], CHANNEL_REMEDY);
    let admins = admins(
        section.as_ref().and_then(|section| section.get("admins")),
        known,
        report,
    );
    let message_gap = message_gap(section.and_then(|section| section.get("message_gap_ms")), report);
    Workspace {
        team_id,
        app_id,
        releases_channel,
        admins,
        message_gap,
    }
}

const ADMINS_REMEDY: &str = "Name two people of [people]: one proposes a change of the policy, another approves it.";
const MEMBERS_REMEDY: &str = "Name people of [people], or a Slack user group as \"group:S…\".";

/// A little over the second that Slack asks for between two messages to one channel: two requests don't take equally long to
/// get there.
const MESSAGE_GAP_MS: u64 = 1_100;
const MESSAGE_GAP_MS_LIMITS: RangeInclusive<u64> = 10..=60_000;

fn message_gap(node: Option<Node<'_>>, report: &mut Report) -> Duration {
    let remedy = "Choose a number of milliseconds between them.";
    let chosen_ms = node.and_then(|node| node.number_within(&MESSAGE_GAP_MS_LIMITS, remedy, report));
    Duration::from_millis(chosen_ms.unwrap_or(MESSAGE_GAP_MS))
}

/// How to find a channel's id.
pub(super) const CHANNEL_REMEDY: &str =
    "Copy the id, C… or G…, from the end of the channel's details in Slack; a #name won't do.";

fn admins(node: Option<Node<'_>>, known: &BTreeSet<String>, report: &mut Report) -> Vec<String> {
    let Some(node) = node else {
        report.problem("slack.admins", "it is missing", ADMINS_REMEDY);
        return Vec::new();
    };
    let mut admins = Vec::new();
    let members = members(&node, known, ADMINS_REMEDY, report);
    for member in &members {
        match member {
            Member::Person(name) => admins.push(name.clone()),
            Member::Group(_) => report.problem(
                &node,
                "a group can't be an admin",
                "Name people of [people]: who leads a Slack group is not Countersign's to check.",
            ),
        }
    }
    if let ([only], true) = (admins.as_slice(), members.len() == 1) {
        report.warning(
            &node,
            format!("{only} is the only admin, and nobody approves their own change of the policy"),
            "Name a second person.",
        );
    }
    admins
}

/// A Slack id in `node` that begins with one of `prefixes`.
pub(super) fn slack_id(node: &Node<'_>, prefixes: &[char], remedy: &str, report: &mut Report) -> Option<String> {
    let text = node.text(report)?;
    if is_slack_id(text, prefixes) {
        return Some(text.to_owned());
    }
    let letters: Vec<String> = prefixes.iter().map(|letter| format!("{letter}…")).collect();
    report.problem(
        node,
        format!("{text:?} is not a Slack id of the form {}", letters.join(" or ")),
        remedy,
    );
    None
}

pub(super) fn people(root: &Node<'_>, report: &mut Report) -> People {
    let Some(section) = root.get("people") else {
        report.problem(
            "people",
            "nobody is listed",
            "Add a section [people.NAME] with `slack = \"U…\"` for everybody whom a role names.",
        );
        return People::new();
    };
    let mut identities = Identities::default();
    let mut people = People::new();
    for (name, node) in section.entries().into_iter().filter(|(_, node)| node.is_table()) {
        if let Some(person) = person(&name, &node, &mut identities, report) {
            people.insert(name, person);
        }
    }
    people
}

fn person(name: &str, node: &Node<'_>, identities: &mut Identities, report: &mut Report) -> Option<Person> {
    const SLACK_REMEDY: &str = "Copy the member id, U… or W…, from the person's profile in Slack.";
    let slack = if let Some(node) = node.get("slack") {
        let id = slack_id(&node, &['U', 'W'], SLACK_REMEDY, report);
        id.and_then(|id| identities.claim(name, "Slack id", &id, &node, report))
    } else {
        report.problem(node.path_of("slack"), "it is missing", SLACK_REMEDY);
        None
    };
    let mut identity = |key: &str, what: &'static str, fits: fn(&str) -> bool| {
        let node = node.get(key)?;
        let text = node.text(report)?;
        if !fits(text) {
            report.problem(&node, format!("{text:?} is no {what}"), "Correct it, or remove it.");
            return None;
        }
        identities.claim(name, what, text, &node, report)
    };
    let jira = identity("jira", "Jira account id", is_jira_account);
    let github = identity("github", "GitHub login", is_github_login);
    let email = identity("email", "e-mail address", is_email);
    Some(Person {
        slack: slack?,
        jira,
        github,
        email,
    })
}

/// Who has claimed which identity. Two entries for one human would let them sign twice.
#[derive(Default)]
struct Identities(BTreeMap<(&'static str, String), String>);

impl Identities {
    fn claim(
        &mut self,
        person: &str,
        what: &'static str,
        value: &str,
        node: &Node<'_>,
        report: &mut Report,
    ) -> Option<String> {
        if let Some(other) = self.0.insert((what, value.to_lowercase()), person.to_owned()) {
            report.problem(
                node,
                format!("{other} and {person} have the same {what}"),
                "One human is one entry: merge the two, or correct one of them.",
            );
            return None;
        }
        Some(value.to_owned())
    }
}

/// The lists of roles under `node`, `[roles]` or a service's `roles`. A list with mistakes is kept, so that it is not
/// called missing as well.
pub(super) fn roles(node: Option<Node<'_>>, known: &BTreeSet<String>, report: &mut Report) -> RoleLists {
    let entries = node.map(|node| node.entries()).unwrap_or_default();
    let named = entries
        .into_iter()
        .filter_map(|(name, node)| Some((listed_role(&name)?, node)));
    named
        .map(|(role, node)| (role, members(&node, known, MEMBERS_REMEDY, report)))
        .collect()
}

fn members(node: &Node<'_>, known: &BTreeSet<String>, remedy: &str, report: &mut Report) -> Vec<Member> {
    let before = report.problems.len();
    let items = node.items(report);
    if items.is_empty() && report.problems.len() == before {
        report.problem(node, "nobody is in this list", remedy);
    }
    let mut members = Vec::new();
    for item in items {
        let Some(member) = item.text(report).and_then(|text| member(text, &item, known, report)) else {
            continue;
        };
        if members.contains(&member) {
            let (Member::Person(name) | Member::Group(name)) = &member;
            report.problem(&item, format!("{name} is named twice"), "Remove one of the two.");
        } else {
            members.push(member);
        }
    }
    members
}

fn member(text: &str, item: &Node<'_>, known: &BTreeSet<String>, report: &mut Report) -> Option<Member> {
    if let Some(group) = text.strip_prefix("group:") {
        if is_slack_id(group, &['S']) {
            return Some(Member::Group(group.to_owned()));
        }
        report.problem(
            item,
            format!("{group:?} is not the id of a Slack user group"),
            "Copy the group's id, S…, from its page in Slack; a @handle won't do.",
        );
        return None;
    }
    if known.contains(text) {
        return Some(Member::Person(text.to_owned()));
    }
    let wrong = format!(
        "{text:?} is not in [people].{}",
        did_you_mean(text, known.iter().map(String::as_str))
    );
    report.problem(item, wrong, format!("Correct the name, or add [people.{text}]."));
    None
}
