//! `roles.commands`: the reviewed table in `docs/roles.md`, the code behind it, and every cell of it tried.

use crate::golden::blesses;
use crate::support::{Scenario, commit, hotfix_request, person, proposal, seen, text};
use domain::command::{Actor, Attested, Intent, WaiverRequest};
use domain::event::SourceProblem;
use domain::intents::authority::{Ask, Who, permit_person};
use domain::people::Standing;
use domain::refusal::{Cause, Refusal};
use domain::release::{AttemptResult, SettlementChoice, Status};
use domain::role::Role;
use domain::rule::Rule;
use std::fmt::Write as _;
use std::path::Path;

const HEADER: &str = "# Who may ask for what

Rule `roles.commands` (clauses 2.1, 2.2), as the code has it. The default is no. Guests, bots, deactivated people and
members of other workspaces may do nothing, reading included. Whatever stands here opens only the door: the rules
behind it (own release, one role per release, every gate) are judged afterwards.

How to read it: a row is something that can be asked for. In the first table the columns are who asks: *member* is
every active member of the workspace, *requester* who asked for this release, *countersign* a timer or the result of a
job. In the second table the columns are where the release stands; *new* is a release that doesn't exist yet. A request
goes through where both tables say yes.

This page is compared with the code by a test, and every cell is tried. After a change that was reviewed against the
[rulebook](rulebook.md):

    COUNTERSIGN_BLESS=1 cargo test -p countersign-domain --test rules

Some rows need a word. **withdraw** and **take_back** are open to members because only one's own word can be taken back: who has left
the role must still be able to. **attest** and **waive** name everybody who may say or excuse something; the rulebook says what. **sign_hotfix** reaches past the start, because an owed sign-off is
given afterwards; anything else is refused there. **deploy** can be asked for early, so that the answer names every gate
that holds it.

";

fn word(yes: bool) -> &'static str {
    if yes { "yes" } else { "–" }
}

fn roles_of(ask: Ask) -> (&'static [Role], bool, bool, bool) {
    match ask.who() {
        Who::Members => (&[], true, true, false),
        Who::Roles(roles) => (roles, false, false, false),
        Who::RolesOrRequester(roles) => (roles, false, true, false),
        Who::Requester => (&[], false, true, false),
        Who::Countersign => (&[], false, false, true),
    }
}

/// Whether somebody who holds exactly `role`, or none, may ask.
fn may(ask: Ask, role: Option<Role>, is_requester: bool) -> bool {
    let (roles, members, requester, _) = roles_of(ask);
    members || (requester && is_requester) || role.is_some_and(|role| roles.contains(&role))
}

fn table() -> String {
    let mut page = HEADER.to_owned();
    let row = |page: &mut String, cells: &[&str]| writeln!(page, "| {} |", cells.join(" | ")).unwrap();
    let mut head = vec!["ask"];
    head.extend(Role::ALL.map(Role::key));
    head.extend(["member", "requester", "countersign"]);
    row(&mut page, &head);
    row(&mut page, &vec!["---"; head.len()]);
    for ask in Ask::ALL {
        let mut cells = vec![ask.word()];
        cells.extend(Role::ALL.map(|role| word(may(ask, Some(role), false))));
        let countersign = roles_of(ask).3;
        cells.extend([
            word(may(ask, None, false)),
            word(may(ask, None, true)),
            word(countersign),
        ]);
        row(&mut page, &cells);
    }
    page.push('\n');
    let mut head = vec!["ask", "new"];
    head.extend(Status::ALL.map(Status::key));
    row(&mut page, &head);
    row(&mut page, &vec!["---"; head.len()]);
    for ask in Ask::ALL {
        let mut cells = vec![ask.word(), word(ask.statuses().is_none())];
        cells.extend(Status::ALL.map(|status| word(ask.statuses().is_some_and(|all| all.contains(&status)))));
        row(&mut page, &cells);
    }
    page
}

#[test]
fn the_table_is_the_reviewed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/roles.md");
    if blesses() {
        std::fs::write(&path, table()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        table(),
        "review the change, then COUNTERSIGN_BLESS=1"
    );
}

/// A planned release that Moe drafted and Rita took over, in `status`; Moe has no role.
fn planned_in(status: Status) -> Scenario {
    let drafted = || {
        Scenario::empty().and(|s| {
            s.by("moe").plans(proposal());
            s.by("rita").plans(proposal());
            let problem = SourceProblem::GitSilent;
            s.worker(Intent::RecordSourceProblem {
                problem,
                observed_ms: s.now,
            });
        })
    };
    let asking = || drafted().resolved();
    let approved = || {
        asking().and(|s| {
            s.by("priya").approves();
            s.by("quinn").approves();
            s.at(60);
        })
    };
    let deploying = || {
        approved().and(|s| {
            s.by("dev").deploys();
            s.starts();
        })
    };
    match status {
        Status::Drafted => drafted(),
        Status::Asking => asking(),
        Status::Approved => approved(),
        Status::Queued => approved().and(|s| s.by("dev").deploys().done()),
        Status::Deploying => deploying(),
        Status::Interrupted => deploying().and(|s| s.is_interrupted().done()),
        Status::Released => deploying().and(|s| s.ends(AttemptResult::Succeeded).done()),
        Status::Rejected => asking().and(|s| s.by("priya").rejects().done()),
        Status::Cancelled => asking().and(|s| s.by("rita").cancels().done()),
    }
}

/// A hotfix that Moe asked for, in `status`.
fn hotfix_in(status: Status) -> Scenario {
    let drafted = || {
        Scenario::empty().and(|s| {
            s.by("moe").asks_for_hotfix(hotfix_request());
            let problem = SourceProblem::GitSilent;
            s.worker(Intent::RecordSourceProblem {
                problem,
                observed_ms: s.now,
            });
        })
    };
    let asking = || drafted().resolved();
    let queued = || asking().and(|s| s.at(15).by("cleo").approves().done());
    let deploying = || queued().and(|s| s.starts().done());
    match status {
        Status::Drafted => drafted(),
        Status::Asking => asking(),
        Status::Approved => queued().and(|s| s.by("dev").stops().done()),
        Status::Queued => queued(),
        Status::Deploying => deploying(),
        Status::Interrupted => deploying().and(|s| s.is_interrupted().done()),
        Status::Released => deploying().and(|s| s.ends(AttemptResult::Succeeded).done()),
        Status::Rejected => asking().and(|s| s.by("theo").rejects().done()),
        Status::Cancelled => asking().and(|s| s.by("moe").cancels().done()),
    }
}

fn draft_in(status: Status) -> Scenario {
    Scenario::empty().and(|s| {
        s.by("moe").plans(proposal());
        s.case.release.as_mut().unwrap().status = status;
        s.rebase();
    })
}

/// The release that an ask is about, in `status`, and the intents that ask for it.
fn scene(ask: Ask, status: Status) -> (Scenario, Vec<Intent>) {
    let plan = || vec![Intent::Plan(Box::new(proposal()))];
    let sign = || {
        vec![Intent::SignOff {
            role: None,
            view: None,
            seen: None,
        }]
    };
    let reject = || {
        vec![Intent::Reject {
            role: None,
            view: None,
            reason: text("no"),
        }]
    };
    match ask {
        Ask::Read | Ask::ExportAudit => (planned_in(status), Vec::new()),
        Ask::Plan => (Scenario::empty(), plan()),
        Ask::RequestHotfix => (
            Scenario::empty(),
            vec![Intent::RequestHotfix(Box::new(hotfix_request()))],
        ),
        Ask::EditPlan => (planned_in(status), plan()),
        Ask::EditDraft => (draft_in(status), plan()),
        Ask::TypeCommit => (planned_in(status), vec![Intent::TypeCommit { commit: commit('c') }]),
        Ask::SignPlanned => (planned_in(status), sign()),
        Ask::SignHotfix => (hotfix_in(status), sign()),
        Ask::RejectPlanned => (planned_in(status), reject()),
        Ask::RejectHotfix => (hotfix_in(status), reject()),
        Ask::Withdraw => (planned_in(status), vec![Intent::Withdraw { reason: None }]),
        Ask::Attest => (
            planned_in(status),
            vec![Intent::Attest(Box::new(Attested {
                role: Role::QaLead,
                view: None,
                lines: Vec::new(),
                signs: false,
                seen: None,
            }))],
        ),
        Ask::Waive => (
            planned_in(status),
            vec![Intent::Waive(Box::new(WaiverRequest {
                rule: Rule::CriteriaCoverage,
                view: None,
                justification: text("the fix of a typing error"),
                follow_up_ms: 0,
            }))],
        ),
        Ask::TakeBack => (
            planned_in(status),
            vec![Intent::TakeBack {
                rule: Rule::CriteriaCoverage,
            }],
        ),
        Ask::CancelPlanned => (planned_in(status), vec![Intent::Cancel { reason: None }]),
        Ask::CancelHotfix => (hotfix_in(status), vec![Intent::Cancel { reason: None }]),
        Ask::Deploy => (planned_in(status), vec![Intent::Deploy]),
        Ask::Stop => (planned_in(status), vec![Intent::StopDeployment]),
        Ask::Settle => (
            planned_in(status),
            vec![Intent::Settle {
                attempt: 1,
                choice: SettlementChoice::Failed,
            }],
        ),
        Ask::Record => (hotfix_in(status), records()),
    }
}

fn records() -> Vec<Intent> {
    let observed_ms = crate::support::T0;
    vec![
        Intent::RecordSource(seen('a', "deploy.sh", observed_ms)),
        Intent::RecordSourceProblem {
            problem: SourceProblem::TagMissing,
            observed_ms,
        },
        Intent::AskDeputy { revision: 2 },
        Intent::EndTechLeadWait { revision: 2 },
        Intent::StartAttempt {
            attempt: 1,
            seen: Err(SourceProblem::GitSilent),
            host: "h".to_owned(),
        },
        Intent::RecordRunning { attempt: 1 },
        Intent::RecordEnd {
            attempt: 1,
            result: AttemptResult::Succeeded,
            output: None,
        },
        Intent::RecordInterrupted { attempt: 1 },
        Intent::RecordNotice {
            attempt: 1,
            channel: "C".to_owned(),
            ts: "1".to_owned(),
        },
        Intent::EscalateNotice {
            attempt: 1,
            step: domain::event::NoticeStep::Mail,
        },
        Intent::BreachNotice { attempt: 1 },
    ]
}

fn is_shut(refusal: &Refusal) -> bool {
    // Whose own release it is hears that instead of the missing role; behind the door the rule is the sign-off's.
    let shut = matches!(
        refusal.cause,
        Cause::NotInRole | Cause::Status(_) | Cause::OwnRelease(_)
    );
    refusal.rule == Rule::RolesCommands && shut
}

#[test]
fn every_ask_by_every_role_in_every_status_does_what_the_table_says() {
    let somebody: Vec<(Option<Role>, bool)> = Role::ALL
        .into_iter()
        .map(|role| (Some(role), false))
        .chain([(None, false), (None, true)])
        .collect();
    let mut tried = 0;
    for ask in Ask::ALL {
        for status in Status::ALL {
            let (stage, intents) = scene(ask, status);
            for (role, is_requester) in &somebody {
                let mut s = stage.clone();
                if ask.statuses().is_some() {
                    assert_eq!(s.release().status, status, "{}", ask.word());
                }
                // Nobody else, so that nothing but the role decides; the requester is Moe, without a role.
                let name = if *is_requester { "moe" } else { "zoe" };
                s.is_now(name, Standing::Active, role.as_slice());
                let in_status = ask.statuses().is_none_or(|all| all.contains(&status));
                // A draft that isn't one's own is edited as a plan.
                let asked = if ask == Ask::EditDraft && !is_requester {
                    Ask::EditPlan
                } else {
                    ask
                };
                let expected = may(asked, *role, *is_requester)
                    && (asked == ask && in_status || asked.statuses().is_some_and(|all| all.contains(&status)));
                let at = format!("{} by {role:?} requester {is_requester} in {status:?}", ask.word());
                if intents.is_empty() {
                    s.case.people = s.people_for(&Actor::Countersign);
                    let permitted = permit_person(&s.case, ask, &person(name), s.now).is_ok();
                    assert_eq!(permitted, expected, "{at}");
                    tried += 1;
                }
                for intent in intents.clone() {
                    let mut s = stage.clone();
                    s.is_now(name, Standing::Active, role.as_slice());
                    s.by(name).does(intent);
                    let open = !s.last.as_ref().is_err_and(is_shut);
                    assert_eq!(open, expected, "{at}: {:?}", s.last);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 21 * 9 * 11, "{tried}");
}

#[test]
fn countersign_itself_may_report_in_any_status_and_ask_for_nothing() {
    for ask in Ask::ALL {
        for status in Status::ALL {
            let (stage, intents) = scene(ask, status);
            for intent in intents {
                let mut s = stage.clone();
                s.worker(intent);
                let open = !s.last.as_ref().is_err_and(is_shut);
                assert_eq!(open, ask == Ask::Record, "{} in {status:?}: {:?}", ask.word(), s.last);
            }
        }
    }
}

#[test]
fn the_words_of_asks_are_unique_and_stable() {
    let words: Vec<&str> = Ask::ALL.map(Ask::word).to_vec();
    let unique: std::collections::BTreeSet<&str> = words.iter().copied().collect();
    assert_eq!(unique.len(), Ask::ALL.len());
    assert_eq!(words[0], "read");
}

/// The rulebook's own words, row by row; not read from the code.
#[test]
fn the_table_agrees_with_the_rulebook() {
    use Role::{Admin, Auditor, Cto, CtoDeputy, DeploymentEngineer, ProductOwner, QaLead, ReleaseManager, TechLead};
    let check = |ask: Ask, roles: &[Role], member: bool, requester: bool| {
        for role in Role::ALL {
            assert_eq!(
                may(ask, Some(role), false),
                member || roles.contains(&role),
                "{} {role}",
                ask.word()
            );
        }
        assert_eq!(may(ask, None, false), member, "{}", ask.word());
        assert_eq!(may(ask, None, true), member || requester, "{}", ask.word());
    };
    check(Ask::Read, &[], true, true);
    check(Ask::ExportAudit, &[Admin, Auditor], false, false);
    check(Ask::Plan, &[], true, true);
    check(Ask::EditPlan, &[ReleaseManager], false, false);
    check(Ask::EditDraft, &[], false, true);
    check(Ask::RequestHotfix, &[], true, true);
    check(Ask::TypeCommit, &[ReleaseManager], false, true);
    check(Ask::SignPlanned, &[ProductOwner, QaLead], false, false);
    check(Ask::RejectPlanned, &[ProductOwner, QaLead], false, false);
    check(Ask::SignHotfix, &[Cto, CtoDeputy, TechLead], false, false);
    check(Ask::RejectHotfix, &[Cto, CtoDeputy, TechLead], false, false);
    check(Ask::Withdraw, &[], true, true);
    check(Ask::CancelPlanned, &[ReleaseManager], false, false);
    check(Ask::CancelHotfix, &[ReleaseManager, Cto], false, true);
    check(Ask::Deploy, &[DeploymentEngineer], false, false);
    check(
        Ask::Stop,
        &[DeploymentEngineer, ReleaseManager, TechLead, Cto],
        false,
        false,
    );
    check(
        Ask::Settle,
        &[DeploymentEngineer, ReleaseManager, TechLead],
        false,
        false,
    );
    check(Ask::Record, &[], false, false);
}
