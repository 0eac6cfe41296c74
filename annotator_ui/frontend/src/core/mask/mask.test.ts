import { expect, it } from "vitest";
import { contourOf } from "./contour";
import { imagePoint } from "../geometry/geometry";
import { logitsToRle, modelFrame } from "./mask";
import { decodeRle, encodeRle } from "./rle";
import { strokeRle } from "./shapes";

/** The two bilinear steps done the long way, pixel by pixel, as the reference writes them. */
function referenceMask(
  logits: Float32Array,
  side: number,
  image: { widthPx: number; heightPx: number },
  square: number,
) {
  const sample = (
    read: (x: number, y: number) => number,
    w: number,
    h: number,
    u: number,
    v: number,
  ) => {
    const [x, y] = [Math.max(0, u), Math.max(0, v)];
    const [x0, y0] = [Math.floor(x), Math.floor(y)];
    const [x1, y1] = [Math.min(x0 + 1, w - 1), Math.min(y0 + 1, h - 1)];
    const [s, t] = [x - x0, y - y0];
    return (
      (read(x0, y0) * (1 - s) + read(x1, y0) * s) * (1 - t) +
      (read(x0, y1) * (1 - s) + read(x1, y1) * s) * t
    );
  };
  const { input } = modelFrame(image, square);
  const low = (x: number, y: number) => logits[y * side + x]!;
  const full = (x: number, y: number) =>
    sample(low, side, side, ((x + 0.5) * side) / square - 0.5, ((y + 0.5) * side) / square - 0.5);
  return Uint8Array.from({ length: image.widthPx * image.heightPx }, (_, i) => {
    const [x, y] = [i % image.widthPx, Math.floor(i / image.widthPx)];
    const u = ((x + 0.5) * input.widthPx) / image.widthPx - 0.5;
    const v = ((y + 0.5) * input.heightPx) / image.heightPx - 0.5;
    return sample(full, input.widthPx, input.heightPx, u, v) > 0 ? 1 : 0;
  });
}

it("turns logits into the mask the reference makes, for images larger, smaller and thinner than the model", () => {
  const side = 16;
  const logits = Float32Array.from(
    { length: side * side },
    (_, i) => Math.sin((i % side) * 0.7 + 0.3) * Math.cos(Math.floor(i / side) * 0.9) - 0.2,
  );
  for (const [widthPx, heightPx] of [
    [97, 61],
    [30, 45],
    [64, 64],
    [200, 9],
    [5, 3],
  ] as const) {
    const image = { widthPx, heightPx };

    const mask = decodeRle(logitsToRle(logits, side, modelFrame(image, 64)));

    const expected = referenceMask(logits, side, image, 64);
    const numDifferent = mask.data.reduce(
      (sum, pixel, i) => sum + (pixel === expected[i] ? 0 : 1),
      0,
    );
    expect(numDifferent, `${widthPx} x ${heightPx}`).toBe(0);
  }
});

it("finds the small object in an otherwise empty answer", () => {
  const side = 16;
  const logits = new Float32Array(side * side).fill(-3);
  logits[5 * side + 4] = 9;
  const image = { widthPx: 64, heightPx: 64 };

  const mask = decodeRle(logitsToRle(logits, side, modelFrame(image, 64)));

  expect(mask.data).toEqual(referenceMask(logits, side, image, 64));
  expect(mask.data.some((pixel) => pixel === 1)).toBe(true);
});

it("scales each side of the image by the reference's rounding rule", () => {
  // 1024 / 1500 * 1001 = 683.35 -> 683; the long side is exact.
  expect(modelFrame({ widthPx: 1500, heightPx: 1001 }, 1024).input).toEqual({
    widthPx: 1024,
    heightPx: 683,
  });
  expect(modelFrame({ widthPx: 2000, heightPx: 1 }, 512).input).toEqual({
    widthPx: 512,
    heightPx: 1,
  });
});

it("paints a round brush along its path and nothing beyond the edges", () => {
  const size = { widthPx: 20, heightPx: 10 };
  const mask = decodeRle(strokeRle(size, [imagePoint(5, 5), imagePoint(15, 5)], 4));

  for (let y = 0; y < 10; y += 1) {
    for (let x = 0; x < 20; x += 1) {
      const nearestX = Math.min(15, Math.max(5, x + 0.5));
      const isInside = Math.hypot(x + 0.5 - nearestX, y + 0.5 - 5) <= 2;
      expect(mask.data[y * 20 + x]).toBe(isInside ? 1 : 0);
    }
  }
  expect(
    decodeRle(strokeRle(size, [imagePoint(-50, -50)], 10)).data.some((pixel) => pixel === 1),
  ).toBe(false);
});

it("outlines a ring as one outer and one inner loop along its pixel edges", () => {
  const mask = { widthPx: 5, heightPx: 5, data: new Uint8Array(25) };
  for (let y = 1; y < 4; y += 1)
    for (let x = 1; x < 4; x += 1) mask.data[y * 5 + x] = x === 2 && y === 2 ? 0 : 1;

  const loops = contourOf(encodeRle(mask)).map((loop) => [...loop]);

  expect(loops).toHaveLength(2);
  const corners = loops.map(
    (loop) => new Set(loop.flatMap((v, i) => (i % 2 === 0 ? [`${v},${loop[i + 1]}`] : []))),
  );
  expect(corners[0]).toEqual(new Set(["1,1", "4,1", "4,4", "1,4"]));
  expect(corners[1]).toEqual(new Set(["2,2", "3,2", "3,3", "2,3"]));
});

it("outlines pixels that touch only at a corner as two loops", () => {
  const loops = contourOf(
    encodeRle({ widthPx: 2, heightPx: 2, data: Uint8Array.from([1, 0, 0, 1]) }),
  );

  expect(loops).toHaveLength(2);
});

it("puts the mask of one crop at its place in the image, and nothing elsewhere", () => {
  const side = 16;
  const logits = Float32Array.from(
    { length: side * side },
    (_, i) => Math.sin((i % side) * 0.7) * Math.cos(Math.floor(i / side) * 0.9) + 0.3,
  );
  const image = { widthPx: 90, heightPx: 70 };

  const pasted = decodeRle(
    logitsToRle(logits, side, modelFrame(image, 64, { x0: 40, y0: 20, x1: 85, y1: 70 })),
  );

  const alone = decodeRle(logitsToRle(logits, side, modelFrame({ widthPx: 45, heightPx: 50 }, 64)));
  const expected = new Uint8Array(90 * 70);
  alone.data.forEach(
    (pixel, i) => (expected[(20 + Math.floor(i / 45)) * 90 + 40 + (i % 45)] = pixel),
  );
  expect(alone.data.some((pixel) => pixel === 1)).toBe(true);
  expect(pasted.data).toEqual(expected);
});
