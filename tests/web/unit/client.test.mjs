import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import {
  createRestClient, errorKind, isPrediction, randomSessionId, retryAfterMs, ServerError,
} from '../../../web/js/client.js';
import { cameraText, qualityText, serverText } from '../../../web/js/messages.js';
import { predictStored, retryDelayMs } from '../../../web/js/picture.js';
import { prediction } from '../dev_server.mjs';

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
});

/** Answers each call with the next of these; a function is called, an Error thrown. */
function answerWith(...answers) {
  const calls = [];
  globalThis.fetch = async (url, options) => {
    calls.push({ url, ...options });
    const answer = answers[Math.min(calls.length, answers.length) - 1];
    if (answer instanceof Error) throw answer;
    return typeof answer === 'function' ? answer(options) : answer.clone();
  };
  return calls;
}
const ok = () => Response.json(prediction());
const jpeg = new Uint8Array([0xff, 0xd8]).buffer;
const client = (options = {}) => createRestClient({ sessionId: 'abc', ...options });
const kind = (expected) => (error) => error instanceof ServerError && error.kind === expected;

test('Retry-After is seconds or a date; anything else is nothing', () => {
  const now = Date.parse('2030-01-01T00:00:00Z');
  assert.equal(retryAfterMs('3', now), 3000);
  assert.equal(retryAfterMs('Tue, 01 Jan 2030 00:00:07 GMT', now), 7000);
  assert.equal(retryAfterMs('Tue, 01 Jan 2019 00:00:07 GMT', now), 0);
  for (const value of [null, '', 'soon', '-1']) assert.equal(retryAfterMs(value, now), 0);
});

test('statuses map to what a person has to know', () => {
  const table = {
    400: 'rejected', 401: 'sign-in', 403: 'sign-in', 408: 'timeout', 413: 'rejected', 415: 'rejected',
    429: 'busy', 500: 'failed', 502: 'failed', 503: 'busy', 504: 'timeout',
  };
  for (const [status, expected] of Object.entries(table)) assert.equal(errorKind(Number(status)), expected);
});

test('a prediction must have all four states in full', () => {
  assert.ok(isPrediction(prediction()));
  for (const name of ['Boredom', 'Engagement', 'Confusion', 'Frustration']) {
    for (const broken of [undefined, { level: 4 }, { probabilities: [1] }, { confidence: null }]) {
      const answer = prediction();
      answer.predictions[name] = broken && { ...answer.predictions[name], ...broken };
      assert.equal(isPrediction(answer), false);
    }
  }
  for (const change of [{ quality: { warnings: 'x' } }, { quality: { warnings: [1] } }, { processing_time_ms: '1' }]) {
    assert.equal(isPrediction(prediction(change)), false);
  }
  for (const nothing of [null, undefined, 1, 'x', {}, []]) assert.equal(isPrediction(nothing), false);
});

test('session ids are 128 random bits in allowed letters', () => {
  const some = Array.from({ length: 100 }, randomSessionId);
  assert.ok(some.every((id) => /^[0-9a-f]{32}$/.test(id)));
  assert.equal(new Set(some).size, 100);
});

test('a frame is posted as a JPEG with session and face', async () => {
  const calls = answerWith(ok());
  const answer = await client().predict(jpeg, 7);
  assert.equal(answer.predictions.Engagement.level, 3);
  assert.equal(calls[0].url, '/v1/predict');
  assert.equal(calls[0].body, jpeg);
  assert.deepEqual(calls[0].headers, {
    'content-type': 'image/jpeg', 'x-session-id': 'abc', 'x-face-id': '7',
  });
});

test('a face whose answer is awaited is not free', async () => {
  answerWith(ok());
  const posting = client();
  const pending = posting.predict(jpeg, 1);
  assert.deepEqual([posting.free(1), posting.free(2)], [false, true]);
  await pending;
  assert.equal(posting.free(1), true);
  assert.equal(posting.way, 'posts');
});

test('an error carries kind, status, detail and the wait that was asked for', async () => {
  const body = JSON.stringify({ detail: 'The queue is full.' });
  answerWith(new Response(body, { status: 503, headers: { 'retry-after': '4' } }));
  await assert.rejects(client().predict(jpeg, 1), (error) => {
    assert.deepEqual(
      [error.kind, error.status, error.retryAfterMs, error.detail],
      ['busy', 503, 4000, 'The queue is full'],
    );
    return true;
  });
});

test('no server, an answer that is no JSON, and one that is no prediction', async () => {
  answerWith(new TypeError('fetch failed'));
  await assert.rejects(client().predict(jpeg, 1), kind('unreachable'));
  answerWith(new Response('<html>'));
  await assert.rejects(client().predict(jpeg, 1), kind('failed'));
  answerWith(Response.json({ hello: 1 }));
  await assert.rejects(client().predict(jpeg, 1), kind('failed'));
  answerWith(new Response('<html>', { status: 502 }));
  await assert.rejects(client().predict(jpeg, 1), kind('failed'));
});

/** A server that never answers. */
const silence = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('a silent server is a timeout', async () => {
  answerWith(silence);
  await assert.rejects(client({ timeoutMs: 10 }).predict(jpeg, 1), kind('timeout'));
});

test('close ends what is in flight and refuses what comes later', async () => {
  const calls = answerWith(silence);
  const closing = client();
  const pending = closing.predict(jpeg, 1);
  closing.close();
  await assert.rejects(pending, { name: 'AbortError' });
  await assert.rejects(closing.predict(jpeg, 1), { name: 'AbortError' });
  assert.equal(calls.length, 1);
});

test('forget deletes the session, also after close, and tells whether it worked', async () => {
  const calls = answerWith(ok(), new Response(null, { status: 204 }), new Response('', { status: 503 }), new TypeError());
  const leaving = client();
  await leaving.predict(jpeg, 1);
  leaving.close();
  assert.equal(await leaving.forget(), true);
  assert.deepEqual([calls[1].method, calls[1].url, calls[1].keepalive], ['DELETE', '/v1/sessions/abc', true]);
  assert.equal(await leaving.forget(), false);
  assert.equal(await leaving.forget(), false);
});

test('a session that sent nothing needs no forgetting', async () => {
  const calls = answerWith(new Response(null, { status: 204 }));
  assert.equal(await client().forget(), true);
  assert.equal(calls.length, 0);
});

test('a stored picture is sent again at most three times, and only where that can help', () => {
  const busy = new ServerError('busy', { status: 503 });
  assert.deepEqual([0, 1, 2, 3].map((n) => retryDelayMs(busy, n, 1)), [500, 1000, 2000, null]);
  assert.equal(retryDelayMs(new ServerError('busy', { status: 429, retryAfterMs: 900 }), 0, 1), 900);
  assert.equal(retryDelayMs(new ServerError('unreachable'), 0, 0.5), 250);
  for (const [other, status] of [['failed', 500], ['rejected', 400], ['sign-in', 401], ['timeout', 408]]) {
    assert.equal(retryDelayMs(new ServerError(other, { status }), 0, 1), null);
  }
});

test('a stored picture gets through a server that is busy for a moment', async () => {
  const busy = new Response('', { status: 503 });
  const calls = answerWith(busy, ok());
  assert.equal((await predictStored(client(), jpeg, 1)).model, 'dev-server');
  assert.equal(calls.length, 2);
});

test('every message says something a person understands', () => {
  assert.match(cameraText(new DOMException('', 'NotAllowedError')), /not allowed/);
  assert.match(cameraText(new DOMException('', 'NotFoundError')), /No camera/);
  assert.match(cameraText(new DOMException('', 'NotSupportedError')), /https/);
  assert.match(cameraText('?'), /could not be started/);
  const warnings = ['too_dark', 'too_bright', 'blurred', 'too_small', 'not_square', 'no_face', 'multiple_faces'];
  assert.ok(warnings.every((warning) => !qualityText(warning).startsWith('Picture quality')));
  assert.equal(qualityText('upside_down'), 'Picture quality: upside down.');
  assert.equal(serverText(new ServerError('busy'), 2100), 'The server is busy. Trying again in 3 s.');
  assert.equal(serverText(new ServerError('unreachable'), null), 'The server cannot be reached.');
  assert.match(serverText(new ServerError('rejected', { status: 400, detail: 'too odd' }), null), /: too odd\.$/);
});
