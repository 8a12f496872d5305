// The large view: before and after with a divider between them, zoom and pan.

const MAX_SCALE = 8;
const TAP_PIXELS = 6; // a pointer that moves less has tapped

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const element = (id) => document.getElementById(id);

export class Stage {
  // `onZoom` is called when the scale has changed. `onTap` and `onMarkerMoved`,
  // which others set, get a place as shares of width and height.
  constructor({onZoom}) {
    this.root = element('stage');
    this.sheet = element('sheet');
    this.divider = element('divider');
    this.onZoom = onZoom;
    this.onTap = this.onMarkerTap = this.onMarkerMoved = () => {};
    this.markers = new Map(); // places by elements
    this.width = this.height = 1;
    this.share = 0.2;
    this.pointers = new Map();
    this.reset();
    new ResizeObserver(() => this.place()).observe(this.root);
    this.listen();
  }

  reset() {
    this.scale = 1;
    this.x = this.y = 0;
  }

  // Begins anew with a photograph of this size.
  begin(width, height) {
    [this.width, this.height] = [width, height];
    this.root.style.aspectRatio = `${width} / ${height}`;
    this.reset();
    this.place();
  }

  // Pixels of the screen for each of the photograph, not zoomed.
  get base() {
    const {clientWidth, clientHeight} = this.root;
    return Math.min(clientWidth / this.width, clientHeight / this.height);
  }

  place() {
    const {clientWidth, clientHeight} = this.root;
    const width = this.width * this.base, height = this.height * this.base;
    // A side that fits is centred; of one that does not, no edge comes in.
    const within = (offset, side, room) => (
      side <= room ? (room - side) / 2 : clamp(offset, room - side, 0));
    this.x = within(this.x, width * this.scale, clientWidth);
    this.y = within(this.y, height * this.scale, clientHeight);
    Object.assign(this.sheet.style, {
      width: `${width}px`,
      height: `${height}px`,
      transform: `translate(${this.x}px, ${this.y}px) scale(${this.scale})`,
    });
    for (const [marker, [u, v]] of this.markers) {
      marker.style.left = `${this.x + u * width * this.scale}px`;
      marker.style.top = `${this.y + v * height * this.scale}px`;
    }
    const [left, right] = this.visible();
    const middle = left + this.share * (right - left);
    this.divider.style.left = `${middle}px`;
    this.divider.setAttribute('aria-valuenow', Math.round(100 * this.share));
    const hidden = clamp((middle - this.x) / this.scale, 0, width);
    element('after').style.clipPath = `inset(0 0 0 ${hidden}px)`;
    this.root.classList.toggle('zoomed', this.scale > 1);
    element('zoom-level').value = `${Math.round(100 * this.scale)} %`;
  }

  addMarker(marker, u, v) {
    this.root.append(marker);
    this.moveMarker(marker, u, v);
  }

  moveMarker(marker, u, v) {
    this.markers.set(marker, [u, v]);
    this.place();
  }

  removeMarker(marker) {
    this.markers.delete(marker);
    marker.remove();
  }

  // The part of the stage, from left to right, that the picture covers.
  visible() {
    const end = this.x + this.width * this.base * this.scale;
    return [Math.max(0, this.x), Math.min(this.root.clientWidth, end)];
  }

  slideTo(x) {
    const [left, right] = this.visible();
    this.share = clamp((x - left) / (right - left), 0, 1);
    this.place();
  }

  // Zooms so that what is at (x, y) of the stage stays there.
  zoomBy(factor, x, y) {
    const scale = clamp(this.scale * factor, 1, MAX_SCALE);
    this.x = x - (x - this.x) * (scale / this.scale);
    this.y = y - (y - this.y) * (scale / this.scale);
    this.scale = scale;
    this.place();
    this.onZoom();
  }

  zoomCentre(factor) {
    this.zoomBy(factor, this.root.clientWidth / 2, this.root.clientHeight / 2);
  }

  // A pointer's place on the stage.
  at(event) {
    const box = this.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // A pointer's place on the photograph, as shares of its sides.
  on(event) {
    const [x, y] = this.at(event);
    const side = this.base * this.scale;
    return [
      (x - this.x) / (side * this.width),
      (y - this.y) / (side * this.height),
    ];
  }

  listen() {
    const {root} = this;
    root.addEventListener('pointerdown', (event) => this.press(event));
    root.addEventListener('pointermove', (event) => this.move(event));
    root.addEventListener('pointerup', (event) => this.release(event));
    root.addEventListener(
      'pointercancel', (event) => this.pointers.delete(event.pointerId));
    root.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 300), ...this.at(event));
    }, {passive: false});
    this.divider.addEventListener('keydown', (event) => {
      const step = {ArrowLeft: -0.05, ArrowRight: 0.05}[event.key];
      if (!step) return;
      event.preventDefault();
      this.share = clamp(this.share + step, 0, 1);
      this.place();
    });
    element('zoom-in').addEventListener('click', () => this.zoomCentre(1.5));
    element('zoom-out').addEventListener(
      'click', () => this.zoomCentre(1 / 1.5));
  }

  press(event) {
    if (event.button || event.target.closest('#zoom')) return;
    this.root.setPointerCapture(event.pointerId);
    const [start, now] = [this.at(event), this.at(event)];
    const slides = event.target.closest('#divider') !== null;
    const marker = event.target.closest('.pin');
    this.pointers.set(event.pointerId, {start, now, slides, marker});
    this.hasMoved = this.pointers.size > 1 || slides;
  }

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
    this.hasMoved ||= Math.hypot(dx, dy) > TAP_PIXELS;
    if (!this.hasMoved) return;
    if (pointer.marker) {
      this.moveMarker(pointer.marker, ...this.on(event).map(
        (share) => clamp(share, 0, 0.999999)));
    } else if (pointer.slides || this.scale === 1) {
      this.slideTo(pointer.now[0]);
    } else {
      this.x += pointer.now[0] - before[0];
      this.y += pointer.now[1] - before[1];
      this.place();
    }
  }

  pinch(moved, before) {
    const [other] = [...this.pointers.values()].filter((p) => p !== moved);
    const distance = ([x, y]) => Math.hypot(x - other.now[0], y - other.now[1]);
    const middle = [0, 1].map((i) => (moved.now[i] + other.now[i]) / 2);
    this.x += (moved.now[0] - before[0]) / 2;
    this.y += (moved.now[1] - before[1]) / 2;
    this.zoomBy(distance(moved.now) / Math.max(1, distance(before)), ...middle);
  }

  release(event) {
    const pointer = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (pointer?.marker) {
      const {marker} = pointer;
      if (this.hasMoved) {
        this.onMarkerMoved(marker, ...this.markers.get(marker));
      } else {
        this.onMarkerTap(marker);
      }
    } else if (pointer && !this.hasMoved) {
      const [u, v] = this.on(event);
      if (u >= 0 && u < 1 && v >= 0 && v < 1) this.onTap(u, v);
    }
  }
}
