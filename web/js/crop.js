// @ts-check
/** @typedef {import('./types.js').Box} Box */

/** Side of the crop, in pixels: the input size of the model's heads. */
export const CROP_SIZE = 112;
/** Added to the longer side of the face, so that chin and forehead are in. Training uses the same. */
export const CROP_MARGIN = 0.2;

/**
 * The square around a face, inside the frame. Pure.
 * @param {Box} box
 * @param {number} frameWidth
 * @param {number} frameHeight
 * @returns {{x: number, y: number, side: number}}
 */
export function squareAround(box, frameWidth, frameHeight) {
  const wanted = Math.max(box.width, box.height) * (1 + CROP_MARGIN);
  const side = Math.min(wanted, frameWidth, frameHeight);
  /** @param {number} center @param {number} length */
  const start = (center, length) => Math.min(Math.max(center - side / 2, 0), length - side);
  return {
    x: start(box.x + box.width / 2, frameWidth),
    y: start(box.y + box.height / 2, frameHeight),
    side,
  };
}

/**
 * The face as a JPEG of CROP_SIZE x CROP_SIZE.
 * @param {ImageBitmap} frame
 * @param {Box} box
 * @param {number} quality 0 to 1
 * @returns {Promise<ArrayBuffer>}
 */
export async function cropJpeg(frame, box, quality) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = CROP_SIZE;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no 2d canvas');
  context.imageSmoothingQuality = 'high';
  const { x, y, side } = squareAround(box, frame.width, frame.height);
  context.drawImage(frame, x, y, side, side, 0, 0, CROP_SIZE, CROP_SIZE);
  /** @type {Blob | null} */
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', quality));
  if (!blob) throw new Error('the browser could not write a JPEG');
  return blob.arrayBuffer();
}
