//! `roles.commands`: who may ask for what, and in which status. One table; the default is no. Guests,
//! outsiders, bots and deactivated people may do nothing, reading included.

use crate::case::Case;
use crate::command::{Actor, Command, Intent};
use crate::ids::{Millis, PersonId};
use crate::people::{PersonFacts, Standing};
use crate::refusal::{Cause, Refusal};
use crate::release::{Release, Status};
use crate::role::Role;
use crate::rule::Rule;
use Status::{Approved, Asking, Deploying, Drafted, Interrupted, Queued, Rejected, Released};

/// What can be asked for, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Status, list, why, audit, help.
    Read,
    /// Export the audit log.
    ExportAudit,
    /// Propose a planned release; without the role it is a draft.
    Plan,
    /// Edit a plan, or take a draft over.
    EditPlan,
    /// Edit one's own draft.
    EditDraft,
    /// Ask for a hotfix.
    RequestHotfix,
    /// Type the commit that Git couldn't say.
    TypeCommit,
    /// Sign a planned release.
    SignPlanned,
    /// Sign a hotfix.
    SignHotfix,
    /// Reject a planned release.
    RejectPlanned,
    /// Reject a hotfix.
    RejectHotfix,
    /// Take one's sign-off back.
    Withdraw,
    /// Say that rules hold.
    Attest,
    /// Excuse a rule.
    Waive,
    /// Take one's word or waiver back.
    TakeBack,
    /// Give a planned release up.
    CancelPlanned,
    /// Give a hotfix up.
    CancelHotfix,
    /// Deploy now.
    Deploy,
    /// Stop a running deployment.
    Stop,
    /// Say how an interrupted attempt went.
    Settle,
    /// What timers and workers report.
    Record,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Every active member.
    Members,
    /// Holders of one of these roles.
    Roles(&'static [Role]),
    /// Holders of one of these roles, or who asked for the release.
    RolesOrRequester(&'static [Role]),
    /// Who asked for the release.
    Requester,
    /// Countersign itself, nobody else.
    Countersign,
}

const SIGN_PLANNED: &[Role] = &[Role::ProductOwner, Role::QaLead];
const SIGN_HOTFIX: &[Role] = &[Role::Cto, Role::CtoDeputy, Role::TechLead];
/// Some rule is attested by each of these; `intents/attest.rs` holds each line against its own.
const ATTEST: &[Role] = &[
    Role::ReleaseManager,
    Role::DeploymentEngineer,
    Role::QaLead,
    Role::ProductOwner,
    Role::TechLead,
];
/// Some rule is waived by each of these; `intents/attest.rs` holds each waiver against its own.
const WAIVE: &[Role] = &[
    Role::ReleaseManager,
    Role::QaLead,
    Role::ProductOwner,
    Role::TechLead,
    Role::Cto,
];
/// Two different people of these settle an interrupted attempt.
pub(crate) const SETTLE: &[Role] = &[Role::DeploymentEngineer, Role::ReleaseManager, Role::TechLead];
/// Before anything runs: a word taken back here still prevents the start.
const BEFORE_START: &[Status] = &[Drafted, Asking, Approved, Queued, Rejected];

impl Ask {
    /// Everything that can be asked for.
    pub const ALL: [Self; 21] = [
        Self::Read,
        Self::ExportAudit,
        Self::Plan,
        Self::EditPlan,
        Self::EditDraft,
        Self::RequestHotfix,
        Self::TypeCommit,
        Self::SignPlanned,
        Self::SignHotfix,
        Self::RejectPlanned,
        Self::RejectHotfix,
        Self::Withdraw,
        Self::Attest,
        Self::Waive,
        Self::TakeBack,
        Self::CancelPlanned,
        Self::CancelHotfix,
        Self::Deploy,
        Self::Stop,
        Self::Settle,
        Self::Record,
    ];

    /// The word for the log and the docs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ExportAudit => "export_audit",
            Self::Plan => "plan",
            Self::EditPlan => "edit_plan",
            Self::EditDraft => "edit_draft",
            Self::RequestHotfix => "request_hotfix",
            Self::TypeCommit => "type_commit",
            Self::SignPlanned => "sign_planned",
            Self::SignHotfix => "sign_hotfix",
            Self::RejectPlanned => "reject_planned",
            Self::RejectHotfix => "reject_hotfix",
            Self::Withdraw => "withdraw",
            Self::Attest => "attest",
            Self::Waive => "waive",
            Self::TakeBack => "take_back",
            Self::CancelPlanned => "cancel_planned",
            Self::CancelHotfix => "cancel_hotfix",
            Self::Deploy => "deploy",
            Self::Stop => "stop",
            Self::Settle => "settle",
            Self::Record => "record",
        }
    }

    /// Who may ask for it.
    pub fn who(self) -> Who {
        match self {
            Self::Read | Self::Plan | Self::RequestHotfix => Who::Members,
            Self::ExportAudit => Who::Roles(&[Role::Admin, Role::Auditor]),
            Self::EditPlan | Self::CancelPlanned => Who::Roles(&[Role::ReleaseManager]),
            Self::EditDraft => Who::Requester,
            Self::TypeCommit => Who::RolesOrRequester(&[Role::ReleaseManager]),
            Self::SignPlanned | Self::RejectPlanned => Who::Roles(SIGN_PLANNED),
            Self::SignHotfix | Self::RejectHotfix => Who::Roles(SIGN_HOTFIX),
            // Only one's own sign-off can be withdrawn, so whoever gave one may, whatever their roles are now.
            Self::Withdraw | Self::TakeBack => Who::Members,
            Self::Attest => Who::Roles(ATTEST),
            Self::Waive => Who::Roles(WAIVE),
            Self::CancelHotfix => Who::RolesOrRequester(&[Role::ReleaseManager, Role::Cto]),
            Self::Deploy => Who::Roles(&[Role::DeploymentEngineer]),
            Self::Stop => Who::Roles(&[
                Role::DeploymentEngineer,
                Role::ReleaseManager,
                Role::TechLead,
                Role::Cto,
            ]),
            Self::Settle => Who::Roles(SETTLE),
            Self::Record => Who::Countersign,
        }
    }

    /// In which statuses of the release; nothing where a new release is proposed.
    pub fn statuses(self) -> Option<&'static [Status]> {
        match self {
            Self::Plan | Self::RequestHotfix => None,
            Self::Read | Self::ExportAudit | Self::Record => Some(&Status::ALL),
            Self::EditPlan => Some(&[Drafted, Asking, Approved, Rejected]),
            Self::EditDraft => Some(&[Drafted]),
            // A rejected release that got another version needs its commit too.
            Self::TypeCommit => Some(&[Drafted, Rejected]),
            Self::SignPlanned => Some(&[Asking, Approved, Rejected]),
            // After the start too: an owed sign-off is given afterwards.
            Self::SignHotfix => Some(&[Asking, Approved, Rejected, Queued, Deploying, Interrupted, Released]),
            // Rejected too: one role's no takes no other role's word away.
            Self::RejectPlanned | Self::RejectHotfix => Some(&[Asking, Approved, Queued, Rejected]),
            // Drafted too: an edit leaves sign-offs standing until its commit is known.
            Self::Withdraw => Some(BEFORE_START),
            Self::Attest | Self::TakeBack => Some(BEFORE_START),
            Self::Waive => Some(&[Drafted, Asking, Approved, Rejected]),
            Self::CancelPlanned | Self::CancelHotfix => Some(BEFORE_START),
            Self::Deploy => Some(&[Drafted, Asking, Approved, Rejected]),
            Self::Stop => Some(&[Queued, Deploying]),
            Self::Settle => Some(&[Interrupted]),
        }
    }

    /// What `intent` asks for, given the release that it is about.
    pub fn of(intent: &Intent, release: Option<&Release>, actor: &Actor) -> Self {
        let is_emergency = release.is_some_and(|release| release.kind.is_emergency());
        match intent {
            Intent::Plan(_) => match release {
                None => Self::Plan,
                // A hotfix has no owner either, and is no draft.
                Some(release) if !is_emergency && release.owner.is_none() && is_requester(release, actor) => {
                    Self::EditDraft
                }
                Some(_) => Self::EditPlan,
            },
            Intent::RequestHotfix(_) => Self::RequestHotfix,
            Intent::TypeCommit { .. } => Self::TypeCommit,
            Intent::SignOff { .. } if is_emergency => Self::SignHotfix,
            Intent::SignOff { .. } => Self::SignPlanned,
            Intent::Reject { .. } if is_emergency => Self::RejectHotfix,
            Intent::Reject { .. } => Self::RejectPlanned,
            Intent::Withdraw { .. } => Self::Withdraw,
            Intent::Attest(_) => Self::Attest,
            Intent::Waive(_) => Self::Waive,
            Intent::TakeBack { .. } => Self::TakeBack,
            Intent::Cancel { .. } if is_emergency => Self::CancelHotfix,
            Intent::Cancel { .. } => Self::CancelPlanned,
            Intent::Deploy => Self::Deploy,
            Intent::StopDeployment => Self::Stop,
            Intent::Settle { .. } => Self::Settle,
            Intent::RecordSource(_)
            | Intent::RecordSourceProblem { .. }
            | Intent::AskDeputy { .. }
            | Intent::EndTechLeadWait { .. }
            | Intent::StartAttempt { .. }
            | Intent::RecordRunning { .. }
            | Intent::RecordEnd { .. }
            | Intent::RecordInterrupted { .. }
            | Intent::RecordNotice { .. }
            | Intent::EscalateNotice { .. }
            | Intent::BreachNotice { .. } => Self::Record,
        }
    }
}

fn is_requester(release: &Release, actor: &Actor) -> bool {
    matches!(actor, Actor::Person(person) if release.requester == *person)
}

/// Whether `command` may be asked for at all: by this actor, known freshly enough, of this release in this status.
///
/// # Errors
/// The refusal by `roles.commands`.
pub fn permit(case: &Case, command: &Command, now_ms: Millis) -> Result<(), Refusal> {
    let release = case.release.as_ref();
    let ask = Ask::of(&command.intent, release, &command.actor);
    match (&command.actor, ask.who()) {
        (Actor::Countersign, Who::Countersign) => {}
        (Actor::Person(person), _) => permit_person(case, ask, person, now_ms)?,
        (Actor::Countersign, _) => return Err(Refusal::new(Rule::RolesCommands, Cause::NotInRole)),
    }
    let Some(statuses) = ask.statuses() else { return Ok(()) };
    let Some(release) = release else {
        return Err(Refusal::new(Rule::RolesCommands, Cause::NoSuchRelease));
    };
    if statuses.contains(&release.status) {
        Ok(())
    } else {
        Err(Refusal::new(Rule::RolesCommands, Cause::Status(release.status)))
    }
}

/// Whether `person` may ask for `ask` about the case's release.
///
/// # Errors
/// The refusal by `roles.commands`.
pub fn permit_person(case: &Case, ask: Ask, person: &PersonId, now_ms: Millis) -> Result<(), Refusal> {
    let facts = fresh_facts(case, person, now_ms)?;
    if facts.standing != Standing::Active {
        return Err(Refusal::new(Rule::RolesCommands, Cause::Standing(facts.standing)));
    }
    let is_requester = case
        .release
        .as_ref()
        .is_some_and(|release| release.requester == *person);
    let (roles, requester_may): (&[Role], bool) = match ask.who() {
        Who::Members => return Ok(()),
        Who::Roles(roles) => (roles, false),
        Who::RolesOrRequester(roles) => (roles, true),
        Who::Requester => (&[], true),
        Who::Countersign => (&[], false),
    };
    if (requester_may && is_requester) || roles.iter().any(|role| facts.holds(*role)) {
        return Ok(());
    }
    if roles.iter().any(|role| facts.is_untold(*role)) {
        return Err(Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable));
    }
    let people = roles
        .iter()
        .flat_map(|role| case.people.holders_of(*role))
        .filter(|person| !judges(ask) || case.release.as_ref().is_none_or(|r| r.own_part(person).is_none()))
        .cloned()
        .collect();
    // Whose release it is may not judge it in any role: that is the reason that no other role would mend.
    let own = case.release.as_ref().filter(|_| judges(ask));
    let why = match own.and_then(|release| release.own_part(person)) {
        Some(part) => Cause::OwnRelease(part),
        None => Cause::NotInRole,
    };
    Err(Refusal::new(Rule::RolesCommands, why).for_roles(roles, people))
}

fn judges(ask: Ask) -> bool {
    matches!(
        ask,
        Ask::SignPlanned | Ask::SignHotfix | Ask::RejectPlanned | Ask::RejectHotfix
    )
}

fn fresh_facts<'c>(case: &'c Case, person: &PersonId, now_ms: Millis) -> Result<&'c PersonFacts, Refusal> {
    case.people
        .facts
        .get(person)
        .filter(|facts| facts.is_fresh(now_ms))
        .ok_or_else(|| Refusal::new(Rule::RolesCommands, Cause::FactsUnavailable))
}
