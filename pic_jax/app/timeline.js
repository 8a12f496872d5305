// @ts-check
// Steps that can be undone and done again.

export const MAX_STEPS = 100;

/** @template T */
export class Timeline {
  constructor() {
    /** @type {T[]} */
    this.steps = [];
    this.index = -1;
  }

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
   * Adds a finished step; what had been undone is gone.
   * @param {T} step
   */
  push(step) {
    this.steps = [...this.steps.slice(0, this.index + 1), step].slice(
      -MAX_STEPS);
    this.index = this.steps.length - 1;
  }

  /**
   * Puts a step in place of the present one.
   * @param {T} step
   */
  replace(step) {
    if (this.index < 0) this.push(step);
    this.steps = this.steps.map((old, i) => (i === this.index ? step : old));
  }

  undo() {
    if (this.canUndo) this.index--;
    return this.now;
  }

  redo() {
    if (this.canRedo) this.index++;
    return this.now;
  }
}
