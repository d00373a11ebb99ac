//! The verbs of `/release`, once: help, "did you mean", the manifest's usage hint and autocompletion are made from this table.

/// What a verb asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Plan a release, or edit the plan.
    Plan,
    /// Ask for a hotfix.
    Hotfix,
    /// Where a release stands.
    Status,
    /// What is under way.
    List,
    /// What holds the start.
    Why,
    /// What happened, as recorded.
    Audit,
    /// Sign.
    Approve,
    /// Say no.
    Reject,
    /// Take one's sign-off back.
    Withdraw,
    /// Give a release up.
    Cancel,
    /// Say that rules hold.
    Attest,
    /// Excuse a rule.
    Waive,
    /// Deploy now.
    Deploy,
    /// Stop a deployment.
    Stop,
    /// Type the full commit.
    Commit,
    /// This list.
    Help,
    /// A verb whose name is taken and whose work comes later.
    Later,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What is typed.
    pub name: &'static str,
    /// What it asks for.
    pub verb: Verb,
    /// How it is typed.
    pub usage: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    /// To copy.
    pub example: &'static str,
}

const fn entry(
    name: &'static str,
    verb: Verb,
    usage: &'static str,
    help: &'static str,
    example: &'static str,
) -> Entry {
    Entry {
        name,
        verb,
        usage,
        help,
        example,
    }
}

/// The slash command itself.
pub const COMMAND: &str = "/release";

/// Every verb, the most used first.
pub const VERBS: &[Entry] = &[
    entry(
        "plan",
        Verb::Plan,
        "plan [KEY SERVICE VERSION]",
        "plan a release, or edit the plan of KEY",
        "plan REL-789 payments v1.4.0",
    ),
    entry(
        "hotfix",
        Verb::Hotfix,
        "hotfix [SERVICE VERSION]",
        "ask for a hotfix; CTO and tech lead are asked at once",
        "hotfix payments v1.4.1",
    ),
    entry(
        "approve",
        Verb::Approve,
        "approve KEY [ROLE]",
        "sign a release in your role, or lift your rejection",
        "approve REL-789",
    ),
    entry(
        "reject",
        Verb::Reject,
        "reject KEY [REASON]",
        "say no, with the reason; it does not start until that is lifted",
        "reject REL-789 \"refunds are untested\"",
    ),
    entry(
        "withdraw",
        Verb::Withdraw,
        "withdraw KEY [RULE or REASON]",
        "take back your sign-off, or with a rule what you said of it, until the start",
        "withdraw REL-789",
    ),
    entry(
        "attest",
        Verb::Attest,
        "attest KEY [ROLE]",
        "your role's checklist: say what holds, and sign with it",
        "attest REL-789",
    ),
    entry(
        "waive",
        Verb::Waive,
        "waive KEY [RULE]",
        "excuse a rule for a release, with a reason and a date",
        "waive REL-789 criteria.performance",
    ),
    entry(
        "cancel",
        Verb::Cancel,
        "cancel KEY [REASON]",
        "give a release up",
        "cancel REL-789 \"moved to next sprint\"",
    ),
    entry(
        "deploy",
        Verb::Deploy,
        "deploy KEY",
        "deploy an approved release now",
        "deploy REL-789",
    ),
    entry(
        "stop",
        Verb::Stop,
        "stop KEY",
        "stop a deployment that is requested or running",
        "stop REL-789",
    ),
    entry(
        "why",
        Verb::Why,
        "why KEY",
        "what holds the start, who can help, until when",
        "why REL-789",
    ),
    entry(
        "status",
        Verb::Status,
        "status [KEY]",
        "where a release stands; without a key, all open ones",
        "status REL-789",
    ),
    entry(
        "list",
        Verb::List,
        "list [SERVICE]",
        "what is planned and under way",
        "list payments",
    ),
    entry(
        "audit",
        Verb::Audit,
        "audit KEY",
        "who did what and when, as recorded",
        "audit REL-789",
    ),
    entry(
        "commit",
        Verb::Commit,
        "commit KEY SHA",
        "type the full commit where Git can't be asked",
        "commit REL-789 3f9c2e1d0b8a47569cfe3d2b1a0f9e8d7c6b5a43",
    ),
    entry(
        "help",
        Verb::Help,
        "help [VERB]",
        "this list, or one verb in detail",
        "help approve",
    ),
    later("schedule", "move the start"),
    later("verify", "record smoke tests and checks"),
    later("rollback", "go back to the last verified version"),
    later("hold", "hold a release"),
    later("freeze", "freeze a service"),
    later("delegate", "hand a role over for a time"),
    later("calendar", "the release calendar"),
    later("close", "close a release that owes nothing"),
    later("record-emergency", "register a hotfix that was made by hand"),
    later("exceptions", "the monthly report of exceptions"),
];

const fn later(name: &'static str, help: &'static str) -> Entry {
    entry(name, Verb::Later, name, help, name)
}

/// The row of a verb as typed in lower case.
pub fn find(name: &str) -> Option<&'static Entry> {
    VERBS.iter().find(|entry| entry.name == name)
}

/// The row of a verb that works today.
pub fn of(verb: Verb) -> Option<&'static Entry> {
    VERBS.iter().find(|entry| entry.verb == verb && verb != Verb::Later)
}

/// The verbs that work today.
pub fn available() -> impl Iterator<Item = &'static Entry> {
    VERBS.iter().filter(|entry| entry.verb != Verb::Later)
}

/// What Slack shows behind the command while somebody types.
pub fn usage_hint() -> String {
    available().map(|entry| entry.usage).collect::<Vec<_>>().join(" | ")
}
