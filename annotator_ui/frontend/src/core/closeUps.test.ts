import { expect, it } from "vitest";
import { golden } from "../testing";
import { closeUpAt, hasRoomAt, keyOf, levelForView, maxLevel, squareOf } from "./closeUps";
import { imagePoint } from "./geometry";

interface CloseUpCase {
  image_hw: [number, number];
  max_level: number;
  looks: { x_px: number; y_px: number; seen_px: number; close_up: string | null; xywh_px: number[] | null }[];
}

it.each(golden("close_ups") as CloseUpCase[])("cuts a $image_hw photo as Python does", ({ image_hw, max_level, looks }) => {
  const [heightPx, widthPx] = image_hw;
  const image = { widthPx, heightPx };

  expect(maxLevel(image)).toBe(max_level);
  for (const look of looks) {
    const level = levelForView(image, look.seen_px);
    const closeUp = level === 0 ? null : closeUpAt(image, level, imagePoint(look.x_px, look.y_px));
    const square = closeUp === null ? null : squareOf(closeUp, image);

    expect(closeUp === null ? null : keyOf(closeUp)).toBe(look.close_up);
    expect(square === null ? null : [square.x0, square.y0, square.x1 - square.x0, square.y1 - square.y0]).toEqual(look.xywh_px);
  }
});

it("leaves room at borders that cut the photo, not at the photo's own", () => {
  const image = { widthPx: 400, heightPx: 300 };
  const square = squareOf({ level: 1, row: 0, column: 1 }, image);
  const hasRoom = (x: number, y: number) => hasRoomAt(square, image, imagePoint(x, y));

  expect(square).toEqual({ x0: 100, y0: 0, x1: 300, y1: 200 });
  expect([hasRoom(200, 100), hasRoom(125, 0), hasRoom(274, 174)]).toEqual([true, true, true]);
  expect([hasRoom(124, 100), hasRoom(275, 100), hasRoom(200, 175), hasRoom(200, -1)]).toEqual([false, false, false, false]);
});
