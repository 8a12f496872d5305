// @ts-check
// What stays in this browser: works by the sha256 of their photographs, and
// steps in the history of the tab. Where a browser refuses, the page goes on.

import {isWork} from './work.js';

/** @typedef {import('./state.js').Step} Step */
/** @typedef {import('./work.js').Work} Work */
/** @typedef {{name: string, model: string, work: Work, time: number}} Kept */

const PREFIX = 'pic_jax:work:', RECENT = 'pic_jax:colours';
const STEPS = 'pic_jax:steps'; // of a tab
export const MAX_WORKS = 50, MAX_RECENT = 8;
export const WRITE_EVERY_MS = 500;
const MAX_STEPS = 20; // that survive a reload

/** @param {() => void} fn */
function tolerant(fn) {
  try {
    fn();
    return true;
  } catch {
    return false; // no storage, a full one, or too many writes
  }
}

/**
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

const keys = () => {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return [];
  }
};

/**
 * Keeps a work; of all, the last `MAX_WORKS`.
 * @param {string} sha256
 * @param {{name: string, model: string, work: Work}} kept
 */
export function remember(sha256, kept) {
  const text = JSON.stringify({...kept, time: Date.now()});
  tolerant(() => localStorage.setItem(PREFIX + sha256, text));
  const times = keys().map((key) => ({key, time: read(key)?.time ?? 0}));
  times.sort((a, b) => b.time - a.time);
  for (const {key} of times.slice(MAX_WORKS)) {
    tolerant(() => localStorage.removeItem(key));
  }
}

/**
 * @param {string} sha256
 * @returns {Kept | null}
 */
export function recall(sha256) {
  const kept = read(PREFIX + sha256);
  return kept && isWork(kept.work) ? kept : null;
}

export function forgetAll() {
  const all = keys();
  for (const key of [...all, RECENT]) {
    tolerant(() => localStorage.removeItem(key));
  }
  return all.length;
}

/**
 * Keeps the last steps of this tab for its next reload.
 * @param {{steps: Step[], index: number}} timeline
 */
export function rememberSteps({steps, index}) {
  const first = Math.max(0, index + 1 - MAX_STEPS);
  tolerant(() => sessionStorage.setItem(STEPS, JSON.stringify(
    {steps: steps.slice(first, first + MAX_STEPS), index: index - first})));
}

/** @returns {{steps: Step[], index: number} | null} */
export function recallSteps() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STEPS) ?? 'null');
    return kept.steps[kept.index] && kept.steps.every(
      (/** @type {Step} */ step) => isWork(step.work)) ? kept : null;
  } catch {
    return null;
  }
}

/** @returns {string[]} */
export function recentColours() {
  const colours = read(RECENT);
  return Array.isArray(colours)
    ? colours.filter((colour) => /^#[0-9a-f]{6}$/.test(colour)) : [];
}

/** @param {string} colour */
export function rememberColour(colour) {
  const colours = [colour, ...recentColours().filter((one) => one !== colour)];
  tolerant(() => localStorage.setItem(
    RECENT, JSON.stringify(colours.slice(0, MAX_RECENT))));
}

/**
 * Steps as entries of the tab's history, at most one write in
 * `WRITE_EVERY_MS`: of several steps in that time the last one is written.
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
   * @param {Step | null} step
   * @param {boolean} adds whether this is a new entry
   */
  write(step, adds) {
    this.waiting = {step, adds: adds || (this.waiting?.adds ?? false)};
    const wait = this.lastWrite + WRITE_EVERY_MS - performance.now();
    clearTimeout(this.timer);
    if (wait <= 0) this.flush();
    else this.timer = setTimeout(() => this.flush(), wait);
  }

  flush() {
    clearTimeout(this.timer);
    if (!this.waiting) return;
    const {step, adds} = this.waiting;
    this.waiting = null;
    this.lastWrite = performance.now();
    const position = this.position + (adds ? 1 : 0);
    const method = adds ? 'pushState' : 'replaceState';
    const isWritten = tolerant(() => this.browser[method](
      {step, position}, '', location.pathname + location.search));
    if (isWritten) this.position = position;
  }

  /**
   * An entry that the browser went to.
   * @param {{step: Step | null, position: number} | null} entry
   * @returns {{step: Step | null, isBack: boolean}}
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
