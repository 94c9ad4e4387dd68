// @ts-check
// Whose face is scored. Pure.
/** @typedef {import('./types.js').Track} Track */

/** Most faces that are scored at once. */
export const MAX_FACES = 8;
// The largest face stays chosen until another one is clearly larger.
const CLEARLY_LARGER = 1.3;

/** @param {Track} track */
const area = (track) => track.box.width * track.box.height;

/**
 * @param {Track[]} tracks the faces in view
 * @param {{everyone: boolean, chosenId: number | null}} options everyone in view has agreed; the
 *   face chosen before
 * @returns {Track[]} by id
 */
export function chooseFaces(tracks, { everyone, chosenId }) {
  const bySize = [...tracks].sort((a, b) => area(b) - area(a));
  if (everyone) return bySize.slice(0, MAX_FACES).sort((a, b) => a.id - b.id);
  const largest = bySize[0];
  if (!largest) return [];
  const before = bySize.find((track) => track.id === chosenId);
  return [before && area(largest) < CLEARLY_LARGER * area(before) ? before : largest];
}
