//! Where a release stands, in a word or two: for headlines, lists and the ends of attempts.

use crate::slack::markup::{count, joined};
use crate::slack::view::View;
use domain::event::SourceProblem;
use domain::ids::ReleaseKey;
use domain::release::{Attempt, AttemptResult, AttemptState, NotStarted, Release, SettlementChoice, Status};
use domain::rule::Judged;
use domain::rules::gates::{Gate, GateState};
use domain::rules::sign_off::{role_of, roles_of};

/// The kind as people say it.
pub fn kind_word(release: &Release) -> &'static str {
    if release.kind.is_emergency() {
        "HOTFIX"
    } else {
        release.kind.key()
    }
}

/// The status in capitals, from the release alone.
pub fn status_words(release: &Release) -> String {
    match release.status {
        Status::Drafted if !release.kind.is_emergency() && release.owner.is_none() => "DRAFT".to_owned(),
        Status::Drafted => match release.source_problem {
            None => "READING THE TAG".to_owned(),
            Some(SourceProblem::TagMissing) => "WAITING FOR THE TAG".to_owned(),
            Some(SourceProblem::GitSilent | SourceProblem::NoRepository) => "WAITING FOR THE COMMIT".to_owned(),
            Some(SourceProblem::ScriptMissing) => "WAITING FOR THE SCRIPT".to_owned(),
        },
        Status::Asking => {
            let open = roles_of(release.kind)
                .iter()
                .filter(|role| !release.sign_offs.contains_key(role))
                .count();
            waiting_for(open)
        }
        Status::Approved => match last_result(release) {
            None => "APPROVED".to_owned(),
            Some(result) => format!("APPROVED, LAST ATTEMPT {}", result_word(result).to_uppercase()),
        },
        Status::Queued => "ABOUT TO DEPLOY".to_owned(),
        Status::Deploying if release.live_attempt().is_some_and(|attempt| attempt.stop_by.is_some()) => {
            "STOPPING".to_owned()
        }
        Status::Deploying => "DEPLOYING".to_owned(),
        Status::Interrupted => "OUTCOME UNKNOWN, TWO PEOPLE DECIDE".to_owned(),
        Status::Released => match release.open_debts().count() {
            0 => "RELEASED".to_owned(),
            owed => format!("RELEASED, {owed} OWED"),
        },
        Status::Rejected => {
            let by: Vec<String> = release
                .rejections
                .keys()
                .map(|role| role.title().to_uppercase())
                .collect();
            if by.is_empty() {
                "REJECTED".to_owned()
            } else {
                format!("REJECTED BY {}", joined(&by, "AND"))
            }
        }
        Status::Cancelled => "CANCELLED".to_owned(),
    }
}

fn waiting_for(sign_offs: usize) -> String {
    match sign_offs {
        0 => "WAITING".to_owned(),
        several => format!("WAITING FOR {}", count(several, "SIGN-OFF").to_uppercase()),
    }
}

/// A status in a sentence.
pub fn lower(status: &str) -> String {
    let lower = status.to_lowercase();
    ["QA", "CTO"]
        .into_iter()
        .fold(lower, |text, name| {
            text.replace(&format!("{} ", name.to_lowercase()), &format!("{name} "))
        })
        .replace("by cto", "by CTO")
}

/// The status of a card, which knows its gates: an approval whose sign-offs no longer count is none.
pub fn card_status(view: &View<'_>) -> String {
    let holding = view.holding();
    let of = |which: fn(&Gate) -> bool| holding.iter().filter(|gate| which(gate)).count();
    let sign_offs = of(|gate| role_of(gate.rule).is_some());
    let gone = of(|gate| role_of(gate.rule).is_some() && gate.state == GateState::Stale);
    let lines = of(|gate| matches!(gate.rule.judged(), Judged::Attested(..)));
    // What is looked at before the deployment is no part of a planned approval.
    let kind = view.release.kind;
    let of_approval = holding
        .iter()
        .filter(|gate| gate.is_of_approval(kind) && role_of(gate.rule).is_none());
    let lines_of_approval = of_approval
        .filter(|gate| matches!(gate.rule.judged(), Judged::Attested(..)))
        .count();
    let to_confirm = |lines: usize| format!("{} TO CONFIRM", count(lines, "LINE").to_uppercase());
    match view.release.status {
        Status::Asking | Status::Approved if view.slot_over() => "PLANNED TIME OVER, NOT DEPLOYED".to_owned(),
        // A role whose answer is owed afterwards is not waited for.
        Status::Asking if sign_offs == 0 && lines > 0 => to_confirm(lines),
        Status::Asking => waiting_for(sign_offs),
        Status::Approved if gone > 0 => format!(
            "{} NO LONGER COUNT{}",
            count(gone, "SIGN-OFF").to_uppercase(),
            if gone == 1 { "S" } else { "" }
        ),
        Status::Approved if lines_of_approval > 0 => to_confirm(lines_of_approval),
        _ => status_words(view.release),
    }
}

pub(crate) fn last_result(release: &Release) -> Option<AttemptResult> {
    match release.attempts.last()?.state {
        AttemptState::Ended(result) => Some(result),
        _ => None,
    }
}

/// How an attempt ended, in a word.
pub fn result_word(result: AttemptResult) -> &'static str {
    match result {
        AttemptResult::Succeeded => "succeeded",
        AttemptResult::Failed(_) => "failed",
        AttemptResult::TimedOut => "timed out",
        AttemptResult::Cancelled => "was stopped",
        AttemptResult::NotStarted(_) => "did not start",
    }
}

/// How an attempt ended, and by what.
pub fn result_words(attempt: &Attempt, result: AttemptResult, key: &ReleaseKey) -> String {
    let settled = match attempt.settlements.len() {
        0 | 1 => "",
        _ => ", as two people said",
    };
    match result {
        AttemptResult::Succeeded => format!("succeeded{settled}"),
        AttemptResult::Failed(_) if !settled.is_empty() => format!("failed or was given up{settled}"),
        AttemptResult::Failed(code) if code < 0 => format!("failed: ended by signal {}", code.unsigned_abs()),
        AttemptResult::Failed(code) => format!("failed with exit code {code}"),
        AttemptResult::TimedOut => "timed out and was ended".to_owned(),
        AttemptResult::Cancelled => "was stopped".to_owned(),
        AttemptResult::NotStarted(why) => format!("did not start: {}", why_not(why, key)),
    }
}

/// Why nothing ran.
pub fn not_started(why: NotStarted) -> &'static str {
    match why {
        NotStarted::GateUnmet => "a gate did not hold any more",
        NotStarted::TagMoved => "the tag points to another commit now",
        NotStarted::SourceUnknown(SourceProblem::GitSilent) => "Git did not answer",
        NotStarted::SourceUnknown(SourceProblem::TagMissing) => "the tag is gone",
        NotStarted::SourceUnknown(SourceProblem::NoRepository) => {
            "no repository is configured, and no commit was typed"
        }
        NotStarted::SourceUnknown(SourceProblem::ScriptMissing) => "the deployment script is missing or can't be run",
        NotStarted::ScriptChanged => "the deployment script or its configuration has changed",
        NotStarted::CouldNotSpawn => "the script could not be started",
        NotStarted::CalledOff => "it was called off first",
    }
}

/// The same, with where to look for what it leaves open.
pub fn why_not(why: NotStarted, key: &ReleaseKey) -> String {
    match why {
        NotStarted::GateUnmet => format!("{}; `/release why {key}` names it", not_started(why)),
        why => not_started(why).to_owned(),
    }
}

/// What two people may say of an interrupted attempt.
pub fn settlement(choice: SettlementChoice) -> &'static str {
    match choice {
        SettlementChoice::Finished => "it finished",
        SettlementChoice::Failed => "it failed",
        SettlementChoice::NewAttempt => "try again as a new attempt",
    }
}
