//! Plain text for where Slack doesn't reach: the mail of the emergency notice, and the summary for a pager.

use crate::slack::approvals::{Style, by_cto, of_tech_lead};
use crate::slack::cards::{skipped_due, skipped_words};
use crate::slack::gates::clause;
use crate::slack::markup::{count, joined};
use crate::slack::state::kind_word;
use crate::slack::time::{full_clock, span};
use crate::slack::view::View;
use domain::event::NoticeStep;
use domain::release::{AttemptNumber, AttemptState};
use domain::role::Role;
use domain::rule::Rule;

/// Subject and body of the mail to all teams when #releases has not taken the notice of `attempt`.
pub fn mail_notice(view: &View<'_>, attempt: AttemptNumber) -> (String, String) {
    let release = view.release;
    let attempt = release.attempt(attempt);
    let started_ms = attempt
        .and_then(|attempt| attempt.starting_ms)
        .unwrap_or(release.proposed_ms);
    let started = full_clock(started_ms, &release.time_zone);
    let state = match attempt.map(|attempt| attempt.state) {
        Some(AttemptState::Ended(result)) => format!("it {}", crate::slack::state::result_word(result)),
        Some(AttemptState::Interrupted) => "its outcome is unknown".to_owned(),
        _ => "it is running".to_owned(),
    };
    let style = Style {
        person: &|person| view.names.name(person),
        time: &|at_ms| full_clock(at_ms, &release.time_zone),
    };
    let why = release
        .justification
        .as_ref()
        .map_or("(no justification)", |digest| view.text(digest));
    let subject = format!(
        "[Release] HOTFIX {}: deployment to {} started {started}",
        view.what(),
        release.environment
    );
    let body = format!(
        "A hotfix was started in {environment}, and Slack #releases has not taken the notice yet, so you get it by mail.\n\n\
         What: {what}, release {key}\nStarted: {started}{approved}. When this was written, {state}.\n{tech_lead}\nAsked for by: {requester}\n\nWhy:\n{why}\n\n{skipped}\n\n\
         What we ask of you: please deploy nothing on {service} until the result is known. It follows in Slack #releases as soon as Slack answers.\n\
         Objections: by telephone to the release manager{managers} or the CTO{ctos}.\n\nRelease {key}, rule {rule} ({clause}).\n",
        environment = release.environment,
        what = view.what(),
        key = release.key,
        approved = by_cto(release, &style),
        tech_lead = of_tech_lead(release, &style),
        managers = holders(view, Role::ReleaseManager),
        ctos = holders(view, Role::Cto),
        requester = view.names.name(&release.requester),
        why = plain_text(why, 3_000),
        skipped = skipped(view),
        service = release.service,
        rule = Rule::EmergencyNotice.id(),
        clause = clause(Rule::EmergencyNotice),
    );
    (subject, body)
}

/// The people in a role, in brackets; nothing while Slack doesn't say who they are.
fn holders(view: &View<'_>, role: Role) -> String {
    let names: Vec<String> = view
        .people
        .holders_of(role)
        .iter()
        .take(5)
        .map(|person| view.names.name(person))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", joined(&names, "or"))
    }
}

fn skipped(view: &View<'_>) -> String {
    let [procedure, same_day, our_reading] = skipped_words(view.policy, &view.release.service);
    format!(
        "Skipped because the procedure says so (3.4): {procedure}.\nSkipped because it is same or next day (4.1): {same_day}.\nSkipped by our reading: {our_reading}.\nOwed afterwards, by a {}{} until {}: staging, and what is skipped by our reading.",
        Role::TechLead.title(),
        holders(view, Role::TechLead),
        full_clock(skipped_due(view).0, &view.release.time_zone)
    )
}

/// One line for the pager at a step of the notice's ladder.
pub fn page_summary(view: &View<'_>, attempt: AttemptNumber, step: NoticeStep) -> String {
    let release = view.release;
    let started_ms = release
        .attempt(attempt)
        .and_then(|attempt| attempt.starting_ms)
        .unwrap_or(release.proposed_ms);
    let due_ms = started_ms + view.policy.notice_breach_after_ms;
    let left = if view.now_ms < due_ms {
        format!(
            "due {} (in {})",
            full_clock(due_ms, &release.time_zone),
            span(due_ms - view.now_ms)
        )
    } else {
        format!("was due {}", full_clock(due_ms, &release.time_zone))
    };
    let what = match step {
        NoticeStep::Mail => "all teams are mailed now",
        NoticeStep::Page => "tell the teams by telephone, and look at Slack",
        NoticeStep::AtRisk => "AT RISK: the hour is almost over; tell the teams by telephone now",
    };
    format!(
        "Countersign: {} {} ({}) attempt {attempt} has no confirmed notice in #releases, {left}; {what}. Rule {} (3.4).",
        kind_word(release),
        view.what(),
        release.key,
        Rule::EmergencyNotice.id()
    )
}

/// Foreign text for a mail: no control characters but line ends, and an honest end.
fn plain_text(text: &str, most: usize) -> String {
    let clean: String = text
        .replace("\r\n", "\n")
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    let total = clean.chars().count();
    if total <= most {
        return clean;
    }
    format!(
        "{}… ({} more)",
        clean.chars().take(most).collect::<String>(),
        count(total - most, "character")
    )
}
