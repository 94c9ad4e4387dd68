// @ts-check
/** @typedef {import('./types.js').Prediction} Prediction */
/** @typedef {import('./types.js').StateScore} StateScore */
import { LEVELS, percent, STATES } from './affect.js';
import { html, setText, svg } from './dom.js';
import { qualityText } from './messages.js';

const CENTER = { x: 60, y: 60 };
const RADIUS = 48;
const GAP = 2.5; // degrees, on each side of a segment

/** A point of the half circle. @param {number} share 0 (left) to 1 (right) @param {number} radius */
function onArc(share, radius) {
  const angle = Math.PI * (1 - share);
  return { x: CENTER.x + radius * Math.cos(angle), y: CENTER.y - radius * Math.sin(angle) };
}

/** Segment of one level, 0 to 3. @param {number} level */
function segmentPath(level) {
  const gap = GAP / 180;
  const from = onArc(level / 4 + gap, RADIUS);
  const to = onArc((level + 1) / 4 - gap, RADIUS);
  const point = (/** @type {{x: number, y: number}} */ p) => `${p.x.toFixed(2)} ${p.y.toFixed(2)}`;
  return `M ${point(from)} A ${RADIUS} ${RADIUS} 0 0 1 ${point(to)}`;
}

/** One state: four segments as bright as their probabilities, a dot at the expected level. */
class Gauge {
  /** @param {import('./types.js').StateName} name @param {string} color CSS variable */
  constructor(name, color) {
    this.segments = LEVELS.map((_, level) => svg('path', { d: segmentPath(level), class: 'segment' }));
    this.dot = svg('circle', { r: '4.2', class: 'dot' });
    this.meter = html(
      'div',
      { class: 'dial', role: 'meter', 'aria-label': name, 'aria-valuemin': '0', 'aria-valuemax': '3' },
      svg('svg', { viewBox: '4 4 112 62', 'aria-hidden': 'true' }, ...this.segments, this.dot),
    );
    this.level = html('p', { class: 'level' });
    this.sure = html('span');
    this.expected = html('span', { title: 'Expected level, 0 to 3' });
    this.element = html(
      'div',
      { class: 'gauge', 'data-state': name },
      html('h4', {}, name),
      html('div', { class: 'face' }, this.meter, this.level),
      html('p', { class: 'numbers' }, this.sure, this.expected),
    );
    this.element.style.setProperty('--color', `var(${color})`);
  }

  /** @param {StateScore} score */
  show(score) {
    const expected = score.expected_level.toFixed(1);
    const sure = percent(score.confidence);
    this.meter.setAttribute('aria-valuenow', String(score.level));
    this.meter.setAttribute('aria-valuetext', `${LEVELS[score.level]}, ${sure} sure, expected level ${expected} of 3`);
    this.segments.forEach((segment, level) => {
      segment.setAttribute('stroke-opacity', (0.14 + 0.86 * score.probabilities[level]).toFixed(3));
    });
    const { x, y } = onArc((score.expected_level + 0.5) / 4, RADIUS);
    this.dot.setAttribute('transform', `translate(${x.toFixed(2)} ${y.toFixed(2)})`);
    setText(this.level, LEVELS[score.level]);
    setText(this.sure, `${sure} sure`);
    setText(this.expected, `expected ${expected}`);
  }
}

/** One face: four gauges, and what the server says about the picture. */
class Card {
  /** @param {number} id @param {() => void} onChoose */
  constructor(id, onChoose) {
    this.gauges = STATES.map(({ name, color }) => new Gauge(name, color));
    this.quality = html('ul', { class: 'quality', 'aria-label': 'Picture quality' });
    this.choose = html('button', { type: 'button', class: 'small', 'aria-pressed': 'false' }, 'In the timeline');
    this.choose.addEventListener('click', onChoose);
    this.element = html(
      'article',
      { class: 'card person', 'data-face': String(id), 'aria-label': `Face ${id}` },
      html('header', {}, html('h3', {}, `Face ${id}`), this.choose),
      html('div', { class: 'gauges' }, ...this.gauges.map((gauge) => gauge.element)),
      this.quality,
    );
  }

  /** @param {Prediction} prediction */
  show(prediction) {
    STATES.forEach(({ name }, i) => this.gauges[i].show(prediction.predictions[name]));
    const { usable = true, warnings = [] } = prediction.quality ?? {};
    const lines = warnings.map(qualityText);
    if (!usable) lines.unshift('This picture is hard to read: take the levels with a grain of salt.');
    if (lines.join() === this.lines?.join()) return;
    this.lines = lines;
    this.quality.replaceChildren(...lines.map((line) => html('li', {}, line)));
  }
}

/** The cards of all faces in view. One of them is chosen: its minute is in the timeline. */
export class People {
  /**
   * @param {HTMLElement} root
   * @param {(id: number | null) => void} onChosen also when the chosen face left
   */
  constructor(root, onChosen) {
    this.root = root;
    this.onChosen = onChosen;
    /** @type {Map<number, Card>} */
    this.cards = new Map();
    /** @type {number | null} */
    this.chosen = null;
  }

  /** @param {number} id @param {Prediction} prediction */
  show(id, prediction) {
    let card = this.cards.get(id);
    if (!card) {
      card = new Card(id, () => this.#choose(id));
      this.cards.set(id, card);
      const next = [...this.cards.keys()].filter((other) => other > id).sort((a, b) => a - b)[0];
      this.root.insertBefore(card.element, this.cards.get(next)?.element ?? null);
      if (this.chosen === null) this.#choose(id);
    }
    card.show(prediction);
  }

  /** Drops the cards of faces that are gone. @param {(id: number) => boolean} isThere */
  keep(isThere) {
    for (const [id, card] of this.cards) {
      if (isThere(id)) continue;
      card.element.remove();
      this.cards.delete(id);
    }
    if (this.chosen !== null && !this.cards.has(this.chosen)) {
      this.#choose(this.cards.keys().next().value ?? null);
    }
  }

  /** @param {number | null} id */
  #choose(id) {
    this.chosen = id;
    for (const [other, card] of this.cards) {
      card.choose.setAttribute('aria-pressed', String(other === id));
    }
    this.onChosen(id);
  }
}
