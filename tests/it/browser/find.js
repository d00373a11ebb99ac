// Finds by role and accessible name or by text that shows, and acts. Answers true once it could.
// Roles are the explicit ones or those that HTML gives; names come from aria-label, label or text.
const [what, role, name, value] = arguments;

const IMPLICIT = {
  a: "link", article: "article", aside: "complementary", button: "button", dialog: "dialog", h1: "heading", h2: "heading",
  h3: "heading", nav: "navigation", section: "region", select: "combobox", summary: "button", textarea: "textbox",
};
const roleOf = (node) => node.getAttribute("role")
  ?? (node.matches("input[type=radio]") ? "radio" : node.matches("input[type=checkbox]") ? "checkbox"
    : node.matches("input") ? "textbox" : IMPLICIT[node.localName]);
const fits = (node) => (role === "input" ? node.matches("input, textarea, select") : roleOf(node) === role);
const shows = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest("[aria-hidden=true]");
const clean = (text) => text.replace(/\s+/g, " ").trim();

// What a screen reader reads: decoration left out.
function readText(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  if (node.nodeType !== Node.ELEMENT_NODE || node.getAttribute("aria-hidden") === "true" || node.hidden) return "";
  const block = getComputedStyle(node).display !== "inline";
  const inner = [...node.childNodes].map(readText).join("");
  return block ? ` ${inner} ` : inner;
}
function names(node) {
  const given = node.getAttribute("aria-label");
  const labelled = node.getAttribute("aria-labelledby")?.split(" ").map((id) => readText(document.getElementById(id))).join(" ");
  const label = node.labels?.length ? readText(node.labels[0]) : undefined;
  return [given, labelled, label, readText(node)].filter(Boolean).map(clean);
}

// An open dialog covers everything else.
const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
const all = [...(top === document ? [] : [top]), ...top.querySelectorAll("*")].filter((node) => fits(node) && shows(node));

if (what === "see") return all.some((node) => [clean(readText(node)), ...names(node)].some((text) => text.includes(name)));
if (what === "miss") return !all.some((node) => clean(readText(node)).includes(name));
if (what === "unfold") {
  const button = all.find((node) => names(node).includes(name));
  if (button && button.getAttribute("aria-expanded") === "false") button.click();
  return true;
}

const exact = all.filter((node) => names(node).includes(name));
const node = (exact.length ? exact : all.filter((each) => names(each).some((text) => text.startsWith(name)))).at(-1);
if (!node || node.disabled) return false;
node.scrollIntoView({ block: "center" });
if (what === "click") {
  node.click();
  return true;
}
if (node.localName === "select") {
  const option = [...node.options].find((each) => clean(each.textContent) === value);
  if (!option) return false;
  node.value = option.value;
} else {
  node.focus();
  node.value = value;
}
node.dispatchEvent(new Event("input", { bubbles: true }));
node.dispatchEvent(new Event("change", { bubbles: true }));
return true;
