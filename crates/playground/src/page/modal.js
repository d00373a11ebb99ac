// Modals and confirmation dialogs, on the browser's own dialog element for focus and Escape.
// Shows the topmost of a person's open views; keeps what is typed while the view stays the same.

import { byId, freshId, h, post } from "./dom.js";
import { readInputs, renderBlocks, text } from "./blocks.js";

let shown = null; // {id, hash, print, node}

/** Asks a Block Kit confirmation; resolves to true or false. */
export function confirmDialog(confirm, world) {
  return new Promise((resolve) => {
    const title = freshId("confirm");
    const dialog = h("dialog", { class: "confirm", role: "alertdialog", "aria-modal": "true", "aria-labelledby": title });
    const done = (answer) => { dialog.close(); dialog.remove(); resolve(answer); };
    dialog.append(
      h("h2", { id: title }, text(confirm.title, world)),
      h("div", { class: "mrkdwn" }, text(confirm.text, world)),
      h("div", { class: "dialog-buttons" },
        h("button", { type: "button", class: "press", onclick: () => done(false) }, text(confirm.deny, world) || "Cancel"),
        h("button", { type: "button", class: `press ${confirm.style ?? "primary"}`, onclick: () => done(true) }, text(confirm.confirm, world) || "Confirm")));
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); done(false); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Brings the modal on screen in line with the topmost open view. */
export function showViews(views, user, world) {
  const dialog = byId("modal");
  const top = views.at(-1);
  if (!top) {
    if (dialog.open) dialog.close();
    dialog.replaceChildren();
    shown = null;
    return;
  }
  const print = JSON.stringify([user, top.id, top.view.hash, top.errors, top.banner]);
  if (shown?.print === print) return;
  const kept = shown?.id === top.id ? readInputs(dialog, world.zone) : null;
  const fresh = shown?.id !== top.id;
  shown = { id: top.id, print };
  draw(dialog, top, views.length, user, world);
  if (kept) restore(dialog, kept);
  if (!dialog.open) dialog.showModal();
  const first = dialog.querySelector("[aria-invalid=true]") ?? (fresh ? dialog.querySelector("[data-kind]") : null);
  (first?.matches("input, select, textarea") ? first : first?.querySelector("input"))?.focus();
}

function draw(dialog, top, depth, user, world) {
  const { view } = top;
  const title = freshId("modal-title");
  const context = {
    world, values: top.values, errors: top.errors, inModal: true,
    confirm: (confirm) => confirmDialog(confirm, world),
    act: (block, element, value) => post("action", { user, view_id: top.id, block_id: block.block_id, action_id: element.action_id, value }),
  };
  const close = (all) => post("close", { user, view_id: top.id, all });
  const submit = h("button", { type: "submit", class: "press primary" }, text(view.submit, world));
  const form = h("form", {
    novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      submit.setAttribute("aria-busy", "true");
      submit.disabled = true;
      try { await post("submit", { user, view_id: top.id, values: readInputs(form, world.zone) }); }
      finally { submit.disabled = false; submit.removeAttribute("aria-busy"); }
    },
  },
  h("header", { class: "modal-head" },
    h("h2", { id: title }, text(view.title, world)),
    h("button", { type: "button", class: "icon", "aria-label": "Close", onclick: () => close(true) }, "✕")),
  top.banner && h("p", { class: "banner", role: "alert" }, top.banner),
  h("div", { class: "modal-body" }, renderBlocks(view.blocks, context)),
  h("footer", { class: "dialog-buttons" },
    h("button", { type: "button", class: "press", onclick: () => close(false) }, view.close ? text(view.close, world) : depth > 1 ? "Back" : "Cancel"),
    view.submit && submit));
  dialog.setAttribute("aria-labelledby", title);
  dialog.replaceChildren(form);
  dialog.oncancel = (event) => { event.preventDefault(); close(false); };
}

/** Puts back what was typed before a redraw, where the same input is still there. */
function restore(dialog, kept) {
  for (const node of dialog.querySelectorAll("[data-kind]")) {
    const { block, action, kind } = node.dataset;
    const value = kept[block]?.[action];
    if (value === undefined) continue;
    if (node.matches("input, select, textarea")) {
      if (kind !== "datetimepicker") node.value = value ?? "";
    } else {
      const picked = [value ?? []].flat();
      for (const box of node.querySelectorAll("input")) box.checked = picked.includes(box.value);
    }
  }
}
