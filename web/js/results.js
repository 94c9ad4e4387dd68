// @ts-check
/** @typedef {import('./types.js').Prediction} Prediction */
/** @typedef {import('./types.js').Way} Way */
import { percent, STATES } from './affect.js';
import { byId, setText } from './dom.js';
import { People } from './gauges.js';
import { History } from './history.js';
import { wayText } from './messages.js';
import { Timeline } from './timeline.js';

/** How an answer came about, in a few words. @param {Prediction} prediction @param {number} roundTripMs */
export function originText(prediction, roundTripMs) {
  const { processing_time_ms: serverMs, cached, cache, similarity } = prediction;
  const near = `from the cache, ${percent(similarity ?? 0)} like an earlier picture`;
  const origin = !cached ? 'freshly computed' : cache === 'near' ? near : 'from the cache, same picture';
  return `${origin} · server ${serverMs.toFixed(1)} ms · there and back ${Math.round(roundTripMs)} ms`;
}

/** Everything on the page that shows answers: gauges, timeline, demo banner, where they came from. */
export class Results {
  constructor() {
    /** @type {Map<number, History>} */
    this.histories = new Map();
    this.timeline = new Timeline(
      byId('timeline', HTMLElement),
      byId('legend', HTMLElement),
      byId('timeline-rows', HTMLElement),
    );
    this.people = new People(byId('people', HTMLElement), (id) => {
      this.timeline.show(id === null ? null : (this.histories.get(id) ?? null));
      setText(this.whose, id === null ? '' : `Face ${id}`);
    });
    this.whose = byId('timeline-whose', HTMLElement);
    this.waiting = byId('waiting', HTMLElement);
    this.origin = byId('origin', HTMLElement);
    this.way = byId('way', HTMLElement);
    this.demo = byId('demo', HTMLElement);
    /** When the newest picture with an answer was taken. */
    this.takenAt = 0;
  }

  /**
   * @param {number} id
   * @param {Prediction} prediction
   * @param {{takenAt: number, roundTripMs: number}} times
   */
  show(id, prediction, { takenAt, roundTripMs }) {
    this.takenAt = Math.max(this.takenAt, takenAt);
    const history = this.histories.get(id) ?? new History();
    this.histories.set(id, history);
    history.add(
      performance.now() / 1000,
      STATES.map(({ name }) => prediction.predictions[name].expected_level),
    );
    this.people.show(id, prediction);
    if (this.people.chosen === id) this.timeline.update();
    this.waiting.hidden = true;
    this.demo.hidden = !prediction.demo;
    setText(this.origin, originText(prediction, roundTripMs));
  }

  /** @param {(id: number) => boolean} isThere a face that left takes its card and its minute along */
  keep(isThere) {
    for (const id of this.histories.keys()) if (!isThere(id)) this.histories.delete(id);
    this.people.keep(isThere);
  }

  /** Time goes on: for the timeline, and for the age of what is shown. @param {Way} way */
  tick(way) {
    const now = performance.now();
    this.timeline.move(now / 1000);
    this.way.dataset.way = way;
    setText(this.way, wayText(way, this.histories.size ? now - this.takenAt : null));
  }

  /** Forgets everything. */
  clear() {
    this.keep(() => false);
    this.waiting.hidden = false;
    this.demo.hidden = true;
    setText(this.origin, '');
    setText(this.way, '');
    this.takenAt = 0;
  }
}
