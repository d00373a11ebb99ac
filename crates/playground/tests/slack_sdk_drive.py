"""Drives a running playground with Slack's own Python SDK.

    cargo run -p countersign-playground --example standalone -- 4003 &
    pip install slack_sdk
    python crates/playground/tests/slack_sdk_drive.py http://127.0.0.1:4003

Exits non-zero at the first thing that is not as Slack does it.
"""

import sys
import time
import urllib.request
import json

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

BASE = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4003").rstrip("/")
TOKEN = "xoxb-playground-token"
CHANNEL = "C0RELEASES"
checks = 0


def check(what, condition, seen=None):
    global checks
    if not condition:
        print(f"FAILED: {what}: {seen!r}")
        sys.exit(1)
    checks += 1


def refused(what, error, call):
    try:
        answer = call()
    except SlackApiError as caught:
        check(what, caught.response["error"] == error, caught.response.data)
        return caught.response
    check(what, False, answer.data)


def section(text):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def control(path, body):
    request = urllib.request.Request(
        f"{BASE}/playground/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


client = WebClient(token=TOKEN, base_url=f"{BASE}/api/")

me = client.auth_test()
check("auth.test names the team", me["team_id"] == "T0ACME", me.data)
check("auth.test names the bot", me["user_id"] == "U0BOT" and me["bot_id"] == "B0BOT", me.data)
check("api.test echoes", client.api_test(foo="bar")["args"]["foo"] == "bar")
check("team.info", client.team_info()["team"]["domain"] == "acme")
check("bots.info", client.bots_info(bot="B0BOT")["bot"]["app_id"] == "A0COUNTER")
refused("no token", "not_authed", lambda: WebClient(base_url=f"{BASE}/api/").auth_test())
refused("wrong token", "invalid_auth", lambda: WebClient(token="xoxb-no", base_url=f"{BASE}/api/").auth_test())
refused("unknown method", "unknown_method", lambda: client.api_call("chat.sing"))

rita = client.users_info(user="U0RITA")["user"]
check("users.info", rita["name"] == "rita" and rita["profile"]["title"] == "release manager", rita)
check("users.info shows guests", client.users_info(user="U0GUS")["user"]["is_restricted"] is True)
refused("unknown user", "user_not_found", lambda: client.users_info(user="U0NOBODY"))
check("users.list", len(client.users_list()["members"]) == 13, len(client.users_list()["members"]))
pages = [len(page["members"]) for page in client.users_list(limit=5)]
check("users.list in pages", pages == [5, 5, 3], pages)
check("lookup by mail", client.users_lookupByEmail(email="quinn@acme.example")["user"]["id"] == "U0QUINN")
refused("unknown mail", "users_not_found", lambda: client.users_lookupByEmail(email="x@y.example"))
check("group members", client.usergroups_users_list(usergroup="S0QALEADS")["users"] == ["U0QUINN", "U0UMA"])
refused("unknown group", "no_such_subteam", lambda: client.usergroups_users_list(usergroup="S0NONE"))
check("groups", client.usergroups_list(include_users=True)["usergroups"][0]["handle"] == "qa-leads")

info = client.conversations_info(channel=CHANNEL)["channel"]
check("conversations.info", info["name"] == "releases" and info["is_member"] and not info["is_ext_shared"], info)
check("conversations.list", len(client.conversations_list()["channels"]) == 3)
check("conversations.members", "U0BOT" in client.conversations_members(channel=CHANNEL)["members"])

blocks = [section("*REL-1* waits"), {"type": "actions", "elements": [
    {"type": "button", "action_id": "approve", "text": {"type": "plain_text", "text": "Approve"}, "value": "1"}]}]
metadata = {"event_type": "release_card", "event_payload": {"release": "REL-1", "revision": 3, "final": False}}
posted = client.chat_postMessage(channel=CHANNEL, text="REL-1 waits", blocks=blocks, metadata=metadata)
check("post returns the channel", posted["channel"] == CHANNEL, posted.data)
check("blocks get ids", posted["message"]["blocks"][0]["block_id"], posted.data)
seconds, micros = posted["ts"].split(".")
check("ts looks like Slack's", len(micros) == 6 and abs(int(seconds) - time.time()) < 60, posted["ts"])

plain = WebClient(token=TOKEN, base_url=f"{BASE}/api/")
limited = refused("second message within a second", "ratelimited",
                  lambda: plain.chat_postMessage(channel=CHANNEL, text="too fast"))
check("429 with Retry-After", limited.status_code == 429 and limited.headers["Retry-After"] == "1", limited.headers)
patient = WebClient(token=TOKEN, base_url=f"{BASE}/api/")
patient.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=2))
started = time.monotonic()
for number in range(2):
    check("retried", patient.chat_postMessage(channel=CHANNEL, text=f"patient {number}")["ok"])
check("retrying took its time", time.monotonic() - started >= 0.9)

link = client.chat_getPermalink(channel=CHANNEL, message_ts=posted["ts"])["permalink"]
check("permalink", link == f"https://acme.slack.com/archives/{CHANNEL}/p{posted['ts'].replace('.', '')}", link)
found = client.conversations_history(channel=CHANNEL, include_all_metadata=True, limit=50)["messages"]
mine = [message for message in found if message["ts"] == posted["ts"]]
check("history has it with metadata", mine and mine[0]["metadata"] == metadata, mine)
check("history is newest first", [m["ts"] for m in found] == sorted((m["ts"] for m in found), reverse=True))
bare = client.conversations_history(channel=CHANNEL, oldest=posted["ts"], inclusive=True)["messages"]
check("history without metadata", all("metadata" not in message for message in bare), bare)

updated = client.chat_update(channel=CHANNEL, ts=posted["ts"], text="REL-1 approved", blocks=[section("done")])
check("update keeps blocks it got", len(updated["message"]["blocks"]) == 1, updated.data)
check("no edited mark with blocks", "edited" not in updated["message"], updated.data)
updated = client.chat_update(channel=CHANNEL, ts=posted["ts"], text="only text")
check("text alone removes the blocks", "blocks" not in updated["message"], updated.data)
check("text alone shows edited", "edited" in updated["message"], updated.data)

dm = client.chat_postMessage(channel="U0PRIYA", text="for you")
check("a U id becomes the D id", dm["channel"] == "D0PRIYA", dm.data)
check("conversations.open agrees", client.conversations_open(users="U0PRIYA")["channel"]["id"] == "D0PRIYA")
time.sleep(1.05)
reply = client.chat_postMessage(channel=CHANNEL, text="in the thread", thread_ts=posted["ts"])
thread = client.conversations_replies(channel=CHANNEL, ts=posted["ts"])["messages"]
check("the thread", [m["ts"] for m in thread] == [posted["ts"], reply["ts"]], thread)
check("reply count", thread[0]["reply_count"] == 1, thread[0])

whisper = client.chat_postEphemeral(channel=CHANNEL, user="U0RITA", text="psst")
refused("ephemerals can't be updated", "message_not_found",
        lambda: client.chat_update(channel=CHANNEL, ts=whisper["message_ts"], text="x"))
refused("ephemeral to an outsider", "user_not_in_channel",
        lambda: client.chat_postEphemeral(channel=CHANNEL, user="U0GUS", text="psst"))

refused("unknown channel", "channel_not_found", lambda: client.chat_postMessage(channel="C0NONE", text="x"))
time.sleep(1.05)
refused("no text", "no_text", lambda: client.chat_postMessage(channel=CHANNEL, text=" "))
long_header = [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]
bad = refused("long header", "invalid_blocks",
              lambda: client.chat_postMessage(channel=CHANNEL, text="x", blocks=long_header))
check("the pointer is named", "[json-pointer:/blocks/0/text/text]" in bad["errors"][0], bad.data)
refused("unknown block", "invalid_blocks",
        lambda: client.chat_postMessage(channel=CHANNEL, text="x", blocks=[{"type": "nonsense"}]))
refused("bad metadata", "invalid_metadata_format",
        lambda: client.chat_postMessage(channel=CHANNEL, text="x",
                                        metadata={"event_type": "a", "event_payload": {"deep": {"a": 1}}}))
refused("unknown message", "message_not_found", lambda: client.chat_update(channel=CHANNEL, ts="1.000000", text="x"))
said = control("message", {"user": "U0RITA", "channel": CHANNEL, "text": "mine"})
refused("somebody else's message", "cant_update_message",
        lambda: client.chat_update(channel=CHANNEL, ts=said["ts"], text="x"))
refused("somebody else's message again", "cant_delete_message",
        lambda: client.chat_delete(channel=CHANNEL, ts=said["ts"]))
check("delete", client.chat_delete(channel=CHANNEL, ts=reply["ts"])["ts"] == reply["ts"])

view = {"type": "modal", "title": {"type": "plain_text", "text": "Hello"}, "blocks": [section("x")]}
refused("made-up trigger", "invalid_trigger_id", lambda: client.views_open(trigger_id="1.2.abc", view=view))
view["title"]["text"] = "x" * 25
refused("long title", "invalid_arguments", lambda: client.views_open(trigger_id="1.2.abc", view=view))
refused("unknown view", "not_found",
        lambda: client.views_update(view_id="V0NONE", view={**view, "title": {"type": "plain_text", "text": "x"}}))

print(f"{checks} checks passed")
