//! Shapes of Slack's user object (A9, A10) and what each makes of a person.

use countersign::people::{SlackUser, standing_of};
use countersign::slack::client::UserFacts;
use domain::people::Standing::{self, Active, Bot, Deactivated, Guest, Outsider, Unknown};
use serde_json::{Value, json};

/// A full member as Slack's documentation shows one.
fn member() -> Value {
    json!({
        "id": "U1", "team_id": "T0ACME", "name": "spengler", "deleted": false, "real_name": "Egon Spengler",
        "profile": { "real_name": "Egon Spengler", "email": "cto@acme.test", "team": "T0ACME" },
        "is_admin": true, "is_owner": false, "is_primary_owner": false, "is_restricted": false,
        "is_ultra_restricted": false, "is_bot": false, "is_app_user": false, "updated": 1_502_138_686,
        "is_email_confirmed": true, "has_2fa": false,
    })
}

fn judge(user: &Value) -> Standing {
    let user_id = SlackUser::new("U1").unwrap();
    UserFacts::read(user).map_or(Unknown, |facts| standing_of(&facts, &user_id, "T0ACME"))
}

#[test]
fn only_a_plain_member_of_our_workspace_is_active() {
    let table: Vec<(Value, Standing)> = vec![
        (json!({}), Active),
        (
            json!({ "is_stranger": false, "is_invited_user": false, "is_workflow_bot": false }),
            Active,
        ),
        (json!({ "deleted": true }), Deactivated),
        (json!({ "is_invited_user": true }), Deactivated),
        (json!({ "is_bot": true }), Bot),
        (json!({ "is_app_user": true }), Bot),
        (json!({ "is_workflow_bot": true }), Bot),
        (json!({ "is_connector_bot": true }), Bot),
        (json!({ "id": "USLACKBOT" }), Bot),
        (json!({ "is_restricted": true }), Guest),
        (json!({ "is_restricted": true, "is_ultra_restricted": true }), Guest),
        (json!({ "is_ultra_restricted": true }), Guest),
        (json!({ "is_stranger": true }), Outsider),
        (json!({ "team_id": "T0OTHER" }), Outsider),
        (json!({ "team_id": "T0OTHER", "is_stranger": false }), Outsider),
        (json!({ "team_id": "t0acme" }), Outsider),
        (json!({ "team_id": "T0ACME2" }), Outsider),
        (json!({ "team_id": "" }), Outsider),
        (json!({ "team_id": null }), Outsider),
        (json!({ "team_id": 7 }), Outsider),
        (json!({ "team_id": "E0ORG" }), Outsider),
        (json!({ "team_id": "T0OTHER", "is_restricted": true }), Outsider),
        // Enterprise Grid: a member of our workspace whose home is elsewhere in the organisation.
        (
            json!({ "team_id": "T0HOME", "enterprise_user": { "id": "U1", "enterprise_id": "E0", "teams": ["T0HOME", "T0ACME"] } }),
            Active,
        ),
        (
            json!({ "team_id": "E0", "enterprise_user": { "enterprise_id": "E0", "teams": ["T0ACME"] } }),
            Active,
        ),
        (
            json!({ "team_id": "E0", "enterprise_user": { "enterprise_id": "E0", "teams": ["T0OTHER"] } }),
            Outsider,
        ),
        (
            json!({ "team_id": "E0", "enterprise_user": { "enterprise_id": "E0", "teams": [] } }),
            Outsider,
        ),
        (
            json!({ "team_id": "E0", "enterprise_user": { "enterprise_id": "E0" } }),
            Outsider,
        ),
        (json!({ "team_id": "E0", "enterprise_user": "T0ACME" }), Outsider),
        (
            json!({ "profile": { "team": "T0OTHER" }, "team_id": "T0OTHER" }),
            Outsider,
        ),
        // Shapes that Slack never sent so far: nobody is let in by them.
        (json!({ "deleted": null }), Unknown),
        (json!({ "deleted": "false" }), Unknown),
        (json!({ "is_bot": 0 }), Unknown),
        (json!({ "is_bot": "true" }), Unknown),
        (json!({ "is_restricted": null }), Unknown),
        (json!({ "is_ultra_restricted": [] }), Unknown),
        (json!({ "is_stranger": "yes" }), Unknown),
        (json!({ "is_invited_user": 1 }), Unknown),
        (json!({ "is_app_user": {} }), Unknown),
        (json!({ "id": "U2" }), Unknown),
        (json!({ "id": 1 }), Unknown),
        (json!({ "id": null }), Unknown),
    ];
    for (change, expected) in table {
        let mut user = member();
        user.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        assert_eq!(judge(&user), expected, "{change}");
    }
}

#[test]
fn a_missing_flag_lets_nobody_in() {
    for flag in [
        "id",
        "team_id",
        "deleted",
        "is_bot",
        "is_restricted",
        "is_ultra_restricted",
    ] {
        let mut user = member();
        user.as_object_mut().unwrap().remove(flag);
        assert_ne!(judge(&user), Active, "{flag}");
    }
    // Slack shortens the object of a deactivated member.
    let short =
        json!({ "id": "U1", "team_id": "T0ACME", "name": "x", "deleted": true, "profile": {}, "is_bot": false });
    assert_eq!(judge(&short), Deactivated);
    for nobody in [json!(null), json!([]), json!("U1"), json!({})] {
        assert_eq!(judge(&nobody), Unknown);
    }
}

#[test]
fn names_titles_and_addresses_change_nothing() {
    let mut user = member();
    user["is_restricted"] = json!(true);
    for claim in ["name", "real_name"] {
        user[claim] = json!("CTO");
    }
    user["profile"]["title"] = json!("CTO");
    user["is_owner"] = json!(true);
    user["is_primary_owner"] = json!(true);
    assert_eq!(judge(&user), Guest);
}

#[test]
fn a_workspace_without_a_name_has_no_members() {
    let mut user = member();
    user["team_id"] = json!("");
    let facts = UserFacts::read(&user).unwrap();
    assert_eq!(standing_of(&facts, &SlackUser::new("U1").unwrap(), ""), Outsider);
}

#[test]
fn an_id_that_is_none_is_never_asked_about() {
    for bad in [
        "",
        "U",
        "u1234",
        "U1 2",
        "U1&user=U2",
        "T0ACME",
        "@rita",
        "U1\n",
        "<@U1>",
    ] {
        assert!(SlackUser::new(bad).is_err(), "{bad:?}");
    }
}
