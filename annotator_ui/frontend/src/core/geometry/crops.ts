/** Crops: overlapping square windows of an image that are encoded one by one at a larger scale, because
 * the model misses small objects in the whole image. Python has the same rules; both are pinned by the
 * golden file tests/golden/crops.json. */

import type { ImageBox, ImagePoint, Size } from "./geometry";
import { boundsOf } from "../mask/rle";
import type { Rle } from "../mask/rle";

/** Smaller crops hold no more detail: they are only enlarged. */
const MIN_SIDE_PX = 96;
const MAX_LEVEL = 9;
/** A click needs this much of the crop's side between it and a border that cuts the image. */
const MIN_MARGIN = 1 / 8;

/** One crop: level (1 is half the image's long side), row and column of its grid. */
export interface Crop {
  readonly level: number;
  readonly row: number;
  readonly column: number;
}

/** The crop's name in URLs: level-row-column. */
export function cropKey({ level, row, column }: Crop): string {
  return `${level}-${row}-${column}`;
}

/** The deepest level; 0 when the image is too small for any crop. */
export function maxLevel(image: Size): number {
  let level = 0;
  while (level < MAX_LEVEL && sidePx(image, level + 1) >= MIN_SIDE_PX) level += 1;
  return level;
}

export function sidePx(image: Size, level: number): number {
  return Math.ceil(longSidePx(image) / 2 ** level);
}

/** The crop of a level whose centre is nearest to a point of the image. */
export function cropAt(image: Size, level: number, at: ImagePoint): Crop {
  const side = sidePx(image, level);
  return {
    level,
    row: nearest(at.y, image.heightPx, side),
    column: nearest(at.x, image.widthPx, side),
  };
}

/** The level for a view that shows so many pixels of the image's long side: its crops are the
 * smallest that are no smaller than the visible part. */
export function levelForView(image: Size, visiblePx: number): number {
  let level = 0;
  while (level < maxLevel(image) && sidePx(image, level + 1) >= visiblePx) level += 1;
  return level;
}

/** The crop's box in image pixels; narrow images have narrow crops. */
export function boxOfCrop({ level, row, column }: Crop, image: Size): ImageBox {
  const side = sidePx(image, level);
  const start = (number: number, lengthPx: number): number =>
    Math.min(number * step(side), Math.max(0, lengthPx - side));
  const [x0, y0] = [start(column, image.widthPx), start(row, image.heightPx)];
  return {
    x0,
    y0,
    x1: Math.min(image.widthPx, x0 + side),
    y1: Math.min(image.heightPx, y0 + side),
  };
}

/** Whether the point lies in the crop, with a margin to every border that cuts the image. */
export function hasMarginAt(box: ImageBox, image: Size, { x, y }: ImagePoint): boolean {
  return (
    isWithinMargin(x, box.x0, box.x1, image.widthPx) &&
    isWithinMargin(y, box.y0, box.y1, image.heightPx)
  );
}

/** Whether the mask reaches a border of the crop that cuts the image: the object continues outside. */
export function isCutBy(box: ImageBox, image: Size, rle: Rle): boolean {
  const bounds = boundsOf(rle);
  if (bounds === null) return false;
  return (
    (box.x0 > 0 && bounds.x0 <= box.x0) ||
    (box.y0 > 0 && bounds.y0 <= box.y0) ||
    (box.x1 < image.widthPx && bounds.x1 >= box.x1) ||
    (box.y1 < image.heightPx && bounds.y1 >= box.y1)
  );
}

function isWithinMargin(place: number, from: number, to: number, lengthPx: number): boolean {
  const margin = (to - from) * MIN_MARGIN;
  return place >= (from > 0 ? from + margin : from) && place < (to < lengthPx ? to - margin : to);
}

function longSidePx({ widthPx, heightPx }: Size): number {
  return Math.max(widthPx, heightPx);
}

function nearest(placePx: number, lengthPx: number, side: number): number {
  const last = Math.ceil(Math.max(0, lengthPx - side) / step(side));
  return Math.min(last, Math.max(0, Math.trunc((placePx - side / 2) / step(side) + 0.5)));
}

function step(side: number): number {
  return Math.floor(side / 2);
}
