//! What one person's page shows at this moment, as one JSON document.
//! Must not contain anything another person alone may see.

use serde_json::{Value, json};

use crate::control::Viewer;
use crate::mailbox;
use crate::messages::Message;
use crate::seed::{Channel, User};
use crate::state::{Shared, State};

pub(crate) fn of(shared: &Shared, viewer: &Viewer) -> Value {
    let mut state = shared.state();
    if state.users.get(&viewer.user).is_some_and(|user| !user.is_bot) {
        state.open_dm(&viewer.user);
    }
    let state = &*state;
    json!({
        "version": *shared.changes.borrow(),
        "team": {"id": state.seed.team_id, "name": state.seed.team_name, "domain": state.seed.domain},
        "bot": {
            "user": state.seed.bot_user_id, "name": state.seed.bot_name,
            "urls": state.bot_urls, "reachable": state.bot_reachable,
        },
        "now_ms": shared.clock.now_ms(), "offset_ms": shared.clock.offset_ms(),
        "slack_off": state.faults.outage,
        "commands": shared.commands, "steps": shared.steps,
        "users": users(state), "groups": groups(state),
        "channels": channels(state, &viewer.user),
        "mailbox": mailbox(shared, state, viewer),
        "channel": viewer.channel,
        "messages": messages(state, viewer),
        "ephemerals": ephemerals(state, viewer),
        "views": views(state, &viewer.user),
        "notices": state.notices.iter().filter(|notice| notice.user == viewer.user).collect::<Vec<_>>(),
    })
}

fn users(state: &State) -> Vec<Value> {
    let mut users: Vec<_> = state.users.values().collect();
    users.sort_by_key(|user| state.rank(&user.id));
    let shown = users.into_iter().map(|user| {
        json!({
            "id": user.id, "name": user.name, "real_name": user.real_name, "title": user.title,
            "tz": user.tz, "is_bot": user.is_bot, "deleted": user.deleted,
            "guest": user.is_restricted || user.is_ultra_restricted,
        })
    });
    shown.collect()
}

fn groups(state: &State) -> Vec<Value> {
    let shown = state.groups.values();
    shown
        .map(|group| json!({"id": group.id, "handle": group.handle, "users": group.users}))
        .collect()
}

fn may_see(channel: &Channel, user: &str) -> bool {
    channel.members.contains(user)
}

fn channels(state: &State, user: &str) -> Vec<Value> {
    let inside = state.channels.values().filter(|channel| may_see(channel, user));
    let mut visible: Vec<&Channel> = inside.collect();
    visible.sort_by_key(|channel| state.rank(&channel.id));
    let shown = visible.into_iter().map(|channel| {
        let last = state.messages.iter().rev().find(|message| {
            message.channel == channel.id && (!message.is_reply() || message.broadcast) && message.user != user
        });
        json!({
            "id": channel.id, "name": channel.name, "topic": channel.topic, "is_im": channel.im_user.is_some(),
            "is_private": channel.is_private, "is_archived": channel.is_archived,
            "is_ext_shared": channel.is_ext_shared, "bot_is_member": channel.members.contains(&state.seed.bot_user_id),
            "latest": last.map(|message| &message.ts),
        })
    });
    shown.collect()
}

/// The mailbox of all teams, in which guests are not.
fn mailbox(shared: &Shared, state: &State, viewer: &Viewer) -> Value {
    let guest = |user: &User| user.is_restricted || user.is_ultra_restricted;
    let reads = state.users.get(&viewer.user).is_some_and(|user| !guest(user));
    if shared.mail_url.is_none() || !reads {
        return Value::Null;
    }
    let shown = viewer.channel == mailbox::ID;
    let mails = if shown { state.mailbox.mails() } else { Vec::new() };
    json!({"id": mailbox::ID, "name": "All-teams mailbox", "latest": state.mailbox.latest(), "mails": mails})
}

fn messages(state: &State, viewer: &Viewer) -> Vec<Value> {
    let allowed = state
        .channels
        .get(&viewer.channel)
        .is_some_and(|channel| may_see(channel, &viewer.user));
    let inside = state
        .messages
        .iter()
        .filter(|message| allowed && message.channel == viewer.channel);
    inside
        .map(|message| with_counts(state, message, &viewer.user))
        .collect()
}

fn with_counts(state: &State, message: &Message, user: &str) -> Value {
    let mut shown = json!(message);
    shown["is_reply"] = json!(message.is_reply());
    shown["reply_count"] = json!(state.replies(&message.channel, &message.ts).len());
    let key = (user.to_owned(), message.channel.clone(), message.ts.clone());
    shown["values"] = state.selections.get(&key).cloned().unwrap_or_else(|| json!({}));
    shown
}

fn ephemerals(state: &State, viewer: &Viewer) -> Vec<Value> {
    let own = state.ephemerals.iter().filter(|message| message.user == viewer.user);
    let here = own.filter(|message| message.channel == viewer.channel);
    here.map(|message| json!(message)).collect()
}

fn views(state: &State, user: &str) -> Value {
    json!(state.views.get(user).map_or(&[][..], Vec::as_slice))
}
