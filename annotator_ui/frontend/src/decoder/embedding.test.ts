import { expect, it } from "vitest";
import { EmbeddingError, halfToFloat, parseEmbedding } from "./embedding";

function safetensors(header: object, body: Uint8Array): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes.buffer;
}

it("reads half-precision numbers, the odd ones included", () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x0001, 0x7bff, 0x8000, 0x7c00);

  const floats = halfToFloat(halves);

  expect([...floats.slice(0, 2)]).toEqual([1, -2]);
  expect(floats[2]).toBeCloseTo(0.333252, 6);
  expect(floats[3]).toBeCloseTo(2 ** -24, 12);
  expect([...floats.slice(4)]).toEqual([65504, -0, Infinity]);
});

it("adds the batch axis and reads both tensors wherever they start", () => {
  const body = new Uint8Array(Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400, 0xbc00).buffer);
  const bytes = safetensors(
    {
      __metadata__: { encoder_sha256: "x" },
      image_embeddings: { dtype: "F16", shape: [4, 1, 1], data_offsets: [0, 8] },
      high_res_features: { dtype: "F16", shape: [1, 1, 1], data_offsets: [8, 10] },
    },
    body,
  );

  const { imageEmbeddings, highResFeatures } = parseEmbedding(bytes);

  expect(imageEmbeddings.dims).toEqual([1, 4, 1, 1]);
  expect([...imageEmbeddings.data]).toEqual([1, 2, 3, 4]);
  expect([...(highResFeatures?.data ?? [])]).toEqual([-1]);
});

it("does without high resolution features", () => {
  const header = { image_embeddings: { dtype: "F16", shape: [1], data_offsets: [0, 2] } };

  expect(parseEmbedding(safetensors(header, new Uint8Array(2))).highResFeatures).toBeNull();
});

it.each([
  ["only 3 bytes", new ArrayBuffer(3)],
  [
    "inside image_embeddings",
    safetensors(
      { image_embeddings: { dtype: "F16", shape: [9], data_offsets: [0, 18] } },
      new Uint8Array(4),
    ),
  ],
  ["no tensor image_embeddings", safetensors({}, new Uint8Array(0))],
  [
    "I8 of 1 bytes",
    safetensors(
      { image_embeddings: { dtype: "I8", shape: [1], data_offsets: [0, 1] } },
      new Uint8Array(1),
    ),
  ],
])("says what is wrong: %s", (message, bytes) => {
  expect(() => parseEmbedding(bytes)).toThrow(EmbeddingError);
  expect(() => parseEmbedding(bytes)).toThrow(message);
});
