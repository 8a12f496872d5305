// @ts-check
// Opening of photographs that the user chooses, drops or pastes: one, several,
// or a folder.

import {element, make, setAttributes, showList} from './dom.js';
import * as requests from './requests.js';
import {attempt, counted, state, update} from './state.js';

const SUFFIXES = /\.(avif|bmp|gif|heic|heif|jpe?g|pgm|png|ppm|tiff?|webp)$/i;
const MAX_SHOWN = 200; // photographs in the strip
const MAX_FILES = 5000; // files that are read from a dropped folder
const MAX_DEPTH = 4; // levels of subfolders that are read
const MAX_KEPT_BYTES = 300_000_000; // total size of `files`

/**
 * Files of photographs that were opened, by their sha256. A file is uploaded
 * again if the server has dropped the photograph from its memory.
 */
const files = new Map();

/**
 * Returns the file of a photograph, if it is in memory.
 * @param {string} sha256
 */
export const fileOf = (sha256) => /** @type {Blob | undefined} */ (
  files.get(sha256));

/**
 * Keeps a file, and drops the oldest ones beyond `MAX_KEPT_BYTES`.
 * @type {(sha256: string, file: Blob) => void}
 */
function keepFile(sha256, file) {
  files.delete(sha256);
  files.set(sha256, file);
  let bytes = [...files.values()].reduce((sum, {size}) => sum + size, 0);
  for (const [key, {size}] of files) {
    if (bytes <= MAX_KEPT_BYTES || files.size === 1) return;
    files.delete(key);
    bytes -= size;
  }
}

/**
 * Controller that can abort the latest upload; null before the first upload.
 * @type {AbortController | null}
 */
let currentUpload = null;

/**
 * Uploads a photograph. Cancels an earlier upload that is not finished.
 * @param {Blob} file
 * @param {string} name
 * @returns {Promise<import('./state.js').Photo | null>} null if a later call
 *   has cancelled this one
 */
export async function openPhoto(file, name) {
  currentUpload?.abort();
  const upload = currentUpload = new AbortController();
  update({isOpening: true});
  try {
    const copy = await copyToMemory(file, name);
    if (currentUpload !== upload) return null;
    const photo = await requests.open(copy, upload.signal);
    if (currentUpload !== upload) return null;
    keepFile(photo.sha256, copy);
    return photo;
  } catch (error) {
    if (currentUpload !== upload) return null;
    const {message, name: kind} = /** @type {Error} */ (error);
    if (kind === 'AbortError') return null;
    throw new Error(message.startsWith(name) ? message : `${name}: ${message}`);
  } finally {
    if (currentUpload === upload) update({isOpening: false});
  }
}

/**
 * Copies a file into memory, because the file on the disk may be
 * changed or removed later.
 * @param {Blob} file
 * @param {string} name
 */
async function copyToMemory(file, name) {
  const maxBytes = state.model?.max_bytes ?? Infinity;
  if (file.size > maxBytes) {
    throw new Error(`${name}: The file has ${Math.ceil(file.size / 1e6)} MB. The `
      + `limit is ${maxBytes / 1e6} MB. Please scale the photograph down.`);
  }
  try {
    return new Blob([await file.arrayBuffer()], {type: file.type});
  } catch {
    throw new Error(`${name} cannot be read. It is a folder, or it was changed `
      + 'or removed after it was chosen. Please choose it again.');
  }
}

/**
 * Returns whether a file seems to be a photograph.
 * @param {File} file
 */
const isPhotograph = ({name, type}) => (
  type.startsWith('image/') || SUFFIXES.test(name));

/**
 * Returns the files that were dropped. If folders were dropped, returns only
 * photographs: those in the folders, and those dropped beside them.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
export async function droppedFiles(transfer) {
  // Both lists must be read here, because they are empty after the first await.
  const given = [...transfer.files];
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
 * Adds the files of a folder and its subfolders to `found`, see `MAX_FILES` and
 * `MAX_DEPTH`.
 * @type {(folder: FileSystemDirectoryEntry, found: File[], depth: number) =>
 *   Promise<void>}
 */
async function walk(folder, found, depth) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const entries = [];
  for (;;) { // a reader returns about a hundred entries at a time
    const batch = await new Promise(
      (resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) break;
    entries.push(...batch);
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
 * Opens the first photograph among files. If there are several photographs, up
 * to `MAX_SHOWN` appear in a strip at the top of the page.
 * @param {File[]} given
 * @param {(file: Blob, name: string, note?: string) => Promise<void>} openFn
 */
export async function openFiles(given, openFn) {
  if (!given.length) return;
  const photographs = given.length > 1 ? given.filter(isPhotograph) : given;
  const numOtherFiles = given.length - photographs.length;
  if (!photographs.length) {
    throw new Error(`None of these ${given.length} files is a photograph.`);
  }
  state.strip.forEach(({url}) => URL.revokeObjectURL(url));
  const forStrip = photographs.length > 1 ? photographs : [];
  const inStrip = forStrip.slice(0, MAX_SHOWN);
  update({strip: inStrip.map((file) => ({
    name: file.name, file, url: URL.createObjectURL(file)}))});
  const numOverLimit = forStrip.length - inStrip.length;
  const leftOut = [
    numOverLimit && counted(numOverLimit, 'more photograph'),
    numOtherFiles && counted(numOtherFiles, 'other file'),
  ].filter(Boolean).join(' and ');
  const note = forStrip.length
    ? `${inStrip.length} photographs can be chosen at the top of the page.`
      + (leftOut && ` Left out: ${leftOut}.`)
    : '';
  await openFn(photographs[0], photographs[0].name, note);
}

/**
 * Shows the strip of photographs that were opened together.
 * @param {(file: Blob, name: string) => Promise<void>} openFn
 */
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
