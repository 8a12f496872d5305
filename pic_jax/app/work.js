// @ts-check
// What a person has made of one photograph, and the steps that change it.
// Every step takes a work and returns another one; none changes its argument.

/** @typedef {{x: number, y: number, color: string, size: string}} Pin */
/**
 * @typedef {{seed: number, sample: number, temperature: number, pins: Pin[]}}
 *   Recipe
 */
/** @typedef {{id: number, recipe: Recipe, kept: boolean}} Version */
/**
 * @typedef {{saturation: number, warmth: number, tint: number,
 *   strength: number}} Adjustments
 */
/**
 * @typedef {object} Work
 * @property {Version[]} versions
 * @property {number} chosen id of the version that is looked at, or -1
 * @property {number} nextId
 * @property {number} nextSample number of the sample that was never drawn
 * @property {number} seed
 * @property {number} temperature
 * @property {Pin[]} pins
 * @property {Adjustments} adjustments
 * @property {string} order
 */

export const MAX_VERSIONS = 200;

/**
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

/** @param {Recipe} recipe */
export const keyOf = ({seed, sample, temperature, pins}) => JSON.stringify([
  seed, sample, temperature,
  pins.map(({x, y, color, size}) => [x, y, color, size])]);

/** @param {Work} work */
export const chosenOf = (work) => (
  work.versions.find(({id}) => id === work.chosen));

/**
 * The recipe of a sample by the settings of the work.
 * @param {Work} work
 * @param {number} sample
 * @returns {Recipe}
 */
const recipeOf = ({seed, temperature, pins}, sample) => (
  {seed, sample, temperature, pins});

/**
 * Adds versions of samples that no version has, nor had.
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
 * Puts other samples in place of all versions without a star.
 * @param {Work} work
 * @param {number} least how many versions there are afterwards, at least
 * @returns {Work}
 */
export function renew(work, least) {
  const kept = work.versions.filter((version) => version.kept);
  const count = Math.max(
    work.versions.length - kept.length, least - kept.length, 1);
  const after = add({...work, versions: kept}, count);
  const first = after.versions[kept.length];
  return {...after, chosen: first ? first.id : after.chosen};
}

/**
 * Draws the same samples by the settings of the work. A version with a star
 * stays as it is; if it is the one that is looked at, a copy of it is drawn.
 * @param {Work} work
 * @returns {Work}
 */
export function redo(work) {
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
    const isNew = keyOf(recipe) !== keyOf(version.recipe);
    if (version.id === work.chosen && isNew) {
      chosen = nextId++;
      versions.push({id: chosen, recipe, kept: false});
    }
  }
  return {...work, versions: unlike(versions, chosen), nextId, chosen};
}

/**
 * Leaves out a version without a star that has the recipe of another one.
 * @param {Version[]} versions
 * @param {number} chosen
 */
function unlike(versions, chosen) {
  return versions.filter((version) => {
    const isDouble = versions.some((other) => other !== version
      && (other.id === chosen || other.kept || other.id < version.id)
      && keyOf(other.recipe) === keyOf(version.recipe));
    return version.kept || version.id === chosen || !isDouble;
  });
}

/**
 * @param {Work} work
 * @param {Pin[]} pins
 */
export const setPins = (work, pins) => redo({...work, pins});

/**
 * @param {Work} work
 * @param {number} temperature
 */
export const setTemperature = (work, temperature) => (
  redo({...work, temperature}));

/**
 * @param {Work} work
 * @param {number} id
 * @returns {Work}
 */
export const toggleKept = (work, id) => ({
  ...work,
  versions: work.versions.map((version) => (
    version.id === id ? {...version, kept: !version.kept} : version)),
});

/**
 * Adds the version that a link names, with a star, and looks at it.
 * @param {Work} work
 * @param {{seed: number, sample: number, temperature: number, pins: Pin[],
 *   adjustments: Adjustments}} wanted
 * @returns {Work}
 */
export function addWanted(work, wanted) {
  const {seed, sample, temperature, pins, adjustments} = wanted;
  const after = {...work, seed, temperature, pins, adjustments};
  const recipe = recipeOf(after, sample);
  const there = work.versions.find(
    (version) => keyOf(version.recipe) === keyOf(recipe));
  if (there) return {...after, chosen: there.id};
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
 * Whether something that was kept by this or another version of the page is a
 * work.
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
