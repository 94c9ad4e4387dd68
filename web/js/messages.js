// @ts-check
// What the page says when something is not as it should be: plain words, and what to do.
/** @typedef {import('./client.js').ServerError} ServerError */
/** @typedef {import('./types.js').Way} Way */

/** @type {Record<string, string>} */
const QUALITY = {
  too_dark: 'It is rather dark. Some light from the front helps.',
  too_bright: 'It is very bright. Try less light, or turn away from the window.',
  blurred: 'The picture is blurred. Hold still for a moment, or wipe the lens.',
  too_small: 'Your face is small in the picture. Come a little closer.',
  not_square: 'The crop of the face is not square.',
  no_face: 'The server sees no face in this picture.',
  multiple_faces: 'The server sees more than one face in this picture.',
};

/** @param {string} warning as in `quality.warnings` */
export function qualityText(warning) {
  return QUALITY[warning] ?? `Picture quality: ${warning.replaceAll('_', ' ')}.`;
}

/** @param {unknown} error what getUserMedia rejected with */
export function cameraText(error) {
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
      return 'The browser was not allowed to use the camera. Allow it for this page and try again, or try a picture.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No camera was found. Connect one and try again, or try a picture.';
    case 'NotReadableError':
    case 'AbortError':
      return 'The camera is busy, perhaps in another program. Close that and try again.';
    case 'NotSupportedError':
      return 'Browsers give the camera only to pages opened over https or on localhost. You can still try a picture.';
    default:
      return 'The camera could not be started. Try again, or try a picture.';
  }
}

/** @type {Record<Way, string>} */
const WAYS = { stream: 'Live stream', posts: 'Single posts', waiting: 'Connecting' };

/**
 * How the page speaks with the server, and how old what it shows is.
 * @param {Way} way
 * @param {number | null} ageMs null: nothing is shown yet
 */
export function wayText(way, ageMs) {
  if (ageMs === null) return WAYS[way];
  const age = ageMs < 1000 ? 'less than 1' : Math.floor(ageMs / 1000);
  return `${WAYS[way]} · picture ${age} s old`;
}

export const DETECTOR_TEXT =
  'Face detection could not start. It needs WebGL: switch on hardware acceleration or use a current browser.';

/**
 * @param {ServerError} error
 * @param {number | null} retryInMs null: nothing will be tried again
 */
export function serverText(error, retryInMs) {
  const again = retryInMs === null ? '' : ` Trying again in ${Math.ceil(retryInMs / 1000)} s.`;
  switch (error.kind) {
    case 'unreachable':
      return `The server cannot be reached.${again}`;
    case 'timeout':
      return `The server takes too long to answer.${again}`;
    case 'busy':
      return `The server is busy.${again}`;
    case 'sign-in':
      return `This server asks for a sign-in first.${again}`;
    case 'rejected':
      return `The server did not accept the picture: ${error.detail || `status ${error.status}`}.${again}`;
    default:
      return `The server could not answer.${again}`;
  }
}
