// @ts-check
// The state of a user's work on one photograph, an object of type `Work`. The
// functions never modify such an object; they return a new one.

/**
 * A spot with a known colour: its pixel, the colour as '#rrggbb', and the size
 * of its brush, '' for the default size.
 * @typedef {{x: number, y: number, color: string, size: string}} Pin
 */
/**
 * The settings from which a sample of a photograph can be drawn again.
 * @typedef {{seed: number, sample: number, temperature: number, pins: Pin[]}}
 *   Recipe
 */
/**
 * A version of the photograph; `kept` says whether it has a star.
 * @typedef {{id: number, recipe: Recipe, kept: boolean}} Version
 */
/**
 * @typedef {{saturation: number, warmth: number, tint: number,
 *   strength: number}} Adjustments
 */
/**
 * @typedef {object} Work
 * @property {Version[]} versions
 * @property {number} chosen id of the version in the large view, or -1
 * @property {number} nextId id of the next version that is added
 * @property {number} nextSample sample number from which `add` looks for an
 *   unused one
 * @property {number} seed
 * @property {number} temperature
 * @property {Pin[]} pins
 * @property {Adjustments} adjustments
 * @property {string} order order in which the page shows the versions, a value
 *   of its menu with the id "order"; 'drawn' is the order in which they were drawn
 */

export const MAX_VERSIONS = 200;

/**
 * Returns a work without versions.
 * @param {{temperature: number, adjustments: Adjustments}} defaults
 * @returns {Work}
 */
export function emptyWork({temperature, adjustments}) {
  return {
    versions: [],
    chosen: -1,
    nextId: 0,
    nextSample: 0,
    seed: 0,
    temperature,
    pins: [],
    adjustments: {...adjustments},
    order: 'drawn',
  };
}

/**
 * Returns a text that two recipes share if and only if they are equal.
 * @param {Recipe} recipe
 */
export const keyOf = ({seed, sample, temperature, pins}) => JSON.stringify([
  seed, sample, temperature,
  pins.map(({x, y, color, size}) => [x, y, color, size])]);

/**
 * Returns the version in the large view, if there is one.
 * @param {Work} work
 */
export const chosenOf = (work) => (
  work.versions.find(({id}) => id === work.chosen));

/**
 * Returns the recipe of a sample with the current settings of a work.
 * @param {Work} work
 * @param {number} sample
 * @returns {Recipe}
 */
const recipeOf = ({seed, temperature, pins}, sample) => (
  {seed, sample, temperature, pins});

/**
 * Adds up to `count` versions, each with a sample number that was not used
 * before.
 * @param {Work} work
 * @param {number} count
 * @returns {Work}
 */
export function add(work, count) {
  const versions = [...work.versions];
  let {nextId, nextSample} = work;
  for (let i = 0; i < count && versions.length < MAX_VERSIONS; i++) {
    const isUsed = (/** @type {Version} */ version) => (
      version.recipe.sample === nextSample);
    while (versions.some(isUsed)) nextSample++;
    const recipe = recipeOf(work, nextSample++);
    versions.push({id: nextId++, recipe, kept: false});
  }
  const chosen = chosenOf(work) ? work.chosen : versions[0]?.id ?? -1;
  return {...work, versions, chosen, nextId, nextSample};
}

/**
 * Replaces all versions without a star with versions with new sample numbers.
 * @param {Work} work
 * @param {number} minVersions smallest number of versions of the result
 * @returns {Work}
 */
export function renew(work, minVersions) {
  const kept = work.versions.filter((version) => version.kept);
  const count = Math.max(
    work.versions.length - kept.length, minVersions - kept.length, 1);
  const after = add({...work, versions: kept}, count);
  const first = after.versions[kept.length];
  return {...after, chosen: first ? first.id : after.chosen};
}

/**
 * Gives the current settings to all versions without a star. A version with a
 * star does not change. If it is in the large view, and its settings differ, a
 * copy with the current settings is added and takes its place there.
 * @param {Work} work
 * @returns {Work}
 */
export function applySettings(work) {
  let {nextId, chosen} = work;
  /** @type {Version[]} */
  const versions = [];
  for (const version of work.versions) {
    const recipe = recipeOf(work, version.recipe.sample);
    if (!version.kept) {
      versions.push({...version, recipe});
      continue;
    }
    versions.push(version);
    const differs = keyOf(recipe) !== keyOf(version.recipe);
    if (version.id === work.chosen && differs) {
      chosen = nextId++;
      versions.push({id: chosen, recipe, kept: false});
    }
  }
  const distinct = withoutDuplicates(versions, chosen);
  return {...work, versions: distinct, nextId, chosen};
}

/**
 * Keeps one version of each recipe, and all versions with a star.
 * @param {Version[]} versions
 * @param {number} chosen id of the version in the large view, which stays
 */
function withoutDuplicates(versions, chosen) {
  return versions.filter((version) => {
    const isDuplicate = versions.some((other) => other !== version
      && (other.id === chosen || other.kept || other.id < version.id)
      && keyOf(other.recipe) === keyOf(version.recipe));
    return version.kept || version.id === chosen || !isDuplicate;
  });
}

/**
 * Changes the pins of the work and of its versions without a star.
 * @param {Work} work
 * @param {Pin[]} pins
 */
export const setPins = (work, pins) => applySettings({...work, pins});

/**
 * Changes the temperature of the work and of its versions without a star.
 * @param {Work} work
 * @param {number} temperature
 */
export const setTemperature = (work, temperature) => (
  applySettings({...work, temperature}));

/**
 * Gives a version a star, or takes it away.
 * @param {Work} work
 * @param {number} id of the version
 * @returns {Work}
 */
export const toggleKept = (work, id) => ({
  ...work,
  versions: work.versions.map((version) => (
    version.id === id ? {...version, kept: !version.kept} : version)),
});

/**
 * Puts the version that a link describes into the large view. If it is missing,
 * adds it with a star.
 * @param {Work} work
 * @param {{seed: number, sample: number, temperature: number, pins: Pin[],
 *   adjustments: Adjustments}} wanted
 * @returns {Work}
 */
export function openLinkedVersion(work, wanted) {
  const {seed, sample, temperature, pins, adjustments} = wanted;
  const after = {...work, seed, temperature, pins, adjustments};
  const recipe = recipeOf(after, sample);
  const existing = work.versions.find(
    (version) => keyOf(version.recipe) === keyOf(recipe));
  if (existing) return {...after, chosen: existing.id};
  const id = work.nextId;
  const versions = [{id, recipe, kept: true}, ...work.versions];
  return {...after, versions, chosen: id, nextId: id + 1};
}

const isNumber = (/** @type {unknown} */ x) => Number.isFinite(x);
const isPin = (/** @type {any} */ pin) => (
  Number.isInteger(pin?.x) && Number.isInteger(pin?.y)
  && /^#[0-9a-f]{6}$/.test(pin.color) && ['', 'S', 'M', 'L'].includes(pin.size));
const isVersion = (/** @type {any} */ {id, recipe, kept}) => (
  [id, recipe?.seed, recipe?.sample, recipe?.temperature].every(isNumber)
  && typeof kept === 'boolean' && recipe.pins.every(isPin));

/**
 * Returns whether a value is a valid work. A stored value can be invalid if
 * another release of the page wrote it.
 * @param {any} work
 * @returns {boolean}
 */
export function isWork(work) {
  try {
    const {saturation, warmth, tint, strength} = work.adjustments;
    return work.versions.length > 0 && work.versions.every(isVersion)
      && work.pins.every(isPin) && typeof work.order === 'string'
      && [work.chosen, work.nextId, work.nextSample, work.seed,
        work.temperature, saturation, warmth, tint, strength].every(isNumber);
  } catch {
    return false;
  }
}
