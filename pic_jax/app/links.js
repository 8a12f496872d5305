// @ts-check
// Links and commands that describe a version, so it can be drawn again.

/** @typedef {import('./work.js').Pin} Pin */
/** @typedef {import('./work.js').Recipe} Recipe */
/** @typedef {import('./work.js').Adjustments} Adjustments */
/**
 * The version that a link describes; `photograph` and `model` are the sha256 of
 * their files.
 * @typedef {{photograph: string, model: string, seed: number, sample: number,
 *   temperature: number, pins: Pin[], adjustments: Adjustments}} Wanted
 */

const MAX_INTEGER = 2 ** 31 - 1;
const ADJUSTMENTS = ['saturation', 'warmth', 'tint', 'strength'];

/**
 * Returns a link to a version. The link contains the sha256 of the photograph,
 * but not the photograph.
 * @param {string} page address of the page
 * @param {{photograph: string, model: string, recipe: Recipe,
 *   adjustments: Adjustments}} version
 */
export function linkTo(page, {photograph, model, recipe, adjustments}) {
  const {seed, sample, temperature, pins} = recipe;
  const fields = new URLSearchParams({
    photograph,
    model,
    seed: String(seed),
    sample: String(sample),
    temperature: String(temperature),
  });
  for (const [name, value] of Object.entries(adjustments)) {
    fields.set(name, String(value));
  }
  fields.set('pins', pins.map(pinText).join(' '));
  return `${page}#${fields}`;
}

/**
 * Returns a pin as a line of a file of hints: 'x,y,#rrggbb' or
 * 'x,y,#rrggbb,size'.
 * @param {Pin} pin
 */
export const pinText = ({x, y, color, size}) => (
  [x, y, color, ...(size ? [size] : [])].join(','));

/**
 * Reads what `pinText` wrote; null if the text is not a pin.
 * @param {string} text
 * @returns {Pin | null}
 */
export function parsePin(text) {
  const match = /^(\d{1,6}),(\d{1,6}),(#[0-9a-f]{6})(?:,([SML]))?$/i.exec(text);
  if (!match) return null;
  const [, x, y, color, size = ''] = match;
  return {
    x: Number(x), y: Number(y), color: color.toLowerCase(),
    size: size.toUpperCase(),
  };
}

/**
 * Reads a link.
 * @param {string} hash the part of the address that begins with '#'
 * @param {{temperature: number, adjustments: Adjustments}} defaults values
 *   of fields that are missing or cannot be read
 * @returns {{wanted: Wanted, ignored: string[]} | null} the version that the
 *   link describes, and the names of fields that are missing, unknown or cannot
 *   be read; null if the link names no photograph
 */
export function parseLink(hash, defaults) {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const photograph = fields.get('photograph') ?? '';
  if (!/^[0-9a-f]{64}$/.test(photograph)) return null;
  /** @type {string[]} */
  const ignored = [];
  /**
   * Reads a number.
   * @param {string} name
   * @param {number} fallback
   * @param {(value: number) => boolean} isPossible
   */
  const number = (name, fallback, isPossible) => {
    const text = fields.get(name);
    const value = Number(text);
    if (text && Number.isFinite(value) && isPossible(value)) return value;
    ignored.push(name);
    return fallback;
  };
  const isCount = (/** @type {number} */ value) => (
    Number.isInteger(value) && value >= 0 && value <= MAX_INTEGER);
  const isNonNegative = (/** @type {number} */ value) => (
    value >= 0 && value <= MAX_INTEGER);
  const isShare = (/** @type {number} */ value) => value >= 0 && value <= 1;
  const isWithin100 = (/** @type {number} */ value) => Math.abs(value) <= 100;
  const seed = number('seed', 0, isCount);
  const sample = number('sample', 0, isCount);
  const temperature = number(
    'temperature', defaults.temperature, isNonNegative);
  const adjustments = {...defaults.adjustments};
  // Links of older releases of the page have only one adjustment, saturation.
  if (!fields.has('warmth')) {
    adjustments.saturation = number(
      'saturation', adjustments.saturation, isNonNegative);
    Object.assign(adjustments, {warmth: 0, tint: 0, strength: 1});
  } else {
    const checks = {saturation: isNonNegative, warmth: isWithin100,
      tint: isWithin100, strength: isShare};
    for (const name of /** @type {(keyof Adjustments)[]} */ (ADJUSTMENTS)) {
      adjustments[name] = number(name, adjustments[name], checks[name]);
    }
  }
  const pinTexts = (fields.get('pins') ?? '').split(' ').filter(Boolean);
  const pins = pinTexts.map(parsePin);
  if (!fields.has('pins') || pins.includes(null)) ignored.push('pins');
  const model = fields.get('model') ?? '';
  if (!model) ignored.push('model');
  const known = ['photograph', 'model', 'seed', 'sample', 'temperature', 'pins',
    ...ADJUSTMENTS];
  for (const name of new Set(fields.keys())) {
    if (!known.includes(name)) ignored.push(name.slice(0, 20));
  }
  const wanted = {
    photograph, model, seed, sample, temperature, adjustments,
    pins: /** @type {Pin[]} */ (pins.filter((pin) => pin !== null)),
  };
  return {wanted, ignored};
}

/**
 * Returns the `pic-jax colorize` command that writes the picture of a recipe.
 * @param {string} name name of the photograph's file
 * @param {Recipe} recipe
 * @param {Adjustments} adjustments
 * @param {{name: string, defaults: {model: string, temperature: number,
 *   adjustments: Adjustments}}} model
 */
export function commandFor(
  name, recipe, adjustments, {name: modelName, defaults},
) {
  const {seed, sample, temperature, pins} = recipe;
  const path = name.startsWith('-') ? `./${name}` : name;
  const words = ['pic-jax', 'colorize', quoted(path), '-o', 'out',
    '--samples', String(sample)];
  if (modelName !== defaults.model) words.push('--model', quoted(modelName));
  if (seed) words.push('--seed', String(seed));
  if (temperature !== defaults.temperature) {
    words.push('--temperature', String(temperature));
  }
  // The page's button "Save pins" writes a file with this name.
  if (pins.length) words.push('--hints', quoted(`${path}.pins.csv`));
  for (const [field, value] of Object.entries(adjustments)) {
    const key = /** @type {keyof Adjustments} */ (field);
    if (value !== defaults.adjustments[key]) {
      // With '=', because a separate word '-5' would look like an option.
      words.push(`--${field}=${value}`);
    }
  }
  return words.join(' ');
}

/** Quotes a word for the shell, if needed. */
const quoted = (/** @type {string} */ text) => (
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
