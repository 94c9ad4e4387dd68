// Shapes that several modules share. The prediction is what POST /v1/predict answers.

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

/** How frames reach the server. A stream can take the place of single posts behind this shape. */
export interface PredictClient {
  /**
   * One face, one answer. Rejects with a ServerError, or with an AbortError once closed.
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
