// A session over streams that break in every way. The sockets are played, and time is node:test's.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { ServerError, Skipped } from '../../../web/js/client.js';
import { StreamClient } from '../../../web/js/stream_client.js';
import { prediction } from '../dev_server.mjs';

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

test('a server that drains when the socket opens is used, and left when it says', () => {
  const client = newClient();
  sockets[0].say({ type: 'draining', reconnect_after_ms: 2000 });
  assert.equal(client.way, 'waiting');
  sockets[0].ready();
  assert.equal(client.way, 'stream');
  mock.timers.tick(2250);
  assert.equal(sockets.length, 2);
  sockets[1].ready();
  assert.equal(sockets[0].closed, true);
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

/** A post while the server cannot be reached. @param {StreamClient} client */
async function postInVain(client) {
  const answering = globalThis.fetch;
  globalThis.fetch = async () => {
    throw new TypeError('fetch failed');
  };
  await assert.rejects(client.predict(jpeg, 1), kind('unreachable'));
  globalThis.fetch = answering;
}

test('when posts get through again, the stream is tried at once', async () => {
  const { client, socket } = readyClient();
  socket.end(1006);
  mock.timers.tick(500);
  sockets[1].end(1006);
  await postInVain(client);
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
  await postInVain(client);
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
