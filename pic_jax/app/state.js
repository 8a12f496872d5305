// @ts-check
// What the page knows, in one place; `update` changes it and has it rendered.

import {Timeline} from './timeline.js';

/** @typedef {import('./work.js').Work} Work */
/** @typedef {import('./work.js').Pin} Pin */
/** @typedef {import('./work.js').Recipe} Recipe */
/** @typedef {import('./work.js').Adjustments} Adjustments */
/**
 * @typedef {object} Model
 * @property {string} name
 * @property {string} sha256
 * @property {boolean} reads_pins
 * @property {string[]} pin_sizes that this model's hints know
 * @property {boolean} scores_pins whether versions tell how well pins took
 * @property {number} max_bytes
 * @property {{model: string, temperature: number, pin_size: string,
 *   adjustments: Adjustments}} defaults
 */
/**
 * @typedef {object} Photo
 * @property {string} id
 * @property {string} sha256
 * @property {number} width
 * @property {number} height
 * @property {number} screen_width width of the picture that is shown whole
 * @property {string[]} notes
 * @property {boolean} has_colours
 */
/** A version as it was drawn; `cure` is a pin for where another ran over,
 *  `notes` are about its pins: first how many cells they give. */
/** @typedef {{url: string, bits: number | null, taken: number | null,
 *   spill: number | null, cure: Pin | null, notes: string[]}} Picture */
/** @typedef {{sha256: string, id: string, name: string, work: Work}} Step */
/** What a colour looks like at its spot, and what a pin stores of it. */
/** @typedef {{rgb: number[], pin: number[], share?: number}} Swatch */
/** @typedef {{likely: Swatch[], vivid: Swatch[], here: Swatch | null}}
 *   Palette */
/** @typedef {{index: number, pin: Pin, palette: Palette | null,
 *   opener: HTMLElement | null}} Chooser */

export const state = {
  model: /** @type {Model | null} */ (null),
  photo: /** @type {Photo | null} */ (null),
  name: 'photograph',
  work: /** @type {Work | null} */ (null),
  /** Pictures by the keys of their recipes. */
  drawn: /** @type {Map<string, Picture>} */ (new Map()),
  /** Recipes of the pictures that cards show, by the ids of versions. */
  shown: /** @type {Map<number, Recipe>} */ (new Map()),
  /** Ids of versions, in the order in which they are shown. */
  sequence: /** @type {number[]} */ ([]),
  timeline: /** @type {Timeline<Step>} */ (new Timeline()),
  /** Adjustments while a slider is dragged. */
  live: /** @type {Adjustments | null} */ (null),
  liveTemperature: /** @type {number | null} */ (null),
  chooser: /** @type {Chooser | null} */ (null),
  /** Photographs that were given together. */
  strip: /** @type {{name: string, file: Blob, url: string}[]} */ ([]),
  /** Versions that came and that are waited for. */
  progress: {done: 0, total: 0},
  /** When the compiler began, ms; 0: it does not run. */
  compilingSince: 0,
  isOpening: false,
  showsOwn: false,
  message: {text: '', isBad: false},
};

/** @type {() => void} */
let render = () => {};
let isScheduled = false;

/** @param {() => void} fn renders everything */
export function onUpdate(fn) {
  render = fn;
}

/** @param {Partial<typeof state>} changes */
export function update(changes = {}) {
  Object.assign(state, changes);
  if (isScheduled) return;
  isScheduled = true;
  queueMicrotask(() => {
    isScheduled = false;
    render();
  });
}

/**
 * @param {string} text
 * @param {boolean} isBad
 */
export function say(text, isBad = false) {
  update({message: {text, isBad}});
}

/**
 * Runs what a person asked for; a failure is shown.
 * @param {() => unknown} fn
 */
export async function attempt(fn) {
  try {
    await fn();
  } catch (error) {
    const {name, message} = /** @type {Error} */ (error);
    if (name !== 'AbortError') say(message, true);
  }
}

/** The photograph, the work and the model; they are there while one works. */
export function current() {
  const {photo, work, model} = state;
  if (!photo || !work || !model) throw new Error('Open a photograph first.');
  return {photo, work, model};
}

export const adjustmentsNow = () => (
  state.live ?? /** @type {Work} */ (state.work).adjustments);
