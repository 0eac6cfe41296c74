import { expect, it } from "vitest";
import { golden } from "../../testing";
import { cropAt, hasMarginAt, cropKey, levelForView, maxLevel, boxOfCrop } from "./crops";
import { imagePoint } from "./geometry";

interface CropCase {
  image_hw: [number, number];
  max_level: number;
  views: {
    x_px: number;
    y_px: number;
    visible_px: number;
    crop: string | null;
    xywh_px: number[] | null;
  }[];
}

it.each(golden("crops") as CropCase[])(
  "cuts a $image_hw image as Python does",
  ({ image_hw, max_level, views }) => {
    const [heightPx, widthPx] = image_hw;
    const image = { widthPx, heightPx };

    expect(maxLevel(image)).toBe(max_level);
    for (const view of views) {
      const level = levelForView(image, view.visible_px);
      const crop = level === 0 ? null : cropAt(image, level, imagePoint(view.x_px, view.y_px));
      const square = crop === null ? null : boxOfCrop(crop, image);

      expect(crop === null ? null : cropKey(crop)).toBe(view.crop);
      expect(
        square === null
          ? null
          : [square.x0, square.y0, square.x1 - square.x0, square.y1 - square.y0],
      ).toEqual(view.xywh_px);
    }
  },
);

it("keeps a margin at borders that cut the image, not at the image's own", () => {
  const image = { widthPx: 400, heightPx: 300 };
  const square = boxOfCrop({ level: 1, row: 0, column: 1 }, image);
  const hasMargin = (x: number, y: number) => hasMarginAt(square, image, imagePoint(x, y));

  expect(square).toEqual({ x0: 100, y0: 0, x1: 300, y1: 200 });
  expect([hasMargin(200, 100), hasMargin(125, 0), hasMargin(274, 174)]).toEqual([true, true, true]);
  expect([
    hasMargin(124, 100),
    hasMargin(275, 100),
    hasMargin(200, 175),
    hasMargin(200, -1),
  ]).toEqual([false, false, false, false]);
});
