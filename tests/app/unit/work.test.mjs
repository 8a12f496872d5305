// Functions of work.js: what they change, and what they do not change.

import assert from 'node:assert/strict';
import test from 'node:test';

import * as works from '../../../pic_jax/app/work.js';

const NEUTRAL = {saturation: 1, warmth: 0, tint: 0, strength: 1};
const PIN = {x: 3, y: 4, color: '#c81e28', size: 'M'};
const start = () => works.add(
  works.emptyWork({temperature: 0.8, adjustments: NEUTRAL}), 4);
const samples = (work) => work.versions.map(({recipe}) => recipe.sample);
const star = (work, index) => works.toggleKept(work, work.versions[index].id);

test('new versions get new sample numbers, and the first one is chosen', () => {
  const work = start();
  assert.deepEqual(samples(work), [0, 1, 2, 3]);
  assert.equal(work.chosen, work.versions[0].id);
  assert.deepEqual(samples(works.add(work, 4)), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('the functions do not modify their arguments', () => {
  const work = start(), before = structuredClone(work);
  works.renew(star(works.setPins(work, [PIN]), 1), 4);
  assert.deepEqual(work, before);
});

test('renew replaces all versions without a star', () => {
  const work = works.renew(star(start(), 1), 4);
  assert.deepEqual(samples(work), [1, 4, 5, 6]);
  assert.equal(works.chosenOf(work).recipe.sample, 4);
});

test('if all versions have a star, renew adds one', () => {
  let work = start();
  for (const index of [0, 1, 2, 3]) work = star(work, index);
  work = works.renew(work, 4);
  assert.deepEqual(samples(work), [0, 1, 2, 3, 4]);
  assert.equal(works.chosenOf(work).recipe.sample, 4);
});

test('a pin keeps the samples, and does not change starred versions', () => {
  const work = works.setPins(star(start(), 1), [PIN]);
  assert.deepEqual(samples(work), [0, 1, 2, 3]);
  assert.deepEqual(
    work.versions.map(({recipe}) => recipe.pins.length), [1, 0, 1, 1]);
});

test('if the chosen version has a star, a copy of it gets the pin', () => {
  const work = works.setPins(star(start(), 0), [PIN]);
  assert.deepEqual(samples(work), [0, 0, 1, 2, 3]);
  assert.deepEqual(work.versions.map(({kept}) => kept),
    [true, false, false, false, false]);
  assert.equal(work.chosen, work.versions[1].id);
  assert.deepEqual(work.versions[1].recipe.pins, [PIN]);
});

test('a copy that equals its original is removed unless it is chosen', () => {
  const starred = star(start(), 0);
  const work = works.setPins(works.setPins(starred, [PIN]), []);
  assert.deepEqual(samples(work), [0, 0, 1, 2, 3]);
  const other = works.setPins({...work, chosen: work.versions[2].id}, []);
  assert.deepEqual(samples(other), [0, 1, 2, 3]);
});

test('another temperature keeps the samples', () => {
  const work = works.setTemperature(start(), 1.2);
  assert.deepEqual(samples(work), [0, 1, 2, 3]);
  assert.ok(work.versions.every(({recipe}) => recipe.temperature === 1.2));
});

test('the version of a link is added once', () => {
  const wanted = {seed: 2, sample: 9, temperature: 1, pins: [PIN],
    adjustments: {...NEUTRAL, warmth: 20}};
  const work = works.openLinkedVersion(start(), wanted);
  assert.deepEqual(samples(work), [9, 0, 1, 2, 3]);
  assert.deepEqual(works.chosenOf(work).recipe.seed, 2);
  assert.equal(work.adjustments.warmth, 20);
  assert.equal(works.openLinkedVersion(work, wanted).versions.length, 5);
});

test('there are at most MAX_VERSIONS versions', () => {
  let work = start();
  for (let i = 0; i < 60; i++) work = works.add(work, 4);
  assert.equal(work.versions.length, works.MAX_VERSIONS);
});

test('isWork accepts a work, and refuses other values', () => {
  const work = works.setPins(start(), [PIN]);
  assert.ok(works.isWork(JSON.parse(JSON.stringify(work))));
  for (const broken of [null, {}, {...work, versions: []},
    {...work, adjustments: {saturation: 1}}, {...work, pins: [[1, 2, '#000000']]},
    {...work, versions: [{id: 0}]}, {...work, temperature: 'warm'},
    {...work, pins: [{...PIN, color: 'red'}]}]) {
    assert.equal(works.isWork(broken), false);
  }
});
