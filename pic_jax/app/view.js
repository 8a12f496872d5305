// @ts-check
// The pictures on the stage. A version of the photograph first appears as a
// preview: the browser puts the colours of the small picture that the strip
// shows on the grey photograph. Then the server renders the version at the
// resolution of the screen. After a zoom, it renders the visible part again, at
// a higher resolution.

import {adjust} from './colors.js';
import {element} from './dom.js';
import * as requests from './requests.js';
import {adjustmentsNow, attempt, current, state} from './state.js';
import {chosenOf, keyOf} from './work.js';

/** @typedef {import('./work.js').Adjustments} Adjustments */
/** @typedef {import('./state.js').Picture} Picture */

/** Delay between a move or zoom and the request of the visible part. */
const CROP_DELAY_MS = 200;
/** The largest number of pictures that each layer keeps. */
const MAX_KEPT = 16;
/** The largest number of pixels that are painted while a slider is dragged. */
const LIVE_PIXELS = 100_000;

/** @type {Map<string, Promise<HTMLImageElement>>} */
const decoded = new Map();

/**
 * Returns a promise of the decoded image at a URL. Recent images are kept.
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
 * @param {number} [maxPixels] largest number of pixels to paint
 */
export async function paint(
  canvas, picture, adjustments, maxPixels = Infinity) {
  // The length and the end of its URL identify a picture. The whole URL, which
  // contains the data, would be too long.
  const wanted = `${picture.url.length}:${picture.url.slice(-60)}`
    + JSON.stringify([adjustments, maxPixels]);
  if (canvas.dataset.of === wanted) return;
  canvas.dataset.of = wanted;
  const image = await imageOf(picture.url);
  if (canvas.dataset.of !== wanted) return; // a later call has taken over
  const {naturalWidth, naturalHeight} = image;
  const scale = Math.min(
    1, Math.sqrt(maxPixels / (naturalWidth * naturalHeight)));
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

/** An image element on the stage, which shows pictures from the server. */
class Layer {
  /** @param {string} id id of the image element */
  constructor(id) {
    this.image = /** @type {HTMLImageElement} */ (element(id));
    // Name of the picture to show. `image.dataset.of` is the name of the one
    // that the element contains, which may still be the previous picture.
    this.wanted = '';
    /** @type {AbortController | null} */
    this.request = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /**
     * URLs of fetched pictures, keyed by the names of the pictures.
     * @type {Map<string, string>}
     */
    this.urls = new Map();
    this.image.addEventListener('load', () => {
      this.image.hidden = this.image.dataset.of !== this.wanted;
    });
  }

  /**
   * Fetches a picture, if it is not kept, and shows it.
   * @param {string} wanted unique name of the picture; '' hides the image
   * @param {(signal: AbortSignal) => Promise<Blob>} fetchFn
   * @param {number} wait delay of the request, in milliseconds
   */
  show(wanted, fetchFn, wait = 0) {
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    clearTimeout(this.timer);
    this.request?.abort();
    const url = this.urls.get(wanted);
    if (url) this.display(wanted, url);
    if (this.image.dataset.of !== wanted) this.image.hidden = true;
    if (!wanted || url) return;
    const request = this.request = new AbortController();
    this.timer = setTimeout(() => attempt(async () => {
      const blob = await fetchFn(request.signal);
      const url = URL.createObjectURL(blob);
      this.urls.set(wanted, url);
      if (this.urls.size > MAX_KEPT) {
        const [first] = this.urls.keys();
        URL.revokeObjectURL(/** @type {string} */ (this.urls.get(first)));
        this.urls.delete(first);
      }
      if (this.wanted === wanted) this.display(wanted, url);
    }), wait);
  }

  /**
   * Shows a picture that has been fetched.
   * @type {(wanted: string, url: string) => void}
   */
  display(wanted, url) {
    this.image.dataset.of = wanted;
    if (this.image.src === url) this.image.hidden = false;
    else this.image.src = url;
  }

  /**
   * Moves the image to a part of the photograph.
   * @type {(box: number[], width: number, height: number) => void}
   */
  moveTo([left, top, right, bottom], width, height) {
    Object.assign(this.image.style, {
      left: `${100 * left / width}%`,
      top: `${100 * top / height}%`,
      width: `${100 * (right - left) / width}%`,
      height: `${100 * (bottom - top) / height}%`,
    });
  }
}

/** All pictures on the stage: the photograph and the chosen version of it. */
export class View {
  /**
   * @param {import('./stage.js').Stage} stage
   * @param {import('./saving.js').WithPhotoId} withPhotoId
   */
  constructor(stage, withPhotoId) {
    this.stage = stage;
    this.withPhotoId = withPhotoId;
    this.grey = new Layer('grey');
    this.version = new Layer('exact');
    this.greyCrop = new Layer('grey-crop');
    this.versionCrop = new Layer('exact-crop');
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
    const isSettled = picture && !state.live;
    this.version.show(
      isSettled ? `${sha256}:${versionName}` : '', fetchFn(asked));
    if (picture) {
      attempt(() => paint(
        this.preview, picture, adjustments,
        state.live ? LIVE_PIXELS : undefined));
    }
    const crop = this.crop(photo);
    const cropName = crop ? JSON.stringify(crop) : '';
    for (const layer of crop ? [this.greyCrop, this.versionCrop] : []) {
      layer.moveTo(/** @type {number[]} */ (crop?.box), photo.width,
        photo.height);
    }
    this.greyCrop.show(crop ? `${sha256}:${kind}:${cropName}` : '',
      fetchFn({kind, ...crop}), CROP_DELAY_MS);
    this.versionCrop.show(
      crop && isSettled ? `${sha256}:${versionName}:${cropName}` : '',
      fetchFn({...asked, ...crop}), CROP_DELAY_MS);
  }

  /**
   * Returns the visible part, and the width at which it is requested: that on
   * the screen, or fewer pixels if the photograph has no more. Returns null if
   * the picture of the whole photograph has enough pixels for this part.
   * @param {import('./state.js').Photo} photo
   */
  crop({width, screen_width: rendered}) {
    const {base, scale, box} = this.stage;
    // Number of screen pixels along a side of a pixel of the photograph.
    const zoom = base * scale * devicePixelRatio;
    if (zoom * width < 1.2 * rendered || rendered === width) return null;
    return {box, width: Math.round(Math.min(1, zoom) * (box[2] - box[0]))};
  }
}
