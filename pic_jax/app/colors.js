// @ts-check
// Colours: conversion between sRGB and Lab, names, and adjustments of pictures.

/** @typedef {import('./work.js').Adjustments} Adjustments */
/** @typedef {[number, number, number]} Triple */

const DELTA = 6 / 29;
const WHITE = [0.95047, 1, 1.08883]; // D65

/** Table from sRGB values 0..255 to linear light 0..1. */
const LINEAR = Float64Array.from({length: 256}, (_, value) => {
  const x = value / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
});
/** Table from linear light, in steps of 1/4096, to sRGB values 0..255. */
const ENCODED = Uint8ClampedArray.from({length: 4097}, (_, step) => {
  const x = step / 4096;
  return 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);
});
const encode = (/** @type {number} */ x) => (
  ENCODED[x <= 0 ? 0 : x >= 1 ? 4096 : (4096 * x + 0.5) | 0]);
// The function f of CIELAB and its inverse: cube root and cube, linear near 0.
const root = (/** @type {number} */ t) => (
  t > DELTA ** 3 ? Math.cbrt(t) : t / (3 * DELTA ** 2) + 4 / 29);
const cube = (/** @type {number} */ f) => (
  f > DELTA ? f ** 3 : 3 * DELTA ** 2 * (f - 4 / 29));

/**
 * Converts sRGB values 0..255 to Lab.
 * @type {(r: number, g: number, b: number) => Triple}
 */
export function toLab(r, g, b) {
  const [R, G, B] = [LINEAR[r], LINEAR[g], LINEAR[b]];
  const x = root((0.4124564 * R + 0.3575761 * G + 0.1804375 * B) / WHITE[0]);
  const y = root(0.2126729 * R + 0.7151522 * G + 0.072175 * B);
  const z = root((0.0193339 * R + 0.119192 * G + 0.9503041 * B) / WHITE[2]);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/**
 * Converts Lab to sRGB values 0..255.
 * @type {(l: number, a: number, b: number) => Triple}
 */
export function toRgb(l, a, b) {
  const fy = (l + 16) / 116;
  const x = WHITE[0] * cube(fy + a / 500);
  const y = cube(fy);
  const z = WHITE[2] * cube(fy - b / 200);
  return [
    encode(3.2404542 * x - 1.5371385 * y - 0.4985314 * z),
    encode(-0.969266 * x + 1.8760108 * y + 0.041556 * z),
    encode(0.0556434 * x - 0.2040259 * y + 1.0572252 * z),
  ];
}

/**
 * Adjusts RGBA pixels in place, as photos/adjustments.py does.
 * @param {Uint8ClampedArray} pixels
 * @param {Adjustments} adjustments
 */
export function adjust(pixels, {saturation, warmth, tint, strength}) {
  const gainX = 1 + 1e-4 * warmth + 3e-4 * tint, gainZ = 1 - 1e-3 * warmth;
  for (let i = 0; i < pixels.length; i += 4) {
    const [l, a, b] = toLab(pixels[i], pixels[i + 1], pixels[i + 2]);
    const fy = (l + 16) / 116;
    const newA = saturation * gainX * a + 500 * (gainX - 1) * fy;
    const newB = saturation * gainZ * b + 200 * (1 - gainZ) * fy;
    const rgb = toRgb(l, strength * newA, strength * newB);
    pixels[i] = rgb[0];
    pixels[i + 1] = rgb[1];
    pixels[i + 2] = rgb[2];
  }
}

/**
 * Converts [r, g, b], 0..255, to '#rrggbb'.
 * @param {number[]} rgb
 */
export const toHex = (rgb) => `#${rgb.map(
  (value) => value.toString(16).padStart(2, '0')).join('')}`;

/**
 * Converts '#rrggbb' to [r, g, b], 0..255.
 * @type {(hex: string) => Triple}
 */
export const fromHex = (hex) => /** @type {Triple} */ (
  [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));

const HUES = ['pink', 'red', 'orange', 'yellow', 'olive green', 'green',
  'sea green', 'turquoise', 'sky blue', 'blue', 'violet', 'magenta'];
/** Hue angle in the (a, b) plane at which each of `HUES` begins, in degrees. */
const STARTS = [-15, 18, 48, 75, 105, 125, 155, 180, 225, 262, 308, 328];

/**
 * Returns the name of a colour, for people who cannot see it.
 * @param {string} hex
 */
export function nameOf(hex) {
  const [l, a, b] = toLab(...fromHex(hex));
  const chroma = Math.hypot(a, b);
  if (l < 8) return 'black';
  if (chroma < 6) {
    return l > 95 ? 'white' : l > 70 ? 'light grey' : l > 40 ? 'grey'
      : 'dark grey';
  }
  const degrees = (360 + 180 / Math.PI * Math.atan2(b, a)) % 360;
  const hue = degrees >= 345 ? degrees - 360 : degrees;
  let name = HUES[STARTS.findLastIndex((start) => hue >= start)];
  const canBeBrown = ['orange', 'yellow'].includes(name);
  if (canBeBrown && l < 62 && chroma < 60) name = 'brown';
  const lightness = l > 75 ? 'light ' : l < 30 ? 'dark ' : '';
  const vividness = chroma < 20 ? 'greyish ' : chroma > 65 ? 'vivid ' : '';
  return `${lightness}${vividness}${name}`;
}
