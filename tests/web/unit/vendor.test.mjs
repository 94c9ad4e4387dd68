import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const WEB = path.join(ROOT, 'web');

test('what the page loads is vendored, and intact byte for byte', () => {
  execFileSync(process.execPath, [path.join(WEB, 'vendor.mjs'), '--check']);
});

test('one changed byte in a vendored file or its .gz is noticed', () => {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'vendor-'));
  try {
    fs.cpSync(path.join(ROOT, 'LICENSE'), path.join(copy, 'LICENSE'));
    for (const name of ['vendor', 'models', 'vendor.mjs']) {
      fs.cpSync(path.join(WEB, name), path.join(copy, 'web', name), { recursive: true });
    }
    const check = () =>
      spawnSync(process.execPath, [path.join(copy, 'web/vendor.mjs'), '--check'], { encoding: 'utf8' });
    assert.equal(check().status, 0);
    for (const name of ['models/face_full_range.tflite', 'vendor/uplot-1.6.32/uPlot.esm.js.gz']) {
      const file = path.join(copy, 'web', name);
      const bytes = fs.readFileSync(file);
      const damaged = Buffer.from(bytes);
      damaged[damaged.length >> 1] ^= 1;
      fs.writeFileSync(file, damaged);
      const { status, stderr } = check();
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(name.replace('.gz', '')));
      fs.writeFileSync(file, bytes);
    }
  } finally {
    fs.rmSync(copy, { recursive: true });
  }
});

test('nothing in the page or its parts names the telemetry host of later tasks-vision versions', () => {
  const files = fs
    .readdirSync(WEB, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/node_modules/.test(entry.parentPath ?? entry.path))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
  assert.ok(files.some((file) => file.endsWith('vision_wasm_module_internal.wasm')));
  for (const file of files.filter((name) => !name.endsWith('.gz'))) {
    assert.equal(fs.readFileSync(file).includes('odml.pa.googleapis.com'), false, file);
  }
});

test('lock files name no host', () => {
  for (const file of ['web/package-lock.json', 'tests/web/package-lock.json']) {
    assert.doesNotMatch(fs.readFileSync(path.join(ROOT, file), 'utf8'), /registry\.|https?:\/\//, file);
  }
});

test('the page has no inline style or script and loads nothing from elsewhere', () => {
  const html = fs.readFileSync(path.join(WEB, 'index.html'), 'utf8');
  assert.doesNotMatch(html, /\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)|https?:\/\//);
});
