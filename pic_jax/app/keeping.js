// What a person takes away: files, a link, a command.

import {page} from './state.js';

export function download(blob, suffix) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${page.name}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// A link to a version that is shown; of the photograph it has the digest only.
export function linkTo({seed, sample, temperature, saturation, pins}) {
  const fields = new URLSearchParams({
    photograph: page.photo.sha256,
    model: page.model.sha256,
    seed,
    sample,
    temperature,
    saturation,
    pins: pins.map((pin) => pin.join(',')).join(' '),
  });
  return `${location.origin}${location.pathname}#${fields}`;
}

// What the link that led here asks for, or null.
export function wantedByLink() {
  const fields = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!fields.photograph) return null;
  for (const name of ['seed', 'sample', 'temperature', 'saturation']) {
    fields[name] = Number(fields[name]);
  }
  const pins = (fields.pins ?? '').split(' ').filter(Boolean);
  fields.pins = pins.map((text) => {
    const [x, y, colour] = text.split(',');
    return [Number(x), Number(y), colour];
  });
  return fields;
}

// The command that writes the picture that is shown.
export function commandFor({seed, sample, temperature, saturation, pins}) {
  const words = ['pic-jax', 'colorize', quoted(page.name), '-o', 'out',
    '--samples', sample];
  const defaults = page.model.defaults;
  if (page.model.name !== defaults.model) {
    words.push('--model', quoted(page.model.name));
  }
  if (seed) words.push('--seed', seed);
  if (temperature !== defaults.temperature) {
    words.push('--temperature', temperature);
  }
  if (pins.length) words.push('--hints', quoted(`${page.name}.pins.csv`));
  if (saturation !== 1) words.push('--saturation', saturation);
  return words.join(' ');
}

const quoted = (text) => (
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
