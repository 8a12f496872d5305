// @ts-check
// Pins: spots of the photograph whose colours the user knows.

import {adjust, fromHex, nameOf, toHex} from './colors.js';
import {element, input, make, setAttributes, setText, showList} from './dom.js';
import {pinText} from './links.js';
import {recentColours, rememberColour} from './memory.js';
import * as requests from './requests.js';
import {insidePhoto} from './stage.js';
import {
  adjustmentsNow, attempt, counted, current, say, state, update,
} from './state.js';
import {shownVersion} from './versions.js';

/** @typedef {import('./work.js').Pin} Pin */
/** @typedef {import('./state.js').Swatch} Swatch */

const GREY = '#808080';
const SIZES = /** @type {const} */ (['S', 'M', 'L']);
const SIZE_KEY = 'pic_jax:size'; // key in the local storage
/** The largest number of samples that the colours of the dialog come from. */
const MAX_PALETTE_SAMPLES = 32;
/** Delay from the last arrow key until the move of a pin is applied. */
const MOVE_DELAY_MS = 700;

/** The pins, and the dialog that chooses the colour of a pin. */
export class Pins {
  /**
   * @param {import('./stage.js').Stage} stage
   * @param {import('./saving.js').WithPhotoId} withPhotoId
   * @param {(pins: Pin[]) => unknown} change called with the new list of pins
   */
  constructor(stage, withPhotoId, change) {
    this.stage = stage;
    this.withPhotoId = withPhotoId;
    /** @type {(pins: Pin[]) => unknown} */
    this.change = (pins) => {
      // Indices of pins may change, so a pending move might move another pin.
      clearTimeout(this.moveTimer);
      this.dragged = null;
      return change(pins);
    };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.moveTimer = undefined;
    /**
     * The pin that is being moved, and its position (u, v) on the photograph.
     * @type {{index: number, u: number, v: number} | null}
     */
    this.dragged = null;
    stage.onTap = (u, v) => this.add(u, v);
    stage.onMarkerTap = (marker) => this.openAt(
      Number(marker.dataset.key), marker);
    stage.onMarkerMoves = (marker, u, v, isDone) => this.drag(
      Number(marker.dataset.key), u, v, isDone);
    const on = (/** @type {string} */ id, /** @type {() => unknown} */ fn) => (
      element(id).addEventListener('click', () => attempt(fn)));
    on('chooser-close', () => this.close());
    on('unpin', () => this.remove());
    on('here', () => {
      const swatch = state.chooser?.palette?.here;
      if (swatch) return this.set(toHex(swatch.pin_rgb));
    });
    on('neutral', () => this.set(GREY));
    on('dropper', () => this.pick());
    input('picker').addEventListener('change', () => attempt(
      () => this.set(input('picker').value)));
    for (const size of SIZES) {
      input(`size-${size}`).addEventListener(
        'change', () => attempt(() => this.resize(size)));
    }
    element('chooser').addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      this.close();
    });
    element('crosshair').addEventListener('keydown', (event) => {
      if (event.key === 'Delete') attempt(() => this.removeNearest());
    });
    element('dropper').hidden = !('EyeDropper' in window);
  }

  /** Returns the position (u, v) of the centre of a pin's pixel. */
  positionOf(/** @type {Pin} */ {x, y}) {
    const {width, height} = current().photo;
    return /** @type {const} */ ([(x + 0.5) / width, (y + 0.5) / height]);
  }

  /**
   * Returns the pixel at a position on the photograph.
   * @type {(u: number, v: number) => {x: number, y: number}}
   */
  pixel(u, v) {
    const {width, height} = current().photo;
    return {x: Math.floor(u * width), y: Math.floor(v * height)};
  }

  /** The size of a new pin: the one that was chosen last. */
  get size() {
    const {pin_sizes: sizes, defaults} = current().model;
    try {
      const last = localStorage.getItem(SIZE_KEY) ?? '';
      return sizes.includes(last) ? last : defaults.pin_size;
    } catch {
      return defaults.pin_size;
    }
  }

  /**
   * Opens the dialog for a new pin.
   * @type {(u: number, v: number) => void}
   */
  add(u, v) {
    const {model, work} = current();
    if (!model.reads_pins) {
      say('This model reads no pins. `pic-jax models` lists models that do.');
      return;
    }
    if (state.chooser) { // a tap beside the dialog only closes it
      this.close();
      return;
    }
    const opener = /** @type {HTMLElement | null} */ (document.activeElement);
    const pin = {...this.pixel(u, v), color: '', size: this.size};
    this.open(work.pins.length, pin, opener === document.body
      ? element('crosshair') : opener);
  }

  /**
   * Opens the dialog for a pin, and asks the server which colours it may have.
   * @type {(index: number, pin: Pin, opener: HTMLElement | null) => void}
   */
  open(index, pin, opener) {
    update({chooser: {index, pin, palette: null, opener}});
    queueMicrotask(() => {
      this.renderChooser();
      this.placeChooser();
      element('chooser').focus();
    });
    attempt(() => this.ask());
  }

  /** Asks the server for the colours in the dialog. */
  async ask() {
    const chooser = state.chooser;
    if (!chooser) return;
    const {pin, index} = chooser;
    const {work} = current();
    const shown = shownVersion();
    const others = [...state.shown.values()].filter(
      (recipe) => recipe !== shown?.recipe).slice(0, MAX_PALETTE_SAMPLES - 1);
    const palette = await this.withPhotoId((id) => requests.palette(id, {
      x: pin.x,
      y: pin.y,
      pins: work.pins.filter((_, i) => i !== index),
      recipes: shown ? [shown.recipe, ...others] : others,
    }));
    if (state.chooser?.pin !== pin) return;
    update({chooser: {...chooser, palette}});
    queueMicrotask(() => {
      this.renderChooser();
      this.placeChooser();
      if (document.activeElement === element('chooser')) {
        /** @type {HTMLElement | null} */ (
          element('chooser').querySelector('.swatch'))?.focus();
      }
    });
  }

  /**
   * Moves a pin. Until `isDone`, only its marker moves.
   * @type {(index: number, u: number, v: number, isDone: boolean) => void}
   */
  drag(index, u, v, isDone) {
    this.dragged = isDone ? null : {index, u, v};
    const {work} = current();
    const pixel = this.pixel(u, v);
    const {chooser} = state;
    if (!isDone) {
      this.placeMarkers();
    } else if (chooser && index === chooser.index && !chooser.pin.color) {
      // The pin has no colour yet. At its new place, other colours are likely.
      update({chooser: {
        ...chooser, pin: {...chooser.pin, ...pixel}, palette: null}});
      attempt(() => this.ask());
    } else {
      this.close();
      attempt(() => this.change(
        work.pins.map((pin, i) => (i === index ? {...pin, ...pixel} : pin))));
    }
  }

  /**
   * Gives the pin of the dialog a colour, and closes the dialog.
   * @param {string} color
   */
  async set(color) {
    const {chooser} = state;
    if (!chooser) return;
    const {work} = current();
    const pins = [...work.pins];
    pins[chooser.index] = {...chooser.pin, color};
    rememberColour(color);
    update({chooser: null});
    queueMicrotask(() => this.focusOn(chooser.index));
    await this.change(pins);
  }

  /**
   * Gives the pin of the dialog a size.
   * @param {string} size
   */
  async resize(size) {
    const {chooser} = state;
    if (!chooser) return;
    try {
      localStorage.setItem(SIZE_KEY, size);
    } catch { /* the next pin will have the default size */ }
    const pin = {...chooser.pin, size};
    update({chooser: {...chooser, pin}});
    const {work} = current();
    if (!pin.color) return;
    await this.change(
      work.pins.map((other, i) => (i === chooser.index ? pin : other)));
  }

  /** Removes the pin of the dialog. */
  remove() {
    const {chooser} = state;
    if (!chooser) return undefined;
    if (!chooser.pin.color) {
      this.close();
      return undefined;
    }
    update({chooser: null});
    element('crosshair').focus();
    return this.change(
      current().work.pins.filter((_, i) => i !== chooser.index));
  }

  /** Removes the pin that is nearest to the crosshair. */
  removeNearest() {
    const {work} = current();
    const {u, v, width, height} = this.stage;
    const distances = work.pins.map(({x, y}) => Math.hypot(
      x - u * width, y - v * height));
    const index = distances.indexOf(Math.min(...distances));
    if (index < 0) return undefined;
    return this.change(work.pins.filter((_, i) => i !== index));
  }

  /** Closes the dialog, and restores the focus. */
  close() {
    const {chooser} = state;
    if (!chooser) return;
    const isInside = element('chooser').contains(document.activeElement);
    update({chooser: null});
    if (!isInside) return;
    queueMicrotask(() => {
      if (chooser.opener?.isConnected) chooser.opener.focus();
      else if (chooser.pin.color) this.focusOn(chooser.index);
      else element('crosshair').focus();
    });
  }

  /**
   * Moves the focus to the marker of a pin.
   * @param {number} index
   */
  focusOn(index) {
    this.render();
    const marker = /** @type {HTMLElement | null} */ (
      element('markers').querySelector(`[data-key="${index}"]`));
    (marker ?? element('crosshair')).focus();
  }

  /** Lets the user pick a colour from the screen. */
  async pick() {
    const Dropper = /** @type {any} */ (window).EyeDropper;
    const {sRGBHex} = await new Dropper().open();
    await this.set(sRGBHex.toLowerCase());
  }

  /** Shows the markers, the list of pins and the dialog. */
  render() {
    const {work, model} = current();
    const newPins = state.chooser && !state.chooser.pin.color
      ? [state.chooser.pin] : [];
    const pins = [...work.pins, ...newPins].map((pin, index) => ({pin, index}));
    showList(element('markers'), pins, ({index}) => String(index),
      ({index}) => this.makeMarker(index),
      (node, {pin, index}) => {
        node.style.backgroundColor = pin.color || 'transparent';
        node.classList.toggle('open', state.chooser?.index === index);
        node.dataset.size = pin.size;
        setAttributes(node, {'aria-label': describe(pin, index)});
      });
    this.placeMarkers();
    showList(element('pins-list'), pins.slice(0, work.pins.length),
      ({index}) => String(index),
      ({index}) => this.makeChip(index),
      (node, {pin, index}) => {
        node.style.backgroundColor = pin.color;
        setAttributes(node, {'aria-label': describe(pin, index)});
      });
    element('pins').hidden = !model.reads_pins;
    element('pins-none').hidden = work.pins.length > 0;
    for (const id of ['pins-save', 'pins-clear']) {
      input(id).disabled = !work.pins.length;
    }
    this.renderChooser();
  }

  /** Puts each marker where its pin is. */
  placeMarkers() {
    if (!state.photo || !state.work) return;
    const {work} = current();
    for (const child of element('markers').children) {
      const marker = /** @type {HTMLElement} */ (child);
      const index = Number(marker.dataset.key);
      const pin = work.pins[index] ?? state.chooser?.pin;
      if (!pin) continue;
      const {dragged} = this;
      const [u, v] = dragged?.index === index
        ? [dragged.u, dragged.v] : this.positionOf(pin);
      [marker.style.left, marker.style.top] = this.stage.toCss(u, v);
    }
  }

  /**
   * Makes the marker of a pin on the picture.
   * @param {number} index
   */
  makeMarker(index) {
    const marker = make('button', {class: 'pin'});
    // The stage handles pointers. This listener handles clicks that keys and
    // screen readers make, whose `detail` is 0.
    marker.addEventListener('click', (event) => {
      if (!event.detail) this.openAt(index, marker);
    });
    marker.addEventListener('keydown', (event) => {
      const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
        ArrowDown: [0, 1]}[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'Delete') {
        attempt(() => this.change(
          current().work.pins.filter((_, i) => i !== index)));
        if (!current().work.pins.length) element('crosshair').focus();
      } else if (move) {
        this.nudge(index, move, event.shiftKey ? 0.002 : 0.02);
      } else {
        return;
      }
      event.preventDefault();
    });
    return marker;
  }

  /**
   * Moves a pin in response to an arrow key. The step is a fraction of the width
   * or height of the visible part.
   * @type {(index: number, move: number[], step: number) => void}
   */
  nudge(index, [dx, dy], step) {
    if (this.dragged && this.dragged.index !== index) this.finishMove();
    const pin = current().work.pins[index];
    if (!pin) return;
    const [left, top, right, bottom] = this.stage.box;
    const {dragged} = this;
    const [u, v] = dragged?.index === index
      ? [dragged.u, dragged.v] : this.positionOf(pin);
    const {width, height} = this.stage;
    this.dragged = {
      index,
      u: insidePhoto(u + dx * step * (right - left) / width),
      v: insidePhoto(v + dy * step * (bottom - top) / height),
    };
    this.placeMarkers();
    clearTimeout(this.moveTimer);
    this.moveTimer = setTimeout(() => this.finishMove(), MOVE_DELAY_MS);
  }

  /** Applies the pending move of a pin. */
  finishMove() {
    const moved = this.dragged;
    if (moved) this.drag(moved.index, moved.u, moved.v, true);
  }

  /**
   * Makes the button of a pin in the list.
   * @param {number} index
   */
  makeChip(index) {
    const chip = make('button', {class: 'chip'});
    chip.addEventListener('click', () => this.openAt(index, chip));
    return chip;
  }

  /**
   * Opens the dialog for an existing pin.
   * @type {(index: number, opener: HTMLElement) => void}
   */
  openAt(index, opener) {
    const pin = current().work.pins[index];
    if (pin) this.open(index, pin, opener);
  }

  /** Shows the dialog. */
  renderChooser() {
    const {chooser} = state;
    const dialog = element('chooser');
    dialog.hidden = !chooser;
    if (!chooser) return;
    const {palette, pin} = chooser, {model} = current();
    element('sizes').hidden = !model.pin_sizes.length;
    const recent = recentColours().map(
      (hex) => ({rgb: fromHex(hex), pin_rgb: fromHex(hex)}));
    this.showSwatches('palette', palette?.likely ?? []);
    this.showSwatches('vivid', palette?.vivid ?? []);
    this.showSwatches('recent', recent);
    setText(element('palette-wait'), palette ? '' : 'Asking the model …');
    element('vivid-title').hidden = !palette?.vivid.length;
    element('recent-title').hidden = !recent.length;
    input('here').disabled = !palette?.here;
    element('here-color').style.backgroundColor = palette?.here
      ? onScreen(palette.here.rgb) : 'transparent';
    element('unpin').hidden = !pin.color;
    const likely = palette?.likely[0];
    input('picker').value = pin.color || (likely ? toHex(likely.pin_rgb) : GREY);
    for (const size of SIZES) {
      input(`size-${size}`).checked = (
        pin.size || model.defaults.pin_size) === size;
    }
  }

  /**
   * Shows swatches as buttons in an element of the dialog.
   * @type {(id: string, swatches: Swatch[]) => void}
   */
  showSwatches(id, swatches) {
    showList(element(id), swatches, ({rgb, pin_rgb}) => toHex([...rgb, ...pin_rgb]),
      ({pin_rgb}) => {
        const color = toHex(pin_rgb);
        const swatch = make('button', {class: 'swatch', 'data-color': color});
        swatch.addEventListener('click', () => attempt(() => this.set(color)));
        return swatch;
      },
      (node, {rgb, pin_rgb: pinRgb, share}) => {
        const appearance = onScreen(rgb);
        const name = nameOf(onScreen(pinRgb));
        // The corner shows the colour of the pin, because at a dark spot all
        // swatches look alike.
        node.style.background = 'linear-gradient(135deg, '
          + `${onScreen(pinRgb)} 22%, ${appearance} 22%)`;
        const percent = share === undefined ? '' : `${Math.round(100 * share)} %`;
        setAttributes(node, {
          'aria-label': percent ? `${name}, ${percent} likely` : name,
          'title': name,
        });
        if (percent && !node.firstChild) node.append(make('span'));
        if (node.firstChild) setText(node.firstChild, percent);
      });
  }

  /**
   * Puts the dialog beside its spot and inside the window. On a phone, the
   * style sheet puts it at the lower edge.
   */
  placeChooser() {
    if (!state.chooser) return;
    const dialog = element('chooser');
    const marker = element('markers').querySelector(
      `[data-key="${state.chooser.index}"]`);
    if (!marker) return;
    const spot = marker.getBoundingClientRect();
    const {offsetWidth: width, offsetHeight: height} = dialog;
    const left = spot.right + 10 + width < innerWidth
      ? spot.right + 10 : spot.left - 10 - width;
    const top = Math.min(spot.top - 20, innerHeight - height - 10);
    dialog.style.left = `${Math.max(10, left)}px`;
    dialog.style.top = `${Math.max(10, top)}px`;
  }

  /** Returns the pins as a file of hints that `pic-jax` can read. */
  toCsv() {
    return `${current().work.pins.map(pinText).join('\n')}\n`;
  }

  /**
   * Replaces all pins with those in a file of hints.
   * @param {File} file
   */
  async load(file) {
    const {pins, notes} = await this.withPhotoId(
      (id) => requests.readPins(id, file));
    const redrawn = this.change(pins);
    say([`${file.name}: ${counted(pins.length, 'pin')}.`, ...notes].join(' '));
    await redrawn;
  }
}

/**
 * Applies the current adjustments to a colour and returns it as '#rrggbb'.
 * @param {number[]} rgb
 */
function onScreen(rgb) {
  const pixel = new Uint8ClampedArray([...rgb, 255]);
  adjust(pixel, adjustmentsNow());
  return toHex([...pixel.slice(0, 3)]);
}

/**
 * Describes a pin for screen readers.
 * @type {(pin: Pin, index: number) => string}
 */
const describe = ({x, y, color, size}, index) => [
  `Pin ${index + 1}`, color ? nameOf(color) : 'without a colour',
  `at ${x}, ${y}`, size && `size ${size}`].filter(Boolean).join(', ');
