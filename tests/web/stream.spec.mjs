// The page on a stream, and how it takes what can go wrong with one. The development server plays
// the faults; page.spec.mjs and gateway.spec.mjs show the stream of the real server.
import { expect, test } from '@playwright/test';
import { CAMERA, closeBrowsers, openPage } from './browser.mjs';
import { prediction, startDevServer } from './dev_server.mjs';

let server;
test.beforeEach(async () => {
  server = await startDevServer();
});
test.afterEach(() => server.close());
test.afterAll(closeBrowsers);

/** Starts the camera; everything the status line said until now is in `said`. */
async function startLive() {
  const opened = await openPage(server.url, CAMERA.playing('one'));
  const said = [];
  await opened.page.exposeFunction('noteStatus', (text) => said.push(text));
  await opened.page.evaluate(() => {
    const line = document.getElementById('session-status');
    new MutationObserver(() => window.noteStatus(line.textContent)).observe(line, { childList: true });
  });
  await opened.start();
  return { ...opened, said };
}
const arrived = (count, timeout = 30_000) =>
  expect.poll(() => server.log.frames.length, { timeout }).toBeGreaterThanOrEqual(count);
const TROUBLE = /cannot be reached|could not|busy|too long/;

test('frames go over one socket under the session, the pace of `ready` is followed, and closing forgets', async () => {
  server.faults.readyPaceMs = 3000;
  server.faults.prediction = { next_frame_after_ms: 3000 };
  const { seen, frames, way, stop, close } = await startLive();
  await frames(2);
  await expect(way()).toContainText(/^Live stream · picture (less than 1|\d) s old$/);
  expect(server.log.frames.map((frame) => frame.way)).toEqual(['stream', 'stream']);
  expect(seen.frames[1].at - seen.frames[0].at).toBeGreaterThan(2600);
  const [{ session_id, forget_on_close }, ...more] = server.log.starts;
  expect([forget_on_close, more]).toEqual([true, []]);
  await stop();
  await expect.poll(() => server.log.deleted).toEqual([session_id]);
  await expect.poll(() => seen.streams.map(({ closed }) => closed)).toEqual([true]);
  expect(seen.errors).toEqual([]);
  await close();
});

test('a slow server: the next frame goes before the answer, and the pace follows what it asks for', async () => {
  server.faults.delayMs = 3000;
  server.faults.answers = ({ id, face_id }) =>
    id === 1 ? [{ type: 'superseded', id, face_id }] : [{ type: 'prediction', id, face_id, ...prediction({ next_frame_after_ms: 4500 }) }];
  const { seen, said, way, frames, close } = await startLive();
  await expect(way()).toContainText('Live stream · picture', { timeout: 30_000 });
  expect(server.log.mostWaiting).toBe(2);
  const before = seen.frames.length;
  await frames(before + 1);
  expect(seen.frames.at(-1).at - seen.frames.at(-2).at).toBeGreaterThan(4100);
  expect(said.filter((text) => TROUBLE.test(text))).toEqual([]);
  await close();
});

test('a socket that never gets ready: posts instead, and the stream when it can be had', async () => {
  server.faults.stream = 'silent';
  const { page, said, way, close } = await startLive();
  await arrived(1);
  expect(server.log.frames[0].way).toBe('post');
  await expect(way()).toContainText('Single posts · picture');
  await expect(page.getByRole('meter', { name: 'Engagement' })).toHaveAttribute('aria-valuenow', '3');
  server.faults.stream = 'open';
  await expect(way()).toContainText('Live stream', { timeout: 30_000 });
  const posts = server.log.frames.length;
  await arrived(posts + 1);
  expect(server.log.frames.at(-1)).toMatchObject({ way: 'stream', session: server.log.frames[0].session });
  expect(said.filter((text) => TROUBLE.test(text))).toEqual([]);
  await close();
});

test('a draining server: a new socket takes over, and nobody notices', async () => {
  const { seen, said, frames, close } = await startLive();
  await arrived(1);
  server.faults.delayMs = 1000; // something is owed when it drains
  await arrived(2);
  server.streams[0].say({ type: 'draining', reconnect_after_ms: 600 });
  await expect.poll(() => server.streams.length).toBe(2);
  await expect.poll(() => seen.streams[0].closed).toBe(true);
  server.faults.delayMs = 0;
  await frames(3);
  expect(new Set(server.log.starts.map(({ session_id }) => session_id)).size).toBe(1);
  expect((await Promise.all(seen.frames.slice(0, 3).map(({ answer }) => answer))).map((answer) => answer?.type)).toEqual(
    Array(3).fill('prediction'),
  );
  expect(said.filter((text) => TROUBLE.test(text))).toEqual([]);
  expect(seen.errors).toEqual([]);
  await close();
});

test('a lost connection comes back by itself, and nobody notices', async () => {
  const { seen, said, close } = await startLive();
  await arrived(1);
  server.streams[0].lose();
  await arrived(2);
  expect(server.streams).toHaveLength(2);
  expect(server.log.frames.map((frame) => frame.way)).toEqual(['stream', 'stream']);
  expect(said.filter((text) => TROUBLE.test(text))).toEqual([]);
  expect(seen.errors).toEqual([]);
  await close();
});

test('a server that sends us away is told as what it says: too many sockets, no sign-in', async () => {
  server.faults.stream = 1013;
  const { status, close } = await startLive();
  await expect(status()).toContainText('The server is busy. Trying again in', { timeout: 30_000 });
  server.faults.stream = 3000;
  await expect(status()).toContainText('asks for a sign-in first', { timeout: 30_000 });
  expect(server.log.frames).toEqual([]);
  await close();
});

test('garbage from the server breaks nothing: what is sound is shown, and posts take over', async () => {
  const sound = (frame) => ({ type: 'prediction', ...frame, ...prediction() });
  server.faults.answers = (frame) => ['<html>', 'null', sound({ id: 77, face_id: 1 }), { type: 'prediction', id: 'x' }, sound(frame)];
  const { page, seen, way, close } = await startLive();
  await expect(page.getByRole('meter', { name: 'Engagement' })).toHaveAttribute('aria-valuenow', '3', { timeout: 30_000 });
  await expect(way()).toContainText('Live stream');
  server.faults.answers = () => ['{"type":', '[]', '7'];
  await expect(way()).toContainText('Single posts', { timeout: 30_000 });
  await expect.poll(() => server.log.frames.at(-1).way, { timeout: 30_000 }).toBe('post');
  expect(seen.errors).toEqual([]);
  await close();
});
