// @vitest-environment node
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import * as ort from "onnxruntime-web/wasm";
import { beforeAll, expect, it } from "vitest";
import { joined, lengthed } from "./protobuf";
import { splitModel } from "./split";

const IMAGE = new Set(["image_embeddings", "high_res_features"]);
const STARTER = new URL("../../../../sam/starter/decoder.onnx", import.meta.url);
const options = { executionProviders: ["wasm"] };

beforeAll(() => {
  const dist = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = `${pathToFileURL(dist).href}/`;
});

/** The same numbers in [-1, 1] every time. */
function values(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) =>
    Math.sin((i + 1) * 12.9898 + seed * 78.233),
  );
}

const floats = (data: Float32Array, dims: readonly number[]) =>
  new ort.Tensor("float32", data, dims);

function feedsOf(session: ort.InferenceSession): Record<string, ort.Tensor> {
  const given: Record<string, ort.Tensor> = {
    point_coords: floats(Float32Array.of(120, 200, 300.5, 40, 0, 0), [1, 3, 2]),
    point_labels: floats(Float32Array.of(1, 0, -1), [1, 3]),
    has_mask_input: floats(Float32Array.of(1), [1]),
  };
  session.inputMetadata.forEach((input, seed) => {
    if (!input.isTensor) throw new Error(`${input.name} is no tensor`);
    const dims = input.shape.map((side) => (side === "num_prompts" ? 1 : Number(side)));
    given[input.name] ??= floats(
      values(
        dims.reduce((a, b) => a * b, 1),
        seed,
      ),
      dims,
    );
  });
  return given;
}

const pick = (feeds: Record<string, ort.Tensor>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, feeds[name]!]));

it("gives the starter's two parts together the answer of the whole, and leaves image work out of clicks", async () => {
  const model = new Uint8Array(readFileSync(STARTER));
  const whole = await ort.InferenceSession.create(model, options);
  const feeds = feedsOf(whole);

  const split = splitModel(model, IMAGE)!;
  const early = await ort.InferenceSession.create(split.early, options);
  const late = await ort.InferenceSession.create(split.late, options);
  const shared = (await early.run(pick(feeds, early.inputNames))) as Record<string, ort.Tensor>;
  const found = await late.run(pick({ ...feeds, ...shared }, late.inputNames));

  const expected = await whole.run(feeds);
  expect([...early.inputNames].sort()).toEqual([...IMAGE].sort());
  expect(early.outputNames).toEqual(split.shared);
  for (const name of ["low_res_masks", "iou_predictions"] as const) {
    const [a, b] = [found[name]!.data as Float32Array, expected[name]!.data as Float32Array];
    expect(b.some((value) => value !== 0)).toBe(true);
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-4);
  }
}, 60_000);

/** NodeProto, ValueInfoProto and GraphProto with names only. */
const node = (inputs: string[], outputs: string[], extra: Uint8Array[] = []) =>
  lengthed(
    1,
    joined([
      ...inputs.map((name) => lengthed(1, name)),
      ...outputs.map((name) => lengthed(2, name)),
      ...extra,
    ]),
  );
const value = (field: number, name: string) => lengthed(field, lengthed(1, name));
const model = (...graph: Uint8Array[]) => lengthed(7, joined(graph));
const INPUTS = [value(11, "image_embeddings"), value(11, "point_coords"), value(12, "masks")];

it("hands over each tensor once, and not what only constants or only clicks go into", () => {
  const split = splitModel(
    model(
      node(["image_embeddings", "weight"], ["keys"]),
      node(["point_coords"], ["token"]),
      node(["weight"], ["table"]),
      node(["token", "keys"], ["scores"]),
      node(["scores", "keys", "table", "image_embeddings"], ["masks"]),
      lengthed(5, lengthed(8, "weight")),
      ...INPUTS,
    ),
    IMAGE,
  );

  expect(split?.shared).toEqual(["keys"]);
});

it("does not cut where nothing depends on the image alone, where graphs are nested, or without a graph", () => {
  const nested = lengthed(5, lengthed(6, node(["point_coords"], ["inner"])));

  expect(
    splitModel(model(node(["image_embeddings", "point_coords"], ["masks"]), ...INPUTS), IMAGE),
  ).toBeNull();
  expect(
    splitModel(
      model(
        node(["image_embeddings"], ["keys"]),
        node(["keys", "point_coords"], ["masks"], [nested]),
        ...INPUTS,
      ),
      IMAGE,
    ),
  ).toBeNull();
  expect(splitModel(lengthed(8, "no graph"), IMAGE)).toBeNull();
});

it("refuses bytes that are no model", () => {
  expect(() => splitModel(Uint8Array.of(0x3a, 0xff, 0x01), IMAGE)).toThrow(
    "ends beyond its message",
  );
});
