//! What was asked to be read: where releases stand, what holds one, and what is on the record.

use crate::slack::blocks::{Rendered, context, header, message, section};
use crate::slack::cards::{debts, to_be_confirmed, to_be_said};
use crate::slack::gates::{self, Words};
use crate::slack::markup::{count, foreign_line};
use crate::slack::state::{capital, card_status, kind_word, lower, now, sign_offs_end, status_words};
use crate::slack::story::{lifted, sentence};
use crate::slack::time::when;
use crate::slack::view::{Names, View, what};
use domain::command::Actor;
use domain::event::Event;
use domain::ids::{Millis, ServiceName};
use domain::release::{Release, Status};
use domain::role::Role;
use domain::rules::gates::{Gate, GateState};

/// `/release status KEY`.
pub fn status(view: &View<'_>) -> Rendered {
    let release = view.release;
    let status = card_status(view);
    let now = now(view);
    let text = format!(
        "{}, {} ({}): {}. {now}",
        release.key,
        view.what(),
        kind_word(release),
        lower(&status)
    );
    message(&text, view.version, |_| {
        let mut blocks = vec![
            header(&format!(
                "{} · {} · {} · {status}",
                release.key,
                view.what(),
                kind_word(release)
            )),
            section(&now),
        ];
        blocks.extend(debts(view).map(|text| section(&text)));
        blocks.push(context(&stuck(
            view.dead_jobs,
            &format!("`/release why {0}` · `/release audit {0}`", release.key),
        )));
        blocks
    })
}

fn stuck(dead_jobs: usize, otherwise: &str) -> String {
    if dead_jobs == 0 {
        return otherwise.to_owned();
    }
    format!(
        "{} gave up, so something may be late: an admin looks with `countersign jobs list` · {otherwise}",
        capital(&count(dead_jobs, "job"))
    )
}

/// `/release status` and `/release list`: the open releases, or those of one service; `unread` are those that only a newer
/// version can read.
pub fn list(
    releases: &[&Release],
    service: Option<&ServiceName>,
    services: &[ServiceName],
    dead_jobs: usize,
    unread: usize,
) -> Rendered {
    let of = service.map_or_else(String::new, |service| format!(" of {service}"));
    let open: Vec<&&Release> = releases
        .iter()
        .filter(|release| !matches!(release.status, Status::Released | Status::Cancelled))
        .collect();
    let text = match open.len() {
        0 => format!("No release{of} is planned or under way."),
        number => format!("{}{of} planned or under way.", capital(&count(number, "release"))),
    };
    let text = match unread {
        0 => text,
        _ => format!(
            "{text} {} more can't be shown: a newer version of Countersign has changed them. Try again: the newer one may get it.",
            count(unread, "release")
        ),
    };
    let mut sorted: Vec<&Release> = releases.to_vec();
    sorted.sort_by_key(|release| {
        let is_over = matches!(release.status, Status::Released | Status::Cancelled);
        (
            is_over,
            release.plan.as_ref().map_or(release.proposed_ms, |plan| plan.start_ms),
            release.key.clone(),
        )
    });
    message(&text, 0, |_| {
        let mut blocks = vec![section(&format!("*{text}*"))];
        let lines: Vec<String> = sorted.iter().take(20).map(|release| list_line(release)).collect();
        blocks.extend(lines.chunks(5).map(|lines| section(&lines.join("\n"))));
        let more = sorted.len().saturating_sub(20);
        let more = if more > 0 {
            format!("… ({more} more; `/release list SERVICE` narrows it) · ")
        } else {
            String::new()
        };
        let names: Vec<&str> = services.iter().take(30).map(ServiceName::as_str).collect();
        let names = if names.is_empty() {
            String::new()
        } else {
            format!(" · services: {}", names.join(", "))
        };
        let next = if sorted.is_empty() {
            "To plan one: `/release plan`"
        } else {
            "One of them: `/release status KEY`"
        };
        blocks.push(context(&stuck(dead_jobs, &format!("{more}{next}{names}"))));
        blocks
    })
}

fn list_line(release: &Release) -> String {
    let start = match &release.plan {
        Some(plan) => format!("start {}", when(plan.start_ms, &release.time_zone)),
        None => format!("asked for {}", when(release.proposed_ms, &release.time_zone)),
    };
    format!(
        "*{}* · {} · {} · {} · {start}",
        release.key,
        what(release),
        kind_word(release),
        status_words(release)
    )
}

/// `/release why KEY`: what holds the start, on ten lines of a phone.
pub fn why(view: &View<'_>) -> Rendered {
    let release = view.release;
    let words = Words {
        release,
        names: view.names,
        texts: view.texts,
    };
    let holding = view.holding();
    let title = format!("{} {}", release.key, view.what());
    let is_over = matches!(
        release.status,
        Status::Released | Status::Cancelled | Status::Deploying | Status::Interrupted | Status::Queued
    );
    if is_over || holding.is_empty() {
        let text = match (is_over, release.kind.is_emergency()) {
            (true, _) => format!("{title}: {}. {}", lower(&card_status(view)), now(view)),
            (false, true) => format!(
                "Nothing holds {title}, but it does not start by itself any more: a {} starts it with `/release deploy {}`. If nobody does, it does not start; the sign-offs end {}.",
                Role::DeploymentEngineer.title(),
                release.key,
                view.when(sign_offs_end(view))
            ),
            (false, false) => format!(
                "Nothing holds {title}: a {} starts it with `/release deploy {}`. If nobody does, it does not start.",
                Role::DeploymentEngineer.title(),
                release.key
            ),
        };
        return message(&text, view.version, |_| vec![section(&text)]);
    }
    let things = count(holding.len(), "thing");
    let verb = if holding.len() == 1 { "holds" } else { "hold" };
    let text = format!(
        "{title} can't start yet: {things} {verb} it. First: {}.",
        gates::sentence(holding[0], &words)
    );
    let mut lines = vec![format!("*{title} can't start yet: {things} {verb} it.*")];
    // What is to be said shares a line for each role, so that ten lines are enough.
    let (to_say, own): (Vec<&Gate>, Vec<&Gate>) = holding.iter().copied().partition(|gate| to_be_confirmed(gate));
    for (at, gate) in own.iter().take(6).enumerate() {
        lines.push(format!(
            "{}. {}: {}.",
            at + 1,
            gates::rule_ref(gate.rule),
            gates::sentence(gate, &words)
        ));
    }
    if own.len() > 6 {
        lines.push(format!("… ({} more; the card lists them)", own.len() - 6));
    }
    lines.extend(to_be_said(&to_say, view));
    lines.push(until(view));
    message(&text, view.version, |_| vec![section(&lines.join("\n"))])
}

fn until(view: &View<'_>) -> String {
    let holds = |gate: &&Gate| matches!(gate.state, GateState::Met | GateState::Owed | GateState::Waived);
    let met = view.gates.iter().filter(holds).count();
    let earliest = view.holding().iter().filter_map(|gate| gate.next_ms).max();
    let earliest = earliest.map_or_else(String::new, |at_ms| {
        format!(" At the earliest it can start {}.", view.when(at_ms))
    });
    let end = view
        .release
        .plan
        .as_ref()
        .filter(|_| !view.slot_over())
        .map_or_else(String::new, |plan| {
            format!(
                " If that isn't settled by {}, it does not start.",
                view.when(plan.start_ms + plan.length_ms)
            )
        });
    format!("Everything else that Countersign checks ({met}) holds.{earliest}{end}")
}

/// One entry of the log, as `/release audit` shows it.
#[derive(Debug, Clone)]
pub struct AuditLine<'a> {
    /// Its number among the entries of this release, from 1.
    pub number: usize,
    /// When.
    pub at_ms: Millis,
    /// Who.
    pub actor: &'a Actor,
    /// What.
    pub event: &'a Event,
    /// Why, where somebody said so and it is still there.
    pub reason: Option<&'a str>,
    /// Whether it is a sign-off that lifted a rejection.
    pub lifts: bool,
    /// How often a refusal came again that is still being counted.
    pub repeats: u64,
}

/// The last entry of a log, which seals those before it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its number among the entries of this release.
    pub number: usize,
    /// Its position in the chain of all releases.
    pub position: u64,
    /// Its hash.
    pub hash: &'a str,
}

/// `/release audit KEY`: the last entries, newest last; `total` counts all of them.
pub fn audit(
    release: &Release,
    names: Names<'_>,
    entries: &[AuditLine<'_>],
    total: usize,
    head: Option<Head<'_>>,
) -> Rendered {
    let text = format!(
        "{} {}: {} on the record.",
        release.key,
        what(release),
        count(total, "entry").replace("entrys", "entries")
    );
    let shown = &entries[entries.len().saturating_sub(20)..];
    let lines: Vec<String> = shown
        .iter()
        .map(|entry| {
            let at = when(entry.at_ms, &release.time_zone);
            let reason = entry
                .reason
                .map_or_else(String::new, |reason| format!(" “{}”", foreign_line(reason, 120)));
            let said = match entry.event {
                Event::SignedOff { sign_off } if entry.lifts => lifted(sign_off, names),
                event => sentence(event, entry.actor, release, names),
            };
            let again = match usize::try_from(entry.repeats) {
                Ok(0) => String::new(),
                Ok(times) => format!(" Asked and refused {} since.", count(times, "more time")),
                Err(_) => " Asked and refused many more times since.".to_owned(),
            };
            format!("{} · {at} · {said}{again}{reason}", entry.number)
        })
        .collect();
    let earlier = total.saturating_sub(shown.len());
    message(&text, 0, |_| {
        let mut blocks = vec![section(&format!("*{text}*"))];
        if earlier > 0 {
            blocks.push(context(&format!("… ({earlier} earlier)")));
        }
        blocks.extend(lines.chunks(5).map(|lines| section(&lines.join("\n"))));
        let head = head.map_or_else(String::new, |head| {
            let hash = head.hash.get(..12).unwrap_or(head.hash);
            // Entries of other releases stand between them, so their positions there would read as if some were missing.
            format!(
                "Numbered within this release. In the log that all releases share, entry {} is at position {}; its hash begins with {}. ",
                head.number,
                head.position,
                foreign_line(hash, 40)
            )
        });
        blocks.push(context(&format!(
            "{head}All of it, checked: `countersign audit verify`, `countersign audit export`"
        )));
        blocks
    })
}
