//! What happened, in one sentence per event: for the card's thread and for `/release audit`.

use crate::slack::gates::{changed, lifts, signs, source_problem};
use crate::slack::markup::{count, foreign_line, some_of};
use crate::slack::state::{capital, settlement, why_not};
use crate::slack::time::when;
use crate::slack::view::{Names, what};
use domain::command::Actor;
use domain::event::{Event, NoticeStep, SignOff};
use domain::ids::PersonId;
use domain::release::{AttemptResult, Release};
use domain::role::Role;
use domain::rule::Rule;
use domain::rules::sign_off::rule_of;

/// What happened, in a sentence.
pub fn sentence(event: &Event, actor: &Actor, release: &Release, names: Names<'_>) -> String {
    match event {
        Event::SignedOff { .. }
        | Event::SignOffRequested { .. }
        | Event::SignOffWithdrawn { .. }
        | Event::SignOffsVoided { .. }
        | Event::ReleaseRejected { .. }
        | Event::ReleaseApproved {}
        | Event::ReleaseCancelled { .. }
        | Event::DebtIncurred { .. }
        | Event::DebtClosed { .. } => of_sign_offs(event, release, names),
        Event::Attested { .. }
        | Event::AttestationWithdrawn { .. }
        | Event::RuleWaived { .. }
        | Event::WaiverWithdrawn { .. } => of_words(event, release, names),
        Event::DeploymentRequested { .. }
        | Event::AttemptStarting { .. }
        | Event::AttemptRunning { .. }
        | Event::StopRequested { .. }
        | Event::AttemptEnded { .. }
        | Event::AttemptInterrupted { .. }
        | Event::AttemptLostInRestore { .. }
        | Event::SettlementProposed { .. }
        | Event::AttemptSettled { .. } => of_attempt(event, release, names),
        Event::NoticePosted { .. }
        | Event::NoticeEscalated { .. }
        | Event::NoticeBreached { .. }
        | Event::EnvironmentLocked { .. }
        | Event::EnvironmentUnlocked { .. }
        | Event::CommandRefused { .. }
        | Event::RefusalsRepeated { .. }
        | Event::RestoreAcknowledged { .. } => of_notice(event, actor, release, names),
        _ => of_plan(event, release, names),
    }
}

fn of_plan(event: &Event, release: &Release, names: Names<'_>) -> String {
    match event {
        Event::ReleasePlanned {
            requester,
            owner,
            plan,
            service,
            version,
            environment,
            kind,
            time_zone,
            ..
        } => {
            let draft = if owner.is_some() { "planned" } else { "drafted" };
            format!(
                "{} {draft} {service} {} ({}) for {environment}, start {}.",
                names.mention(requester),
                version.tag(),
                kind.key(),
                when(plan.start_ms, time_zone)
            )
        }
        Event::HotfixRequested {
            requester,
            service,
            version,
            environment,
            ..
        } => {
            format!(
                "{} asked for the hotfix {service} {} to {environment}.",
                names.mention(requester),
                version.tag()
            )
        }
        Event::CommitTyped { commit, by } => format!(
            "{} typed the commit {}, because Git could not say it.",
            names.mention(by),
            commit.short()
        ),
        Event::PlanChanged {
            by, changed: fields, ..
        } if fields.is_empty() => {
            format!(
                "{} saved the plan; nothing that is signed has changed.",
                names.mention(by)
            )
        }
        Event::PlanChanged {
            by, changed: fields, ..
        } => format!("{} changed the plan: {}.", names.mention(by), changed(fields)),
        Event::SourceResolved {
            commit, typed_by: None, ..
        } => format!(
            "{} is commit {}, and the deployment script is known.",
            release.version.tag(),
            commit.short()
        ),
        Event::SourceResolved {
            commit,
            typed_by: Some(by),
            ..
        } => {
            format!(
                "{} goes on commit {}, as {} typed it; the deployment script is known.",
                release.version.tag(),
                commit.short(),
                names.mention(by)
            )
        }
        Event::SourceNotResolved { problem, .. } => {
            format!("Nobody is asked yet: {}.", source_problem(*problem, release))
        }
        _ => "Something was recorded.".to_owned(),
    }
}

fn of_sign_offs(event: &Event, release: &Release, names: Names<'_>) -> String {
    let zone = &release.time_zone;
    match event {
        Event::SignedOff { sign_off } => signed(sign_off, names),
        Event::SignOffRequested { role, people, .. } if people.is_empty() => {
            format!(
                "Nobody who is {} may sign this release, so nobody was asked.",
                role.title()
            )
        }
        Event::SignOffRequested { role, people, .. } => format!(
            "Asked {} to sign {} as {}.",
            names.mentions(people, "and"),
            signs(*role),
            role.title()
        ),
        Event::SignOffWithdrawn { role, person, .. } => {
            format!(
                "{} took back the sign-off as {}. Without a new one it does not start.",
                names.mention(person),
                role.title()
            )
        }
        Event::SignOffsVoided { roles, changed: fields } => {
            let roles: Vec<&str> = roles.iter().map(|role| role.title()).collect();
            let why = if fields.is_empty() {
                "it has to be given anew".to_owned()
            } else {
                format!("{} changed", changed(fields))
            };
            format!("The sign-off of {} no longer counts: {why}.", roles.join(" and "))
        }
        Event::ReleaseRejected { role, person, .. } => {
            format!(
                "{} said no as {}. Until it is lifted it does not start: {}.",
                names.mention(person),
                role.title(),
                lifts(*role)
            )
        }
        Event::ReleaseApproved {} if release.kind.is_emergency() => {
            "Every sign-off that the start needs is there.".to_owned()
        }
        Event::ReleaseApproved {} => format!(
            "Every sign-off is there. A deployment engineer starts it with `/release deploy {}`.",
            release.key
        ),
        Event::ReleaseCancelled { by, .. } => {
            format!("{} cancelled the release. It will not happen.", names.mention(by))
        }
        Event::DebtIncurred { rules, owed_by, due_ms } => {
            let rules_text = some_of(rules.iter().map(|rule| format!("`{}`", rule.id())), 20);
            format!(
                "Owed by a {} until {}: {rules_text}.",
                owed_by.title(),
                when(*due_ms, zone)
            )
        }
        Event::DebtClosed { rule, by } => format!("{} settled what was owed: `{}`.", names.mention(by), rule.id()),
        _ => "Something was recorded.".to_owned(),
    }
}

fn of_words(event: &Event, release: &Release, names: Names<'_>) -> String {
    match event {
        Event::Attested { rule, attestation } => format!(
            "{} said as {}: {} (`{}`).",
            names.mention(&attestation.by),
            attestation.role.title(),
            rule.summary(),
            rule.id()
        ),
        Event::AttestationWithdrawn { rule, by } => format!(
            "{} took back what they had said of {} (`{}`).",
            names.mention(by),
            rule.title(),
            rule.id()
        ),
        Event::RuleWaived { rule, waiver } => format!(
            "{} waived {} (`{}`) as {}. It is to be looked at again {}.",
            names.mention(&waiver.by),
            rule.title(),
            rule.id(),
            waiver.role.title(),
            when(waiver.follow_up_ms, &release.time_zone)
        ),
        Event::WaiverWithdrawn { rule, by } => format!(
            "{} took back their waiver of {} (`{}`).",
            names.mention(by),
            rule.title(),
            rule.id()
        ),
        _ => "Something was recorded.".to_owned(),
    }
}

fn signed(sign_off: &SignOff, names: Names<'_>) -> String {
    let deputy = if sign_off.as_deputy { ", standing in," } else { "" };
    let against = if sign_off.confirms_rejection {
        ", with the tech lead's rejection in view"
    } else {
        ""
    };
    format!(
        "{} signed {} as {}{deputy}{against}.",
        names.mention(&sign_off.person),
        signs(sign_off.role),
        sign_off.role.title()
    )
    .replace(",.", ".")
}

/// A sign-off that lifts the rejection of its role.
pub fn lifted(sign_off: &SignOff, names: Names<'_>) -> String {
    let role = sign_off.role.title();
    let deputy = if sign_off.as_deputy { ", standing in" } else { "" };
    format!(
        "{} lifted the no of the {role} and signed {} as {role}{deputy}.",
        names.mention(&sign_off.person),
        signs(sign_off.role)
    )
}

fn of_attempt(event: &Event, release: &Release, names: Names<'_>) -> String {
    match event {
        Event::DeploymentRequested {
            attempt, by, engineer, ..
        } => {
            let who = match engineer {
                None => "nobody yet".to_owned(),
                Some(person) if by.as_ref() == Some(person) => names.mention(person),
                Some(person) => format!("{}, named by Countersign", names.mention(person)),
            };
            let by = by
                .as_ref()
                .map_or_else(|| "The last sign-off".to_owned(), |person| names.mention(person));
            format!(
                "{by} asked for the deployment of {}, attempt {attempt}. Deployment engineer: {who}.",
                what(release)
            )
        }
        Event::AttemptStarting {
            attempt,
            commit,
            host,
            unconfirmed,
            ..
        } => {
            let flag = if unconfirmed.is_empty() {
                String::new()
            } else {
                format!(
                    " Slack could not confirm the role of {} just now; the click's facts count.",
                    names.mentions(unconfirmed, "and")
                )
            };
            format!(
                "Every gate held; attempt {attempt} starts on {}, commit {}.{flag}",
                foreign_line(host, 60),
                commit.short()
            )
        }
        Event::AttemptRunning { attempt } => format!("Attempt {attempt} is running."),
        Event::StopRequested { attempt, by } => format!("{} asked to stop attempt {attempt}.", names.mention(by)),
        Event::AttemptEnded { attempt, result, .. } => ended(*attempt, *result, release),
        Event::AttemptInterrupted { attempt } => format!(
            "Nobody knows how attempt {attempt} went: what watched it is gone. {} stays locked until two people say the same.",
            capital(release.environment.as_str())
        ),
        Event::AttemptLostInRestore { attempt } => format!(
            "The bot's database was restored from a backup, and what came of attempt {attempt} is lost: it may have run, and may still be running. {} stays locked until two people say the same.",
            capital(release.environment.as_str())
        ),
        Event::SettlementProposed { attempt, choice, by } => {
            let said = release.attempt(*attempt).map(|attempt| &attempt.settlements);
            let is_second = said.is_some_and(|said| said.iter().any(|(other, said)| other != by && said == choice));
            let counts = if is_second {
                ""
            } else {
                " It counts once a second person says the same."
            };
            format!(
                "{} says of attempt {attempt}: {}.{counts}",
                names.mention(by),
                settlement(*choice)
            )
        }
        Event::AttemptSettled { attempt, choice, by } => format!(
            "{} agree on attempt {attempt}: {}.",
            names.mentions(by, "and"),
            settlement(*choice)
        ),
        _ => "Something was recorded.".to_owned(),
    }
}

/// What was asked for, as people say it, from the log's word for it and the rule that said no.
fn asked_to(intent: &str, rule: Rule) -> String {
    let signers = [Role::ProductOwner, Role::QaLead, Role::Cto, Role::TechLead];
    let signer = signers.into_iter().find(|role| rule_of(*role) == rule);
    let as_role = signer.map_or_else(String::new, |role| format!(" as {}", role.title()));
    let said = match intent {
        "read" => "read it",
        "export_audit" => "export its record",
        "plan" | "edit_plan" | "edit_draft" => "change the plan",
        "request_hotfix" => "have a hotfix under this key",
        "type_commit" => "type its commit",
        "sign_planned" | "sign_hotfix" => return format!("sign it off{as_role}"),
        "reject_planned" | "reject_hotfix" => return format!("reject it{as_role}"),
        "withdraw" => "take a sign-off back",
        "attest" => return format!("say that `{}` holds", rule.id()),
        "waive" => return format!("waive `{}`", rule.id()),
        "take_back" => return format!("take back their word on `{}`", rule.id()),
        "cancel_planned" | "cancel_hotfix" => "cancel it",
        "deploy" => "deploy it",
        "stop" => "stop its deployment",
        "settle" => "settle how its attempt went",
        other => return foreign_line(&other.replace('_', " "), 40),
    };
    said.to_owned()
}

/// Repeats of a refusal, by the key under which they were counted: release, person, what was asked, rule.
fn repeated(key: &str, times: u64, names: Names<'_>) -> String {
    let times = count(usize::try_from(times).unwrap_or(usize::MAX), "more time");
    let parts: Vec<&str> = key.split('/').collect();
    let [_, person, intent, rule] = parts.as_slice() else {
        return format!("The same was asked {times} and refused.");
    };
    let (Ok(person), Some(rule)) = (PersonId::new(*person), Rule::from_id(rule)) else {
        return format!("The same was asked {times} and refused.");
    };
    format!(
        "{} asked {times} to {} and was refused by `{}` each time.",
        names.mention(&person),
        asked_to(intent, rule),
        rule.id()
    )
}

fn ended(attempt: u32, result: AttemptResult, release: &Release) -> String {
    let what = what(release);
    match result {
        AttemptResult::Succeeded => format!("Attempt {attempt} succeeded: {what} is in {}.", release.environment),
        AttemptResult::Failed(code) if code < 0 => format!(
            "Attempt {attempt} of {what} failed: the script was ended by signal {}.",
            code.unsigned_abs()
        ),
        AttemptResult::Failed(code) => format!("Attempt {attempt} of {what} failed with exit code {code}."),
        AttemptResult::TimedOut => format!("Attempt {attempt} of {what} timed out and was ended."),
        AttemptResult::Cancelled => format!("Attempt {attempt} of {what} was stopped."),
        AttemptResult::NotStarted(why) => format!(
            "Attempt {attempt} of {what} did not start and nothing ran: {}.",
            why_not(why, &release.key)
        ),
    }
}

fn of_notice(event: &Event, actor: &Actor, release: &Release, names: Names<'_>) -> String {
    let zone = &release.time_zone;
    match event {
        Event::NoticePosted { verified_ms, .. } => format!(
            "The emergency notice stands in #releases, read back {}.",
            when(*verified_ms, zone)
        ),
        // Whether they can be, the configuration of that day says, which the log doesn't hold.
        Event::NoticeEscalated { step, .. } => match step {
            NoticeStep::Mail => "The emergency notice is still not confirmed in #releases: all teams are to be mailed.",
            NoticeStep::Page => {
                "The emergency notice is still not confirmed in #releases: release manager and CTO are to be rung."
            }
            NoticeStep::AtRisk => {
                "The emergency notice is at risk, the hour is almost over: release manager and CTO are to be rung again."
            }
        }
        .to_owned(),
        Event::NoticeBreached { due_ms, .. } => {
            format!(
                "BREACH of `emergency.notice` (3.4): the notice was due {}. It is still posted, marked late.",
                when(*due_ms, zone)
            )
        }
        Event::EnvironmentLocked {
            environment,
            release: holder,
            attempt,
            ..
        } => format!("{environment} is locked for attempt {attempt} of {holder}."),
        Event::EnvironmentUnlocked {
            environment, deployed, ..
        } => match deployed {
            Some(version) => format!("{environment} is free again and runs {}.", version.tag()),
            None => format!("{environment} is free again."),
        },
        Event::CommandRefused { intent, rule, .. } => {
            let who = match actor {
                Actor::Person(person) => names.mention(person),
                Actor::Countersign => "Countersign".to_owned(),
            };
            format!("{who} asked to {} and was refused by `{}`.", asked_to(intent, *rule), rule.id())
        }
        Event::RefusalsRepeated { key, count: times, .. } => repeated(key, *times, names),
        Event::RestoreAcknowledged { attempts, .. } => format!(
            "The bot's database was restored from a backup, and an operator has acknowledged that; {} to be settled.",
            match attempts {
                1 => "1 attempt has".to_owned(),
                many => format!("{many} attempts have"),
            }
        ),
        _ => "Something was recorded.".to_owned(),
    }
}
