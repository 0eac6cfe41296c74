/** The outline of a mask along its pixel edges, as closed loops, so that it stays sharp at any zoom. */

import type { ImageBox } from "./geometry";
import { boundsOf, forEachRun } from "./rle";
import type { Rle } from "./rle";

/** Flat corner lists x0, y0, x1, y1, ... in image pixels, one per loop; loops close on themselves. */
export type Contour = readonly Float32Array[];

const cache = new WeakMap<Rle, Contour>();

export function contourOf(rle: Rle): Contour {
  const known = cache.get(rle);
  if (known !== undefined) return known;
  const bounds = boundsOf(rle);
  const contour = bounds === null ? [] : traceLoops(rle, bounds);
  cache.set(rle, contour);
  return contour;
}

/** Directions of an edge, clockwise around the mask: right, down, left, up. */
const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

/** Every edge between a set and an unset pixel is walked once, the mask on its right hand. */
function traceLoops(rle: Rle, bounds: ImageBox): Contour {
  const grid = new Grid(rle, bounds);
  const loops: Float32Array[] = [];
  for (let y = 0; y < grid.height; y += 1) {
    for (let x = 0; x < grid.width; x += 1) {
      if (grid.isSet(x, y) && !grid.isSet(x, y - 1) && !grid.isVisited(x, y)) {
        loops.push(walk(grid, x, y, bounds));
      }
    }
  }
  return loops;
}

function walk(grid: Grid, startX: number, startY: number, bounds: ImageBox): Float32Array {
  const corners: number[] = [];
  let [x, y, direction] = [startX, startY, 0];
  do {
    const [dx, dy] = STEPS[direction] ?? STEPS[0];
    if (direction === 0) grid.visit(x, y);
    x += dx;
    y += dy;
    const next = turn(grid, x, y, direction);
    if (next !== direction) corners.push(x + bounds.x0, y + bounds.y0);
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
  readonly #cells: Uint8Array;

  constructor(rle: Rle, bounds: ImageBox) {
    this.width = bounds.x1 - bounds.x0;
    this.height = bounds.y1 - bounds.y0;
    this.#cells = new Uint8Array(this.width * this.height);
    forEachRun(rle, (start, length) => {
      for (let position = start; position < start + length; position += 1) {
        const x = Math.floor(position / rle.heightPx) - bounds.x0;
        const y = (position % rle.heightPx) - bounds.y0;
        this.#cells[y * this.width + x] = 1;
      }
    });
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
