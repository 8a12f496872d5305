// Compares colours with values of scikit-image and of adjustments.py.

import assert from 'node:assert/strict';
import test from 'node:test';

import {
  adjust, fromHex, nameOf, toHex, toLab, toRgb,
} from '../../../pic_jax/app/colors.js';

const near = (a, b, tolerance) => a.forEach((x, i) => assert.ok(
  Math.abs(x - b[i]) <= tolerance, `${a} is not near ${b}`));

test('toLab agrees with scikit-image', () => {
  // skimage.color.rgb2lab(np.uint8([[[200, 30, 40], ...]])).
  near(toLab(200, 30, 40), [43.308, 63.302, 39.977], 0.02);
  near(toLab(20, 140, 220), [56.157, -1.356, -49.143], 0.02);
  near(toLab(128, 128, 128), [53.585, 0, 0], 0.02);
});

test('toRgb inverts toLab', () => {
  for (const rgb of [[0, 0, 0], [255, 255, 255], [12, 200, 99], [250, 3, 128]]) {
    near(toRgb(...toLab(...rgb)), rgb, 1);
  }
});

const adjusted = (rgb, changes) => {
  const pixels = new Uint8ClampedArray([...rgb, 200]);
  adjust(pixels, {
    saturation: 1, warmth: 0, tint: 0, strength: 1, ...changes});
  return [...pixels];
};

test('adjust agrees with adjustments.py', () => {
  // lab_to_rgb(Adjustments(...).balance([L, s * a, s * b])), where s is the
  // saturation and (L, a, b) is the Lab value of (150, 90, 60).
  near(adjusted([150, 90, 60], {}), [150, 90, 60, 200], 1);
  near(adjusted([150, 90, 60], {strength: 0}), [105, 105, 105, 200], 1);
  near(adjusted([150, 90, 60], {saturation: 1.5}), [167, 81, 36, 200], 1);
  near(adjusted([150, 90, 60], {warmth: 60, tint: -30}), [150, 90, 52, 200], 1);
});

test('toHex writes a colour and fromHex reads it', () => {
  assert.equal(toHex([200, 30, 5]), '#c81e05');
  assert.deepEqual(fromHex('#c81e05'), [200, 30, 5]);
});

test('nameOf gives each colour a name', () => {
  for (const [hex, name] of [['#000000', 'black'], ['#ffffff', 'white'],
    ['#808080', 'grey'], ['#c81e1e', 'vivid red'], ['#1e3cc8', 'vivid blue'],
    ['#2e8b2e', 'green'], ['#8b5a2b', 'brown'], ['#ffd700', 'light vivid yellow'],
    ['#ffa0c0', 'light pink'], ['#40b0a0', 'turquoise']]) {
    assert.equal(nameOf(hex), name, hex);
  }
});
