//! The bot's own Slack library must be able to read every answer and every payload.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use playground::{Handle, Options, Workspace, start};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use slack_morphism::prelude::*;

async fn quiet_playground() -> Handle {
    let mut options = Options::new(Workspace::demo());
    options.rate_limits = false;
    start(options).await.unwrap()
}

async fn posted<T: DeserializeOwned>(slack: &Handle, method: &str, args: Value) -> (T, Value) {
    let answer = slack.api().post(method, &args).await.unwrap().json();
    assert_eq!(answer["ok"], true, "{method}: {answer}");
    let parsed = serde_json::from_value(answer.clone());
    (
        parsed.unwrap_or_else(|error| panic!("{method}: {error}: {answer}")),
        answer,
    )
}

async fn got<T: DeserializeOwned>(slack: &Handle, method: &str, args: &[(&str, &str)]) -> T {
    let answer = slack.api().get(method, args).await.unwrap().json();
    assert_eq!(answer["ok"], true, "{method}: {answer}");
    let parsed = serde_json::from_value(answer.clone());
    parsed.unwrap_or_else(|error| panic!("{method}: {error}: {answer}"))
}

fn card() -> Value {
    json!([
        {"type": "header", "text": {"type": "plain_text", "text": "REL-1"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*waits*"}, "fields": [{"type": "mrkdwn", "text": "a"}]},
        {"type": "actions", "block_id": "acts", "elements": [
            {"type": "button", "action_id": "approve", "style": "primary", "value": "1", "text": {"type": "plain_text", "text": "Approve"}},
        ]},
    ])
}

#[tokio::test]
async fn every_read_is_understood() {
    let slack = quiet_playground().await;
    got::<SlackApiAuthTestResponse>(&slack, "auth.test", &[]).await;
    got::<SlackApiTeamInfoResponse>(&slack, "team.info", &[]).await;
    got::<SlackApiBotsInfoResponse>(&slack, "bots.info", &[("bot", "B0BOT")]).await;
    let user: SlackApiUsersInfoResponse = got(&slack, "users.info", &[("user", "U0GUS")]).await;
    assert_eq!(user.user.flags.is_restricted, Some(true));
    let users: SlackApiUsersListResponse = got(&slack, "users.list", &[]).await;
    assert_eq!(users.members.len(), 13);
    got::<SlackApiUsersLookupByEmailResponse>(&slack, "users.lookupByEmail", &[("email", "rita@acme.example")]).await;
    let members: SlackApiUserGroupsUsersListResponse =
        got(&slack, "usergroups.users.list", &[("usergroup", "S0QALEADS")]).await;
    assert_eq!(
        members.users,
        [SlackUserId("U0QUINN".into()), SlackUserId("U0UMA".into())]
    );
    got::<SlackApiUserGroupsListResponse>(&slack, "usergroups.list", &[("include_users", "true")]).await;
    let info: SlackApiConversationsInfoResponse = got(&slack, "conversations.info", &[("channel", "C0RELEASES")]).await;
    assert_eq!(info.channel.flags.is_member, Some(true));
    got::<SlackApiConversationsListResponse>(&slack, "conversations.list", &[]).await;
    got::<SlackApiConversationsMembersResponse>(&slack, "conversations.members", &[("channel", "C0RELEASES")]).await;
}

#[tokio::test]
async fn every_write_is_understood() {
    let slack = quiet_playground().await;
    let metadata = json!({"event_type": "card", "event_payload": {"release": "REL-1"}});
    let args = json!({"channel": "C0RELEASES", "text": "REL-1", "blocks": card(), "metadata": metadata});
    let (post, _) = posted::<SlackApiChatPostMessageResponse>(&slack, "chat.postMessage", args.clone()).await;
    let ts = post.ts.0.clone();
    let reply = json!({"channel": "C0RELEASES", "text": "reply", "thread_ts": ts});
    posted::<SlackApiChatPostMessageResponse>(&slack, "chat.postMessage", reply).await;
    let mut update = args;
    update["ts"] = json!(ts);
    posted::<SlackApiChatUpdateResponse>(&slack, "chat.update", update).await;
    let whisper = json!({"channel": "C0RELEASES", "user": "U0RITA", "text": "psst"});
    posted::<SlackApiChatPostEphemeralResponse>(&slack, "chat.postEphemeral", whisper).await;
    let link = [("channel", "C0RELEASES"), ("message_ts", ts.as_str())];
    got::<SlackApiChatGetPermalinkResponse>(&slack, "chat.getPermalink", &link).await;
    let history: SlackApiConversationsHistoryResponse = got(
        &slack,
        "conversations.history",
        &[
            ("channel", "C0RELEASES"),
            ("include_all_metadata", "true"),
            ("limit", "10"),
        ],
    )
    .await;
    assert_eq!(
        history.messages[0].content.metadata.as_ref().unwrap().event_type,
        "card"
    );
    let thread = [("channel", "C0RELEASES"), ("ts", ts.as_str())];
    let replies: SlackApiConversationsRepliesResponse = got(&slack, "conversations.replies", &thread).await;
    assert_eq!(replies.messages.len(), 2);
    posted::<SlackApiConversationsOpenResponse<SlackBasicChannelInfo>>(
        &slack,
        "conversations.open",
        json!({"users": "U0RITA"}),
    )
    .await;
    posted::<SlackApiConversationsOpenResponse<SlackChannelInfo>>(
        &slack,
        "conversations.open",
        json!({"users": "U0RITA", "return_im": true}),
    )
    .await;
    posted::<SlackApiChatDeleteResponse>(&slack, "chat.delete", json!({"channel": "C0RELEASES", "ts": ts})).await;
}

#[tokio::test]
async fn payloads_and_views_are_understood() {
    let slack = quiet_playground().await;
    let args = json!({"channel": "C0RELEASES", "text": "REL-1", "blocks": card()});
    let (post, _) = posted::<SlackApiChatPostMessageResponse>(&slack, "chat.postMessage", args).await;
    // Nobody listens, but what would have been sent is in the journal.
    slack.click("U0PRIYA", "C0RELEASES", &post.ts.0, "approve").await;
    let click = last_payload(&slack);
    let SlackInteractionEvent::BlockActions(event) = serde_json::from_value(click.clone()).unwrap() else {
        panic!("{click}")
    };
    assert_eq!(event.actions.unwrap()[0].action_id, SlackActionId("approve".into()));

    let view = json!({"type": "modal", "callback_id": "plan", "title": {"type": "plain_text", "text": "Plan"},
    "submit": {"type": "plain_text", "text": "Plan"}, "blocks": [
        {"type": "input", "block_id": "why", "label": {"type": "plain_text", "text": "Why?"},
         "element": {"type": "plain_text_input", "action_id": "text"}},
        {"type": "input", "block_id": "when", "label": {"type": "plain_text", "text": "When?"},
         "element": {"type": "datetimepicker", "action_id": "at", "initial_date_time": 1_795_969_800}},
    ]});
    let open = json!({"trigger_id": click["trigger_id"], "view": view});
    let (opened, _) = posted::<SlackApiViewsOpenResponse>(&slack, "views.open", open).await;
    let id = opened.view.state_params.id.0;
    posted::<SlackApiViewsUpdateResponse>(&slack, "views.update", json!({"view_id": id, "view": view})).await;
    slack.submit_view("U0PRIYA", &id, &json!({"why": "because"})).await;
    let submission = last_payload(&slack);
    let SlackInteractionEvent::ViewSubmission(event) = serde_json::from_value(submission.clone()).unwrap() else {
        panic!("{submission}")
    };
    let values = event.view.state_params.state.unwrap().values;
    let why = &values[&SlackBlockId("why".into())][&SlackActionId("text".into())];
    assert_eq!(why.value.as_deref(), Some("because"));
}

fn last_payload(slack: &Handle) -> Value {
    let body = slack.deliveries().pop().unwrap().body;
    let payload = form_urlencoded::parse(body.as_bytes())
        .find(|(key, _)| key == "payload")
        .unwrap()
        .1
        .into_owned();
    serde_json::from_str(&payload).unwrap()
}
