// @ts-check
/** @typedef {import('./types.js').Detector} Detector */
/** @typedef {import('./types.js').PredictClient} PredictClient */
/** @typedef {import('./types.js').Prediction} Prediction */
/** @typedef {import('./types.js').Track} Track */
import { chooseFaces } from './choose.js';
import { ServerError, Skipped } from './client.js';
import { cropJpeg } from './crop.js';
import { isSteady, Tracker } from './tracker.js';

const LOOK_EVERY_MS = 200;

/** @param {number} ms */
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * What the loop tells the page.
 * @typedef {object} LiveEvents
 * @property {(view: {frame: {width: number, height: number}, seen: Track[], scored: Track[]}) => void} onLook
 *   five times a second, while the page is visible
 * @property {(id: number, prediction: Prediction, times: {takenAt: number, roundTripMs: number}) => void} onPrediction
 *   takenAt: when the picture was taken, on the clock of performance.now()
 * @property {(error: ServerError, retryInMs: number) => void} onServerError
 * @property {(error: unknown) => void} onBroken the detector failed; the loop has ended
 */

/**
 * Camera to server: looks for faces five times a second, and at the pace sends one crop per face,
 * cut from the very frame that was searched. The client says how many may be awaited; a frame is
 * never sent twice, and one that was passed over is no news; nothing happens while the page is
 * hidden.
 */
export class LiveLoop {
  /**
   * @param {object} parts borrowed; the caller ends them after stop()
   * @param {HTMLVideoElement} parts.video
   * @param {Detector} parts.detector
   * @param {PredictClient} parts.client
   * @param {import('./pace.js').Pace} parts.pace
   * @param {number} parts.quality of the JPEG
   * @param {boolean} parts.everyone everyone in view has agreed
   * @param {LiveEvents} parts.events
   */
  constructor(parts) {
    this.parts = parts;
    this.tracker = new Tracker({ mirrored: true });
    /** @type {number | null} */
    this.chosenId = null;
    this.stopped = false;
  }

  /** Resolves after stop(). */
  async run() {
    while (!this.stopped) {
      const started = performance.now();
      try {
        if (!document.hidden) await this.#look(started);
      } catch (error) {
        if (this.stopped) return;
        this.stopped = true;
        this.parts.events.onBroken(error);
        return;
      }
      await sleep(Math.max(0, LOOK_EVERY_MS - (performance.now() - started)));
    }
  }

  stop() {
    this.stopped = true;
  }

  /** Whether a face is still followed, though perhaps not seen just now. @param {number} id */
  follows(id) {
    return this.tracker.tracks.some((track) => track.id === id);
  }

  /** @param {number} now */
  async #look(now) {
    const { video, detector, client, everyone, events, pace } = this.parts;
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    const { frame, boxes } = await detector.detect(await createImageBitmap(video));
    try {
      if (this.stopped || document.hidden) return; // it may have been hidden meanwhile
      const seen = this.tracker.update(boxes);
      const scored = chooseFaces(seen.filter(isSteady), { everyone, chosenId: this.chosenId });
      if (!everyone && scored.length) this.chosenId = scored[0].id;
      events.onLook({ frame, seen, scored });
      const free = scored.filter((track) => client.free(track.id));
      if (!free.length || !pace.due(now)) return;
      pace.sent(now);
      await Promise.all(free.map((track) => this.#send(frame, track, now)));
    } finally {
      frame.close();
    }
  }

  /**
   * Resolves when the frame is not needed any more, long before the answer.
   * @param {ImageBitmap} frame
   * @param {Track} track
   * @param {number} takenAt
   */
  async #send(frame, track, takenAt) {
    const jpeg = await cropJpeg(frame, track.box, this.parts.quality);
    if (!this.stopped) void this.#await(jpeg, track.id, takenAt);
  }

  /** @param {ArrayBuffer} jpeg @param {number} id @param {number} takenAt */
  async #await(jpeg, id, takenAt) {
    const { client, events, pace } = this.parts;
    const sentAt = performance.now();
    try {
      const prediction = await client.predict(jpeg, id);
      if (this.stopped) return;
      pace.answered(prediction.next_frame_after_ms);
      events.onPrediction(id, prediction, { takenAt, roundTripMs: performance.now() - sentAt });
    } catch (error) {
      if (this.stopped || error instanceof Skipped) return;
      if (!(error instanceof ServerError)) return; // closed
      const failure = { sentAt, retryAfterMs: error.retryAfterMs, random: Math.random() };
      const retryInMs = pace.failed(performance.now(), failure);
      events.onServerError(error, retryInMs);
    }
  }
}
