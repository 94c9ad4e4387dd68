// @ts-check
/** @typedef {import('./types.js').Box} Box */
/** @typedef {import('./types.js').Detector} Detector */
/** @typedef {import('./types.js').PredictClient} PredictClient */
/** @typedef {import('./types.js').Prediction} Prediction */
import { ServerError } from './client.js';

const MAX_SIDE = 1280;
const MAX_RETRIES = 3;
const FIRST_DELAY_MS = 500;

/**
 * Reads a picture the way it is meant to be seen, small enough to search.
 * @param {Blob} file
 * @returns {Promise<ImageBitmap>} rejects when it is not a picture
 */
export async function readPicture(file) {
  const whole = await createImageBitmap(file, { imageOrientation: 'from-image' });
  const scale = MAX_SIDE / Math.max(whole.width, whole.height);
  if (scale >= 1) return whole;
  const small = await createImageBitmap(whole, {
    resizeWidth: Math.max(1, Math.round(whole.width * scale)),
    resizeHeight: Math.max(1, Math.round(whole.height * scale)),
    resizeQuality: 'high',
  });
  whole.close();
  return small;
}

/**
 * The middle of a picture, for browsers that cannot detect faces. Its crop is the largest square.
 * @param {{width: number, height: number}} picture
 * @returns {Box}
 */
export function middleOf({ width, height }) {
  const side = Math.min(width, height);
  return { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side };
}

/**
 * How long to wait before a stored picture is sent again. Pure.
 * @param {ServerError} error
 * @param {number} attempt 0 after the first failure
 * @param {number} random 0 to 1
 * @returns {number | null} milliseconds; null: do not send it again
 */
export function retryDelayMs(error, attempt, random) {
  const mayPass = ['unreachable', 'timeout', 'busy'].includes(error.kind) && error.status !== 408;
  if (!mayPass || attempt >= MAX_RETRIES) return null;
  return error.retryAfterMs || random * FIRST_DELAY_MS * 2 ** attempt;
}

/**
 * Unlike a live frame, a stored picture is worth sending again.
 * @param {PredictClient} client
 * @param {ArrayBuffer} jpeg
 * @param {number} faceId
 * @returns {Promise<Prediction>}
 */
export async function predictStored(client, jpeg, faceId) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await client.predict(jpeg, faceId);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      const delay = retryDelayMs(error, attempt, Math.random());
      if (delay === null) throw error;
      await new Promise((done) => setTimeout(done, delay));
    }
  }
}
