// How the page takes what can go wrong, by single posts (stream.spec.mjs: on a stream). The
// development server plays the faults.
import { expect, test } from '@playwright/test';
import { CAMERA, closeBrowsers, openPage } from './browser.mjs';
import { startDevServer } from './dev_server.mjs';
import { PICTURE } from './make_media.mjs';

let server;
test.beforeEach(async () => {
  server = await startDevServer();
  server.faults.stream = 'refused';
});
test.afterEach(() => server.close());
test.afterAll(closeBrowsers);
const open = (camera) => openPage(server.url, camera);

test('503: waits as long as the server asks, says so, and goes on when it is back', async () => {
  Object.assign(server.faults, { status: 503, retryAfter: '4' });
  const { page, seen, frames, start, status, close } = await open(CAMERA.playing('one'));
  await start();
  await expect(status()).toContainText('The server is busy. Trying again in', { timeout: 15_000 });
  server.faults.status = 0;
  await frames(2);
  expect(seen.frames[1].at - seen.frames[0].at).toBeGreaterThan(3900);
  await expect(page.getByRole('meter', { name: 'Engagement' })).toHaveAttribute('aria-valuenow', '3');
  await expect(status()).toHaveText('Looking at one face.');
  await close();
});

test('a slow server never has two requests of one face, and hidden pages send nothing', async () => {
  server.faults.delayMs = 2500;
  const { page, frames, start, status, close } = await open(CAMERA.playing('one'));
  await start();
  await frames(2);
  expect(server.log.mostWaiting).toBe(1);

  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { value: true, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await expect(status()).toContainText('Paused');
  const before = server.log.frames.length;
  await page.waitForTimeout(3500);
  expect(server.log.frames.length).toBe(before);
  await page.evaluate(() => Object.defineProperty(document, 'hidden', { value: false }));
  await frames(before + 1);
  await close();
});

test('a server that went away is told in plain words, and so is a session it could not forget', async () => {
  const { page, frames, start, stop, status, close } = await open(CAMERA.playing('one'));
  await start();
  await frames(1);
  await server.close();
  await expect(status()).toContainText('The server cannot be reached. Trying again in', { timeout: 10_000 });
  await stop();
  await expect(status()).toContainText('could not be told to forget', { timeout: 10_000 });
  await expect(page.getByRole('button', { name: 'I agree, start the camera' })).toBeEnabled();
  await close();
});

test('what the answer says is told and followed: quality, cache, pace, model', async () => {
  server.faults.prediction = {
    demo: false,
    cached: true,
    cache: 'near',
    similarity: 0.97,
    quality: { usable: false, warnings: ['too_dark'] },
    next_frame_after_ms: 4000,
  };
  const { page, seen, frames, start, close } = await open(CAMERA.playing('one'));
  await start();
  await frames(1);
  const warnings = page.getByRole('list', { name: 'Picture quality' });
  await expect(warnings).toContainText('It is rather dark.');
  await expect(warnings).toContainText('hard to read');
  await expect(page.getByText('from the cache, 97 % like an earlier picture')).toBeVisible();
  await expect(page.getByText('Demo model.')).toBeHidden();
  await frames(2);
  expect(seen.frames[1].at - seen.frames[0].at).toBeGreaterThan(3500);

  // Leaving forgets the session. Only the server sees that request: it outlives the page.
  await page.goto('about:blank');
  await expect.poll(() => server.log.deleted).toEqual([seen.frames[0].session]);
  await close();
});

test('without WebGL: a message, and a picture is taken in its middle', async () => {
  const { page, frames, start, status, close } = await open(CAMERA.withoutWebGL('one'));
  await start();
  await expect(status()).toContainText('It needs WebGL', { timeout: 15_000 });
  expect(await page.evaluate(() => document.querySelector('video').srcObject)).toBeNull();
  await page.setInputFiles('#picture-file', PICTURE);
  await frames(1);
  await expect(status()).toContainText('The middle of the picture was used instead.');
  await close();
});
