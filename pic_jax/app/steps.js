// @ts-check
// Steps of the user's work. After each step, the versions without a picture are
// drawn and the work is stored in this browser. Buttons, keys and the browser's
// Back button undo a step.

import {input} from './dom.js';
import {remember, rememberSteps, TabHistory} from './memory.js';
import {current, say, state, update} from './state.js';

/** @typedef {import('./work.js').Work} Work */
/** @typedef {import('./state.js').Step} Step */

/** Returns whether two JSON values are equal. */
const same = (/** @type {unknown} */ a, /** @type {unknown} */ b) => (
  JSON.stringify(a) === JSON.stringify(b));

/** Takes steps, and undoes and redoes them. */
export class Steps {
  /**
   * @param {() => Promise<void>} draw draws the versions that have no picture
   * @param {(step: Step) => Promise<void>} reopen opens the photograph of a
   *   step
   */
  constructor(draw, reopen) {
    this.draw = draw;
    this.reopen = reopen;
    this.tab = new TabHistory(history);
    this.kind = ''; // kind of the last step, see `take`
  }

  /**
   * Adds a step, and draws the versions that have no picture.
   * @param {Work} work the work after the step
   * @param {string} kind kind of the step. A step replaces the last one if both
   *   have the same kind, and the kind is not ''.
   */
  take(work, kind = '') {
    const {photo} = current();
    const step = {sha256: photo.sha256, id: photo.id, name: state.name, work};
    const {timeline} = state;
    if (same(timeline.now?.work, work) && timeline.now?.sha256 === step.sha256) {
      update({work, live: null});
      return this.draw();
    }
    const isFirst = timeline.index < 0;
    const replaces = kind !== '' && kind === this.kind
      && timeline.now?.sha256 === step.sha256;
    this.kind = kind;
    if (replaces) timeline.replace(step);
    else timeline.push(step);
    this.tab.write(step, !replaces && !isFirst);
    this.store();
    if (kind !== 'choose') say('');
    update({work, live: null});
    return this.draw();
  }

  /** Stores the work in this browser. */
  store() {
    const {model} = current();
    const step = state.timeline.now;
    if (!step) return;
    remember(step.sha256, {
      name: step.name, model: model.sha256, work: step.work});
    rememberSteps(state.timeline);
  }

  /**
   * Undoes (-1) or redoes (1) a step.
   * @param {-1 | 1} by
   */
  async go(by) {
    const {timeline} = state;
    if (!(by < 0 ? timeline.canUndo : timeline.canRedo)) {
      say(by < 0 ? 'Nothing is left to undo.' : 'Nothing is left to redo.');
      return;
    }
    const step = by < 0 ? timeline.undo() : timeline.redo();
    try {
      await this.apply(step);
    } catch (error) {
      if (by < 0) timeline.redo();
      else timeline.undo();
      throw error;
    }
  }

  /**
   * Restores the work to which a step led.
   * @param {Step} step
   */
  async apply(step) {
    if (step.sha256 !== state.photo?.sha256) await this.reopen(step);
    this.kind = '';
    this.tab.write(step, false);
    update({work: step.work, live: null, chooser: null});
    this.store();
    say('');
    await this.draw();
  }

  /**
   * Follows the browser's Back and Forward.
   * @param {any} entry
   */
  async arrive(entry) {
    const {step, isBack} = this.tab.arrive(entry);
    const {timeline} = state;
    if (!step) return;
    if (same(step, timeline.now)) {
      // The Undo button has already gone to this step, so Back goes one further.
      if (isBack && this.tab.position > 0) history.back();
      return;
    }
    const index = timeline.steps.findLastIndex((other) => same(other, step));
    if (index >= 0) timeline.index = index;
    else timeline.push(step);
    await this.apply(step);
  }

  /** Enables and disables the buttons. */
  render() {
    input('undo').disabled = !state.timeline.canUndo;
    input('redo').disabled = !state.timeline.canRedo;
  }
}
