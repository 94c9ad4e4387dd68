// Makes the face detector's model file acceptable to @mediapipe/tasks-vision.
//
// The npm package @mediapipe/face_detection ships the network without TFLite metadata, and
// tasks-vision refuses a model that does not say how its input is normalised. addMetadata() puts
// a new root table, and the metadata, in front of the old bytes. FlatBuffer offsets are relative
// and point forward only, so everything behind stays valid and not one weight byte changes.
//
// Two schemas are spelled out below by slot number: schema.fbs (the model) and
// metadata_schema.fbs (ModelMetadata, identifier "M001").
import * as flatbuffers from 'flatbuffers';

const MODEL_IDENTIFIER = 'TFL3';
const METADATA_NAME = 'TFLITE_METADATA';
// pixel -> (pixel - 127.5) / 127.5, i.e. 0..255 -> -1..1
const MEAN = 127.5;
const STD = 127.5;

/** @param {number} n @param {number} alignment a power of two */
const align = (n, alignment) => (n + alignment - 1) & ~(alignment - 1);

/** ModelMetadata: one RGB input, normalised; two feature outputs. @returns {Buffer} */
function buildMetadata() {
  const b = new flatbuffers.Builder(1024);

  /** @param {number[]} items @param {(x: number) => void} add */
  const vector = (items, add) => {
    b.startVector(4, items.length, 4);
    for (const item of [...items].reverse()) add(item);
    return b.endVector();
  };
  /** @param {number[]} xs */
  const offsets = (xs) => vector(xs, (x) => b.addOffset(x));
  /** @param {number[]} xs */
  const floats = (xs) => vector(xs, (x) => b.addFloat32(x));
  /** @param {number} slots @param {() => void} fill */
  const table = (slots, fill) => {
    b.startObject(slots);
    fill();
    return b.endObject();
  };

  const mean = floats([MEAN]);
  const std = floats([STD]);
  const normalization = table(2, () => {
    b.addFieldOffset(0, mean, 0);
    b.addFieldOffset(1, std, 0);
  });
  const NORMALIZATION_OPTIONS = 1;
  const processUnit = table(2, () => {
    b.addFieldInt8(0, NORMALIZATION_OPTIONS, 0);
    b.addFieldOffset(1, normalization, 0);
  });
  const processUnits = offsets([processUnit]);

  const RGB = 1;
  const imageProperties = table(2, () => b.addFieldInt8(0, RGB, 0));
  const IMAGE_PROPERTIES = 2;
  const imageContent = table(3, () => {
    b.addFieldInt8(0, IMAGE_PROPERTIES, 0);
    b.addFieldOffset(1, imageProperties, 0);
  });
  const max = floats([1]);
  const min = floats([-1]);
  const stats = table(2, () => {
    b.addFieldOffset(0, max, 0);
    b.addFieldOffset(1, min, 0);
  });
  const inputName = b.createString('image');
  const input = table(8, () => {
    b.addFieldOffset(0, inputName, 0);
    b.addFieldOffset(3, imageContent, 0);
    b.addFieldOffset(4, processUnits, 0);
    b.addFieldOffset(5, stats, 0);
  });

  const FEATURE_PROPERTIES = 1;
  const outputs = ['regressors', 'classificators'].map((text) => {
    const name = b.createString(text);
    const feature = table(1, () => {});
    const content = table(3, () => {
      b.addFieldInt8(0, FEATURE_PROPERTIES, 0);
      b.addFieldOffset(1, feature, 0);
    });
    return table(8, () => {
      b.addFieldOffset(0, name, 0);
      b.addFieldOffset(3, content, 0);
    });
  });

  const inputVector = offsets([input]);
  const outputVector = offsets(outputs);
  const subgraph = table(9, () => {
    b.addFieldOffset(2, inputVector, 0);
    b.addFieldOffset(3, outputVector, 0);
  });
  const subgraphs = offsets([subgraph]);
  const name = b.createString('FaceDetector');
  const version = b.createString('v1');
  const minParserVersion = b.createString('1.0.0');
  const root = table(9, () => {
    b.addFieldOffset(0, name, 0);
    b.addFieldOffset(2, version, 0);
    b.addFieldOffset(3, subgraphs, 0);
    b.addFieldOffset(7, minParserVersion, 0);
  });
  b.finish(root, 'M001');
  return Buffer.from(b.asUint8Array());
}

/** The old root table's fields, as absolute positions in the old file (0: absent). @param {Buffer} model */
function readRoot(model) {
  if (model.toString('latin1', 4, 8) !== MODEL_IDENTIFIER) throw new Error('not a TFLite model');
  const root = model.readUInt32LE(0);
  const vtable = root - model.readInt32LE(root);
  const vtableBytes = model.readUInt16LE(vtable);
  /** @param {number} slot */
  const field = (slot) => {
    const entry = 4 + 2 * slot;
    const offset = entry < vtableBytes ? model.readUInt16LE(vtable + entry) : 0;
    return offset ? root + offset : 0;
  };
  /** @param {number} position */
  const follow = (position) => position && position + model.readUInt32LE(position);
  if (field(6)) throw new Error('the model has metadata already');
  const bufferVector = follow(field(4));
  const bufferCount = model.readUInt32LE(bufferVector);
  return {
    version: model.readUInt32LE(field(0)),
    operatorCodes: follow(field(1)),
    subgraphs: follow(field(2)),
    description: follow(field(3)),
    buffers: Array.from({ length: bufferCount }, (_, i) => follow(bufferVector + 4 + 4 * i)),
  };
}

/**
 * Returns the model with a metadata entry in front.
 * @param {Buffer} model a TFLite model without metadata
 * @returns {Buffer}
 */
export function addMetadata(model) {
  const metadata = buildMetadata();
  const old = readRoot(model);
  const bufferCount = old.buffers.length;

  // Layout of the prefix: each piece is 4-aligned, the metadata's payload 16-aligned.
  let end = 8; // root offset and identifier
  /** @param {number} bytes */
  const place = (bytes) => {
    const start = align(end, 4);
    end = start + bytes;
    return start;
  };
  const rootVtable = place(4 + 2 * 8);
  const root = place(4 + 4 * 6);
  const buffers = place(4 + 4 * (bufferCount + 1));
  const entries = place(4 + 4);
  const entryVtable = place(4 + 2 * 2);
  const entry = place(4 + 4 + 4);
  const entryName = place(4 + METADATA_NAME.length + 1);
  const bufferVtable = place(4 + 2);
  const buffer = place(4 + 4);
  const payload = align(end + 4, 16);
  const prefix = align(payload + metadata.length, 16);

  const out = Buffer.alloc(prefix + model.length);
  model.copy(out, prefix);
  /** @param {number} at @param {number} target */
  const link = (at, target) => out.writeUInt32LE(target - at, at);
  /** @param {number} at @param {number} tableBytes @param {number[]} slots */
  const writeVtable = (at, tableBytes, slots) => {
    [4 + 2 * slots.length, tableBytes, ...slots].forEach((x, i) => out.writeUInt16LE(x, at + 2 * i));
  };

  out.writeUInt32LE(root, 0);
  out.write(MODEL_IDENTIFIER, 4, 'latin1');

  // Model { version, operator_codes, subgraphs, description, buffers, -, metadata, - }
  writeVtable(rootVtable, 4 + 4 * 6, [4, 8, 12, old.description ? 16 : 0, 20, 0, 24, 0]);
  out.writeInt32LE(root - rootVtable, root);
  out.writeUInt32LE(old.version, root + 4);
  link(root + 8, old.operatorCodes + prefix);
  link(root + 12, old.subgraphs + prefix);
  if (old.description) link(root + 16, old.description + prefix);
  link(root + 20, buffers);
  link(root + 24, entries);

  // The old buffers, and one more that holds the metadata.
  out.writeUInt32LE(bufferCount + 1, buffers);
  old.buffers.forEach((position, i) => link(buffers + 4 + 4 * i, position + prefix));
  link(buffers + 4 + 4 * bufferCount, buffer);

  // Metadata { name, buffer: index of the new buffer }
  out.writeUInt32LE(1, entries);
  link(entries + 4, entry);
  writeVtable(entryVtable, 12, [4, 8]);
  out.writeInt32LE(entry - entryVtable, entry);
  link(entry + 4, entryName);
  out.writeUInt32LE(bufferCount, entry + 8);
  out.writeUInt32LE(METADATA_NAME.length, entryName);
  out.write(METADATA_NAME, entryName + 4, 'latin1');

  // Buffer { data }
  writeVtable(bufferVtable, 8, [4]);
  out.writeInt32LE(buffer - bufferVtable, buffer);
  link(buffer + 4, payload - 4);
  out.writeUInt32LE(metadata.length, payload - 4);
  metadata.copy(out, payload);
  return out;
}
