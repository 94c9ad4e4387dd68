// @ts-check
/** @typedef {import('./types.js').StateName} StateName */

/**
 * The four states, in the order the page shows them everywhere. `color` names a CSS variable;
 * `dash` tells the lines of the chart apart without colour.
 * @type {ReadonlyArray<{name: StateName, color: string, dash: number[]}>}
 */
export const STATES = [
  { name: 'Boredom', color: '--boredom', dash: [10, 4] },
  { name: 'Engagement', color: '--engagement', dash: [] },
  { name: 'Confusion', color: '--confusion', dash: [3, 4] },
  { name: 'Frustration', color: '--frustration', dash: [12, 4, 3, 4] },
];

/** Names of the levels 0 to 3. */
export const LEVELS = ['very low', 'low', 'high', 'very high'];

/** @param {number} share 0 to 1 */
export const percent = (share) => `${Math.round(share * 100)} %`;
