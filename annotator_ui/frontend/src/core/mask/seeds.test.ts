import { expect, it } from "vitest";
import { imagePoint } from "../geometry/geometry";
import type { ImageBox } from "../geometry/geometry";
import { modelFrame } from "./mask";
import { encodeRle } from "./rle";
import type { Rle } from "./rle";
import { difference, union } from "./runs";
import { contextOf, coverageOf, localEdit, keepOutsideCrop } from "./seeds";

const IMAGE = { widthPx: 90, heightPx: 70 };
const SQUARE = { x0: 40, y0: 20, x1: 80, y1: 60 };
const SIDE = 16;
const frame = modelFrame(IMAGE, 64, SQUARE);

function boxRle({ x0, y0, x1, y1 }: ImageBox, size = IMAGE): Rle {
  const data = Uint8Array.from({ length: size.widthPx * size.heightPx }, (_, i) => {
    const [x, y] = [i % size.widthPx, Math.floor(i / size.widthPx)];
    return x >= x0 && x < x1 && y >= y0 && y < y1 ? 1 : 0;
  });
  return encodeRle({ ...size, data });
}

it("covers the part of a mask inside the crop, as if the crop were the image", () => {
  const mask = boxRle({ x0: 30, y0: 33, x1: 62, y1: 47 });

  const cropped = coverageOf(mask, frame, SIDE);

  const alone = { widthPx: 40, heightPx: 40 };
  const expected = coverageOf(
    boxRle({ x0: 0, y0: 13, x1: 22, y1: 27 }, alone),
    modelFrame(alone, 64),
    SIDE,
  );
  expect(cropped.share).toEqual(expected.share);
});

it("gives the context of a click in image pixels, within the crop", () => {
  const mask = boxRle({ x0: 30, y0: 33, x1: 62, y1: 47 });
  const coverage = coverageOf(mask, frame, SIDE);

  const [point, box] = contextOf(mask, coverage, { at: imagePoint(70, 40), label: 1 });

  if (point?.kind !== "point" || box?.kind !== "box") throw new Error("a point, then a box");
  expect(point.at.x).toBeGreaterThan(40);
  expect(point.at.x).toBeLessThan(62);
  expect(point.at.y).toBeGreaterThan(33);
  expect(point.at.y).toBeLessThan(47);
  expect(box.box).toEqual({ x0: 40, y0: 33, x1: 71, y1: 47 });
});

it.each([0, 1] as const)("keeps a mask as it was outside the crop (label %i)", (label) => {
  const [before, answer] = [
    boxRle({ x0: 10, y0: 30, x1: 60, y1: 40 }),
    boxRle({ x0: 40, y0: 30, x1: 50, y1: 50 }),
  ];

  const edited = localEdit(before, keepOutsideCrop(answer, before, frame), {
    at: imagePoint(label === 1 ? 45 : 55, label === 1 ? 45 : 35),
    label,
  });

  const expected =
    label === 1
      ? union(before, answer)
      : difference(before, boxRle({ x0: 50, y0: 30, x1: 60, y1: 40 }));
  expect(edited).toEqual(expected);
});
