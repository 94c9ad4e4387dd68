// @ts-check
// The page: from consent to camera (or picture) to answers, and back to nothing.
/** @typedef {import('./types.js').Detector} Detector */
/** @typedef {import('./types.js').PredictClient} PredictClient */
/** @typedef {import('./types.js').Track} Track */
import { isMobile, startCamera } from './camera.js';
import { chooseFaces } from './choose.js';
import { createRestClient, randomSessionId, ServerError } from './client.js';
import { cropJpeg } from './crop.js';
import { createDetector } from './detector.js';
import { byId, setText } from './dom.js';
import { LiveLoop } from './live.js';
import { cameraText, DETECTOR_TEXT, serverText } from './messages.js';
import { drawFaces } from './overlay.js';
import { Pace, periodFor, qualityFor } from './pace.js';
import { middleOf, predictStored, readPicture } from './picture.js';
import { Results } from './results.js';
import { StreamClient } from './stream_client.js';
import { Tracker } from './tracker.js';

/** @typedef {'info' | 'good' | 'warn' | 'error'} Tone */

const welcome = byId('welcome', HTMLElement);
const session = byId('session', HTMLElement);
const startButton = byId('start', HTMLButtonElement);
const pictureButton = byId('picture', HTMLButtonElement);
const pictureInput = byId('picture-file', HTMLInputElement);
const stopButton = byId('stop', HTMLButtonElement);
const everyoneInput = byId('everyone', HTMLInputElement);
const stage = byId('stage', HTMLElement);
const video = byId('video', HTMLVideoElement);
const still = byId('still', HTMLCanvasElement);
const overlay = byId('overlay', HTMLCanvasElement);
const results = new Results();

/** From consent to Stop. Has a session id of its own, so that visits cannot be joined. */
class Visit {
  constructor() {
    this.sessionId = randomSessionId();
    /** @type {PredictClient} */
    this.client = createRestClient({ sessionId: this.sessionId });
    this.everyone = everyoneInput.checked;
    this.ended = false;
    /** What is wrong with the server, until it answers again. */
    this.trouble = '';
    /** @type {(() => void)[]} */
    this.endings = [() => this.client.close()];
  }

  /** Opens a stream for frames to come. @param {(nextFrameAfterMs: number) => void} onPace */
  goLive(onPace) {
    this.client = new StreamClient({ sessionId: this.sessionId, onPace });
    return this.client;
  }

  end() {
    this.ended = true;
    for (const ending of this.endings) ending();
  }
}

/** @type {Visit | null} */
let visit = null;
/** Loaded once, at the first use. @type {Promise<Detector> | null} */
let detector = null;

/** Speaks in the view that is shown. @param {string} text @param {Tone} [tone] */
function say(text, tone = 'info') {
  const line = byId(welcome.hidden ? 'session-status' : 'welcome-status', HTMLElement);
  line.dataset.tone = tone;
  setText(line, text);
}

/** @param {'live' | 'picture'} mode */
function showSession(mode) {
  welcome.hidden = true;
  session.hidden = false;
  session.dataset.mode = mode;
  setText(stopButton, mode === 'live' ? 'Stop' : 'Done');
  stopButton.focus();
  scrollTo({ top: 0 });
}

function showWelcome() {
  session.hidden = true;
  welcome.hidden = false;
  startButton.focus();
}

/** @param {boolean} busy */
function setBusy(busy) {
  startButton.disabled = busy;
  pictureButton.disabled = busy;
}

async function loadDetector() {
  detector ??= createDetector();
  try {
    return await detector;
  } catch (error) {
    detector = null; // the next start tries again
    throw error;
  }
}

/** Ends the visit and has the server forget it. @param {string} text @param {Tone} [tone] */
async function finish(text, tone = 'info') {
  const ending = visit;
  if (!ending) return;
  visit = null;
  ending.end();
  results.clear();
  for (const canvas of [overlay, still]) canvas.width = canvas.height = 0;
  showWelcome();
  say(text, tone);
  const forgotten = await forgetPatiently(ending.client);
  if (visit || forgotten) return;
  say(`${text} The server could not be told to forget this session; what it holds expires by itself within minutes.`, 'warn');
}

/** @param {PredictClient} client */
async function forgetPatiently(client) {
  if (await client.forget()) return true; // at once: the page may be going away
  for (const waitMs of [1_000, 3_000]) {
    await new Promise((done) => setTimeout(done, waitMs));
    if (await client.forget()) return true;
  }
  return false;
}

/** @param {Visit} current @param {Track[]} seen @param {Track[]} scored */
function describe(current, seen, scored) {
  if (current.trouble) return say(current.trouble, 'error');
  if (!seen.length) return say('No face in view. Move into the picture, and mind the light.', 'warn');
  if (!scored.length) return say('Looking for a face.', 'good');
  if (scored.length > 1) return say(`Looking at ${scored.length} faces.`, 'good');
  const alone = seen.length === 1;
  return say(`Looking at ${alone ? 'one face.' : 'the largest face. The others are left alone.'}`, 'good');
}

/** @param {Visit} current @param {Detector} loaded */
function createLoop(current, loaded) {
  const mobile = isMobile();
  const { connection } = /** @type {any} */ (navigator); // where the browser tells
  const pace = new Pace(periodFor(mobile, connection));
  const loop = new LiveLoop({
    video,
    detector: loaded,
    client: current.goLive((nextFrameAfterMs) => pace.asked(nextFrameAfterMs)),
    pace,
    quality: qualityFor(mobile),
    everyone: current.everyone,
    events: {
      onLook({ frame, seen, scored }) {
        stage.dataset.ready = 'true';
        const faces = seen.map((track) => ({ ...track, scored: scored.includes(track) }));
        drawFaces(overlay, frame, faces, true);
        results.keep((id) => loop.follows(id));
        results.tick(current.client.way);
        // A face that was missed in a frame or two is no news.
        if (seen.length || !loop.tracker.tracks.length) describe(current, seen, scored);
      },
      onPrediction(id, prediction, times) {
        current.trouble = '';
        if (loop.follows(id)) results.show(id, prediction, times);
      },
      onServerError(error, retryInMs) {
        current.trouble = serverText(error, retryInMs);
        say(current.trouble, 'error');
      },
      onBroken() {
        loaded.close();
        detector = null; // the next start loads a new one
        void finish(DETECTOR_TEXT, 'error');
      },
    },
  });
  return loop;
}

async function startLive() {
  setBusy(true);
  const current = (visit = new Visit());
  say('Waiting for the camera. Your browser may ask you.');
  try {
    const lost = () => void finish('The camera was disconnected.', 'warn');
    current.endings.push(await startCamera(video, lost));
    if (current.ended) return current.end(); // left while the browser asked
    stage.dataset.ready = 'false';
    showSession('live');
    say('Getting face detection ready.');
    const loaded = await loadDetector().catch(() => null);
    if (current.ended) return;
    if (!loaded) return await finish(DETECTOR_TEXT, 'error');
    const loop = createLoop(current, loaded);
    current.endings.push(() => loop.stop());
    void loop.run();
  } catch (error) {
    if (visit === current) visit = null;
    current.end();
    say(cameraText(error), 'error');
  } finally {
    setBusy(false);
  }
}

/** @param {ImageBitmap} bitmap */
function showStill(bitmap) {
  still.width = bitmap.width;
  still.height = bitmap.height;
  still.getContext('2d')?.drawImage(bitmap, 0, 0);
  stage.dataset.ready = 'true';
}

/**
 * The faces of a picture. Without a detector: its middle.
 * @param {ImageBitmap} bitmap comes back from the detector as another object
 */
async function findFaces(bitmap) {
  const loaded = await loadDetector().catch(() => null);
  if (!loaded) return { frame: bitmap, seen: new Tracker().update([middleOf(bitmap)]), guessed: true };
  const { frame, boxes } = await loaded.detect(bitmap);
  return { frame, seen: new Tracker().update(boxes), guessed: false };
}

/** @param {Visit} current @param {ImageBitmap} bitmap */
async function scorePicture(current, bitmap) {
  const { frame, seen, guessed } = await findFaces(bitmap);
  try {
    if (current.ended) return;
    const scored = chooseFaces(seen, { everyone: current.everyone, chosenId: null });
    drawFaces(overlay, frame, seen.map((track) => ({ ...track, scored: scored.includes(track) })), false);
    if (!scored.length) return say('No face was found in this picture. Try another one.', 'warn');
    say('Asking the server.');
    for (const track of scored) {
      const jpeg = await cropJpeg(frame, track.box, qualityFor(false));
      const sentAt = performance.now();
      const prediction = await predictStored(current.client, jpeg, track.id);
      if (current.ended) return;
      results.show(track.id, prediction, { takenAt: sentAt, roundTripMs: performance.now() - sentAt });
    }
    if (guessed) return say(`${DETECTOR_TEXT} The middle of the picture was used instead.`, 'warn');
    return describe(current, seen, scored);
  } finally {
    frame.close();
  }
}

/** @param {File} file */
async function startPicture(file) {
  setBusy(true);
  const current = (visit = new Visit());
  try {
    const bitmap = await readPicture(file).catch(() => null);
    if (!bitmap) {
      visit = null;
      return say('This file is not a picture that the browser can read. JPEG, PNG and WebP work.', 'error');
    }
    showStill(bitmap);
    showSession('picture');
    say('Looking for faces.');
    await scorePicture(current, bitmap);
  } catch (error) {
    if (current.ended) return;
    const text = error instanceof ServerError ? serverText(error, null) : DETECTOR_TEXT;
    say(text, 'error');
  } finally {
    setBusy(false);
  }
}

startButton.addEventListener('click', () => void startLive());
pictureButton.addEventListener('click', () => pictureInput.click());
pictureInput.addEventListener('change', () => {
  const file = pictureInput.files?.[0];
  pictureInput.value = ''; // so that the same picture can be chosen again
  if (file) void startPicture(file);
});
stopButton.addEventListener('click', () => {
  const live = session.dataset.mode === 'live';
  void finish(live ? 'Stopped. The camera is off.' : 'Done.');
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden && visit) say('Paused while this page is hidden.');
});
// Leaving: the camera goes off, and the request to forget outlives the page.
addEventListener('pagehide', () => void finish('The camera was turned off when you left the page.'));
