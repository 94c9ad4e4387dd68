// @ts-check
/** @typedef {import('./types.js').Box} Box */

/** @param {string} name */
const cssColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

/** A dark chip keeps the label readable on any picture. @param {CanvasRenderingContext2D} context @param {string} text @param {number} x @param {number} y its lower edge @param {number} unit */
function drawLabel(context, text, x, y, unit) {
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 14 * unit;
  const height = 24 * unit;
  const top = Math.max(0, y - height);
  context.fillStyle = 'rgba(10, 20, 24, 0.78)';
  context.beginPath();
  context.roundRect(x, top, width, height, 6 * unit);
  context.fill();
  context.fillStyle = '#ffffff';
  context.textBaseline = 'middle';
  context.fillText(text, x + 7 * unit, top + height / 2 + unit / 2);
}

/**
 * Draws the faces over the picture.
 * @param {HTMLCanvasElement} canvas gets the size of the frame
 * @param {{width: number, height: number}} frame
 * @param {{box: Box, id: number, scored: boolean}[]} faces
 * @param {boolean} mirrored the picture below is shown as in a mirror
 */
export function drawFaces(canvas, frame, faces, mirrored) {
  if (canvas.width !== frame.width) canvas.width = frame.width;
  if (canvas.height !== frame.height) canvas.height = frame.height;
  const context = canvas.getContext('2d');
  if (!context) return;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const unit = Math.max(1, frame.width / 640); // so that lines look alike in large pictures
  for (const { box, id, scored } of faces) {
    const x = mirrored ? frame.width - box.x - box.width : box.x;
    context.lineWidth = (scored ? 3 : 2) * unit;
    context.setLineDash(scored ? [] : [6 * unit, 6 * unit]);
    context.strokeStyle = scored ? cssColor('--face-scored') : cssColor('--face-other');
    context.beginPath();
    context.roundRect(x, box.y, box.width, box.height, 12 * unit);
    context.stroke();
    drawLabel(context, scored ? `Face ${id}` : 'left alone', x, box.y - 6 * unit, unit);
  }
}
