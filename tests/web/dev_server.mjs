// For fault injection and for work on the page only. It serves web/ with the product's headers and
// answers POST /v1/predict and frames on /v1/stream with a fixed, well-formed prediction, or with the
// fault a test asks for.
// What works with the real server is shown by page.spec.mjs, never by this.
//
//   node dev_server.mjs [PORT]     serves until it is stopped
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const WEB = fileURLToPath(new URL('../../web/', import.meta.url));

/** Sent with everything that the page consists of. */
const HEADERS = {
  'content-security-policy':
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; " +
    "img-src 'self' data: blob:; connect-src 'self'; media-src 'self' blob: mediastream:; " +
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
  'permissions-policy': 'camera=(self), microphone=(), geolocation=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.tflite': 'application/octet-stream',
};
const SERVED = /^\/(index\.html|style\.css|icon\.svg|(js|vendor|models)\/.+)$/;

const LEVELS = { Boredom: 1, Engagement: 3, Confusion: 0, Frustration: 2 };

/** @param {object} changes to the answer */
export function prediction(changes = {}) {
  const predictions = Object.fromEntries(
    Object.entries(LEVELS).map(([category, level]) => {
      const probabilities = [0.1, 0.1, 0.1, 0.1];
      probabilities[level] = 0.7;
      const expected_level = probabilities.reduce((sum, p, k) => sum + p * k, 0);
      return [category, { category, level, confidence: 0.7, probabilities, expected_level }];
    }),
  );
  return {
    predictions,
    processing_time_ms: 12.3,
    cached: false,
    cache: 'miss',
    similarity: 0,
    quality: { usable: true, warnings: [] },
    next_frame_after_ms: 0,
    model: 'dev-server',
    demo: true,
    request_id: 'dev',
    ...changes,
  };
}

function serveFile(url, response) {
  const name = url.pathname === '/' ? '/index.html' : decodeURIComponent(url.pathname);
  const file = path.join(WEB, path.normalize(name));
  const found = SERVED.test(path.normalize(name)) && statSync(file, { throwIfNoEntry: false });
  if (!found || !found.isFile()) return response.writeHead(404, HEADERS).end();
  const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { ...HEADERS, 'content-type': type, 'content-length': found.size });
  return createReadStream(file).pipe(response);
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Writes down that a frame came. @returns {() => void} to be called when it is answered */
function arrived(log, frame) {
  log.frames.push({ at: Date.now(), ...frame });
  const waiting = (log.waiting.get(frame.face) ?? 0) + 1;
  log.waiting.set(frame.face, waiting);
  log.mostWaiting = Math.max(log.mostWaiting, waiting);
  return () => log.waiting.set(frame.face, log.waiting.get(frame.face) - 1);
}

async function answerPost(request, response, faults, log) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { 'x-face-id': face, 'x-session-id': session } = request.headers;
  const answered = arrived(log, { way: 'post', face: Number(face), session });
  await wait(faults.delayMs);
  answered();
  if (faults.status) {
    response.writeHead(faults.status, {
      'content-type': 'application/problem+json',
      ...(faults.retryAfter ? { 'retry-after': faults.retryAfter } : {}),
    });
    return response.end(JSON.stringify({ status: faults.status, detail: faults.detail }));
  }
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  return response.end(faults.body ?? JSON.stringify(prediction(faults.prediction)));
}

/** One socket of emotion.v1. Answers frame by frame: no newer one takes another's place. */
function serveStream(socket, faults, log) {
  const say = (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  let session;
  let announced;

  async function answerFrame({ id, face_id }) {
    const answered = arrived(log, { way: 'stream', face: face_id, session });
    await wait(faults.delayMs);
    answered();
    const about = { id, face_id };
    if (faults.answers) return faults.answers(about).forEach(say);
    if (!faults.status) return say({ type: 'prediction', ...about, ...prediction(faults.prediction) });
    return say({ type: 'error', ...about, problem: { status: faults.status, detail: faults.detail } });
  }

  socket.on('message', (data, isBinary) => {
    if (isBinary) return void answerFrame(announced);
    const message = JSON.parse(data);
    if (message.type === 'frame') announced = message;
    if (message.type !== 'start') return undefined;
    session = message.session_id;
    log.starts.push(message);
    if (faults.stream === 'silent') return undefined;
    if (typeof faults.stream === 'number') return socket.close(faults.stream);
    const limits = { max_image_bytes: 4_194_304, max_unanswered: 64 };
    return say({ type: 'ready', session_id: session, model: 'dev-server', limits, next_frame_after_ms: faults.readyPaceMs, demo: true });
  });
  return { say, close: (code) => socket.close(code), lose: () => socket.terminate() };
}

/**
 * Starts on a free port of loopback.
 * `faults` may be changed at any time: delayMs, prediction, status and detail (0: none) of posts and
 * frames; retryAfter and body of posts; stream: 'open', 'refused', 'silent' (never ready) or a close
 * code instead of ready; readyPaceMs; answers(frame): what to say instead of a prediction.
 * `log` tells what arrived: frames (way, at, face, session), starts, deleted session ids, the most
 * frames of one face awaited at once. `streams`: those that were opened, to say, close or lose.
 */
export async function startDevServer(port = 0) {
  const faults = {
    status: 0, retryAfter: '', detail: '', delayMs: 0, body: null, prediction: {},
    stream: 'open', readyPaceMs: 0, answers: null,
  };
  const log = { frames: [], starts: [], deleted: [], waiting: new Map(), mostWaiting: 0 };
  const streams = [];
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    if (request.method === 'POST' && url.pathname === '/v1/predict') {
      return void answerPost(request, response, faults, log);
    }
    if (request.method === 'DELETE' && url.pathname.startsWith('/v1/sessions/')) {
      log.deleted.push(url.pathname.split('/').at(-1));
      return response.writeHead(faults.status || 204).end();
    }
    return serveFile(url, response);
  });
  server.on('upgrade', (request, socket, head) => {
    if (faults.stream === 'refused') return socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
    return sockets.handleUpgrade(request, socket, head, (opened) => streams.push(serveStream(opened, faults, log)));
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  const close = () =>
    new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
      for (const opened of sockets.clients) opened.terminate();
    });
  return { url: `http://127.0.0.1:${server.address().port}`, faults, log, streams, close };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startDevServer(Number(process.argv[2] ?? 0));
  console.log(url);
}
