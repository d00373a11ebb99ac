//! Who is refused what, by which rule, for which reason.

use crate::support::{Scenario, commit, hotfix_request, key, people, person, proposal, text};
use domain::command::{HotfixRequest, Intent, Proposal};
use domain::ids::{DAY_MS, EnvironmentName, HOUR_MS, MINUTE_MS, ServiceName, Version};
use domain::people::Standing;
use domain::refusal::{Cause, Refusal};
use domain::release::{AttemptResult, OwnPart, SettlementChoice, Status};
use domain::role::Role;
use domain::rule::{Effect, Kind, Rule};

fn planned() -> Scenario {
    Scenario::planned().resolved()
}

fn hotfix() -> Scenario {
    Scenario::hotfix().resolved()
}

/// Runs `act` on `scenario` and expects the refusal; nothing may have changed.
#[track_caller]
fn check(mut scenario: Scenario, act: impl FnOnce(&mut Scenario), rule: &str, cause: &str) -> Refusal {
    let before = scenario.case.release.clone();
    act(&mut scenario);
    assert_eq!(scenario.case.release, before, "a refusal changes nothing");
    scenario.then_refused(rule, cause).clone()
}

fn approves(name: &'static str) -> impl FnOnce(&mut Scenario) {
    move |s| s.by(name).approves().done()
}

fn rejects(name: &'static str) -> impl FnOnce(&mut Scenario) {
    move |s| s.by(name).rejects().done()
}

#[test]
fn nobody_signs_or_rejects_what_they_asked_for_own_or_wrote() {
    let requested_by = |name: &'static str, role| {
        Scenario::empty().and(|s| {
            s.is_now(name, Standing::Active, &[role, Role::ReleaseManager]);
            s.by(name).plans(proposal());
        })
    };
    for (name, role, rule) in [
        ("priya", Role::ProductOwner, "signoff.product-owner"),
        ("quinn", Role::QaLead, "signoff.qa-lead"),
    ] {
        let refusal = check(requested_by(name, role).resolved(), approves(name), rule, "own_release");
        assert!(!refusal.people.contains(&person(name)), "nobody is sent to themselves");
        assert_eq!(refusal.roles, [role]);
        check(requested_by(name, role).resolved(), rejects(name), rule, "own_release");
        // A draft by a developer, taken over by a release manager who also is a signer.
        let taken_over = Scenario::empty().and(|s| {
            s.is_now(name, Standing::Active, &[role, Role::ReleaseManager]);
            s.by("moe").plans(proposal());
            s.by(name).plans(proposal());
        });
        check(taken_over.resolved(), approves(name), rule, "own_release");
        let author = Scenario::empty().and(|s| {
            let mut plan = proposal();
            plan.authors = people(&["mia", name]);
            s.by("rita").plans(plan);
        });
        check(author.resolved(), approves(name), rule, "own_release");
    }
    for (name, rule) in [
        ("theo", "signoff.tech-lead"),
        ("cleo", "signoff.cto"),
        ("vera", "signoff.cto"),
    ] {
        let requester = Scenario::empty().and(|s| {
            s.by(name).asks_for_hotfix(hotfix_request());
        });
        check(requester.resolved(), approves(name), rule, "own_release");
        let author = Scenario::empty().and(|s| {
            let mut request = hotfix_request();
            request.authors = people(&[name]);
            s.by("rita").asks_for_hotfix(request);
        });
        check(author.resolved(), approves(name), rule, "own_release");
    }
}

#[test]
fn one_person_fills_one_role_per_release() {
    let both = |s: &mut Scenario| {
        s.is_now("priya", Standing::Active, &[Role::ProductOwner, Role::QaLead]);
        s.is_now("cleo", Standing::Active, &[Role::Cto, Role::TechLead]);
    };
    let mut s = planned().and(both);
    let refusal = {
        s.by("priya").approves();
        s.then_refused("roles.commands", "choose_role").clone()
    };
    assert_eq!(
        refusal.cause,
        Cause::ChooseRole([Role::ProductOwner, Role::QaLead].into())
    );
    s.by("priya").rejects().then_refused("roles.commands", "choose_role");
    s.by("priya")
        .approves_as(Role::QaLead)
        .then_events(["SignedOff qa_lead: priya"]);
    s.by("priya")
        .approves()
        .then_refused("signoff.product-owner", "signed_another_role");
    s.by("priya")
        .approves_as(Role::ProductOwner)
        .then_refused("signoff.product-owner", "signed_another_role");
    s.by("priya")
        .does(Intent::Reject {
            role: Some(Role::ProductOwner),
            view: None,
            reason: text("no"),
        })
        .then_refused("signoff.product-owner", "signed_another_role");
    let mut s = hotfix().and(both);
    s.by("cleo").approves_as(Role::Cto).then_events(["SignedOff cto: cleo"]);
    s.by("cleo")
        .approves_as(Role::TechLead)
        .then_refused("signoff.tech-lead", "signed_another_role");
}

#[test]
fn who_is_not_in_the_role_is_refused_and_told_who_is() {
    for name in ["theo", "cleo", "vera", "dev", "adam", "aud", "rob"] {
        check(planned(), approves(name), "roles.commands", "not_in_role");
        check(planned(), rejects(name), "roles.commands", "not_in_role");
    }
    for name in ["priya", "quinn", "dev", "rob"] {
        check(hotfix(), approves(name), "roles.commands", "not_in_role");
        check(hotfix(), rejects(name), "roles.commands", "not_in_role");
    }
    // Whose release it is hears that first: no role would change it.
    for (scenario, name, part) in [
        (planned as fn() -> Scenario, "rita", OwnPart::Requester),
        (planned, "mia", OwnPart::Author),
        (hotfix, "rita", OwnPart::Requester),
        (hotfix, "mia", OwnPart::Author),
    ] {
        for act in [true, false] {
            let refusal = if act {
                check(scenario(), approves(name), "roles.commands", "own_release")
            } else {
                check(scenario(), rejects(name), "roles.commands", "own_release")
            };
            assert_eq!(refusal.cause, Cause::OwnRelease(part), "{name}");
            assert!(!refusal.people.contains(&person(name)) && !refusal.roles.is_empty());
        }
    }
    let wrong = check(
        planned(),
        |s| {
            s.by("priya").approves_as(Role::QaLead);
        },
        "signoff.qa-lead",
        "not_in_role",
    );
    assert_eq!(wrong.people, [person("quinn")]);
    let deploy = check(
        Scenario::approved(),
        |s| {
            s.at(60).by("rita").deploys();
        },
        "roles.commands",
        "not_in_role",
    );
    assert_eq!(
        (deploy.people, deploy.roles),
        (vec![person("dev")], vec![Role::DeploymentEngineer])
    );
    check(
        planned(),
        |s| {
            s.by("moe").cancels();
        },
        "roles.commands",
        "not_in_role",
    );
    check(
        planned(),
        |s| {
            s.by("cleo").cancels();
        },
        "roles.commands",
        "not_in_role",
    );
    check(
        hotfix(),
        |s| {
            s.by("theo").cancels();
        },
        "roles.commands",
        "not_in_role",
    );
    check(
        Scenario::deploying(),
        |s| {
            s.by("priya").stops();
        },
        "roles.commands",
        "not_in_role",
    );
    check(
        planned(),
        |s| {
            s.by("mia").plans(proposal());
        },
        "roles.commands",
        "not_in_role",
    );
    let interrupted = || {
        Scenario::deploying().and(|s| {
            s.is_interrupted();
        })
    };
    check(
        interrupted(),
        |s| {
            s.by("cleo").settles(SettlementChoice::Finished);
        },
        "roles.commands",
        "not_in_role",
    );
}

#[test]
fn guests_bots_outsiders_and_strangers_may_do_nothing_not_even_read() {
    use domain::intents::authority::{Ask, permit_person};
    for (name, standing) in [
        ("gus", Standing::Guest),
        ("otto", Standing::Outsider),
        ("bot", Standing::Bot),
        ("dana", Standing::Deactivated),
        ("ugo", Standing::Unknown),
    ] {
        let armed = |s: &mut Scenario| s.is_now(name, standing, &Role::ALL).done();
        let refusal = check(planned().and(armed), approves(name), "roles.commands", "standing");
        assert_eq!(refusal.cause, Cause::Standing(standing));
        check(planned().and(armed), rejects(name), "roles.commands", "standing");
        check(
            planned().and(armed),
            |s| {
                s.by(name).withdraws();
            },
            "roles.commands",
            "standing",
        );
        check(
            planned().and(armed),
            |s| {
                s.by(name).cancels();
            },
            "roles.commands",
            "standing",
        );
        check(
            planned().and(armed),
            |s| {
                s.by(name).plans(proposal());
            },
            "roles.commands",
            "standing",
        );
        check(hotfix().and(armed), approves(name), "roles.commands", "standing");
        check(
            Scenario::approved().and(armed),
            |s| {
                s.by(name).deploys();
            },
            "roles.commands",
            "standing",
        );
        check(
            Scenario::deploying().and(armed),
            |s| {
                s.by(name).stops();
            },
            "roles.commands",
            "standing",
        );
        check(
            Scenario::empty().and(armed),
            |s| {
                s.by(name).asks_for_hotfix(hotfix_request());
            },
            "roles.commands",
            "standing",
        );
        check(
            Scenario::empty().and(armed),
            |s| {
                s.by(name).plans(proposal());
            },
            "roles.commands",
            "standing",
        );
        let mut s = planned().and(armed);
        s.case.people = s.people_for(&domain::command::Actor::Countersign);
        for ask in Ask::ALL {
            let refusal = permit_person(&s.case, ask, &person(name), s.now).unwrap_err();
            assert_eq!(refusal.cause, Cause::Standing(standing), "{}", ask.word());
        }
    }
}

#[test]
fn facts_count_for_sixty_seconds_and_not_a_millisecond_longer() {
    for (age, fresh) in [
        (0, true),
        (59_999, true),
        (60_000, true),
        (60_001, false),
        (-60_000, true),
        (-60_001, false),
    ] {
        let mut s = planned();
        s.facts_age = age;
        s.by("priya").approves();
        if fresh {
            s.then_events(["SignedOff product_owner: priya"]);
        } else {
            s.then_refused("roles.commands", "facts_unavailable");
        }
    }
    let mut s = planned();
    s.world.remove("priya");
    s.by("priya")
        .approves()
        .then_refused("roles.commands", "facts_unavailable");
}

#[test]
fn nobody_signs_what_they_did_not_see() {
    let mut s = planned();
    let view = s.release().view();
    s.by("rita").plans(proposal());
    s.by("priya")
        .signs(None, Some(view.clone()))
        .then_refused("signoff.recorded", "stale_view");
    s.by("priya")
        .rejects_with(Some(view), "no")
        .then_refused("signoff.recorded", "stale_view");
    s.by("priya").approves().then_events(["SignedOff product_owner: priya"]);
    // A word that was taken back changes what the others see.
    let view = s.release().view();
    s.by("priya").withdraws();
    s.by("quinn")
        .signs(None, Some(view))
        .then_refused("signoff.recorded", "stale_view");
}

#[test]
fn a_no_is_not_made_stale_by_words_taken_back_meanwhile() {
    let mut s = hotfix();
    s.at(1).by("cleo").approves();
    s.at(15).tech_lead_timer().then_status(Status::Queued);
    let view = s.release().view();
    s.by("cleo").withdraws();
    s.by("cleo").approves().then_status(Status::Queued);
    s.by("theo")
        .rejects_with(Some(view), "the fix is wrong")
        .then_status(Status::Rejected);
}

#[test]
fn each_command_is_refused_in_the_wrong_status() {
    let status = |s: Scenario, act: fn(&mut Scenario), expected: Status| {
        let refusal = check(s, act, "roles.commands", "status");
        assert_eq!(refusal.cause, Cause::Status(expected));
    };
    let released = || {
        Scenario::deploying().and(|s| {
            s.ends(AttemptResult::Succeeded);
        })
    };
    let cancelled = || {
        planned().and(|s| {
            s.by("rita").cancels();
        })
    };
    status(
        Scenario::planned(),
        |s| {
            s.by("priya").approves();
        },
        Status::Drafted,
    );
    status(
        Scenario::queued(),
        |s| {
            s.by("paul").approves();
        },
        Status::Queued,
    );
    status(
        Scenario::deploying(),
        |s| {
            s.by("priya").rejects();
        },
        Status::Deploying,
    );
    status(
        Scenario::deploying(),
        |s| {
            s.by("priya").withdraws();
        },
        Status::Deploying,
    );
    status(
        Scenario::deploying(),
        |s| {
            s.by("rita").cancels();
        },
        Status::Deploying,
    );
    status(
        Scenario::deploying(),
        |s| {
            s.by("rita").plans(proposal());
        },
        Status::Deploying,
    );
    status(
        Scenario::queued(),
        |s| {
            s.by("rita").plans(proposal());
        },
        Status::Queued,
    );
    status(
        Scenario::queued(),
        |s| {
            s.by("dev").deploys();
        },
        Status::Queued,
    );
    status(
        Scenario::deploying(),
        |s| {
            s.by("dev").deploys();
        },
        Status::Deploying,
    );
    status(
        Scenario::approved(),
        |s| {
            s.by("dev").stops();
        },
        Status::Approved,
    );
    status(
        Scenario::deploying(),
        |s| {
            s.by("dev").settles(SettlementChoice::Failed);
        },
        Status::Deploying,
    );
    status(
        released(),
        |s| {
            s.by("dev").deploys();
        },
        Status::Released,
    );
    status(
        released(),
        |s| {
            s.by("rita").cancels();
        },
        Status::Released,
    );
    status(
        released(),
        |s| {
            s.by("priya").approves();
        },
        Status::Released,
    );
    status(
        cancelled(),
        |s| {
            s.by("priya").approves();
        },
        Status::Cancelled,
    );
    status(
        cancelled(),
        |s| {
            s.by("rita").plans(proposal());
        },
        Status::Cancelled,
    );
    status(
        cancelled(),
        |s| {
            s.by("rita").cancels();
        },
        Status::Cancelled,
    );
    // A hotfix's signer comes after the start only to pay what is owed.
    let refusal = check(
        Scenario::hotfix_deploying(),
        |s| {
            s.by("vera").approves();
        },
        "signoff.cto",
        "already_signed",
    );
    assert_eq!(refusal.roles, [Role::Cto]);
}

#[test]
fn what_does_not_exist_can_not_be_decided() {
    for act in [
        (|s: &mut Scenario| {
            s.by("priya").approves();
        }) as fn(&mut Scenario),
        |s| {
            s.by("priya").rejects();
        },
        |s| {
            s.by("mia").withdraws();
        },
        |s| {
            s.by("rita").cancels();
        },
        |s| {
            s.by("dev").deploys();
        },
        |s| {
            s.worker(Intent::AskDeputy { revision: 1 });
        },
    ] {
        check(Scenario::empty(), act, "roles.commands", "no_such_release");
    }
}

#[test]
fn what_countersign_does_no_person_may_ask_for_and_the_other_way_round() {
    let intents = || {
        [
            Intent::RecordSource(crate::support::seen('b', "evil.sh", crate::support::T0)),
            Intent::StartAttempt {
                attempt: 1,
                seen: Err(domain::event::SourceProblem::GitSilent),
                host: "h".to_owned(),
            },
            Intent::RecordEnd {
                attempt: 1,
                result: AttemptResult::Succeeded,
                output: None,
            },
            Intent::RecordRunning { attempt: 1 },
            Intent::RecordInterrupted { attempt: 1 },
            Intent::EndTechLeadWait { revision: 2 },
            Intent::AskDeputy { revision: 2 },
            Intent::RecordNotice {
                attempt: 1,
                channel: "C".to_owned(),
                ts: "1".to_owned(),
            },
            Intent::BreachNotice { attempt: 1 },
        ]
    };
    for intent in intents() {
        let everything = |s: &mut Scenario| {
            s.is_now("moe", Standing::Active, &Role::ALL);
        };
        check(
            Scenario::queued().and(everything),
            |s| {
                s.by("moe").does(intent);
            },
            "roles.commands",
            "not_in_role",
        );
    }
    check(
        planned(),
        |s| {
            s.worker(Intent::SignOff {
                role: Some(Role::QaLead),
                view: None,
                seen: None,
            });
        },
        "roles.commands",
        "not_in_role",
    );
    check(
        Scenario::approved(),
        |s| {
            s.at(60).worker(Intent::Deploy);
        },
        "roles.commands",
        "not_in_role",
    );
}

#[test]
fn a_sign_off_for_a_slot_that_is_over_is_refused() {
    let mut s = planned();
    s.at_ms(2 * HOUR_MS - 1)
        .by("priya")
        .approves()
        .then_events(["SignedOff product_owner: priya"]);
    let mut s = planned();
    s.at_ms(2 * HOUR_MS)
        .by("priya")
        .approves()
        .then_refused("signoff.product-owner", "slot_over");
}

#[test]
fn nobody_is_asked_when_the_slot_is_over_before_the_tag_is_resolved() {
    let mut s = Scenario::planned();
    s.at(120)
        .looks('a', "deploy.sh")
        .then_events(["SourceResolved"])
        .then_status(Status::Drafted);
    let mut plan = proposal();
    plan.start_ms += 2 * HOUR_MS;
    s.by("rita").plans(plan).then_status(Status::Asking);
}

fn justified(words: &str) -> HotfixRequest {
    HotfixRequest {
        justification: text(words),
        ..hotfix_request()
    }
}

#[test]
fn a_justification_has_twenty_characters_that_a_person_can_read() {
    let nineteen = "1234567890123456789";
    for short in [
        nineteen.to_owned(),
        format!("  {nineteen}  "),
        "12345678901234\u{a0}   \n\t 5678".to_owned(),
        "\u{200b}".repeat(30),
        " ".repeat(40),
        "ö".repeat(19),
        String::new(),
    ] {
        let refusal = check(
            Scenario::empty(),
            |s| {
                s.by("moe").asks_for_hotfix(justified(&short));
            },
            "emergency.justification",
            "justification_too_short",
        );
        assert!(
            matches!(refusal.cause, Cause::JustificationTooShort(chars) if chars < 20),
            "{short:?}"
        );
    }
    for enough in [format!("{nineteen}0"), "ö".repeat(20), format!("  {nineteen} x ")] {
        let mut s = Scenario::empty();
        s.by("moe")
            .asks_for_hotfix(justified(&enough))
            .then_events(["HotfixRequested"]);
    }
    check(
        Scenario::empty(),
        |s| {
            s.by("moe").asks_for_hotfix(justified(&"x".repeat(3_001)));
        },
        "plan.complete",
        "incomplete",
    );
}

#[test]
fn every_missing_field_of_a_plan_is_named() {
    let lacks = |change: fn(&mut Proposal), field: &str| {
        let mut plan = proposal();
        change(&mut plan);
        let refusal = check(
            Scenario::empty(),
            |s| {
                s.by("rita").plans(plan);
            },
            "plan.complete",
            "incomplete",
        );
        let Cause::Incomplete(fields) = refusal.cause else {
            panic!("{:?}", refusal.cause)
        };
        assert_eq!(fields.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [field]);
    };
    lacks(|p| p.scope = text(" \n"), "scope");
    lacks(|p| p.scope = text("\u{200b}"), "scope");
    lacks(|p| p.dependencies = text(""), "dependencies");
    lacks(|p| p.outcome = text("\u{a0}"), "outcome");
    lacks(|p| p.abort_criteria = text(""), "abort_criteria");
    lacks(|p| p.scope = text(&"x".repeat(3_001)), "scope");
    lacks(|p| p.kind = Kind::Emergency, "kind");
    lacks(|p| p.tickets.clear(), "tickets");
    lacks(
        |p| p.tickets = (1..=101).map(|n| key(&format!("PAY-{n}"))).collect(),
        "tickets",
    );
    lacks(|p| p.authors.clear(), "authors");
    lacks(
        |p| p.authors = (0..51).map(|n| person(&format!("a{n}"))).collect(),
        "authors",
    );
    lacks(|p| p.length_ms = MINUTE_MS - 1, "length");
    lacks(|p| p.length_ms = DAY_MS + 1, "length");
    lacks(|p| p.start_ms = crate::support::T0 - p.length_ms, "start");
    lacks(|p| p.start_ms = crate::support::T0 + 366 * DAY_MS + 1, "start");
    lacks(|p| p.start_ms = i64::MAX, "start");
    let mut edge = proposal();
    edge.start_ms = crate::support::T0 - edge.length_ms + 1;
    edge.scope = text(&"x".repeat(3_000));
    Scenario::empty().by("rita").plans(edge).then_events(["ReleasePlanned"]);
    for length_ms in [MINUTE_MS, DAY_MS] {
        let mut edge = proposal();
        edge.length_ms = length_ms;
        edge.tickets = (1..=100).map(|n| key(&format!("PAY-{n}"))).collect();
        edge.authors = (0..50).map(|n| person(&format!("a{n}"))).collect();
        edge.start_ms = crate::support::T0 + 366 * DAY_MS;
        Scenario::empty().by("rita").plans(edge).then_events(["ReleasePlanned"]);
    }
    let edge = HotfixRequest {
        tickets: (1..=100).map(|n| key(&format!("PAY-{n}"))).collect(),
        justification: text(&"x".repeat(3_000)),
        ..hotfix_request()
    };
    Scenario::empty()
        .by("moe")
        .asks_for_hotfix(edge)
        .then_events(["HotfixRequested"]);
}

#[test]
fn without_a_repository_the_full_commit_id_is_demanded() {
    let no_repository = || Scenario::empty().and(|s| s.case.target.as_mut().unwrap().has_repository = false);
    check(
        no_repository(),
        |s| {
            s.by("rita").plans(proposal());
        },
        "plan.complete",
        "incomplete",
    );
    check(
        no_repository(),
        |s| {
            s.by("rita").asks_for_hotfix(hotfix_request());
        },
        "plan.complete",
        "incomplete",
    );
    let mut request = hotfix_request();
    request.commit = Some(commit('c'));
    check_ok(no_repository(), |s| {
        s.by("rita").asks_for_hotfix(request);
    });
}

#[track_caller]
fn check_ok(mut scenario: Scenario, act: impl FnOnce(&mut Scenario)) {
    act(&mut scenario);
    scenario.last.as_ref().unwrap();
}

#[test]
fn a_hotfix_names_its_authors_and_not_too_many_tickets() {
    let lacks = |change: fn(&mut HotfixRequest)| {
        let mut request = hotfix_request();
        change(&mut request);
        check(
            Scenario::empty(),
            |s| {
                s.by("moe").asks_for_hotfix(request);
            },
            "plan.complete",
            "incomplete",
        );
    };
    lacks(|r| r.authors.clear());
    lacks(|r| r.tickets = (1..=101).map(|n| key(&format!("PAY-{n}"))).collect());
}

#[test]
fn a_key_names_one_release_for_ever() {
    check(
        planned(),
        |s| {
            s.by("moe").asks_for_hotfix(hotfix_request());
        },
        "plan.complete",
        "key_taken",
    );
    check(
        hotfix(),
        |s| {
            s.by("rita").plans(proposal());
        },
        "plan.complete",
        "key_taken",
    );
    let elsewhere = |change: fn(&mut domain::case::Target)| planned().and(|s| change(s.case.target.as_mut().unwrap()));
    check(
        elsewhere(|t| t.service = ServiceName::new("ledger").unwrap()),
        |s| {
            s.by("rita").plans(proposal());
        },
        "plan.complete",
        "key_taken",
    );
    check(
        elsewhere(|t| t.environment = EnvironmentName::new("staging").unwrap()),
        |s| {
            s.by("rita").plans(proposal());
        },
        "plan.complete",
        "key_taken",
    );
}

#[test]
fn a_service_that_is_not_configured_is_refused() {
    let nowhere = || Scenario::empty().and(|s| s.case.target = None);
    check(
        nowhere(),
        |s| {
            s.by("rita").plans(proposal());
        },
        "scope.covered",
        "no_such_service",
    );
    check(
        nowhere(),
        |s| {
            s.by("rita").asks_for_hotfix(hotfix_request());
        },
        "scope.covered",
        "no_such_service",
    );
}

#[test]
fn one_roles_no_takes_no_other_roles_word_away() {
    let mut s = planned();
    s.by("quinn").rejects();
    assert_eq!(s.release().status, Status::Rejected);
    s.by("priya").rejects();
    let roles: Vec<Role> = s.release().rejections.keys().copied().collect();
    assert_eq!(roles, [Role::QaLead, Role::ProductOwner]);
    // A no that stands is not said twice, and each role lifts its own.
    let twice = check(s.clone(), rejects("quinn"), "signoff.qa-lead", "already_signed");
    assert_eq!(twice.roles, [Role::QaLead]);
    s.by("quinn").approves();
    assert_eq!(s.release().status, Status::Rejected);
    s.by("priya").approves();
    assert_eq!(s.release().status, Status::Approved);
}

#[test]
fn a_rejection_says_why() {
    for reason in ["", "  ", "\u{200b}"] {
        check(
            planned(),
            |s| {
                s.by("priya").rejects_with(None, reason);
            },
            "signoff.recorded",
            "incomplete",
        );
    }
}

#[test]
fn who_signed_nothing_has_nothing_to_withdraw_and_nobody_signs_twice() {
    check(
        planned(),
        |s| {
            s.by("priya").withdraws();
        },
        "signoff.recorded",
        "nothing_signed",
    );
    let signed = || {
        planned().and(|s| {
            s.by("priya").approves();
        })
    };
    check(
        signed(),
        |s| {
            s.by("paul").withdraws();
        },
        "signoff.recorded",
        "nothing_signed",
    );
    check(signed(), approves("priya"), "signoff.product-owner", "already_signed");
    check(signed(), approves("paul"), "signoff.product-owner", "already_signed");
}

#[test]
fn nobody_signs_before_the_commit_is_known() {
    let mut s = planned();
    s.by("priya").rejects();
    let mut plan = proposal();
    plan.version = Version::new("1.4.1").unwrap();
    s.by("rita")
        .plans(plan)
        .then_events(["PlanChanged"])
        .then_status(Status::Rejected);
    s.by("priya").approves().then_refused("vcs.tag", "source_unknown");
}

#[test]
fn the_refusal_of_a_deployment_names_every_gate_that_holds_it() {
    let mut s = planned();
    s.by("dev").deploys();
    let Cause::GatesUnmet(gates) = &s.then_refused("signoff.product-owner", "gates_unmet").cause else {
        panic!()
    };
    let rules: Vec<&str> = gates.iter().map(|gate| gate.rule.id()).collect();
    assert_eq!(rules, ["signoff.product-owner", "signoff.qa-lead", "deploy.start"]);
    for gate in gates {
        assert!(
            !gate.roles.is_empty() && !gate.people.is_empty(),
            "{} says who can",
            gate.rule
        );
    }
}

#[test]
fn every_gate_that_can_hold_a_start_names_roles_and_people() {
    let mut drafted = Scenario::empty();
    drafted.by("moe").plans(proposal());
    for s in [
        drafted,
        Scenario::planned(),
        planned(),
        Scenario::hotfix(),
        hotfix(),
        Scenario::queued(),
    ] {
        let mut s = s;
        s.case.people = s.people_for(&domain::command::Actor::Countersign);
        for gate in s
            .gates(domain::rules::gates::Moment::Overview)
            .iter()
            .filter(|gate| gate.holds_start())
        {
            assert!(!gate.roles.is_empty(), "{}: {:?}", gate.rule, gate.detail);
            assert!(!gate.people.is_empty(), "{}: {:?}", gate.rule, gate.detail);
            assert!(!gate.people.contains(&person("rita")) || domain::rules::sign_off::role_of(gate.rule).is_none());
        }
    }
}

#[test]
fn slips_of_the_hand_and_failures_of_ours_are_not_put_on_the_record() {
    let recorded = |cause: Cause| cause.is_recorded();
    assert!(recorded(Cause::NotInRole));
    assert!(recorded(Cause::OwnRelease(domain::release::OwnPart::Author)));
    assert!(recorded(Cause::Status(Status::Queued)));
    assert!(recorded(Cause::GatesUnmet(Vec::new())));
    for noise in [
        Cause::Standing(Standing::Guest),
        Cause::FactsUnavailable,
        Cause::NoSuchRelease,
        Cause::ChooseRole([Role::Cto].into()),
        Cause::StaleView,
        Cause::Incomplete(Vec::new()),
        Cause::Outdated,
    ] {
        assert!(!recorded(noise.clone()), "{noise:?}");
    }
}

#[test]
fn a_role_in_which_nobody_can_sign_says_so_and_silence_does_not() {
    use domain::rules::gates::Detail;
    let mut plan = proposal();
    plan.authors = people(&["priya", "paul", "quinn"]);
    let mut s = Scenario::empty();
    s.by("rita").plans(plan);
    let mut s = s.resolved();
    for rule in ["signoff.product-owner", "signoff.qa-lead"] {
        assert_eq!(s.gate(rule).detail, Detail::NobodyCanSign);
        assert!(s.gate(rule).people.is_empty());
    }
    s.silent = true;
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    assert_eq!(s.gate("signoff.product-owner").detail, Detail::Waiting);
    let mut s = Scenario::empty();
    s.by("cleo").asks_for_hotfix(hotfix_request());
    let mut s = s.resolved();
    assert_eq!(s.gate("signoff.cto").detail, Detail::Waiting, "the deputy can");
    s.is_now("vera", Standing::Active, &[]);
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    assert_eq!(s.gate("signoff.cto").detail, Detail::NobodyCanSign);
    s.case.people.holders.remove(&Role::CtoDeputy);
    assert_eq!(
        s.gate("signoff.cto").detail,
        Detail::Waiting,
        "nobody knows whether there is a deputy"
    );
}

#[test]
fn nobody_is_named_who_is_known_not_to_be_able_to_act() {
    let mut s = planned();
    s.is_now("paul", Standing::Deactivated, &[Role::ProductOwner]);
    s.is_now("cleo", Standing::Active, &[Role::Cto, Role::CtoDeputy]);
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    assert_eq!(s.gate("signoff.product-owner").people, [person("priya")]);
    let mut s = hotfix();
    s.is_now("cleo", Standing::Active, &[Role::Cto, Role::CtoDeputy]);
    s.case.people = s.people_for(&domain::command::Actor::Countersign);
    assert_eq!(
        s.gate("signoff.cto").people,
        [person("cleo"), person("vera")],
        "each once"
    );
}

#[test]
fn the_checklist_has_every_rule_that_says_something_of_the_release_in_the_order_of_the_rulebook() {
    let rules = |s: &Scenario| -> Vec<Rule> {
        let gates = s.gates(domain::rules::gates::Moment::Overview);
        gates.iter().map(|gate| gate.rule).collect()
    };
    for mut s in [planned(), hotfix()] {
        s.policy = domain::policy::Policy::default();
        let says = |rule: &&Rule| {
            rule.effect(s.release().kind)
                .is_some_and(|effect| effect != Effect::Action)
        };
        let expected: Vec<Rule> = Rule::ALL.iter().filter(says).copied().collect();
        assert_eq!(rules(&s), expected);
        assert!(expected.len() > 40, "{expected:?}");
    }
    assert!(rules(&Scenario::empty()).is_empty());
}
