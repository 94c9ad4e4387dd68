// @ts-check

/**
 * Starts the camera and shows it. Rejects as getUserMedia does (messages.js has the words).
 * @param {HTMLVideoElement} video
 * @param {() => void} onLost the camera went away by itself
 * @returns {Promise<() => void>} turns the camera off
 */
export async function startCamera(video, onLost) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new DOMException('needs https or localhost', 'NotSupportedError');
  }
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: false,
    video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: 'user' },
  });
  for (const track of stream.getTracks()) track.addEventListener('ended', onLost);
  const stop = () => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
  video.srcObject = stream;
  try {
    await video.play();
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}

/** A phone or a small tablet: less data, smaller pictures, fewer posts. */
export function isMobile() {
  return matchMedia('(pointer: coarse)').matches && Math.min(screen.width, screen.height) < 820;
}
