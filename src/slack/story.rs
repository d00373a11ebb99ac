//! The story in the card's thread, entry by entry, and the same sentences for `/release audit`.

use crate::slack::blocks::{Rendered, context, message, section};
use crate::slack::gates::{changed, rule_ref, signs, source_problem};
use crate::slack::markup::{code_tail, count, foreign_line, quoted, some_of};
use crate::slack::state::{capital, not_started, settlement};
use crate::slack::time::{span, when};
use crate::slack::view::{Names, View, what};
use domain::command::Actor;
use domain::digest::Digest;
use domain::event::{Event, NoticeStep, SignOff};
use domain::ids::Millis;
use domain::release::{AttemptResult, Release};
use domain::role::Role;
use domain::rule::Rule;

/// One entry of the thread: what happened at `at_ms`.
pub fn story(view: &View<'_>, event: &Event, actor: &Actor, at_ms: Millis) -> Rendered {
    let sentence = sentence(event, actor, view.release, view.names);
    let text = format!("{}: {sentence}", view.release.key);
    message(&text, view.version, |room| {
        let mut blocks = vec![section(&sentence)];
        blocks.extend(detail(view, event, room).map(|detail| section(&detail)));
        let rule = rule_behind(event).map_or_else(String::new, |rule| format!(" · {}", rule_ref(rule)));
        blocks.push(context(&format!("{}{rule}", view.when(at_ms))));
        blocks
    })
}

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
        Event::DeploymentRequested { .. }
        | Event::AttemptStarting { .. }
        | Event::AttemptRunning { .. }
        | Event::StopRequested { .. }
        | Event::AttemptEnded { .. }
        | Event::AttemptInterrupted { .. }
        | Event::SettlementProposed { .. }
        | Event::AttemptSettled { .. } => of_attempt(event, release, names),
        Event::NoticePosted { .. }
        | Event::NoticeEscalated { .. }
        | Event::NoticeBreached { .. }
        | Event::EnvironmentLocked { .. }
        | Event::EnvironmentUnlocked { .. }
        | Event::CommandRefused { .. }
        | Event::RefusalsRepeated { .. } => of_notice(event, actor, release, names),
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
                "{} said no as {}. Only that role lifts it; until then it does not start.",
                names.mention(person),
                role.title()
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

fn of_attempt(event: &Event, release: &Release, names: Names<'_>) -> String {
    match event {
        Event::DeploymentRequested {
            attempt, by, engineer, ..
        } => {
            let by = by
                .as_ref()
                .map_or_else(|| "The last sign-off".to_owned(), |person| names.mention(person));
            let engineer = engineer
                .as_ref()
                .map_or_else(|| "nobody yet".to_owned(), |person| names.mention(person));
            format!(
                "{by} asked for the deployment of {}, attempt {attempt}. Deployment engineer: {engineer}.",
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
            "Nobody knows how attempt {attempt} went: its host was lost. {} stays locked until two people say the same.",
            capital(release.environment.as_str())
        ),
        Event::SettlementProposed { attempt, choice, by } => {
            format!(
                "{} says of attempt {attempt}: {}. It counts once a second person says the same.",
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
            not_started(why)
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
        Event::NoticeEscalated { step, .. } => match step {
            NoticeStep::Mail => {
                "The emergency notice is still not confirmed in #releases: e-mail goes to all teams.".to_owned()
            }
            NoticeStep::Page => {
                "The emergency notice is still not confirmed in #releases: release manager and CTO are paged."
                    .to_owned()
            }
            NoticeStep::AtRisk => {
                "The emergency notice is at risk: the hour is almost over. Release manager and CTO are paged again."
                    .to_owned()
            }
        },
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
            format!(
                "{who} asked to {} and was refused by `{}`.",
                foreign_line(&intent.replace('_', " "), 40),
                rule.id()
            )
        }
        Event::RefusalsRepeated { count: times, .. } => {
            format!(
                "The same refusal came {} more.",
                count(usize::try_from(*times).unwrap_or(usize::MAX), "time")
            )
        }
        _ => "Something was recorded.".to_owned(),
    }
}

/// What stands below the sentence.
fn detail(view: &View<'_>, event: &Event, room: usize) -> Option<String> {
    let quote = |digest: &Digest| quoted(view.text(digest), room, "(nothing)");
    match event {
        Event::HotfixRequested { justification, .. } => Some(format!("*Why it can't wait*\n{}", quote(justification))),
        Event::ReleasePlanned { plan, .. } => Some(format!("*Scope*\n{}", quote(&plan.scope))),
        Event::ReleaseRejected { reason, .. } => Some(format!("*Why*\n{}", quote(reason))),
        Event::SignOffWithdrawn {
            reason: Some(reason), ..
        }
        | Event::ReleaseCancelled {
            reason: Some(reason), ..
        } => Some(format!("*Why*\n{}", quote(reason))),
        Event::AttemptEnded {
            output: Some(output), ..
        } => Some(format!(
            "*The end of its output*\n{}",
            code_tail(view.text(output), room.min(2_500))
        )),
        Event::ReleaseApproved {} => view
            .release
            .plan
            .as_ref()
            .filter(|plan| plan.start_ms > view.now_ms)
            .map(|plan| {
                format!(
                    "Not before {}, in {}.",
                    view.when(plan.start_ms),
                    span(plan.start_ms - view.now_ms)
                )
            }),
        _ => None,
    }
}

/// The rule that the entry is about.
fn rule_behind(event: &Event) -> Option<Rule> {
    let of_role = |role: Role| domain::rules::sign_off::rule_of(role);
    match event {
        Event::ReleasePlanned { .. } | Event::PlanChanged { .. } => Some(Rule::PlanComplete),
        Event::HotfixRequested { .. } => Some(Rule::EmergencyJustification),
        Event::CommitTyped { .. } | Event::SourceResolved { .. } | Event::SourceNotResolved { .. } => {
            Some(Rule::VcsTag)
        }
        Event::SignedOff { sign_off } => Some(of_role(sign_off.role)),
        Event::SignOffRequested { role, .. }
        | Event::SignOffWithdrawn { role, .. }
        | Event::ReleaseRejected { role, .. } => Some(of_role(*role)),
        Event::DebtIncurred { .. } | Event::DebtClosed { .. } => Some(Rule::EmergencyReview),
        Event::DeploymentRequested { .. } | Event::AttemptStarting { .. } => Some(Rule::DeployStart),
        Event::StopRequested { .. } | Event::SettlementProposed { .. } | Event::AttemptSettled { .. } => {
            Some(Rule::RolesCommands)
        }
        Event::AttemptInterrupted { .. } => Some(Rule::DeployExclusive),
        Event::NoticePosted { .. } | Event::NoticeEscalated { .. } | Event::NoticeBreached { .. } => {
            Some(Rule::EmergencyNotice)
        }
        Event::CommandRefused { rule, .. } => Some(*rule),
        _ => None,
    }
}
