// The ways to the real server (PAGE_URL, see page.spec.mjs) through a proxy that blocks WebSockets,
// and through one that is killed.
import { expect, test } from '@playwright/test';
import { CAMERA, closeBrowsers, openPage } from './browser.mjs';
import { startProxy } from './proxy.mjs';

const URL_UNDER_TEST = process.env.PAGE_URL;
if (!URL_UNDER_TEST) throw new Error('PAGE_URL must name the server; run scripts/test_page.sh');
test.afterAll(closeBrowsers);

test('where WebSockets are blocked, the same session goes by single posts', async () => {
  const proxy = await startProxy(URL_UNDER_TEST, { upgrades: false });
  const { seen, frames, start, status, way, close } = await openPage(proxy.url, CAMERA.playing('one'));
  await start();
  await frames(2);
  await expect(way()).toContainText('Single posts · picture');
  await expect(status()).toHaveText('Looking at one face.');
  expect(seen.frames.map((frame) => frame.way)).toEqual(['post', 'post']);
  const { demo, model } = await seen.frames[1].answer;
  expect([typeof demo, model]).toEqual(['boolean', expect.stringMatching(/./)]);
  await close();
  await proxy.close();
});

test('cut off from the real server and back: said while it lasts, then the stream goes on', async () => {
  let proxy = await startProxy(URL_UNDER_TEST, { upgrades: true });
  const { seen, frames, start, status, way, close } = await openPage(proxy.url, CAMERA.playing('one'));
  await start();
  await frames(1);
  await expect(way()).toContainText('Live stream · picture');
  await proxy.close();
  await expect(status()).toContainText('The server cannot be reached. Trying again in', { timeout: 30_000 });
  proxy = await startProxy(URL_UNDER_TEST, { upgrades: true, port: proxy.port });
  await expect(way()).toContainText('Live stream', { timeout: 30_000 });
  const before = seen.frames.length;
  await frames(before + 1);
  const newest = seen.frames.at(-1);
  expect([newest.way, newest.session]).toEqual(['stream', seen.frames[0].session]);
  expect((await newest.answer).type).toBe('prediction');
  await expect(status()).toHaveText('Looking at one face.');
  await close();
  await proxy.close();
});
