// @ts-check
/** @typedef {import('./types.js').Prediction} Prediction */
/** @typedef {import('./types.js').PredictClient} PredictClient */
import { STATES } from './affect.js';

const TIMEOUT_MS = 10_000;

/**
 * Why there is no prediction. `unreachable`, `timeout`, `busy` and `failed` may pass by themselves;
 * `sign-in` and `rejected` will not.
 * @typedef {'unreachable' | 'timeout' | 'busy' | 'failed' | 'sign-in' | 'rejected'} ErrorKind
 */

export class ServerError extends Error {
  /**
   * @param {ErrorKind} kind
   * @param {{status?: number, retryAfterMs?: number, detail?: string}} [more]
   */
  constructor(kind, more = {}) {
    super(`${kind} ${more.status ?? ''} ${more.detail ?? ''}`.trim());
    this.name = 'ServerError';
    this.kind = kind;
    /** 0: there was no answer */
    this.status = more.status ?? 0;
    /** What the server asked for; 0: nothing */
    this.retryAfterMs = more.retryAfterMs ?? 0;
    this.detail = more.detail ?? '';
  }
}

/** A frame that was passed over for a newer one. Nothing is wrong, and nobody need be told. */
export class Skipped extends Error {
  constructor() {
    super('A newer frame takes the place of this one.');
    this.name = 'Skipped';
  }
}

/**
 * The Retry-After header, which is either seconds or a date.
 * @param {string | null} value
 * @param {number} nowMs since the epoch
 * @returns {number} milliseconds to wait; 0 when absent, past or not understood
 */
export function retryAfterMs(value, nowMs) {
  if (!value) return 0;
  const wait = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isFinite(wait) ? Math.max(0, wait) : 0;
}

/** @param {number} status @returns {ErrorKind} */
export function errorKind(status) {
  if (status === 401 || status === 403) return 'sign-in';
  if (status === 408 || status === 504) return 'timeout';
  if (status === 429 || status === 503) return 'busy';
  return status >= 500 ? 'failed' : 'rejected';
}

/**
 * Whether an answer has what the page shows. A proxy may say 200 and send something else.
 * @param {any} answer
 * @returns {answer is Prediction}
 */
export function isPrediction(answer) {
  const { warnings = [] } = answer?.quality ?? {};
  if (!Number.isFinite(answer?.processing_time_ms) || !Array.isArray(warnings)) return false;
  if (!warnings.every((warning) => typeof warning === 'string')) return false;
  return STATES.every(({ name }) => {
    const score = answer?.predictions?.[name];
    return (
      [0, 1, 2, 3].includes(score?.level) &&
      Number.isFinite(score.confidence) &&
      Number.isFinite(score.expected_level) &&
      score.probabilities?.length === 4 &&
      score.probabilities.every(Number.isFinite)
    );
  });
}

/** A name that nobody can guess; works without a secure context, unlike crypto.randomUUID(). */
export function randomSessionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * What a problem object (RFC 9457) says; anything may come from a proxy.
 * @param {any} problem
 * @param {{status?: number, retryAfterMs?: number}} [known] from elsewhere
 */
export function problemError(problem, known = {}) {
  const status = known.status ?? (Number.isInteger(problem?.status) ? problem.status : 500);
  const detail = typeof problem?.detail === 'string' ? problem.detail.replace(/\.$/, '') : '';
  return new ServerError(errorKind(status), { ...known, status, detail });
}

/** @param {Response} response @returns {Promise<ServerError>} */
async function problemOf(response) {
  return problemError(await response.json().catch(() => null), {
    status: response.status,
    retryAfterMs: retryAfterMs(response.headers.get('retry-after'), Date.now()),
  });
}

/** @param {string} sessionId @param {string} [base] @returns {Promise<boolean>} whether the server confirmed it */
export async function forgetSession(sessionId, base = '') {
  try {
    const response = await fetch(`${base}/v1/sessions/${sessionId}`, {
      method: 'DELETE',
      credentials: 'same-origin',
      keepalive: true, // outlives the page
    });
    return response.ok;
  } catch {
    return false;
  }
}

/**
 * One post per frame, one at a time per face. The session exists on the server from the first post
 * until forget().
 * @param {{sessionId: string, base?: string, timeoutMs?: number}} options
 * @returns {PredictClient}
 */
export function createRestClient({ sessionId, base = '', timeoutMs = TIMEOUT_MS }) {
  const closed = new AbortController();
  /** Faces whose answer is awaited. @type {Set<number>} */
  const awaited = new Set();
  let posted = false;

  /** @param {ArrayBuffer} jpeg @param {number} faceId @param {AbortSignal} signal */
  async function post(jpeg, faceId, signal) {
    posted = true;
    const response = await fetch(`${base}/v1/predict`, {
      method: 'POST',
      body: jpeg,
      headers: {
        'content-type': 'image/jpeg',
        'x-session-id': sessionId,
        'x-face-id': String(faceId),
      },
      cache: 'no-store',
      credentials: 'same-origin',
      signal,
    });
    if (!response.ok) throw await problemOf(response);
    const answer = await response.json();
    if (!isPrediction(answer)) throw new ServerError('failed', { status: response.status });
    return answer;
  }

  return {
    way: 'posts',

    free(faceId) {
      return !awaited.has(faceId);
    },

    async predict(jpeg, faceId) {
      closed.signal.throwIfAborted();
      awaited.add(faceId);
      const ended = new AbortController();
      const end = () => ended.abort();
      closed.signal.addEventListener('abort', end);
      const timer = setTimeout(end, timeoutMs);
      try {
        return await post(jpeg, faceId, ended.signal);
      } catch (error) {
        closed.signal.throwIfAborted();
        if (error instanceof ServerError) throw error;
        if (ended.signal.aborted) throw new ServerError('timeout');
        throw new ServerError(error instanceof SyntaxError ? 'failed' : 'unreachable');
      } finally {
        clearTimeout(timer);
        awaited.delete(faceId);
        closed.signal.removeEventListener('abort', end);
      }
    },

    close() {
      closed.abort();
    },

    async forget() {
      return posted ? forgetSession(sessionId, base) : true; // else the server never heard of it
    },
  };
}
