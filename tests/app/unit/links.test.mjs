// Links to versions, pins as text, and commands.

import assert from 'node:assert/strict';
import test from 'node:test';

import {
  commandFor, linkTo, parseLink, parsePin, pinText,
} from '../../../pic_jax/app/links.js';

const DEFAULTS = {
  model: 'photos', temperature: 0.8,
  adjustments: {saturation: 1.2, warmth: 0, tint: 0, strength: 1},
};
const RECIPE = {seed: 3, sample: 2, temperature: 0.9, pins: [
  {x: 3, y: 4, color: '#c81e28', size: 'M'},
  {x: 30, y: 0, color: '#0000ff', size: ''}]};
const ADJUSTMENTS = {saturation: 1.5, warmth: -20, tint: 5, strength: 0.75};
const PHOTOGRAPH = 'a0'.repeat(32);
const LINK = linkTo('http://localhost:8000/', {photograph: PHOTOGRAPH,
  model: 'b1', recipe: RECIPE, adjustments: ADJUSTMENTS});
const hash = new URL(LINK).hash;

test('a link contains everything that a version depends on', () => {
  assert.deepEqual(parseLink(hash, DEFAULTS), {ignored: [], wanted: {
    ...RECIPE, photograph: PHOTOGRAPH, model: 'b1', adjustments: ADJUSTMENTS}});
});

test('fields that a link lacks have default values and are reported', () => {
  const {wanted, ignored} = parseLink(`#photograph=${PHOTOGRAPH}`, DEFAULTS);
  assert.equal(wanted.temperature, 0.8);
  assert.equal(wanted.sample, 0);
  assert.deepEqual(wanted.pins, []);
  assert.deepEqual(ignored, [
    'seed', 'sample', 'temperature', 'saturation', 'pins', 'model']);
});

test('every field of a link is checked', () => {
  for (const [field, value] of [['seed', '1.5'], ['sample', '-1'],
    ['sample', '9999999999'], ['temperature', 'NaN'], ['temperature', '-1'],
    ['saturation', 'Infinity'], ['warmth', '101'], ['tint', 'x'],
    ['strength', '2'], ['pins', '1,2,red'], ['pins', '1.5,2,#000000']]) {
    const fields = new URLSearchParams(hash.slice(1));
    fields.set(field, value);
    assert.deepEqual(
      parseLink(`#${fields}`, DEFAULTS).ignored, [field], `${field}=${value}`);
  }
});

test('unknown fields are ignored and reported', () => {
  const {wanted, ignored} = parseLink(
    `${hash}&cards=1&__proto__=2&versions=3`, DEFAULTS);
  assert.deepEqual(ignored, ['cards', '__proto__', 'versions']);
  assert.deepEqual(Object.keys(wanted).sort(), ['adjustments', 'model',
    'photograph', 'pins', 'sample', 'seed', 'temperature']);
});

test('a text without the sha256 of a photograph is not a link', () => {
  for (const text of ['', '#', '#top', '#photograph=abc', '#seed=3']) {
    assert.equal(parseLink(text, DEFAULTS), null);
  }
});

test('links of older releases, which have only a saturation, are read', () => {
  const {wanted, ignored} = parseLink(`#photograph=${PHOTOGRAPH}&model=x&seed=1`
    + '&sample=2&temperature=0.8&saturation=1.5&pins=1%2C2%2C%23aabbcc',
  DEFAULTS);
  assert.deepEqual(ignored, []);
  assert.deepEqual(wanted.adjustments,
    {saturation: 1.5, warmth: 0, tint: 0, strength: 1});
  assert.deepEqual(wanted.pins, [{x: 1, y: 2, color: '#aabbcc', size: ''}]);
});

test('parsePin reads what pinText writes, and refuses other texts', () => {
  for (const pin of RECIPE.pins) assert.deepEqual(parsePin(pinText(pin)), pin);
  assert.equal(pinText(RECIPE.pins[0]), '3,4,#c81e28,M');
  for (const text of ['', '1,2', '1,2,#12', '1,2,#123456,XL', 'a,2,#123456']) {
    assert.equal(parsePin(text), null);
  }
});

const MODEL = {name: 'photos', defaults: DEFAULTS};
const PLAIN = {seed: 0, sample: 1, temperature: 0.8, pins: []};

test('the command contains the options that differ from the defaults', () => {
  assert.equal(commandFor('a.jpg', PLAIN, DEFAULTS.adjustments, MODEL),
    'pic-jax colorize a.jpg -o out --samples 1');
  assert.equal(commandFor('my cat.png', RECIPE, ADJUSTMENTS,
    {...MODEL, name: 'runs/x'}),
  "pic-jax colorize 'my cat.png' -o out --samples 2 --model runs/x --seed 3 "
    + "--temperature 0.9 --hints 'my cat.png.pins.csv' --saturation=1.5 "
    + '--warmth=-20 --tint=5 --strength=0.75');
});

test('a file name that begins with a dash is not read as an option', () => {
  assert.match(commandFor('-3.jpg', RECIPE, DEFAULTS.adjustments, MODEL),
    /colorize \.\/-3\.jpg .*--hints \.\/-3\.jpg\.pins\.csv$/);
});
