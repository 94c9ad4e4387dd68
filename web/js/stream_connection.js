// @ts-check
/** @typedef {import('./types.js').Prediction} Prediction */
/** @typedef {import('./types.js').StreamMessage} StreamMessage */
import { ServerError, Skipped } from './client.js';
import { frameText, readMessage, startText } from './stream_messages.js';
import { endingOf, troubleOf } from './transport.js';

const READY_WITHIN_MS = 4_000;
const ANSWER_WITHIN_MS = 10_000;
// One is computed, one waits at the server, and one is on its way to take that one's place.
const MAX_AWAITED_PER_FACE = 3;
// Some ten crops. What waits longer for a slow uplink is old when it gets there.
const MAX_BUFFERED_BYTES = 48 * 1024;
const MAX_BROKEN = 3; // messages in a row

/**
 * What a connection tells its owner.
 * @typedef {object} ConnectionEvents
 * @property {(nextFrameAfterMs: number) => void} onReady
 * @property {(reconnectAfterMs: number) => void} onDraining
 * @property {(ending: import('./transport.js').Ending) => void} onEnded at most once, and not after close()
 */

/**
 * A frame that was sent.
 * @typedef {object} Awaited
 * @property {number} faceId
 * @property {number} heard messages that had come when it was sent
 * @property {(prediction: Prediction) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {ReturnType<typeof setTimeout>} timer
 */

/** One socket, from its opening to its end. Every frame is settled exactly once, however that comes. */
export class StreamConnection {
  /**
   * @param {WebSocket} socket just created; owned from now on
   * @param {string} sessionId
   * @param {ConnectionEvents} events
   */
  constructor(socket, sessionId, events) {
    this.socket = socket;
    this.events = events;
    this.ready = false;
    this.ended = false;
    this.retired = false;
    this.maxAwaited = Infinity;
    this.heard = 0;
    this.broken = 0;
    /** A server that drains already says so even before it is ready. @type {number | null} */
    this.reconnectAfterMs = null;
    /** By frame id. @type {Map<number, Awaited>} */
    this.awaited = new Map();
    this.readyTimer = setTimeout(() => this.#end('refused'), READY_WITHIN_MS);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      if (!this.ended) socket.send(startText(sessionId));
    });
    socket.addEventListener('message', ({ data }) => this.#hear(readMessage(data)));
    socket.addEventListener('close', ({ code }) => this.#end(endingOf(code, this.ready)));
  }

  /** Whether a frame of this face can be sent and will not just wait. @param {number} faceId */
  free(faceId) {
    if (!this.ready || this.awaited.size >= this.maxAwaited) return false;
    const ofFace = [...this.awaited.values()].filter((frame) => frame.faceId === faceId);
    return ofFace.length < MAX_AWAITED_PER_FACE && this.socket.bufferedAmount <= MAX_BUFFERED_BYTES;
  }

  /**
   * @param {ArrayBuffer} jpeg
   * @param {number} faceId
   * @param {number} id new to this connection
   * @returns {Promise<Prediction>} as PredictClient's
   */
  predict(jpeg, faceId, id) {
    if (!this.free(faceId)) return Promise.reject(new Skipped());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(id), ANSWER_WITHIN_MS);
      this.awaited.set(id, { faceId, heard: this.heard, resolve, reject, timer });
      this.socket.send(frameText(id, faceId));
      this.socket.send(jpeg);
    });
  }

  /** There is another one: this one ends as soon as it owes nothing. */
  retire() {
    this.retired = true;
    if (!this.awaited.size) this.#end('lost');
  }

  close() {
    this.#leave(new DOMException('The stream was closed.', 'AbortError'));
  }

  /** @param {StreamMessage} message */
  #hear(message) {
    if (this.ended) return;
    this.heard++;
    this.broken = message.type === 'broken' ? this.broken + 1 : 0;
    if (this.broken >= MAX_BROKEN) this.#end('refused');
    switch (message.type) {
      case 'ready':
        clearTimeout(this.readyTimer);
        this.maxAwaited = message.maxUnanswered;
        if (this.ready) return;
        this.ready = true;
        this.events.onReady(message.nextFrameAfterMs);
        if (this.reconnectAfterMs !== null) this.events.onDraining(this.reconnectAfterMs);
        break;
      case 'prediction':
        this.#take(message.id)?.resolve(message.prediction);
        break;
      case 'superseded':
        this.#take(message.id)?.reject(new Skipped());
        break;
      case 'error':
        if (message.id !== null) this.#take(message.id)?.reject(message.error);
        else if (message.error.kind === 'sign-in') this.#end('sign-in');
        break;
      case 'draining':
        this.reconnectAfterMs = message.reconnectAfterMs;
        if (this.ready) this.events.onDraining(message.reconnectAfterMs);
        break;
    }
  }

  /** @param {number} id @returns {Awaited | undefined} not when it was given up before */
  #take(id) {
    const frame = this.awaited.get(id);
    if (!frame) return undefined;
    clearTimeout(frame.timer);
    this.awaited.delete(id);
    if (this.retired) this.retire();
    return frame;
  }

  /** @param {number} id */
  #giveUp(id) {
    const frame = this.#take(id);
    frame?.reject(new ServerError('timeout'));
    // Not a word since: the network may have gone without telling.
    if (frame?.heard === this.heard) this.#end('lost');
  }

  /** @param {import('./transport.js').Ending} ending */
  #end(ending) {
    if (this.ended) return;
    this.#leave(troubleOf(ending) ?? new Skipped());
    this.events.onEnded(ending);
  }

  /** @param {Error} error what becomes of the frames: a live one is never sent again */
  #leave(error) {
    this.ended = true;
    this.ready = false;
    clearTimeout(this.readyTimer);
    for (const id of [...this.awaited.keys()]) this.#take(id)?.reject(error);
    this.socket.close();
  }
}
