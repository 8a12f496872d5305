// @ts-check
// The state of the page. `update` changes it and then renders the page.

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
 * @property {string[]} pin_sizes sizes of brushes that a pin may have
 * @property {boolean} scores_pins whether the server scores how well a version
 *   follows its pins
 * @property {number} max_bytes largest size of a photograph's file
 * @property {{model: string, temperature: number, pin_size: string,
 *   adjustments: Adjustments}} defaults
 */
/**
 * @typedef {object} Photo
 * @property {string} id
 * @property {string} sha256
 * @property {number} width
 * @property {number} height
 * @property {number} screen_width width in pixels of the picture that the
 *   server renders for the whole photograph
 * @property {string[]} notes
 * @property {boolean} has_colours
 */
/**
 * The small picture of a version, and what the server says about the version.
 * @typedef {object} Picture
 * @property {string} url
 * @property {number | null} bits bits/dim by the model
 * @property {number | null} taken how fully the surroundings of the pins took
 *   their colours, 0..1
 * @property {number | null} spill how far pins moved the chroma of other things
 *   towards their colours, in Lab units
 * @property {Pin | null} cure a pin that corrects a colour that ran over
 * @property {string[]} notes about the pins; the first says how many cells
 *   they colour
 */
/**
 * A step that can be undone: a work and the photograph to which it belongs.
 * @typedef {{sha256: string, id: string, name: string, work: Work}} Step
 */
/**
 * A colour that is offered for a spot: how it looks there (`rgb`), the colour
 * that a pin stores (`pin_rgb`) and, for a likely colour, its probability.
 * @typedef {{rgb: number[], pin_rgb: number[], share?: number}} Swatch
 */
/** @typedef {{likely: Swatch[], vivid: Swatch[], here: Swatch | null}}
 *   Palette */
/**
 * The open dialog for the pin with this `index`. `palette` is null until the
 * server answers, and `opener` gets the focus when the dialog is closed.
 * @typedef {{index: number, pin: Pin, palette: Palette | null,
 *   opener: HTMLElement | null}} Chooser
 */

export const state = {
  model: /** @type {Model | null} */ (null),
  photo: /** @type {Photo | null} */ (null),
  /** Name of the photograph's file. */
  name: 'photograph',
  work: /** @type {Work | null} */ (null),
  /** Pictures of versions, by the keys of their recipes. */
  drawn: /** @type {Map<string, Picture>} */ (new Map()),
  /** Recipes of the pictures that the cards show now, by ids of versions. */
  shown: /** @type {Map<number, Recipe>} */ (new Map()),
  /** Ids of versions, in the order in which they are shown. */
  sequence: /** @type {number[]} */ ([]),
  timeline: /** @type {Timeline<Step>} */ (new Timeline()),
  /** Adjustments while one of their sliders is dragged. */
  live: /** @type {Adjustments | null} */ (null),
  /** Temperature while its slider is dragged. */
  liveTemperature: /** @type {number | null} */ (null),
  chooser: /** @type {Chooser | null} */ (null),
  /** Photographs that were opened together. */
  strip: /** @type {{name: string, file: Blob, url: string}[]} */ ([]),
  /** Numbers of versions: drawn so far (`done`), and requested (`total`). */
  progress: {done: 0, total: 0},
  /** `performance.now()` when a compilation began; 0 if none is running. */
  compilingSince: 0,
  /** Whether a photograph is being uploaded. */
  isOpening: false,
  /** Whether the photograph's own colours are shown for comparison. */
  showsOwn: false,
  message: {text: '', isBad: false},
};

/** @type {() => void} */
let render = () => {};
let isScheduled = false;

/**
 * Sets the function that renders the page.
 * @param {() => void} fn
 */
export function onUpdate(fn) {
  render = fn;
}

/**
 * Changes the state and schedules a rendering of the page.
 * @param {Partial<typeof state>} changes
 */
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
 * Shows a message; an empty text hides it.
 * @param {string} text
 * @param {boolean} isBad whether it is an error
 */
export function say(text, isBad = false) {
  update({message: {text, isBad}});
}

/**
 * Returns a number with its noun, such as '1 pin' or '2 pins'.
 * @type {(count: number, noun: string) => string}
 */
export const counted = (count, noun) => (
  `${count} ${noun}${count === 1 ? '' : 's'}`);

/**
 * Runs a function and shows its error, if it throws one.
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

/** Returns the present photograph, work and model; throws if there is none. */
export function current() {
  const {photo, work, model} = state;
  if (!photo || !work || !model) throw new Error('Open a photograph first.');
  return {photo, work, model};
}

/** Returns the adjustments that the page shows now. */
export const adjustmentsNow = () => (
  state.live ?? /** @type {Work} */ (state.work).adjustments);
