/** Reads a stored image embedding (safetensors, fp16) into what the decoder takes (fp32). */

export interface FloatTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

export interface Embedding {
  /** (1, C, S/16, S/16) */
  readonly imageEmbeddings: FloatTensor;
  /** (1, Ch, S/4, S/4); null for the official models. */
  readonly highResFeatures: FloatTensor | null;
}

export class EmbeddingError extends Error {
  override readonly name = "EmbeddingError";
}

interface TensorEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const HEADER_LENGTH_BYTES = 8;
/** Strides 16 and 4 of the contract (docs/explanation/architecture.md, sam/modeling/config.py). */
const LOW_RES_PER_EMBEDDING_CELL = 4;

/** Side of the square of logits that the decoder makes of this embedding. */
export function lowResSideOf({ imageEmbeddings }: Embedding): number {
  return (imageEmbeddings.dims.at(-1) ?? 0) * LOW_RES_PER_EMBEDDING_CELL;
}

export function parseEmbedding(bytes: ArrayBuffer): Embedding {
  if (bytes.byteLength < HEADER_LENGTH_BYTES) {
    throw new EmbeddingError(`The embedding has only ${bytes.byteLength} bytes.`);
  }
  const headerBytes = Number(new DataView(bytes).getBigUint64(0, true));
  const start = HEADER_LENGTH_BYTES + headerBytes;
  if (start > bytes.byteLength) throw new EmbeddingError("The embedding ends inside its header.");
  const header = readHeader(new Uint8Array(bytes, HEADER_LENGTH_BYTES, headerBytes));
  const read = (name: string): FloatTensor | null => {
    const entry = header[name];
    return entry === undefined ? null : readTensor(bytes, start, name, entry);
  };
  const imageEmbeddings = read("image_embeddings");
  if (imageEmbeddings === null)
    throw new EmbeddingError("The embedding has no tensor image_embeddings.");
  return { imageEmbeddings, highResFeatures: read("high_res_features") };
}

function readHeader(bytes: Uint8Array): Partial<Record<string, TensorEntry>> {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Partial<Record<string, TensorEntry>>;
  } catch {
    throw new EmbeddingError("The embedding's header is not JSON.");
  }
}

function readTensor(
  bytes: ArrayBuffer,
  start: number,
  name: string,
  entry: TensorEntry,
): FloatTensor {
  const [from, to] = entry.data_offsets;
  const count = entry.shape.reduce((product, side) => product * side, 1);
  if (start + to > bytes.byteLength) throw new EmbeddingError(`The embedding ends inside ${name}.`);
  const dims = [1, ...entry.shape];
  // Copies: the tensor may start at an odd address, which a view of wider numbers refuses.
  const raw = bytes.slice(start + from, start + to);
  if (entry.dtype === "F16" && raw.byteLength === count * 2) {
    return { data: halfToFloat(new Uint16Array(raw)), dims };
  }
  if (entry.dtype === "F32" && raw.byteLength === count * 4)
    return { data: new Float32Array(raw), dims };
  throw new EmbeddingError(
    `${name} is ${entry.dtype} of ${raw.byteLength} bytes for ${count} numbers.`,
  );
}

let table: Float32Array | null = null;

/** IEEE 754 half to single precision, through a table of all 65,536 values. */
export function halfToFloat(halves: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 65_536 }, (_, bits) => halfValue(bits));
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i += 1) floats[i] = table[halves[i] ?? 0] ?? 0;
  return floats;
}

function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
