// @ts-check
// The requests that the page sends to the server. Every failure throws an
// `Error` with a message for the user. If the server answers with an error
// status, it is an `AnswerError`.

/** @typedef {import('./work.js').Recipe} Recipe */
/** @typedef {import('./work.js').Pin} Pin */
/** @typedef {import('./work.js').Adjustments} Adjustments */

/** An error that the server reported, with the HTTP status. */
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
 * Sends a request and returns the response; throws if the request fails.
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (/** @type {Error} */ (error).name === 'AbortError') throw error;
    throw new Error('The program does not answer. Is it still running?');
  }
  if (response.ok) return response;
  let text = `The program answered ${response.status}.`;
  try {
    text = (await response.json()).error;
  } catch { /* not JSON, so a proxy answered */ }
  throw new AnswerError(text, response.status);
}

/**
 * Returns the options of a request whose body is JSON.
 * @type {(value: unknown, signal?: AbortSignal) => RequestInit}
 */
const asJson = (value, signal) => ({
  method: 'POST',
  headers: {'Content-Type': 'application/json'},
  body: JSON.stringify(value),
  signal,
});

/** Returns the facts about the model. */
export async function model() {
  return (await send('model')).json();
}

/**
 * Uploads a photograph and returns the facts about it.
 * @type {(file: Blob, signal?: AbortSignal) => Promise<any>}
 */
export async function open(file, signal) {
  return (await send(
    'photographs', {method: 'POST', body: file, signal})).json();
}

/**
 * Returns the file of an example photograph.
 * @param {string} name
 */
export async function example(name) {
  return (await send(name)).blob();
}

/**
 * Returns the facts about a photograph that the server has opened.
 * @param {string} id
 */
export async function describe(id) {
  return (await send(`photographs/${id}`)).json();
}

/**
 * Draws samples and yields an object for each one, as soon as it is drawn.
 * Yields `{compiling: true}` first if the server has to compile the model.
 * @param {string} id
 * @param {Recipe[]} recipes
 * @param {AbortSignal} signal
 */
export async function* draw(id, recipes, signal) {
  const response = await send(
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
 * Returns a picture for the screen, or a part of it.
 * @param {string} id
 * @param {{kind: string, recipe?: Recipe, adjustments?: Adjustments,
 *   box?: number[], width?: number}} asked
 * @param {AbortSignal} signal
 */
export async function view(id, asked, signal) {
  return (await send(
    `photographs/${id}/view`, asJson(asked, signal))).blob();
}

/**
 * Returns the colours for a pin at a spot. See `_palette_request` in server.py
 * for the fields of the request.
 * @type {(id: string, asked: object) => Promise<any>}
 */
export async function palette(id, asked) {
  return (await send(`photographs/${id}/palette`, asJson(asked))).json();
}

/**
 * Returns the indices of samples, ordered so that each sample differs most from
 * the earlier ones.
 * @type {(id: string, recipes: Recipe[]) => Promise<number[]>}
 */
export async function order(id, recipes) {
  return (await send(
    `photographs/${id}/order`, asJson({recipes}))).json();
}

/**
 * Returns the pins in a file of hints, as the command line reads it.
 * @param {string} id
 * @param {File} file
 * @returns {Promise<{pins: Pin[], notes: string[]}>}
 */
export async function readPins(id, file) {
  return (await send(
    `photographs/${id}/pins`, {method: 'POST', body: file})).json();
}

/**
 * Returns a file with versions at the photograph's size. See
 * `SaveRequest.from_json` in screen_view.py for the fields of the request.
 * @type {(id: string, asked: object) => Promise<Blob>}
 */
export async function save(id, asked) {
  return (await send(`photographs/${id}/save`, asJson(asked))).blob();
}
