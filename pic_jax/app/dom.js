// @ts-check
// Small helpers for the elements of the page.

/**
 * Returns the element with an id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export const element = (id) => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element ${id}.`);
  return /** @type {T} */ (found);
};

/**
 * Returns the input element with an id.
 * @param {string} id
 */
export const input = (id) => (
  /** @type {HTMLInputElement} */ (element(id)));

/**
 * Makes an element. The attribute `text` sets its text content.
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
 * Sets the attributes that differ. Setting the others again could make the
 * browser redraw them or read them out. `true` stands for '', and `false` and
 * null remove an attribute.
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
 * Sets the text of a node if it differs.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Shows a list of items as the children of an element. A child stays as long as
 * its item is in the list, and keeps the focus. If the child with the focus is
 * removed, the next child gets the focus.
 * @template T
 * @param {HTMLElement} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf returns the unique key of an item
 * @param {(item: T) => HTMLElement} create makes the child of a new item
 * @param {(node: HTMLElement, item: T) => void} update shows an item in its
 *   child
 */
export function showList(parent, items, keyOf, create, update) {
  const focused = document.activeElement;
  const leftover = new Map(Array.from(parent.children, (child) => (
    [/** @type {HTMLElement} */ (child).dataset.key, child])));
  const nodes = items.map((item) => {
    const key = keyOf(item);
    const node = /** @type {HTMLElement} */ (leftover.get(key) ?? create(item));
    leftover.delete(key);
    node.dataset.key = key;
    update(node, item);
    return node;
  });
  const lost = [...leftover.values()].find((node) => node.contains(focused));
  const index = lost ? [...parent.children].indexOf(lost) : -1;
  leftover.forEach((node) => node.remove());
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
