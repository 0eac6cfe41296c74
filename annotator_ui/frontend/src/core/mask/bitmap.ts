/** One byte a pixel: how tests and thumbnails look at a mask. Everything else works on runs. */

import type { Size } from "../geometry/geometry";

/** Row-major, one byte a pixel, 0 or 1. */
export interface Bitmap extends Size {
  readonly data: Uint8Array;
}

export function bitmap(size: Size): Bitmap {
  return {
    widthPx: size.widthPx,
    heightPx: size.heightPx,
    data: new Uint8Array(size.widthPx * size.heightPx),
  };
}
