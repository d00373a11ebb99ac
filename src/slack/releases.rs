//! What all teams read in #releases: the emergency notice, how deployments ended, and breaches of the notice's clock.

use crate::slack::approvals::{Style, by_cto, of_tech_lead};
use crate::slack::blocks::{Rendered, context, header, message, section};
use crate::slack::cards::{debts, skipped, version};
use crate::slack::gates::rule_ref;
use crate::slack::markup::{code_tail, quoted};
use crate::slack::state::{capital, engineer, how_to_stop, result_word, settlement, sign_offs_end, why_not};
use crate::slack::time::span;
use crate::slack::view::{View, Ways};
use domain::event::NoticeStep;
use domain::ids::Millis;
use domain::release::{Attempt, AttemptNumber, AttemptResult, AttemptState, Notice, Release, SettlementChoice, Status};
use domain::rule::Rule;

/// The emergency notice for `attempt`, marked late if it is.
pub fn notice(view: &View<'_>, attempt: AttemptNumber) -> Rendered {
    let release = view.release;
    let Some(attempt) = release.attempt(attempt) else {
        return unknown_attempt(view, attempt);
    };
    let started_ms = attempt.starting_ms.unwrap_or(attempt.requested_ms);
    let late = late(view, attempt);
    let mark = if late.is_some() { "LATE NOTICE · " } else { "" };
    let style = Style {
        person: &|person| view.names.mention(person),
        time: &|at_ms| view.when(at_ms),
    };
    let approved = by_cto(release, &style);
    let ended = matches!(attempt.state, AttemptState::Ended(_));
    let ask = if ended {
        String::new()
    } else {
        format!(
            " Please deploy nothing on {} until the result stands here.",
            release.service
        )
    };
    let running = running_word(attempt);
    let text = format!(
        "{mark}HOTFIX {running}: {}, started {}{approved}.{ask}",
        view.what(),
        view.clock(started_ms)
    );
    message(&text, view.version, |room| {
        let mut blocks = vec![
            header(&format!("{mark}HOTFIX {running}: {} · {}", view.what(), release.key)),
            section(&format!(
                "To {}, started {}{approved}. {}{ask}",
                release.environment,
                view.when(started_ms),
                of_tech_lead(release, &style)
            )),
        ];
        blocks.extend(late.as_ref().map(|late| section(late)));
        let why = release
            .justification
            .as_ref()
            .map_or("(no justification)", |digest| view.text(digest));
        blocks.push(section(&format!("*Why*\n{}", quoted(why, room, "(nothing)"))));
        blocks.push(section(&skipped(view)));
        let follows = if ended {
            String::new()
        } else {
            format!(" The result follows here. {}", how_to_stop(release))
        };
        blocks.push(section(&format!(
            "Deployment engineer: {}. {}.{follows}",
            engineer(attempt, view.names),
            version(release)
        )));
        blocks.push(context(&format!(
            "All teams are told within 1 hour of the start · {}",
            rule_ref(Rule::EmergencyNotice)
        )));
        blocks
    })
}

fn running_word(attempt: &Attempt) -> &'static str {
    match attempt.state {
        AttemptState::Ended(result) => result_word(result),
        AttemptState::Interrupted => "with unknown outcome",
        _ => "running",
    }
}

/// The mark of a notice that came after its hour.
pub fn late(view: &View<'_>, attempt: &Attempt) -> Option<String> {
    let notice = attempt.notice.as_ref()?;
    let due_ms = notice.started_ms + view.policy.notice_breach_after_ms;
    let posted_ms = notice.posted_ms.unwrap_or(view.now_ms);
    (posted_ms > due_ms || notice.breached.is_some()).then(|| {
        format!(
            "*Late:* this notice was due {} and comes {} later. {}",
            view.when(due_ms),
            span(posted_ms - due_ms),
            steps(notice, view.ways)
        )
    })
}

/// What was asked for meanwhile, in words, and what could not be: whether a mail or a page arrived is not known here.
fn steps(notice: &Notice, ways: Ways) -> String {
    let done: Vec<&str> = NoticeStep::ALL
        .into_iter()
        .filter(|step| notice.steps.contains(step))
        .filter_map(|step| match step {
            NoticeStep::Mail => Some(ways.missing(step).unwrap_or("e-mail to all teams was asked for")),
            NoticeStep::Page => Some(
                ways.missing(step)
                    .unwrap_or("a page to release manager and CTO was asked for"),
            ),
            NoticeStep::AtRisk => ways.pager.then_some("another page was asked for as the hour ran out"),
        })
        .collect();
    if done.is_empty() {
        "Nobody had been told before by mail or page.".to_owned()
    } else {
        format!("Meanwhile {}.", done.join(", "))
    }
}

/// How `attempt` ended, or that nobody knows.
pub fn outcome(view: &View<'_>, attempt: AttemptNumber) -> Rendered {
    let release = view.release;
    let Some(attempt) = release.attempt(attempt) else {
        return unknown_attempt(view, attempt);
    };
    let (word, sentence) = outcome_words(view, attempt);
    let at_ms = attempt.ended_ms.unwrap_or(view.now_ms);
    let text = format!(
        "{word}: {} to {} ({}). {sentence}",
        view.what(),
        release.environment,
        release.key
    );
    message(&text, view.version, |room| {
        let mut blocks = vec![
            header(&format!("{word}: {} · {}", view.what(), release.key)),
            section(&format!(
                "To {}, attempt {}, {}. {sentence}",
                release.environment,
                attempt.number,
                view.when(at_ms)
            )),
        ];
        if let Some(output) = attempt
            .output
            .as_ref()
            .filter(|_| !matches!(attempt.state, AttemptState::Ended(AttemptResult::Succeeded)))
        {
            blocks.push(section(&format!(
                "*The end of its output*\n{}",
                code_tail(view.text(output), room.min(1_200))
            )));
        }
        blocks.extend(debts(view).map(|text| section(&text)));
        blocks.push(context(&format!(
            "{} · `/release audit {}`",
            rule_ref(Rule::NoticeResult),
            release.key
        )));
        blocks
    })
}

fn outcome_words(view: &View<'_>, attempt: &Attempt) -> (&'static str, String) {
    let release = view.release;
    let took = match (attempt.starting_ms, attempt.ended_ms) {
        (Some(start_ms), Some(end_ms)) => format!(" after {}", span(end_ms - start_ms)),
        _ => String::new(),
    };
    let before = view.deployed();
    let still = before.as_ref().map_or_else(String::new, |version| {
        format!(" The last version that succeeded there is {}.", version.tag())
    });
    // There is no rollback of its own yet, and a release that failed halfway must not read like a dead end.
    let back = before
        .as_ref()
        .filter(|version| **version != release.version)
        .map_or_else(String::new, |version| {
            format!(
                " To go back: `/release hotfix {} {}`; the CTO signs it, and the database stays as it is.",
                release.service,
                version.tag()
            )
        });
    let over = since(release, attempt);
    let again = match &over {
        Some(over) => capital(over),
        None => format!(
            "A deployment engineer can try again with `/release deploy {}`{}; if nobody does, it stays as it is.",
            release.key,
            while_signed(view)
        ),
    };
    let again = format!("{again}{still}");
    let look = format!(
        "What the script had done stays done: look at {} before you go on.",
        release.environment
    );
    let settled = agreed(view, attempt);
    match (attempt.state, settled) {
        (AttemptState::Ended(_), Some((SettlementChoice::Finished, who))) => (
            "RELEASED",
            format!("{who} agree that it finished; Countersign itself had lost sight of it."),
        ),
        (AttemptState::Ended(_), Some((SettlementChoice::NewAttempt, who))) => (
            "FAILED",
            format!(
                "{who} agree to try again. This attempt counts as failed; {}{still}",
                over.unwrap_or_else(|| format!(
                    "a new one starts at once if every gate holds, and `/release why {}` says what is missing if not.",
                    release.key
                ))
            ),
        ),
        (AttemptState::Ended(_), Some((choice, who))) => {
            ("FAILED", format!("{who} agree: {}. {again}{back}", settlement(choice)))
        }
        (AttemptState::Ended(AttemptResult::Succeeded), None) => {
            ("RELEASED", format!("The deployment succeeded{took}."))
        }
        (AttemptState::Ended(AttemptResult::Failed(code)), None) if code < 0 => (
            "FAILED",
            format!(
                "The script was ended by signal {}{took}. {look} {again}{back}",
                code.unsigned_abs()
            ),
        ),
        (AttemptState::Ended(AttemptResult::Failed(code)), None) => (
            "FAILED",
            format!("The script ended with exit code {code}{took}. {look} {again}{back}"),
        ),
        (AttemptState::Ended(AttemptResult::TimedOut), None) => (
            "TIMED OUT",
            format!("The script took longer than allowed and was ended{took}. {look} {again}{back}"),
        ),
        (AttemptState::Ended(AttemptResult::Cancelled), None) => {
            let by = attempt
                .stop_by
                .as_ref()
                .map_or_else(|| "Somebody".to_owned(), |person| view.names.mention(person));
            let (look, back) = if attempt.starting_ms.is_some() {
                (look, back)
            } else {
                ("Nothing had run.".to_owned(), String::new())
            };
            ("STOPPED", format!("{by} stopped it{took}. {look} {again}{back}"))
        }
        (AttemptState::Ended(AttemptResult::NotStarted(why)), None) => (
            "DID NOT START",
            format!("Nothing ran: {}. {again}", why_not(why, &release.key)),
        ),
        (AttemptState::Interrupted, _) => (
            "OUTCOME UNKNOWN",
            format!(
                "{}; its script may still be running. {} stays locked until two people of deployment engineer, release manager and tech lead say the same on the card. Please deploy nothing on {} until then.",
                if attempt.lost_in_restore {
                    "The bot's database was restored from a backup, and how the deployment went is lost: it may have run"
                } else {
                    "What watched the deployment is gone, and nobody knows how it went"
                },
                release.environment,
                release.service
            ),
        ),
        _ => ("DEPLOYING", "It is under way.".to_owned()),
    }
}

/// What came after `attempt` and leaves nothing to try: another attempt, or the end of the release.
fn since(release: &Release, attempt: &Attempt) -> Option<String> {
    let later = release
        .attempts
        .iter()
        .rfind(|later| later.number > attempt.number && later.starting_ms.is_some());
    match later {
        Some(later) => Some(format!(
            "it was tried again as attempt {}, which has a result of its own.",
            later.number
        )),
        None if release.status == Status::Cancelled => {
            Some("the release was cancelled since, so nobody tries again.".to_owned())
        }
        None => None,
    }
}

/// Until when the sign-offs still allow another try.
fn while_signed(view: &View<'_>) -> String {
    let end_ms = sign_offs_end(view);
    if end_ms > view.now_ms {
        format!(" until {}, while the sign-offs count", view.when(end_ms))
    } else {
        " once it is signed again".to_owned()
    }
}

/// What two people said, and who they are.
fn agreed(view: &View<'_>, attempt: &Attempt) -> Option<(SettlementChoice, String)> {
    SettlementChoice::ALL.into_iter().find_map(|choice| {
        let people: Vec<_> = attempt
            .settlements
            .iter()
            .filter(|(_, said)| **said == choice)
            .map(|(person, _)| person)
            .collect();
        (people.len() >= 2).then(|| (choice, view.names.mentions(people, "and")))
    })
}

/// A recorded breach of the notice's clock.
pub fn breach(view: &View<'_>, attempt: AttemptNumber) -> Rendered {
    let release = view.release;
    let Some(notice) = release.attempt(attempt).and_then(|attempt| attempt.notice.as_ref()) else {
        return unknown_attempt(view, attempt);
    };
    let due_ms = notice
        .breached
        .as_ref()
        .map_or(notice.started_ms + view.policy.notice_breach_after_ms, |breach| {
            breach.due_ms
        });
    let recorded_ms = notice
        .breached
        .as_ref()
        .map_or(view.now_ms, |breach| breach.recorded_ms);
    let posted = posted(view, notice.posted_ms, due_ms);
    let rule = rule_ref(Rule::EmergencyNotice);
    let text = format!(
        "BREACH of {} (3.4): the notice for {} ({}) was due {}{posted}.",
        Rule::EmergencyNotice,
        view.what(),
        release.key,
        view.clock(due_ms)
    );
    message(&text, view.version, |_| {
        vec![
            header(&format!(
                "BREACH of emergency.notice · {} · {}",
                view.what(),
                release.key
            )),
            section(&format!(
                "The notice in #releases was due {}, one hour after the start {}{posted}. {}",
                view.when(due_ms),
                view.when(notice.started_ms),
                steps(notice, view.ways)
            )),
            section(&format!(
                "Recorded {}. It stays in the record and cannot be taken back. {} The release manager finds out why; `/release audit {}` shows every step.",
                view.when(recorded_ms),
                match notice.posted_ms {
                    Some(at_ms) => format!("The late notice stands above since {}.", view.when(at_ms)),
                    None => "The notice itself is posted, marked late, as soon as Slack takes it.".to_owned(),
                },
                release.key
            )),
            context(&rule),
        ]
    })
}

fn posted(view: &View<'_>, posted_ms: Option<Millis>, due_ms: Millis) -> String {
    match posted_ms {
        Some(at_ms) => format!(", and was posted {}, {} late", view.clock(at_ms), span(at_ms - due_ms)),
        None => ", and is not posted yet".to_owned(),
    }
}

fn unknown_attempt(view: &View<'_>, attempt: AttemptNumber) -> Rendered {
    let text = format!("{} {} has no attempt {attempt}.", view.release.key, view.what());
    message(&text, view.version, |_| vec![section(&text)])
}
