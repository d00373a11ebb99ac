//! The facts that a text must hold: who, what, where, until when, what happens if nobody does.

use super::samples::{NOW, Sample, person};
use countersign::slack::blocks::Rendered;
use countersign::slack::texts::{lists, replies};
use countersign::slack::{cards, mail, question, releases, story};
use domain::command::Actor;
use domain::event::{Event, NoticeStep};
use domain::ids::{HOUR_MS, MINUTE_MS};
use domain::release::AttemptResult;
use domain::role::Role;

pub fn all(rendered: &Rendered) -> String {
    let texts = rendered.blocks.as_array().unwrap().iter().flat_map(|block| {
        let own = block["text"]["text"].as_str().map(str::to_owned);
        let parts = ["fields", "elements"]
            .map(|part| block[part].as_array().cloned().unwrap_or_default())
            .concat();
        own.into_iter().chain(parts.into_iter().filter_map(|part| {
            part["text"]
                .as_str()
                .or_else(|| part["text"]["text"].as_str())
                .map(str::to_owned)
        }))
    });
    texts.collect::<Vec<_>>().join("\n")
}

pub fn holds(rendered: &Rendered, facts: &[&str]) {
    let text = all(rendered);
    for fact in facts {
        assert!(text.contains(fact), "no {fact:?} in\n{text}");
    }
}

pub fn lacks(rendered: &Rendered, words: &[&str]) {
    let text = all(rendered);
    for word in words {
        assert!(!text.contains(word), "{word:?} in\n{text}");
    }
}

pub fn buttons(rendered: &Rendered) -> Vec<String> {
    let blocks = rendered.blocks.as_array().unwrap().iter();
    let elements = blocks
        .filter(|block| block["type"] == "actions")
        .flat_map(|block| block["elements"].as_array().cloned().unwrap());
    elements
        .map(|button| button["text"]["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_card_says_what_is_waited_for_and_what_happens_if_nobody_does() {
    let sample = Sample::planned("refunds", 1, 6).asked();
    let card = cards::card(&sample.view());
    holds(
        &card,
        &[
            "REL-789 · payments v1.4.0 · minor · WAITING FOR 2 SIGN-OFFS",
            "<@U0PRIYA> (product owner: scope and start)",
            "<@U0QUINN>",
            "If it isn't signed by",
            "Mon 30 Nov 18:10 CET",
            "6 tickets",
            "commit 3f9c2e1",
            "> refunds",
        ],
    );
    assert_eq!(
        buttons(&card),
        ["Approve", "Reject…", "Why not now?", "Edit plan…", "Cancel…"]
    );
    assert!(
        card.text
            .starts_with("REL-789, payments v1.4.0 (minor) to production: waiting for 2 sign-offs. "),
        "{}",
        card.text
    );
    let approved = Sample::planned("refunds", 1, 1).approved();
    let card = cards::card(&approved.view());
    holds(
        &card,
        &[
            "APPROVED",
            "/release deploy REL-789",
            "If nobody does, it does not start",
        ],
    );
    assert!(buttons(&card).contains(&"Deploy".to_owned()));
}

#[test]
fn a_card_follows_the_deployment_to_its_end() {
    let queued = Sample::planned("x", 1, 1).approved().queued();
    assert_eq!(buttons(&cards::card(&queued.view())), ["Stop", "Reject…", "Withdraw…"]);
    let running = queued.started();
    holds(
        &cards::card(&running.view()),
        &["DEPLOYING", "Attempt 1 is running", "runner-1", "<@U0DEV>"],
    );
    assert_eq!(buttons(&cards::card(&running.view())), ["Stop"]);
    let failed = running.ended(AttemptResult::Failed(3));
    holds(
        &cards::card(&failed.view()),
        &[
            "APPROVED, LAST ATTEMPT FAILED",
            "failed with exit code 3",
            "/release deploy REL-789",
        ],
    );
    let unknown = Sample::hotfix("x", 1, 1)
        .approved()
        .queued()
        .started()
        .then(Event::AttemptInterrupted { attempt: 1 });
    let card = cards::card(&unknown.view());
    holds(&card, &["OUTCOME UNKNOWN", "Two people", "stays locked"]);
    assert_eq!(buttons(&card), ["It finished", "It failed", "New attempt"]);
    assert!(card.blocks.to_string().contains("\"confirm\":{"));
}

#[test]
fn a_slot_that_is_over_is_said_and_offers_no_approval() {
    for sample in [
        Sample::planned("x", 1, 1).asked(),
        Sample::planned("x", 1, 1).approved(),
    ] {
        let sample = sample.at(NOW + 3 * HOUR_MS);
        let card = cards::card(&sample.view());
        holds(&card, &["PLANNED TIME OVER, NOT DEPLOYED", "/release plan REL-789"]);
        assert_eq!(buttons(&card), ["Why not now?", "Edit plan…", "Cancel…"]);
        let question = question::question(
            &sample.view(),
            Role::QaLead,
            &person("quinn"),
            sample.release().revision,
        );
        assert!(buttons(&question).is_empty());
    }
}

#[test]
fn the_cto_reads_now_only_if_nothing_else_is_missing() {
    let ask =
        |sample: &Sample| question::question(&sample.view(), Role::Cto, &person("cleo"), sample.release().revision);
    let both = Sample::hotfix("payments fail", 1, 1).asked();
    let question = ask(&both);
    holds(
        &question,
        &[
            "<@U0GUS>",
            "> payments fail",
            "3f9c2e1",
            "It starts when <@U0THEO> or <@U0TINA> signs, at",
            "17:15",
            "<@U0VERA> is asked too",
            "counts for 4 h",
            "Skipped because the procedure says so (3.4):* staging",
            "24 h notice",
            "By our reading:*",
            "Owed afterwards*, by a tech lead (<@U0THEO> or <@U0TINA>)",
            "signoff.cto",
        ],
    );
    lacks(&question, &["deploys now"]);
    assert_eq!(buttons(&question), ["Approve v1.4.1", "Reject…", "Why not now?"]);
    let alone = ask(&Sample::hotfix("payments fail", 1, 1)
        .asked()
        .signed(Role::TechLead, "theo"));
    holds(&alone, &["One click *deploys now*"]);
    assert_eq!(buttons(&alone)[0], "Deploy v1.4.1 now");
    assert!(
        !alone.blocks.to_string().contains("\"confirm\""),
        "no second dialog on that button"
    );
    let late = ask(&Sample::hotfix("payments fail", 1, 1).asked().at(NOW + 16 * MINUTE_MS));
    assert_eq!(buttons(&late)[0], "Deploy v1.4.1 now");
    let mut against = Sample::hotfix("payments fail", 1, 1).asked();
    against.odd = "it makes things worse".to_owned();
    let against = ask(&against.rejected(Role::TechLead, "theo"));
    holds(
        &against,
        &[
            "The tech lead said no",
            "<@U0THEO>",
            "it makes things worse",
            "with this in view",
        ],
    );
    assert_eq!(buttons(&against)[0], "Deploy v1.4.1 now");
}

#[test]
fn a_copy_that_is_decided_or_superseded_says_what_happened_and_has_no_buttons() {
    let ask =
        |sample: &Sample, role, who: &str, revision| question::question(&sample.view(), role, &person(who), revision);
    let signed = Sample::planned("x", 1, 1).asked().signed(Role::QaLead, "quinn");
    let current = signed.release().revision;
    for (rendered, facts) in [
        (
            ask(&signed, Role::QaLead, "quinn", current),
            vec![
                "You signed the tests as QA lead",
                "/release withdraw REL-789",
                "17:00 CET",
            ],
        ),
        (
            ask(&signed, Role::QaLead, "ann", current),
            vec!["<@U0QUINN> signed the tests"],
        ),
        (
            ask(&signed, Role::ProductOwner, "priya", current - 1),
            vec!["has changed since this was asked"],
        ),
        (
            ask(
                &Sample::planned("x", 1, 1).asked().rejected(Role::QaLead, "quinn"),
                Role::QaLead,
                "quinn",
                current,
            ),
            vec!["You said no", "Only the same role lifts it", "/release approve REL-789"],
        ),
        (
            ask(
                &Sample::planned("x", 1, 1).asked().then(Event::ReleaseCancelled {
                    by: person("rita"),
                    reason: None,
                }),
                Role::QaLead,
                "quinn",
                current,
            ),
            vec!["cancelled"],
        ),
        (
            ask(&Sample::planned("x", 1, 1).asked(), Role::QaLead, "rita", current),
            vec!["can't sign it"],
        ),
        (
            ask(&Sample::planned("x", 1, 1).asked(), Role::QaLead, "dora", current),
            vec!["wrote some of this release"],
        ),
        (
            ask(&signed, Role::ProductOwner, "quinn", current),
            vec!["one person fills one role"],
        ),
        (
            ask(
                &Sample::hotfix("x", 1, 1).approved().at(NOW + 5 * HOUR_MS),
                Role::Cto,
                "cleo",
                current,
            ),
            vec!["no longer counts", "/release approve HOTFIX-3"],
        ),
    ] {
        holds(&rendered, &facts);
        holds(&rendered, &["nothing to sign now"]);
        assert!(buttons(&rendered).is_empty(), "{rendered:?}");
    }
    let owed = Sample::hotfix("x", 1, 1)
        .asked()
        .signed(Role::Cto, "cleo")
        .queued()
        .started()
        .indebted();
    let question = ask(&owed, Role::TechLead, "theo", owed.release().revision);
    holds(&question, &["owed", "changes nothing else"]);
    assert_eq!(buttons(&question), ["Give the owed sign-off"]);
}

#[test]
fn block_ids_change_with_the_rendered_version() {
    let sample = Sample::planned("x", 1, 1).asked();
    let mut view = sample.view();
    let before = cards::card(&view);
    view.version += 1;
    let after = cards::card(&view);
    for (a, b) in before
        .blocks
        .as_array()
        .unwrap()
        .iter()
        .zip(after.blocks.as_array().unwrap())
    {
        assert_ne!(a["block_id"], b["block_id"]);
    }
}

#[test]
fn teams_read_what_runs_why_and_how_it_ended() {
    let running = Sample::hotfix("card payments fail", 1, 1)
        .approved()
        .queued()
        .started()
        .indebted();
    holds(
        &releases::notice(&running.view(), 1),
        &[
            "HOTFIX running: payments v1.4.1 · HOTFIX-3",
            "approved by <@U0CLEO> (CTO)",
            "> card payments fail",
            "deploy nothing on payments",
            "Deployment engineer: <@U0DEV>. ",
            "emergency.notice",
            "clause 3.4",
            "staging",
        ],
    );
    let success = running.ended(AttemptResult::Succeeded);
    holds(
        &releases::outcome(&success.view(), 1),
        &["RELEASED: payments v1.4.1", "after 4 min", "*Owed:*", "notice.result"],
    );
    for (result, facts) in [
        (AttemptResult::Failed(3), ["FAILED", "exit code 3"]),
        (AttemptResult::Failed(-9), ["FAILED", "signal 9"]),
        (AttemptResult::TimedOut, ["TIMED OUT", "longer than allowed"]),
        (AttemptResult::Cancelled, ["STOPPED", "stopped it"]),
    ] {
        let outcome = releases::outcome(
            &Sample::planned("x", 1, 1)
                .approved()
                .queued()
                .started()
                .ended(result)
                .view(),
            1,
        );
        holds(&outcome, &facts);
        holds(&outcome, &["last line", "/release deploy REL-789", "if nobody does"]);
    }
    let unknown = Sample::hotfix("x", 1, 1)
        .approved()
        .queued()
        .started()
        .then(Event::AttemptInterrupted { attempt: 1 });
    holds(
        &releases::outcome(&unknown.view(), 1),
        &["OUTCOME UNKNOWN", "two people", "deploy nothing on payments"],
    );
}

#[test]
fn a_late_notice_and_a_breach_tell_the_true_times() {
    let steps = NoticeStep::ALL.into_iter();
    let running = Sample::hotfix("x", 1, 1).approved().queued().started();
    let escalated = steps.fold(running, |sample, step| {
        sample.then(Event::NoticeEscalated { attempt: 1, step })
    });
    let breached = escalated.at(NOW + HOUR_MS).then(Event::NoticeBreached {
        attempt: 1,
        due_ms: NOW + HOUR_MS,
    });
    holds(
        &releases::breach(&breached.view(), 1),
        &[
            "BREACH of emergency.notice",
            "18:00 CET",
            "not posted yet",
            "stays in the record",
        ],
    );
    let late_ms = NOW + HOUR_MS + 19 * MINUTE_MS;
    let late = breached.at(late_ms).then(Event::NoticePosted {
        attempt: 1,
        channel: "C".to_owned(),
        ts: "1".to_owned(),
        verified_ms: late_ms,
    });
    holds(
        &releases::notice(&late.view(), 1),
        &[
            "LATE NOTICE",
            "19 min later",
            "a page to release manager and CTO was asked for",
        ],
    );
    holds(&releases::breach(&late.view(), 1), &["19 min late"]);
}

#[test]
fn why_is_read_on_a_phone() {
    for sample in super::samples::every_state("x", 2, 2) {
        let why = lists::why(&sample.view());
        assert!(all(&why).lines().count() <= 10, "{}: {}", sample.name, all(&why));
        assert!(why.text.contains(sample.release().key.as_str()));
    }
    let why = lists::why(&Sample::planned("x", 1, 1).asked().view());
    holds(
        &why,
        &[
            "3 things hold it",
            "1. `signoff.product-owner`, clauses 2.1, 3.1, 4.5: waiting for <@U0PRIYA>",
            "At the earliest it can start",
            "If that isn't settled by",
        ],
    );
}

#[test]
fn an_answer_says_what_was_done_and_what_is_next() {
    let sample = Sample::hotfix("x", 1, 1).asked().signed(Role::Cto, "cleo");
    let (signed, _) = sample.told.last().unwrap().clone();
    let reply = replies::done(None, &sample.view(), &[signed]);
    assert!(
        reply.text.starts_with(
            "Signed: the hotfix of HOTFIX-3 (payments v1.4.1), by you as CTO. Waiting for <@U0THEO> or <@U0TINA>"
        ),
        "{}",
        reply.text
    );
    holds(&reply, &["signoff.cto", "/release withdraw HOTFIX-3"]);
    let start = Sample::hotfix("x", 1, 1).approved().queued();
    let events: Vec<Event> = start
        .told
        .iter()
        .rev()
        .take(3)
        .rev()
        .map(|(event, _)| event.clone())
        .collect();
    assert!(
        replies::done(None, &start.view(), &events)
            .text
            .contains("the script starts")
    );
}

#[test]
fn the_story_quotes_the_end_of_the_output_and_no_more() {
    let mut sample = Sample::planned("x", 1, 1).approved().queued().started();
    sample.odd = format!("{}```<!channel>", "noise\n".repeat(2_000));
    let sample = sample.ended(AttemptResult::Failed(1));
    let (event, at_ms) = sample.told.last().unwrap();
    let told = story::story(&sample.view(), event, &Actor::Countersign, *at_ms, false);
    let text = all(&told);
    assert!(
        text.contains("last line\n```") && text.contains("more characters above)") && !text.contains("step 1 of 5"),
        "{text}"
    );
    assert!(
        text.chars().count() < 2_900 && text.matches("```").count() == 2,
        "{text}"
    );
}

#[test]
fn mail_and_page_say_it_without_slack() {
    let sample = Sample::hotfix("card payments fail", 1, 1)
        .approved()
        .queued()
        .started()
        .at(NOW + 15 * MINUTE_MS);
    let (subject, body) = mail::mail_notice(&sample.view(), 1);
    assert!(
        subject.contains("HOTFIX payments v1.4.1") && subject.contains("2026"),
        "{subject}"
    );
    for fact in [
        "Cleo",
        "Gus",
        "card payments fail",
        "emergency.notice (clause 3.4)",
        "staging",
        "17:00 CET",
        "deploy nothing on payments",
    ] {
        assert!(body.contains(fact), "{fact}: {body}");
    }
    assert!(!body.contains("<@") && !body.contains("<!date"), "{body}");
    let page = mail::page_summary(&sample.view(), 1, NoticeStep::Page);
    assert!(
        page.contains("HOTFIX-3") && page.contains("in 45 min") && page.contains("attempt 1"),
        "{page}"
    );
}
