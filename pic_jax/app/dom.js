// @ts-check
// Small helpers for the document.

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export const element = (id) => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element ${id}.`);
  return /** @type {T} */ (found);
};

/** @param {string} id */
export const input = (id) => (
  /** @type {HTMLInputElement} */ (element(id)));

/**
 * Makes an element with attributes; `class` and `text` are short for both.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {...Node} children
 */
export function make(tag, {text, ...attributes} = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

/**
 * Sets what differs only: what did not change is neither read out nor redrawn.
 * @param {Element} node
 * @param {Record<string, string | boolean | null>} attributes
 */
export function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const text = value === true ? '' : value;
    if (text === false || text === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/**
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Shows items as children of a node: a node is kept as long as its item, and
 * the one that has the focus keeps it.
 * @template T
 * @param {HTMLElement} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} create
 * @param {(node: HTMLElement, item: T) => void} update
 */
export function showList(parent, items, keyOf, create, update) {
  const focused = document.activeElement;
  const old = new Map(Array.from(parent.children, (child) => (
    [/** @type {HTMLElement} */ (child).dataset.key, child])));
  const nodes = items.map((item) => {
    const key = keyOf(item);
    const node = /** @type {HTMLElement} */ (old.get(key) ?? create(item));
    old.delete(key);
    node.dataset.key = key;
    update(node, item);
    return node;
  });
  const lost = [...old.values()].find((node) => node.contains(focused));
  const index = lost ? [...parent.children].indexOf(lost) : -1;
  old.forEach((node) => node.remove());
  nodes.forEach((node, i) => {
    if (parent.children[i] !== node) {
      parent.insertBefore(node, parent.children[i] ?? null);
    }
  });
  if (lost) {
    const next = nodes[Math.min(index, nodes.length - 1)];
    /** @type {HTMLElement | null | undefined} */ (
      next?.matches('button') ? next : next?.querySelector('button'))?.focus();
  } else if (focused instanceof HTMLElement && parent.contains(focused)) {
    focused.focus({preventScroll: true});
  }
}
