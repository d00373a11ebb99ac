// Block Kit as elements, for messages and modals alike.
// Tells its context what a person does; must not talk to the playground itself.

import { freshId, h } from "./dom.js";
import { mrkdwn, withEmoji } from "./mrkdwn.js";

/** A text object. */
export function text(object, world) {
  if (!object) return "";
  return object.type === "mrkdwn" ? mrkdwn(object.text, world) : withEmoji(object.text ?? "");
}

const plain = (object) => withEmoji(object?.text ?? "");

/**
 * Renders blocks. `context` has: world, values (state by block and action id), errors by block id,
 * act(block, element, value), confirm(dialog) and inModal.
 */
export function renderBlocks(blocks, context) {
  return h("div", { class: "blocks" }, blocks.map((block) => renderBlock(block, context)));
}

function renderBlock(block, context) {
  const { world } = context;
  const part = (element, extra) => renderElement(block, element, context, extra);
  switch (block.type) {
    case "header":
      return h("h3", { class: "block-header" }, plain(block.text));
    case "section":
      return h("div", { class: "block-section" },
        h("div", { class: "section-words" },
          block.text && h("div", { class: "mrkdwn" }, text(block.text, world)),
          block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "mrkdwn" }, text(field, world))))),
        block.accessory && h("div", { class: "accessory" }, part(block.accessory, { label: block.text?.text })));
    case "divider":
      return h("hr");
    case "context":
      return h("div", { class: "block-context" }, block.elements.map((element) =>
        element.type === "image" ? image(element, "context-image") : h("span", { class: "mrkdwn" }, text(element, world))));
    case "actions":
      return h("div", { class: "block-actions" }, block.elements.map((element) => part(element)));
    case "image":
      return h("figure", { class: "block-image" }, block.title && h("figcaption", {}, plain(block.title)), image(block, "image"));
    case "input":
      return input(block, context);
    case "alert":
      return h("p", { class: "block-alert", role: "note" }, text(block.text, world));
    case "markdown":
      return h("div", { class: "mrkdwn" }, mrkdwn(block.text, world));
    default:
      return h("p", { class: "unknown-block" }, `(a “${block.type}” block: this page can't draw it)`);
  }
}

const image = (element, kind) => h("img", { class: kind, src: element.image_url, alt: element.alt_text, loading: "lazy" });

function input(block, context) {
  const id = freshId("input");
  const error = context.errors?.[block.block_id];
  const about = [error && `${id}-error`, block.hint && `${id}-hint`].filter(Boolean).join(" ");
  const grouped = ["radio_buttons", "checkboxes"].includes(block.element.type) || block.element.type.startsWith("multi_");
  const label = plain(block.label) + (block.optional ? " (optional)" : "");
  const control = renderElement(block, block.element, context, { id, label, about: about || undefined, invalid: Boolean(error) });
  return h("div", { class: error ? "block-input invalid" : "block-input" },
    grouped ? h("div", { class: "label" }, label) : h("label", { class: "label", for: id }, label),
    control,
    error && h("p", { class: "input-error", id: `${id}-error`, role: "alert" }, error),
    block.hint && h("p", { class: "hint", id: `${id}-hint` }, plain(block.hint)));
}

function renderElement(block, element, context, extra = {}) {
  const entry = context.values?.[block.block_id]?.[element.action_id];
  const act = (value) => context.act(block, element, value);
  const props = { id: extra.id, "data-block": block.block_id, "data-action": element.action_id, "data-kind": element.type,
    "aria-describedby": extra.about, "aria-invalid": extra.invalid ? "true" : undefined };
  const named = { ...props, "aria-label": extra.id ? undefined : (plain(element.placeholder) || extra.label || "Choose") };
  switch (element.type) {
    case "button": return button(element, context, act);
    case "image": return image(element, "accessory-image");
    case "overflow": return overflow(element, context, act);
    case "plain_text_input": case "email_text_input": case "url_text_input": case "number_input": return textInput(element, entry, named, act);
    case "static_select": case "users_select": case "channels_select": case "conversations_select": return select(element, entry, named, context, act);
    case "datepicker": return h("input", { ...named, type: "date", value: entry?.selected_date ?? "", onchange: (event) => act(event.target.value || null) });
    case "timepicker": return h("input", { ...named, type: "time", value: entry?.selected_time ?? "", onchange: (event) => act(event.target.value || null) });
    case "datetimepicker": return dateTime(entry, named, context, act);
    case "radio_buttons": return choices(element, entry, props, extra, "radio", context, act);
    case "checkboxes": case "multi_static_select": case "multi_users_select": case "multi_channels_select": case "multi_conversations_select":
      return choices(element, entry, props, extra, "checkbox", context, act);
    default: return h("span", { class: "unknown-block" }, `(a “${element.type}”: this page can't draw it)`);
  }
}

function button(element, context, act) {
  const node = h("button", {
    type: "button", class: `press ${element.style ?? ""}`, "aria-label": element.accessibility_label, "data-action": element.action_id,
    onclick: async () => {
      if (element.confirm && !(await context.confirm(element.confirm))) return;
      // Web links only; the wire check lets nothing else through either.
      if (element.url && /^https?:\/\//.test(element.url)) window.open(element.url, "_blank", "noopener");
      node.setAttribute("aria-busy", "true");
      try { await act(null); } finally { node.removeAttribute("aria-busy"); }
    },
  }, plain(element.text));
  return node;
}

function overflow(element, context, act) {
  const menu = h("details", { class: "overflow" }, h("summary", { "aria-label": "More actions" }, "⋯"));
  menu.append(h("div", { class: "overflow-list" }, element.options.map((option) => h("button", {
    type: "button",
    onclick: async () => {
      menu.open = false;
      if (element.confirm && !(await context.confirm(element.confirm))) return;
      act(option.value);
    },
  }, plain(option.text)))));
  return menu;
}

function textInput(element, entry, props, act) {
  const more = { ...props, placeholder: plain(element.placeholder), value: entry?.value ?? "", autocomplete: "off", onchange: (event) => act(event.target.value) };
  if (element.type === "plain_text_input" && element.multiline) return h("textarea", { ...more, rows: 2 });
  const type = { email_text_input: "email", url_text_input: "url", number_input: "number" }[element.type] ?? "text";
  return h("input", { ...more, type });
}

/** Everything a select of this kind offers, as pairs of value and words. */
function offered(element, world) {
  if (element.type.includes("users")) return world.people.map((user) => [user.id, user.title ? `${user.real_name}, ${user.title}` : user.real_name]);
  if (element.type.includes("channels") || element.type.includes("conversations")) return world.channels.map((channel) => [channel.id, `#${channel.name}`]);
  const options = element.options ?? (element.option_groups ?? []).flatMap((group) => group.options);
  return options.map((option) => [option.value, plain(option.text), option.description && plain(option.description)]);
}

const chosen = (entry) => {
  const one = entry?.selected_option?.value ?? entry?.selected_user ?? entry?.selected_channel ?? entry?.selected_conversation;
  const many = entry?.selected_options?.map((option) => option.value) ?? entry?.selected_users ?? entry?.selected_channels ?? entry?.selected_conversations;
  return many ?? (one ? [one] : []);
};

function select(element, entry, props, context, act) {
  const current = chosen(entry)[0] ?? "";
  const option = ([value, words]) => h("option", { value, selected: value === current }, words);
  const groups = element.option_groups?.map((group) => h("optgroup", { label: plain(group.label) }, group.options.map((o) => option([o.value, plain(o.text)]))));
  return h("select", {
    ...props,
    onchange: async (event) => {
      const value = event.target.value || null;
      if (element.confirm && !(await context.confirm(element.confirm))) { event.target.value = current; return; }
      act(value);
    },
  }, h("option", { value: "", selected: current === "" }, plain(element.placeholder) || "Choose…"), groups ?? offered(element, context.world).map(option));
}

function choices(element, entry, props, extra, type, context, act) {
  const name = freshId("choice");
  const current = chosen(entry);
  const box = h("div", { ...props, class: "choices", role: type === "radio" ? "radiogroup" : "group", "aria-label": extra.label ?? plain(element.placeholder) });
  const told = () => {
    const picked = [...box.querySelectorAll("input:checked")].map((input) => input.value);
    act(type === "radio" ? picked[0] ?? null : picked);
  };
  for (const [value, words, description] of offered(element, context.world)) {
    const id = freshId("option");
    box.append(h("div", { class: "choice" },
      h("input", { type, name, id, value, checked: current.includes(value), onchange: told }),
      h("label", { for: id }, words, description && h("span", { class: "hint" }, description))));
  }
  return box;
}

function dateTime(entry, props, context, act) {
  const seconds = entry?.selected_date_time;
  return h("input", {
    ...props, type: "datetime-local", value: seconds ? toLocal(seconds, context.world.zone) : "",
    onchange: (event) => act(event.target.value ? fromLocal(event.target.value, context.world.zone) : null),
  });
}

/** Seconds since 1970 as `2026-11-30T17:30` in a zone. */
export function toLocal(seconds, timeZone) {
  const shown = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" }).format(new Date(seconds * 1000));
  return shown.replace(" ", "T");
}

/** The other way round; the second step settles hours next to a change of daylight saving. */
export function fromLocal(local, timeZone) {
  const asUtc = Date.parse(`${local}Z`) / 1000;
  let guess = asUtc;
  for (let step = 0; step < 2; step += 1) guess += asUtc - Date.parse(`${toLocal(guess, timeZone)}Z`) / 1000;
  return guess;
}

/** What a person has put into the inputs below `root`, by block and action id, in plain values. */
export function readInputs(root, zone) {
  const values = {};
  for (const node of root.querySelectorAll("[data-kind]")) {
    const { block, action, kind } = node.dataset;
    values[block] ??= {};
    if (kind === "radio_buttons") values[block][action] = node.querySelector("input:checked")?.value ?? null;
    else if (kind === "checkboxes" || kind.startsWith("multi_")) values[block][action] = [...node.querySelectorAll("input:checked")].map((input) => input.value);
    else if (kind === "datetimepicker") values[block][action] = node.value ? fromLocal(node.value, zone) : null;
    else values[block][action] = node.value === "" ? null : node.value;
  }
  return values;
}
