// The stream's rules: what is said on it, when it is opened, and what to do while there is none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wayText } from '../../../web/js/messages.js';
import { frameText, readMessage, startText } from '../../../web/js/stream_messages.js';
import { endingOf, moveDelayMs, Transport, troubleOf } from '../../../web/js/transport.js';
import { prediction } from '../dev_server.mjs';

const read = (message) => readMessage(JSON.stringify(message));

test('the texts of the client are those of emotion.v1', () => {
  assert.deepEqual(JSON.parse(startText('abc')), { type: 'start', session_id: 'abc', forget_on_close: true });
  assert.deepEqual(JSON.parse(frameText(7, 3)), { type: 'frame', id: 7, face_id: 3 });
});

test('every message of the server is read', () => {
  assert.deepEqual(
    read({ type: 'ready', session_id: 'abc', model: '', limits: { max_image_bytes: 9, max_unanswered: 64 }, next_frame_after_ms: 2500 }),
    { type: 'ready', nextFrameAfterMs: 2500, maxUnanswered: 64 },
  );
  const answer = read({ type: 'prediction', id: 5, face_id: 1, ...prediction() });
  assert.deepEqual([answer.type, answer.id, answer.prediction.predictions.Engagement.level], ['prediction', 5, 3]);
  assert.deepEqual(read({ type: 'superseded', id: 5, face_id: 1 }), { type: 'superseded', id: 5 });
  assert.deepEqual(read({ type: 'draining', reconnect_after_ms: 1500 }), { type: 'draining', reconnectAfterMs: 1500 });
  assert.deepEqual(read({ type: 'model', model: 'x' }), { type: 'other' });
  assert.deepEqual(read({ type: 'from the future' }), { type: 'other' });
});

test('an error is a problem of a frame, or of none', () => {
  const problem = { status: 429, reason: 'QUEUE_FULL', detail: 'The queue is full.' };
  const ofFrame = read({ type: 'error', id: 4, face_id: 1, problem });
  assert.deepEqual([ofFrame.id, ofFrame.error.kind, ofFrame.error.detail], [4, 'busy', 'The queue is full']);
  const ofNone = read({ type: 'error', problem: { status: 400 } });
  assert.deepEqual([ofNone.id, ofNone.error.kind], [null, 'rejected']);
  assert.deepEqual(read({ type: 'error', id: 4, problem: { status: 409, reason: 'SUPERSEDED' } }), { type: 'superseded', id: 4 });
  assert.equal(read({ type: 'error', id: 4 }).error.kind, 'failed');
});

test('garbage is told from what is only unknown, and an answer without sense fails its frame', () => {
  for (const data of ['', 'hello', '[]', 'null', '1', '"x"', '{}', '{"type":7}', new ArrayBuffer(3), undefined]) {
    assert.deepEqual(readMessage(data), { type: 'broken' }, String(data));
  }
  for (const id of [null, 'x', 1.5, 2 ** 60]) assert.deepEqual(read({ type: 'prediction', id }), { type: 'broken' });
  const senseless = read({ type: 'prediction', id: 2, predictions: {} });
  assert.deepEqual([senseless.type, senseless.id, senseless.error.kind], ['error', 2, 'failed']);
  assert.equal(read({ type: 'prediction', id: 2, ...prediction({ quality: { warnings: 'x' } }) }).type, 'error');
  assert.deepEqual(read({ type: 'ready', next_frame_after_ms: 'soon' }), { type: 'ready', nextFrameAfterMs: 0, maxUnanswered: Infinity });
});

test('a close code says whether to come back, to post, or to tell', () => {
  assert.deepEqual([1000, 1001, 1006, 1011, 1012, 3008].map((code) => endingOf(code, true)), Array(6).fill('lost'));
  assert.deepEqual([1003, 1007, 1008, 1009].map((code) => endingOf(code, true)), Array(4).fill('refused'));
  assert.deepEqual([1000, 1006, 1012].map((code) => endingOf(code, false)), Array(3).fill('refused'));
  for (const wasReady of [false, true]) {
    assert.deepEqual([3000, 3003, 1013].map((code) => endingOf(code, wasReady)), ['sign-in', 'sign-in', 'busy']);
  }
  assert.deepEqual(['lost', 'refused', 'busy', 'sign-in'].map((ending) => troubleOf(ending)?.kind), [undefined, undefined, 'busy', 'sign-in']);
});

test('a lost stream is waited for once; then posts go while it is tried ever more rarely', () => {
  const transport = new Transport();
  transport.ready();
  transport.answered();
  assert.equal(transport.ended('lost', 0.5), 500);
  assert.equal(transport.meanwhile, 'wait');
  const delays = Array.from({ length: 6 }, () => transport.ended('refused', 0));
  assert.deepEqual(delays, [10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
  assert.equal(transport.meanwhile, 'post');
  transport.ready();
  assert.equal(transport.meanwhile, 'wait');
});

test('a stream that opens and ends without an answer does not count as one that works', () => {
  const transport = new Transport();
  transport.ready();
  transport.ended('lost', 0);
  transport.ready();
  assert.ok(transport.ended('lost', 0) >= 5_000);
  assert.equal(transport.meanwhile, 'post');
});

test('a first stream that cannot be opened means posts at once; clients spread over half the delay', () => {
  assert.deepEqual([0, 1].map((random) => new Transport().ended('refused', random)), [5_000, 2_500]);
});

test('only a server that sends us away is told about, and until a stream is there', () => {
  const transport = new Transport();
  transport.ended('busy', 0);
  assert.deepEqual([transport.meanwhile, transport.trouble.kind], ['tell', 'busy']);
  transport.ended('sign-in', 0);
  assert.equal(transport.trouble.kind, 'sign-in');
  transport.ready();
  assert.deepEqual([transport.meanwhile, transport.trouble], ['wait', null]);
  transport.ended('refused', 0);
  assert.deepEqual([transport.meanwhile, transport.trouble], ['post', null]);
});

test('moving takes as long as the server asks and a little more, and is never a rush', () => {
  assert.deepEqual([0, 1].map((random) => moveDelayMs(2000, random)), [2000, 2500]);
  assert.equal(moveDelayMs(0, 0), 500);
  assert.equal(moveDelayMs(1e12, 0), 60_000);
});

test('the page says which way it speaks, and how old what it shows is', () => {
  assert.equal(wayText('stream', 400), 'Live stream · picture less than 1 s old');
  assert.equal(wayText('posts', 2300), 'Single posts · picture 2 s old');
  assert.equal(wayText('waiting', null), 'Connecting');
});
