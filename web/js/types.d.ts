// Shapes that several modules share. The prediction is what POST /v1/predict answers.
import type { ServerError } from './client.js';

export type StateName = 'Boredom' | 'Engagement' | 'Confusion' | 'Frustration';

export interface StateScore {
  category: StateName;
  /** The most probable level, 0 (very low) to 3 (very high). */
  level: number;
  /** The probability of that level. */
  confidence: number;
  /** Of the levels 0 to 3; they sum to 1. */
  probabilities: number[];
  /** Sum of probability times level, 0 to 3. */
  expected_level: number;
}

export interface Prediction {
  predictions: Record<StateName, StateScore>;
  processing_time_ms: number;
  cached: boolean;
  cache: 'miss' | 'exact' | 'near' | 'coalesced';
  similarity?: number;
  quality: { usable: boolean; warnings: string[] };
  next_frame_after_ms: number;
  model: string;
  demo: boolean;
  request_id: string;
}

/** How the frames of a client travel just now. `waiting`: a stream is being opened. */
export type Way = 'stream' | 'posts' | 'waiting';

/** How frames reach the server: by single posts (client.js), or over a stream (stream_client.js). */
export interface PredictClient {
  readonly way: Way;
  /**
   * Whether a frame of this face may be sent now. False while so many are awaited that one more
   * would only wait, here or there: send the next look's frame instead.
   */
  free(faceId: number): boolean;
  /**
   * One frame, one answer. Rejects with a ServerError, with Skipped when the frame was passed over
   * (that is no trouble: a newer one follows), or with an AbortError once closed. Answers of one
   * face never go back in time.
   * @param jpeg a JPEG file
   * @param faceId 0 to 63, stable while the same face is in view
   */
  predict(jpeg: ArrayBuffer, faceId: number): Promise<Prediction>;
  /** Ends what is in flight; every later call rejects. */
  close(): void;
  /**
   * Asks the server to forget this session. Works after close() and while the page goes away.
   * @returns whether the server confirmed it
   */
  forget(): Promise<boolean>;
}

/** What stream_messages.js reads from a text of the server. */
export type StreamMessage =
  | { type: 'ready'; nextFrameAfterMs: number; maxUnanswered: number }
  | { type: 'prediction'; id: number; prediction: Prediction }
  | { type: 'superseded'; id: number }
  /** id is null when the error is not about a frame. */
  | { type: 'error'; id: number | null; error: ServerError }
  | { type: 'draining'; reconnectAfterMs: number }
  /** Sound, and nothing this page needs. */
  | { type: 'other' }
  /** Not what was agreed upon. */
  | { type: 'broken' };

/** A face's rectangle in pixels of its frame. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A face that is followed from frame to frame. */
export interface Track {
  /** 1 to 63: what the page shows and sends as the face id. */
  id: number;
  box: Box;
  /** Frames it was seen in. */
  hits: number;
  /** Frames in a row it was not seen in. */
  misses: number;
}

/** Sends a frame through the detector; the frame comes back with the boxes. */
export interface Detector {
  detect(frame: ImageBitmap): Promise<{ frame: ImageBitmap; boxes: Box[] }>;
  close(): void;
}

/** Expected levels at one moment, in the order of STATES. null: nothing known. */
export interface Sample {
  /** Seconds, on the clock of performance.now(). */
  time: number;
  levels: (number | null)[];
}
