/** Close-ups: overlapping squares of a photo that the model looks at one by one, larger, because it
 * loses small objects on the whole. The same rules in Python: masks/close_ups.py; both are pinned by
 * tests/golden/close_ups.json. */

import type { ImageBox, ImagePoint, Size } from "./geometry";
import { boundsOf } from "./rle";
import type { Rle } from "./rle";

/** Squares of fewer photo pixels show nothing more, only larger. */
const MIN_SIDE_PX = 96;
const MAX_LEVEL = 9;
/** Near a border that cuts the photo the model sees too little around a click (share of the side). */
const ROOM = 1 / 8;

/** One square: level (1 is half the photo's long side), row and column of its grid. */
export interface CloseUp {
  readonly level: number;
  readonly row: number;
  readonly column: number;
}

/** Its name in addresses. */
export function keyOf({ level, row, column }: CloseUp): string {
  return `${level}-${row}-${column}`;
}

/** The deepest level; 0: the photo is too small for any. */
export function maxLevel(image: Size): number {
  let level = 0;
  while (level < MAX_LEVEL && sidePx(image, level + 1) >= MIN_SIDE_PX) level += 1;
  return level;
}

export function sidePx(image: Size, level: number): number {
  return Math.ceil(longSidePx(image) / 2 ** level);
}

/** The square of a level whose middle is nearest to a place in the photo. */
export function closeUpAt(image: Size, level: number, at: ImagePoint): CloseUp {
  const side = sidePx(image, level);
  return { level, row: nearest(at.y, image.heightPx, side), column: nearest(at.x, image.widthPx, side) };
}

/** The level for a person who sees so many pixels of the photo's long side: its squares are the
 * smallest that are no smaller than what is seen. */
export function levelForView(image: Size, seenPx: number): number {
  let level = 0;
  while (level < maxLevel(image) && sidePx(image, level + 1) >= seenPx) level += 1;
  return level;
}

/** Where it lies, in photo pixels; narrow photos have narrow close-ups. */
export function squareOf({ level, row, column }: CloseUp, image: Size): ImageBox {
  const side = sidePx(image, level);
  const start = (number: number, lengthPx: number): number => Math.min(number * step(side), Math.max(0, lengthPx - side));
  const [x0, y0] = [start(column, image.widthPx), start(row, image.heightPx)];
  return { x0, y0, x1: Math.min(image.widthPx, x0 + side), y1: Math.min(image.heightPx, y0 + side) };
}

/** Whether the place is in the square and not at a border that cuts the photo. */
export function hasRoomAt(square: ImageBox, image: Size, { x, y }: ImagePoint): boolean {
  return (
    isAmid(x, square.x0, square.x1, image.widthPx) && isAmid(y, square.y0, square.y1, image.heightPx)
  );
}

/** Whether the mask reaches a border of the square that cuts the photo: the object goes on outside. */
export function isCutBy(square: ImageBox, image: Size, rle: Rle): boolean {
  const bounds = boundsOf(rle);
  if (bounds === null) return false;
  return (
    (square.x0 > 0 && bounds.x0 <= square.x0) ||
    (square.y0 > 0 && bounds.y0 <= square.y0) ||
    (square.x1 < image.widthPx && bounds.x1 >= square.x1) ||
    (square.y1 < image.heightPx && bounds.y1 >= square.y1)
  );
}

function isAmid(place: number, from: number, to: number, lengthPx: number): boolean {
  const room = (to - from) * ROOM;
  return place >= (from > 0 ? from + room : from) && place < (to < lengthPx ? to - room : to);
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
