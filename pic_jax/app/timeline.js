// @ts-check
// Steps that can be undone and redone.

/** The largest number of steps that are kept. */
export const MAX_STEPS = 100;

/**
 * A list of steps, one of which is the present one.
 * @template T
 */
export class Timeline {
  constructor() {
    /** @type {T[]} */
    this.steps = [];
    this.index = -1;
  }

  /** The present step; undefined if there is none. */
  get now() {
    return this.steps[this.index];
  }

  get canUndo() {
    return this.index > 0;
  }

  get canRedo() {
    return this.index < this.steps.length - 1;
  }

  /**
   * Adds a step and makes it the present one. Steps that were undone are lost.
   * @param {T} step
   */
  push(step) {
    this.steps = [...this.steps.slice(0, this.index + 1), step].slice(
      -MAX_STEPS);
    this.index = this.steps.length - 1;
  }

  /**
   * Replaces the present step.
   * @param {T} step
   */
  replace(step) {
    if (this.index < 0) this.push(step);
    this.steps = this.steps.map((old, i) => (i === this.index ? step : old));
  }

  /** Goes back one step, if possible, and returns the present step. */
  undo() {
    if (this.canUndo) this.index--;
    return this.now;
  }

  /** Goes forward one step, if possible, and returns the present step. */
  redo() {
    if (this.canRedo) this.index++;
    return this.now;
  }
}
