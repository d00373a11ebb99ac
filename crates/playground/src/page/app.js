// The page: who looks at what, live updates, composer and control bar.
// All state lives in the playground; this only shows it and sends what a person does.

import { byId, h, post, read, reconcile } from "./dom.js";
import { formatDate, mrkdwn } from "./mrkdwn.js";
import { renderBlocks } from "./blocks.js";
import { confirmDialog, showViews } from "./modal.js";

let state = null;
let thread = null;
let lastNotice = null;
let clockShift = 0;
const here = { user: "", channel: "" };

const seen = {
  key: (channel) => `seen:${state.team.id}:${here.user}:${channel}`,
  get: (channel) => localStorage.getItem(seen.key(channel)) ?? "",
  set: (channel, ts) => localStorage.setItem(seen.key(channel), ts),
};

const inMailbox = () => state.mailbox !== null && state.mailbox.id === here.channel;
const people = () => state.users.filter((user) => !user.is_bot && !user.deleted);
const userOf = (id) => state.users.find((user) => user.id === id);

/** What mrkdwn and blocks need to know of the workspace. */
function world() {
  return {
    zone: userOf(here.user)?.tz ?? "UTC", now: Date.now() + clockShift, people: people(),
    channels: state.channels.filter((channel) => !channel.is_im),
    userName: (id) => userOf(id)?.real_name,
    channelName: (id) => state.channels.find((channel) => channel.id === id)?.name,
    groupHandle: (id) => state.groups.find((group) => group.id === id)?.handle,
  };
}

// Where we are.

function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.get("user")) here.user = given.get("user");
  if (given.get("channel")) here.channel = given.get("channel");
}

function go(change) {
  Object.assign(here, change);
  thread = null;
  const hash = `#channel=${here.channel}&user=${here.user}`;
  if (location.hash !== hash) history.pushState(null, "", hash);
  closeMenu();
  return refresh();
}

async function refresh() {
  const asked = { ...here };
  let fresh = await read(`state?user=${encodeURIComponent(here.user)}&channel=${encodeURIComponent(here.channel)}`);
  if (asked.user !== here.user || asked.channel !== here.channel) return;
  state = fresh;
  const known = people();
  if (!known.some((user) => user.id === here.user)) return go({ user: known[0]?.id ?? "" });
  if (!inMailbox() && !state.channels.some((channel) => channel.id === here.channel)) return go({ channel: state.channels[0]?.id ?? "" });
  clockShift = state.now_ms - Date.now();
  show();
}

let refreshing = null;
function soon() {
  refreshing ??= setTimeout(() => { refreshing = null; refresh().catch(offline); }, 40);
}

// Showing.

function show() {
  showSidebar();
  showPlace();
  showMessages();
  showThread();
  showControls();
  showViews(state.views, here.user, world());
  showNotices();
}

function showSidebar() {
  byId("workspace-name").textContent = state.team.name;
  byId("workspace-mark").textContent = state.team.name.slice(0, 1);
  const me = userOf(here.user);
  byId("person").replaceChildren(h("span", { class: "avatar small", "data-tone": tone(me.id), "aria-hidden": "true" }, me.real_name.slice(0, 1)),
    h("span", {}, h("span", { class: "person-label" }, "You are: "), h("strong", {}, me.real_name), h("span", { class: "person-title" }, `, ${me.title}`)));
  reconcile(byId("people"), people().map((user) => ({ ...user, mine: user.id === here.user })), (user) => user.id, (user) =>
    h("li", { role: "option", id: `person-${user.id}`, tabindex: "-1", "aria-selected": user.mine ? "true" : "false", onclick: () => choosePerson(user.id) },
      h("span", { class: "avatar small", "data-tone": tone(user.id), "aria-hidden": "true" }, user.real_name.slice(0, 1)), `${user.real_name}, ${user.title}`));
  const row = (channel) => {
    const current = channel.id === here.channel;
    if (current && channel.latest) seen.set(channel.id, channel.latest);
    const unread = !current && channel.latest && channel.latest > seen.get(channel.id);
    return { id: channel.id, name: channel.is_im ? state.bot.name : channel.name, mark: channel.mark ?? (channel.is_im ? "●" : channel.is_private ? "🔒" : "#"), current, unread: Boolean(unread) };
  };
  const draw = (place) => h("li", {}, h("a", { href: `#channel=${place.id}&user=${here.user}`, class: place.unread ? "unread" : "", "aria-current": place.current ? "page" : undefined,
    onclick: (event) => { event.preventDefault(); go({ channel: place.id }); } },
  h("span", { class: "mark", "aria-hidden": "true" }, place.mark), place.name, place.unread && h("span", { class: "unread-dot" }, h("span", { class: "hidden" }, " (unread)"))));
  reconcile(byId("channels"), state.channels.filter((c) => !c.is_im).map(row), (place) => place.id, draw);
  reconcile(byId("direct"), state.channels.filter((c) => c.is_im).map(row), (place) => place.id, draw);
  const { id, name, latest } = state.mailbox ?? {};
  byId("mail-title").hidden = !id;
  reconcile(byId("mail"), id ? [row({ id, name, latest, mark: "✉" })] : [], (place) => place.id, draw);
}

function showPlace() {
  byId("composer").hidden = inMailbox();
  if (inMailbox()) return showMailbox();
  const place = state.channels.find((channel) => channel.id === here.channel);
  const name = place.is_im ? state.bot.name : `#${place.name}`;
  byId("place-name").textContent = name;
  const notes = [place.topic, place.is_archived && "archived", place.is_ext_shared && "shared with another organisation", !place.bot_is_member && `${state.bot.name} is not in this channel`];
  byId("place-topic").textContent = notes.filter(Boolean).join(" · ");
  byId("composer-label").textContent = `Message ${name}`;
  byId("composer-text").placeholder = `Message ${name}`;
  document.title = `${name} · ${userOf(here.user).real_name} · ${state.team.name}`;
}

function showMailbox() {
  byId("place-name").textContent = state.mailbox.name;
  byId("place-topic").textContent = "What is mailed to all teams. It does not go through Slack.";
  document.title = `${state.mailbox.name} · ${userOf(here.user).real_name} · ${state.team.name}`;
}

const TONES = 8;
const tone = (id) => [...id].reduce((sum, char) => sum + char.charCodeAt(0), 0) % TONES;

function showMessages() {
  const log = byId("log");
  const place = `${here.user}:${here.channel}`;
  const moved = log.dataset.place !== place;
  const atEnd = moved || log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  if (moved) log.replaceChildren();
  log.dataset.place = place;
  const whispers = state.ephemerals.filter((message) => !message.thread_ts).map((message) => ({ ...message, ephemeral: true }));
  const mails = (state.mailbox?.mails ?? []).map((mail) => ({ ...mail, mail: true }));
  const shown = [...mails, ...state.messages.filter((message) => !message.is_reply || message.broadcast), ...whispers].sort(byTs);
  const day = (ts) => formatDate(new Date(Number(ts) * 1000), "{day_divider_pretty}", world());
  const rows = shown.flatMap((message, index) => {
    const today = day(message.ts);
    return index === 0 || day(shown[index - 1].ts) !== today ? [{ divider: today, ts: message.ts }, message] : [message];
  });
  reconcile(log, rows.length ? rows : [{ empty: true, ts: "0" }], (row) => (row.divider ? `day-${row.divider}` : row.ts), (row) => {
    if (row.empty) return h("p", { class: "empty" }, inMailbox() ? "No mail yet." : "Nothing here yet. Type a message, or / for a command.");
    if (row.mail) return mailRow(row);
    return row.divider ? h("div", { class: "day" }, h("span", {}, row.divider)) : messageRow(row, true);
  });
  // A mail is longer than the screen, and read from its top.
  if (atEnd) log.scrollTop = inMailbox() ? log.lastElementChild.offsetTop - log.offsetTop : log.scrollHeight;
}

/** Keeps a log at its end while nobody has scrolled away from it, also when the room around it changes. */
function keepAtEnd(log) {
  let atEnd = true;
  log.addEventListener("scroll", () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80; });
  new ResizeObserver(() => { if (atEnd) log.scrollTop = log.scrollHeight; }).observe(log);
}
keepAtEnd(byId("log"));
keepAtEnd(byId("thread-log"));

const byTs = (a, b) => (a.ts < b.ts ? -1 : 1);

function messageRow(message, inChannel) {
  const me = world();
  const author = message.from_slack ? { id: "slack", real_name: "Slackbot", title: "", is_bot: true }
    : message.ephemeral ? { id: state.bot.user, real_name: state.bot.name, title: "", is_bot: true } : userOf(message.user) ?? { id: message.user, real_name: message.user };
  const moment = new Date(Number(message.ts) * 1000);
  const clock = formatDate(moment, "{time}", me);
  const context = {
    world: me, values: message.values ?? {}, confirm: (confirm) => confirmDialog(confirm, me),
    act: (block, element, value) => post("action", { user: here.user, channel: message.channel, ts: message.ts, block_id: block.block_id, action_id: element.action_id, value }),
  };
  return h("article", { class: message.ephemeral ? "message whisper" : "message", "aria-label": `${author.real_name}, ${clock}`, tabindex: "-1" },
    h("span", { class: author.is_bot ? "avatar bot" : "avatar", "data-tone": tone(author.id), "aria-hidden": "true" }, author.is_bot ? "✓" : author.real_name.slice(0, 1)),
    h("div", { class: "message-body" },
      message.ephemeral && h("p", { class: "only-you" }, "👁 Only visible to you"),
      message.is_reply && inChannel && h("p", { class: "only-you" }, "replied to a thread"),
      h("p", { class: "byline" }, h("strong", {}, author.real_name), author.is_bot && h("span", { class: "badge" }, "APP"),
        !author.is_bot && author.title && h("span", { class: "title" }, author.title),
        h("time", { datetime: moment.toISOString(), title: formatDate(moment, "{date_long} {time_secs}", me) }, clock)),
      message.blocks.length ? renderBlocks(message.blocks, context) : h("div", { class: "mrkdwn" }, mrkdwn(message.text, me)),
      message.edited_ts && h("span", { class: "hint" }, " (edited)"),
      inChannel && !message.ephemeral && threadButton(message)));
}

function mailRow(mail) {
  const moment = new Date(Number(mail.ts) * 1000);
  const clock = formatDate(moment, "{time}", world());
  return h("article", { class: "message", "aria-label": `Mail from ${mail.from}, ${clock}`, tabindex: "-1" },
    h("span", { class: "avatar bot", "aria-hidden": "true" }, "✉"),
    h("div", { class: "message-body" },
      h("p", { class: "byline" }, h("strong", {}, mail.from), h("time", { datetime: moment.toISOString(), title: formatDate(moment, "{date_long} {time_secs}", world()) }, clock)),
      h("p", { class: "hint" }, `To ${mail.to.join(", ")}`),
      h("h3", { class: "block-header" }, mail.subject),
      h("p", { class: "mail-body" }, mail.body)));
}

function threadButton(message) {
  const root = message.thread_ts ?? message.ts;
  const count = message.reply_count;
  const words = message.is_reply ? "View thread" : count === 1 ? "1 reply" : count ? `${count} replies` : "Reply in thread";
  return h("button", { type: "button", class: count ? "thread-link" : "thread-link quiet", onclick: () => openThread(root) }, words);
}

function openThread(ts) {
  thread = ts;
  showThread();
  byId("thread-text").focus();
}

function showThread() {
  const panel = byId("thread");
  const root = state.messages.find((message) => message.ts === thread);
  panel.hidden = !root;
  document.body.classList.toggle("with-thread", Boolean(root));
  if (!root) return;
  const whispers = state.ephemerals.filter((message) => message.thread_ts === thread).map((message) => ({ ...message, ephemeral: true }));
  const replies = state.messages.filter((message) => message.is_reply && message.thread_ts === thread);
  const log = byId("thread-log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  reconcile(log, [root, ...[...replies, ...whispers].sort(byTs)], (message) => message.ts, (message) => messageRow(message, false));
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function showControls() {
  const off = state.slack_off !== null;
  byId("slack-switch").setAttribute("aria-checked", String(!off));
  byId("slack-words").textContent = off ? "Slack is off" : "Slack is on";
  byId("outage").hidden = !off;
  byId("outage").textContent = off ? "Slack is down: nothing reaches the bot, and the bot can't post. Switch it on again above." : "";
  const bot = byId("bot-state");
  const words = state.bot.reachable ? "Bot is reachable" : "Bot is not reachable";
  if (bot.textContent !== words) bot.textContent = words;
  bot.title = state.bot.urls.join(", ") || "no address given";
  bot.dataset.ok = state.bot.reachable;
  byId("help-open").hidden = state.steps.length === 0;
  if (state.steps.length && !byId("help-steps").childElementCount) {
    byId("help-steps").append(...state.steps.map((step) => h("li", {}, mrkdwn(step, world()))));
    // Where it would stand over the messages, it waits to be asked for.
    const known = localStorage.getItem("help");
    byId("help").hidden = known === null ? matchMedia("(max-width: 700px)").matches : known === "hidden";
  }
  tick();
}

function tick() {
  if (!state) return;
  const now = new Date(Date.now() + clockShift);
  const timeZone = world().zone;
  const shown = new Intl.DateTimeFormat("en-GB", { timeZone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" }).format(now);
  byId("clock").textContent = shown;
  byId("clock").dateTime = now.toISOString();
}

function showNotices() {
  const newest = state.notices.at(-1)?.id ?? 0;
  if (lastNotice !== null) state.notices.filter((notice) => notice.id > lastNotice).forEach((notice) => toast(notice.text));
  lastNotice = Math.max(lastNotice ?? 0, newest);
}

function toast(words) {
  const note = h("div", { class: "toast" }, h("span", {}, "⚠️ ", words), h("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: () => note.remove() }, "✕"));
  const toasts = byId("toasts");
  toasts.append(note);
  // Shown anew each time, so that it lies above a modal that was opened meanwhile.
  if (toasts.matches(":popover-open")) toasts.hidePopover();
  toasts.showPopover();
  setTimeout(() => note.remove(), 12000);
}

const offline = (error) => toast(`The playground does not answer: ${error.message}`);
const attempt = (work) => work.catch((error) => toast(error.message));

// Choosing a person.

function openPeople() {
  const list = byId("people");
  list.hidden = false;
  byId("person").setAttribute("aria-expanded", "true");
  (list.querySelector("[aria-selected=true]") ?? list.firstElementChild)?.focus();
}

function closePeople(refocus) {
  byId("people").hidden = true;
  byId("person").setAttribute("aria-expanded", "false");
  if (refocus) byId("person").focus();
}

function choosePerson(user) {
  closePeople(false);
  lastNotice = null;
  const inDm = state.channels.find((channel) => channel.id === here.channel)?.is_im;
  // In the direct message with the bot, the other person's direct message is what they want to see.
  go(inDm ? { user, channel: `D${user.slice(1)}` } : { user }).then(() => byId("person").focus());
}

byId("person").addEventListener("click", () => (byId("people").hidden ? openPeople() : closePeople(true)));
byId("people").addEventListener("keydown", (event) => {
  const options = [...event.currentTarget.children];
  const at = options.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: options.length - 1 }[event.key];
  if (to !== undefined) options[Math.max(0, Math.min(to, options.length - 1))].focus();
  else if (event.key === "Enter" || event.key === " ") options[at]?.click();
  else if (event.key === "Escape" || event.key === "Tab") closePeople(true);
  else if (event.key.length === 1) options.find((option) => option.textContent.slice(1).toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
  else return;
  event.preventDefault();
});
document.addEventListener("click", (event) => { if (!event.target.closest(".person")) closePeople(false); });

// Composer.

const box = byId("composer-text");
let hints = [];
let hintAt = -1;

function suggest() {
  const typed = box.value;
  const mention = /(?:^|\s)@([\w-]*)$/.exec(typed.slice(0, box.selectionStart));
  hints = [];
  if (typed.startsWith("/") && !typed.includes("\n")) {
    hints = state.commands.filter((hint) => hint.command.startsWith(typed.trimEnd()) || typed.startsWith(`${hint.command} `))
      .map((hint) => ({ insert: `${hint.command} `, words: hint.command, usage: hint.usage, about: hint.description, done: typed.startsWith(`${hint.command} `) }));
  } else if (mention) {
    const start = mention[1].toLowerCase();
    const names = [...people().map((user) => [user.name, `${user.real_name}, ${user.title}`]), ...state.groups.map((group) => [group.handle, "user group"])];
    hints = names.filter(([name]) => name.startsWith(start)).slice(0, 8)
      .map(([name, about]) => ({ insert: `${typed.slice(0, box.selectionStart - mention[1].length)}${name} `, words: `@${name}`, usage: "", about }));
  }
  hintAt = -1;
  drawHints();
}

function drawHints() {
  const list = byId("hints");
  list.hidden = hints.length === 0;
  list.replaceChildren(...hints.map((hint, index) => h("li", { role: "option", id: `hint-${index}`, "aria-selected": index === hintAt ? "true" : "false",
    onmousedown: (event) => { event.preventDefault(); complete(index); } },
  h("span", { class: "hint-words" }, hint.words, hint.usage && h("span", { class: "hint-usage" }, ` ${hint.usage}`)), h("span", { class: "hint" }, hint.about))));
  if (hintAt >= 0) box.setAttribute("aria-activedescendant", `hint-${hintAt}`); else box.removeAttribute("aria-activedescendant");
  list.children[hintAt]?.scrollIntoView({ block: "nearest" });
}

function complete(index) {
  if (!hints[index].done) box.value = hints[index].insert;
  box.focus();
  suggest();
}

function grow(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 200)}px`;
}

box.addEventListener("input", () => { grow(box); suggest(); });
box.addEventListener("blur", () => { hints = []; drawHints(); });
box.addEventListener("keydown", (event) => {
  if (hints.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    hintAt = (hintAt + (event.key === "ArrowDown" ? 1 : hints.length - (hintAt < 0 ? 0 : 1))) % hints.length;
    drawHints();
  } else if (hints.length && hintAt >= 0 && !hints[hintAt].done && (event.key === "Enter" || event.key === "Tab")) complete(hintAt);
  else if (hints.length && event.key === "Tab" && !event.shiftKey && !hints[0].done) complete(0);
  else if (hints.length && event.key === "Escape") { hints = []; drawHints(); }
  else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) byId("composer").requestSubmit();
  else return;
  event.preventDefault();
});

async function send(area, threadTs) {
  const words = area.value.trim();
  if (!words) return;
  area.value = "";
  grow(area);
  hints = [];
  drawHints();
  const common = { user: here.user, channel: here.channel, text: words };
  if (!words.startsWith("/")) return post("message", { ...common, thread_ts: threadTs });
  if (threadTs) throw new Error(`${words.split(" ")[0]} is not supported in threads. Sorry!`);
  const ack = await post("command", common);
  // Slack shows failures of commands as a message; only what never left needs a notice.
  if (ack.failure && ack.status === null && /^(Slack|You)/.test(ack.failure)) throw new Error(ack.failure);
}

byId("composer").addEventListener("submit", (event) => { event.preventDefault(); attempt(send(box, undefined)); byId("log").scrollTop = byId("log").scrollHeight; });
byId("thread-composer").addEventListener("submit", (event) => { event.preventDefault(); attempt(send(byId("thread-text"), thread)); });
byId("thread-text").addEventListener("input", (event) => grow(event.target));
byId("thread-text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("thread-composer").requestSubmit();
});
byId("thread-close").addEventListener("click", () => { thread = null; showThread(); });
byId("thread").addEventListener("keydown", (event) => { if (event.key === "Escape") { thread = null; showThread(); box.focus(); } });

// Control bar.

for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => attempt(post("clock", { advance_ms: Number(button.dataset.step) })));
}
byId("clock-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const minutes = Number(byId("clock-minutes").value);
  if (minutes > 0) attempt(post("clock", { advance_ms: Math.round(minutes * 60000) }));
  byId("clock-minutes").value = "";
});
byId("slack-switch").addEventListener("click", () => attempt(post("slack", state.slack_off === null ? { on: false, how: byId("outage-kind").value } : { on: true })));
byId("help-open").addEventListener("click", () => { byId("help").hidden = !byId("help").hidden; localStorage.setItem("help", byId("help").hidden ? "hidden" : "shown"); });
byId("help-close").addEventListener("click", () => { byId("help").hidden = true; localStorage.setItem("help", "hidden"); byId("help-open").focus(); });

function showControlsBody(open) {
  byId("controls-body").hidden = !open;
  byId("controls-toggle").setAttribute("aria-expanded", String(open));
}
byId("controls-toggle").addEventListener("click", () => showControlsBody(byId("controls-body").hidden));
showControlsBody(window.innerWidth > 700);

function closeMenu() {
  document.body.classList.remove("with-menu");
  byId("menu").setAttribute("aria-expanded", "false");
}
byId("menu").addEventListener("click", (event) => {
  event.stopPropagation();
  const open = document.body.classList.toggle("with-menu");
  byId("menu").setAttribute("aria-expanded", String(open));
  if (open) byId("person").focus();
});
document.querySelector("main").addEventListener("click", closeMenu);
byId("sidebar").addEventListener("keydown", (event) => { if (event.key === "Escape" && byId("people").hidden) { closeMenu(); byId("menu").focus(); } });

// Wire log.

async function showWire() {
  const journal = await read("journal");
  const calls = journal.calls.slice(-40).map((call) => ({ at: call.at_ms, words: `bot → Slack  ${call.method} ${call.args?.channel ?? call.args?.user ?? ""}`, result: call.status === null ? "no answer" : call.answer?.ok === false ? call.answer.error : `HTTP ${call.status}`, detail: { args: call.args, answer: call.answer } }));
  const deliveries = journal.deliveries.slice(-40).map((sent) => ({ at: sent.at_ms, words: `Slack → bot  ${summary(sent)}`, result: sent.status === null ? sent.answer || "waiting" : `HTTP ${sent.status}`, detail: unfold(sent), delivery: sent.id }));
  const rows = [...calls, ...deliveries].sort((a, b) => b.at - a.at);
  byId("wire-list").replaceChildren(...rows.map((row) => h("li", {},
    h("details", {}, h("summary", {}, h("time", {}, formatDate(new Date(row.at), "{time_secs}", world())), ` ${row.words} `, h("span", { class: "badge" }, row.result)), h("pre", {}, JSON.stringify(row.detail, null, 2))),
    row.delivery !== undefined && h("button", { type: "button", class: "press", onclick: () => attempt(post("redeliver", { delivery: row.delivery }).then(showWire)) }, "Send again"))));
}

function summary(sent) {
  const fields = unfold(sent);
  const who = userOf(fields.user?.id ?? fields.user_id)?.real_name ?? "";
  if (fields.command) return `${fields.command} ${fields.text}, ${who}`;
  return `${fields.type} ${fields.actions?.[0]?.action_id ?? fields.view?.callback_id ?? ""}, ${who}`;
}

function unfold(sent) {
  const fields = Object.fromEntries(new URLSearchParams(sent.body));
  return fields.payload ? JSON.parse(fields.payload) : fields;
}

byId("wire-open").addEventListener("click", () => attempt(showWire().then(() => byId("wire").showModal())));
byId("wire-close").addEventListener("click", () => byId("wire").close());

// Live updates.

function listen() {
  const events = new EventSource("/playground/events");
  let lost = false;
  events.addEventListener("change", soon);
  events.onopen = () => { if (lost) soon(); lost = false; };
  // The browser reconnects by itself; the first event after that brings the page up to date.
  events.onerror = () => { lost = true; };
}

window.addEventListener("hashchange", () => { readHash(); thread = null; refresh().catch(offline); });
window.addEventListener("popstate", () => { readHash(); thread = null; refresh().catch(offline); });
setInterval(tick, 1000);
readHash();
refresh().then(listen).catch((error) => { offline(error); listen(); });
