// @ts-check
// What a person takes away: files, pictures, a link.

import {linkTo} from './links.js';
import * as requests from './requests.js';
import {adjustmentsNow, current, say, state} from './state.js';
import {pictureOf, shownVersion} from './versions.js';

/** @typedef {<T>(fn: (id: string) => Promise<T>) => Promise<T>} About */

/** @type {(blob: Blob, name: string) => void} */
export function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function shown() {
  const version = shownVersion();
  if (!version) throw new Error('No version is there yet.');
  return version;
}

/**
 * The version that is shown, at the photograph's size.
 * @type {(about: About, format: string, beside: boolean) => Promise<void>}
 */
export async function save(about, format, beside) {
  const {recipe, adjustments} = shown();
  say('Making it at full size …');
  const blob = await about((id) => requests.save(
    id, {recipes: [recipe], adjustments, format, beside}));
  const kind = beside ? '.before-and-after' : '';
  const name = `${state.name}.${recipe.sample}${kind}.${format}`;
  download(blob, name);
  say(`Saved as ${name}, ${sizeText()}.`);
}

const sizeText = () => {
  const {width, height} = current().photo;
  return `${width} × ${height}`;
};

/**
 * All versions with a star in one file.
 * @type {(about: About, format: string) => Promise<void>}
 */
export async function saveStarred(about, format) {
  const {work} = current();
  const starred = work.versions.filter(
    (version) => version.kept && pictureOf(version));
  if (!starred.length) {
    throw new Error('No version has a star yet: press ☆ on those to keep.');
  }
  say(`Making ${starred.length} at full size …`);
  const recipes = starred.map(({id, recipe}) => state.shown.get(id) ?? recipe);
  const blob = await about((id) => requests.save(id, {
    recipes, adjustments: adjustmentsNow(), format, beside: false,
    name: state.name}));
  download(blob, `${state.name}.zip`);
  say(`Saved ${starred.length} as ${state.name}.zip.`);
}

/** @param {About} about */
export async function copyImage(about) {
  const {recipe, adjustments} = shown();
  if (!navigator.clipboard || !('ClipboardItem' in window)) {
    throw new Error('This browser copies pictures only on pages of this computer '
      + 'or of secure sites: save it instead.');
  }
  say('Making it at full size …');
  const blob = about((id) => requests.save(
    id, {recipes: [recipe], adjustments, format: 'png', beside: false}));
  await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
  say('The picture is copied.');
}

export async function copyLink() {
  const {photo, model} = current();
  const link = linkTo(location.origin + location.pathname, {
    ...shown(), photograph: photo.sha256, model: model.sha256});
  if (await copyText(link)) {
    say('The link is copied. It does not contain the photograph.');
  } else {
    say(`This browser does not copy by itself; the link is: ${link}`);
  }
}

/**
 * Copies a text; over plain http there is the older way only.
 * @param {string} text
 */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* no clipboard here, or it is refused */ }
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'unseen';
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  before?.focus();
  return isCopied;
}
