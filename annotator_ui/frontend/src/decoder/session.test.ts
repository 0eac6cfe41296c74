import { expect, it } from "vitest";
import { imagePoint } from "../core/geometry/geometry";
import { modelFrame } from "../core/mask/mask";
import { areaPx, boundsOf, encodeRle, hasPixel } from "../core/mask/rle";
import type { FloatTensor } from "./embedding";
import { decodeOn, decodePrompts } from "./session";

const SIDE = 8;
const frame = modelFrame({ widthPx: 32, heightPx: 32 }, 32);
const wholeImage = { frame, crop: null, lowResSidePx: SIDE };

/** Mask k is on in k + 1 rows of the low-resolution square. */
function fakeNetwork(seen: Readonly<Record<string, FloatTensor>>[]) {
  const masks = Float32Array.from({ length: 4 * SIDE * SIDE }, (_, i) => {
    const [mask, row] = [Math.floor(i / (SIDE * SIDE)), Math.floor((i % (SIDE * SIDE)) / SIDE)];
    return row <= mask ? 1 : -1;
  });
  return (feeds: Readonly<Record<string, FloatTensor>>) => {
    seen.push(feeds);
    return Promise.resolve({
      lowResMasks: { data: masks, dims: [1, 4, SIDE, SIDE] },
      iouPredictions: { data: Float32Array.of(0.99, 0.2, 0.8, 0.5), dims: [1, 4] },
    });
  };
}

it("offers the three ambiguity masks for one click, best first, in the image's frame", async () => {
  const seen: Readonly<Record<string, FloatTensor>>[] = [];
  const prompts = [{ kind: "point", at: imagePoint(5, 5), label: 1 }] as const;

  const candidates = await decodePrompts(
    { ...wholeImage, run: fakeNetwork(seen) },
    { prompts, feedback: null, baseMask: null },
  );

  expect(candidates.map((one) => one.predictedIou)).toEqual([0.8, 0.5, 0.2].map(Math.fround));
  // Mask 2 is on in 3 of 8 rows: 3 * 4 px of 32 rows, each 32 px wide; the edge lies between two cells.
  expect(areaPx(candidates[0]!.rle)).toBe(3 * 4 * 32);
  expect(candidates[0]!.lowResLogits).toMatchObject({ crop: null, data: { length: SIDE * SIDE } });
});

it("offers the single mask once a second prompt says what is meant, and feeds the shown mask back", async () => {
  const seen: Readonly<Record<string, FloatTensor>>[] = [];
  const feedback = { data: new Float32Array(SIDE * SIDE).fill(3), crop: null };
  const prompts = [
    { kind: "point", at: imagePoint(5, 5), label: 1 },
    { kind: "point", at: imagePoint(9, 9), label: 0 },
  ] as const;

  const candidates = await decodePrompts(
    { ...wholeImage, run: fakeNetwork(seen) },
    { prompts, feedback, baseMask: null },
  );

  expect(candidates.map((one) => one.predictedIou)).toEqual([Math.fround(0.99)]);
  expect(seen[0]!["mask_input"]?.data[0]).toBe(3);
  expect(seen[0]!["has_mask_input"]?.data[0]).toBe(1);
});

it("offers the single mask for a box, which says as much as two clicks", async () => {
  const prompts = [{ kind: "box", box: { x0: 2, y0: 2, x1: 20, y1: 20 } }] as const;

  const candidates = await decodePrompts(
    { ...wholeImage, run: fakeNetwork([]) },
    { prompts, feedback: null, baseMask: null },
  );

  expect(candidates.map((one) => one.predictedIou)).toEqual([Math.fround(0.99)]);
});

it("changes an existing mask only where the click is, and offers the model's whole answer after it", async () => {
  const seen: Readonly<Record<string, FloatTensor>>[] = [];
  // The mask is the image's lower half; the network says the upper eighth.
  const baseMask = encodeRle({
    widthPx: 32,
    heightPx: 32,
    data: Uint8Array.from({ length: 1024 }, (_, i) => (i >= 512 ? 1 : 0)),
  });
  const prompts = [{ kind: "point", at: imagePoint(5, 1), label: 1 }] as const;

  const [local, whole] = await decodePrompts(
    { ...wholeImage, run: fakeNetwork(seen) },
    { prompts, feedback: null, baseMask },
  );

  expect(areaPx(local!.rle)).toBe(512 + areaPx(whole!.rle));
  expect(seen[0]!["point_labels"]?.data).toEqual(Float32Array.of(1, 1, 2, 3));
  expect(seen[0]!["has_mask_input"]?.data[0]).toBe(1);
  expect(seen[0]!["mask_input"]?.data.at(-1)).toBe(8);
  expect(seen[0]!["mask_input"]?.data[0]).toBe(-8);
});

it("asks about the click alone when the mask talks the model out of it", async () => {
  const seen: Readonly<Record<string, FloatTensor>>[] = [];
  const baseMask = encodeRle({
    widthPx: 32,
    heightPx: 32,
    data: Uint8Array.from({ length: 1024 }, (_, i) => (i >= 512 ? 1 : 0)),
  });
  const prompts = [{ kind: "point", at: imagePoint(5, 9), label: 1 }] as const;

  const [local] = await decodePrompts(
    { ...wholeImage, run: fakeNetwork(seen) },
    { prompts, feedback: null, baseMask },
  );

  expect(seen).toHaveLength(2);
  expect(seen[1]!["has_mask_input"]?.data[0]).toBe(0);
  expect(hasPixel(local!.rle, 5, 9)).toBe(true);
});

it("offers a mask that holds a background click after those that do not", async () => {
  // Masks 1 to 3 are on in rows 0 to 7, 11 and 15: mask 1 alone ends above the click.
  const prompts = [{ kind: "point", at: imagePoint(5, 10), label: 0 }] as const;

  const candidates = await decodePrompts(
    { ...wholeImage, run: fakeNetwork([]) },
    { prompts, feedback: null, baseMask: null },
  );

  expect(candidates.map((one) => one.predictedIou)).toEqual([0.2, 0.8, 0.5].map(Math.fround));
  expect(candidates.map((one) => hasPixel(one.rle, 5, 10))).toEqual([false, true, true]);
});

it("hands no logits on to be refined where background clicks alone were answered with nothing", async () => {
  const nothing = () =>
    Promise.resolve({
      lowResMasks: { data: new Float32Array(4 * SIDE * SIDE).fill(-10), dims: [1, 4, SIDE, SIDE] },
      iouPredictions: { data: new Float32Array(4), dims: [1, 4] },
    });
  const prompts = [{ kind: "point", at: imagePoint(5, 10), label: 0 }] as const;

  const candidates = await decodePrompts(
    { ...wholeImage, run: nothing },
    { prompts, feedback: null, baseMask: null },
  );

  expect(candidates.map((one) => one.lowResLogits)).toEqual([null, null, null]);
  expect(candidates.map((one) => areaPx(one.rle))).toEqual([0, 0, 0]);
});

it("asks about a removing click alone when all it left in the mask is a pinhole", async () => {
  const seen: Readonly<Record<string, FloatTensor>>[] = [];
  const baseMask = encodeRle({ widthPx: 32, heightPx: 32, data: new Uint8Array(1024).fill(1) });
  // With the mask's context: all of it, but one cell. Asked about the click alone: the upper half.
  const run = (feeds: Readonly<Record<string, FloatTensor>>) => {
    seen.push(feeds);
    const isAlone = feeds["has_mask_input"]?.data[0] === 0;
    const data = Float32Array.from({ length: 4 * SIDE * SIDE }, (_, i) => {
      const at = i % (SIDE * SIDE);
      return isAlone ? (at < 32 ? 1 : -1) : at === 9 ? -1 : 1;
    });
    return Promise.resolve({
      lowResMasks: { data, dims: [1, 4, SIDE, SIDE] },
      iouPredictions: { data: Float32Array.of(0.9, 0.2, 0.8, 0.5), dims: [1, 4] },
    });
  };
  const prompts = [{ kind: "point", at: imagePoint(6, 6), label: 0 }] as const;

  const [local, whole] = await decodePrompts(
    { ...wholeImage, run },
    { prompts, feedback: null, baseMask },
  );

  expect(seen).toHaveLength(2);
  expect(boundsOf(local!.rle)).toEqual({ x0: 0, y0: 16, x1: 32, y1: 32 });
  expect(hasPixel(whole!.rle, 6, 6)).toBe(false);
});

it("decodes a crop in its own frame and gives masks in the image's", async () => {
  const seen: Readonly<Record<string, FloatTensor>>[] = [];
  const image = {
    run: fakeNetwork(seen),
    crop: "1-1-1",
    frame: modelFrame({ widthPx: 64, heightPx: 48 }, 32, { x0: 16, y0: 8, x1: 48, y1: 40 }),
    lowResSidePx: SIDE,
  };
  const prompts = [{ kind: "point", at: imagePoint(21, 13), label: 1 }] as const;

  const candidates = await decodePrompts(image, { prompts, feedback: null, baseMask: null });

  expect([...seen[0]!["point_coords"]!.data]).toEqual([5, 5, 0, 0]);
  // Mask 2 is on in the upper 12 rows of the square.
  expect(boundsOf(candidates[0]!.rle)).toEqual({ x0: 16, y0: 8, x1: 48, y1: 20 });
  expect(candidates.map((one) => one.lowResLogits?.crop)).toEqual(["1-1-1", "1-1-1", "1-1-1"]);
});

it.each([
  { held: "1-1-1", wanted: "1-1-1", feedbackOf: "1-1-1", looksAt: "crop", isFedBack: 1 },
  { held: "1-1-1", wanted: "1-1-1", feedbackOf: null, looksAt: "crop", isFedBack: 0 },
  { held: "1-1-2", wanted: "1-1-1", feedbackOf: "1-1-1", looksAt: "image", isFedBack: 0 },
  { held: "1-1-1", wanted: null, feedbackOf: "1-1-1", looksAt: "image", isFedBack: 0 },
  { held: "1-1-1", wanted: null, feedbackOf: null, looksAt: "image", isFedBack: 1 },
])(
  "asked for $wanted while it holds $held, decodes in the $looksAt and refines logits of $feedbackOf: $isFedBack",
  async ({ held, wanted, feedbackOf, looksAt, isFedBack }) => {
    const [ofImage, ofCrop] = [[], []] as Readonly<Record<string, FloatTensor>>[][];
    const whole = { ...wholeImage, run: fakeNetwork(ofImage!) };
    const crop = { ...wholeImage, crop: held, run: fakeNetwork(ofCrop!) };
    const prompts = [5, 9].map((x) => ({ kind: "point", at: imagePoint(x, 5), label: 1 }) as const);
    const feedback = { data: new Float32Array(SIDE * SIDE).fill(3), crop: feedbackOf };

    await decodeOn({ imageId: "one", whole, crop }, wanted, { prompts, feedback, baseMask: null });

    expect([ofImage!.length, ofCrop!.length]).toEqual(looksAt === "image" ? [1, 0] : [0, 1]);
    const [feeds] = [...ofImage!, ...ofCrop!];
    expect(feeds!["has_mask_input"]?.data[0]).toBe(isFedBack);
    expect(feeds!["point_labels"]?.data).toHaveLength(3);
  },
);
