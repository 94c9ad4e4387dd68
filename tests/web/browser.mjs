// Debian's Chromium with a fake camera, and a page that is watched.
import { chromium, expect } from '@playwright/test';
import { clip } from './make_media.mjs';

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const GRANTED = '--use-fake-ui-for-media-stream';
const FAKE = '--use-fake-device-for-media-stream';

/** Cameras: what Chromium is told. Software WebGL works with all but the last. */
export const CAMERA = {
  playing: (name) => [FAKE, GRANTED, `--use-file-for-fake-video-capture=${clip(name)}`],
  refused: [FAKE, '--deny-permission-prompts'],
  absent: [GRANTED],
  withoutWebGL: (name) => [...CAMERA.playing(name), '--disable-software-rasterizer'],
};

// tasks-vision writes this one to console.error, though it says itself that it is an INFO.
const HARMLESS = /INFO: Created TensorFlow Lite XNNPACK delegate/;

// Starting Chromium takes seconds, and the camera's file is fixed at its start: one browser for each
// camera, a fresh context for each page.
const browsers = new Map();

/** @param {string[]} camera */
async function browserWith(camera) {
  const key = camera.join(' ');
  if (!browsers.has(key)) {
    const executablePath = process.env.EMOTION_CHROMIUM ?? '/usr/bin/chromium';
    browsers.set(key, await chromium.launch({ executablePath, args: [...QUIET, ...camera] }));
  }
  return browsers.get(key);
}

/** To be called after the last test of a file. */
export async function closeBrowsers() {
  await Promise.all([...browsers.values()].map((browser) => browser.close()));
  browsers.clear();
}

/** Notes posts of frames, with what was answered. */
function watchPosts(page, seen) {
  page.on('request', (request) => {
    if (new URL(request.url()).pathname !== '/v1/predict') return;
    const headers = request.headers();
    seen.frames.push({
      way: 'post',
      at: Date.now(),
      type: headers['content-type'],
      session: headers['x-session-id'],
      face: Number(headers['x-face-id']),
      body: request.postDataBuffer(),
      answer: request
        .response()
        .then((response) => response?.json())
        .catch(() => null),
    });
  });
}

/** Notes frames on streams, with what was answered: a message of the stream, or null when it closed. */
function watchStreams(page, seen) {
  page.on('websocket', (socket) => {
    const stream = { said: [], starts: [], closed: false };
    const awaited = new Map();
    let announced = null;
    seen.streams.push(stream);

    socket.on('framesent', ({ payload }) => {
      const message = typeof payload === 'string' ? JSON.parse(payload) : null;
      if (message?.type === 'start') stream.starts.push(message);
      if (message) return void (announced = message);
      const answer = new Promise((done) => awaited.set(announced.id, done));
      const session = stream.starts[0]?.session_id;
      return void seen.frames.push({
        way: 'stream', at: Date.now(), session, face: announced.face_id, body: payload, answer,
      });
    });
    socket.on('framereceived', ({ payload }) => {
      stream.said.push(payload);
      try {
        const message = JSON.parse(payload);
        awaited.get(message.id)?.(message);
      } catch {
        // garbage: the page's matter
      }
    });
    socket.on('close', () => {
      stream.closed = true;
      for (const done of awaited.values()) done(null);
    });
  });
}

/**
 * Opens the page. What it did is in `seen`: frames (by post or stream, with their bodies and
 * answers), streams, requests to other origins, console errors.
 * @param {string} url
 * @param {string[]} camera
 * @param {object} [context] options of the browser context
 */
export async function openPage(url, camera, context = {}) {
  const browser = await browserWith(camera);
  const options = { viewport: { width: 1200, height: 900 }, ...context };
  const page = await (await browser.newContext(options)).newPage();
  const seen = { frames: [], streams: [], foreign: [], errors: [] };

  watchPosts(page, seen);
  watchStreams(page, seen);
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!['data:', 'blob:'].includes(protocol) && origin !== new URL(url).origin) {
      seen.foreign.push(request.url());
    }
  });
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !HARMLESS.test(message.text())) seen.errors.push(message.text());
  });

  await page.goto(url);
  return {
    page,
    seen,
    start: () => page.getByRole('button', { name: 'I agree, start the camera' }).click(),
    stop: () => page.getByRole('button', { name: 'Stop' }).click(),
    status: () => page.getByRole('status'),
    faceIds: () => [...new Set(seen.frames.map(({ face }) => face))].sort(),
    /** Waits until so many frames were sent. */
    frames: (count, timeout = 30_000) =>
      expect.poll(() => seen.frames.length, { timeout }).toBeGreaterThanOrEqual(count),
    /** Which way the page says it speaks. */
    way: () => page.locator('#way'),
    close: () => page.context().close(),
  };
}

/** Width and height as a JPEG's frame header states them. @param {Buffer} jpeg */
export function jpegSize(jpeg) {
  if (jpeg.readUInt16BE(0) !== 0xffd8) throw new Error('not a JPEG');
  for (let at = 2; at < jpeg.length; at += 2 + jpeg.readUInt16BE(at + 2)) {
    const marker = jpeg.readUInt16BE(at);
    if (marker >= 0xffc0 && marker <= 0xffc2) {
      return { width: jpeg.readUInt16BE(at + 7), height: jpeg.readUInt16BE(at + 5) };
    }
  }
  throw new Error('a JPEG without a frame header');
}
