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

/** @param {Response} response @returns {Promise<ServerError>} */
async function problemOf(response) {
  const problem = await response.json().catch(() => null); // problem+json, or anything from a proxy
  return new ServerError(errorKind(response.status), {
    status: response.status,
    retryAfterMs: retryAfterMs(response.headers.get('retry-after'), Date.now()),
    detail: typeof problem?.detail === 'string' ? problem.detail.replace(/\.$/, '') : '',
  });
}

/**
 * One post per face. The session exists on the server from the first post until forget().
 * @param {{sessionId: string, base?: string, timeoutMs?: number}} options
 * @returns {PredictClient}
 */
export function createRestClient({ sessionId, base = '', timeoutMs = TIMEOUT_MS }) {
  const closed = new AbortController();
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
    async predict(jpeg, faceId) {
      closed.signal.throwIfAborted();
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
        closed.signal.removeEventListener('abort', end);
      }
    },

    close() {
      closed.abort();
    },

    async forget() {
      if (!posted) return true; // the server never heard of it
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
    },
  };
}
