// @ts-check
// What the page asks the server for. Every failure is an Error with a line of
// text and, if the server answered, its status.

/** @typedef {import('./work.js').Recipe} Recipe */
/** @typedef {import('./work.js').Pin} Pin */
/** @typedef {import('./work.js').Adjustments} Adjustments */

export class AnswerError extends Error {
  /**
   * @param {string} text
   * @param {number} status
   */
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (/** @type {Error} */ (error).name === 'AbortError') throw error;
    throw new Error('The program does not answer: is it still running?');
  }
  if (response.ok) return response;
  let text = `The program answered ${response.status}.`;
  try {
    text = (await response.json()).error;
  } catch { /* the answer of a proxy */ }
  throw new AnswerError(text, response.status);
}

/** @type {(value: unknown, signal?: AbortSignal) => RequestInit} */
const asJson = (value, signal) => ({
  method: 'POST',
  headers: {'Content-Type': 'application/json'},
  body: JSON.stringify(value),
  signal,
});

export async function model() {
  return (await answered('model')).json();
}

/** @type {(file: Blob, signal?: AbortSignal) => Promise<any>} */
export async function open(file, signal) {
  return (await answered(
    'photographs', {method: 'POST', body: file, signal})).json();
}

/** @param {string} name */
export async function example(name) {
  return (await answered(name)).blob();
}

/** @param {string} id */
export async function describe(id) {
  return (await answered(`photographs/${id}`)).json();
}

/**
 * @param {string} id
 * @param {Recipe[]} recipes
 * @param {AbortSignal} signal
 */
export async function* draw(id, recipes, signal) {
  const response = await answered(
    `photographs/${id}/draw`, asJson({recipes}, signal));
  const body = /** @type {ReadableStream<Uint8Array>} */ (response.body);
  const reader = body.getReader(), decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, {stream: true})).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const result = JSON.parse(line);
      if (result.error) throw new Error(result.error);
      yield result;
    }
  }
}

/**
 * A part of a picture for the screen.
 * @param {string} id
 * @param {{kind: string, recipe?: Recipe, adjustments?: Adjustments,
 *   box?: number[], width?: number}} asked
 * @param {AbortSignal} signal
 */
export async function view(id, asked, signal) {
  return (await answered(
    `photographs/${id}/view`, asJson(asked, signal))).blob();
}

/** @type {(id: string, asked: object) => Promise<any>} */
export async function palette(id, asked) {
  return (await answered(`photographs/${id}/palette`, asJson(asked))).json();
}

/** @type {(id: string, recipes: Recipe[]) => Promise<number[]>} */
export async function order(id, recipes) {
  return (await answered(
    `photographs/${id}/order`, asJson({recipes}))).json();
}

/**
 * The pins of a file, read as the command line reads it.
 * @param {string} id
 * @param {File} file
 * @returns {Promise<{pins: Pin[], notes: string[]}>}
 */
export async function readPins(id, file) {
  return (await answered(
    `photographs/${id}/pins`, {method: 'POST', body: file})).json();
}

/** @type {(id: string, asked: object) => Promise<Blob>} */
export async function save(id, asked) {
  return (await answered(`photographs/${id}/save`, asJson(asked))).blob();
}
