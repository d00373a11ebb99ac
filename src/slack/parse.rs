//! What somebody typed after `/release`, read leniently and never guessed: a slip gets a clear answer and a suggestion.

use crate::slack::nearest::nearest;
use crate::slack::tokens::{Token, free_text, tokens};
use crate::slack::verbs::{self, Entry, Verb};
use domain::ids::{CommitSha, ReleaseKey, ServiceName, Version, tidy};
use domain::role::Role;
use domain::rule::Rule;

pub use crate::slack::typed::{Known, Mistyped, Problem, Typed};

/// Reads what was typed after `/release`.
pub fn parse(typed: &str, known: &Known<'_>) -> Typed {
    let mut words = tokens(typed);
    // Some people call the bot first: `/release @countersign approve …`.
    let called = words.iter().take_while(|word| word.mention.is_some()).count();
    words.drain(..called.min(words.len().saturating_sub(1)));
    let Some(first) = words.first() else {
        return Typed::Help { topic: None };
    };
    let name = tidy(&first.text).to_lowercase();
    let reader = Reader {
        typed,
        words: &words,
        known,
    };
    match verbs::find(&name) {
        Some(entry) => reader.read(entry).unwrap_or_else(|wrong| {
            let (problem, did_you_mean) = *wrong;
            reader.mistyped(problem, did_you_mean)
        }),
        None => reader.unknown_verb(&name),
    }
}

fn rule(typed: &str) -> Result<Rule, Wrong> {
    let id = tidy(typed).trim_matches('`').to_lowercase();
    Rule::from_id(&id).ok_or_else(|| Box::new((Problem::NotARule(typed.to_owned()), None)))
}

/// Whether somebody means a rule: a part of the rulebook and a word, as in `criteria.docs`.
fn looks_like_a_rule(typed: &str) -> bool {
    let id = tidy(typed).trim_matches('`').to_lowercase();
    let parts = id
        .split_once('.')
        .filter(|(_, word)| !word.is_empty() && !word.contains(['.', ' ']));
    parts.is_some_and(|(family, _)| Rule::ALL.iter().any(|rule| rule.family() == family))
}

type Wrong = Box<(Problem, Option<String>)>;

struct Reader<'a> {
    typed: &'a str,
    words: &'a [Token],
    known: &'a Known<'a>,
}

impl Reader<'_> {
    fn mistyped(&self, problem: Problem, did_you_mean: Option<String>) -> Typed {
        Typed::Mistyped(Mistyped {
            input: self.typed.trim().chars().take(300).collect(),
            problem,
            did_you_mean,
        })
    }

    fn unknown_verb(&self, name: &str) -> Typed {
        let rest = |from: usize| {
            let words = self.words.iter().skip(from);
            words.fold(String::new(), |text, word| text + " " + &word.text)
        };
        let suggestion = if let Ok(key) = ReleaseKey::from_typed(name) {
            // `REL-789 approve`, or only the key.
            let verb = self
                .words
                .get(1)
                .and_then(|word| verbs::find(&tidy(&word.text).to_lowercase()));
            Some(verb.map_or_else(
                || format!("status {key}"),
                |verb| format!("{} {key}{}", verb.name, rest(2)),
            ))
        } else {
            nearest(name, verbs::VERBS.iter().map(|entry| entry.name)).map(|verb| format!("{verb}{}", rest(1)))
        };
        let word = self.words.first().map_or_else(String::new, |word| word.text.clone());
        self.mistyped(Problem::UnknownVerb(word), suggestion)
    }

    fn read(&self, entry: &'static Entry) -> Result<Typed, Wrong> {
        let key = || self.key(entry);
        let only_key = || key().and_then(|key| self.end(entry, 2).map(|()| key));
        Ok(match entry.verb {
            Verb::Plan => self.plan(entry)?,
            Verb::Hotfix => self.hotfix(entry)?,
            Verb::Status if self.words.len() == 1 => Typed::Status { key: None },
            Verb::Status => Typed::Status { key: Some(only_key()?) },
            Verb::List => {
                self.end(entry, 2)?;
                let service = self
                    .words
                    .get(1)
                    .map(|word| self.service(entry, &word.text))
                    .transpose()?;
                Typed::List { service }
            }
            Verb::Why => Typed::Why { key: only_key()? },
            Verb::Audit => Typed::Audit { key: only_key()? },
            Verb::Deploy => Typed::Deploy { key: only_key()? },
            Verb::Stop => Typed::Stop { key: only_key()? },
            Verb::Approve => Typed::Approve {
                key: key()?,
                role: self.role(entry)?,
            },
            Verb::Reject => Typed::Reject {
                key: key()?,
                reason: self.rest(),
            },
            Verb::Attest => Typed::Attest {
                key: key()?,
                role: self.role(entry)?,
            },
            Verb::Waive => {
                let key = key()?;
                self.end(entry, 3)?;
                let rule = self.words.get(2).map(|word| rule(&word.text)).transpose()?;
                Typed::Waive { key, rule }
            }
            // A slip in a rule must not take the sign-off back.
            Verb::Withdraw if self.words.get(2).is_some_and(|word| looks_like_a_rule(&word.text)) => {
                let (key, rule) = (key()?, rule(&self.words[2].text)?);
                self.end(entry, 3)?;
                Typed::TakeBack { key, rule }
            }
            Verb::Withdraw => Typed::Withdraw {
                key: key()?,
                reason: self.rest(),
            },
            Verb::Cancel => Typed::Cancel {
                key: key()?,
                reason: self.rest(),
            },
            Verb::Commit => {
                let key = key()?;
                self.end(entry, 3)?;
                let typed = self.words.get(2).map_or("", |word| word.text.as_str());
                let sha = CommitSha::new(tidy(typed).to_lowercase());
                let sha = sha.map_err(|_| Box::new((Problem::NotACommit(typed.to_owned()), None)))?;
                Typed::Commit { key, sha }
            }
            Verb::Help => {
                let topic = self
                    .words
                    .get(1)
                    .and_then(|word| verbs::find(&tidy(&word.text).to_lowercase()));
                Typed::Help { topic }
            }
            Verb::Later => Typed::NotYet { verb: entry },
        })
    }

    /// The key, which comes second.
    fn key(&self, entry: &'static Entry) -> Result<ReleaseKey, Wrong> {
        let Some(word) = self.words.get(1) else {
            let suggestion = match self.known.keys {
                [only] => Some(format!("{} {only}", entry.name)),
                _ => None,
            };
            return Err(Box::new((Problem::KeyMissing(entry), suggestion)));
        };
        ReleaseKey::from_typed(&word.text).map_err(|_| {
            // `approve qa_lead REL-789`, `approve REL 789`, `approve 789`
            let later = self
                .words
                .iter()
                .skip(2)
                .find_map(|word| ReleaseKey::from_typed(&word.text).ok());
            let glued = self
                .words
                .get(2)
                .and_then(|next| ReleaseKey::from_typed(&format!("{}-{}", word.text, next.text)).ok());
            let by_number = self
                .known
                .keys
                .iter()
                .find(|key| key.as_str().split_once('-').is_some_and(|(_, n)| n == word.text));
            let near = nearest(&word.text, self.known.keys.iter().map(ReleaseKey::as_str));
            let meant = later
                .or(glued)
                .map(|key| key.to_string())
                .or_else(|| by_number.map(ToString::to_string));
            let suggestion = meant
                .or_else(|| near.map(str::to_owned))
                .map(|key| format!("{} {key}", entry.name));
            Box::new((Problem::NotAKey(entry, word.text.clone()), suggestion))
        })
    }

    /// Nothing may follow from the word `at` on.
    fn end(&self, entry: &'static Entry, at: usize) -> Result<(), Wrong> {
        match self.words.get(at) {
            None => Ok(()),
            Some(extra) => {
                let meant: Vec<&str> = self.words[..at].iter().map(|word| word.text.as_str()).collect();
                Err(Box::new((
                    Problem::TooMany(entry, extra.text.clone()),
                    Some(meant.join(" ")),
                )))
            }
        }
    }

    fn service(&self, entry: &'static Entry, typed: &str) -> Result<ServiceName, Wrong> {
        let name = tidy(typed).to_lowercase();
        let services = self.known.services;
        match ServiceName::new(name.clone()) {
            Ok(service) if services.is_empty() || services.contains(&service) => Ok(service),
            _ => {
                let near = nearest(&name, services.iter().map(ServiceName::as_str));
                let suggestion = near.map(|service| {
                    let words = self
                        .words
                        .iter()
                        .map(|word| if word.text == typed { service } else { &word.text });
                    words.collect::<Vec<_>>().join(" ")
                });
                let suggestion = suggestion.map(|text| text.replacen(&self.words[0].text, entry.name, 1));
                Err(Box::new((Problem::NotAService(typed.to_owned()), suggestion)))
            }
        }
    }

    /// Key, service and version in any order: their shapes tell them apart.
    fn plan(&self, entry: &'static Entry) -> Result<Typed, Wrong> {
        let (mut key, mut service, mut version) = (None, None, None);
        for word in &self.words[1..] {
            if let Ok(found) = Version::from_typed(&word.text)
                && version.is_none()
            {
                version = Some(found);
            } else if let Ok(found) = ReleaseKey::from_typed(&word.text)
                && key.is_none()
                && !self.is_service(&word.text)
            {
                key = Some(found);
            } else if looks_like_version(&word.text) && version.is_none() {
                return Err(Box::new((Problem::NotAVersion(word.text.clone()), None)));
            } else if service.is_none() {
                service = Some(self.service(entry, &word.text)?);
            } else {
                return Err(Box::new((Problem::TooMany(entry, word.text.clone()), None)));
            }
        }
        Ok(Typed::Plan { key, service, version })
    }

    fn hotfix(&self, entry: &'static Entry) -> Result<Typed, Wrong> {
        self.end(entry, 3)?;
        let Typed::Plan {
            key: None,
            service,
            version,
        } = self.plan(entry)?
        else {
            let key = self.words[1..]
                .iter()
                .find(|word| ReleaseKey::from_typed(&word.text).is_ok());
            let key = key.map_or_else(String::new, |word| word.text.clone());
            return Err(Box::new((Problem::NotAService(key), None)));
        };
        Ok(Typed::Hotfix { service, version })
    }

    fn is_service(&self, typed: &str) -> bool {
        self.known.services.iter().any(|service| service.as_str() == typed)
    }

    /// The role of `approve KEY [ROLE]`, in one word or two.
    fn role(&self, _: &'static Entry) -> Result<Option<Role>, Wrong> {
        let typed: Vec<String> = self
            .words
            .iter()
            .skip(2)
            .map(|word| tidy(&word.text).to_lowercase())
            .collect();
        if typed.is_empty() {
            return Ok(None);
        }
        let typed = typed.join(" ");
        role(&typed).map(Some).ok_or_else(|| {
            let titles = ["product owner", "qa lead", "cto", "tech lead"];
            let key = &self.words[1].text;
            let suggestion = nearest(&typed, titles).map(|title| format!("approve {key} {title}"));
            Box::new((Problem::NotARole(typed.clone()), suggestion))
        })
    }

    /// Everything behind the key, as it was written.
    fn rest(&self) -> Option<String> {
        let start = self.words.get(2)?.start;
        Some(free_text(&self.typed[start..])).filter(|text| !text.trim().is_empty())
    }
}

/// A role as people type it.
pub fn role(typed: &str) -> Option<Role> {
    let key = typed.trim().trim_start_matches("as ").replace([' ', '-'], "_");
    match key.as_str() {
        "po" | "product" => Some(Role::ProductOwner),
        "qa" => Some(Role::QaLead),
        "tl" | "tech" => Some(Role::TechLead),
        "deputy" => Some(Role::Cto),
        key => Role::from_key(key)
            .filter(|role| matches!(role, Role::ProductOwner | Role::QaLead | Role::Cto | Role::TechLead)),
    }
}

fn looks_like_version(word: &str) -> bool {
    let word = word.trim_start_matches(['v', 'V']);
    word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains(' ')
}
