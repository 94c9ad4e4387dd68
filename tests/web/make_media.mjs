// Makes what the fake camera plays, from the public-domain astronaut picture, with ffmpeg.
//
//   node make_media.mjs        writes media/*.mjpeg (about 5 MB, git-ignored); quick when all is there
//
// EMOTION_TEST_PICTURE names another picture of 512 x 512 with one face.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
export const MEDIA = path.join(HERE, 'media');
export const PICTURE =
  process.env.EMOTION_TEST_PICTURE ?? path.join(HERE, '..', 'data', 'images', 'astronaut.jpg');

const STILL = ['-loop', '1', '-i', PICTURE];
const WHOLE = 'crop=512:384:0:0,scale=640:480';
const QUARTERS =
  '[0:v]crop=512:384:0:0,scale=320:240,split=4[a][b][c][d];[b]hflip[B];[d]hflip[D];' +
  '[a][B]hstack[top];[c][D]hstack[low];[top][low]vstack,fps=10';
const ROUND =
  `[0:v]${WHOLE},fps=10[s];color=0x406080:s=640x480:r=10[bg];` +
  "[bg][s]overlay=x='60*sin(2*PI*t/2)':y='30*cos(2*PI*t/2)':eval=frame";

/** Name of the clip -> ffmpeg's input and filter. */
const CLIPS = {
  one: [...STILL, '-vf', `${WHOLE},fps=10`],
  four: [...STILL, '-filter_complex', QUARTERS],
  moving: [...STILL, '-filter_complex', ROUND],
  none: ['-f', 'lavfi', '-i', 'color=0x406080:s=640x480:r=10'],
};
const OUTPUT = ['-t', '2', '-pix_fmt', 'yuvj420p', '-q:v', '3', '-f', 'mjpeg'];

/** @param {string} name */
export const clip = (name) => path.join(MEDIA, `${name}.mjpeg`);

export default function makeMedia() {
  const newest = Math.max(fs.statSync(PICTURE).mtimeMs, fs.statSync(fileURLToPath(import.meta.url)).mtimeMs);
  fs.mkdirSync(MEDIA, { recursive: true });
  for (const [name, how] of Object.entries(CLIPS)) {
    const file = clip(name);
    if ((fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) continue;
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...how, ...OUTPUT, `${file}.tmp`], { stdio: 'inherit' });
    fs.renameSync(`${file}.tmp`, file);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) makeMedia();
