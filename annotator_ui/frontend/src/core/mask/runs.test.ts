import { describe, expect, it } from "vitest";
import { bitmap } from "./bitmap";
import { imagePoint } from "../geometry/geometry";
import { fillHoles, largestPart, partAt, partsOf } from "./parts";
import { areaPx, decodeRle, encodeRle } from "./rle";
import type { Rle } from "./rle";
import { difference, emptyRle, intersection, isEmptyRle, union } from "./runs";
import { outlineRle, strokeRle } from "./shapes";

function seeded(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

function noise(random: () => number, widthPx: number, heightPx: number, share: number): Rle {
  const mask = bitmap({ widthPx, heightPx });
  return encodeRle({ ...mask, data: mask.data.map(() => (random() < share ? 1 : 0)) });
}

/** Rows of "." and "#". */
function drawn(...rows: string[]): Rle {
  const data = Uint8Array.from(rows.join(""), (character) => (character === "#" ? 1 : 0));
  return encodeRle({ widthPx: rows[0]!.length, heightPx: rows.length, data });
}

const rowsOf = (rle: Rle): string[] => {
  const text = [...decodeRle(rle).data].map((pixel) => (pixel === 1 ? "#" : ".")).join("");
  return Array.from({ length: rle.heightPx }, (_, y) =>
    text.slice(y * rle.widthPx, (y + 1) * rle.widthPx),
  );
};

describe("set operations by runs", () => {
  it.each(Array.from({ length: 30 }, (_, seed) => seed))(
    "equal the pixel-by-pixel ones (seed %i)",
    (seed) => {
      const random = seeded(seed + 1);
      const [width, height] = [1 + Math.floor(random() * 9), 1 + Math.floor(random() * 9)];
      const [a, b] = [
        noise(random, width, height, random()),
        noise(random, width, height, random()),
      ];
      const pixels = (rule: (p: number, q: number) => boolean) => {
        const [p, q] = [decodeRle(a).data, decodeRle(b).data];
        return encodeRle({
          widthPx: width,
          heightPx: height,
          data: p.map((one, i) => (rule(one, q[i]!) ? 1 : 0)),
        }).counts;
      };

      expect(union(a, b).counts).toBe(pixels((p, q) => p + q > 0));
      expect(intersection(a, b).counts).toBe(pixels((p, q) => p + q === 2));
      expect(difference(a, b).counts).toBe(pixels((p, q) => p === 1 && q === 0));
    },
  );

  it("knows an empty mask and refuses masks of different images", () => {
    expect(isEmptyRle(emptyRle({ widthPx: 4, heightPx: 3 }))).toBe(true);
    expect(isEmptyRle(drawn("..#."))).toBe(false);
    expect(() => union(drawn("#."), drawn("#"))).toThrow(/do not combine/);
  });
});

describe("drawn shapes", () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))(
    "a brush covers exactly the centres within its reach (seed %i)",
    (seed) => {
      const random = seeded(seed + 7);
      const size = { widthPx: 40, heightPx: 30 };
      const path = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
        imagePoint(random() * 60 - 10, random() * 50 - 10),
      );
      const diameter = 1 + random() * 20;
      const isNear = (x: number, y: number): boolean =>
        path.some((point, index) => {
          const from = path[index - 1] ?? point;
          const [dx, dy] = [point.x - from.x, point.y - from.y];
          const length = dx * dx + dy * dy;
          const share =
            length === 0
              ? 0
              : Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / length));
          return (
            Math.hypot(x - from.x - share * dx, y - from.y - share * dy) <=
            Math.max(0.5, diameter / 2)
          );
        });

      const painted = decodeRle(strokeRle(size, path, diameter));

      const wanted = painted.data.map((_, i) =>
        isNear((i % 40) + 0.5, Math.floor(i / 40) + 0.5) ? 1 : 0,
      );
      expect([...painted.data]).toEqual([...wanted]);
    },
  );

  it("paints 1 px and 500 px brushes", () => {
    const size = { widthPx: 600, heightPx: 600 };
    expect(areaPx(strokeRle(size, [imagePoint(300.5, 300.5)], 1))).toBe(1);
    expect(
      areaPx(strokeRle(size, [imagePoint(300, 300)], 500)) / (Math.PI * 250 * 250),
    ).toBeCloseTo(1, 3);
  });

  it("fills an outline, its crossings even-odd, and shares no pixel along a common edge", () => {
    const size = { widthPx: 8, heightPx: 6 };
    const at = (x: number, y: number) => imagePoint(x, y);

    expect(rowsOf(outlineRle(size, [at(1, 1), at(5, 1), at(5, 4), at(1, 4)]))).toEqual([
      "........",
      ".####...",
      ".####...",
      ".####...",
      "........",
      "........",
    ]);
    const left = outlineRle(size, [at(0, 0), at(8, 0), at(0, 6)]);
    const right = outlineRle(size, [at(8, 0), at(8, 6), at(0, 6)]);
    expect(isEmptyRle(intersection(left, right))).toBe(true);
    expect(areaPx(union(left, right))).toBe(48);
    expect(isEmptyRle(outlineRle(size, [at(1, 1), at(4, 4)]))).toBe(true);
  });
});

describe("parts and holes", () => {
  const rings = drawn("####..#", "#..#.#.", "####...", ".......", "##....#");

  it("splits where pixels touch neither by a side nor by a corner, largest first", () => {
    expect(partsOf(rings).map(areaPx)).toEqual([10, 2, 2, 1]);
    expect(rowsOf(largestPart(rings))[1]).toBe("#..#...");
    expect(areaPx(partAt(rings, 6, 0)!)).toBe(2);
    expect(partAt(rings, 4, 3)).toBeNull();
  });

  it("fills holes, not bays, and takes a diagonal wall as closed", () => {
    expect(rowsOf(fillHoles(rings))[1]).toBe("####.#.");
    expect(rowsOf(fillHoles(drawn(".#.", "#.#", ".#.")))).toEqual([".#.", "###", ".#."]);
    expect(rowsOf(fillHoles(drawn("###", "#..", "###")))[1]).toBe("#..");
  });

  it.each(Array.from({ length: 20 }, (_, seed) => seed))(
    "parts are apart and make up the whole (seed %i)",
    (seed) => {
      const rle = noise(seeded(seed + 3), 12, 9, 0.45);
      const parts = partsOf(rle);

      expect(parts.reduce((sum, part) => union(sum, part), emptyRle(rle)).counts).toBe(rle.counts);
      expect(parts.reduce((sum, part) => sum + areaPx(part), 0)).toBe(areaPx(rle));
    },
  );
});
