import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History } from '../../../web/js/history.js';
import { Pace, periodFor, qualityFor } from '../../../web/js/pace.js';

/** Ticks every 210 ms, sends whenever it is due. @returns {number[]} when it sent */
function sendFor(pace, durationMs, onSent = () => {}) {
  const sent = [];
  for (let now = 0; now <= durationMs; now += 210) {
    if (!pace.due(now)) continue;
    pace.sent(now);
    onSent(now);
    sent.push(now);
  }
  return sent;
}

test('the mean period is the wanted one although ticks are late', () => {
  const sent = sendFor(new Pace(2000), 60_000);
  const mean = (sent.at(-1) - sent[0]) / (sent.length - 1);
  assert.ok(Math.abs(mean - 2000) < 20, `mean ${mean}`);
});

test('the server may ask for a longer period, never for a shorter one', () => {
  const slow = new Pace(2000);
  const sent = sendFor(slow, 30_000, () => slow.answered(5000));
  for (let i = 1; i < sent.length; i++) assert.ok(sent[i] - sent[i - 1] >= 4700);
  const eager = new Pace(2000);
  assert.equal(sendFor(eager, 20_200, () => eager.answered(100)).length, 11);
});

test('what the server asks for before any answer counts, and never holds the first frame back', () => {
  const pace = new Pace(2000);
  pace.asked(5000);
  assert.ok(pace.due(0));
  pace.sent(0);
  assert.equal(pace.due(4900), false);
  assert.ok(pace.due(5000));
});

test('answers that ask for this and that do not add up, and none stops the page for good', () => {
  const pace = new Pace(2000);
  pace.sent(0);
  for (const ms of [5000, 2000, 5000, 2000, 5000]) pace.answered(ms);
  assert.equal(pace.nextAt, 5000);
  pace.answered(1e12);
  assert.equal(pace.nextAt, 60_000);
});

test('after a pause frames do not come in a burst', () => {
  const pace = new Pace(2000);
  pace.sent(0);
  assert.ok(pace.due(60_000));
  pace.sent(60_000);
  assert.equal(pace.due(61_900), false);
  assert.ok(pace.due(62_000));
});

test('failures back off from 2 s to 30 s, and an answer ends it', () => {
  const pace = new Pace(2000);
  const waits = [];
  let now = 0;
  for (let i = 0; i < 6; i++) {
    pace.sent(now);
    now += 10;
    waits.push(pace.failed(now, { sentAt: now - 10, retryAfterMs: 0, random: 0 }));
    now += waits.at(-1);
  }
  assert.deepEqual(waits, [2000, 4000, 8000, 16_000, 30_000, 30_000]);
  pace.sent(now);
  pace.answered(0);
  assert.equal(pace.failed(now + 20, { sentAt: now + 10, retryAfterMs: 0, random: 0 }), 2000);
});

test('Retry-After is never undercut, and clients spread', () => {
  const waits = [0, 1].map((random) =>
    new Pace(2000).failed(0, { sentAt: -5, retryAfterMs: 7000, random }),
  );
  assert.deepEqual(waits, [7000, 7500]);
});

test('faces that fail together are one failure', () => {
  const pace = new Pace(2000);
  pace.sent(0);
  const failure = { sentAt: 0, retryAfterMs: 0, random: 0 };
  assert.equal(pace.failed(100, failure), 2000);
  assert.equal(pace.failed(200, failure), 1900);
  assert.equal(pace.failed(300, { ...failure, retryAfterMs: 5000 }), 5000);
  assert.equal(pace.backoffMs, 2000);
});

test('phones send less, and less again where data is scarce', () => {
  assert.equal(periodFor(false, { saveData: true }), 2000);
  assert.equal(periodFor(true), 3000);
  assert.equal(periodFor(true, { saveData: true }), 4000);
  assert.equal(periodFor(true, { effectiveType: '3g' }), 4000);
  assert.equal(periodFor(true, { effectiveType: '4g' }), 3000);
  assert.deepEqual([qualityFor(false), qualityFor(true)], [0.85, 0.7]);
});

const levels = (x) => [x, x, x, x];

test('the history keeps a minute, and one sample before it for the line', () => {
  const history = new History();
  for (let t = 0; t <= 100; t += 2) history.add(t, levels(1));
  const [times, boredom] = history.columns();
  assert.equal(times[0], 38);
  assert.equal(times.at(-1), 100);
  assert.equal(boredom.length, times.length);
  assert.equal(history.recent(100).length, 31);
  assert.equal(history.recent(100)[0].time, 100);
});

test('a long pause breaks the line and is not in the table', () => {
  const history = new History();
  history.add(0, levels(1));
  history.add(30, levels(2));
  assert.deepEqual(history.columns()[1], [1, null, 2]);
  assert.deepEqual(history.recent(30).map((sample) => sample.time), [30, 0]);
});
