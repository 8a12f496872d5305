// @ts-check
// The main module: creates and connects the parts of the page.

import {element, input, setAttributes, setText} from './dom.js';
import {commandFor, parseLink} from './links.js';
import {forgetAll, recall, recallSteps} from './memory.js';
import {
  droppedFiles, fileOf, openFiles, openPhoto, renderStrip,
} from './opening.js';
import {Pins} from './pins.js';
import * as requests from './requests.js';
import * as saving from './saving.js';
import {Stage} from './stage.js';
import {
  adjustmentsNow, attempt, counted, current, onUpdate, say, state, update,
} from './state.js';
import {Steps} from './steps.js';
import {pictureOf, shownVersion, Versions} from './versions.js';
import {View} from './view.js';
import * as works from './work.js';

/** @typedef {import('./state.js').Photo} Photo */
/** @typedef {import('./work.js').Work} Work */
/** @typedef {keyof import('./work.js').Adjustments} AdjustmentName */

/** Number of versions that are drawn first, and that "4 more" adds. */
const NUM_VERSIONS = 4;
/** Each adjustment: its name (also the slider's id), and its value as text. */
const SLIDERS = /** @type {[AdjustmentName, (x: number) => string][]} */ ([
  ['saturation', (x) => `${Math.round(100 * x)} %`],
  ['warmth', (x) => `${x > 0 ? '+' : ''}${x}`],
  ['tint', (x) => `${x > 0 ? '+' : ''}${x}`],
  ['strength', (x) => `${Math.round(100 * x)} %`],
]);

const stage = new Stage();
const view = new View(stage, withPhotoId);
const versions = new Versions(withPhotoId, {
  choose: (id) => attempt(() => steps.take(
    {...current().work, chosen: id}, 'choose')),
  toggleStar: (id) => attempt(() => steps.take(
    works.toggleKept(current().work, id))),
});
const steps = new Steps(() => versions.draw(), reopen);
const pins = new Pins(stage, withPhotoId, (newPins) => {
  const {work} = current();
  // The first pin changes the default order 'drawn' to 'pins'. Without pins,
  // the order 'pins' has no meaning.
  const isFirst = !work.pins.length && newPins.length > 0;
  let {order} = work;
  if (isFirst && order === 'drawn' && state.model?.scores_pins) order = 'pins';
  if (!newPins.length && order === 'pins') order = 'drawn';
  return steps.take(works.setPins({...work, order}, newPins));
});
stage.onPlace = () => {
  if (!state.photo || !state.work) return;
  pins.placeMarkers();
  pins.placeChooser();
  view.render();
};

/**
 * A link whose photograph has not been opened yet.
 * @type {ReturnType<typeof parseLink>}
 */
let link = null;

/**
 * Calls a function with the server's id of the open photograph. If the server
 * has dropped the photograph from its memory, uploads it again.
 * @template T
 * @param {(id: string) => Promise<T>} fn
 */
async function withPhotoId(fn) {
  const {photo} = current();
  try {
    return await fn(photo.id);
  } catch (error) {
    const file = fileOf(photo.sha256);
    const {status} = /** @type {requests.AnswerError} */ (error);
    if (status !== 404) throw error;
    if (!file) throw new Error(goneText(state.name));
    const again = await requests.open(file);
    photo.id = again.id;
    return fn(photo.id);
  }
}

/**
 * Returns a message for a photograph that has to be opened again.
 * @param {string} name
 */
const goneText = (name) => (
  `The program no longer has ${name} in memory. Please open it again to get `
  + 'its pins and stars back.');

/**
 * Opens a photograph and shows it.
 * @type {(file: Blob, name: string, note?: string) => Promise<void>}
 */
async function openFile(file, name, note = '') {
  say(`Opening ${name} …`);
  const photo = await openPhoto(file, name);
  if (!photo) return;
  const {work, text} = workFor(photo);
  begin(photo, name);
  // The message comes after `take`, which clears earlier messages.
  const drawn = steps.take(work);
  say([note, text].filter(Boolean).join(' '));
  await drawn;
}

/**
 * Returns the work with which a photograph is shown, and a message about it:
 * its stored work, the version of a link, or a new work.
 * @param {Photo} photo
 * @returns {{work: Work, text: string}}
 */
function workFor(photo) {
  const model = /** @type {NonNullable<typeof state.model>} */ (state.model);
  const stored = recall(photo.sha256);
  let work = works.emptyWork(model.defaults), text = '';
  if (stored && stored.model === model.sha256) {
    work = stored.work;
    text = 'The pins, stars and settings of this photograph are back. To start '
      + 'without them, use the menu ⋯.';
  } else if (stored && stored.work.pins.length && model.reads_pins) {
    work = {...work, pins: stored.work.pins};
    text = 'The pins of this photograph are back. Its earlier versions were '
      + 'made with another model, so new ones are drawn.';
  }
  if (link && link.wanted.photograph === photo.sha256) {
    work = works.openLinkedVersion(work, link.wanted);
    text = aboutLink(link);
    link = null;
  } else if (link) {
    text = 'This is not the photograph of the link. To see the version that '
      + 'the link describes, open the right photograph.';
  }
  if (!work.versions.length) work = works.add(work, NUM_VERSIONS);
  return {work, text};
}

/**
 * Returns a message if the version of a link cannot be shown exactly; else ''.
 * @param {NonNullable<typeof link>} parsed
 */
function aboutLink({wanted, ignored}) {
  const texts = [];
  if (wanted.model && wanted.model !== state.model?.sha256) {
    texts.push('The link was made with another model, maybe an earlier version '
      + 'of this one, so the colours differ. To see the same colours, start '
      + 'the program with that model (--model FILE).');
  }
  if (ignored.length) {
    texts.push('The link was cut or changed. These fields are missing, unknown '
      + `or not valid: ${ignored.join(', ')}.`);
  }
  return texts.join(' ');
}

/**
 * Shows a photograph without versions.
 * @type {(photo: Photo, name: string) => void}
 */
function begin(photo, name) {
  update({
    photo, name, showsOwn: false, chooser: null, live: null,
    shown: new Map(), drawn: new Map(), sequence: [],
    work: works.emptyWork(
      /** @type {NonNullable<typeof state.model>} */ (state.model).defaults),
  });
  element('start').hidden = true;
  element('work').hidden = false;
  element('view').scrollIntoView?.({block: 'nearest'});
  stage.begin(photo.width, photo.height);
}

/**
 * Opens the photograph of a step, and uploads it again if needed.
 * @param {import('./state.js').Step} step
 */
async function reopen({sha256, id, name}) {
  let photo;
  try {
    photo = await requests.describe(id);
  } catch (error) {
    const file = fileOf(sha256);
    if (/** @type {any} */ (error).status !== 404) throw error;
    if (!file) throw new Error(goneText(name));
    photo = await requests.open(file);
  }
  begin(photo, name);
}

/**
 * Reads the link in the address. Shows its version if the photograph is open,
 * and asks for the photograph if not.
 */
async function followLink() {
  if (!state.model || location.hash.length < 2) return;
  const parsed = parseLink(location.hash, state.model.defaults);
  history.replaceState(history.state, '', location.pathname + location.search);
  if (!parsed) {
    say('The link is incomplete. It names no photograph.', true);
    return;
  }
  if (parsed.wanted.photograph === state.photo?.sha256) {
    const drawn = steps.take(works.openLinkedVersion(current().work, parsed.wanted));
    say(aboutLink(parsed)
      || `This is version ${parsed.wanted.sample}, which the link describes.`);
    await drawn;
    return;
  }
  link = parsed;
  update();
}

// --- Rendering.

onUpdate(() => {
  const {photo, work, model, message, isOpening} = state;
  document.body.classList.toggle('opening', isOpening);
  setText(element('model'), model ? `model ${model.name}` : '');
  element('message').hidden = !message.text;
  element('message').classList.toggle('bad', message.isBad);
  setText(/** @type {Node} */ (element('message').firstElementChild),
    message.text);
  element('wanted').hidden = !link;
  if (link) {
    setText(/** @type {Node} */ (element('wanted').firstElementChild),
      `The link names version ${link.wanted.sample} of a photograph, but does `
      + 'not contain the photograph. Please open the photograph whose sha256 '
      + `is ${link.wanted.photograph}.`);
  }
  renderStrip(openFile);
  for (const id of ['steps', 'other', 'afresh']) element(id).hidden = !work;
  if (!photo || !work) return;
  steps.render();
  setText(element('caption'), [state.name, `${photo.width} × ${photo.height}`,
    ...photo.notes].join(' · '));
  element('compare').hidden = !photo.has_colours;
  input('own').checked = state.showsOwn;
  renderSliders();
  versions.render();
  pins.render();
  view.render();
  renderSaving();
});

/** Shows the values of the sliders. */
function renderSliders() {
  const {work, model} = current();
  const adjustments = adjustmentsNow();
  for (const [name, toText] of SLIDERS) {
    showSlider(input(name), adjustments[name], toText(adjustments[name]),
      name === 'saturation' || name === 'strength'
        ? `factor ${adjustments[name]}` : '');
  }
  const temperature = state.liveTemperature ?? work.temperature;
  showSlider(input('temperature'), temperature, '',
    `Temperature ${temperature.toFixed(2)}; the model recommends `
    + `${model.defaults.temperature}`);
  const isDefault = JSON.stringify(work.adjustments)
    === JSON.stringify(model.defaults.adjustments);
  input('adjust-reset').disabled = isDefault;
}

/**
 * Shows the value of a slider.
 * @type {(slider: HTMLInputElement, value: number, text: string,
 *   title: string) => void}
 */
function showSlider(slider, value, text, title) {
  if (slider.valueAsNumber !== value) {
    // The value of a link or a model may lie beyond the usual range.
    if (value > Number(slider.max)) slider.max = String(value);
    slider.value = String(value);
  }
  setAttributes(slider, {title: title || null, 'aria-valuetext': text || title});
  const output = slider.parentElement?.querySelector('output');
  if (output) setText(output, text);
}

/** Enables the buttons that save, and shows the command. */
function renderSaving() {
  const shown = shownVersion();
  for (const id of ['save-png', 'save-jpg', 'copy-image', 'save-beside',
    'save-starred', 'link']) {
    input(id).disabled = !shown;
  }
  setText(element('command'), shown && state.model ? commandFor(
    state.name, shown.recipe, shown.adjustments, state.model) : '');
}

// --- Events.

/**
 * Calls a function at each event of an element, and shows its error, if any.
 * @type {(id: string, event: string, fn: () => unknown) => void}
 */
const on = (id, event, fn) => element(id).addEventListener(
  event, () => attempt(fn));
const take = (/** @type {Work} */ work, kind = '') => steps.take(work, kind);

const choose = () => input('file').click();
on('other', 'click', choose);
element('drop').addEventListener('click', choose);
on('file', 'change', async () => {
  const given = [...(input('file').files ?? [])];
  input('file').value = '';
  await openFiles(given, openFile);
});
for (const button of element('examples').querySelectorAll('button')) {
  const name = button.dataset.example ?? '';
  button.addEventListener('click', () => attempt(async () => {
    await openFiles(
      [new File([await requests.example(name)], name)], openFile);
  }));
}
on('undo', 'click', () => steps.go(-1));
on('redo', 'click', () => steps.go(1));
on('again', 'click', () => take(works.renew(current().work, NUM_VERSIONS)));
on('more', 'click', () => {
  const {work} = current();
  const after = works.add(work, NUM_VERSIONS);
  if (after.versions.length === work.versions.length) {
    throw new Error(`There can be at most ${works.MAX_VERSIONS} versions. “New `
      + 'versions” replaces all versions without a star.');
  }
  return take(after);
});
on('order', 'change', () => take(
  {...current().work, order: input('order').value}, 'order'));
on('own', 'change', () => update({showsOwn: input('own').checked}));
on('afresh', 'click', () => {
  const {model} = current();
  closeMenus();
  return take(works.add(works.emptyWork(model.defaults), NUM_VERSIONS));
});
on('forget', 'click', () => {
  const count = forgetAll();
  closeMenus();
  say(`The pins and stars of ${counted(count, 'photograph')} are forgotten.`);
});
on('cure-pin', 'click', () => {
  const {work} = current();
  const cure = works.chosenOf(work)
    && pictureOf(/** @type {works.Version} */ (works.chosenOf(work)))?.cure;
  return cure ? pins.change([...work.pins, cure]) : undefined;
});
on('pins-clear', 'click', () => pins.change([]));
on('pins-save', 'click', () => saving.download(
  new Blob([pins.toCsv()], {type: 'text/csv'}), `${state.name}.pins.csv`));
on('pins-load', 'click', () => input('pins-file').click());
on('pins-file', 'change', async () => {
  const [file] = input('pins-file').files ?? [];
  // Setting the value to '' releases the file, so the file is read first.
  if (file) await pins.load(file).finally(() => { input('pins-file').value = ''; });
});
for (const [id, action] of Object.entries({
  'save-png': () => saving.save(withPhotoId, 'png', false),
  'save-jpg': () => saving.save(withPhotoId, 'jpg', false),
  'save-beside': () => saving.save(withPhotoId, 'jpg', true),
  'save-starred': () => saving.saveStarred(withPhotoId, 'png'),
  'copy-image': () => saving.copyImage(withPhotoId),
  'link': () => saving.copyLink(),
})) {
  on(id, 'click', () => {
    closeMenus();
    return action();
  });
}
for (const [name] of SLIDERS) {
  const changed = () => ({
    ...current().work.adjustments, [name]: input(name).valueAsNumber});
  on(name, 'input', () => update({live: changed()}));
  on(name, 'change', () => take(
    {...current().work, adjustments: changed()}, name));
}
on('adjust-reset', 'click', () => {
  const {work, model} = current();
  return take({...work, adjustments: {...model.defaults.adjustments}});
});
on('temperature', 'input', () => update(
  {liveTemperature: input('temperature').valueAsNumber}));
on('temperature', 'change', () => {
  update({liveTemperature: null});
  return take(works.setTemperature(
    current().work, input('temperature').valueAsNumber), 'temperature');
});
on('message-close', 'click', () => say(''));
on('wanted-close', 'click', () => { link = null; update(); });

/** Closes the open menus. */
function closeMenus() {
  for (const menu of /** @type {NodeListOf<HTMLDetailsElement>} */ (
    document.querySelectorAll('.menu[open]'))) {
    const hadFocus = menu.contains(document.activeElement);
    menu.open = false;
    if (hadFocus) menu.querySelector('summary')?.focus();
  }
}

addEventListener('click', (event) => {
  const target = /** @type {Element} */ (event.target);
  if (!target.closest('.menu')) closeMenus();
});
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
  const {dataTransfer} = event;
  if (!dataTransfer) return;
  attempt(async () => openFiles(await droppedFiles(dataTransfer), openFile));
});
addEventListener('paste', (event) => {
  const given = [...(event.clipboardData?.files ?? [])];
  if (given.length) attempt(() => openFiles(given, openFile));
});
addEventListener('keydown', (event) => {
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && (key === 'z' || key === 'y')) {
    if (!state.work) return;
    event.preventDefault();
    attempt(() => steps.go(key === 'y' || event.shiftKey ? 1 : -1));
    return;
  }
  if (event.key === 'Escape') {
    pins.close();
    closeMenus();
  }
  const by = {ArrowUp: -1, ArrowDown: 1}[event.key];
  if (by && event.target === document.body && state.work) versions.step(by);
});
addEventListener('popstate', (event) => {
  if (event.state) attempt(() => steps.arrive(event.state));
});
addEventListener('hashchange', () => attempt(followLink));

/** Restores the last step of this tab after a reload. */
async function restoreStep() {
  const stored = recallSteps();
  const step = stored?.steps[stored.index] ?? history.state.step;
  if (!step) return;
  try {
    await reopen(step);
  } catch (error) {
    history.replaceState(null, '');
    throw error;
  }
  Object.assign(state.timeline, stored ?? {steps: [step], index: 0});
  update({work: step.work});
  await versions.draw();
}

attempt(async () => {
  const hasStep = history.state?.step;
  update({model: await requests.model()});
  await followLink();
  if (!link && hasStep && !state.photo) await restoreStep();
});
