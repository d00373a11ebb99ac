//! Asking for a hotfix: the short form of clause 3.4.

use crate::slack::blocks::{context, section};
use crate::slack::cards::{skipped_until, skipped_words};
use crate::slack::gates::rule_ref;
use crate::slack::modals::inputs::{Input, commit, form};
use crate::slack::modals::read::{ReadError, Reader};
use crate::slack::modals::{Form, ServiceChoice, SlackUser};
use crate::slack::payload::FormView;
use crate::slack::time::span;
use crate::slack::view::Names;
use domain::ids::{CommitSha, PersonId, ReleaseKey, ServiceName, Version};
use domain::policy::{Policy, TechLeadMode};
use domain::rule::Rule;
use serde_json::Value;
use std::collections::BTreeSet;

/// What stands in the form when it opens, and whom it names.
#[derive(Debug, Clone)]
pub struct HotfixPrefill<'a> {
    /// What is mended.
    pub service: Option<ServiceName>,
    /// Which version.
    pub version: Option<Version>,
    /// Who is CTO, as far as known.
    pub ctos: &'a [PersonId],
    /// How people are called.
    pub names: Names<'a>,
    /// The policy in force.
    pub policy: &'a Policy,
}

/// A hotfix as it was filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotfixFields {
    /// What is mended.
    pub service: ServiceName,
    /// Which version.
    pub version: Version,
    /// Why it can't wait.
    pub justification: String,
    /// Who wrote the commits.
    pub authors: BTreeSet<SlackUser>,
    /// The hotfix's own ticket, if it has one; else the next free `HOTFIX-n` names it.
    pub ticket: Option<ReleaseKey>,
    /// Other tickets in it.
    pub tickets: BTreeSet<ReleaseKey>,
    /// The full commit, if typed.
    pub commit: Option<CommitSha>,
}

/// The form.
pub fn hotfix(prefill: &HotfixPrefill<'_>, services: &[ServiceChoice]) -> Value {
    let mut blocks = vec![
        section(&who_is_asked(prefill)),
        Input::service(services, prefill.service.as_ref()).build(),
        Input::line("version", "Version", prefill.version.as_ref().map(Version::tag).unwrap_or_default().as_str())
            .hint("Its Git tag has the same name, such as v1.4.1.")
            .build(),
        Input::lines("justification", "Why can't it wait?", "")
            .hint("What is broken, for whom, since when; at least 20 characters. The signers decide on it, all teams read it, and it stays on the record.")
            .build(),
        Input::people("authors", "Authors of the commits", &[]).hint("Nobody who wrote it or asked for it can sign it.").build(),
        Input::line("ticket", "Ticket of this hotfix", "")
            .optional()
            .hint("Such as PAY-201; without one it is called HOTFIX-1, HOTFIX-2 …")
            .build(),
        Input::line("tickets", "Other tickets in it", "").optional().hint("Such as PAY-201, PAY-202.").build(),
        commit(services, ""),
    ];
    let service = prefill
        .service
        .as_ref()
        .or_else(|| services.first().map(|choice| &choice.name));
    let skipped = service.map(|service| skipped_words(prefill.policy, service));
    let skipped = skipped.map(|words| skipped_until(&words, "a tech lead", "the next working day 17:00"));
    blocks.extend(skipped.map(|text| context(&text)));
    form(Form::Hotfix, "Ask for a hotfix", "Ask for it", "", &blocks)
}

fn who_is_asked(prefill: &HotfixPrefill<'_>) -> String {
    let cto = if prefill.ctos.is_empty() {
        "the CTO".to_owned()
    } else {
        format!("{} (CTO)", prefill.names.mentions(prefill.ctos, "or"))
    };
    let wait = span(prefill.policy.tech_lead_wait_ms);
    let tech_lead = match prefill.policy.tech_lead_mode {
        TechLeadMode::Block => "It starts once both have signed.".to_owned(),
        TechLeadMode::BlockThenOwe => format!(
            "If the tech lead says nothing for {wait}, it starts without, and that sign-off is owed afterwards."
        ),
        TechLeadMode::Owe => "It does not wait for the tech lead, whose sign-off is owed afterwards.".to_owned(),
    };
    format!(
        "Once the tag is read, {cto} and the service's tech leads are asked at once. *The CTO's click starts the deployment*, with no further command. {tech_lead} Without the CTO nothing starts ({}).",
        rule_ref(Rule::SignoffCto)
    )
}

/// What was filled in.
///
/// # Errors
/// Every problem at its input.
pub fn read_hotfix(form: &FormView, services: &[ServiceChoice]) -> Result<HotfixFields, ReadError> {
    let mut reader = Reader::new(form);
    let (service, version) = (reader.service(services), reader.version());
    let (justification, authors) = (reader.justification(), reader.authors());
    let (ticket, tickets) = (reader.optional_key("ticket"), reader.tickets("tickets", false));
    let commit = reader.commit(service.as_ref(), services);
    let build = || {
        Some(HotfixFields {
            service: service?,
            version: version?,
            justification: justification?,
            authors: authors?,
            ticket,
            tickets: tickets?,
            commit,
        })
    };
    let fields = build();
    reader.finish(fields)
}
