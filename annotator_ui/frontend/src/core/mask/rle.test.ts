import { describe, expect, it } from "vitest";
import { bitmap } from "./bitmap";
import {
  areaPx,
  boundsOf,
  decodeRle,
  encodeRle,
  hasPixel,
  rleSha256,
  RleError,
  stringToRuns,
} from "./rle";

const seeded = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};

function randomMask(widthPx: number, heightPx: number, density: number, seed: number) {
  const random = seeded(seed);
  const mask = bitmap({ widthPx, heightPx });
  for (let i = 0; i < mask.data.length; i += 1) mask.data[i] = random() < density ? 1 : 0;
  return mask;
}

describe("RLE", () => {
  it("gives back every mask it encoded", () => {
    for (const [seed, density] of [0, 0.01, 0.3, 0.9, 1].entries()) {
      const mask = randomMask(37 + seed, 23, density, seed + 1);

      const rle = encodeRle(mask);

      expect(Buffer.from(decodeRle(rle).data).equals(Buffer.from(mask.data))).toBe(true);
      expect(areaPx(rle)).toBe(mask.data.reduce((sum, pixel) => sum + pixel, 0));
    }
  });

  it("runs down the columns and starts with the zeros", () => {
    // 2 rows x 3 columns, only (x = 1, y = 0) set: 2 zeros, 1 one, 3 zeros.
    const rle = encodeRle({ widthPx: 3, heightPx: 2, data: Uint8Array.from([0, 1, 0, 0, 0, 0]) });

    expect(stringToRuns(rle.counts)).toEqual([2, 1, 3]);
    expect(rle.counts).toBe("213");
    expect(boundsOf(rle)).toEqual({ x0: 1, y0: 0, x1: 2, y1: 1 });
    expect([hasPixel(rle, 1, 0), hasPixel(rle, 1, 1), hasPixel(rle, 0, 0)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it("knows the tight box of a mask that wraps over columns", () => {
    const mask = bitmap({ widthPx: 5, heightPx: 4 });
    mask.data.fill(1, 0, 5);
    mask.data[3 * 5 + 4] = 1;

    expect(boundsOf(encodeRle(mask))).toEqual({ x0: 0, y0: 0, x1: 5, y1: 4 });
    expect(boundsOf(encodeRle(bitmap({ widthPx: 5, heightPx: 4 })))).toBeNull();
  });

  it("says what is wrong with counts that are not a mask", () => {
    expect(() => decodeRle({ widthPx: 3, heightPx: 2, counts: "21" })).toThrow(
      /cover 3 pixels, but 2 x 3 is 6/,
    );
    expect(() => stringToRuns("2 1")).toThrow(RleError);
    expect(() => stringToRuns("o")).toThrow(/end inside run 0/);
  });

  it("fingerprints height, width and counts", () => {
    // echo -n "2x3:213" | sha256sum
    expect(rleSha256({ widthPx: 3, heightPx: 2, counts: "213" })).toBe(
      "c9c521844d5db87fc2b1f6efe1ea9024a10ab1816f1f98b5e4dbc6bc558fdfb4",
    );
  });
});
