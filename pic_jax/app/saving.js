// @ts-check
// Saving of pictures as files, and copying of pictures and links.

import {linkTo} from './links.js';
import * as requests from './requests.js';
import {adjustmentsNow, counted, current, say, state} from './state.js';
import {pictureOf, shownVersion} from './versions.js';

/**
 * A function that calls `fn` with the server's id of the open photograph.
 * @typedef {<T>(fn: (id: string) => Promise<T>) => Promise<T>} WithPhotoId
 */

/**
 * Saves a file under a name.
 * @type {(blob: Blob, name: string) => void}
 */
export function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** Returns the version in the large view; throws if there is none. */
function requiredVersion() {
  const version = shownVersion();
  if (!version) throw new Error('There is no version yet.');
  return version;
}

/**
 * Saves the version in the large view at the photograph's full size. With
 * `withGrey`, the grey photograph is on its left.
 * @type {(withPhotoId: WithPhotoId, format: string, withGrey: boolean) => Promise<void>}
 */
export async function save(withPhotoId, format, withGrey) {
  const {recipe, adjustments} = requiredVersion();
  say('Rendering the picture at full size …');
  const blob = await withPhotoId((id) => requests.save(
    id, {recipes: [recipe], adjustments, format, beside: withGrey}));
  const kind = withGrey ? '.before-and-after' : '';
  const name = `${state.name}.${recipe.sample}${kind}.${format}`;
  download(blob, name);
  say(`Saved as ${name}, ${sizeText()}.`);
}

const sizeText = () => {
  const {width, height} = current().photo;
  return `${width} × ${height}`;
};

/**
 * Saves all versions with a star as a zip file.
 * @type {(withPhotoId: WithPhotoId, format: string) => Promise<void>}
 */
export async function saveStarred(withPhotoId, format) {
  const {work} = current();
  const starred = work.versions.filter(
    (version) => version.kept && pictureOf(version));
  if (!starred.length) {
    throw new Error('No version has a star yet. Press ☆ on the versions that '
      + 'you want to save.');
  }
  const count = counted(starred.length, 'version');
  say(`Rendering ${count} at full size …`);
  const recipes = starred.map(({id, recipe}) => state.shown.get(id) ?? recipe);
  const blob = await withPhotoId((id) => requests.save(id, {
    recipes, adjustments: adjustmentsNow(), format, beside: false,
    name: state.name}));
  download(blob, `${state.name}.zip`);
  say(`Saved ${count} as ${state.name}.zip.`);
}

/**
 * Copies the picture in the large view to the clipboard.
 * @param {WithPhotoId} withPhotoId
 */
export async function copyImage(withPhotoId) {
  const {recipe, adjustments} = requiredVersion();
  if (!navigator.clipboard || !('ClipboardItem' in window)) {
    throw new Error('This browser copies pictures only if the page comes '
      + 'from this computer or over https. Please save the picture instead.');
  }
  say('Rendering the picture at full size …');
  // Not awaited, because browsers allow copying only soon after a click.
  const blobPromise = withPhotoId((id) => requests.save(
    id, {recipes: [recipe], adjustments, format: 'png', beside: false}));
  await navigator.clipboard.write(
    [new ClipboardItem({'image/png': blobPromise})]);
  say('The picture is copied.');
}

/** Copies a link to the version in the large view. */
export async function copyLink() {
  const {photo, model} = current();
  const link = linkTo(location.origin + location.pathname, {
    ...requiredVersion(), photograph: photo.sha256, model: model.sha256});
  if (await copyText(link)) {
    say('The link is copied. It does not contain the photograph.');
  } else {
    say(`This browser does not allow copying. The link is: ${link}`);
  }
}

/**
 * Copies a text and returns whether that succeeded. Over plain http, browsers
 * have only the older command `copy`.
 * @param {string} text
 */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* there is no clipboard, or the browser refuses */ }
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'unseen';
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  focused?.focus();
  return isCopied;
}
