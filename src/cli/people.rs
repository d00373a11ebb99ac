//! `countersign people erase`: removes people from everything that stands beside the log, after whoever runs it has taken them out
//! of the configuration. Exit code 0 means that all of them are gone, 2 that something is left to do.

use crate::app::database_url;
use crate::config::{StorePlace, words_in_file};
use crate::control::{self, Done, Request};
use crate::handle::erase::{Fate, Report, Wish};
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// The exit code when something is left to do.
const SOMETHING_LEFT: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Erase people: their mapping to the log's random ids, the texts they wrote and every text that names them. The log
    /// keeps verifying, and shows that and why it was done. Without --yes, only says what would go.
    Erase(Erase),
}

#[derive(Debug, Args)]
pub(super) struct Erase {
    /// Whom: workspace and member by their ids, such as T0ACME/U0123456.
    #[arg(required = true, value_name = "TEAM/USER")]
    people: Vec<String>,
    /// Who decides it: a member's id of the same workspace, who has used Countersign. Stands in the log as a random id.
    #[arg(long, value_name = "USER")]
    by: String,
    /// Why. Kept beside the log, so don't name them.
    #[arg(long)]
    reason: String,
    /// A name or e-mail address of theirs: texts of others that hold it go too. May be repeated; for one person at a time.
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Do it. There is no way back.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let Verb::Erase(asked) = verb;
    let confirmed = asked.yes;
    let wish = wish(asked)?;
    let (file, named) = words_in_file(wish.users.iter().map(String::as_str));
    anyhow::ensure!(
        named.is_empty(),
        "{} still names {}: take them out and restart every process of the bot first, or it writes them down again",
        file.display(),
        named.join(", ")
    );
    let place = StorePlace::from_process()?;
    match control::here_or_there(&database_url(&place), &place.data, &Request::Erase(wish)).await? {
        Done::People(report) => {
            let (lines, is_left) = outcome(&report, confirmed);
            for line in lines {
                super::say(&line);
            }
            Ok(if is_left {
                ExitCode::from(SOMETHING_LEFT)
            } else {
                ExitCode::SUCCESS
            })
        }
        Done::Refused(why) => anyhow::bail!("{why}"),
        Done::Job(_) => anyhow::bail!("the running process answered something else"),
    }
}

fn wish(asked: Erase) -> anyhow::Result<Wish> {
    let mut team = None;
    let mut users = Vec::new();
    for person in &asked.people {
        let parts = person.split_once('/');
        let (its_team, user) =
            parts.ok_or_else(|| anyhow::anyhow!("`{person}`: write TEAM/USER, such as T0ACME/U0123456"))?;
        anyhow::ensure!(
            *team.get_or_insert(its_team) == its_team,
            "people of one workspace at a time"
        );
        users.push(user.to_owned());
    }
    Ok(Wish {
        team: team.unwrap_or_default().to_owned(),
        users,
        names: asked.name,
        by: asked.by,
        reason: asked.reason,
        confirmed: asked.yes,
    })
}

/// What is said of it, and whether something is left to do.
fn outcome(report: &Report, confirmed: bool) -> (Vec<String>, bool) {
    let (mut lines, mut is_left) = (Vec::new(), false);
    for (user, fate) in &report.fates {
        is_left |= !matches!(fate, Fate::Nothing | Fate::Erased { .. });
        lines.push(told(user, fate));
        if let Fate::Erased { open, .. } = fate
            && !open.is_empty()
        {
            is_left = true;
            lines.push(format!(
                "{user}: WARNING: while being erased, they got a part in releases that are not over, and what they wrote there is gone: \
                 {}. Cancel or finish these, then run this again",
                open.join(", ")
            ));
        }
    }
    if !confirmed {
        if report.fates.values().any(|fate| matches!(fate, Fate::Found { .. })) {
            lines.push("nothing is erased yet; add --yes to do it".to_owned());
        }
    } else if report.forgotten {
        let yours = "backups, archived write-ahead logs and what stands in Slack are yours to erase";
        lines.push(format!("the database has given up the bytes; {yours}"));
    } else {
        is_left = true;
        lines.push(
            "what is erased may still be in the database's files: somebody reads what was there before, such as a backup or a long \
             query, or this login may not vacuum the tables (PostgreSQL: run this as their owner). Run it again then"
                .to_owned(),
        );
    }
    (lines, is_left)
}

fn told(user: &str, fate: &Fate) -> String {
    match fate {
        Fate::Erased {
            person: Some(person),
            texts,
            releases,
            ..
        } => {
            format!(
                "{user}: erased; {person} in the log of {releases} releases stands for nobody now, {texts} texts are gone"
            )
        }
        Fate::Erased {
            person: None, texts, ..
        } => {
            format!("{user}: was not on record any more; {texts} texts that named them are gone")
        }
        Fate::Found {
            person,
            texts,
            only_named,
            releases,
        } => {
            let who = if person.is_some() {
                "on record"
            } else {
                "not on record any more"
            };
            format!(
                "{user}: {who}; {texts} texts in {releases} releases would go, {only_named} of them only because they hold a name given"
            )
        }
        Fate::Nothing => format!("{user}: nothing on record"),
        Fate::Unfinished { releases } => format!(
            "{user}: NOT erased; they have a part or are named in releases that are not over: {}. Finish or cancel these first",
            releases.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fate: Fate, confirmed: bool, forgotten: bool) -> (String, bool) {
        let fates = [("U0OLGA".to_owned(), fate)].into();
        let (lines, is_left) = outcome(&Report { fates, forgotten }, confirmed);
        (lines.join("\n"), is_left)
    }

    #[test]
    fn whoever_has_something_left_to_do_is_told_what() {
        let erased = |open: &[&str]| Fate::Erased {
            person: None,
            texts: 1,
            releases: 0,
            open: open.iter().map(|&key| key.to_owned()).collect(),
        };
        let found = Fate::Found {
            person: None,
            texts: 900,
            only_named: 899,
            releases: 300,
        };
        let unfinished = Fate::Unfinished {
            releases: vec!["REL-9".to_owned()],
        };
        for (fate, confirmed, forgotten, left, words) in [
            (erased(&[]), true, true, false, "yours to erase"),
            (erased(&[]), true, false, true, "Run it again"),
            (
                erased(&["REL-9"]),
                true,
                true,
                true,
                "REL-9. Cancel or finish these, then run this again",
            ),
            (
                found,
                false,
                false,
                true,
                "900 texts in 300 releases would go, 899 of them only because",
            ),
            (unfinished, false, false, true, "REL-9"),
            (Fate::Nothing, false, false, false, "nothing on record"),
        ] {
            let (told, is_left) = said(fate, confirmed, forgotten);
            assert!(told.contains(words) && is_left == left, "{told}");
        }
    }
}
