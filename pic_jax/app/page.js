// @ts-check
// The page: opens photographs, and connects the parts.

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
  adjustmentsNow, attempt, current, onUpdate, say, state, update,
} from './state.js';
import {Steps} from './steps.js';
import {pictureOf, shownVersion, Versions} from './versions.js';
import {View} from './view.js';
import * as works from './work.js';

/** @typedef {import('./state.js').Photo} Photo */
/** @typedef {import('./work.js').Work} Work */
/** @typedef {keyof import('./work.js').Adjustments} AdjustmentName */

const NUM_VERSIONS = 4;
/** Sliders of the adjustments, and how their numbers are written. */
const SLIDERS = /** @type {[string, AdjustmentName, (x: number) => string][]} */ ([
  ['saturation', 'saturation', (x) => `${Math.round(100 * x)} %`],
  ['warmth', 'warmth', (x) => `${x > 0 ? '+' : ''}${x}`],
  ['tint-slider', 'tint', (x) => `${x > 0 ? '+' : ''}${x}`],
  ['strength', 'strength', (x) => `${Math.round(100 * x)} %`],
]);

const stage = new Stage();
const view = new View(stage, about);
const versions = new Versions(about, {
  choose: (id) => attempt(() => steps.take(
    {...current().work, chosen: id}, 'choose')),
  keep: (id) => attempt(() => steps.take(
    works.toggleKept(current().work, id))),
});
const steps = new Steps(() => versions.draw(), reopen);
const pins = new Pins(stage, about, (list) => {
  const {work} = current();
  const isFirst = !work.pins.length && list.length > 0;
  const {order} = work;
  const ordered = {...work,
    order: isFirst && order === 'drawn' && state.model?.scores_pins ? 'pins'
      : !list.length && order === 'pins' ? 'drawn' : order};
  return steps.take(works.setPins(ordered, list));
});
stage.onPlace = () => {
  if (!state.photo || !state.work) return;
  pins.placeMarkers();
  pins.placeChooser();
  view.render();
};

/** @type {ReturnType<typeof parseLink>} what a link asked for */
let link = null;

/**
 * Asks about the photograph; opens it again if the server has forgotten it.
 * @template T
 * @param {(id: string) => Promise<T>} fn
 */
async function about(fn) {
  const {photo} = current();
  try {
    return await fn(photo.id);
  } catch (error) {
    const file = fileOf(photo.sha256);
    const {status} = /** @type {requests.AnswerError} */ (error);
    if (status !== 404) throw error;
    if (!file) throw new Error(`The program has forgotten ${state.name}: open `
      + 'it again, its pins and stars will be back.');
    const again = await requests.open(file);
    photo.id = again.id;
    return fn(photo.id);
  }
}

/** @type {(file: Blob, name: string, note?: string) => Promise<void>} */
async function openFile(file, name, note = '') {
  say(`Opening ${name} …`);
  const photo = await openPhoto(file, name);
  if (!photo) return;
  const {work, text} = workFor(photo);
  begin(photo, name);
  // After `take`, which clears what was said before.
  const drawn = steps.take(work);
  say([note, text].filter(Boolean).join(' '));
  await drawn;
}

/**
 * The work that this photograph goes on with, and what to say of it.
 * @param {Photo} photo
 * @returns {{work: Work, text: string}}
 */
function workFor(photo) {
  const model = /** @type {NonNullable<typeof state.model>} */ (state.model);
  const kept = recall(photo.sha256);
  let work = works.emptyWork(model.defaults), text = '';
  if (kept && kept.model === model.sha256) {
    work = kept.work;
    text = 'Its pins, stars and settings are back. The menu ⋯ starts afresh.';
  } else if (kept && kept.work.pins.length) {
    work = {...work, pins: model.reads_pins ? kept.work.pins : []};
    text = 'Its pins are back; its versions were of another model.';
  }
  if (link && link.wanted.photograph === photo.sha256) {
    work = works.addWanted(work, link.wanted);
    text = aboutLink(link);
    link = null;
  } else if (link) {
    text = 'This is not the photograph of the link: open the right one to see '
      + 'its version.';
  }
  if (!work.versions.length) work = works.add(work, NUM_VERSIONS);
  return {work, text};
}

/** @param {NonNullable<typeof link>} given */
function aboutLink({wanted, ignored}) {
  const texts = [];
  if (wanted.model && wanted.model !== state.model?.sha256) {
    texts.push('The link is about another model, maybe an earlier version: '
      + 'these colours are not its. For its own, start the page with '
      + '--model FILE.');
  }
  if (ignored.length) {
    texts.push(`The link was cut or changed; not read: ${ignored.join(', ')}.`);
  }
  return texts.join(' ');
}

/** @type {(photo: Photo, name: string) => void} */
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

/** @param {import('./state.js').Step} step */
async function reopen({sha256, id, name}) {
  let photo;
  try {
    photo = await requests.describe(id);
  } catch (error) {
    const file = fileOf(sha256);
    if (/** @type {any} */ (error).status !== 404) throw error;
    if (!file) {
      throw new Error(`The program has forgotten ${name}: open it again, its `
        + 'pins and stars will be back.');
    }
    photo = await requests.open(file);
  }
  begin(photo, name);
}

/** Reads the link in the address, and follows it if its photograph is open. */
async function followLink() {
  if (!state.model || location.hash.length < 2) return;
  const parsed = parseLink(location.hash, state.model.defaults);
  history.replaceState(history.state, '', location.pathname + location.search);
  if (!parsed) {
    say('The link was cut: it names no photograph.', true);
    return;
  }
  if (parsed.wanted.photograph === state.photo?.sha256) {
    const drawn = steps.take(works.addWanted(current().work, parsed.wanted));
    say(aboutLink(parsed) || `Version ${parsed.wanted.sample} of the link.`);
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
      + `not contain it. Open that photograph (sha256 ${link.wanted.photograph})`
      + '.');
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

function renderSliders() {
  const {work, model} = current();
  const adjustments = adjustmentsNow();
  for (const [id, name, text] of SLIDERS) {
    showSlider(input(id), adjustments[name], text(adjustments[name]),
      name === 'saturation' || name === 'strength'
        ? `factor ${adjustments[name]}` : '');
  }
  const temperature = state.liveTemperature ?? work.temperature;
  showSlider(input('temperature'), temperature, '',
    `Temperature ${temperature.toFixed(2)}; the model’s own is `
    + `${model.defaults.temperature}`);
  const isNeutral = JSON.stringify(work.adjustments)
    === JSON.stringify(model.defaults.adjustments);
  input('adjust-reset').disabled = isNeutral;
}

/** @type {(slider: HTMLInputElement, value: number, text: string, title: string) => void} */
function showSlider(slider, value, text, title) {
  if (slider.valueAsNumber !== value) {
    // What a link or the model asks for may lie beyond the usual range.
    if (value > Number(slider.max)) slider.max = String(value);
    slider.value = String(value);
  }
  setAttributes(slider, {title: title || null, 'aria-valuetext': text || title});
  const output = slider.parentElement?.querySelector('output');
  if (output) setText(output, text);
}

function renderSaving() {
  const shown = shownVersion();
  for (const id of ['save-png', 'save-jpg', 'copy-image', 'save-beside',
    'save-starred', 'link']) {
    input(id).disabled = !shown;
  }
  setText(element('command'), shown && state.model ? commandFor(
    state.name, shown.recipe, shown.adjustments, state.model) : '');
}

// --- What a person does.

/** @type {(id: string, event: string, fn: () => unknown) => void} */
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
    throw new Error(`${works.MAX_VERSIONS} versions are all there can be: “New `
      + 'versions” replaces those without a star.');
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
  say(`Pins and stars of ${count} photographs are forgotten.`);
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
  // Read before it is let go of.
  if (file) await pins.load(file).finally(() => { input('pins-file').value = ''; });
});
for (const [id, does] of Object.entries({
  'save-png': () => saving.save(about, 'png', false),
  'save-jpg': () => saving.save(about, 'jpg', false),
  'save-beside': () => saving.save(about, 'jpg', true),
  'save-starred': () => saving.saveStarred(about, 'png'),
  'copy-image': () => saving.copyImage(about),
  'link': () => saving.copyLink(),
})) {
  on(id, 'click', () => {
    closeMenus();
    return does();
  });
}
for (const [id, name] of SLIDERS) {
  const value = () => ({
    ...current().work.adjustments, [name]: input(id).valueAsNumber});
  on(id, 'input', () => update({live: value()}));
  on(id, 'change', () => take({...current().work, adjustments: value()}, id));
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
  const step = {ArrowUp: -1, ArrowDown: 1}[event.key];
  if (step && event.target === document.body && state.work) versions.step(step);
});
addEventListener('popstate', (event) => {
  if (event.state) attempt(() => steps.arrive(event.state));
});
addEventListener('hashchange', () => attempt(followLink));

/** After a reload: goes on with the last step of this tab. */
async function goOn() {
  const kept = recallSteps();
  const step = kept?.steps[kept.index] ?? history.state.step;
  if (!step) return;
  try {
    await reopen(step);
  } catch (error) {
    history.replaceState(null, '');
    throw error;
  }
  Object.assign(state.timeline, kept ?? {steps: [step], index: 0});
  update({work: step.work});
  await versions.draw();
}

attempt(async () => {
  const hasWork = history.state?.step;
  update({model: await requests.model()});
  await followLink();
  if (!link && hasWork && !state.photo) await goOn();
});
