// @ts-check
// When to send the next frame. Pure: time comes in as an argument, in milliseconds.

const FIRST_BACKOFF_MS = 2_000;
const LONGEST_BACKOFF_MS = 30_000;
const LONGEST_PERIOD_MS = 60_000; // whatever the server asks for

/**
 * One pace for all faces of a session: the load of the server is what it follows.
 */
export class Pace {
  /** @param {number} periodMs what the page wants; the server may ask for more, never for less */
  constructor(periodMs) {
    this.periodMs = periodMs;
    this.askedMs = 0;
    /** When the newest frame was due: what the period counts from. */
    this.lastAt = -Infinity;
    this.nextAt = -Infinity;
    this.backoffMs = 0;
    this.failedAt = -Infinity;
  }

  /** @param {number} now */
  due(now) {
    return now >= this.nextAt;
  }

  /**
   * A frame leaves now. Late ticks do not add up: the next one is due a period after this one
   * was due, unless it is more than half a period late.
   * @param {number} now
   */
  sent(now) {
    const period = this.#period();
    this.lastAt = now - this.nextAt < period / 2 ? this.nextAt : now;
    this.nextAt = this.lastAt + period;
  }

  /**
   * The server says how much it can take. Counts for the newest frame already.
   * @param {number} nextFrameAfterMs
   */
  asked(nextFrameAfterMs) {
    this.askedMs = Number.isFinite(nextFrameAfterMs) ? Math.min(nextFrameAfterMs, LONGEST_PERIOD_MS) : 0;
    this.nextAt = Math.max(this.nextAt, this.lastAt + this.#period());
  }

  /** A frame was answered: whatever was wrong is over. @param {number} nextFrameAfterMs as the answer says */
  answered(nextFrameAfterMs) {
    this.asked(nextFrameAfterMs);
    this.backoffMs = 0;
  }

  #period() {
    return Math.max(this.periodMs, this.askedMs);
  }

  /**
   * Faces that were sent together fail together: a frame sent before the last failure was counted
   * does not lengthen the back-off again.
   * @param {number} now
   * @param {{sentAt: number, retryAfterMs: number, random: number}} failure retryAfterMs is what
   *   the server asked for, 0: nothing; random (0 to 1) spreads clients that failed together
   * @returns {number} milliseconds until the next try
   */
  failed(now, { sentAt, retryAfterMs, random }) {
    if (sentAt <= this.failedAt) {
      this.nextAt = Math.max(this.nextAt, now + retryAfterMs);
    } else {
      this.failedAt = now;
      this.backoffMs = Math.min(LONGEST_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, 2 * this.backoffMs));
      this.nextAt = now + Math.max(retryAfterMs, this.backoffMs) + (random * this.backoffMs) / 4;
    }
    return this.nextAt - now;
  }
}

/**
 * How often to send: every 2 s; on a phone every 3 s, or 4 s where data is scarce.
 * @param {boolean} mobile
 * @param {{saveData?: boolean, effectiveType?: string}} [connection] navigator.connection
 */
export function periodFor(mobile, connection = {}) {
  if (!mobile) return 2_000;
  const scarce = connection.saveData || /2g|3g/.test(connection.effectiveType ?? '');
  return scarce ? 4_000 : 3_000;
}

/** Quality of the JPEG. @param {boolean} mobile */
export const qualityFor = (mobile) => (mobile ? 0.7 : 0.85);
