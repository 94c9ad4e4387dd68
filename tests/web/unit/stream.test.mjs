// The stream without a browser and without a server: what is said, when it is opened, and how a
// session goes on when it breaks. The sockets are played; time is node:test's.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { ServerError, Skipped } from '../../../web/js/client.js';
import { wayText } from '../../../web/js/messages.js';
import { StreamClient } from '../../../web/js/stream_client.js';
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

/** A WebSocket whose server is the test. */
class PlayedSocket extends EventTarget {
  sent = [];
  bufferedAmount = 0;
  closed = false;
  send(data) {
    this.sent.push(typeof data === 'string' ? JSON.parse(data) : data);
  }
  close() {
    this.closed = true;
  }
  say(message) {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }
  ready(more = {}) {
    this.dispatchEvent(new Event('open'));
    this.say({ type: 'ready', next_frame_after_ms: 0, ...more });
  }
  end(code) {
    this.dispatchEvent(Object.assign(new Event('close'), { code }));
  }
  get frames() {
    return this.sent.filter((message) => message.type === 'frame');
  }
}

const realFetch = globalThis.fetch;
const jpeg = new Uint8Array([0xff, 0xd8]).buffer;
const skipped = (error) => error instanceof Skipped;
const kind = (expected) => (error) => error instanceof ServerError && error.kind === expected;
const answer = (id) => ({ type: 'prediction', id, face_id: 1, ...prediction({ request_id: `of ${id}` }) });
/** Lets promises go on. */
const settle = () => new Promise((done) => setImmediate(done));
let sockets;
let posts;
let paces;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  [sockets, posts, paces] = [[], [], []];
  globalThis.fetch = async (url, options) => {
    posts.push({ url, ...options });
    return options.method === 'DELETE' ? new Response(null, { status: 204 }) : Response.json(prediction());
  };
});
afterEach(() => {
  mock.timers.reset();
  globalThis.fetch = realFetch;
});

function newClient() {
  return new StreamClient({
    sessionId: 'abc',
    onPace: (ms) => paces.push(ms),
    random: () => 0.5,
    openSocket: () => {
      sockets.push(new PlayedSocket());
      return sockets.at(-1);
    },
  });
}

/** @returns a client whose stream is ready, and its socket */
function readyClient(more) {
  const client = newClient();
  sockets[0].ready(more);
  return { client, socket: sockets[0] };
}

test('a frame is announced and sent as it is, and answered by its id', async () => {
  const { client, socket } = readyClient({ next_frame_after_ms: 2600 });
  assert.deepEqual(socket.sent[0], { type: 'start', session_id: 'abc', forget_on_close: true });
  assert.deepEqual(paces, [2600]);
  const [first, second] = [client.predict(jpeg, 1), client.predict(jpeg, 2)];
  assert.deepEqual(socket.sent.slice(1), [
    { type: 'frame', id: 1, face_id: 1 }, jpeg, { type: 'frame', id: 2, face_id: 2 }, jpeg,
  ]);
  socket.say(answer(2));
  socket.say(answer(1));
  assert.deepEqual([(await first).request_id, (await second).request_id], ['of 1', 'of 2']);
  assert.deepEqual([client.way, posts], ['stream', []]);
});

test('until the stream is ready nothing is sent at all', async () => {
  const client = newClient();
  assert.deepEqual([client.way, client.free(1)], ['waiting', false]);
  await assert.rejects(client.predict(jpeg, 1), skipped);
  assert.deepEqual([sockets[0].sent, posts], [[], []]);
});

test('the next frame may go while an answer is awaited; three are enough', () => {
  const { client, socket } = readyClient();
  for (let i = 0; i < 3; i++) {
    assert.ok(client.free(1));
    client.predict(jpeg, 1).catch(() => {});
  }
  assert.equal(client.free(1), false);
  assert.equal(client.free(2), true);
  socket.say({ type: 'superseded', id: 2, face_id: 1 });
  assert.ok(client.free(1));
});

test('what the server bears at most is kept to', () => {
  const { client } = readyClient({ limits: { max_unanswered: 1 } });
  client.predict(jpeg, 1).catch(() => {});
  assert.equal(client.free(2), false);
});

test('a superseded frame is skipped, and an answer that was overtaken as well', async () => {
  const { client, socket } = readyClient();
  const [first, second, third] = [1, 1, 1].map((face) => client.predict(jpeg, face));
  socket.say({ type: 'superseded', id: 2, face_id: 1 });
  socket.say(answer(3));
  await third;
  socket.say(answer(1));
  await assert.rejects(second, skipped);
  await assert.rejects(first, skipped);
});

test('an error of the server is one of its frame only', async () => {
  const { client, socket } = readyClient();
  const [first, second] = [client.predict(jpeg, 1), client.predict(jpeg, 2)];
  socket.say({ type: 'error', id: 1, face_id: 1, problem: { status: 429, reason: 'QUEUE_FULL' } });
  socket.say(answer(2));
  await assert.rejects(first, kind('busy'));
  await second;
});

test('a slow uplink: frames are skipped, not queued', async () => {
  const { client, socket } = readyClient();
  socket.bufferedAmount = 60_000;
  assert.equal(client.free(1), false);
  await assert.rejects(client.predict(jpeg, 1), skipped);
  assert.deepEqual(socket.frames, []);
  socket.bufferedAmount = 0;
  assert.ok(client.free(1));
});

test('a frame without an answer is a timeout; only a socket that says nothing at all is left', async () => {
  const { client, socket } = readyClient();
  const first = client.predict(jpeg, 1);
  socket.say({ type: 'model', model: 'x' });
  mock.timers.tick(10_000);
  await assert.rejects(first, kind('timeout'));
  assert.equal(client.way, 'stream');
  socket.say(answer(1)); // too late: nobody waits for it
  const second = client.predict(jpeg, 1);
  mock.timers.tick(10_000);
  await assert.rejects(second, kind('timeout'));
  assert.deepEqual([client.way, socket.closed], ['waiting', true]);
  mock.timers.tick(500);
  assert.equal(sockets.length, 2);
});

test('no stream to be had, or none that gets ready: single posts, and another try later', async () => {
  for (const fail of [() => sockets.at(-1).end(1006), () => mock.timers.tick(4_000)]) {
    const client = newClient();
    const opened = sockets.length;
    fail();
    assert.equal(client.way, 'posts');
    assert.ok(client.free(1));
    const pending = client.predict(jpeg, 1);
    assert.equal(client.free(1), false); // one post of a face at a time
    await pending;
    assert.equal(posts.at(-1).headers['x-session-id'], 'abc');
    mock.timers.tick(3_750);
    assert.equal(sockets.length, opened + 1);
    sockets.at(-1).ready();
    assert.equal(client.way, 'stream');
    client.close();
  }
});

test('a browser that forbids the socket means single posts', async () => {
  const client = new StreamClient({
    sessionId: 'abc',
    onPace: () => {},
    openSocket: () => {
      throw new DOMException('', 'SecurityError');
    },
  });
  await client.predict(jpeg, 1);
  assert.equal(posts.length, 1);
  client.close();
});

test('a lost stream: its frames are skipped, never sent again, and a new one is opened soon', async () => {
  const { client, socket } = readyClient();
  const first = client.predict(jpeg, 1);
  socket.say(answer(1));
  await first;
  const lost = client.predict(jpeg, 1);
  socket.end(1006);
  await assert.rejects(lost, skipped);
  assert.deepEqual([client.way, client.free(1)], ['waiting', false]);
  mock.timers.tick(500);
  sockets[1].ready();
  assert.deepEqual([sockets[1].frames, posts], [[], []]);
  client.predict(jpeg, 1).catch(() => {});
  assert.deepEqual(sockets[1].frames, [{ type: 'frame', id: 3, face_id: 1 }]);
});

test('a stream that is lost now and then is waited for each time, as long as it is of use', async () => {
  const { client } = readyClient();
  for (let i = 1; i <= 5; i++) {
    const pending = client.predict(jpeg, 1);
    sockets.at(-1).say(answer(i));
    await pending;
    sockets.at(-1).end(1012);
    assert.equal(client.way, 'waiting');
    mock.timers.tick(500);
    sockets.at(-1).ready();
  }
  assert.deepEqual([sockets.length, posts], [6, []]);
});

test('a sign-in that runs out under way is told; other trouble of the session is not one of a frame', async () => {
  const { client, socket } = readyClient();
  const pending = client.predict(jpeg, 1);
  socket.say({ type: 'error', problem: { status: 400 } });
  assert.equal(client.way, 'stream');
  socket.say({ type: 'error', problem: { status: 401 } });
  await assert.rejects(pending, kind('sign-in'));
});

test('a draining server: a new socket takes the next frames, the old one still answers, then ends', async () => {
  const { client, socket: old } = readyClient();
  const owed = client.predict(jpeg, 1);
  old.say({ type: 'draining', reconnect_after_ms: 2000 });
  mock.timers.tick(2000);
  assert.equal(sockets.length, 1);
  client.predict(jpeg, 2).then(() => {}, () => {}); // it is served meanwhile
  assert.equal(old.frames.length, 2);
  mock.timers.tick(250);
  assert.equal(sockets.length, 2);
  sockets[1].ready();
  const next = client.predict(jpeg, 1);
  assert.deepEqual(sockets[1].frames, [{ type: 'frame', id: 3, face_id: 1 }]);
  old.say(answer(1));
  assert.equal((await owed).request_id, 'of 1');
  assert.equal(old.closed, false);
  old.say(answer(2));
  assert.equal(old.closed, true);
  sockets[1].say(answer(3));
  await next;
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 2);
  sockets[1].say({ type: 'draining', reconnect_after_ms: 2000 }); // the next one, later
  mock.timers.tick(2250);
  assert.equal(sockets.length, 3);
});

test('a server that drains and is gone before the new socket is there does no harm', () => {
  const { client, socket } = readyClient();
  socket.say({ type: 'draining', reconnect_after_ms: 1000 });
  mock.timers.tick(100);
  socket.say({ type: 'draining', reconnect_after_ms: 1000 }); // again: no delay
  socket.end(1012);
  assert.equal(client.way, 'waiting');
  mock.timers.tick(1000);
  assert.equal(sockets.length, 1); // not before the server says so
  mock.timers.tick(25);
  assert.equal(sockets.length, 2);
  sockets[1].ready();
  assert.equal(client.way, 'stream');
});

test('a draining server whose successor cannot be reached is used to its end, then posts are', () => {
  const { client, socket } = readyClient();
  socket.say({ type: 'draining', reconnect_after_ms: 1000 });
  mock.timers.tick(1125);
  sockets[1].end(1006);
  assert.equal(client.way, 'stream');
  socket.end(1012);
  assert.equal(client.way, 'posts');
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 3);
});

test('too many sockets is told as busy, a missing sign-in as such, until a stream is there', async () => {
  for (const [code, expected] of [[1013, 'busy'], [3000, 'sign-in'], [3003, 'sign-in']]) {
    const { client, socket } = readyClient();
    const pending = client.predict(jpeg, 1);
    socket.end(code);
    await assert.rejects(pending, kind(expected));
    assert.ok(client.free(1));
    await assert.rejects(client.predict(jpeg, 1), kind(expected));
    const opened = sockets.length;
    mock.timers.tick(30_000);
    assert.equal(sockets.length, opened + 1);
    sockets.at(-1).ready();
    assert.equal(client.way, 'stream');
    client.close();
    sockets = [];
  }
  assert.deepEqual(posts, []);
});

test('garbage is passed over; three in a row, and posts take its place', async () => {
  const { client, socket } = readyClient();
  socket.say('hello');
  socket.say('[]');
  socket.say(answer(99)); // never asked for
  socket.say('{}');
  const first = client.predict(jpeg, 1);
  socket.say(answer(1));
  await first;
  const lost = client.predict(jpeg, 1);
  for (let i = 0; i < 3; i++) socket.say('<html>');
  await assert.rejects(lost, skipped);
  assert.deepEqual([client.way, socket.closed], ['posts', true]);
  socket.say({ type: 'ready' }); // was on its way
  assert.equal(client.way, 'posts');
});

test('when posts get through again, the stream is tried at once', async () => {
  const { client, socket } = readyClient();
  socket.end(1006);
  mock.timers.tick(500);
  sockets[1].end(1006);
  const answering = globalThis.fetch;
  globalThis.fetch = async () => {
    throw new TypeError('fetch failed');
  };
  await assert.rejects(client.predict(jpeg, 1), kind('unreachable'));
  globalThis.fetch = answering;
  await client.predict(jpeg, 1);
  mock.timers.tick(500);
  assert.equal(sockets.length, 3);
  await client.predict(jpeg, 1); // while that one is being opened, and nothing is new
  mock.timers.tick(1000);
  assert.equal(sockets.length, 3);
  sockets[2].end(1006);
  await client.predict(jpeg, 1);
  mock.timers.tick(7000);
  assert.equal(sockets.length, 3);
  mock.timers.tick(500);
  assert.equal(sockets.length, 4);
});

test('the server is back while the stream is being opened: one is enough', async () => {
  const { client, socket } = readyClient();
  socket.end(1006);
  mock.timers.tick(500);
  sockets[1].end(1006);
  const answering = globalThis.fetch;
  globalThis.fetch = async () => {
    throw new TypeError('fetch failed');
  };
  await assert.rejects(client.predict(jpeg, 1), kind('unreachable'));
  globalThis.fetch = answering;
  mock.timers.tick(7500);
  assert.equal(sockets.length, 3);
  await client.predict(jpeg, 1);
  mock.timers.tick(500);
  assert.equal(sockets.length, 3);
});

test('close ends all and opens nothing more; forget deletes what was streamed', async () => {
  const { client, socket } = readyClient();
  const pending = client.predict(jpeg, 1);
  client.close();
  await assert.rejects(pending, { name: 'AbortError' });
  await assert.rejects(client.predict(jpeg, 1), { name: 'AbortError' });
  assert.equal(socket.closed, true);
  socket.end(1000);
  mock.timers.tick(120_000);
  await settle();
  assert.equal(sockets.length, 1);
  assert.equal(await client.forget(), true);
  assert.deepEqual(posts.map(({ method, url, keepalive }) => [method, url, keepalive]), [['DELETE', '/v1/sessions/abc', true]]);
});

test('nothing is opened after close, also when a stream was just lost', () => {
  const { client, socket } = readyClient();
  socket.end(1006);
  client.close();
  mock.timers.tick(120_000);
  assert.equal(sockets.length, 1);
});

test('a stream that carried nothing leaves nothing to forget', async () => {
  const { client } = readyClient();
  client.close();
  assert.equal(await client.forget(), true);
  assert.deepEqual(posts, []);
});
