// @ts-check
/** @typedef {import('./types.js').Detector} Detector */

const MODEL = new URL('../models/face_full_range.tflite', import.meta.url).href;
const WORKER = new URL('./detect.worker.js', import.meta.url);

/**
 * Starts the detector in its worker. Rejects when the browser cannot run it (no WebGL, mostly).
 * @returns {Promise<Detector>}
 */
export async function createDetector() {
  const worker = new Worker(WORKER, { type: 'module' });
  let lastId = 0;
  /** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();

  worker.addEventListener('message', ({ data }) => {
    const asker = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error === undefined) return asker?.resolve(data);
    data.frame?.close();
    return asker?.reject(new Error(data.error));
  });
  worker.addEventListener('error', (event) => {
    for (const asker of waiting.values()) asker.reject(new Error(event.message));
    waiting.clear();
  });

  /** @param {object} message @param {Transferable[]} [transfer] @returns {Promise<any>} */
  const ask = (message, transfer = []) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ ...message, id }, transfer);
    });

  try {
    await ask({ type: 'load', model: MODEL });
  } catch (error) {
    worker.terminate();
    throw error;
  }
  return {
    // The very pixels travel to the worker and back, so that the crop shows what was detected.
    detect: (frame) => ask({ type: 'detect', frame }, [frame]),
    close: () => worker.terminate(),
  };
}
