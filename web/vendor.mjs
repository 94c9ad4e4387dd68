// Fills web/vendor/ and web/models/ from the pinned npm packages, so that the page loads nothing
// from anywhere but its own server.
//
//   npm ci && node vendor.mjs     copy, make the detector's model, write NOTICE and .gz files
//   node vendor.mjs --check       exit 0 if everything is there and intact, 1 if not (no npm needed)
//
// Every input and every output is known by its SHA-256. A version bump starts here: change the
// pins in package.json and the table below together. Do not take tasks-vision 1.0.0 or later:
// from there on it reports its use to a third party.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';

const WEB = path.dirname(fileURLToPath(import.meta.url));
const PACKAGES = path.join(WEB, 'node_modules');
const TASKS_VISION = 'vendor/tasks-vision-0.10.35';
const UPLOT = 'vendor/uplot-1.6.32';

/**
 * @typedef {object} Item
 * @property {string} from below node_modules
 * @property {string} to below web/
 * @property {string} source SHA-256 of the input
 * @property {string} [made] SHA-256 of the output, where it is not a plain copy
 * @property {boolean} [gzip] also write TO.gz, for servers that send it as it is
 */

/** @type {Item[]} */
const ITEMS = [
  {
    from: '@mediapipe/tasks-vision/vision_bundle.mjs',
    to: `${TASKS_VISION}/vision_bundle.mjs`,
    source: '55d7ab624fbb70dcc5adc4ae6d7ea9cfcb569139d3dbfbf2b1deafcb966bc0fe',
    gzip: true,
  },
  {
    from: '@mediapipe/tasks-vision/vision.d.ts',
    to: `${TASKS_VISION}/vision_bundle.d.mts`,
    source: '3825dba564fc06720dc0934b72a22711ac6b7491ae8662e573ac205699ea016b',
  },
  {
    from: '@mediapipe/tasks-vision/wasm/vision_wasm_module_internal.js',
    to: `${TASKS_VISION}/wasm/vision_wasm_module_internal.js`,
    source: '1f1d6215324a1fe62f6742d49a3db911170987ca18ad8c1b75f1a1c82acf2b44',
    gzip: true,
  },
  {
    from: '@mediapipe/tasks-vision/wasm/vision_wasm_module_internal.wasm',
    to: `${TASKS_VISION}/wasm/vision_wasm_module_internal.wasm`,
    source: '617b8e0248dbd27e9d7ece4218004eae4cefb499196d1bb4fa0e3fef21708756',
    gzip: true,
  },
  {
    from: 'uplot/dist/uPlot.esm.js',
    to: `${UPLOT}/uPlot.esm.js`,
    source: '5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba',
    gzip: true,
  },
  {
    from: 'uplot/dist/uPlot.d.ts',
    to: `${UPLOT}/uPlot.esm.d.ts`,
    source: 'af44374f6e808be4f7f3fa5888b9c7574dca9f8a15a66d54b6763535802c8080',
  },
  {
    from: 'uplot/dist/uPlot.min.css',
    to: `${UPLOT}/uPlot.min.css`,
    source: 'df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04',
  },
  {
    from: 'uplot/LICENSE',
    to: `${UPLOT}/LICENSE`,
    source: '8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd',
  },
  {
    from: '@mediapipe/face_detection/face_detection_full_range.tflite',
    to: 'models/face_full_range.tflite',
    source: '99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3',
    made: 'd3a47fd6dbadd92ebc170077dcd75858e59da247f4a936ed5117b093ba7fac2a',
    gzip: true,
  },
];

const NOTICE = `This folder and ../models hold third-party files that the page loads:

tasks-vision-0.10.35/   @mediapipe/tasks-vision 0.10.35, The MediaPipe Authors, Apache-2.0, unmodified
uplot-1.6.32/           uPlot 1.6.32, Leon Sorokin, MIT (LICENSE beside it), unmodified
../models/face_full_range.tflite
                        MediaPipe BlazeFace weights (full range) from @mediapipe/face_detection
                        0.4.1657300184, The MediaPipe Authors, Apache-2.0,
                        modified: TFLite metadata added, weights unchanged

The text of the Apache License 2.0 is in LICENSE-APACHE-2.0.txt.
`;

const LICENSE_FROM = path.join(WEB, '..', 'LICENSE');
const LICENSE_TO = path.join(WEB, 'vendor', 'LICENSE-APACHE-2.0.txt');
const NOTICE_TO = path.join(WEB, 'vendor', 'NOTICE');

/** @param {Buffer} bytes */
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** @param {string} file @returns {Buffer | null} null: not there */
function readIfThere(file) {
  return fs.existsSync(file) ? fs.readFileSync(file) : null;
}

/** @param {Item} item */
function isIntact(item) {
  const file = path.join(WEB, item.to);
  const bytes = readIfThere(file);
  if (!bytes || sha256(bytes) !== (item.made ?? item.source)) return false;
  if (!item.gzip) return true;
  const packed = readIfThere(`${file}.gz`);
  try {
    return packed !== null && zlib.gunzipSync(packed).equals(bytes);
  } catch {
    return false; // a damaged .gz
  }
}

function textsAreIntact() {
  return (
    readIfThere(NOTICE_TO)?.toString() === NOTICE &&
    readIfThere(LICENSE_TO)?.equals(fs.readFileSync(LICENSE_FROM)) === true
  );
}

/** Written beside and renamed, so that a server never sees half a file. @param {string} file @param {string | Buffer} data */
function write(file, data) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.tmp`, data);
  fs.renameSync(`${file}.tmp`, file);
}

/** @param {Item} item */
async function produce(item) {
  const bytes = readIfThere(path.join(PACKAGES, item.from));
  if (!bytes) throw new Error(`node_modules/${item.from} is missing: run "npm ci" in web/ first`);
  if (sha256(bytes) !== item.source) {
    throw new Error(`node_modules/${item.from}: SHA-256 is ${sha256(bytes)}, not ${item.source}`);
  }
  let result = bytes;
  if (item.made) {
    // Imported here, so that --check needs no npm package.
    const { addMetadata } = await import('./face_model.mjs');
    result = addMetadata(bytes);
    if (sha256(result) !== item.made) {
      throw new Error(`${item.to}: made SHA-256 ${sha256(result)}, not ${item.made}`);
    }
  }
  const file = path.join(WEB, item.to);
  write(file, result);
  if (item.gzip) write(`${file}.gz`, zlib.gzipSync(result, { level: 9 }));
}

async function main() {
  const missing = ITEMS.filter((item) => !isIntact(item));
  if (missing.length === 0 && textsAreIntact()) return;
  if (process.argv.includes('--check')) {
    throw new Error(`not vendored: ${missing.map((item) => item.to).join(', ') || 'NOTICE'}`);
  }
  for (const item of missing) {
    await produce(item);
    console.log(`web/${item.to}`);
  }
  write(NOTICE_TO, NOTICE);
  write(LICENSE_TO, fs.readFileSync(LICENSE_FROM));
}

main().catch((error) => {
  console.error(`vendor: ${error.message}`);
  process.exitCode = 1;
});
