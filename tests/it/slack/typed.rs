//! What people type: read leniently, never guessed, never a panic.

use super::samples::key;
use countersign::slack::parse::{Known, Mistyped, Problem, Typed, parse};
use countersign::slack::verbs::{self, Verb};
use domain::ids::{CommitSha, ReleaseKey, ServiceName, Version};
use domain::role::Role;
use domain::rule::Rule;
use proptest::prelude::*;

fn read(typed: &str) -> Typed {
    let services = ["payments", "ledger"].map(|name| ServiceName::new(name).unwrap());
    parse(
        typed,
        &Known {
            keys: &[key("REL-789"), key("REL-790")],
            services: &services,
        },
    )
}

fn slip(typed: &str) -> Mistyped {
    match read(typed) {
        Typed::Mistyped(slip) => slip,
        other => panic!("{typed:?} is {other:?}"),
    }
}

fn named(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn numbered(text: &str) -> Version {
    Version::new(text).unwrap()
}

#[test]
fn a_sign_off_is_read_however_it_is_typed() {
    let expected = Typed::Approve {
        key: key("REL-789"),
        role: None,
    };
    for typed in [
        "approve REL-789",
        "APPROVE rel-789",
        "  approve   REL-789  ",
        "approve\u{a0}REL-789\u{a0}",
        "approve \u{201c}REL-789\u{201d}",
        "approve 'rel-789'",
        "approve `REL-789`",
        "approve rel\u{2011}789",
        "\u{201e}approve\u{201c} REL\u{2013}789",
        "approve\u{200b} REL-789",
        "approve\tREL-789\n",
        "<@U0BOT|countersign> approve REL-789",
        "<@U0BOT> approve REL-789",
        "approve *REL-789*",
    ] {
        assert_eq!(read(typed), expected, "{typed:?}");
    }
}

#[test]
fn roles_are_read_in_one_word_or_two() {
    for (typed, role) in [
        ("qa", Role::QaLead),
        ("QA lead", Role::QaLead),
        ("qa_lead", Role::QaLead),
        ("qa-lead", Role::QaLead),
        ("\"QA Lead\"", Role::QaLead),
        ("as product owner", Role::ProductOwner),
        ("po", Role::ProductOwner),
        ("CTO", Role::Cto),
        ("tech lead", Role::TechLead),
    ] {
        assert_eq!(
            read(&format!("approve REL-789 {typed}")),
            Typed::Approve {
                key: key("REL-789"),
                role: Some(role)
            },
            "{typed}"
        );
    }
    let wrong = slip("approve REL-789 qa leed");
    assert_eq!(wrong.problem, Problem::NotARole("qa leed".to_owned()));
    assert_eq!(wrong.did_you_mean.as_deref(), Some("approve REL-789 qa lead"));
    // Roles that sign nothing are none here.
    assert!(matches!(slip("approve REL-789 admin").problem, Problem::NotARole(_)));
}

#[test]
fn plan_and_hotfix_take_their_words_in_any_order() {
    let all = Typed::Plan {
        key: Some(key("REL-789")),
        service: Some(named("payments")),
        version: Some(numbered("1.4.0")),
    };
    for typed in [
        "plan REL-789 payments v1.4.0",
        "plan payments v1.4.0 REL-789",
        "Plan rel-789 Payments 1.4.0",
    ] {
        assert_eq!(read(typed), all, "{typed}");
    }
    assert_eq!(
        read("plan"),
        Typed::Plan {
            key: None,
            service: None,
            version: None
        }
    );
    assert_eq!(
        read("plan REL-789"),
        Typed::Plan {
            key: Some(key("REL-789")),
            service: None,
            version: None
        }
    );
    assert_eq!(
        read("hotfix payments v1.4.1"),
        Typed::Hotfix {
            service: Some(named("payments")),
            version: Some(numbered("1.4.1"))
        }
    );
    assert_eq!(
        read("hotfix"),
        Typed::Hotfix {
            service: None,
            version: None
        }
    );
    assert_eq!(
        slip("plan REL-789 payment v1.4.0").did_you_mean.as_deref(),
        Some("plan REL-789 payments v1.4.0")
    );
    assert_eq!(
        slip("plan REL-789 payments v1.x").problem,
        Problem::NotAVersion("v1.x".to_owned())
    );
    assert!(
        matches!(slip("plan REL-789 payments v1.4.0 ledger").problem, Problem::TooMany(_, extra) if extra == "ledger")
    );
    assert!(matches!(slip("hotfix REL-789 payments").problem, Problem::NotAService(word) if word == "REL-789"));
}

#[test]
fn reasons_keep_what_was_written() {
    for (typed, reason) in [
        ("reject REL-789 \"refunds are untested\"", Some("refunds are untested")),
        ("reject REL-789 refunds   are untested", Some("refunds   are untested")),
        (
            "reject REL-789 \u{201c}refunds \u{2013} untested\u{201d}",
            Some("refunds \u{2013} untested"),
        ),
        (
            "reject REL-789 it's 5 &gt; 3 &amp; <@U1|bob> agrees",
            Some("it's 5 > 3 & <@U1|bob> agrees"),
        ),
        ("reject REL-789 &lt;!channel&gt;", Some("<!channel>")),
        ("reject REL-789 \"a\" and \"b\"", Some("\"a\" and \"b\"")),
        ("reject REL-789", None),
        ("reject REL-789 \"\"", None),
        ("reject REL-789 \u{a0} ", None),
    ] {
        assert_eq!(
            read(typed),
            Typed::Reject {
                key: key("REL-789"),
                reason: reason.map(str::to_owned)
            },
            "{typed:?}"
        );
    }
    assert_eq!(
        read("withdraw rel-789"),
        Typed::Withdraw {
            key: key("REL-789"),
            reason: None
        }
    );
    let take_back = |rule| Typed::TakeBack {
        key: key("REL-789"),
        rule,
    };
    assert_eq!(read("withdraw REL-789 criteria.docs"), take_back(Rule::CriteriaDocs));
    assert_eq!(read("withdraw REL-789 `Health.CPU`"), take_back(Rule::HealthCpu));
    // A slip in a rule must not take the sign-off back.
    for slip in [
        "withdraw REL-789 criteria.doc",
        "withdraw REL-789 criteria.docs because",
    ] {
        assert!(matches!(read(slip), Typed::Mistyped(_)), "{slip}");
    }
    for reason in ["not ready", "v1.4.1 is better", "criteria.docs are wrong"] {
        assert_eq!(
            read(&format!("withdraw REL-789 \"{reason}\"")),
            Typed::Withdraw {
                key: key("REL-789"),
                reason: Some(reason.to_owned())
            }
        );
    }
    assert_eq!(
        read("waive REL-789 criteria.docs"),
        Typed::Waive {
            key: key("REL-789"),
            rule: Some(Rule::CriteriaDocs)
        }
    );
    assert_eq!(
        read("attest REL-789 qa_lead"),
        Typed::Attest {
            key: key("REL-789"),
            role: Some(Role::QaLead)
        }
    );
    assert_eq!(
        read("cancel REL-789 moved"),
        Typed::Cancel {
            key: key("REL-789"),
            reason: Some("moved".to_owned())
        }
    );
}

#[test]
fn the_other_verbs_are_read() {
    let sha = "3f9c2e1d0b8a47569cfe3d2b1a0f9e8d7c6b5a43";
    assert_eq!(read(""), Typed::Help { topic: None });
    assert_eq!(read(" \u{a0} "), Typed::Help { topic: None });
    assert_eq!(read("help"), Typed::Help { topic: None });
    assert_eq!(
        read("help Approve"),
        Typed::Help {
            topic: verbs::find("approve")
        }
    );
    assert_eq!(read("status"), Typed::Status { key: None });
    assert_eq!(
        read("status rel-789"),
        Typed::Status {
            key: Some(key("REL-789"))
        }
    );
    assert_eq!(read("list"), Typed::List { service: None });
    assert_eq!(
        read("list Ledger"),
        Typed::List {
            service: Some(named("ledger"))
        }
    );
    assert_eq!(read("why REL-789"), Typed::Why { key: key("REL-789") });
    assert_eq!(read("audit REL-789"), Typed::Audit { key: key("REL-789") });
    assert_eq!(read("deploy REL-789"), Typed::Deploy { key: key("REL-789") });
    assert_eq!(read("stop REL-789"), Typed::Stop { key: key("REL-789") });
    let typed = format!("commit REL-789 {}", sha.to_uppercase());
    assert_eq!(
        read(&typed),
        Typed::Commit {
            key: key("REL-789"),
            sha: CommitSha::new(sha).unwrap()
        }
    );
    assert!(matches!(slip("commit REL-789 3f9c2e1").problem, Problem::NotACommit(_)));
    assert!(matches!(slip("commit REL-789").problem, Problem::NotACommit(_)));
}

#[test]
fn every_stable_verb_is_known_and_those_of_later_say_so() {
    let stable = [
        "plan",
        "hotfix",
        "status",
        "list",
        "why",
        "approve",
        "reject",
        "withdraw",
        "waive",
        "schedule",
        "deploy",
        "verify",
        "rollback",
        "hold",
        "freeze",
        "delegate",
        "calendar",
        "audit",
        "close",
        "cancel",
        "record-emergency",
        "exceptions",
        "help",
    ];
    for name in stable {
        let entry = verbs::find(name).unwrap_or_else(|| panic!("{name} is missing"));
        if entry.verb == Verb::Later {
            assert_eq!(read(&format!("{name} REL-789 whatever")), Typed::NotYet { verb: entry });
        }
        // Each example can be copied.
        assert!(!matches!(read(entry.example), Typed::Mistyped(_)), "{}", entry.example);
        assert!(entry.usage.starts_with(entry.name));
    }
    assert!(verbs::usage_hint().chars().count() <= 1_000);
    let mut names: Vec<_> = verbs::VERBS.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), verbs::VERBS.len());
}

#[test]
fn slips_get_a_suggestion_to_copy() {
    for (typed, meant) in [
        ("aprove REL-789", Some("approve REL-789")),
        ("apporve REL-789", Some("approve REL-789")),
        ("delpoy REL-789", Some("deploy REL-789")),
        ("staus", Some("status")),
        ("REL-789", Some("status REL-789")),
        ("REL-789 approve", Some("approve REL-789")),
        ("rel-789 reject too risky", Some("reject REL-789 too risky")),
        ("approve 789", Some("approve REL-789")),
        ("approve REL 789", Some("approve REL-789")),
        ("approve REL-78q", Some("approve REL-789")),
        ("approve qa REL-789", Some("approve REL-789")),
        ("deploy REL-789 now", Some("deploy REL-789")),
        ("list paymnets", Some("list payments")),
        ("frobnicate", None),
        ("approve", None),
    ] {
        assert_eq!(slip(typed).did_you_mean.as_deref(), meant, "{typed:?}");
    }
    assert!(matches!(slip("deploy REL-789 now").problem, Problem::TooMany(_, extra) if extra == "now"));
    let only = [key("REL-789")];
    let typed = parse(
        "why",
        &Known {
            keys: &only,
            services: &[],
        },
    );
    assert!(matches!(typed, Typed::Mistyped(slip) if slip.did_you_mean.as_deref() == Some("why REL-789")));
}

proptest! {
    #[test]
    fn nothing_that_can_be_typed_panics(typed in any::<String>(), verb in 0..verbs::VERBS.len()) {
        let _ = read(&typed);
        let _ = read(&format!("{} {typed}", verbs::VERBS[verb].name));
        let _ = read(&format!("approve REL-789 {typed}"));
        let _ = read(&format!("reject REL-789 {typed}"));
    }

    #[test]
    fn quotes_mentions_and_odd_spaces_in_any_order_do_not_panic(typed in "[\"'`<>@|&;a-zA-Z0-9\u{201c}\u{201d}\u{201e}\u{a0} \\-]{0,60}") {
        let _ = read(&typed);
        let _ = read(&format!("plan {typed}"));
    }

    #[test]
    fn every_key_is_found_in_lower_case(project in "[A-Z][A-Z0-9]{1,9}", number in 1..999_999_999_u32) {
        let expected = ReleaseKey::new(format!("{project}-{number}")).unwrap();
        prop_assert_eq!(read(&format!("why {}", expected.as_str().to_lowercase())), Typed::Why { key: expected });
    }
}

/// Found by the fuzzer: words that each looked through all that follows them, and words that each moved it.
#[test]
fn a_text_that_is_as_long_as_a_request_may_be_is_read_at_once() {
    for word in ["\u{201e} ", "<>", "approve ", "&lt; "] {
        let typed = word.repeat(512 * 1_024 / word.len());
        let begun = std::time::Instant::now();
        read(&typed);
        // A busy machine may take a second; quadratic readings take far more.
        assert!(begun.elapsed().as_secs() < 10, "{word:?}: {:?}", begun.elapsed());
    }
}
