// Steps, and storage in the browser, which may refuse to store.

import assert from 'node:assert/strict';
import test from 'node:test';

import {Timeline, MAX_STEPS} from '../../../pic_jax/app/timeline.js';

class FakeStorage {
  setItem(key, value) {
    if (this.isFull) throw new Error('QuotaExceededError');
    this[key] = String(value);
  }
  getItem(key) { return Object.hasOwn(this, key) ? this[key] : null; }
  removeItem(key) { delete this[key]; }
}
globalThis.localStorage = new FakeStorage();
globalThis.location = {pathname: '/', search: ''};
const {
  forgetAll, MAX_WORKS, recall, recentColours, remember, rememberColour,
  TabHistory, WRITE_EVERY_MS,
} = await import('../../../pic_jax/app/memory.js');
const {add, emptyWork} = await import('../../../pic_jax/app/work.js');

const work = add(emptyWork({temperature: 1, adjustments: {
  saturation: 1, warmth: 0, tint: 0, strength: 1}}), 4);
const workToStore = {name: 'a.jpg', model: 'm', work};

test('steps are undone and redone', () => {
  const timeline = new Timeline();
  assert.equal(timeline.canUndo, false);
  timeline.push('a');
  timeline.push('b');
  timeline.push('c');
  assert.equal(timeline.undo(), 'b');
  assert.equal(timeline.undo(), 'a');
  assert.equal(timeline.canUndo, false);
  assert.equal(timeline.redo(), 'b');
  timeline.push('d');
  assert.deepEqual(
    [timeline.steps, timeline.canRedo], [['a', 'b', 'd'], false]);
  timeline.replace('e');
  assert.deepEqual(timeline.steps, ['a', 'b', 'e']);
  for (let i = 0; i < 200; i++) timeline.push(i);
  assert.deepEqual([timeline.steps.length, timeline.now], [MAX_STEPS, 199]);
});

test('the fifty newest works are stored', (t) => {
  t.mock.timers.enable({apis: ['Date']});
  for (let i = 0; i < 60; i++) {
    t.mock.timers.tick(1000);
    remember(`sha${i}`, workToStore);
  }
  assert.equal(recall('sha9'), null);
  assert.deepEqual(recall('sha10').work, work);
  assert.equal(forgetAll(), MAX_WORKS);
  assert.equal(recall('sha59'), null);
});

test('invalid works in the storage are ignored', () => {
  localStorage.setItem('pic_jax:work:x', '{"work": {"versions": 3}}');
  assert.equal(recall('x'), null);
  localStorage.setItem('pic_jax:work:x', 'nonsense');
  assert.equal(recall('x'), null);
});

test('a full storage causes no error', () => {
  localStorage.isFull = true;
  remember('full', workToStore);
  rememberColour('#010203');
  localStorage.isFull = false;
  assert.equal(recall('full'), null);
});

test('recent colours come newest first, each once', () => {
  for (let i = 0; i < 10; i++) rememberColour(`#00000${i}`);
  rememberColour('#000005');
  assert.deepEqual(recentColours().slice(0, 3),
    ['#000005', '#000009', '#000008']);
  assert.equal(recentColours().length, 8);
});

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class FakeHistory {
  constructor() { this.calls = []; this.state = null; }
  pushState(state) { this.write('push', state); }
  replaceState(state) { this.write('replace', state); }
  write(kind, state) {
    if (this.refuses) throw new DOMException('too often', 'SecurityError');
    this.calls.push([kind, state.step, state.position]);
    this.state = state;
  }
}

test('steps in quick succession are one entry', async () => {
  const browser = new FakeHistory(), tab = new TabHistory(browser);
  tab.write('a', false);
  tab.write('b', true);
  tab.write('c', true);
  tab.write('d', false);
  assert.deepEqual(browser.calls, [['replace', 'a', 0]]);
  await wait(WRITE_EVERY_MS + 50);
  assert.deepEqual(browser.calls, [['replace', 'a', 0], ['push', 'd', 1]]);
});

test('a write that the browser refuses is skipped', () => {
  const browser = new FakeHistory(), tab = new TabHistory(browser);
  browser.refuses = true;
  tab.write('a', true);
  assert.equal(tab.position, 0);
  browser.refuses = false;
  tab.lastWrite = -Infinity; // the next write need not wait
  tab.write('b', true);
  assert.deepEqual(browser.calls, [['push', 'b', 1]]);
});

test('arrive distinguishes Back from Forward', () => {
  const browser = new FakeHistory(), tab = new TabHistory(browser);
  tab.position = 3;
  assert.deepEqual(tab.arrive({step: 'x', position: 2}),
    {step: 'x', isBack: true});
  assert.deepEqual(tab.arrive({step: 'y', position: 3}),
    {step: 'y', isBack: false});
  assert.deepEqual(tab.arrive(null), {step: null, isBack: true});
});
