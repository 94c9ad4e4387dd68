// @ts-check
// The last minute of each face, in memory only. Pure.
/** @typedef {import('./types.js').Sample} Sample */
import { STATES } from './affect.js';

/** What the timeline shows, in seconds. */
export const WINDOW_S = 60;
// Longer than the slowest pace: after such a pause the line is broken, not drawn through.
const GAP_S = 10;

export class History {
  constructor() {
    /** @type {Sample[]} */
    this.samples = [];
  }

  /** @param {number} time seconds @param {number[]} levels expected levels, in the order of STATES */
  add(time, levels) {
    const last = this.samples.at(-1);
    if (last && time - last.time > GAP_S) {
      this.samples.push({ time: (last.time + time) / 2, levels: STATES.map(() => null) });
    }
    this.samples.push({ time, levels });
    // One sample before the window stays: its line enters from the left edge.
    while (this.samples.length > 1 && this.samples[1].time < time - WINDOW_S) this.samples.shift();
  }

  /** Times and then each state's levels: what a chart takes. @returns {(number | null)[][]} */
  columns() {
    return [
      this.samples.map((sample) => sample.time),
      ...STATES.map((_, i) => this.samples.map((sample) => sample.levels[i])),
    ];
  }

  /** @param {number} now seconds @returns {Sample[]} what is known of the window, the newest first */
  recent(now) {
    return this.samples
      .filter((sample) => sample.time >= now - WINDOW_S && sample.levels[0] !== null)
      .reverse();
  }
}
