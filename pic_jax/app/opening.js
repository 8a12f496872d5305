// @ts-check
// Photographs as they come: chosen, dropped, pasted; alone, several, a folder.

import {element, make, setAttributes, showList} from './dom.js';
import * as requests from './requests.js';
import {attempt, state, update} from './state.js';

const SUFFIXES = /\.(avif|bmp|gif|heic|heif|jpe?g|pgm|png|ppm|tiff?|webp)$/i;
const MAX_FILES = 200, MAX_DEPTH = 4;
const MAX_KEPT_BYTES = 300_000_000;

/** Files in memory by their sha256, for a server that has forgotten them. */
const files = new Map();

/** @param {string} sha256 */
export const fileOf = (sha256) => /** @type {Blob | undefined} */ (
  files.get(sha256));

/** @type {(sha256: string, file: Blob) => void} */
function keep(sha256, file) {
  files.delete(sha256);
  files.set(sha256, file);
  let bytes = [...files.values()].reduce((sum, {size}) => sum + size, 0);
  for (const [key, {size}] of files) {
    if (bytes <= MAX_KEPT_BYTES || files.size === 1) return;
    files.delete(key);
    bytes -= size;
  }
}

/** @type {AbortController | null} */
let opening = null;

/**
 * Opens a photograph; of several, the one that was asked for last.
 * @param {Blob} file
 * @param {string} name
 * @returns {Promise<import('./state.js').Photo | null>} null: another one was
 *   asked for meanwhile
 */
export async function openPhoto(file, name) {
  opening?.abort();
  const request = opening = new AbortController();
  update({isOpening: true});
  try {
    const copy = await inMemory(file, name);
    if (opening !== request) return null;
    const photo = await requests.open(copy, request.signal);
    if (opening !== request) return null;
    keep(photo.sha256, copy);
    return photo;
  } catch (error) {
    if (opening !== request) return null;
    const {message, name: kind} = /** @type {Error} */ (error);
    if (kind === 'AbortError') return null;
    throw new Error(message.startsWith(name) ? message : `${name}: ${message}`);
  } finally {
    if (opening === request) update({isOpening: false});
  }
}

/**
 * A copy: the file on the disk may be changed or removed later.
 * @param {Blob} file
 * @param {string} name
 */
async function inMemory(file, name) {
  const most = state.model?.max_bytes ?? Infinity;
  if (file.size > most) {
    throw new Error(`${name}: ${Math.ceil(file.size / 1e6)} MB, more than `
      + `${most / 1e6} MB; scale it down.`);
  }
  try {
    return new Blob([await file.arrayBuffer()], {type: file.type});
  } catch {
    throw new Error(`${name} cannot be read: it is a folder, or was changed or `
      + 'removed since it was chosen. Choose it again.');
  }
}

/** @param {File} file */
const isPhotograph = ({name, type}) => (
  type.startsWith('image/') || SUFFIXES.test(name));

/**
 * Files of a drop, those of folders, too.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
export async function droppedFiles(transfer) {
  const given = [...transfer.files]; // both are empty after the first wait
  const entries = [...transfer.items].map(
    (item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return given;
  /** @type {File[]} */
  const found = [];
  for (const [index, entry] of entries.entries()) {
    if (entry?.isDirectory) {
      await walk(/** @type {FileSystemDirectoryEntry} */ (entry), found, 0);
    } else if (given[index]) {
      found.push(given[index]);
    }
  }
  if (!found.some(isPhotograph)) {
    const names = entries.filter((entry) => entry?.isDirectory).map(
      (entry) => entry?.name);
    throw new Error(`No photographs in the folder ${names.join(', ')}.`);
  }
  return found.filter(isPhotograph);
}

/**
 * @type {(folder: FileSystemDirectoryEntry, found: File[], depth: number) =>
 *   Promise<void>}
 */
async function walk(folder, found, depth) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const entries = [];
  for (;;) { // a reader gives a hundred at a time
    const some = await new Promise(
      (resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    entries.push(...some);
  }
  entries.sort((a, b) => a.name.localeCompare(b.name));
  for (const entry of entries) {
    if (found.length >= MAX_FILES) return;
    if (entry.isDirectory && depth < MAX_DEPTH) {
      await walk(/** @type {FileSystemDirectoryEntry} */ (entry), found,
        depth + 1);
    } else if (entry.isFile) {
      found.push(await new Promise((resolve, reject) => (
        /** @type {FileSystemFileEntry} */ (entry)).file(resolve, reject)));
    }
  }
}

/**
 * Opens the first of these files; all of them stand in a strip.
 * @param {File[]} given
 * @param {(file: Blob, name: string, note?: string) => Promise<void>} openFn
 */
export async function openFiles(given, openFn) {
  if (!given.length) return;
  const photographs = given.length > 1 ? given.filter(isPhotograph) : given;
  const left = given.length - photographs.length;
  if (!photographs.length) {
    throw new Error(`None of these ${given.length} files is a photograph.`);
  }
  state.strip.forEach(({url}) => URL.revokeObjectURL(url));
  const several = photographs.length > 1 ? photographs : [];
  update({strip: several.slice(0, MAX_FILES).map((file) => ({
    name: file.name, file, url: URL.createObjectURL(file)}))});
  const note = several.length
    ? `${several.length} photographs, one at a time: they stand above.`
      + (left ? ` ${left} other files are left out.` : '') : '';
  await openFn(photographs[0], photographs[0].name, note);
}

/** @param {(file: Blob, name: string) => Promise<void>} openFn */
export function renderStrip(openFn) {
  const strip = element('strip');
  strip.hidden = !state.strip.length;
  showList(strip, state.strip, ({url}) => url,
    ({name, file, url}) => {
      const picture = make('img', {src: url, alt: name, loading: 'lazy'});
      const button = make('button', {title: name}, picture);
      button.addEventListener('click', () => attempt(() => openFn(file, name)));
      return button;
    },
    (node, {name}) => setAttributes(node, {
      'aria-current': name === state.name && state.photo ? 'true' : null}));
}
