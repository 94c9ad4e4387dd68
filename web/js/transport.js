// @ts-check
// When to open a stream, and what to do while there is none. Pure: chance comes in as an argument.
import { ServerError } from './client.js';

const RETURN_WITHIN_MS = 1_000; // all who were cut off together do not come back together
const FIRST_DELAY_MS = { refused: 5_000, busy: 2_000, 'sign-in': 30_000 };
const LONGEST_DELAY_MS = 60_000;
const SHORTEST_MOVE_MS = 500;

/**
 * Why there is no stream any more. `lost`: it worked until now. `refused`: it could not be opened,
 * or the two sides do not understand each other.
 * @typedef {'lost' | 'refused' | 'busy' | 'sign-in'} Ending
 */

/** @param {number} code of the close event @param {boolean} wasReady @returns {Ending} */
export function endingOf(code, wasReady) {
  if (code === 3000 || code === 3003) return 'sign-in';
  if (code === 1013) return 'busy';
  // 1003, 1007 and so on say that we are wrong: we would be wrong again.
  return wasReady && ![1002, 1003, 1007, 1008, 1009, 1010].includes(code) ? 'lost' : 'refused';
}

/** What a person has to know of it; null: nothing, single posts will tell. @param {Ending} ending */
export function troubleOf(ending) {
  return ending === 'busy' || ending === 'sign-in' ? new ServerError(ending) : null;
}

/** How long the way from a draining server to another takes. @param {number} askedMs @param {number} random 0 to 1 */
export function moveDelayMs(askedMs, random) {
  return Math.max(SHORTEST_MOVE_MS, Math.min(askedMs, LONGEST_DELAY_MS)) * (1 + random / 4);
}

/**
 * A stream that worked and was lost is waited for, once. If that does not help, or the first one
 * already cannot be opened, frames go by single posts while the stream is tried again ever more
 * rarely. Only a server that says why it sends us away is told about.
 */
export class Transport {
  constructor() {
    /** What becomes of frames while there is no stream. @type {'wait' | 'post' | 'tell'} */
    this.meanwhile = 'wait';
    /** What to tell. @type {ServerError | null} */
    this.trouble = null;
    /** Streams that ended before they were of use. */
    this.failures = 0;
  }

  /** A stream is there. */
  ready() {
    this.meanwhile = 'wait';
    this.trouble = null;
  }

  /** It is of use. */
  answered() {
    this.failures = 0;
  }

  /**
   * A stream ended, or was none at all.
   * @param {Ending} ending
   * @param {number} random 0 to 1
   * @returns {number} milliseconds until the next try
   */
  ended(ending, random) {
    const before = this.failures++;
    this.trouble = troubleOf(ending);
    this.meanwhile = this.trouble ? 'tell' : 'post';
    if (ending === 'lost' && before === 0) {
      this.meanwhile = 'wait';
      return random * RETURN_WITHIN_MS;
    }
    const first = FIRST_DELAY_MS[ending === 'lost' ? 'refused' : ending];
    return Math.min(LONGEST_DELAY_MS, first * 2 ** before) * (1 - random / 2);
  }

  /**
   * A post got through that did not before: the server is back, and the stream may be as well.
   * @param {number} random 0 to 1
   * @returns {number} milliseconds until the next try
   */
  serverBack(random) {
    this.failures = 1;
    return random * RETURN_WITHIN_MS;
  }
}
