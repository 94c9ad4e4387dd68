// @ts-check
/** @typedef {import('./history.js').History} History */
import uPlot from '../vendor/uplot-1.6.32/uPlot.esm.js';
import { LEVELS, STATES } from './affect.js';
import { html, svg } from './dom.js';
import { WINDOW_S } from './history.js';

const HEIGHT = 240;
const TICK_S = 15;
const FONT = '12px system-ui, sans-serif';

/** @param {string} name @returns {string} the color of the current theme */
const cssColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

/** @param {number} now @returns {number[]} always the same places, so that only the lines move */
function ticks(now) {
  return Array.from({ length: WINDOW_S / TICK_S + 1 }, (_, i) => now - WINDOW_S + i * TICK_S);
}

/** @returns {uPlot.Options} */
function chartOptions() {
  const axis = {
    font: FONT,
    stroke: () => cssColor('--muted'),
    grid: { stroke: () => cssColor('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: 600,
    height: HEIGHT,
    padding: [12, 20, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, auto: false }, y: { auto: false, range: [-0.1, 3.1] } },
    axes: [
      {
        ...axis,
        size: 30,
        splits: (_, __, ___, max) => ticks(max),
        values: (_, splits) => splits.map((t) => (t === splits.at(-1) ? 'now' : `−${Math.round((splits.at(-1) ?? t) - t)} s`)),
      },
      { ...axis, size: 72, splits: () => [0, 1, 2, 3], values: () => LEVELS },
    ],
    series: [
      {},
      ...STATES.map(({ name, color, dash }) => ({
        label: name,
        stroke: () => cssColor(color),
        fill: undefined,
        width: 2.5,
        dash,
        points: { show: true, size: 5 },
      })),
    ],
  };
}

/** The legend: a piece of each line, with its dashes, and the name. */
function legendItems() {
  return STATES.map(({ name, color, dash }) => {
    const line = svg('line', { x1: '1', y1: '5', x2: '33', y2: '5', 'stroke-dasharray': dash.join(' ') });
    const item = html('li', {}, svg('svg', { viewBox: '0 0 34 10', 'aria-hidden': 'true' }, line), name);
    item.style.setProperty('--color', `var(${color})`);
    return item;
  });
}

/** The last minute of one face, as lines and, for those who do not see them, as a table. */
export class Timeline {
  /**
   * @param {HTMLElement} chart
   * @param {HTMLElement} legend
   * @param {HTMLElement} rows a tbody
   */
  constructor(chart, legend, rows) {
    this.rows = rows;
    /** @type {History | null} */
    this.history = null;
    legend.replaceChildren(...legendItems());
    this.plot = new uPlot(chartOptions(), [[], [], [], [], []], chart);
    new ResizeObserver(() => {
      if (chart.clientWidth) this.plot.setSize({ width: chart.clientWidth, height: HEIGHT });
    }).observe(chart);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.plot.redraw());
  }

  /** @param {History | null} history whose minute to show; null: nobody's */
  show(history) {
    this.history = history;
    this.update();
  }

  /** After the history has grown. */
  update() {
    const columns = this.history?.columns() ?? [[], [], [], [], []];
    this.plot.setData(/** @type {uPlot.AlignedData} */ (columns), false);
    const now = performance.now() / 1000;
    this.move(now);
    const recent = this.history?.recent(now) ?? [];
    this.rows.replaceChildren(
      ...recent.map((sample) =>
        html(
          'tr',
          {},
          html('th', { scope: 'row' }, `${Math.round(now - sample.time)} s ago`),
          ...sample.levels.map((level) => html('td', {}, (level ?? 0).toFixed(1))),
        ),
      ),
    );
  }

  /** Lets the window glide on. @param {number} now seconds */
  move(now) {
    this.plot.setScale('x', { min: now - WINDOW_S, max: now });
  }
}
