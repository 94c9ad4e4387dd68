// @ts-check
/** @typedef {import('./types.js').PredictClient} PredictClient */
/** @typedef {import('./types.js').Way} Way */
import { createRestClient, forgetSession, ServerError, Skipped } from './client.js';
import { StreamConnection } from './stream_connection.js';
import { PROTOCOL } from './stream_messages.js';
import { moveDelayMs, Transport } from './transport.js';

/** @returns {WebSocket} */
function openSocketHere() {
  const url = new URL('/v1/stream', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return new WebSocket(url, PROTOCOL);
}

/**
 * A session over a stream, and by single posts where no stream can be had; it moves between them
 * and from a draining server to the next by itself. Live frames are never sent twice.
 * @implements {PredictClient}
 */
export class StreamClient {
  /**
   * Begins to open the stream.
   * @param {object} options
   * @param {string} options.sessionId
   * @param {(nextFrameAfterMs: number) => void} options.onPace what the server asks for before any answer
   * @param {() => WebSocket} [options.openSocket]
   * @param {() => number} [options.random] 0 to 1
   */
  constructor({ sessionId, onPace, openSocket = openSocketHere, random = Math.random }) {
    this.sessionId = sessionId;
    this.onPace = onPace;
    this.openSocket = openSocket;
    this.random = random;
    this.posts = createRestClient({ sessionId });
    this.transport = new Transport();
    /** All that have not ended: also the one being opened, and those that were left for another. @type {Set<StreamConnection>} */
    this.connections = new Set();
    /** Where frames go. @type {StreamConnection | null} */
    this.current = null;
    /** @type {StreamConnection | null} */
    this.opening = null;
    /** The server of the current one drains: another will be opened. */
    this.moving = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.lastId = 0;
    /** The newest answered frame of each face. @type {Map<number, number>} */
    this.newest = new Map();
    this.streamed = false;
    this.unreachable = false;
    this.closed = false;
    this.#open();
  }

  /** @returns {Way} */
  get way() {
    if (this.current) return 'stream';
    return this.transport.meanwhile === 'post' ? 'posts' : 'waiting';
  }

  /** @param {number} faceId */
  free(faceId) {
    if (this.current) return this.current.free(faceId);
    const { meanwhile } = this.transport;
    return meanwhile === 'post' ? this.posts.free(faceId) : meanwhile === 'tell';
  }

  /** @param {ArrayBuffer} jpeg @param {number} faceId */
  async predict(jpeg, faceId) {
    if (this.closed) throw new DOMException('The session was closed.', 'AbortError');
    const id = ++this.lastId;
    const prediction = await this.#send(jpeg, faceId, id);
    if (id < (this.newest.get(faceId) ?? 0)) throw new Skipped(); // overtaken
    this.newest.set(faceId, id);
    return prediction;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    for (const connection of this.connections) connection.close();
    this.connections.clear();
    this.current = null;
    this.posts.close();
  }

  forget() {
    return this.streamed ? forgetSession(this.sessionId) : this.posts.forget();
  }

  /** @param {ArrayBuffer} jpeg @param {number} faceId @param {number} id */
  async #send(jpeg, faceId, id) {
    if (this.current) {
      this.streamed = true;
      const prediction = await this.current.predict(jpeg, faceId, id);
      this.transport.answered();
      return prediction;
    }
    const { meanwhile, trouble } = this.transport;
    if (meanwhile === 'post') return this.#post(jpeg, faceId);
    throw trouble ?? new Skipped();
  }

  /** @param {ArrayBuffer} jpeg @param {number} faceId */
  async #post(jpeg, faceId) {
    try {
      const prediction = await this.posts.predict(jpeg, faceId);
      if (this.unreachable && !this.current) this.#openIn(this.transport.serverBack(this.random()));
      this.unreachable = false;
      return prediction;
    } catch (error) {
      if (error instanceof ServerError && error.kind === 'unreachable') this.unreachable = true;
      throw error;
    }
  }

  /** @param {number} delayMs */
  #openIn(delayMs) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#open(), delayMs);
  }

  #open() {
    if (this.opening) return;
    let socket;
    try {
      socket = this.openSocket();
    } catch {
      this.#openIn(this.transport.ended('refused', this.random())); // the browser forbids it
      return;
    }
    const connection = new StreamConnection(socket, this.sessionId, {
      onReady: (nextFrameAfterMs) => this.#moveTo(connection, nextFrameAfterMs),
      onDraining: (reconnectAfterMs) => this.#leaveSoon(connection, reconnectAfterMs),
      onEnded: (ending) => this.#lost(connection, ending),
    });
    this.opening = connection;
    this.connections.add(connection);
  }

  /** @param {StreamConnection} connection @param {number} nextFrameAfterMs */
  #moveTo(connection, nextFrameAfterMs) {
    const before = this.current;
    this.current = connection;
    this.opening = null;
    this.moving = false;
    this.transport.ready();
    before?.retire();
    this.onPace(nextFrameAfterMs);
  }

  /** @param {StreamConnection} connection @param {number} reconnectAfterMs */
  #leaveSoon(connection, reconnectAfterMs) {
    if (connection !== this.current || this.moving) return;
    this.moving = true;
    this.#openIn(moveDelayMs(reconnectAfterMs, this.random()));
  }

  /** @param {StreamConnection} connection @param {import('./transport.js').Ending} ending */
  #lost(connection, ending) {
    this.connections.delete(connection);
    const wasCurrent = connection === this.current;
    if (wasCurrent) this.current = null;
    else if (connection === this.opening) this.opening = null;
    else return; // it was left before
    if (wasCurrent && this.moving) return; // the next one is on its way
    this.#openIn(this.transport.ended(ending, this.random()));
  }
}
