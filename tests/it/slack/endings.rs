//! What may be said once something is over or was refused: history, no instructions; the decisive reason first.

use super::facts::{all, buttons, holds, lacks};
use super::samples::{NOW, Sample, every_state, key, person};
use countersign::slack::blocks::Rendered;
use countersign::slack::texts::refusal::{Attempted, refusal};
use countersign::slack::texts::{lists, replies};
use countersign::slack::{cards, rejection, releases, story};
use domain::command::Actor;
use domain::event::Event;
use domain::ids::{HOUR_MS, MINUTE_MS};
use domain::intents::authority::Ask;
use domain::people::Standing;
use domain::refusal::{Cause, Refusal};
use domain::release::{AttemptResult, OwnPart, Status};
use domain::role::Role;
use domain::rule::Rule;

fn planned() -> Sample {
    Sample::planned("x", 1, 1)
}

fn cancelled(sample: Sample) -> Sample {
    sample.then(Event::ReleaseCancelled {
        by: person("rita"),
        reason: None,
    })
}

fn refused(sample: &Sample, ask: Ask, rule: Rule, cause: Cause, roles: &[Role], people: &[&str]) -> String {
    let view = sample.view();
    let people = people.iter().map(|name| person(name)).collect();
    let attempted = Attempted {
        ask,
        key: Some(&view.release.key),
        release: Some(view.release),
        names: view.names,
        texts: view.texts,
        known: &[key("REL-780"), key("REL-788")],
        time_zone: "UTC",
    };
    refusal(&Refusal::new(rule, cause).for_roles(roles, people), &attempted).text
}

#[test]
fn a_finished_card_shows_history_and_asks_for_nothing() {
    let called_off = cancelled(planned().asked().signed(Role::ProductOwner, "priya")).at(NOW + 3 * HOUR_MS);
    let card = cards::card(&called_off.view());
    holds(
        &card,
        &[
            "CANCELLED",
            "Sign-offs at the end",
            "*Product owner* · <@U0PRIYA> signed scope and start, ",
            "*QA lead* · had not signed",
            "Planned start",
        ],
    );
    lacks(
        &card,
        &[
            "Missing",
            "moves the start",
            "Checklist",
            "Nothing starts after",
            "counts until",
        ],
    );
    let against = cancelled(planned().asked().rejected(Role::QaLead, "quinn"));
    holds(
        &cards::card(&against.view()),
        &["*QA lead* · <@U0QUINN> said no", "“no: x”"],
    );
    let released = planned().approved().queued().started().ended(AttemptResult::Succeeded);
    let card = cards::card(&released.at(NOW + 3 * HOUR_MS).view());
    holds(
        &card,
        &["<@U0QUINN> signed the tests", "Not checked by Countersign yet"],
    );
    lacks(
        &card,
        &["Missing", "No longer counts", "moves the start", "counts until"],
    );
    assert!(buttons(&card).is_empty());
}

/// `met` and `total` of the checklist.
fn counted(card: &Rendered) -> Option<(usize, usize)> {
    let text = all(card);
    let (_, rest) = text.split_once("*Checklist:* ")?;
    let (met, rest) = rest.split_once(" of ")?;
    let (total, _) = rest.split_once(" met")?;
    Some((met.parse().ok()?, total.parse().ok()?))
}

#[test]
fn the_checklist_has_one_total_for_the_whole_life_of_a_release() {
    for sample in every_state("x", 1, 1) {
        let card = cards::card(&sample.view());
        let is_over = matches!(sample.release().status, Status::Released | Status::Cancelled);
        match counted(&card) {
            None => assert!(is_over, "{}: no checklist", sample.name),
            Some((met, total)) => assert!(
                !is_over && met <= total && total == 7,
                "{}: {met} of {total}",
                sample.name
            ),
        }
    }
    let total = |sample: Sample| counted(&cards::card(&sample.view()));
    assert_eq!(total(planned().asked()), Some((5, 7)));
    assert_eq!(total(planned().approved()), Some((7, 7)));
    assert_eq!(total(planned().approved().at(NOW + 45 * MINUTE_MS)), Some((7, 7)));
    assert_eq!(total(planned().approved().queued().started()), Some((7, 7)));
}

#[test]
fn a_result_invites_to_nothing_once_the_release_is_over_or_was_tried_again() {
    let failed = || planned().approved().queued().started().ended(AttemptResult::Failed(3));
    holds(
        &releases::outcome(&failed().view(), 1),
        &["try again with `/release deploy REL-789`"],
    );
    let over = releases::outcome(&cancelled(failed()).view(), 1);
    holds(
        &over,
        &[
            "FAILED",
            "exit code 3",
            "The release was cancelled since, so nobody tries again.",
        ],
    );
    lacks(&over, &["/release deploy", "while the sign-offs count"]);
    assert!(!over.text.contains("/release deploy"), "{}", over.text);
    // A second attempt that was only requested changes nothing; one that ran has its own result.
    let requested = releases::outcome(&failed().queued().view(), 1);
    holds(&requested, &["/release deploy REL-789"]);
    let again = failed().queued().started();
    let first = releases::outcome(&again.view(), 1);
    holds(
        &first,
        &["It was tried again as attempt 2, which has a result of its own."],
    );
    lacks(&first, &["/release deploy"]);
}

#[test]
fn a_notice_that_comes_after_the_end_names_its_engineer_truthfully() {
    let with = |engineer: Option<&str>| {
        Sample::hotfix("x", 1, 1)
            .approved()
            .then(Event::DeploymentRequested {
                attempt: 1,
                fence: 1,
                by: None,
                engineer: engineer.map(person),
            })
            .started()
    };
    holds(
        &releases::notice(&with(None).view(), 1),
        &["Deployment engineer: nobody yet."],
    );
    let ended = |engineer| {
        let ended = with(engineer).ended(AttemptResult::Succeeded);
        releases::notice(&ended.view(), 1)
    };
    holds(&ended(None), &["Deployment engineer: nobody was named."]);
    holds(
        &ended(Some("dev")),
        &["Deployment engineer: <@U0DEV> (named by Countersign)."],
    );
    lacks(&ended(Some("dev")), &["has not answered"]);
}

#[test]
fn an_answer_says_a_thing_once() {
    for (sample, once) in [
        (cancelled(planned().asked()), "will not happen"),
        (planned().asked().rejected(Role::QaLead, "quinn"), "does not start"),
    ] {
        let (event, _) = sample.told.last().unwrap().clone();
        let reply = replies::done(None, &sample.view(), &[event]);
        assert_eq!(reply.text.matches(once).count(), 1, "{}", reply.text);
        assert_eq!(reply.text.matches("REL-789").count(), 1, "{}", reply.text);
    }
}

#[test]
fn lifting_a_rejection_reads_as_that() {
    let before = planned().asked().rejected(Role::QaLead, "quinn");
    let rejected = before.release().clone();
    let after = before.signed(Role::QaLead, "quinn");
    let (signed, at_ms) = after.told.last().unwrap().clone();
    let reply = replies::done(Some(&rejected), &after.view(), std::slice::from_ref(&signed));
    assert!(
        reply
            .text
            .starts_with("Lifted: the no of the QA lead. Signed: the tests of REL-789"),
        "{}",
        reply.text
    );
    let plain = replies::done(Some(after.release()), &after.view(), std::slice::from_ref(&signed));
    assert!(!plain.text.contains("Lifted"), "{}", plain.text);

    let mut standing = story::Standing::default();
    let lifts: Vec<bool> = after.told.iter().map(|(event, _)| standing.lifted_by(event)).collect();
    assert_eq!(lifts.iter().filter(|lifts| **lifts).count(), 1);
    assert_eq!(lifts.last(), Some(&true));
    let actor = Actor::Person(person("quinn"));
    let told = story::story(&after.view(), &signed, &actor, at_ms, true);
    holds(
        &told,
        &["<@U0QUINN> lifted the no of the QA lead and signed the tests as QA lead."],
    );
    let line = lists::AuditLine {
        number: 6,
        at_ms,
        actor: &actor,
        event: &signed,
        reason: None,
        lifts: true,
        repeats: 0,
    };
    let view = after.view();
    holds(
        &lists::audit(view.release, view.names, &[line], 6, None),
        &["lifted the no of the QA lead"],
    );
}

#[test]
fn who_asked_for_a_release_hears_why_not_and_what_to_do() {
    let told = |sample: &Sample, role, reader: &str| {
        let no = sample.release().rejections[&role].clone();
        rejection::rejection(&sample.view(), role, &no, &person(reader))
    };
    let rejected = planned().asked().rejected(Role::QaLead, "quinn");
    let manager = told(&rejected, Role::QaLead, "rita");
    holds(
        &manager,
        &[
            "REL-789 · payments v1.4.0 · rejected by the QA lead",
            "<@U0QUINN> said no",
            "> no: x",
            "/release plan REL-789",
            "/release cancel REL-789",
            "Only the same role lifts it, by approving. If nobody does, it does not start.",
            "You asked for this release",
            "signoff.qa-lead",
        ],
    );
    assert!(buttons(&manager).is_empty());
    let developer = told(&rejected, Role::QaLead, "ann");
    holds(&developer, &["<@U0RITA> does that"]);
    lacks(&developer, &["/release plan"]);
    let hotfix = Sample::hotfix("x", 1, 1).asked().rejected(Role::TechLead, "theo");
    holds(
        &told(&hotfix, Role::TechLead, "gus"),
        &["/release cancel HOTFIX-3", "or the CTO confirms with it in view"],
    );
    // Late, it says what came of it.
    let no = rejected.release().rejections[&Role::QaLead].clone();
    let lifted = rejected.signed(Role::QaLead, "quinn");
    let late = rejection::rejection(&lifted.view(), Role::QaLead, &no, &person("rita"));
    holds(&late, &["That was answered since: `/release status REL-789`"]);
    let late = cancelled(lifted);
    let late = rejection::rejection(&late.view(), Role::QaLead, &no, &person("rita"));
    holds(&late, &["cancelled since"]);
}

#[test]
fn another_role_may_still_say_no_while_one_stands() {
    let rejected = planned().asked().rejected(Role::QaLead, "quinn");
    assert_eq!(
        buttons(&cards::card(&rejected.view())),
        ["Approve", "Reject…", "Why not now?", "Edit plan…", "Cancel…"]
    );
    let twice = refused(
        &rejected,
        Ask::RejectPlanned,
        Rule::SignoffQaLead,
        Cause::AlreadySigned,
        &[],
        &[],
    );
    assert!(twice.contains("a no of that role stands already"), "{twice}");
}

#[test]
fn a_refusal_says_first_what_no_role_would_change() {
    let sample = planned().asked();
    let own = refused(
        &sample,
        Ask::SignPlanned,
        Rule::RolesCommands,
        Cause::OwnRelease(OwnPart::Requester),
        &[Role::ProductOwner, Role::QaLead],
        &["priya", "quinn"],
    );
    assert!(
        own.starts_with(
            "You can't sign REL-789 (payments v1.4.0): you asked for it or answer for it, and nobody signs off"
        ) && own.contains("<@U0PRIYA> or <@U0QUINN> can")
            && !own.contains("not in a role"),
        "{own}"
    );
}

#[test]
fn who_is_no_member_hears_what_they_asked_for_and_who_can_help() {
    let of = |ask| {
        refused(
            &planned().asked(),
            ask,
            Rule::RolesCommands,
            Cause::Standing(Standing::Guest),
            &[],
            &[],
        )
    };
    for (ask, verb, who) in [
        (Ask::Read, "You can't read ", "Any member of this workspace"),
        (
            Ask::SignPlanned,
            "You can't sign ",
            "product owner, QA lead, tech lead, CTO",
        ),
        (Ask::CancelPlanned, "You can't cancel ", "A release manager"),
        (Ask::Deploy, "You can't deploy ", "A deployment engineer"),
        (Ask::Stop, "You can't stop the deployment of ", "tech lead"),
    ] {
        let text = of(ask);
        assert!(
            text.starts_with(verb) && text.contains(who) && text.contains("guests"),
            "{text}"
        );
    }
    // Which kind of release it is, or whether there is one, is not theirs to know.
    assert_eq!(of(Ask::SignPlanned), of(Ask::SignHotfix));
    assert_eq!(of(Ask::CancelPlanned), of(Ask::CancelHotfix));
}

#[test]
fn where_there_is_nothing_no_rule_is_cited() {
    let sample = planned().asked();
    let view = sample.view();
    let missing = |named: &str| {
        let named = key(named);
        let attempted = Attempted {
            ask: Ask::Read,
            key: Some(&named),
            release: None,
            names: view.names,
            texts: view.texts,
            known: &[key("REL-789")],
            time_zone: "UTC",
        };
        refusal(&Refusal::new(Rule::RolesCommands, Cause::NoSuchRelease), &attempted)
    };
    let near = missing("REL-798");
    assert!(
        near.text
            .starts_with("There is no release REL-798. Did you mean REL-789?"),
        "{}",
        near.text
    );
    for rendered in [near, missing("OPS-1")] {
        lacks(&rendered, &["roles.commands", "clause"]);
        assert!(rendered.text.contains("/release list"), "{}", rendered.text);
    }
}

#[test]
fn the_audit_speaks_as_people_do_and_counts_repeats() {
    let sample = planned().asked();
    let view = sample.view();
    let actor = Actor::Person(person("theo"));
    let told = |event: &Event, repeats| {
        let line = lists::AuditLine {
            number: 7,
            at_ms: NOW,
            actor: &actor,
            event,
            reason: None,
            lifts: false,
            repeats,
        };
        all(&lists::audit(view.release, view.names, &[line], 7, None))
    };
    let refused = |intent: &str, rule| Event::CommandRefused {
        release: key("REL-789"),
        intent: intent.to_owned(),
        rule,
        cause: "not_in_role".to_owned(),
    };
    for ask in Ask::ALL.into_iter().filter(|ask| *ask != Ask::Record) {
        let text = told(&refused(ask.word(), Rule::RolesCommands), 0);
        let (_, said) = text.split_once("<@U0THEO> asked to ").unwrap();
        let (said, _) = said.split_once(" and was refused by").unwrap();
        assert!(
            !said.contains('_') && !said.ends_with("planned") && !said.ends_with("_hotfix"),
            "{said}"
        );
    }
    let text = told(&refused("sign_planned", Rule::SignoffProductOwner), 2);
    assert!(
        text.contains(
            "<@U0THEO> asked to sign it off as product owner and was refused by `signoff.product-owner`. Asked and refused 2 more times since."
        ),
        "{text}"
    );
    let repeated = Event::RefusalsRepeated {
        release: key("REL-789"),
        key: format!("REL-789/{}/sign_planned/signoff.product-owner", person("theo")),
        count: 3,
    };
    let text = told(&repeated, 0);
    assert!(
        text.contains("<@U0THEO> asked 3 more times to sign it off as product owner and was refused by `signoff.product-owner` each time."),
        "{text}"
    );
}
