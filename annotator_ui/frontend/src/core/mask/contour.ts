/** The outline of a mask along its pixel edges, as closed loops, so that it stays sharp at any zoom.
 * Seen from afar, an outline of every `stride`-th pixel looks the same and costs a fraction. */

import type { ImageBox } from "../geometry/geometry";
import { boundsOf, forEachRun } from "./rle";
import type { Rle } from "./rle";

/** Flat corner lists x0, y0, x1, y1, ... in image pixels, one per loop; loops close on themselves. */
export type Contour = readonly Float32Array[];

/** The coarsest stride that still shows every screen pixel: powers of two, so that few are cached. */
export function strideFor(scale: number): number {
  return 2 ** Math.max(0, Math.min(5, Math.floor(Math.log2(1 / scale))));
}

export function contourOf(rle: Rle, stride = 1): Contour {
  const bounds = boundsOf(rle);
  if (bounds === null) return [];
  const coarse = traceLoops(new Grid(rle, bounds, stride));
  // A mask thinner than the stride would vanish: it is small, so its exact outline costs little.
  return coarse.length > 0 || stride === 1 ? coarse : traceLoops(new Grid(rle, bounds, 1));
}

/** Directions of an edge, clockwise around the mask: right, down, left, up. */
const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

/** Every edge between a set and an unset pixel is walked once, the mask on its right hand. */
function traceLoops(grid: Grid): Contour {
  const loops: Float32Array[] = [];
  for (let y = 0; y < grid.height; y += 1) {
    for (let x = 0; x < grid.width; x += 1) {
      if (grid.isSet(x, y) && !grid.isSet(x, y - 1) && !grid.isVisited(x, y)) {
        loops.push(walk(grid, x, y));
      }
    }
  }
  return loops;
}

function walk(grid: Grid, startX: number, startY: number): Float32Array {
  const corners: number[] = [];
  let [x, y, direction] = [startX, startY, 0];
  do {
    const [dx, dy] = STEPS[direction] ?? STEPS[0];
    if (direction === 0) grid.visit(x, y);
    x += dx;
    y += dy;
    const next = turn(grid, x, y, direction);
    if (next !== direction) corners.push(grid.left + x * grid.stride, grid.top + y * grid.stride);
    direction = next;
  } while (x !== startX || y !== startY || direction !== 0);
  return Float32Array.from(corners);
}

/** At a corner: right where the mask ends ahead on the right, else straight on, else left. */
function turn(grid: Grid, x: number, y: number, direction: number): number {
  const isRightSet = pixelBeside(grid, x, y, direction, 1);
  const isLeftSet = pixelBeside(grid, x, y, direction, 0);
  if (!isRightSet) return (direction + 1) % 4;
  return isLeftSet ? (direction + 3) % 4 : direction;
}

/** The pixel ahead of corner (x, y), on the right (1) or left (0) of the direction of travel. */
function pixelBeside(grid: Grid, x: number, y: number, direction: number, side: 0 | 1): boolean {
  const right = [
    [x, y],
    [x - 1, y],
    [x - 1, y - 1],
    [x, y - 1],
  ] as const;
  const [px, py] = right[side === 1 ? direction : (direction + 3) % 4] ?? right[0];
  return grid.isSet(px, py);
}

class Grid {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly stride: number;
  readonly #cells: Uint8Array;

  /** A cell is set when the pixel in its middle is. */
  constructor(rle: Rle, bounds: ImageBox, stride: number) {
    this.stride = stride;
    this.left = bounds.x0;
    this.top = bounds.y0;
    this.width = Math.ceil((bounds.x1 - bounds.x0) / stride);
    this.height = Math.ceil((bounds.y1 - bounds.y0) / stride);
    this.#cells = new Uint8Array(this.width * this.height);
    const middle = Math.floor(stride / 2);
    forEachRun(rle, (start, length) => {
      for (let at = start; at < start + length;) {
        const x = Math.floor(at / rle.heightPx);
        const end = Math.min(start + length, (x + 1) * rle.heightPx);
        if ((x - bounds.x0) % stride === middle) {
          this.#fillColumn(
            (x - bounds.x0) / stride,
            at - x * rle.heightPx - middle,
            end - x * rle.heightPx - middle,
          );
        }
        at = end;
      }
    });
  }

  /** Cells of a column whose middle row lies in [from, to), rows counted from the mask's top. */
  #fillColumn(column: number, from: number, to: number): void {
    const first = Math.max(0, Math.ceil((from - this.top) / this.stride));
    const end = Math.min(this.height, Math.ceil((to - this.top) / this.stride));
    for (let row = first; row < end; row += 1)
      this.#cells[row * this.width + Math.floor(column)] = 1;
  }

  isSet(x: number, y: number): boolean {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return false;
    return ((this.#cells[y * this.width + x] ?? 0) & 1) === 1;
  }

  /** Whether the top edge of this pixel belongs to a loop already walked. */
  isVisited(x: number, y: number): boolean {
    return ((this.#cells[y * this.width + x] ?? 0) & 2) === 2;
  }

  visit(x: number, y: number): void {
    this.#cells[y * this.width + x] = (this.#cells[y * this.width + x] ?? 0) | 2;
  }
}
