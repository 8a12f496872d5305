// @ts-check
// The pictures on the stage. A version first appears as a preview, which is the
// grey photograph with the colours of the version's small picture. Then the
// server renders the version at the resolution of the screen. After a zoom, it
// renders the visible part again, at a higher resolution.

import {adjust} from './colors.js';
import {element} from './dom.js';
import * as requests from './requests.js';
import {adjustmentsNow, attempt, current, state} from './state.js';
import {chosenOf, keyOf} from './work.js';

/** @typedef {import('./work.js').Adjustments} Adjustments */
/** @typedef {import('./state.js').Picture} Picture */

/** Wait from a move or zoom until the visible part is requested. */
const CROP_AFTER_MS = 200;
/** The largest number of pictures that each layer keeps. */
const MAX_KEPT = 16;
/** The largest number of pixels that are painted while a slider is dragged. */
const LIVE_PIXELS = 100_000;

/** @type {Map<string, Promise<HTMLImageElement>>} */
const decoded = new Map();

/**
 * Returns the decoded image of an address. Recent images are kept.
 * @param {string} url
 */
function imageOf(url) {
  let image = decoded.get(url);
  if (!image) {
    const node = new Image();
    node.src = url;
    image = node.decode().then(() => node);
    decoded.set(url, image);
    if (decoded.size > 200) decoded.delete([...decoded.keys()][0]);
  }
  return image;
}

/**
 * Paints the small picture of a version with its adjustments.
 * @param {HTMLCanvasElement} canvas
 * @param {Picture} picture
 * @param {Adjustments} adjustments
 * @param {number} [most] largest number of pixels to paint
 */
export async function paint(canvas, picture, adjustments, most = Infinity) {
  // Length and end of the address identify a picture. A whole data URL would be
  // too long.
  const wanted = `${picture.url.length}:${picture.url.slice(-60)}`
    + JSON.stringify([adjustments, most]);
  if (canvas.dataset.of === wanted) return;
  canvas.dataset.of = wanted;
  const image = await imageOf(picture.url);
  if (canvas.dataset.of !== wanted) return; // a later call has taken over
  const {naturalWidth, naturalHeight} = image;
  const scale = Math.min(
    1, Math.sqrt(most / (naturalWidth * naturalHeight)));
  const width = Math.max(1, Math.round(naturalWidth * scale));
  const height = Math.max(1, Math.round(naturalHeight * scale));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext('2d', {willReadFrequently: true}));
  context.drawImage(image, 0, 0, width, height);
  const {saturation, warmth, tint, strength} = adjustments;
  if (saturation !== 1 || warmth || tint || strength !== 1) {
    const data = context.getImageData(0, 0, width, height);
    adjust(data.data, adjustments);
    context.putImageData(data, 0, 0);
  }
  canvas.dataset.painted = wanted;
}

/** An image on the stage, whose pictures the server renders. */
class Layer {
  /** @param {string} id id of the image element */
  constructor(id) {
    this.image = /** @type {HTMLImageElement} */ (element(id));
    // Name of the picture to show. `image.dataset.of` is the name of the picture
    // that the image has.
    this.wanted = '';
    /** @type {AbortController | null} */
    this.request = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /**
     * Addresses of fetched pictures, by the names of the pictures.
     * @type {Map<string, string>}
     */
    this.kept = new Map();
    this.image.addEventListener('load', () => {
      this.image.hidden = this.image.dataset.of !== this.wanted;
    });
  }

  /**
   * Fetches a picture, if it is not kept, and shows it.
   * @param {string} wanted unique name of the picture; '' hides the image
   * @param {(signal: AbortSignal) => Promise<Blob>} fetchFn
   * @param {number} wait time before the request in milliseconds
   */
  show(wanted, fetchFn, wait = 0) {
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    clearTimeout(this.timer);
    this.request?.abort();
    const kept = this.kept.get(wanted);
    if (kept) this.put(wanted, kept);
    if (this.image.dataset.of !== wanted) this.image.hidden = true;
    if (!wanted || kept) return;
    const request = this.request = new AbortController();
    this.timer = setTimeout(() => attempt(async () => {
      const blob = await fetchFn(request.signal);
      const url = URL.createObjectURL(blob);
      this.kept.set(wanted, url);
      if (this.kept.size > MAX_KEPT) {
        const [first] = this.kept.keys();
        URL.revokeObjectURL(/** @type {string} */ (this.kept.get(first)));
        this.kept.delete(first);
      }
      if (this.wanted === wanted) this.put(wanted, url);
    }), wait);
  }

  /**
   * Shows a picture that has been fetched.
   * @type {(wanted: string, url: string) => void}
   */
  put(wanted, url) {
    this.image.dataset.of = wanted;
    if (this.image.src === url) this.image.hidden = false;
    else this.image.src = url;
  }

  /**
   * Puts the image where a part of the photograph is.
   * @type {(box: number[], width: number, height: number) => void}
   */
  place([left, top, right, bottom], width, height) {
    Object.assign(this.image.style, {
      left: `${100 * left / width}%`,
      top: `${100 * top / height}%`,
      width: `${100 * (right - left) / width}%`,
      height: `${100 * (bottom - top) / height}%`,
    });
  }
}

/** The pictures of the photograph and of the chosen version on the stage. */
export class View {
  /**
   * @param {import('./stage.js').Stage} stage
   * @param {import('./saving.js').WithPhotoId} withPhotoId
   */
  constructor(stage, withPhotoId) {
    this.stage = stage;
    this.withPhotoId = withPhotoId;
    this.grey = new Layer('grey');
    this.exact = new Layer('exact');
    this.greyCrop = new Layer('grey-crop');
    this.exactCrop = new Layer('exact-crop');
    this.preview = /** @type {HTMLCanvasElement} */ (element('preview'));
    // The grey photograph, on which CSS puts the colours of `preview`.
    this.ground = /** @type {HTMLImageElement} */ (element('ground'));
    this.grey.image.addEventListener('load', () => {
      const {src, dataset} = this.grey.image;
      if (!dataset.of?.endsWith(':grey')) return;
      this.ground.src = src;
      this.ground.dataset.of = dataset.of;
      this.preview.hidden = false;
    });
  }

  /** Shows the chosen version with the present adjustments. */
  render() {
    const {photo, work} = current();
    const {sha256} = photo;
    const chosen = chosenOf(work);
    const recipe = chosen && state.shown.get(chosen.id);
    const picture = recipe && state.drawn.get(keyOf(recipe));
    const adjustments = adjustmentsNow();
    element('after').hidden = !picture;
    /** @type {(asked: any) => (signal: AbortSignal) => Promise<Blob>} */
    const fetchFn = (asked) => (signal) => this.withPhotoId(
      (id) => requests.view(id, asked, signal));
    const kind = state.showsOwn ? 'original' : 'grey';
    this.grey.show(`${sha256}:${kind}`, fetchFn({kind}));
    this.preview.hidden = this.ground.dataset.of !== `${sha256}:grey`;
    const versionName = recipe
      ? keyOf(recipe) + JSON.stringify(adjustments) : '';
    const asked = {kind: 'version', recipe, adjustments};
    // While a slider is dragged, only the small picture is adjusted.
    const isStill = picture && !state.live;
    this.exact.show(isStill ? `${sha256}:${versionName}` : '', fetchFn(asked));
    if (picture) {
      attempt(() => paint(
        this.preview, picture, adjustments,
        state.live ? LIVE_PIXELS : undefined));
    }
    const crop = this.crop(photo);
    const cropName = crop ? JSON.stringify(crop) : '';
    for (const layer of crop ? [this.greyCrop, this.exactCrop] : []) {
      layer.place(/** @type {number[]} */ (crop?.box), photo.width,
        photo.height);
    }
    this.greyCrop.show(crop ? `${sha256}:${kind}:${cropName}` : '',
      fetchFn({kind, ...crop}), CROP_AFTER_MS);
    this.exactCrop.show(
      crop && isStill ? `${sha256}:${versionName}:${cropName}` : '',
      fetchFn({...asked, ...crop}), CROP_AFTER_MS);
  }

  /**
   * Returns the visible part and its width on the screen. Returns null if the
   * picture of the whole photograph has enough pixels for it.
   * @param {import('./state.js').Photo} photo
   */
  crop({width, screen_width: available}) {
    const {base, scale, box} = this.stage;
    // Side of a pixel of the photograph, in pixels of the screen.
    const pixel = base * scale * devicePixelRatio;
    if (pixel * width < 1.2 * available || available === width) return null;
    return {box, width: Math.round(Math.min(1, pixel) * (box[2] - box[0]))};
  }
}
