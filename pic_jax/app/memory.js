// @ts-check
// Storage in the browser. Works (see work.js) and recent colours are in the
// local storage, and steps are in the tab's session storage and history. If the
// browser refuses to store something, the page works without it.

import {isWork} from './work.js';

/** @typedef {import('./state.js').Step} Step */
/** @typedef {import('./work.js').Work} Work */
/**
 * A stored work, with the name of its photograph, the sha256 of the model, and
 * the time of storing in ms since 1970.
 * @typedef {{name: string, model: string, work: Work, time: number}} StoredWork
 */

// Keys of the storage. A work's key ends in the sha256 of its photograph.
const PREFIX = 'pic_jax:work:', RECENT = 'pic_jax:colours';
const STEPS = 'pic_jax:steps';
/** The largest numbers of works and of recent colours that are stored. */
export const MAX_WORKS = 50, MAX_RECENT = 8;
/** Shortest time between two writes to the history of the tab. */
export const WRITE_EVERY_MS = 500;
/** The largest number of steps that survive a reload. */
const MAX_STEPS = 20;

/**
 * Calls a function that uses a storage, and returns whether it succeeded.
 * @param {() => void} fn
 */
function tryTo(fn) {
  try {
    fn();
    return true;
  } catch {
    return false; // there is no storage, it is full, or writes are too frequent
  }
}

/**
 * Reads a JSON value from the local storage; null if there is none.
 * @param {string} key
 * @returns {any}
 */
function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

/** Returns the keys of all stored works. */
const keys = () => {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return [];
  }
};

/**
 * Stores a work, and removes the oldest works beyond `MAX_WORKS`.
 * @param {string} sha256 of the photograph
 * @param {{name: string, model: string, work: Work}} workToStore
 */
export function remember(sha256, workToStore) {
  const text = JSON.stringify({...workToStore, time: Date.now()});
  tryTo(() => localStorage.setItem(PREFIX + sha256, text));
  const newestFirst = keys().map((key) => ({key, time: read(key)?.time ?? 0}));
  newestFirst.sort((a, b) => b.time - a.time);
  for (const {key} of newestFirst.slice(MAX_WORKS)) {
    tryTo(() => localStorage.removeItem(key));
  }
}

/**
 * Returns the stored work of a photograph, if there is one.
 * @param {string} sha256 of the photograph
 * @returns {StoredWork | null}
 */
export function recall(sha256) {
  const stored = read(PREFIX + sha256);
  return stored && isWork(stored.work) ? stored : null;
}

/** Removes all works and recent colours; returns how many works there were. */
export function forgetAll() {
  const all = keys();
  for (const key of [...all, RECENT]) {
    tryTo(() => localStorage.removeItem(key));
  }
  return all.length;
}

/**
 * Stores the last steps of this tab, so that they survive a reload.
 * @param {{steps: Step[], index: number}} timeline
 */
export function rememberSteps({steps, index}) {
  const first = Math.max(0, index + 1 - MAX_STEPS);
  tryTo(() => sessionStorage.setItem(STEPS, JSON.stringify(
    {steps: steps.slice(first, first + MAX_STEPS), index: index - first})));
}

/**
 * Returns the stored steps of this tab, if there are any.
 * @returns {{steps: Step[], index: number} | null}
 */
export function recallSteps() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(STEPS) ?? 'null');
    return stored.steps[stored.index] && stored.steps.every(
      (/** @type {Step} */ step) => isWork(step.work)) ? stored : null;
  } catch {
    return null;
  }
}

/**
 * Returns the colours '#rrggbb' that were given to pins last.
 * @returns {string[]}
 */
export function recentColours() {
  const colours = read(RECENT);
  return Array.isArray(colours)
    ? colours.filter((colour) => /^#[0-9a-f]{6}$/.test(colour)) : [];
}

/**
 * Stores a colour '#rrggbb' as the most recent one.
 * @param {string} colour
 */
export function rememberColour(colour) {
  const colours = [
    colour, ...recentColours().filter((other) => other !== colour)];
  tryTo(() => localStorage.setItem(
    RECENT, JSON.stringify(colours.slice(0, MAX_RECENT))));
}

/**
 * Writes steps as entries of the tab's history, so the browser's Back button
 * undoes them. Browsers limit the writes, so there is at most one in
 * `WRITE_EVERY_MS`. Of several steps in that time, only the last is written.
 */
export class TabHistory {
  /** @param {Pick<History, 'pushState' | 'replaceState' | 'state'>} browser */
  constructor(browser) {
    this.browser = browser;
    /** @type {{step: Step | null, adds: boolean} | null} */
    this.waiting = null;
    this.lastWrite = -Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.position = browser.state?.position ?? 0;
  }

  /**
   * Writes a step, as soon as the next write is allowed.
   * @param {Step | null} step
   * @param {boolean} adds whether to add an entry instead of replacing the
   *   present one
   */
  write(step, adds) {
    this.waiting = {step, adds: adds || (this.waiting?.adds ?? false)};
    const wait = this.lastWrite + WRITE_EVERY_MS - performance.now();
    clearTimeout(this.timer);
    if (wait <= 0) this.flush();
    else this.timer = setTimeout(() => this.flush(), wait);
  }

  /** Writes the step that is waiting, if there is one. */
  flush() {
    clearTimeout(this.timer);
    if (!this.waiting) return;
    const {step, adds} = this.waiting;
    this.waiting = null;
    this.lastWrite = performance.now();
    const position = this.position + (adds ? 1 : 0);
    const method = adds ? 'pushState' : 'replaceState';
    const isWritten = tryTo(() => this.browser[method](
      {step, position}, '', location.pathname + location.search));
    if (isWritten) this.position = position;
  }

  /**
   * Records that the browser went to another entry of the history.
   * @param {{step: Step | null, position: number} | null} entry
   * @returns {{step: Step | null, isBack: boolean}} the entry's step, and
   *   whether the browser went back
   */
  arrive(entry) {
    clearTimeout(this.timer);
    this.waiting = null;
    const position = entry?.position ?? 0;
    const isBack = position < this.position;
    this.position = position;
    return {step: entry?.step ?? null, isBack};
  }
}
