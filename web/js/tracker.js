// @ts-check
// Which face of this frame is which face of the last one. Pure.
/** @typedef {import('./types.js').Box} Box */
/** @typedef {import('./types.js').Track} Track */

const MAX_ID = 63; // the API takes 0 to 63
const FORGET_AFTER_MISSES = 10; // two seconds at five frames a second

/** Intersection over union, 0 to 1. @param {Box} a @param {Box} b */
export function overlap(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / (a.width * a.height + b.width * b.height - shared);
}

/**
 * How likely two boxes are the same face. Where they hardly overlap, a smaller score by distance
 * of their centres: a quick head moves half its width when a frame is late.
 * @param {Box} a @param {Box} b
 */
export function affinity(a, b) {
  const shared = overlap(a, b);
  if (shared >= 0.3) return shared;
  const dx = a.x + a.width / 2 - b.x - b.width / 2;
  const dy = a.y + a.height / 2 - b.y - b.height / 2;
  const wider = Math.max(a.width, b.width);
  const distance = Math.hypot(dx, dy) / wider;
  const ratio = Math.min(a.width, b.width) / wider;
  return distance < 0.9 && ratio > 0.6 ? 0.3 * (1 - distance) : 0;
}

/** Seen at least twice: single false detections send nothing. @param {Track} track */
export const isSteady = (track) => track.hits >= 2;

/** Greedy assignment by affinity: right for the few faces in front of a webcam. */
export class Tracker {
  /** @param {{mirrored?: boolean}} [options] the page shows the frames as in a mirror */
  constructor({ mirrored = false } = {}) {
    this.mirrored = mirrored;
    /** @type {Track[]} */
    this.tracks = [];
    this.lastId = 0;
  }

  /**
   * @param {Box[]} boxes the faces of a new frame
   * @returns {Track[]} the faces seen in it, by id; a lost one is kept aside for a while
   */
  update(boxes) {
    const pairs = this.tracks
      .flatMap((track) => boxes.map((box) => ({ track, box, score: affinity(track.box, box) })))
      .filter((pair) => pair.score > 0)
      .sort((a, b) => b.score - a.score);
    /** @type {Map<Box, Track>} */
    const matched = new Map();
    const found = new Set();
    for (const { track, box } of pairs) {
      if (matched.has(box) || found.has(track)) continue;
      matched.set(box, track);
      found.add(track);
    }

    for (const track of this.tracks) if (!found.has(track)) track.misses++;
    this.tracks = this.tracks.filter((track) => track.misses <= FORGET_AFTER_MISSES);

    // New faces are numbered from left to right as they are shown.
    const rightward = this.mirrored ? -1 : 1;
    const newcomers = boxes.filter((box) => !matched.has(box));
    newcomers.sort((a, b) => rightward * (a.x - b.x));
    for (const [box, track] of matched) Object.assign(track, { box, misses: 0, hits: track.hits + 1 });
    for (const box of newcomers) {
      const id = this.#freeId();
      if (id !== null) this.tracks.push({ id, box, hits: 1, misses: 0 });
    }
    return this.tracks.filter((track) => track.misses === 0).sort((a, b) => a.id - b.id);
  }

  /** The next number in turn, so that a new face is not taken for one that just left. */
  #freeId() {
    for (let step = 1; step <= MAX_ID; step++) {
      const id = ((this.lastId + step - 1) % MAX_ID) + 1;
      if (this.tracks.some((track) => track.id === id)) continue;
      this.lastId = id;
      return id;
    }
    return null; // 63 faces in view
  }
}
