// The page: opens a photograph, and connects the parts.

import {commandFor, download, linkTo, wantedByLink} from './keeping.js';
import {Pins} from './pins.js';
import * as requests from './requests.js';
import {Stage} from './stage.js';
import {attempt, element, page, say} from './state.js';
import {Versions} from './versions.js';

const NUM_SAMPLES = 4;
const SHARPEN_AFTER_MS = 400;

const stage = new Stage({onZoom: () => sharpen()});
const versions = new Versions(about, showChosen);
const pins = new Pins({
  stage,
  about,
  recipes: () => versions.cards.filter((card) => card.url).map(
    (card) => card.recipe),
  onChange: () => {
    page.pins = pins.points;
    versions.redo();
    return versions.draw();
  },
});
let wanted = wantedByLink();

// Asks about the photograph; opens it again if the server has forgotten it.
async function about(fn) {
  try {
    return await fn(page.photo.id);
  } catch (error) {
    if (error.status !== 404 || !page.file) throw error;
    page.photo = await requests.open(page.file);
    return fn(page.photo.id);
  }
}

async function openFile(file) {
  say('');
  document.body.classList.add('busy');
  try {
    page.photo = await requests.open(file);
  } catch (error) {
    throw new Error(`${file.name}: ${error.message}`);
  } finally {
    document.body.classList.remove('busy');
    element('file').value = '';
  }
  versions.clear();
  Object.assign(page, {file, name: file.name, seed: 0, pins: []});
  if (wanted) followLink();
  begin();
  await versions.draw();
}

// Goes on with the version that a link names, if the photograph is its own.
function followLink() {
  const {photograph, model, sample, ...settings} = wanted;
  wanted = null;
  history.replaceState(history.state, '', location.pathname);
  if (photograph !== page.photo.sha256) {
    say('The link is about another photograph.', true);
    return;
  }
  if (model !== page.model.sha256) {
    say('The link is about another model: these colours are not its.', true);
  }
  Object.assign(page, settings);
  versions.cards.push({recipe: versions.recipe(sample), kept: true});
}

function begin() {
  const {width, height, notes, has_colours: hasColours} = page.photo;
  if (!versions.cards.length) versions.add(NUM_SAMPLES);
  element('start').hidden = true;
  element('work').hidden = element('other').hidden = false;
  element('caption').textContent = [
    page.name, `${width} × ${height}`, ...notes].join(' · ');
  element('compare').hidden = !hasColours;
  element('own').checked = false;
  for (const id of ['saturation', 'temperature']) {
    element(id).value = page[id];
    showValue(id);
  }
  stage.begin(width, height);
  element('pins').hidden = !page.model.reads_pins;
  pins.replace(page.pins, false);
  showBefore();
  remember();
}

const showBefore = () => {
  const kind = element('own').checked ? 'original' : 'grey';
  element('before').src = `photographs/${page.photo.id}/${kind}`;
};

const showValue = (id) => {
  element(id).parentElement.querySelector('output').value = (
    Number(element(id).value).toFixed(2));
};

function showChosen(card) {
  const after = element('after');
  after.hidden = !card?.url;
  if (card?.url && after.dataset.of !== card.picture) {
    after.src = card.url;
    after.dataset.of = card.picture;
    sharpen();
  }
  for (const id of ['save-png', 'save-jpg', 'link']) {
    element(id).disabled = !card?.url;
  }
  element('command').textContent = (
    card?.shown ? commandFor(card.shown) : '');
  remember();
}

// Where the screen shows more than the small picture has, takes the full one.
let sharpening = {};
function sharpen() {
  clearTimeout(sharpening.timer);
  sharpening.request?.abort();
  const after = element('after');
  const card = versions.chosen;
  const {width, screen_width: has} = page.photo;
  const shown = stage.base * stage.scale * devicePixelRatio * width;
  if (!card?.shown || shown < 1.2 * has || has === width) return;
  const request = new AbortController();
  const timer = setTimeout(() => attempt(async () => {
    const blob = await full(card, 'jpg', request.signal);
    URL.revokeObjectURL(sharpening.url);
    sharpening.url = after.src = URL.createObjectURL(blob);
  }), SHARPEN_AFTER_MS);
  sharpening = {...sharpening, timer, request};
}

// The version that is shown, at the photograph's size.
function full({shown: {saturation, ...recipe}}, format, signal) {
  return about((id) => requests.save(
    id, {recipes: [recipe], saturation, format}, signal));
}

async function save(format) {
  const card = versions.chosen;
  say('Making it at full size …');
  const {sample} = card.shown;
  download(await full(card, format), `${sample}.${format}`);
  say('');
}

// --- What survives a reload: in the history of this tab, not in the address.

function remember() {
  if (!page.photo) return;
  const {photo: {id}, name, seed, temperature, saturation, pins} = page;
  const cards = versions.cards.map(({recipe, kept}) => ({recipe, kept}));
  history.replaceState({
    id, name, seed, temperature, saturation, pins, cards,
    next: versions.next}, '');
}

async function recall({id, cards, next, ...settings}) {
  try {
    page.photo = await requests.describe(id);
  } catch (error) {
    history.replaceState(null, '');
    throw error;
  }
  Object.assign(page, settings);
  Object.assign(versions, {cards, next});
  begin();
  await versions.draw();
}

// --- What a person does.

const on = (id, event, fn) => element(id).addEventListener(
  event, () => attempt(fn));

on('file', 'change', () => openFile(element('file').files[0]));
on('other', 'click', () => element('file').click());
on('again', 'click', () => { versions.renew(); return versions.draw(); });
on('more', 'click', () => {
  versions.add(NUM_SAMPLES);
  return versions.draw();
});
on('own', 'change', showBefore);
on('pins-save', 'click', () => download(
  new Blob([pins.toCsv()], {type: 'text/csv'}), 'pins.csv'));
on('pins-file', 'change', async () => {
  const [file] = element('pins-file').files;
  element('pins-file').value = '';
  await pins.load(file);
});
on('save-png', 'click', () => save('png'));
on('save-jpg', 'click', () => save('jpg'));
on('link', 'click', async () => {
  const link = linkTo(versions.chosen.shown);
  await navigator.clipboard.writeText(link);
  say('The link is copied. It does not contain the photograph.');
});
for (const id of ['saturation', 'temperature']) {
  on(id, 'input', () => showValue(id));
  on(id, 'change', () => {
    page[id] = Number(element(id).value);
    versions.redo();
    return versions.draw();
  });
}

for (const name of ['dragenter', 'dragover']) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
}
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('dragging');
});
addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('dragging');
  const [file] = event.dataTransfer.files;
  if (file) attempt(() => openFile(file));
});
addEventListener('paste', (event) => {
  const [file] = event.clipboardData.files;
  if (file) attempt(() => openFile(file));
});
addEventListener('keydown', (event) => {
  const step = {ArrowUp: -1, ArrowDown: 1}[event.key];
  if (step && event.target === document.body) versions.step(step);
});

attempt(async () => {
  page.model = await requests.model();
  page.temperature = page.model.defaults.temperature;
  element('model').textContent = `model ${page.model.name}`;
  if (wanted) {
    element('wanted').hidden = false;
    element('wanted').textContent = (
      `The link names version ${wanted.sample} of a photograph, but does not ` +
      `contain it. Open that photograph (sha256 ${wanted.photograph}).`);
  } else if (history.state) {
    await recall(history.state);
  }
});
