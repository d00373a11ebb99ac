//! What a text may say only under a condition: who was really asked, what really follows, what nobody looked at.

use super::facts::{all, buttons, holds, lacks};
use super::samples::{NOW, Sample, key, person};
use countersign::slack::texts::refusal::{Attempted, refusal};
use countersign::slack::texts::{help, lists, replies};
use countersign::slack::view::Ways;
use countersign::slack::{binding, cards, mail, modals, question, releases, unchecked, verbs};
use domain::event::{Event, NoticeStep};
use domain::fingerprint::Field;
use domain::ids::{HOUR_MS, MINUTE_MS, Version};
use domain::intents::authority::Ask;
use domain::policy::{Policy, TechLeadMode};
use domain::refusal::{Cause, Refusal};
use domain::release::{AttemptResult, NotStarted};
use domain::role::Role;
use domain::rule::{Effect, Judged, Rule};
use domain::rules::gates::GateState;
use std::collections::BTreeSet;

fn hotfix() -> Sample {
    Sample::hotfix("card payments fail", 1, 1)
}

fn ask(sample: &Sample, role: Role, who: &str) -> countersign::slack::blocks::Rendered {
    question::question(&sample.view(), role, &person(who), sample.release().revision)
}

/// A start that the last sign-off asked for: nobody spoke to the engineer.
fn queued_by_sign_off(sample: Sample) -> Sample {
    sample.then(Event::DeploymentRequested {
        attempt: 1,
        fence: 1,
        by: None,
        engineer: Some(person("dev")),
    })
}

fn deployed(mut sample: Sample, version: &str) -> Sample {
    let environment = sample.release().environment.clone();
    let state = sample.case.service.environments.entry(environment).or_default();
    state.deployed = Some(Version::new(version).unwrap());
    sample.judged()
}

fn held(mut sample: Sample) -> Sample {
    let environment = sample.release().environment.clone();
    let state = sample.case.service.environments.entry(environment).or_default();
    state.holder = Some(domain::service::Holder {
        release: key("REL-780"),
        attempt: 1,
    });
    sample.judged()
}

fn refused(sample: &Sample, ask: Ask, cause: Cause, roles: &[Role], people: &[&str]) -> String {
    let view = sample.view();
    let people = people.iter().map(|name| person(name)).collect();
    let refused = Refusal::new(Rule::DeployStart, cause).for_roles(roles, people);
    let attempted = Attempted {
        ask,
        key: Some(&view.release.key),
        release: Some(view.release),
        names: view.names,
        texts: view.texts,
        known: &[],
        time_zone: "UTC",
    };
    refusal(&refused, &attempted).text
}

#[test]
fn the_button_that_signs_is_called_by_what_it_does() {
    let planned = cards::card(&Sample::planned("x", 1, 1).asked().view());
    assert_eq!(buttons(&planned)[0], "Approve");
    assert!(!planned.blocks.to_string().contains("\"confirm\""));
    let asking = cards::card(&hotfix().asked().view());
    assert_eq!(buttons(&asking)[0], "Approve hotfix");
    let blocks = asking.blocks.to_string();
    assert!(
        blocks.contains("If nothing else is missing then, this deploys payments v1.4.1 to production at once."),
        "{blocks}"
    );
    let owing = hotfix()
        .asked()
        .signed(Role::Cto, "cleo")
        .queued()
        .started()
        .indebted()
        .ended(AttemptResult::Succeeded);
    let owing = cards::card(&owing.view());
    assert_eq!(buttons(&owing), ["Give the owed sign-off"]);
    assert!(!owing.blocks.to_string().contains("\"confirm\""));
}

#[test]
fn an_approved_hotfix_does_not_claim_to_start_by_itself() {
    let failed = hotfix().approved().queued().started().ended(AttemptResult::Failed(3));
    let why = lists::why(&failed.view());
    holds(
        &why,
        &[
            "does not start by itself any more",
            "/release deploy HOTFIX-3",
            "the sign-offs end",
            "21:00 CET",
        ],
    );
    let held = ask(
        &held(hotfix().asked().signed(Role::TechLead, "theo")),
        Role::Cto,
        "cleo",
    );
    holds(
        &held,
        &[
            "But REL-780 holds production of payments (deploying, or its outcome is not settled)",
            "`/release status REL-780` says which",
            "a deployment engineer has to start it afterwards",
        ],
    );
}

#[test]
fn a_card_that_waits_for_no_cto_any_more_does_not_ask_for_one() {
    let signed = cards::card(&hotfix().asked().signed(Role::Cto, "cleo").view());
    holds(&signed, &["It starts by itself as soon as nothing is missing."]);
    lacks(&signed, &["Nothing starts without the CTO"]);
    holds(
        &cards::card(&held(hotfix().asked()).view()),
        &["But REL-780 holds production", "/release deploy HOTFIX-3"],
    );
}

#[test]
fn an_engineer_whom_the_bot_named_is_not_said_to_watch() {
    let named = queued_by_sign_off(hotfix().approved()).started();
    for rendered in [cards::card(&named.view()), releases::notice(&named.view(), 1)] {
        holds(
            &rendered,
            &[
                "Deployment engineer: <@U0DEV> (named by Countersign; has not answered)",
                "/release stop HOTFIX-3",
            ],
        );
        lacks(&rendered, &["Watching"]);
    }
    let asked = releases::notice(&hotfix().approved().queued().started().view(), 1);
    lacks(&asked, &["named by Countersign"]);
}

#[test]
fn a_stale_no_is_not_told_to_approve() {
    let text = refused(
        &Sample::planned("x", 1, 1).asked(),
        Ask::RejectPlanned,
        Cause::StaleView,
        &[],
        &[],
    );
    assert!(
        text.contains("your no was not recorded")
            && text.contains("/release reject REL-789 \"reason\"")
            && !text.contains("approve"),
        "{text}"
    );
}

#[test]
fn who_settles_twice_hears_who_is_missing() {
    let sample = hotfix().approved().queued().started();
    let text = refused(&sample, Ask::Settle, Cause::AlreadySigned, &[Role::TechLead], &["theo"]);
    assert!(
        text.contains("you said so already; it counts once a second person says the same")
            && text.contains("<@U0THEO> can")
            && text.contains("Until then production of payments stays locked."),
        "{text}"
    );
}

#[test]
fn a_form_that_did_not_open_says_what_is_typed_instead() {
    let key = key("REL-789");
    for (instead, typed) in [
        (replies::Instead::Plan("REL-789".to_owned()), "`/release plan REL-789`"),
        (replies::Instead::Hotfix(String::new()), "`/release hotfix`"),
        (
            replies::Instead::Reason(modals::Form::Reject, &key),
            "`/release reject REL-789 \"reason\"`",
        ),
        (
            replies::Instead::Reason(modals::Form::Withdraw, &key),
            "`/release withdraw REL-789 \"reason\"`",
        ),
    ] {
        let failed = replies::form_not_opened(&instead, false).text;
        assert!(failed.contains(typed) && !failed.contains("3 seconds"), "{failed}");
        assert!(replies::form_not_opened(&instead, true).text.contains("3 seconds"));
    }
}

#[test]
fn a_way_that_is_not_configured_is_not_said_to_have_been_used() {
    let escalated = |ways| {
        let mut sample = NoticeStep::ALL
            .into_iter()
            .fold(hotfix().approved().queued().started(), |sample, step| {
                sample.then(Event::NoticeEscalated { attempt: 1, step })
            })
            .at(NOW + HOUR_MS + MINUTE_MS);
        sample.ways = ways;
        all(&releases::notice(&sample.view(), 1))
    };
    let none = escalated(Ways {
        mail: false,
        pager: false,
    });
    assert!(
        none.contains("no mail is configured, so nobody was mailed, no pager is configured, so nobody was rung."),
        "{none}"
    );
    let both = escalated(Ways {
        mail: true,
        pager: true,
    });
    assert!(
        both.contains("e-mail to all teams was asked for") && !both.contains("configured"),
        "{both}"
    );
}

#[test]
fn the_notice_says_who_stood_in_and_how_the_tech_lead_stands() {
    let owed = hotfix().asked().signed(Role::Cto, "vera").queued().started().indebted();
    holds(
        &releases::notice(&owed.view(), 1),
        &[
            "approved by <@U0VERA> (deputy of the CTO)",
            "The tech lead has not signed; owed by a tech lead until",
        ],
    );
    holds(&cards::card(&owed.view()), &["<@U0VERA> signed as deputy"]);
    let against = hotfix()
        .asked()
        .rejected(Role::TechLead, "theo")
        .signed(Role::Cto, "cleo");
    let against = against.queued().started();
    holds(
        &releases::notice(&against.view(), 1),
        &[
            "approved by <@U0CLEO> (CTO)",
            "The tech lead, <@U0THEO>, rejected it",
            "with that in view",
        ],
    );
    let (subject, body) = mail::mail_notice(&owed.view(), 1);
    assert!(
        subject.starts_with("[Release] HOTFIX payments v1.4.1: deployment to production started"),
        "{subject}"
    );
    assert!(
        body.contains("approved by Vera (deputy of the CTO)")
            && body.contains("the release manager (Rita) or the CTO (Cleo)")
            && body.contains("The tech lead has not signed"),
        "{body}"
    );
    let page = mail::page_summary(&owed.view(), 1, NoticeStep::AtRisk);
    assert!(page.contains("tell the teams by telephone now"), "{page}");
}

#[test]
fn a_notice_that_comes_after_the_end_says_how_it_ended() {
    for (result, word) in [
        (AttemptResult::Succeeded, "HOTFIX succeeded: payments v1.4.1"),
        (AttemptResult::Failed(3), "HOTFIX failed: payments v1.4.1"),
        (AttemptResult::TimedOut, "HOTFIX timed out: payments v1.4.1"),
    ] {
        let notice = releases::notice(&hotfix().approved().queued().started().ended(result).view(), 1);
        holds(&notice, &[word]);
        lacks(&notice, &["deploy nothing", "The result follows"]);
    }
}

#[test]
fn without_the_tech_lead_it_goes_as_the_mode_says() {
    let in_mode = |mode, minutes| {
        let mut sample = hotfix().asked();
        sample.policy.tech_lead_mode = mode;
        sample.at(NOW + minutes * MINUTE_MS)
    };
    for (mode, minutes, tech_lead, cto) in [
        (
            TechLeadMode::Block,
            0,
            "Without your answer it does not start.",
            "It starts when <@U0THEO> or <@U0TINA> signs, and not before.",
        ),
        (
            TechLeadMode::Owe,
            0,
            "It does not wait for your answer; without it the sign-off is owed within 24 h of the start.",
            "One click *deploys now*",
        ),
        (
            TechLeadMode::BlockThenOwe,
            1,
            "it goes on without it, and the sign-off is owed within 24 h of the start.",
            "at the latest",
        ),
        (
            TechLeadMode::BlockThenOwe,
            16,
            "It does not wait for your answer; without it the sign-off is owed within 24 h of the start.",
            "One click *deploys now*",
        ),
    ] {
        let sample = in_mode(mode, minutes);
        holds(&ask(&sample, Role::TechLead, "theo"), &[tech_lead]);
        holds(&ask(&sample, Role::Cto, "cleo"), &[cto]);
        let open = if minutes == 16 || mode == TechLeadMode::Owe {
            "WAITING FOR 1 SIGN-OFF"
        } else {
            "WAITING FOR 2 SIGN-OFFS"
        };
        let card = cards::card(&sample.view());
        holds(&card, &[open]);
        let at_once = "with it, it is deployed at once";
        assert_eq!(
            all(&card).contains(at_once),
            open == "WAITING FOR 1 SIGN-OFF",
            "{}",
            all(&card)
        );
    }
    // Owed and not holding: after a failed attempt the tech lead's word starts nothing.
    let failed = hotfix().asked().at(NOW + 16 * MINUTE_MS).signed(Role::Cto, "cleo");
    let failed = failed
        .then(Event::ReleaseApproved {})
        .queued()
        .started()
        .ended(AttemptResult::Failed(3));
    let asked = ask(&failed, Role::TechLead, "theo");
    holds(&asked, &["It starts nothing by itself", "/release deploy HOTFIX-3"]);
    assert_eq!(buttons(&asked)[0], "Approve v1.4.1");
}

#[test]
fn a_failed_deployment_names_the_way_back_and_the_way_on() {
    let failed = Sample::planned("x", 1, 1).approved().queued().started();
    let failed = deployed(failed, "1.3.9").ended(AttemptResult::Failed(3));
    holds(
        &releases::outcome(&failed.view(), 1),
        &[
            "/release deploy REL-789` until",
            "18:10 CET",
            "To go back: `/release hotfix payments v1.3.9`",
            "the database stays",
        ],
    );
    holds(&cards::card(&failed.view()), &["last success v1.3.9"]);
    let unmet = Sample::planned("x", 1, 1)
        .approved()
        .queued()
        .ended(AttemptResult::NotStarted(NotStarted::GateUnmet));
    let unmet = releases::outcome(&unmet.view(), 1);
    holds(&unmet, &["`/release why REL-789` names it"]);
    lacks(&unmet, &["To go back"]);
    for (verb, instead) in [
        ("rollback", "/release hotfix payments v1.3.9"),
        ("schedule", "/release plan KEY"),
        ("hold", "/release reject KEY"),
    ] {
        let text = help::not_yet(verbs::find(verb).unwrap()).text;
        assert!(text.contains(instead), "{text}");
    }
}

#[test]
fn an_older_version_than_the_deployed_one_is_pointed_out_to_whoever_judges_it() {
    let question =
        |sample: &Sample, role, who| question::question(&sample.view(), role, &person(who), sample.release().revision);
    for (last, is_older) in [("1.5.0", true), ("1.4.0", false), ("1.3.9", false)] {
        let planned = deployed(Sample::planned("refunds", 1, 1).asked(), last);
        let hotfix = deployed(hotfix().asked(), last);
        for message in [
            cards::card(&planned.view()),
            question(&planned, Role::ProductOwner, "priya"),
            question(&hotfix, Role::Cto, "cleo"),
        ] {
            let warning = format!("*older* than v{last}, deployed there last");
            if is_older {
                holds(&message, &[&warning]);
            } else {
                lacks(&message, &["*older*"]);
            }
        }
    }
}

#[test]
fn what_can_not_be_settled_here_is_said_under_what_is_owed() {
    let owing = hotfix().asked().signed(Role::Cto, "cleo").queued().started().indebted();
    holds(
        &cards::card(&owing.view()),
        &["settle them in your tickets; here they stay open"],
    );
    let one = hotfix().asked().then(Event::DebtIncurred {
        rules: BTreeSet::from([Rule::SignoffTechLead]),
        owed_by: Role::TechLead,
        due_ms: NOW,
    });
    lacks(&cards::card(&one.view()), &["here they stay open"]);
    holds(
        &cards::card(&hotfix().asked().view()),
        &[
            "Owed afterwards*, by a tech lead (<@U0THEO> or <@U0TINA>) until",
            "Tue 1 Dec 17:00 CET",
            "if it starts today",
        ],
    );
}

#[test]
fn the_breach_says_whether_the_notice_stands() {
    let breached = hotfix().approved().queued().started().at(NOW + HOUR_MS);
    let breached = breached.then(Event::NoticeBreached {
        attempt: 1,
        due_ms: NOW + HOUR_MS,
    });
    holds(&releases::breach(&breached.view(), 1), &["as soon as Slack takes it"]);
    let posted = breached.then(Event::NoticePosted {
        attempt: 1,
        channel: "C".to_owned(),
        ts: "1".to_owned(),
        verified_ms: NOW + HOUR_MS + MINUTE_MS,
    });
    holds(
        &releases::breach(&posted.view(), 1),
        &["The late notice stands above since"],
    );
}

#[test]
fn what_asks_again_is_the_whole_list() {
    let planned = Sample::planned("x", 1, 1).asked();
    let hotfix = hotfix().asked();
    for (sample, role, who) in [
        (&planned, Role::ProductOwner, "priya"),
        (&planned, Role::QaLead, "quinn"),
        (&hotfix, Role::Cto, "cleo"),
        (&hotfix, Role::TechLead, "theo"),
    ] {
        let text = all(&ask(sample, role, who));
        let (_, named) = text.split_once("a change of ").unwrap();
        for field in Field::ALL.into_iter().filter(|field| *field != Field::Target) {
            assert_eq!(
                named.contains(field.title()),
                field.concerns(role),
                "{field:?} for {role}: {named}"
            );
        }
    }
    assert_eq!(
        binding::of_plan(),
        "A change of kind, version or commit voids both sign-offs, of tickets, scope, dependencies, planned start (earlier, or \
         another day) or what users notice the product owner's, of migration class or what is waived the QA lead's, and they are asked again; of \
         length or expected outcome or abort criteria none"
    );
}

#[test]
fn the_audit_quotes_reasons_and_says_which_entry_the_hash_is_of() {
    let sample = Sample::planned("x", 1, 1).asked();
    let event = Event::ReleaseRejected {
        role: Role::QaLead,
        person: person("quinn"),
        reason: domain::digest::Digest::of(b"reason"),
    };
    let actor = domain::command::Actor::Person(person("quinn"));
    let line = lists::AuditLine {
        number: 12,
        lifts: false,
        repeats: 0,
        at_ms: NOW,
        actor: &actor,
        event: &event,
        reason: Some("refunds are <untested>"),
    };
    let head = lists::Head {
        number: 12,
        position: 42,
        hash: "0123456789abcdef",
    };
    let view = sample.view();
    let audit = lists::audit(view.release, view.names, &[line], 1, Some(head));
    holds(
        &audit,
        &[
            "“refunds are &lt;untested&gt;”",
            "12 · ",
            "entry 12 is at position 42; its hash begins with 0123456789ab.",
        ],
    );
}

#[test]
fn what_nobody_looks_at_is_named_everywhere_somebody_decides() {
    let planned = Sample::planned("x", 1, 1).asked();
    let line = unchecked::line(&planned.view()).unwrap();
    for title in [
        "24 h notice",
        "peak hours",
        "Holds nothing, by this team's policy:* contacts",
        "artifact built by CI",
    ] {
        assert!(line.contains(title), "{line}");
    }
    for rendered in [
        cards::card(&planned.view()),
        ask(&planned, Role::ProductOwner, "priya"),
        ask(&planned, Role::QaLead, "quinn"),
    ] {
        for line in line.lines() {
            holds(&rendered, &[line]);
        }
    }
    let hotfix = hotfix().asked();
    let line = unchecked::line(&hotfix.view()).unwrap();
    assert!(
        !line.contains("24 h notice") && line.contains("Nobody has said how it is with:* contacts"),
        "{line}"
    );
    for line in line.lines() {
        holds(&ask(&hotfix, Role::Cto, "cleo"), &[line]);
    }
}

/// The rules that hold a planned release by the rulebook: those of the seven-column tables whose fourth column says so.
fn blocking_by_rulebook() -> BTreeSet<String> {
    let book = include_str!("../../../docs/rulebook.md");
    let rows = book.lines().filter(|line| line.starts_with("| `"));
    let columns = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    columns
        .filter(|columns| columns.len() == 7 && columns[3].starts_with("block"))
        .flat_map(|columns| {
            columns[0]
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_rule_that_holds_a_release_by_the_rulebook_holds_one_here() {
    let mut planned = Sample::planned("x", 1, 1);
    planned.policy = Policy::default();
    let planned = planned.asked();
    let blocks = planned.gates.iter().filter(|gate| gate.effect == Effect::Block);
    let gated: BTreeSet<&str> = blocks.map(|gate| gate.rule.id()).collect();
    let blocking = blocking_by_rulebook();
    assert!(blocking.len() > 30, "{blocking:?}");
    for rule in &blocking {
        assert!(gated.contains(rule.as_str()), "{rule} holds nothing");
    }
    let changes = include_str!("../../../CHANGELOG.md");
    let (_, listed) = changes
        .split_once("### Not checked yet")
        .expect("the list in CHANGELOG.md");
    for gate in planned.gates.iter().filter(|gate| gate.state == GateState::NotJudged) {
        let rule = gate.rule.id();
        assert!(
            listed.contains(&format!("`{rule}`")),
            "CHANGELOG.md does not list {rule}"
        );
    }
}

#[test]
fn whatever_people_confirm_has_a_place_on_the_checklist() {
    for rule in Rule::ALL
        .iter()
        .filter(|rule| matches!(rule.judged(), Judged::Attested(..)))
    {
        assert!(
            modals::GROUPS.iter().any(|(family, _)| *family == rule.family()),
            "{rule}"
        );
    }
}
