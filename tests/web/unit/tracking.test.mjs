import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseFaces, MAX_FACES } from '../../../web/js/choose.js';
import { CROP_MARGIN, squareAround } from '../../../web/js/crop.js';
import { affinity, isSteady, overlap, Tracker } from '../../../web/js/tracker.js';

const box = (x, y, width = 100, height = width) => ({ x, y, width, height });
const ids = (tracks) => tracks.map((track) => track.id);

test('overlap is 1 for equal boxes, 0 for apart ones, a third for half-shifted ones', () => {
  assert.equal(overlap(box(0, 0), box(0, 0)), 1);
  assert.equal(overlap(box(0, 0), box(200, 0)), 0);
  assert.equal(overlap(box(0, 0), box(100, 0)), 0);
  assert.ok(Math.abs(overlap(box(0, 0), box(50, 0)) - 1 / 3) < 1e-9);
});

test('a near box of another size is another face', () => {
  assert.ok(affinity(box(0, 0), box(80, 0)) > 0);
  assert.equal(affinity(box(0, 0), box(95, 0, 40)), 0);
  assert.equal(affinity(box(0, 0), box(120, 0)), 0);
});

test('ids survive another order of the boxes, a jump and a short absence', () => {
  const tracker = new Tracker();
  assert.deepEqual(ids(tracker.update([box(0, 0), box(300, 0)])), [1, 2]);
  const swapped = tracker.update([box(310, 0), box(10, 0)]);
  assert.deepEqual(swapped.map(({ id, box: { x } }) => [id, x]), [[1, 10], [2, 310]]);
  for (let frame = 0; frame < 6; frame++) assert.deepEqual(ids(tracker.update([box(90, 0)])), [1]);
  assert.deepEqual(ids(tracker.update([box(90, 0), box(305, 0)])), [1, 2]);
});

test('a face that was away for long comes back under a new id', () => {
  const tracker = new Tracker();
  tracker.update([box(0, 0)]);
  for (let frame = 0; frame < 11; frame++) assert.deepEqual(tracker.update([]), []);
  assert.deepEqual(ids(tracker.update([box(0, 0)])), [2]);
});

test('new faces are numbered from left to right as they are shown', () => {
  const boxes = [box(400, 0), box(0, 0), box(200, 0)];
  const xs = (tracks) => tracks.map((track) => track.box.x);
  assert.deepEqual(xs(new Tracker().update(boxes)), [0, 200, 400]);
  assert.deepEqual(xs(new Tracker({ mirrored: true }).update(boxes)), [400, 200, 0]);
});

test('ids stay within 1 to 63, are never shared, and run in turn', () => {
  const tracker = new Tracker();
  tracker.update([box(0, 0)]); // id 1 stays in view all the time
  const seen = [];
  for (let visitor = 0; visitor < 130; visitor++) {
    seen.push(tracker.update([box(0, 0), box(1000, 0)]).at(-1).id);
    for (let frame = 0; frame < 11; frame++) tracker.update([box(0, 0)]);
  }
  assert.ok(seen.every((id) => id >= 2 && id <= 63));
  assert.equal(new Set(seen.slice(0, 62)).size, 62);
});

test('more faces than ids: the last ones are not followed', () => {
  const crowd = Array.from({ length: 70 }, (_, i) => box(i * 200, 0));
  assert.equal(new Tracker().update(crowd).length, 63);
});

test('a face is steady from its second frame on', () => {
  const tracker = new Tracker();
  assert.equal(isSteady(tracker.update([box(0, 0)])[0]), false);
  assert.equal(isSteady(tracker.update([box(0, 0)])[0]), true);
});

const track = (id, side) => ({ id, box: box(id * 300, 0, side), hits: 5, misses: 0 });

test('without everyone’s agreement only the largest face is chosen', () => {
  const tracks = [track(1, 80), track(2, 120), track(3, 100)];
  assert.deepEqual(ids(chooseFaces(tracks, { everyone: false, chosenId: null })), [2]);
  assert.deepEqual(chooseFaces([], { everyone: false, chosenId: 2 }), []);
});

test('the chosen face stays chosen until another one is clearly larger', () => {
  const choose = (tracks) => ids(chooseFaces(tracks, { everyone: false, chosenId: 1 }));
  assert.deepEqual(choose([track(1, 100), track(2, 110)]), [1]);
  assert.deepEqual(choose([track(1, 100), track(2, 120)]), [2]);
  assert.deepEqual(choose([track(2, 50)]), [2]);
});

test('with everyone’s agreement all are chosen, up to the limit, the largest first', () => {
  const tracks = Array.from({ length: MAX_FACES + 2 }, (_, i) => track(i + 1, 50 + i));
  const chosen = ids(chooseFaces(tracks, { everyone: true, chosenId: null }));
  assert.deepEqual(chosen, Array.from({ length: MAX_FACES }, (_, i) => i + 3));
});

test('the crop is a square with 20 % margin around the middle of the face', () => {
  assert.equal(CROP_MARGIN, 0.2);
  assert.deepEqual(squareAround(box(200, 100, 100, 80), 640, 480), { x: 190, y: 80, side: 120 });
});

test('the crop never leaves the frame', () => {
  for (const face of [box(-20, -20), box(600, 440), box(0, 0, 900), box(100, 100, 5)]) {
    const { x, y, side } = squareAround(face, 640, 480);
    assert.ok(x >= 0 && y >= 0 && side > 0 && x + side <= 640 && y + side <= 480);
  }
});
