// The versions of a photograph: drawing them, showing them, choosing one.

import * as requests from './requests.js';
import {attempt, element, page} from './state.js';

const MAX_ASKED = 64; // versions of one request

const asked = (cards) => ({
  recipes: cards.map((card) => card.recipe),
  saturation: page.saturation,
});

// Names the picture that a version should have.
const pictureOf = (card) => JSON.stringify([card.recipe, page.saturation]);
const isWaiting = (card) => card.picture !== pictureOf(card);

export class Versions {
  // `about` asks the server about the photograph; `onShow` is told the chosen
  // version whenever something has changed.
  constructor(about, onShow) {
    this.about = about;
    this.onShow = onShow;
    this.clear();
    element('order').addEventListener('change', () => attempt(
      () => this.sort()));
  }

  clear() {
    this.drawing?.abort();
    // `recipe` is of the version that is wanted; `shown`, a recipe with its
    // saturation, of the picture that is there.
    this.cards = []; // {recipe, kept, picture, shown, url, bits, item}
    this.chosen = null;
    this.next = 0; // number of the sample that was never drawn
  }

  // A version of a sample that is drawn by the settings of the page.
  recipe(sample) {
    const {seed, temperature, pins} = page;
    return {seed, sample, temperature, pins};
  }

  // Number of a sample that no version has, nor had.
  unused() {
    const isUsed = (card) => card.recipe.sample === this.next;
    while (this.cards.some(isUsed)) this.next++;
    return this.next++;
  }

  add(count) {
    for (let i = 0; i < count; i++) {
      this.cards.push({recipe: this.recipe(this.unused()), kept: false});
    }
  }

  // Puts other samples in place of all that are not kept.
  renew() {
    this.change(() => this.recipe(this.unused()));
  }

  // Draws the same samples by new settings.
  redo() {
    this.change((card) => this.recipe(card.recipe.sample));
  }

  change(recipeOf) {
    for (const card of this.cards) {
      if (!card.kept) card.recipe = recipeOf(card);
    }
  }

  // Draws every version whose picture is not what it should be.
  async draw() {
    this.drawing?.abort();
    const drawing = this.drawing = new AbortController();
    const cards = this.cards.filter(isWaiting);
    let count = 0;
    this.show();
    try {
      progress(0, cards.length);
      while (count < cards.length) {
        await this.about(async (id) => {
          const rest = cards.slice(count, count + MAX_ASKED);
          const lines = requests.draw(id, asked(rest), drawing.signal);
          for await (const line of lines) {
            this.receive(cards[count++], line);
            progress(count, cards.length);
          }
        });
      }
      await this.sort();
    } finally {
      if (this.drawing === drawing) progress(1, 1);
    }
  }

  receive(card, line) {
    card.picture = pictureOf(card);
    card.shown = {...card.recipe, saturation: page.saturation};
    card.url = `data:image/jpeg;base64,${line.picture}`;
    card.bits = line.bits_per_dim;
    this.chosen ??= card;
    this.show();
  }

  async sort() {
    const by = element('order').value;
    const cards = this.cards.filter((card) => card.url);
    if (by === 'drawn') {
      cards.sort((a, b) => a.recipe.sample - b.recipe.sample);
    } else if (by === 'probable') {
      cards.sort((a, b) => a.bits - b.bits);
    } else if (cards.length) {
      const some = cards.slice(0, MAX_ASKED);
      const order = await this.about((id) => requests.order(id, asked(some)));
      cards.splice(0, some.length, ...order.map((index) => some[index]));
    }
    const waiting = this.cards.filter((card) => !cards.includes(card));
    this.cards = [...cards, ...waiting];
    this.show();
  }

  choose(card) {
    this.chosen = card;
    this.show();
  }

  step(by) {
    const index = this.cards.indexOf(this.chosen) + by;
    if (this.cards[index]?.url) this.choose(this.cards[index]);
  }

  show() {
    const {width, height} = page.photo;
    for (const card of this.cards) {
      card.item ??= this.makeItem(card);
      const find = (what) => card.item.querySelector(what);
      const [image, keep] = [find('img'), find('.keep')];
      card.item.classList.toggle('chosen', card === this.chosen);
      card.item.classList.toggle('waiting', isWaiting(card));
      find('.pick').style.aspectRatio = `${width} / ${height}`;
      find('.pick').ariaLabel = `Version ${card.recipe.sample}`;
      image.hidden = !card.url;
      if (card.url && image.src !== card.url) image.src = card.url;
      find('b').textContent = `#${card.recipe.sample}`;
      find('.bits').textContent = (
        card.bits == null ? '' : `${card.bits.toFixed(2)} bits/dim`);
      keep.ariaPressed = card.kept;
      keep.textContent = card.kept ? '★' : '☆';
      keep.title = keep.ariaLabel = (
        card.kept ? 'Kept when others are drawn' : 'Keep this version');
    }
    element('samples').replaceChildren(...this.cards.map((card) => card.item));
    this.onShow(this.chosen);
  }

  makeItem(card) {
    const item = document.createElement('li');
    item.className = 'sample';
    item.innerHTML = `
      <button class="pick"><img alt="" draggable="false"></button>
      <b></b>
      <button class="keep"></button>
      <span class="bits" title="Less is more probable, by the model"></span>`;
    item.querySelector('.pick').addEventListener(
      'click', () => this.choose(card));
    item.querySelector('.keep').addEventListener('click', () => {
      card.kept = !card.kept;
      this.show();
    });
    return item;
  }
}

function progress(done, total) {
  const bar = element('progress');
  bar.value = total ? Math.max(done / total, 0.04) : 1;
  bar.classList.toggle('active', done < total);
}
