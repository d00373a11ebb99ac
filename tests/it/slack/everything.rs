//! Renders every message and form over every state, role and odd text, and holds each against Slack's limits.

use super::limits::{check_form, check_markup, check_message};
use super::samples::{PEOPLE, Sample, every_state, key, odd_texts, person};
use countersign::slack::modals::{self, Form, HotfixPrefill, PlanPrefill, ServiceChoice};
use countersign::slack::parse::{Known, Typed, parse};
use countersign::slack::texts::refusal::Attempted;
use countersign::slack::texts::replies::{ChannelProblem, Instead};
use countersign::slack::texts::{help, lists, refusal, replies};
use countersign::slack::{buttons::ButtonValue, cards, mail, question, rejection, releases, story, verbs};
use domain::command::Actor;
use domain::event::{Event, NoticeStep, SourceProblem};
use domain::ids::{ReleaseKey, ServiceName};
use domain::intents::authority::Ask;
use domain::people::Standing;
use domain::policy::Policy;
use domain::refusal::{Cause, Refusal};
use domain::release::{OwnPart, Status};
use domain::role::Role;
use domain::rule::Rule;
use std::collections::BTreeSet;

const ASKED: [(Role, &str); 5] = [
    (Role::ProductOwner, "priya"),
    (Role::QaLead, "quinn"),
    (Role::Cto, "cleo"),
    (Role::Cto, "vera"),
    (Role::TechLead, "theo"),
];

fn every_message(name: &str, sample: &Sample) {
    let view = sample.view();
    check_message(&format!("{name}-card"), &cards::card(&view));
    let mut shared = view;
    (shared.can_have_buttons, shared.dead_jobs) = (false, 3);
    let card = cards::card(&shared);
    check_message(&format!("{name}-card-shared"), &card);
    assert!(
        !card.blocks.to_string().contains("\"button\""),
        "{name}: buttons in a shared channel"
    );
    for (role, who) in ASKED {
        if !domain::rules::sign_off::roles_of(view.release.kind).contains(&role) {
            continue;
        }
        let current = view.release.revision;
        for revision in [current, current + 1] {
            let question = question::question(&view, role, &person(who), revision);
            check_message(&format!("{name}-question-{who}-{}", revision - current), &question);
            let has_buttons = question.blocks.to_string().contains("\"button\"");
            assert!(
                !(has_buttons && revision != current && !owes(&view, role)),
                "{name}: buttons on a superseded copy"
            );
            let signed = view.release.sign_offs.contains_key(&role) || view.release.rejections.contains_key(&role);
            let is_over = matches!(view.release.status, Status::Cancelled | Status::Drafted);
            assert!(
                !(has_buttons && (signed || is_over)),
                "{name}: buttons on a decided copy"
            );
        }
    }
    for attempt in 1..=2 {
        check_message(&format!("{name}-notice-{attempt}"), &releases::notice(&view, attempt));
        check_message(&format!("{name}-outcome-{attempt}"), &releases::outcome(&view, attempt));
        check_message(&format!("{name}-breach-{attempt}"), &releases::breach(&view, attempt));
        let (subject, body) = mail::mail_notice(&view, attempt);
        assert!(
            !subject.contains('\n') && subject.len() < 200 && !body.contains('\0'),
            "{name}: {subject}"
        );
        for step in NoticeStep::ALL {
            let summary = mail::page_summary(&view, attempt, step);
            assert!(
                !summary.contains('\n') && summary.contains(view.release.key.as_str()),
                "{name}: {summary}"
            );
        }
    }
    for (at, (event, at_ms)) in sample.told.iter().enumerate() {
        for lifts in [false, true] {
            check_message(
                &format!("{name}-story-{at}-{lifts}"),
                &story::story(&view, event, &Actor::Countersign, *at_ms, lifts),
            );
        }
        check_message(
            &format!("{name}-done-{at}"),
            &replies::done(Some(view.release), &view, std::slice::from_ref(event)),
        );
    }
    check_message(&format!("{name}-done-nothing"), &replies::done(None, &view, &[]));
    for (role, no) in &view.release.rejections {
        for reader in ["rita", "gus", "ann"] {
            let told = rejection::rejection(&view, *role, no, &person(reader));
            check_message(&format!("{name}-rejection-{role}-{reader}"), &told);
        }
    }
    check_message(&format!("{name}-status"), &lists::status(&view));
    check_message(&format!("{name}-why"), &lists::why(&view));
    let actor = Actor::Person(person("rita"));
    let lines: Vec<_> = sample
        .told
        .iter()
        .zip(1..)
        .map(|((event, at_ms), number)| lists::AuditLine {
            number,
            at_ms: *at_ms,
            actor: &actor,
            event,
            reason: story::reason(event).map(|digest| view.text(digest)),
            lifts: true,
            repeats: number as u64 % 3,
        })
        .collect();
    let head = lists::Head {
        number: 4_000,
        position: 52_210,
        hash: "0123456789abcdef",
    };
    let many: Vec<_> = lines.iter().cycle().take(30).cloned().collect();
    check_message(
        &format!("{name}-audit"),
        &lists::audit(view.release, view.names, &many, 4_000, Some(head)),
    );
    every_form(name, sample);
    every_checklist(name, sample);
}

fn owes(view: &countersign::slack::view::View<'_>, role: Role) -> bool {
    view.release
        .open_debts()
        .any(|(rule, _)| rule == domain::rules::sign_off::rule_of(role))
}

fn every_cause(sample: &Sample) -> Vec<Cause> {
    let mut causes = vec![
        Cause::FactsUnavailable,
        Cause::NotInRole,
        Cause::NoSuchRelease,
        Cause::KeyTaken,
        Cause::NoSuchService,
        Cause::OwnRelease(OwnPart::Requester),
        Cause::OwnRelease(OwnPart::Author),
        Cause::AlreadySigned,
        Cause::SignedAnotherRole(Role::Cto),
        Cause::ChooseRole(BTreeSet::from([Role::Cto, Role::TechLead])),
        Cause::NothingSigned,
        Cause::StaleView,
        Cause::SlotOver,
        Cause::Incomplete(vec![
            ("scope", "say it in words"),
            ("abort_criteria", "say it in words"),
        ]),
        Cause::JustificationTooShort(7),
        Cause::SourceUnknown(None),
        Cause::SourceUnknown(Some(SourceProblem::TagMissing)),
        Cause::GatesUnmet(sample.gates.iter().filter(|gate| gate.holds_start()).cloned().collect()),
        Cause::EnvironmentBusy {
            service: sample.release().service.clone(),
            holder: key("REL-780"),
        },
        Cause::AttemptMoved(3),
        Cause::Outdated,
    ];
    let standings = [
        Standing::Deactivated,
        Standing::Bot,
        Standing::Guest,
        Standing::Outsider,
        Standing::Unknown,
        Standing::Active,
    ];
    causes.extend(standings.map(Cause::Standing));
    causes.extend(Status::ALL.map(Cause::Status));
    causes
}

fn every_refusal(name: &str, sample: &Sample, asks: &[Ask]) {
    let view = sample.view();
    let known = [key("REL-789"), key("REL-790")];
    for ask in asks.iter().copied() {
        for cause in every_cause(sample) {
            let word = cause.word();
            let rule = Rule::SignoffQaLead;
            let people = vec![person("quinn"), person("nobody")];
            let refused = Refusal::new(rule, cause)
                .for_roles(&[Role::QaLead], people)
                .until(view.now_ms + 60_000);
            for release in [Some(view.release), None] {
                let attempted = Attempted {
                    ask,
                    key: Some(&view.release.key),
                    release,
                    names: view.names,
                    texts: view.texts,
                    known: &known,
                    time_zone: "Europe/Berlin",
                };
                let rendered = refusal::refusal(&refused, &attempted);
                let all = format!("{} {}", rendered.text, rendered.blocks);
                // Where there is nothing, no rule forbids it.
                assert!(
                    word == "no_such_release" || all.contains("signoff.qa-lead") && all.contains("2.1, 4.5"),
                    "{word}: no rule in {all}"
                );
                assert!(
                    rendered.text.contains("Nothing was changed."),
                    "{word}: {}",
                    rendered.text
                );
                assert!(rendered.blocks.to_string().contains("Nothing was changed."), "{word}");
                assert!(
                    rendered.text.contains(view.release.key.as_str()),
                    "{word}: {}",
                    rendered.text
                );
                let kept = if release.is_some() { "" } else { "-unknown" };
                let file = if ask == Ask::SignPlanned {
                    format!("{name}-refusal-{word}{kept}")
                } else {
                    "other-refusals".to_owned()
                };
                check_message(&file, &rendered);
            }
        }
    }
}

fn instead<'a>(typed: &str, key: &'a ReleaseKey) -> Vec<Instead<'a>> {
    let mut all = vec![Instead::Plan(typed.to_owned()), Instead::Hotfix(typed.to_owned())];
    all.extend([Form::Reject, Form::Withdraw, Form::Cancel].map(|form| Instead::Reason(form, key)));
    all
}

fn services() -> Vec<ServiceChoice> {
    [("payments", true), ("ledger", false)]
        .map(|(name, has_repository)| ServiceChoice {
            name: ServiceName::new(name).unwrap(),
            has_repository,
        })
        .to_vec()
}

/// The checklists and waivers of a release that is held to the whole procedure.
fn every_checklist(name: &str, sample: &Sample) {
    let mut sample = sample.clone();
    sample.policy = Policy::default();
    let sample = sample.judged();
    let view = sample.view();
    check_message(&format!("{name}-card-procedure"), &cards::card(&view));
    check_message(&format!("{name}-why-procedure"), &lists::why(&view));
    for role in Role::ALL {
        let who = person("olga");
        if modals::has_checklist(&view, role, &who) {
            check_form(
                &format!("{name}-form-attest-{role}"),
                &modals::attest(&view, role, &who),
            );
        }
        let gates = modals::to_waive(&view, &[role]);
        if !gates.is_empty() {
            check_form(
                &format!("{name}-form-waive-{role}"),
                &modals::waive(&view, &gates, None),
            );
        }
    }
    check_message(
        &format!("{name}-choose-checklist"),
        &replies::choose_checklist(&view, &Role::ALL),
    );
    check_message(
        &format!("{name}-nothing-to-confirm"),
        &replies::nothing_to_confirm(&view),
    );
    check_message(&format!("{name}-nothing-to-waive"), &replies::nothing_to_waive(&view));
}

fn every_form(name: &str, sample: &Sample) {
    let view = sample.view();
    check_form(
        &format!("{name}-form-plan-edit"),
        &modals::plan(&PlanPrefill::of(&view), &services()),
    );
    for role in [None, Some(Role::TechLead), Some(Role::QaLead)] {
        let mut value = ButtonValue::on(view.release);
        value.role = role;
        let role = role.map_or("none", Role::key);
        check_form(&format!("{name}-form-reject-{role}"), &modals::reject(&view, &value));
        check_form(
            &format!("{name}-form-withdraw-{role}"),
            &modals::withdraw(&view, &value),
        );
        check_form(&format!("{name}-form-cancel-{role}"), &modals::cancel(&view, &value));
    }
}

#[test]
fn every_message_and_form_keeps_slacks_limits_in_every_state_with_every_odd_text() {
    for (odd, text) in odd_texts() {
        for sample in every_state(&text, 2, 6) {
            every_message(&format!("{odd}-{}", sample.name), &sample);
        }
    }
}

#[test]
fn every_refusal_names_its_rule_and_clause_and_keeps_the_limits() {
    for sample in [
        Sample::planned("plain", 1, 1).asked(),
        Sample::hotfix("plain", 1, 1).asked(),
    ] {
        every_refusal(&sample.name, &sample, &Ask::ALL);
    }
    for (odd, text) in odd_texts() {
        for sample in every_state(&text, 2, 2)
            .iter()
            .filter(|sample| sample.name.contains("reject") || sample.name.contains("objection"))
        {
            every_refusal(
                &format!("{odd}-{}", sample.name),
                sample,
                &[Ask::SignPlanned, Ask::RejectHotfix],
            );
        }
    }
}

#[test]
fn fifty_authors_and_a_hundred_tickets_fit_and_strangers_have_no_mention() {
    for sample in every_state("many", 50, 100) {
        every_message(&format!("many-{}", sample.name), &sample);
    }
    for mut sample in every_state("nobody known, everything erased", 3, 3) {
        sample.mentions.clear();
        sample.plain.clear();
        sample.texts.clear();
        every_message(&format!("erased-{}", sample.name), &sample);
    }
    for mut sample in every_state("hostile ids", 1, 1) {
        for id in sample.mentions.values_mut() {
            "U1> <!channel".clone_into(id);
        }
        every_message(&format!("hostile-{}", sample.name), &sample);
    }
}

#[test]
fn every_answer_that_needs_no_release_keeps_the_limits() {
    check_message("help", &help::help(None));
    for entry in verbs::VERBS {
        check_message(&format!("help-{}", entry.name), &help::help(Some(entry)));
        check_message(&format!("not-yet-{}", entry.name), &help::not_yet(entry));
    }
    let services = [ServiceName::new("payments").unwrap()];
    let known = Known {
        keys: &[key("REL-789")],
        services: &services,
    };
    let odd = odd_texts();
    let slips = [
        "aprove REL-789",
        "approve",
        "approve x",
        "plan pay",
        "plan REL-1 payments v1.x",
        "deploy REL-1 now",
        "commit REL-1 abc",
        "approve REL-1 boss",
    ];
    let all = slips
        .iter()
        .map(|slip| (*slip).to_owned())
        .chain(odd.iter().flat_map(|(_, text)| {
            ["", "approve ", "list ", "approve REL-1 ", "deploy REL-1 ", "plan "].map(|verb| format!("{verb}{text}"))
        }));
    for (at, typed) in all.enumerate() {
        if let Typed::Mistyped(slip) = parse(&typed, &known) {
            check_message(&format!("mistyped-{at}"), &help::mistyped(&slip));
        }
    }
    for (name, text) in odd {
        for (at, instead) in instead(&text, &key("REL-789")).iter().enumerate() {
            check_message(
                &format!("late-form-{at}-{name}"),
                &replies::form_not_opened(instead, at == 0),
            );
        }
        check_message(&format!("error-{name}"), &replies::internal_error(&text));
        check_message(&format!("newer-{name}"), &replies::newer(None));
        check_message(&format!("busy-{name}"), &replies::busy(&text));
        check_message(
            &format!("channel-{name}"),
            &replies::releases_channel_unusable(&ChannelProblem::NotLookedAt(text)),
        );
    }
    for problem in [ChannelProblem::Archived, ChannelProblem::NotAMember] {
        check_message(
            &format!("channel-{problem:?}"),
            &replies::releases_channel_unusable(&problem),
        );
    }
    let some = key("REL-789");
    for key in [None, Some(&some)] {
        let name = key.map_or("none", |key| key.as_str());
        check_message(&format!("duplicate-{name}"), &replies::duplicate(key));
        check_message(&format!("working-{name}"), &replies::working(key));
        check_message(&format!("not-known-yet-{name}"), &replies::not_known_yet(key));
    }
    check_message("unreadable", &replies::unreadable());
    check_message("retired", &replies::retired_copy());
    check_message("lost", &replies::of_lost_history(&key("REL-789")));
    check_message("outsider", &refusal::outsider());
    for services in [&[][..], &services[..]] {
        let samples = every_state("listed", 1, 1);
        let releases: Vec<_> = samples.iter().map(Sample::release).collect();
        check_message(
            &format!("list-{}", services.len()),
            &lists::list(&releases, services.first(), services, 2, 0),
        );
        check_message(
            &format!("list-empty-{}", services.len()),
            &lists::list(&[], services.first(), services, 0, 3),
        );
    }
}

#[test]
fn the_forms_that_open_empty_keep_the_limits() {
    let sample = Sample::hotfix("x", 1, 1);
    let view = sample.view();
    let ctos = [person("cleo")];
    for (name, ctos) in [("known", &ctos[..]), ("unknown", &[])] {
        let prefill = HotfixPrefill {
            service: None,
            version: None,
            ctos,
            names: view.names,
            policy: view.policy,
        };
        check_form(&format!("form-hotfix-{name}"), &modals::hotfix(&prefill, &services()));
        check_form(
            &format!("form-hotfix-{name}-no-services"),
            &modals::hotfix(&prefill, &[]),
        );
    }
    check_form(
        "form-plan",
        &modals::plan(&PlanPrefill::new(None, None, None, view.now_ms), &services()),
    );
    let prefill = PlanPrefill::new(
        Some(key("ABCDEFGHIJ-123456789")),
        Some(services()[0].name.clone()),
        None,
        i64::MAX,
    );
    check_form("form-plan-typed", &modals::plan(&prefill, &services()));
    let many: Vec<ServiceChoice> = (0..120)
        .map(|n| ServiceChoice {
            name: ServiceName::new(format!("service-{n}")).unwrap(),
            has_repository: n % 2 == 0,
        })
        .collect();
    check_form("form-plan-many-services", &modals::plan(&prefill, &many));
    check_form("form-plan-hundred-services", &modals::plan(&prefill, &many[..100]));
}

#[test]
fn every_event_has_a_sentence_without_foreign_markup() {
    for sample in every_state("x", 2, 2) {
        for (event, _) in &sample.told {
            let sentence = story::sentence(event, &Actor::Countersign, sample.release(), sample.view().names);
            assert!(
                sentence.ends_with('.') && sentence != "Something was recorded.",
                "{event:?}: {sentence}"
            );
            check_markup("sentence", &sentence);
        }
    }
    let sample = Sample::planned("x", 1, 1);
    let refused = Event::CommandRefused {
        release: key("REL-789"),
        intent: "<!channel>".to_owned(),
        rule: Rule::SignoffQaLead,
        cause: "own_release".to_owned(),
    };
    let sentence = story::sentence(
        &refused,
        &Actor::Person(person("rita")),
        sample.release(),
        sample.view().names,
    );
    assert!(
        sentence.contains("<@U0RITA>") && sentence.contains("signoff.qa-lead"),
        "{sentence}"
    );
    check_markup("refused", &sentence);
    assert_eq!(PEOPLE.len(), 11);
}
