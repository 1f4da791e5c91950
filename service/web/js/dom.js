// Builds elements. Data become text nodes and attributes, never markup.

/**
 * An element: `h("button", { class: "main", on: { click: send } }, "Send")`.
 *
 * `on` holds listeners, `data` data-* attributes, `style` custom properties; `value`, `checked`,
 * `disabled` and the like are set as properties. An attribute that is null, undefined or false is
 * left out, true is the empty one. Children: nodes, texts, numbers, lists of these; null and false
 * are skipped.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...flat(children));
  // A select knows its value only once it has its options.
  if (tag === "select" && attributes.value != null) element.value = attributes.value;
  return element;
}

/** Put these in the place of what `parent` holds. */
export function fill(parent, ...children) {
  parent.replaceChildren(...flat(children));
  return parent;
}

let ids = 0;

/** An id that no element has yet. */
export function newId(prefix = "id") {
  ids += 1;
  return `${prefix}-${ids}`;
}

/** A control under its label, with a hint that belongs to it. */
export function field(label, control, { hint = null, hiddenLabel = false } = {}) {
  control.id ||= newId("field");
  const hintId = hint === null ? null : `${control.id}-hint`;
  if (hintId) control.setAttribute("aria-describedby", hintId);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id, class: hiddenLabel ? "hidden-text" : null }, label),
    control,
    hintId && h("p", { class: "hint", id: hintId }, hint),
  );
}

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "indeterminate", "hidden"]);

function set(element, name, value) {
  if (value === null || value === undefined) return;
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name === "data") {
    Object.assign(element.dataset, value);
  } else if (name === "style") {
    // Through the CSSOM, which a strict Content-Security-Policy allows.
    for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
  } else if (PROPERTIES.has(name)) {
    element[name] = value;
  } else if (value !== false) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}
