// Building the page's elements and talking to the playground.
// Foreign text only ever becomes text nodes; nothing here parses markup.

/** Makes an element: `h("button", {class: "x", onclick: f}, "Text", node)`. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && ["value", "checked", "disabled", "selected", "required", "multiple"].includes(key)) node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child);
  }
}

export const byId = (id) => document.getElementById(id);

export async function post(path, body) {
  const answer = await fetch(`/playground/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text || `HTTP ${answer.status}`);
  return text ? JSON.parse(text) : null;
}

export async function read(path) {
  const answer = await fetch(`/playground/${path}`);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

let nextId = 0;
export const freshId = (prefix) => `${prefix}-${++nextId}`;

/**
 * Makes `list`'s children match `items` without touching those that did not change, so that
 * focus, selections and scroll positions survive live updates.
 */
export function reconcile(list, items, keyOf, render) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    const print = JSON.stringify(item);
    let node = old.get(key);
    if (!node || node.dataset.print !== print) {
      const fresh = render(item);
      fresh.dataset.key = key;
      fresh.dataset.print = print;
      if (node) node.replaceWith(fresh);
      node = fresh;
    }
    old.delete(key);
    const place = previous ? previous.nextSibling : list.firstChild;
    if (place !== node) list.insertBefore(node, place);
    previous = node;
  }
  for (const node of old.values()) node.remove();
}
