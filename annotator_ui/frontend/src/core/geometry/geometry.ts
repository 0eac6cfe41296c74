/** Points and boxes, branded by the frame they live in: a screen point cannot be used as an image
 * point. Image coordinates are pixels of the stored image, (0, 0) at its top-left corner. */

declare const frame: unique symbol;

interface Point<Frame extends string> {
  readonly x: number;
  readonly y: number;
  readonly [frame]: Frame;
}

export type ImagePoint = Point<"image">;
/** CSS pixels from the top-left corner of the canvas. */
export type ScreenPoint = Point<"screen">;

export interface Size {
  readonly widthPx: number;
  readonly heightPx: number;
}

/** Corner coordinates in image pixels, x0 <= x1 and y0 <= y1. */
export interface ImageBox {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

export function imagePoint(x: number, y: number): ImagePoint {
  return { x, y } as ImagePoint;
}

export function screenPoint(x: number, y: number): ScreenPoint {
  return { x, y } as ScreenPoint;
}

export function distancePx(a: ScreenPoint, b: ScreenPoint): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

export function isInside(point: ImagePoint, size: Size): boolean {
  return point.x >= 0 && point.y >= 0 && point.x < size.widthPx && point.y < size.heightPx;
}

/** The box spanned by two corners, cut to the image; null when nothing of it lies on the image. */
export function boxBetween(a: ImagePoint, b: ImagePoint, size: Size): ImageBox | null {
  const box = {
    x0: Math.max(0, Math.min(a.x, b.x)),
    y0: Math.max(0, Math.min(a.y, b.y)),
    x1: Math.min(size.widthPx, Math.max(a.x, b.x)),
    y1: Math.min(size.heightPx, Math.max(a.y, b.y)),
  };
  return box.x1 - box.x0 >= 1 && box.y1 - box.y0 >= 1 ? box : null;
}
