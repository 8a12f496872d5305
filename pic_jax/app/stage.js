// @ts-check
// The large view: before and after with a divider between them, zoom and pan,
// and a crosshair for users without a pointing device.

import {element, setText} from './dom.js';

const MAX_SCALE = 8;
/** The largest movement of a tap, in CSS pixels. A longer one is a drag. */
const TAP_PIXELS = 6;
/** Steps of the crosshair, as fractions of the sides of the visible part. */
const STEP = 0.02, FINE_STEP = 0.002;

/** @type {(x: number, low: number, high: number) => number} */
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/**
 * Moves a coordinate into the photograph. The result is less than 1, because 1
 * would lie beyond the last pixel.
 * @param {number} coordinate u or v
 */
export const insidePhoto = (coordinate) => clamp(coordinate, 0, 0.999999);

/**
 * A pressed pointer: where it was pressed and where it is now, on the stage;
 * whether it moves the divider; and the marker of the pin that it moves, with
 * the pin's new position (u, v).
 * @typedef {{start: number[], now: number[], isTouch: boolean,
 *   slides: boolean, marker: HTMLElement | null, position?: number[]}} Pointer
 */

/**
 * The large view. Positions (u, v) on the photograph are fractions of its width
 * and height, and positions (x, y) on the stage are in pixels.
 */
export class Stage {
  constructor() {
    this.root = element('stage');
    this.sheet = element('sheet');
    this.divider = element('divider');
    this.cross = element('crosshair');
    // Callbacks, which other modules set: the picture was moved or zoomed; a
    // spot of the photograph was tapped; a pin's marker was tapped, or moved.
    this.onPlace = () => {};
    this.onTap = (/** @type {number} */ u, /** @type {number} */ v) => {};
    this.onMarkerTap = (/** @type {HTMLElement} */ marker) => {};
    this.onMarkerMoves = (/** @type {HTMLElement} */ marker,
      /** @type {number} */ u, /** @type {number} */ v,
      /** @type {boolean} */ isDone) => {};
    this.width = this.height = 1;
    // Share of the visible picture on the left-hand side of the divider.
    this.share = 0.2;
    /** @type {Map<number, Pointer>} */
    this.pointers = new Map();
    this.isDrag = false;
    this.u = this.v = 0.5; // the crosshair's position
    this.scale = 1;
    this.x = this.y = 0; // the picture's upper left corner on the stage
    new ResizeObserver(() => this.place()).observe(this.root);
    this.listen();
    this.listenToKeys();
  }

  /** Shows the whole photograph. */
  reset() {
    this.scale = 1;
    this.x = this.y = 0;
  }

  /**
   * Shows another photograph, of this size in pixels.
   * @type {(width: number, height: number) => void}
   */
  begin(width, height) {
    [this.width, this.height] = [width, height];
    this.root.style.aspectRatio = `${width} / ${height}`;
    this.u = this.v = 0.5;
    this.reset();
    this.place();
  }

  /** The side of a pixel of the photograph at scale 1, in CSS pixels. */
  get base() {
    const {clientWidth, clientHeight} = this.root;
    return Math.min(clientWidth / this.width, clientHeight / this.height);
  }

  /** The visible part: left, top, right, bottom in pixels of the photograph. */
  get box() {
    const pixel = this.base * this.scale;
    const {clientWidth, clientHeight} = this.root;
    return [
      clamp(Math.floor(-this.x / pixel), 0, this.width - 1),
      clamp(Math.floor(-this.y / pixel), 0, this.height - 1),
      clamp(Math.ceil((clientWidth - this.x) / pixel), 1, this.width),
      clamp(Math.ceil((clientHeight - this.y) / pixel), 1, this.height),
    ];
  }

  /** Puts the picture, the divider and the crosshair where they belong. */
  place() {
    const {clientWidth, clientHeight} = this.root;
    const width = this.width * this.base, height = this.height * this.base;
    // A side that fits into the stage is centred. A longer side covers the
    // stage from edge to edge.
    /** @type {(offset: number, side: number, room: number) => number} */
    const within = (offset, side, room) => (
      side <= room ? (room - side) / 2 : clamp(offset, room - side, 0));
    this.x = within(this.x, width * this.scale, clientWidth);
    this.y = within(this.y, height * this.scale, clientHeight);
    Object.assign(this.sheet.style, {
      width: `${width}px`,
      height: `${height}px`,
      transform: `translate(${this.x}px, ${this.y}px) scale(${this.scale})`,
    });
    const [left, right] = this.visible();
    const middle = left + this.share * (right - left);
    this.divider.style.left = `${middle}px`;
    const percent = Math.round(100 * this.share);
    this.divider.setAttribute('aria-valuenow', String(percent));
    this.divider.setAttribute('aria-valuetext', `${percent} % without colours`);
    const hiddenWidth = clamp((middle - this.x) / this.scale, 0, width);
    element('after').style.clipPath = `inset(0 0 0 ${hiddenWidth}px)`;
    this.root.classList.toggle('zoomed', this.scale > 1);
    setText(element('zoom-level'), `${Math.round(100 * this.scale)} %`);
    const cross = /** @type {HTMLElement} */ (this.cross.firstElementChild);
    [cross.style.left, cross.style.top] = this.toCss(this.u, this.v);
    this.onPlace();
  }

  /**
   * Returns the CSS position on the stage of a spot of the photograph.
   * @type {(u: number, v: number) => [string, string]}
   */
  toCss(u, v) {
    const pixel = this.base * this.scale;
    return [`${this.x + u * this.width * pixel}px`,
      `${this.y + v * this.height * pixel}px`];
  }

  /** Returns the left and right edge, on the stage, of the visible part. */
  visible() {
    const end = this.x + this.width * this.base * this.scale;
    return [Math.max(0, this.x), Math.min(this.root.clientWidth, end)];
  }

  /**
   * Moves the divider.
   * @param {number} x on the stage
   */
  slideTo(x) {
    const [left, right] = this.visible();
    this.share = clamp((x - left) / (right - left), 0, 1);
    this.place();
  }

  /**
   * Zooms around the point (x, y) of the stage.
   * @type {(factor: number, x: number, y: number) => void}
   */
  zoomBy(factor, x, y) {
    const scale = clamp(this.scale * factor, 1, MAX_SCALE);
    this.x = x - (x - this.x) * (scale / this.scale);
    this.y = y - (y - this.y) * (scale / this.scale);
    this.scale = scale;
    this.place();
  }

  /**
   * Zooms around the centre of the stage.
   * @param {number} factor
   */
  zoomCentre(factor) {
    this.zoomBy(factor, this.root.clientWidth / 2, this.root.clientHeight / 2);
  }

  /**
   * Returns a pointer's position on the stage.
   * @param {{clientX: number, clientY: number}} event
   */
  at(event) {
    const box = this.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /**
   * Returns a pointer's position (u, v) on the photograph.
   * @param {{clientX: number, clientY: number}} event
   */
  photoPosition(event) {
    const [x, y] = this.at(event);
    const pixel = this.base * this.scale;
    return [(x - this.x) / (pixel * this.width),
      (y - this.y) / (pixel * this.height)];
  }

  /** Listens to pointers, the wheel and the zoom buttons. */
  listen() {
    const {root} = this;
    root.addEventListener('pointerdown', (event) => this.press(event));
    root.addEventListener('pointermove', (event) => this.move(event));
    root.addEventListener('pointerup', (event) => this.release(event));
    root.addEventListener('pointercancel', (event) => this.cancel(event));
    root.addEventListener('wheel', (event) => {
      // At scale 1 the wheel scrolls the page, unless Ctrl is pressed.
      if (!event.ctrlKey && !event.metaKey && this.scale === 1) return;
      event.preventDefault();
      const [x, y] = this.at(event);
      this.zoomBy(Math.exp(-event.deltaY / 300), x, y);
    }, {passive: false});
    element('zoom-in').addEventListener('click', () => this.zoomCentre(1.5));
    element('zoom-out').addEventListener(
      'click', () => this.zoomCentre(1 / 1.5));
  }

  /** Listens to keys on the divider and on the crosshair. */
  listenToKeys() {
    this.divider.addEventListener('keydown', (event) => {
      const step = {ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1}[
        event.key];
      if (!step) return;
      event.preventDefault();
      this.share = clamp(this.share + step, 0, 1);
      this.place();
    });
    this.cross.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
        ArrowDown: [0, 1]}[event.key];
      const factor = {'+': 1.5, '=': 1.5, '-': 1 / 1.5}[event.key];
      if (event.key === 'Enter' || event.key === ' ') {
        this.onTap(this.u, this.v);
      } else if (factor) {
        this.zoomCentre(factor);
      } else if (move) {
        this.moveCross(move, event.shiftKey ? FINE_STEP : STEP);
      } else {
        return;
      }
      event.preventDefault();
    });
  }

  /**
   * Moves the crosshair, and announces its position in pixels.
   * @type {([dx, dy]: number[], step: number) => void}
   */
  moveCross([dx, dy], step) {
    const [left, top, right, bottom] = this.box;
    this.u = insidePhoto(this.u + dx * step * (right - left) / this.width);
    this.v = insidePhoto(this.v + dy * step * (bottom - top) / this.height);
    this.reveal();
    const x = Math.floor(this.u * this.width);
    const y = Math.floor(this.v * this.height);
    setText(element('whereabouts'), `${x}, ${y}`);
  }

  /** Moves the picture until the crosshair is visible. */
  reveal() {
    const pixel = this.base * this.scale;
    const x = this.x + this.u * this.width * pixel;
    const y = this.y + this.v * this.height * pixel;
    this.x += clamp(x, 0, this.root.clientWidth) - x;
    this.y += clamp(y, 0, this.root.clientHeight) - y;
    this.place();
  }

  /**
   * Begins a tap, a drag or a pinch.
   * @param {PointerEvent} event
   */
  press(event) {
    const target = /** @type {Element} */ (event.target);
    if (event.button || target.closest('#zoom')) return;
    this.root.setPointerCapture(event.pointerId);
    const slides = target.closest('#divider') !== null;
    this.pointers.set(event.pointerId, {
      start: this.at(event),
      now: this.at(event),
      isTouch: event.pointerType === 'touch',
      slides,
      marker: target.closest('.pin'),
    });
    this.isDrag = this.pointers.size > 1 || slides;
  }

  /**
   * Moves a pin, the divider or the picture.
   * @param {PointerEvent} event
   */
  move(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const before = pointer.now;
    pointer.now = this.at(event);
    if (this.pointers.size === 2) {
      this.pinch(pointer, before);
      return;
    }
    const [dx, dy] = [0, 1].map((i) => pointer.now[i] - pointer.start[i]);
    this.isDrag ||= Math.hypot(dx, dy) > TAP_PIXELS;
    if (!this.isDrag) return;
    if (pointer.marker) {
      const [u, v] = this.photoPosition(event).map(insidePhoto);
      pointer.position = [u, v];
      this.onMarkerMoves(pointer.marker, u, v, false);
    } else if (pointer.slides) {
      this.slideTo(pointer.now[0]);
    } else if (this.scale === 1) {
      // A finger scrolls the page (CSS `touch-action`). A mouse or a pen moves
      // the divider.
      if (!pointer.isTouch) this.slideTo(pointer.now[0]);
    } else {
      this.x += pointer.now[0] - before[0];
      this.y += pointer.now[1] - before[1];
      this.place();
    }
  }

  /**
   * Zooms and moves the picture with two fingers.
   * @type {(moved: Pointer, before: number[]) => void}
   */
  pinch(moved, before) {
    const [other] = [...this.pointers.values()].filter((p) => p !== moved);
    const distance = (/** @type {number[]} */ [x, y]) => Math.hypot(
      x - other.now[0], y - other.now[1]);
    const [x, y] = [0, 1].map((i) => (moved.now[i] + other.now[i]) / 2);
    this.x += (moved.now[0] - before[0]) / 2;
    this.y += (moved.now[1] - before[1]) / 2;
    this.zoomBy(distance(moved.now) / Math.max(1, distance(before)), x, y);
  }

  /**
   * Ends a drag that the browser takes over. A pin stays where it was dragged.
   * @param {PointerEvent} event
   */
  cancel(event) {
    const pointer = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!pointer?.marker || !pointer.position) return;
    const [u, v] = pointer.position;
    this.onMarkerMoves(pointer.marker, u, v, true);
  }

  /**
   * Ends a drag, or reports a tap.
   * @param {PointerEvent} event
   */
  release(event) {
    const pointer = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!pointer) return;
    const [u, v] = this.photoPosition(event);
    if (pointer.marker) {
      if (this.isDrag) {
        this.onMarkerMoves(
          pointer.marker, insidePhoto(u), insidePhoto(v), true);
      } else {
        this.onMarkerTap(pointer.marker);
      }
    } else if (!this.isDrag && u >= 0 && u < 1 && v >= 0 && v < 1) {
      [this.u, this.v] = [u, v];
      this.place();
      this.onTap(u, v);
    }
  }
}
