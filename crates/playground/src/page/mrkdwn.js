// Slack's mrkdwn as elements. Every piece of text ends in a text node; links must be web links.

import { h } from "./dom.js";

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", ballot_box_with_check: "☑️", hourglass_flowing_sand: "⏳", hourglass: "⌛",
  x: "❌", warning: "⚠️", rotating_light: "🚨", lock: "🔒", unlock: "🔓", rocket: "🚀", tada: "🎉", eyes: "👀", bell: "🔔",
  no_entry: "⛔", no_entry_sign: "🚫", construction: "🚧", fire: "🔥", bug: "🐛", clock1: "🕐", alarm_clock: "⏰", stopwatch: "⏱️",
  calendar: "📆", date: "📅", memo: "📝", clipboard: "📋", pushpin: "📌", link: "🔗", mag: "🔍", bulb: "💡", question: "❓",
  exclamation: "❗", information_source: "ℹ️", arrow_right: "➡️", arrow_left: "⬅️", leftwards_arrow_with_hook: "↩️", rewind: "⏪",
  repeat: "🔁", package: "📦", shield: "🛡️", ship: "🚢", wave: "👋", "+1": "👍", thumbsup: "👍", "-1": "👎", pray: "🙏",
  red_circle: "🔴", large_green_circle: "🟢", large_yellow_circle: "🟡", large_blue_circle: "🔵", white_circle: "⚪",
  black_small_square: "▪️", small_blue_diamond: "🔹", telephone_receiver: "📞", email: "📧", scroll: "📜", bar_chart: "📊",
  chart_with_upwards_trend: "📈", ambulance: "🚑", snowflake: "❄️", speech_balloon: "💬", heavy_minus_sign: "➖", point_right: "👉",
  double_vertical_bar: "⏸️", octagonal_sign: "🛑", raised_hand: "✋", lock_with_ink_pen: "🔏", key: "🔑", gear: "⚙️", hammer_and_wrench: "🛠️",
};

/** `&amp;`, `&lt;` and `&gt;` are the only entities of mrkdwn. */
export const unescape = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

export const withEmoji = (text) => text.replace(/:([a-z0-9_+-]+):/g, (all, name) => EMOJI[name] ?? all);

const leaf = (text) => document.createTextNode(withEmoji(unescape(text)));

/** Renders a whole mrkdwn text. `world` knows people, channels, groups, zone and time. */
export function mrkdwn(text, world) {
  const out = document.createDocumentFragment();
  String(text ?? "").split(/```/).forEach((part, index, parts) => {
    const fenced = index % 2 === 1 && index < parts.length - 1;
    if (fenced) out.append(h("pre", {}, h("code", {}, unescape(part.replace(/^\n|\n$/g, "")))));
    else {
      // A fence stands on its own; the line breaks around it are not shown twice.
      let words = index % 2 === 1 ? "```" + part : part;
      if (index > 0 && index % 2 === 0) words = words.replace(/^\n/, "");
      if (index + 1 < parts.length) words = words.replace(/\n$/, "");
      if (words) lines(words, out, world);
    }
  });
  return out;
}

function lines(text, out, world) {
  let quote = null;
  text.split("\n").forEach((line, index) => {
    const quoted = /^(?:&gt;|>)\s?(.*)$/.exec(line);
    if (quoted) {
      if (!quote) out.append((quote = h("blockquote")));
      else quote.append(h("br"));
      inline(quoted[1], quote, world);
      return;
    }
    if (index > 0 && !quote) out.append(h("br"));
    quote = null;
    inline(line, out, world);
  });
}

const STYLES = { "*": "strong", _: "em", "~": "s" };
const isWord = (char) => char !== undefined && /[\p{L}\p{N}]/u.test(char);

function inline(text, out, world) {
  let plain = "";
  const flush = () => { if (plain) out.append(leaf(plain)); plain = ""; };
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char === "<") {
      const end = text.indexOf(">", at);
      const node = end > at ? special(text.slice(at + 1, end), world) : null;
      if (node) { flush(); out.append(node); at = end + 1; continue; }
    }
    if (char === "`") {
      const end = text.indexOf("`", at + 1);
      if (end > at + 1) { flush(); out.append(h("code", {}, unescape(text.slice(at + 1, end)))); at = end + 1; continue; }
    }
    if (STYLES[char] && !isWord(text[at - 1])) {
      const end = closing(text, at);
      if (end > 0) {
        flush();
        const node = h(STYLES[char]);
        inline(text.slice(at + 1, end), node, world);
        out.append(node);
        at = end + 1;
        continue;
      }
    }
    plain += char;
    at += 1;
  }
  flush();
}

function closing(text, start) {
  const mark = text[start];
  if (text[start + 1] === undefined || /\s/.test(text[start + 1]) || text[start + 1] === mark) return -1;
  for (let end = start + 2; end < text.length; end += 1) {
    if (text[end] === "<") { const close = text.indexOf(">", end); if (close > end) end = close; continue; }
    if (text[end] === mark && !/\s/.test(text[end - 1]) && !isWord(text[end + 1])) return end;
  }
  return -1;
}

function special(inner, world) {
  const [target, ...rest] = inner.split("|");
  const label = rest.join("|");
  if (target.startsWith("@")) return h("span", { class: "mention" }, "@" + (world.userName(target.slice(1)) ?? (unescape(label) || target.slice(1))));
  if (target.startsWith("#")) {
    const id = target.slice(1);
    const name = world.channelName(id);
    return name ? h("a", { class: "mention", href: `#channel=${id}` }, "#" + name) : h("span", { class: "mention" }, "#" + (unescape(label) || "private channel"));
  }
  if (target.startsWith("!subteam^")) return h("span", { class: "mention" }, "@" + (world.groupHandle(target.slice(9)) ?? unescape(label).replace(/^@/, "")));
  if (target.startsWith("!date^")) return date(target.split("^"), unescape(label), world);
  if (["!here", "!channel", "!everyone"].includes(target)) return h("span", { class: "mention loud" }, "@" + target.slice(1));
  if (/^(https?:\/\/|mailto:)/.test(target)) {
    return h("a", { href: unescape(target), target: "_blank", rel: "noreferrer noopener" }, withEmoji(unescape(label || target)));
  }
  return null;
}

function date([, seconds, format, link], fallback, world) {
  const moment = new Date(Number(seconds) * 1000);
  if (Number.isNaN(moment.getTime())) return document.createTextNode(fallback);
  const shown = formatDate(moment, format ?? "{date} {time}", world);
  const node = h("time", { datetime: moment.toISOString(), title: fallback }, shown);
  return link && /^https?:\/\//.test(link) ? h("a", { href: link, target: "_blank", rel: "noreferrer noopener" }, node) : node;
}

export function formatDate(moment, format, world) {
  const timeZone = world.zone;
  const say = (options) => new Intl.DateTimeFormat("en-GB", { timeZone, ...options }).format(moment);
  const day = (at) => new Intl.DateTimeFormat("en-CA", { timeZone }).format(at);
  const near = { [day(new Date(world.now - 864e5))]: "yesterday", [day(new Date(world.now))]: "today", [day(new Date(world.now + 864e5))]: "tomorrow" }[day(moment)];
  const long = { weekday: "long", year: "numeric", month: "long", day: "numeric" };
  const medium = { year: "numeric", month: "long", day: "numeric" };
  const short = { year: "numeric", month: "short", day: "numeric" };
  const pieces = {
    date_num: () => day(moment), date_slash: () => say({}), date: () => say(medium), date_short: () => say(short), date_long: () => say(long),
    date_pretty: () => near ?? say(medium), date_short_pretty: () => near ?? say(short), date_long_pretty: () => near ?? say(long),
    time: () => say({ hour: "2-digit", minute: "2-digit" }), time_secs: () => say({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    ago: () => ago(moment, world.now), day_divider_pretty: () => near ?? say(long),
  };
  return format.replace(/\{(\w+)\}/g, (all, name) => pieces[name]?.() ?? all);
}

function ago(moment, now) {
  const minutes = Math.round((moment.getTime() - now) / 60000);
  const say = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (Math.abs(minutes) < 60) return say.format(minutes, "minute");
  if (Math.abs(minutes) < 1440) return say.format(Math.round(minutes / 60), "hour");
  return say.format(Math.round(minutes / 1440), "day");
}
