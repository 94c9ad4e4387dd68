// @ts-check
// What is said on /v1/stream: the texts of both sides. Pure.
/** @typedef {import('./types.js').StreamMessage} StreamMessage */
import { isPrediction, problemError, ServerError } from './client.js';

export const PROTOCOL = 'emotion.v1';

/** Opens a session that the server forgets soon after the socket closed. @param {string} sessionId */
export const startText = (sessionId) =>
  JSON.stringify({ type: 'start', session_id: sessionId, forget_on_close: true });

/** Announces the binary message that follows. @param {number} id @param {number} faceId */
export const frameText = (id, faceId) => JSON.stringify({ type: 'frame', id, face_id: faceId });

/** @type {StreamMessage} */
const BROKEN = { type: 'broken' };

/** Milliseconds, or 0. @param {unknown} value */
const duration = (value) => (typeof value === 'number' && value > 0 ? value : 0);

/** @param {any} message @returns {StreamMessage} */
function readAnswer(message) {
  const { type, id } = message;
  if (!Number.isSafeInteger(id)) return BROKEN;
  if (type === 'superseded') return { type, id };
  if (type === 'prediction') {
    if (isPrediction(message)) return { type, id, prediction: message };
    return { type: 'error', id, error: new ServerError('failed') };
  }
  if (message.problem?.reason === 'SUPERSEDED') return { type: 'superseded', id };
  return { type: 'error', id, error: problemError(message.problem) };
}

/** @param {any} message @returns {StreamMessage} */
function readObject(message) {
  switch (message.type) {
    case 'ready':
      return {
        type: 'ready',
        nextFrameAfterMs: duration(message.next_frame_after_ms),
        maxUnanswered: duration(message.limits?.max_unanswered) || Infinity,
      };
    case 'error':
      if (message.id !== undefined) return readAnswer(message);
      return { type: 'error', id: null, error: problemError(message.problem) };
    case 'prediction':
    case 'superseded':
      return readAnswer(message);
    case 'draining':
      return { type: 'draining', reconnectAfterMs: duration(message.reconnect_after_ms) };
    default:
      return typeof message.type === 'string' ? { type: 'other' } : BROKEN;
  }
}

/** @param {unknown} data of a message event @returns {StreamMessage} */
export function readMessage(data) {
  if (typeof data !== 'string') return BROKEN;
  try {
    return readObject(Object(JSON.parse(data)));
  } catch {
    return BROKEN; // no JSON
  }
}
