// The page against the real server: PAGE_URL is the address that `emotion serve` printed
// (scripts/test_page.sh starts it). Faults that a real server does not produce on demand are in
// faults.spec.mjs.
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import { devices, expect, test } from '@playwright/test';
import { CAMERA, closeBrowsers, jpegSize, openPage } from './browser.mjs';
import { PICTURE } from './make_media.mjs';

const URL_UNDER_TEST = process.env.PAGE_URL;
if (!URL_UNDER_TEST) throw new Error('PAGE_URL must name the server; run scripts/test_page.sh');
const SCREENSHOT = fileURLToPath(new URL('../../build/page.png', import.meta.url));

const STATES = ['Boredom', 'Engagement', 'Confusion', 'Frustration'];
const LEVELS = ['very low', 'low', 'high', 'very high'];
test.afterAll(closeBrowsers);
const open = (camera, context) => openPage(URL_UNDER_TEST, camera, context);
const violations = async (page) =>
  (await new AxeBuilder({ page }).analyze()).violations.map(({ id, nodes }) => [id, nodes[0].html]);

/** What the server answered is well-formed. */
function expectSound(answer) {
  for (const state of STATES) {
    const { category, level, confidence, probabilities, expected_level } = answer.predictions[state];
    expect(category).toBe(state);
    expect(probabilities).toHaveLength(4);
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 4);
    expect(probabilities[level]).toBeCloseTo(confidence, 4);
    expect(Math.max(...probabilities)).toBeCloseTo(confidence, 4);
    expect(probabilities.reduce((sum, p, k) => sum + p * k, 0)).toBeCloseTo(expected_level, 3);
  }
}

/** What the gauges show, read at one moment. */
const readGauges = (page) =>
  page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll('[data-state]')].map((gauge) => {
        const level = gauge.querySelector('[role=meter]').getAttribute('aria-valuenow');
        const [sure, expected] = gauge.querySelectorAll('.numbers span');
        const texts = [gauge.querySelector('.level'), sure, expected].map(({ textContent }) => textContent);
        return [gauge.dataset.state, [level, ...texts]];
      }),
    ),
  );

/** The gauges show the numbers of the newest answer. */
async function expectShown(page, frames) {
  await expect(async () => {
    const { predictions } = await frames.at(-1).answer;
    const expected = STATES.map((state) => {
      const { level, confidence, expected_level } = predictions[state];
      return [state, [`${level}`, LEVELS[level], `${Math.round(confidence * 100)} % sure`, `expected ${expected_level.toFixed(1)}`]];
    });
    expect(await readGauges(page)).toEqual(Object.fromEntries(expected));
  }).toPass({ timeout: 8000 });
}

test('a face: consent first, then 112x112 JPEGs on a stream at the pace, and the answers on the gauges', async () => {
  const { page, seen, frames, start, stop, way, close } = await open(CAMERA.playing('one'));
  await expect(page.getByText('Article 5(1)(f)')).toBeVisible();
  await expect(page.getByText('Images are not kept')).toBeVisible();
  await expect(page.getByText('It measures nobody.')).toBeVisible();
  expect(await page.evaluate(() => document.querySelector('video').srcObject)).toBeNull();
  expect(await violations(page)).toEqual([]);

  await start();
  await frames(5);
  const gaps = seen.frames.slice(1).map(({ at }, i) => at - seen.frames[i].at);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  expect(mean).toBeGreaterThan(1700);
  expect(mean).toBeLessThan(2800);
  expect(seen.streams).toHaveLength(1);
  expect(seen.streams[0].starts).toMatchObject([{ session_id: seen.frames[0].session, forget_on_close: true }]);
  for (const { way: sentBy, body, session, face, answer } of seen.frames) {
    expect(sentBy).toBe('stream');
    expect(jpegSize(body)).toEqual({ width: 112, height: 112 });
    expect(session).toMatch(/^[0-9a-f]{32}$/);
    expect(face).toBe(1);
    expectSound(await answer);
  }
  expect(new Set(seen.frames.map(({ session }) => session)).size).toBe(1);

  await expectShown(page, seen.frames);
  const { demo } = await seen.frames[0].answer;
  await expect(page.getByText('Demo model.')).toBeVisible({ visible: demo });
  await expect(way()).toContainText(/^Live stream · picture (less than 1|\d) s old$/);
  await expect(page.getByText(/server \d+\.\d ms · there and back \d+ ms/)).toBeVisible();
  const rows = page.getByRole('table').getByRole('row');
  expect(await rows.count()).toBeGreaterThan(4); // a header, and a row for each answer
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: SCREENSHOT, fullPage: true });

  const [forgotten] = await Promise.all([
    page.waitForResponse((response) => response.request().method() === 'DELETE'),
    stop(),
  ]);
  expect(forgotten.status()).toBe(204);
  expect(forgotten.url()).toContain(`/v1/sessions/${seen.frames[0].session}`);
  await expect(page.getByRole('status')).toHaveText('Stopped. The camera is off.');
  expect(await page.evaluate(() => document.querySelector('video').srcObject)).toBeNull();
  await expect.poll(() => seen.streams[0].closed).toBe(true);
  const before = seen.frames.length;
  await page.waitForTimeout(2500);
  expect(seen.frames.length).toBe(before);

  expect(seen.foreign).toEqual([]);
  expect(seen.errors).toEqual([]);
  await close();
});

test('four faces: only the largest is sent, until everyone in view has agreed', async () => {
  const { page, seen, faceIds, frames, start, stop, close } = await open(CAMERA.playing('four'));
  await start();
  await frames(2);
  expect(faceIds()).toHaveLength(1);
  await expect(page.getByRole('status')).toContainText('The others are left alone.');
  await expect(page.getByRole('article')).toHaveCount(1);
  await stop();

  const before = seen.frames.length;
  await page.getByRole('radio', { name: /Everyone in view/ }).check();
  await start();
  await frames(before + 8);
  seen.frames.splice(0, before);
  expect(faceIds()).toEqual([1, 2, 3, 4]);
  await expect(page.getByRole('article')).toHaveCount(4);
  await page.getByRole('article', { name: 'Face 3' }).getByRole('button').click();
  await expect(page.getByRole('heading', { name: 'The last minute Face 3' })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  expect(seen.errors).toEqual([]);
  await close();
});

test('a moving face keeps its id', async () => {
  const { seen, faceIds, frames, start, close } = await open(CAMERA.playing('moving'));
  await start();
  await frames(3);
  expect(faceIds()).toEqual([1]);
  expect(seen.errors).toEqual([]);
  await close();
});

test('no face: a message, and not one frame', async () => {
  const { page, seen, start, status, close } = await open(CAMERA.playing('none'));
  await start();
  await expect(status()).toContainText('No face in view', { timeout: 15_000 });
  await page.waitForTimeout(2500);
  expect(seen.frames).toEqual([]);
  await close();
});

test('camera refused: says so, and can be started again', async () => {
  const { page, seen, start, status, close } = await open(CAMERA.refused);
  await start();
  await expect(status()).toContainText('not allowed to use the camera');
  await expect(page.getByRole('button', { name: 'I agree, start the camera' })).toBeEnabled();
  expect(seen.frames).toEqual([]);
  await close();
});

test('no camera: says so, and a picture works instead', async () => {
  const { page, seen, start, status, frames, close } = await open(CAMERA.absent);
  await start();
  await expect(status()).toContainText('No camera was found');
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'I agree, try a picture' }).click(),
  ]);
  await chooser.setFiles(PICTURE);
  await frames(1);
  expect(jpegSize(seen.frames[0].body)).toEqual({ width: 112, height: 112 });
  await expectShown(page, seen.frames);
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(status()).toHaveText('Done.');

  await page.setInputFiles('#picture-file', { name: 'a.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
  await expect(status()).toContainText('not a picture');
  expect(seen.errors).toEqual([]);
  await close();
});

test('a phone in the dark: smaller JPEGs, every three seconds, nothing wider than the screen', async () => {
  const { page, seen, frames, start, close } = await open(CAMERA.playing('one'), {
    ...devices['Pixel 7'],
    colorScheme: 'dark',
  });
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(await overflow()).toBeLessThanOrEqual(0);
  await start();
  await frames(2);
  const [first, second] = seen.frames;
  expect(second.at - first.at).toBeGreaterThan(2500);
  expect(jpegSize(first.body)).toEqual({ width: 112, height: 112 });
  expect(first.body.length).toBeLessThan(3500); // quality 0.85 gives about 4,100
  await expectShown(page, seen.frames);
  expect(await overflow()).toBeLessThanOrEqual(0);
  expect(await violations(page)).toEqual([]);
  expect(seen.errors).toEqual([]);
  await close();
});
