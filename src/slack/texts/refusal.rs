//! Why not: what was refused, by which rule and clause, who can, what next, and that nothing was changed.

use crate::slack::blocks::{Button, Rendered, actions, context, message, section};
use crate::slack::buttons::{ActionId, ButtonValue};
use crate::slack::gates::{self, Words, roles, rule_ref};
use crate::slack::markup::joined;
use crate::slack::nearest::nearest;
use crate::slack::state::{capital, lower, status_words};
use crate::slack::time::when;
use crate::slack::view::{Names, what};
use domain::digest::Digest;
use domain::ids::ReleaseKey;
use domain::intents::authority::Ask;
use domain::people::Standing;
use domain::policy::JUSTIFICATION_MIN_CHARS;
use domain::refusal::{Cause, Refusal};
use domain::release::{OwnPart, Release, Status};
use domain::role::Role;
use domain::rule::Rule;
use domain::rules::gates::Gate;
use std::collections::{BTreeMap, BTreeSet};

/// What was asked for, and what is known around it.
#[derive(Debug, Clone, Copy)]
pub struct Attempted<'a> {
    /// What.
    pub ask: Ask,
    /// Of which release, if one was named.
    pub key: Option<&'a ReleaseKey>,
    /// That release, if there is one.
    pub release: Option<&'a Release>,
    /// How people are called.
    pub names: Names<'a>,
    /// The texts behind the commitments.
    pub texts: &'a BTreeMap<Digest, String>,
    /// Keys that exist, for a suggestion.
    pub known: &'a [ReleaseKey],
    /// The zone for times where there is no release.
    pub time_zone: &'a str,
}

impl Attempted<'_> {
    fn zone(&self) -> &str {
        self.release.map_or(self.time_zone, |release| &release.time_zone)
    }

    /// `REL-789 (payments v1.4.0)`, as far as known.
    fn object(&self) -> String {
        match (self.release, self.key) {
            (Some(release), _) => format!("{} ({})", release.key, what(release)),
            (None, Some(key)) => key.to_string(),
            (None, None) => "this".to_owned(),
        }
    }

    /// `production of payments`, as far as known.
    fn place(&self) -> String {
        self.place_of(self.release.map_or("the service", |release| release.service.as_str()))
    }

    fn place_of(&self, service: &str) -> String {
        let environment = self
            .release
            .map_or("production", |release| release.environment.as_str());
        format!("{environment} of {service}")
    }

    fn key_or(&self, example: &str) -> String {
        self.key.map_or_else(|| example.to_owned(), ToString::to_string)
    }
}

/// What each intent is called in "You can't …".
pub fn verb(ask: Ask) -> &'static str {
    match ask {
        Ask::Read => "read",
        Ask::ExportAudit => "export the audit log of",
        Ask::Plan => "plan",
        Ask::EditPlan | Ask::EditDraft => "change the plan of",
        Ask::RequestHotfix => "ask for a hotfix:",
        Ask::TypeCommit => "type the commit of",
        Ask::SignPlanned | Ask::SignHotfix => "sign",
        Ask::RejectPlanned | Ask::RejectHotfix => "reject",
        Ask::Withdraw => "withdraw your sign-off from",
        Ask::Attest => "confirm this for",
        Ask::Waive => "waive this for",
        Ask::TakeBack => "take back your word on",
        Ask::CancelPlanned | Ask::CancelHotfix => "cancel",
        Ask::Deploy => "deploy",
        Ask::Stop => "stop the deployment of",
        Ask::Settle => "settle the interrupted deployment of",
        Ask::Record => "record the result of",
    }
}

/// The private answer to a refused command.
pub fn refusal(refusal: &Refusal, attempted: &Attempted<'_>) -> Rendered {
    let said = sentences(refusal, attempted);
    if refusal.cause == Cause::NoSuchRelease {
        // No rule forbids it: there is nothing there.
        let text = format!("{} {} Nothing was changed.", said.what, said.next);
        return message(&text, 0, |_| {
            vec![section(&format!("*{}*\n{} Nothing was changed.", said.what, said.next))]
        });
    }
    let rule = rule_ref(refusal.rule);
    let text = format!("{} {} Rule {rule}. Nothing was changed.", said.what, said.next);
    message(&text, 0, |_| {
        let mut blocks = vec![section(&format!(
            "*{}*\n{} *Nothing was changed.*",
            said.what, said.next
        ))];
        blocks.extend(said.lines.as_ref().map(|lines| section(lines)));
        blocks.push(context(&format!("Rule {rule}: {}", refusal.rule.summary())));
        blocks.extend(choice_buttons(refusal, attempted).and_then(actions));
        blocks
    })
}

/// The parts of a refusal.
struct Said {
    /// What was refused and why.
    what: String,
    /// Who can, what next.
    next: String,
    /// What may be long.
    lines: Option<String>,
}

fn sentences(refusal: &Refusal, attempted: &Attempted<'_>) -> Said {
    let cant = format!("You can't {} {}", verb(attempted.ask), attempted.object());
    let cant = match (attempted.ask, attempted.key) {
        (Ask::RequestHotfix, None) => "You can't ask for a hotfix".to_owned(),
        _ => cant,
    };
    let mut lines = None;
    let (why, next) = match &refusal.cause {
        Cause::Standing(standing) => (standing_words(*standing).to_owned(), members_who(attempted.ask).to_owned()),
        Cause::FactsUnavailable => (
            "Slack did not say in time who is in which role, and nothing is decided on old facts".to_owned(),
            "Try again in a minute; if it stays so, tell an admin.".to_owned(),
        ),
        Cause::NotInRole => ("you are not in a role that may".to_owned(), who_can(refusal, attempted)),
        Cause::NoSuchRelease => return no_such_release(attempted),
        Cause::KeyTaken => (
            "that key names another release, and a key names one release for ever".to_owned(),
            format!("Choose a key that is free; `/release status {}` shows what has it.", attempted.key_or("REL-789")),
        ),
        Cause::NoSuchService => (
            "that service or environment is not configured".to_owned(),
            "`/release list` names the services; an admin adds one to the configuration.".to_owned(),
        ),
        Cause::Status(status) => status_said(*status, attempted),
        Cause::OwnRelease(_) if attempted.ask == Ask::Waive => (
            "you asked for it, answer for it or wrote some of it, and nobody waives anything for their own release".to_owned(),
            who_can(refusal, attempted),
        ),
        Cause::OwnRelease(part) => (own(*part).to_owned(), who_can(refusal, attempted)),
        Cause::AlreadySigned if attempted.ask == Ask::Settle => (
            "you said so already; it counts once a second person says the same".to_owned(),
            format!("{} Until then {} stays locked.", who_can(refusal, attempted), attempted.place()),
        ),
        Cause::AlreadySigned if is_rejection(attempted.ask) => (
            "a no of that role stands already, and one is enough".to_owned(),
            format!("`/release why {}` shows it, and who lifts it.", attempted.key_or("REL-789")),
        ),
        Cause::AlreadySigned => (
            "it is there already and counts".to_owned(),
            format!("Nothing more is needed from you; `/release why {}` says what is.", attempted.key_or("REL-789")),
        ),
        Cause::SignedAnotherRole(role) => (
            format!("you signed it as {} already, and one person fills one role per release", role.title()),
            who_can(refusal, attempted),
        ),
        Cause::ChooseRole(roles) => return choose_role(roles, attempted),
        Cause::NothingSigned if attempted.ask == Ask::TakeBack => (
            format!("nothing that you said of `{}` stands, and no waiver of yours", refusal.rule.id()),
            format!("`/release audit {}` shows who said what.", attempted.key_or("REL-789")),
        ),
        Cause::NothingSigned => (
            "no sign-off of yours stands on it".to_owned(),
            format!("To say no to it: `/release reject {}`.", attempted.key_or("REL-789")),
        ),
        Cause::NotAttestable => (
            format!("nobody's word meets `{}` here: Countersign looks for itself, does not look yet, or does not ask for it", refusal.rule.id()),
            format!("`/release why {}` says what it waits for.", attempted.key_or("REL-789")),
        ),
        Cause::NotWaivable => (
            format!("nobody may waive `{}` here", refusal.rule.id()),
            format!("It has to be met; `/release why {}` says who can.", attempted.key_or("REL-789")),
        ),
        Cause::OwnGate => ("it is yours to meet, and nobody waives their own gate".to_owned(), who_can(refusal, attempted)),
        Cause::StaleView => return stale_view(attempted),
        Cause::SlotOver => (
            "its planned slot is over, so a sign-off would count for nothing".to_owned(),
            format!("The release manager moves the start with `/release plan {}`; then you are asked again.", attempted.key_or("REL-789")),
        ),
        Cause::Incomplete(fields) => {
            lines = Some(incomplete(fields));
            ("something is missing in it".to_owned(), "Put it right and send it again.".to_owned())
        }
        Cause::JustificationTooShort(chars) => (
            format!("its justification has {chars} of at least {JUSTIFICATION_MIN_CHARS} characters"),
            "Say in a sentence what is broken, for whom, and since when; the signers decide on it and it stays on the record.".to_owned(),
        ),
        Cause::SourceUnknown(problem) => {
            let why = match (problem, attempted.release) {
                (Some(problem), Some(release)) => gates::source_problem(*problem, release),
                (None, _) | (Some(_), None) => "Git says itself which commit it is, or has not been asked yet".to_owned(),
            };
            (why, format!("`/release why {}` says what it waits for.", attempted.key_or("REL-789")))
        }
        Cause::GatesUnmet(gates) => {
            lines = Some(gate_lines(gates, attempted));
            (format!("{} it now", hold(gates.len())), earliest(refusal, attempted))
        }
        Cause::EnvironmentBusy { service, holder } => (
            format!("{holder} holds {} (deploying, or its outcome is not settled), and only one may at a time", attempted.place_of(service.as_str())),
            format!("`/release status {holder}` says which; try again when it is over. {}", earliest(refusal, attempted)).trim().to_owned(),
        ),
        Cause::AttemptMoved(number) => (
            format!("attempt {number} is over or has moved on"),
            format!("Look at `/release status {}`.", attempted.key_or("REL-789")),
        ),
        Cause::Outdated => ("there is nothing to do any more; it happened already".to_owned(), format!("Look at `/release status {}`.", attempted.key_or("REL-789"))),
    };
    Said {
        what: format!("{cant}: {why}."),
        next,
        lines,
    }
}

fn standing_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "your membership could not be read",
        Standing::Deactivated => "your account is deactivated or only invited",
        Standing::Bot => "bots and workflows decide nothing here; a person has to",
        Standing::Guest => "guests of this workspace can't use Countersign, reading included",
        Standing::Outsider => "only people of this workspace can use Countersign, and you belong to another one",
        Standing::Unknown => "Slack does not know you in this workspace",
    }
}

/// Which members can do what somebody who is none asked for. The same whatever the release is, or if there is none: that is
/// not theirs to know.
fn members_who(ask: Ask) -> &'static str {
    match ask {
        Ask::Read => "Any member of this workspace can look it up for you: ask whoever you work with here.",
        Ask::ExportAudit => "An admin or an auditor of this workspace can.",
        Ask::Plan | Ask::EditPlan | Ask::EditDraft => {
            "A release manager of this workspace can: ask one, or whoever you work with here."
        }
        Ask::RequestHotfix => "Any member of this workspace can ask for one: tell whoever you work with here.",
        Ask::SignPlanned | Ask::SignHotfix | Ask::RejectPlanned | Ask::RejectHotfix | Ask::Withdraw => {
            "The members in the roles that sign can: product owner, QA lead, tech lead, CTO. Tell one of them, or whoever you work with here."
        }
        Ask::Attest | Ask::Waive | Ask::TakeBack => {
            "The members in the roles of the rule can: tell one of them, or whoever you work with here."
        }
        Ask::TypeCommit | Ask::CancelPlanned | Ask::CancelHotfix => {
            "A release manager of this workspace can: tell one, or whoever you work with here."
        }
        Ask::Deploy => "A deployment engineer of this workspace can: ask one, or whoever you work with here.",
        Ask::Stop | Ask::Settle => {
            "A deployment engineer, release manager or tech lead of this workspace can: tell one of them at once."
        }
        Ask::Record => "Countersign itself does that.",
    }
}

fn own(part: OwnPart) -> &'static str {
    match part {
        OwnPart::Requester => {
            "you asked for it or answer for it, and nobody signs off their own release (added to 4.5)"
        }
        OwnPart::Author => "you wrote some of it, and nobody signs off their own release (added to 4.5)",
    }
}

/// The people who can, or the roles, or whom to ask for somebody.
fn who_can(refusal: &Refusal, attempted: &Attempted<'_>) -> String {
    match (refusal.people.as_slice(), refusal.roles.as_slice()) {
        ([], []) => format!("`/release why {}` says who can.", attempted.key_or("REL-789")),
        ([], titles) => format!(
            "That takes somebody who is {}; nobody is known who could right now. An admin adds somebody to the role.",
            roles(titles)
        ),
        (people, []) => format!("{} can.", capital(&attempted.names.mentions(unique(people), "or"))),
        (people, titles) => {
            let who = capital(&attempted.names.mentions(unique(people), "or"));
            format!("{who} can ({}).", roles(titles))
        }
    }
}

fn unique(people: &[domain::ids::PersonId]) -> BTreeSet<&domain::ids::PersonId> {
    people.iter().collect()
}

fn no_such_release(attempted: &Attempted<'_>) -> Said {
    let near = attempted
        .key
        .and_then(|key| nearest(key.as_str(), attempted.known.iter().map(ReleaseKey::as_str)));
    let next = match near {
        Some(near) => format!("Did you mean {near}? `/release list` shows what there is."),
        None => "`/release list` shows what there is; `/release plan` makes a new one.".to_owned(),
    };
    let named = attempted
        .key
        .map_or_else(|| "of that name".to_owned(), ToString::to_string);
    Said {
        what: format!("There is no release {named}."),
        next,
        lines: None,
    }
}

fn status_said(status: Status, attempted: &Attempted<'_>) -> (String, String) {
    let key = attempted.key_or("REL-789");
    let is = match status {
        Status::Drafted => "nobody is asked yet, because it is a draft or its tag is not known",
        Status::Asking => "it still waits for sign-offs",
        Status::Approved => "it is approved and nothing is running",
        Status::Queued => "its deployment is about to start",
        Status::Deploying => "it is being deployed",
        Status::Interrupted => "nobody knows how its deployment went, and two people have to settle that first",
        Status::Released => "it is in production already",
        Status::Rejected => "it is rejected",
        Status::Cancelled => "it was cancelled",
    };
    let next = match (attempted.ask, status) {
        (Ask::SignPlanned | Ask::SignHotfix, Status::Drafted) => {
            format!("You are asked as soon as it is ready; `/release why {key}` says what it waits for.")
        }
        (_, Status::Queued | Status::Deploying) => format!("To end the deployment: `/release stop {key}`."),
        (_, Status::Interrupted) => "The card in the service's channel has the buttons for it.".to_owned(),
        (_, Status::Released) => "To change production again, plan another version, or ask for a hotfix.".to_owned(),
        (_, Status::Cancelled) => "Plan it anew under another key.".to_owned(),
        _ => format!("`/release why {key}` says what it waits for and who can help."),
    };
    (is.to_owned(), next)
}

fn hold(gates: usize) -> String {
    if gates == 1 {
        "1 thing holds".to_owned()
    } else {
        format!("{gates} things hold")
    }
}

fn earliest(refusal: &Refusal, attempted: &Attempted<'_>) -> String {
    match refusal.next_ms {
        Some(next_ms) => format!("At the earliest it can pass {}.", when(next_ms, attempted.zone())),
        None => format!("`/release why {}` follows it.", attempted.key_or("REL-789")),
    }
}

fn gate_lines(gates: &[Gate], attempted: &Attempted<'_>) -> String {
    let Some(release) = attempted.release else {
        let ids: Vec<String> = gates.iter().map(|gate| rule_ref(gate.rule)).collect();
        return ids.join("\n");
    };
    let words = Words {
        release,
        names: attempted.names,
        texts: attempted.texts,
    };
    let lines: Vec<String> = gates
        .iter()
        .map(|gate| format!("• {}: {}.", rule_ref(gate.rule), gates::sentence(gate, &words)))
        .collect();
    lines.join("\n")
}

fn incomplete(fields: &[(&str, &str)]) -> String {
    let lines: Vec<String> = fields
        .iter()
        .map(|(field, expected)| format!("• *{}*: {expected}", capital(&field.replace('_', " "))))
        .collect();
    lines.join("\n")
}

/// Not an error: the release moved on while somebody read, or a word against a rejection was typed blind.
fn stale_view(attempted: &Attempted<'_>) -> Said {
    let key = attempted.key_or("REL-789");
    let status = attempted.release.map_or_else(String::new, |release| {
        format!(" It is {} now.", lower(&status_words(release)))
    });
    let objected = attempted
        .release
        .is_some_and(|release| release.rejections.contains_key(&Role::TechLead));
    if attempted.ask == Ask::SignHotfix && objected {
        return Said {
            what: format!(
                "{} was rejected by the tech lead, so your word was not counted.",
                attempted.object()
            ),
            next: format!(
                "You can confirm it against that, but only from a message that shows the rejection: use its button in your direct message or on the card.{status}"
            ),
            lines: None,
        };
    }
    if is_rejection(attempted.ask) {
        return Said {
            what: format!(
                "{} has changed since this message was drawn, so your no was not recorded.",
                attempted.object()
            ),
            next: format!(
                "You only judge what you have seen.{status} The card and your messages are brought up to date: look again, then reject there, or `/release reject {key} \"reason\"`."
            ),
            lines: None,
        };
    }
    Said {
        what: format!(
            "{} has changed since this message was drawn, so your click was not counted.",
            attempted.object()
        ),
        next: format!(
            "You only sign what you have seen.{status} The card and your messages are brought up to date: look again, then click there, or `/release approve {key}`."
        ),
        lines: None,
    }
}

fn choose_role(roles: &BTreeSet<Role>, attempted: &Attempted<'_>) -> Said {
    let titles: Vec<String> = roles.iter().map(|role| role.title().to_owned()).collect();
    let typed = match roles.first() {
        Some(role) if !is_rejection(attempted.ask) => {
            format!(
                "Choose here, or type `/release approve {} {}`.",
                attempted.key_or("REL-789"),
                role.key()
            )
        }
        _ => "Choose here.".to_owned(),
    };
    Said {
        what: format!(
            "You could {} {} as {}: which one?",
            verb(attempted.ask),
            attempted.object(),
            joined(&titles, "or")
        ),
        next: format!("One person fills one role per release, so the other one needs somebody else. {typed}"),
        lines: None,
    }
}

fn is_rejection(ask: Ask) -> bool {
    matches!(ask, Ask::RejectPlanned | Ask::RejectHotfix)
}

fn choice_buttons(refusal: &Refusal, attempted: &Attempted<'_>) -> Option<Vec<Button>> {
    let (Cause::ChooseRole(roles), Some(release)) = (&refusal.cause, attempted.release) else {
        return None;
    };
    let rejects = is_rejection(attempted.ask);
    let button = |role: &Role| {
        let action = if rejects {
            ActionId::ChooseRoleToReject(*role)
        } else {
            ActionId::ChooseRole(*role)
        };
        let label = format!("As {}{}", role.title(), if rejects { "…" } else { "" });
        let reader_label = format!("{} {} as {}", capital(verb(attempted.ask)), release.key, role.title());
        Button::new(action, &label, &reader_label, ButtonValue::on(release).as_role(*role))
    };
    Some(roles.iter().map(button).collect())
}

/// The refusal of somebody from another workspace, before anything is looked up.
pub fn outsider() -> Rendered {
    let text = format!(
        "Only people of this workspace can use Countersign, and you belong to another one. Rule {}. Nothing was changed.",
        rule_ref(Rule::RolesCommands)
    );
    message(&text, 0, |_| vec![section(&text)])
}
