// @ts-check
/// <reference lib="webworker" />
// Face detection off the main thread. Messages in: {id, type: 'load', model} and
// {id, type: 'detect', frame}; out: {id, boxes?, frame?, error?}. A frame always comes back.
import { FaceDetector, FilesetResolver } from '../vendor/tasks-vision-0.10.35/vision_bundle.mjs';

const WASM = new URL('../vendor/tasks-vision-0.10.35/wasm', import.meta.url).href;
const MIN_CONFIDENCE = 0.5;

/** @type {FaceDetector | null} */
let detector = null;
let lastTime = 0;

/** @param {string} model */
async function load(model) {
  // true: load the runtime as an ES module, the only way inside a module worker.
  const runtime = await FilesetResolver.forVisionTasks(WASM, true);
  detector = await FaceDetector.createFromOptions(runtime, {
    baseOptions: { modelAssetPath: model, delegate: 'CPU' },
    runningMode: 'VIDEO',
    minDetectionConfidence: MIN_CONFIDENCE,
  });
  // Where there is no WebGL only the first frame fails. It is also the slowest: pay for it here.
  detect(await createImageBitmap(new ImageData(64, 64)));
}

/** @param {ImageBitmap} frame */
function detect(frame) {
  if (!detector) throw new Error('not loaded');
  // The times of frames must grow strictly, and two frames may share a millisecond.
  lastTime = Math.max(lastTime + 1, performance.now());
  return detector.detectForVideo(frame, lastTime).detections.flatMap(({ boundingBox: box }) =>
    box ? [{ x: box.originX, y: box.originY, width: box.width, height: box.height }] : [],
  );
}

self.addEventListener('message', async ({ data }) => {
  const { id, type, model, frame } = data;
  const back = frame ? [frame] : [];
  try {
    if (type === 'load') {
      await load(model);
      self.postMessage({ id });
    } else {
      self.postMessage({ id, frame, boxes: detect(frame) }, back);
    }
  } catch (error) {
    self.postMessage({ id, frame, error: String(error) }, back);
  }
});
