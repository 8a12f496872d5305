// Pins: spots of the photograph whose colours a person knows.

import * as requests from './requests.js';
import {attempt, element, page, say} from './state.js';

const asText = ({x, y, colour}) => `${x},${y},${colour}`;
const hex = (rgb) => `#${rgb.map(
  (level) => level.toString(16).padStart(2, '0')).join('')}`;

export class Pins {
  // `about` asks the server about the photograph, `recipes` are of the versions
  // that are shown, `onChange` is called when other pins hold.
  constructor({stage, about, recipes, onChange}) {
    Object.assign(this, {stage, about, recipes, onChange});
    this.list = []; // {x, y, colour, marker}
    this.open = null; // the one whose colour is being chosen
    stage.onTap = (u, v) => this.add(u, v);
    stage.onMarkerTap = (marker) => this.choose(this.of(marker));
    stage.onMarkerMoved = (marker, u, v) => this.move(this.of(marker), u, v);
    const on = (id, event, fn) => element(id).addEventListener(
      event, () => attempt(fn));
    on('chooser-close', 'click', () => this.close());
    on('unpin', 'click', () => this.remove(this.open));
    on('picker', 'change', () => this.set(element('picker').value));
    on('pins-clear', 'click', () => this.replace([]));
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
    });
  }

  // As recipes have them.
  get points() {
    return this.held.map(({x, y, colour}) => [x, y, colour]);
  }

  // All but the one that has no colour yet.
  get held() {
    return this.list.filter((pin) => pin.colour);
  }

  of(marker) {
    return this.list.find((pin) => pin.marker === marker);
  }

  // Puts these points [x, y, colour] in place of all.
  replace(points, isNews = true) {
    this.open = null;
    this.list.forEach((pin) => this.stage.removeMarker(pin.marker));
    this.list = points.map(([x, y, colour]) => this.make(x, y, colour));
    this.show();
    return isNews ? this.onChange() : undefined;
  }

  make(x, y, colour) {
    const marker = document.createElement('button');
    marker.className = 'pin';
    const pin = {x, y, colour, marker};
    marker.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') this.choose(pin);
    });
    this.stage.addMarker(marker, ...this.place(pin));
    return pin;
  }

  // The middle of a pin's pixel, as shares of the sides.
  place({x, y}) {
    return [(x + 0.5) / page.photo.width, (y + 0.5) / page.photo.height];
  }

  pixel(u, v) {
    const {width, height} = page.photo;
    return {x: Math.floor(u * width), y: Math.floor(v * height)};
  }

  add(u, v) {
    if (!page.model.reads_pins) return;
    const wasOpen = this.open;
    this.close();
    if (wasOpen) return; // a tap beside the chooser only closes it
    const {x, y} = this.pixel(u, v);
    const pin = this.make(x, y, null);
    this.list.push(pin);
    this.choose(pin);
  }

  async move(pin, u, v) {
    Object.assign(pin, this.pixel(u, v));
    this.close();
    this.show();
    await this.onChange();
  }

  remove(pin) {
    const held = this.held.filter((other) => other !== pin);
    return this.replace(
      held.map(({x, y, colour}) => [x, y, colour]), pin.colour !== null);
  }

  set(colour) {
    const pin = this.open;
    this.open = null;
    pin.colour = colour;
    this.show();
    return this.onChange();
  }

  close() {
    const pin = this.open;
    this.open = null;
    if (pin && !pin.colour) {
      this.stage.removeMarker(pin.marker);
      this.list = this.list.filter((other) => other !== pin);
    }
    this.show();
  }

  // Opens the chooser, and fills it with what is likely there.
  choose(pin) {
    if (this.open && this.open !== pin) this.close();
    this.open = pin;
    element('palette').replaceChildren();
    element('picker').value = pin.colour ?? '#808080';
    element('unpin').hidden = !pin.colour;
    this.show();
    attempt(async () => {
      const others = this.held.filter((other) => other !== pin);
      const colours = await this.about((id) => requests.palette(id, {
        x: pin.x,
        y: pin.y,
        pins: others.map(({x, y, colour}) => [x, y, colour]),
        recipes: this.recipes(),
      }));
      if (this.open === pin) this.offer(colours);
    });
  }

  offer(colours) {
    element('palette').replaceChildren(...colours.map(({rgb, share}) => {
      const swatch = document.createElement('button');
      const colour = hex(rgb);
      swatch.className = 'swatch';
      swatch.style.backgroundColor = colour;
      swatch.ariaLabel = `${colour}, ${Math.round(100 * share)} %`;
      swatch.dataset.colour = colour;
      const label = document.createElement('span');
      label.textContent = `${Math.round(100 * share)} %`;
      swatch.append(label);
      swatch.addEventListener('click', () => attempt(() => this.set(colour)));
      return swatch;
    }));
    element('picker').value = this.open.colour ?? hex(colours[0].rgb);
    this.placeChooser();
  }

  show() {
    for (const pin of this.list) {
      pin.marker.style.backgroundColor = pin.colour ?? 'transparent';
      pin.marker.classList.toggle('open', pin === this.open);
      pin.marker.ariaLabel = `Pin at ${pin.x}, ${pin.y}`;
      this.stage.moveMarker(pin.marker, ...this.place(pin));
    }
    element('pins-none').hidden = this.held.length > 0;
    element('pins-list').replaceChildren(...this.held.map((pin) => {
      const chip = document.createElement('button');
      chip.className = 'chip';
      chip.style.backgroundColor = pin.colour;
      chip.ariaLabel = `Pin at ${pin.x}, ${pin.y}, ${pin.colour}`;
      chip.addEventListener('click', () => this.choose(pin));
      return chip;
    }));
    for (const id of ['pins-save', 'pins-clear']) {
      element(id).disabled = !this.held.length;
    }
    element('chooser').hidden = !this.open;
    this.placeChooser();
  }

  // Beside its spot, inside the window; on a phone at the lower edge (CSS).
  placeChooser() {
    if (!this.open) return;
    const chooser = element('chooser');
    const spot = this.open.marker.getBoundingClientRect();
    const {offsetWidth: width, offsetHeight: height} = chooser;
    const left = spot.right + 10 + width < innerWidth
      ? spot.right + 10 : spot.left - 10 - width;
    const top = Math.min(spot.top - 20, innerHeight - height - 10);
    chooser.style.left = `${Math.max(10, left)}px`;
    chooser.style.top = `${Math.max(10, top)}px`;
  }

  // The file that the command line reads.
  toCsv() {
    return `${this.held.map(asText).join('\n')}\n`;
  }

  async load(file) {
    const points = [];
    const lines = (await file.text()).split(/\r?\n/);
    lines.forEach((line, index) => {
      if (!line.trim() || line.startsWith('#')) return;
      const [x, y, ...colour] = line.split(',').map((cell) => cell.trim());
      const rgb = colour.length === 3 ? hex(colour.map(Number)) : colour[0];
      const place = [x, y].map((side) => Math.floor(Number(side)));
      const isPin = /^#[0-9a-f]{6}$/i.test(rgb) && place.every(Number.isFinite);
      if (!isPin) {
        throw new Error(`${file.name}, line ${index + 1}: must be x,y,#rrggbb`);
      }
      points.push([...place, rgb.toLowerCase()]);
    });
    const {width, height} = page.photo;
    const isOutside = ([x, y]) => x < 0 || y < 0 || x >= width || y >= height;
    if (points.some(isOutside)) {
      throw new Error(`${file.name}: a pin lies outside this photograph.`);
    }
    await this.replace(points);
    say(`${points.length} pins.`);
  }
}
