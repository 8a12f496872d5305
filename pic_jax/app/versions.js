// @ts-check
// The list of versions: drawing, ordering and showing them.

import {element, input, make, setAttributes, setText, showList} from './dom.js';
import * as requests from './requests.js';
import {
  adjustmentsNow, attempt, current, state, update,
} from './state.js';
import {paint} from './view.js';
import {chosenOf, keyOf} from './work.js';

/** @typedef {import('./work.js').Version} Version */
/** @typedef {import('./work.js').Work} Work */
/** @typedef {import('./state.js').Picture} Picture */

/** The largest number of versions in a request, `MAX_SAMPLES` of the server. */
const MAX_ASKED = 64;
/** The largest number of small pictures in `state.drawn`. */
const MAX_DRAWN = 600;

/**
 * Returns whether a version has not been drawn yet.
 * @param {Version} version
 */
export const isWaiting = (version) => (
  !state.drawn.has(keyOf(version.recipe)));

/**
 * Returns the picture that the card of a version shows. Until the version is
 * drawn, this is the picture of its earlier recipe, if it had one.
 * @param {Version} version
 * @returns {Picture | undefined}
 */
export function pictureOf(version) {
  const picture = state.drawn.get(keyOf(version.recipe));
  const earlier = state.shown.get(version.id);
  return picture ?? (earlier && state.drawn.get(keyOf(earlier)));
}

/** Returns recipe and adjustments of the large view; null if it is empty. */
export function shownVersion() {
  const chosen = state.work && chosenOf(state.work);
  const recipe = chosen && state.shown.get(chosen.id);
  return recipe ? {recipe, adjustments: adjustmentsNow()} : null;
}

/** The list of versions. */
export class Versions {
  /**
   * @param {import('./saving.js').WithPhotoId} withPhotoId
   * @param {{choose: (id: number) => void,
   *   toggleStar: (id: number) => void}} handlers functions that show a version
   *   in the large view, and that give it a star or take it away
   */
  constructor(withPhotoId, handlers) {
    this.withPhotoId = withPhotoId;
    this.handlers = handlers;
    /** @type {AbortController | null} */
    this.drawing = null;
  }

  /** Draws all versions that have not been drawn yet. */
  async draw() {
    this.drawing?.abort();
    const drawing = this.drawing = new AbortController();
    const {work, photo} = current();
    this.choosePictures();
    // The version in the large view is drawn first.
    const rank = (/** @type {Version} */ version) => (
      Number(version.id !== work.chosen));
    const waiting = work.versions.filter(isWaiting).sort(
      (a, b) => rank(a) - rank(b));
    let done = 0;
    update({progress: {done, total: waiting.length}});
    try {
      while (done < waiting.length) {
        await this.withPhotoId(async (id) => {
          const recipes = waiting.slice(done, done + MAX_ASKED).map(
            (version) => version.recipe);
          const results = requests.draw(id, recipes, drawing.signal);
          for await (const result of results) {
            if (drawing.signal.aborted || state.photo !== photo) return;
            if (result.compiling) {
              update({compilingSince: performance.now()});
              continue;
            }
            this.receive(waiting[done++], result);
            update({compilingSince: 0, progress: {done, total: waiting.length}});
          }
        });
        if (drawing.signal.aborted) return;
      }
      await this.sort();
      if (done) announce(`${done} ${done > 1 ? 'versions are' : 'version is'} ready.`);
    } finally {
      if (this.drawing === drawing) {
        update({compilingSince: 0, progress: {done: 0, total: 0}});
      }
    }
  }

  /**
   * Stores what the server sent for a version.
   * @type {(version: Version, result: any) => void}
   */
  receive(version, result) {
    state.drawn.set(keyOf(version.recipe), {
      url: `data:image/jpeg;base64,${result.picture}`,
      bits: result.bits_per_dim ?? null,
      taken: result.taken ?? null,
      spill: result.spill ?? null,
      cure: result.cure ?? null,
      notes: result.notes ?? [],
    });
    if (state.drawn.size > MAX_DRAWN) this.dropOldPictures();
    this.choosePictures();
  }

  /** Drops the oldest pictures that no card needs. */
  dropOldPictures() {
    const needed = new Set([
      ...[...state.shown.values()].map(keyOf),
      ...(state.work?.versions ?? []).map(({recipe}) => keyOf(recipe))]);
    for (const key of state.drawn.keys()) {
      if (state.drawn.size <= MAX_DRAWN) return;
      if (!needed.has(key)) state.drawn.delete(key);
    }
  }

  /** Chooses the picture that each card shows, see `state.shown`. */
  choosePictures() {
    const {work} = current();
    const shown = new Map(state.shown);
    for (const version of work.versions) {
      if (!isWaiting(version)) {
        shown.set(version.id, version.recipe);
      } else if (!shown.has(version.id)) {
        // A copy shows the picture of its original until it is drawn.
        const original = work.versions.find((other) => other.id !== version.id
          && other.recipe.sample === version.recipe.sample
          && shown.has(other.id));
        const recipe = original && shown.get(original.id);
        if (recipe) shown.set(version.id, recipe);
      }
    }
    update({shown});
  }

  /** Sorts the drawn versions in the order that the user has chosen. */
  async sort() {
    const {work} = current();
    const {order} = work;
    const versions = work.versions.filter((version) => !isWaiting(version));
    const waiting = work.versions.filter(isWaiting);
    /** @type {(value: (picture: Picture) => number) => unknown} */
    const sortBy = (value) => versions.sort((a, b) => (
      value(/** @type {Picture} */ (pictureOf(a)))
      - value(/** @type {Picture} */ (pictureOf(b)))));
    if (order === 'likely') {
      sortBy((picture) => picture.bits ?? 0);
    } else if (order === 'surprising') {
      sortBy((picture) => -(picture.bits ?? 0));
    } else if (order === 'pins') {
      // A spill of 1 Lab unit counts as much as 0.01 of `taken`.
      sortBy((picture) => (picture.spill ?? 0) / 100 - (picture.taken ?? 0));
    } else if (order === 'different' && versions.length) {
      const first = versions.slice(0, MAX_ASKED);
      const sequence = await this.withPhotoId((id) => requests.order(
        id, first.map(({recipe}) => recipe)));
      versions.splice(0, first.length, ...sequence.map((i) => first[i]));
    }
    update({sequence: [...versions, ...waiting].map(({id}) => id)});
  }

  /** Versions in the order in which they are shown. */
  get inOrder() {
    const positions = new Map(state.sequence.map((id, index) => [id, index]));
    const position = (/** @type {Version} */ {id}) => (
      positions.get(id) ?? 1e9 + id); // new versions come last
    return [...(state.work?.versions ?? [])].sort(
      (a, b) => position(a) - position(b));
  }

  /**
   * Chooses the next (1) or the previous (-1) version.
   * @param {number} by
   */
  step(by) {
    const versions = this.inOrder;
    const index = versions.findIndex(({id}) => id === state.work?.chosen) + by;
    if (versions[index]) this.handlers.choose(versions[index].id);
  }

  /** Shows the list, the progress and the advice about pins. */
  render() {
    const {work} = current();
    const versions = this.inOrder;
    showList(element('samples'), versions, ({id}) => String(id),
      (version) => this.makeCard(version),
      (node, version) => this.showCard(node, version, versions));
    input('order').value = work.order;
    const hasPins = work.pins.length > 0;
    element('order-pins').hidden = !hasPins && work.order !== 'pins';
    renderProgress();
    renderCure(versions);
  }

  /**
   * Makes the card of a version.
   * @param {Version} version
   */
  makeCard({id}) {
    const pick = make('button', {class: 'pick'}, make('canvas'));
    const keep = make('button', {class: 'keep'});
    pick.addEventListener('click', () => this.handlers.choose(id));
    keep.addEventListener('click', () => this.handlers.toggleStar(id));
    return make('li', {class: 'sample'}, pick, make('b'), keep,
      make('span', {class: 'bits'}));
  }

  /**
   * Shows a version in its card.
   * @type {(node: HTMLElement, version: Version, all: Version[]) => void}
   */
  showCard(node, version, all) {
    const {work, photo} = current();
    const picture = pictureOf(version);
    const [pick, label, keep, bits] = /** @type {HTMLElement[]} */ (
      [...node.children]);
    const canvas = /** @type {HTMLCanvasElement} */ (pick.firstElementChild);
    const {id, kept, recipe: {sample}} = version;
    const isChosen = id === work.chosen;
    node.classList.toggle('chosen', isChosen);
    node.classList.toggle('waiting', isWaiting(version));
    pick.style.aspectRatio = `${photo.width} / ${photo.height}`;
    const likely = likeliness(picture, all);
    const taken = takenText(picture);
    setAttributes(pick, {
      'aria-pressed': String(isChosen),
      'aria-label': [`Version ${sample}`, likely, taken,
        isWaiting(version) ? 'is being drawn' : ''].filter(Boolean).join(', '),
    });
    canvas.hidden = !picture;
    // While a slider is dragged, only the picture on the stage is adjusted.
    if (picture) attempt(() => paint(canvas, picture, work.adjustments));
    setText(label, `#${sample}`);
    setText(bits, taken || likely);
    const bitsText = picture?.bits == null ? '' : `${picture.bits.toFixed(2)} `
      + 'bits/dim by the model; lower means more probable. ';
    bits.title = bitsText + (taken
      && 'The percentage says how fully the surroundings of the pins took '
        + `their colours. ${picture?.notes[0]}.`);
    setText(keep, kept ? '★' : '☆');
    setAttributes(keep, {
      'aria-pressed': String(kept),
      'aria-label': `Keep version ${sample}`,
      'title': kept ? 'Stays when new versions are drawn' : 'Keep this version',
    });
  }
}

/**
 * Returns how probable a version is among the drawn versions: 'likely', 'less
 * likely' or 'surprising'; '' if it is not known.
 * @param {Picture | undefined} picture
 * @param {Version[]} all
 */
function likeliness(picture, all) {
  const bits = all.map((version) => pictureOf(version)?.bits ?? null).filter(
    (value) => value !== null);
  if (picture?.bits == null || bits.length < 2) return '';
  const ownBits = picture.bits;
  const numBelow = bits.filter((value) => value < ownBits).length;
  const share = numBelow / (bits.length - 1);
  if (share < 0.34) return 'likely';
  return share < 0.67 ? 'less likely' : 'surprising';
}

/**
 * Returns a text that says how fully pins took their colours.
 * @param {Picture | undefined} picture
 */
const takenText = (picture) => (
  picture?.taken == null ? ''
    : `follows pins ${Math.round(100 * picture.taken)} %`);

/**
 * Announces news to users of screen readers.
 * @param {string} text
 */
export function announce(text) {
  setText(element('news'), text);
}

/** Shows how many versions are drawn, or how long a compilation has taken. */
function renderProgress() {
  const {progress: {done, total}, compilingSince} = state;
  const bar = /** @type {HTMLProgressElement} */ (element('progress'));
  bar.value = total ? Math.max(done / total, 0.04) : 1;
  bar.classList.toggle('active', done < total);
  const seconds = Math.floor((performance.now() - compilingSince) / 1000);
  const line = element('working');
  line.hidden = !(done < total);
  const text = compilingSince
    ? 'Preparing the model for photographs of this shape, once: '
      + `${seconds} s so far (20 to 90 s on most computers)`
    : `Drawing version ${Math.min(done + 1, total)} of ${total} …`;
  setText(line, line.hidden ? '' : text);
  if (compilingSince) {
    if (!seconds) announce('Preparing the model for this shape, once.');
    clearTimeout(tick);
    tick = setTimeout(() => update(), 1000);
  }
}
/** @type {ReturnType<typeof setTimeout> | undefined} */
let tick;

/**
 * Says what to do if the colour of a pin ran over, or was not taken.
 * @param {Version[]} versions
 */
function renderCure(versions) {
  const chosen = versions.find(({id}) => id === state.work?.chosen);
  const picture = chosen && !isWaiting(chosen) ? pictureOf(chosen) : undefined;
  // The second note, if there is one, says which pins lie in the same cell.
  const [, clash] = picture?.notes ?? [];
  const misses = picture?.taken != null && picture.taken < 0.4;
  const text = clash ? `${clash}.`
    : picture?.cure ? 'A pinned colour ran over to other things.'
    : misses ? 'A pin has coloured only a part of its surroundings. Try size L '
      + 'or a second pin.'
      : '';
  element('cure').hidden = !text;
  element('cure-pin').hidden = !picture?.cure || Boolean(clash);
  setText(/** @type {Node} */ (element('cure').firstElementChild), text);
}
