//! The clock of `emergency.notice`: met, escalated, or recorded as breached, with the true times.

use crate::support::{Scenario, T0, key};
use domain::event::{Event, NoticeStep};
use domain::ids::{HOUR_MS, MINUTE_MS};
use domain::job::{Job, MessageId};
use domain::release::{AttemptResult, Breach};

/// A hotfix started at minute 2.
const STARTED: i64 = 2 * MINUTE_MS;

fn check_jobs(scenario: &Scenario) {
    let release = scenario.release();
    let (at_ms, event) = scenario
        .log
        .iter()
        .rev()
        .find(|(_, e)| matches!(e, Event::AttemptStarting { .. }))
        .unwrap();
    let Event::AttemptStarting { attempt, .. } = event else {
        unreachable!()
    };
    let due = domain::effects::effects(release, std::slice::from_ref(event), 1, &scenario.policy, *at_ms);
    let after = |job: &Job| {
        due.iter()
            .find(|due| due.job == *job)
            .map(|due| (due.at_ms - at_ms) / MINUTE_MS)
    };
    let (release, attempt) = (key("REL-789"), *attempt);
    let notice = Job::PostMessage {
        message: MessageId::Notice {
            release: release.clone(),
            attempt,
        },
    };
    assert_eq!(after(&notice), Some(0));
    for (step, minutes) in [(NoticeStep::Mail, 5), (NoticeStep::Page, 15), (NoticeStep::AtRisk, 45)] {
        assert_eq!(
            after(&Job::EscalateNotice {
                release: release.clone(),
                attempt,
                step
            }),
            Some(minutes)
        );
    }
    assert_eq!(after(&Job::BreachNotice { release, attempt }), Some(60));
}

#[test]
fn every_start_of_a_hotfix_starts_its_clock_whoever_caused_it() {
    check_jobs(&Scenario::hotfix_deploying());
    check_jobs(&Scenario::hotfix_owed().and(|s| {
        s.starts();
    }));
    let by_timer = Scenario::hotfix().resolved().and(|s| {
        s.at(2).by("cleo").approves();
        s.at(15).tech_lead_timer();
        s.at(16).starts();
    });
    check_jobs(&by_timer);
    let unconfirmed = Scenario::hotfix_owed().and(|s| {
        s.silent = true;
        s.starts();
    });
    check_jobs(&unconfirmed);
    let retried = Scenario::hotfix_deploying().and(|s| {
        s.at(3).ends(AttemptResult::Failed(1));
        s.at(4).by("dev").deploys();
        s.starts();
    });
    check_jobs(&retried);
    assert_eq!(
        retried.release().attempts.iter().filter(|a| a.notice.is_some()).count(),
        2,
        "one clock per attempt"
    );
    assert_eq!(
        Scenario::deploying().release().attempts[0].notice,
        None,
        "a planned release has none"
    );
}

#[test]
fn a_posted_notice_meets_the_clock_and_everything_after_it_is_quiet() {
    let mut s = Scenario::hotfix_deploying();
    s.at(3).notice_posted().then_events(["NoticePosted"]);
    s.at(4).notice_posted().then_nothing();
    s.at(10).notice_step(NoticeStep::Mail).then_nothing();
    s.at(100).notice_breach().then_nothing();
    let notice = s.release().attempts[0].notice.clone().unwrap();
    assert_eq!(
        (notice.started_ms, notice.posted_ms, notice.breached),
        (T0 + STARTED, Some(T0 + 3 * MINUTE_MS), None)
    );
}

#[test]
fn each_step_is_taken_once_and_not_before_its_time() {
    for (step, minutes, line) in [
        (NoticeStep::Mail, 5, "NoticeEscalated mail"),
        (NoticeStep::Page, 15, "NoticeEscalated page"),
        (NoticeStep::AtRisk, 45, "NoticeEscalated at_risk"),
    ] {
        let mut s = Scenario::hotfix_deploying();
        let due = STARTED + minutes * MINUTE_MS;
        s.at_ms(due - 1).notice_step(step);
        assert_eq!(
            s.then_refused("emergency.notice", "outdated").next_ms,
            Some(T0 + due),
            "it has to come back"
        );
        s.at_ms(due).notice_step(step).then_events([line]);
        s.notice_step(step).then_nothing();
    }
}

#[test]
fn the_breach_is_recorded_at_sixty_minutes_and_not_a_millisecond_before() {
    let mut s = Scenario::hotfix_deploying();
    s.at_ms(STARTED + HOUR_MS - 1).notice_breach();
    assert_eq!(
        s.then_refused("emergency.notice", "outdated").next_ms,
        Some(T0 + STARTED + HOUR_MS)
    );
    s.at_ms(STARTED + HOUR_MS)
        .notice_breach()
        .then_events(["NoticeBreached"]);
    s.notice_breach().then_nothing();
    s.at_ms(STARTED + 2 * HOUR_MS).notice_breach().then_nothing();
}

#[test]
fn no_policy_moves_the_hour() {
    for (name, value) in [("breach_after", "2h"), ("at_risk_after", "61m"), ("mail_after", "16m")] {
        let rules = serde_json::json!({"emergency.notice": {name: value}});
        let differences = domain::policy::Differences {
            rules: serde_json::from_value(rules).unwrap(),
            ..domain::policy::Differences::default()
        };
        assert!(
            domain::policy::Policy::with_differences(&differences).is_err(),
            "{name}"
        );
    }
}

#[test]
fn a_breach_found_hours_late_tells_the_true_times_and_the_late_post_is_still_recorded() {
    let mut s = Scenario::hotfix_deploying();
    s.at(400).notice_breach().then_events(["NoticeBreached"]);
    s.at(401).notice_posted().then_events(["NoticePosted"]);
    let notice = s.release().attempts[0].notice.clone().unwrap();
    let breach = Breach {
        due_ms: T0 + STARTED + HOUR_MS,
        recorded_ms: T0 + 400 * MINUTE_MS,
    };
    assert_eq!(
        (notice.breached, notice.posted_ms),
        (Some(breach), Some(T0 + 401 * MINUTE_MS))
    );
}

#[test]
fn a_late_notice_that_is_read_back_before_the_timer_comes_still_records_the_breach() {
    let mut s = Scenario::hotfix_deploying();
    s.at_ms(STARTED + HOUR_MS)
        .notice_posted()
        .then_events(["NoticeBreached", "NoticePosted"]);
    s.at(500).notice_breach().then_nothing();
}

#[test]
fn the_clock_runs_on_after_the_deployment_is_over() {
    let mut s = Scenario::hotfix_deploying();
    s.at(5).ends(AttemptResult::Succeeded);
    s.at_ms(STARTED + 5 * MINUTE_MS)
        .notice_step(NoticeStep::Mail)
        .then_events(["NoticeEscalated mail"]);
    s.at_ms(STARTED + HOUR_MS)
        .notice_breach()
        .then_events(["NoticeBreached"]);
    s.at_ms(STARTED + 2 * HOUR_MS)
        .notice_posted()
        .then_events(["NoticePosted"]);
}

#[test]
fn the_clock_of_an_earlier_attempt_is_its_own() {
    let mut s = Scenario::hotfix_deploying();
    s.at(3).ends(AttemptResult::Failed(1));
    s.at(30).by("dev").deploys();
    s.starts();
    s.at_ms(STARTED + HOUR_MS)
        .notice_breach()
        .then_events(["NoticeBreached"]);
    let breached: Vec<bool> = s
        .release()
        .attempts
        .iter()
        .map(|a| a.notice.as_ref().unwrap().breached.is_some())
        .collect();
    assert_eq!(breached, [true, false]);
}

#[test]
fn a_planned_release_and_an_attempt_that_never_started_have_no_clock() {
    Scenario::deploying()
        .notice_breach()
        .then_refused("emergency.notice", "attempt_moved");
    Scenario::hotfix_owed()
        .at(200)
        .notice_breach()
        .then_refused("emergency.notice", "attempt_moved");
}
