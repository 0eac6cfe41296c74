/** Connected parts of a mask and its holes, found from runs. Pixels touch by sides or corners, as in
 * masks/regions.py; the background touches by sides only, so that a diagonal line closes a ring. */

import { forEachRun, hasPixel } from "./rle";
import type { Rle } from "./rle";
import { difference, emptyRle, rleFromStretches, union } from "./runs";
import { rleFromRuns } from "./rle";

/** One vertical run inside one column: rows y0 to y1, the last not included. */
interface ColumnRun {
  readonly x: number;
  readonly y0: number;
  readonly y1: number;
}

/** Every connected part as a mask of its own, largest first (the leftmost among equals). */
export function partsOf(rle: Rle): readonly Rle[] {
  return groups(rle, 1).map(({ runs }) => toRle(rle, runs));
}

export function largestPart(rle: Rle): Rle {
  return partsOf(rle)[0] ?? rle;
}

/** The part that holds the pixel, or null. */
export function partAt(rle: Rle, x: number, y: number): Rle | null {
  if (!hasPixel(rle, x, y)) return null;
  return partsOf(rle).find((part) => hasPixel(part, x, y)) ?? null;
}

/** The mask with every hole filled: background that does not reach the image's edge. */
export function fillHoles(rle: Rle): Rle {
  const { widthPx, heightPx } = rle;
  const everything = rleFromRuns(rle, [0, widthPx * heightPx]);
  const holes = groups(difference(everything, rle), 0).filter(({ runs }) =>
    runs.every(({ x, y0, y1 }) => x > 0 && x < widthPx - 1 && y0 > 0 && y1 < heightPx),
  );
  return holes.reduce((mask, { runs }) => union(mask, toRle(rle, runs)), rle);
}

interface Group {
  readonly runs: ColumnRun[];
  readonly areaPx: number;
}

/** gap 1: runs of neighbouring columns that touch at a corner belong together; 0: they do not. */
function groups(rle: Rle, gap: 0 | 1): readonly Group[] {
  const runs = columnRuns(rle);
  const sets = new DisjointSets(runs.length);
  let start = 0;
  runs.forEach((run, index) => {
    // `start`: the first run that can still touch this one or a later one.
    while (isBefore(runs[start], run, gap) && start < index) start += 1;
    for (let i = start; i < index; i += 1) {
      const other = runs[i];
      if (other === undefined || other.x >= run.x) break;
      if (other.x === run.x - 1 && other.y0 < run.y1 + gap && run.y0 < other.y1 + gap)
        sets.join(i, index);
    }
  });
  const byRoot = new Map<number, ColumnRun[]>();
  runs.forEach((run, index) => {
    const root = sets.rootOf(index);
    const found = byRoot.get(root);
    if (found === undefined) byRoot.set(root, [run]);
    else found.push(run);
  });
  return [...byRoot.values()]
    .map((group) => ({ runs: group, areaPx: group.reduce((sum, { y0, y1 }) => sum + y1 - y0, 0) }))
    .sort((a, b) => b.areaPx - a.areaPx);
}

function isBefore(other: ColumnRun | undefined, run: ColumnRun, gap: number): boolean {
  if (other === undefined) return false;
  return other.x < run.x - 1 || (other.x === run.x - 1 && other.y1 + gap <= run.y0);
}

function columnRuns(rle: Rle): readonly ColumnRun[] {
  const { heightPx } = rle;
  const runs: ColumnRun[] = [];
  forEachRun(rle, (start, length) => {
    for (let at = start; at < start + length;) {
      const x = Math.floor(at / heightPx);
      const end = Math.min(start + length, (x + 1) * heightPx);
      runs.push({ x, y0: at - x * heightPx, y1: end - x * heightPx });
      at = end;
    }
  });
  return runs;
}

function toRle(size: Rle, runs: readonly ColumnRun[]): Rle {
  if (runs.length === 0) return emptyRle(size);
  return rleFromStretches(
    size,
    runs.map(({ x, y0, y1 }) => [x * size.heightPx + y0, x * size.heightPx + y1] as const),
  );
}

class DisjointSets {
  readonly #parents: Int32Array;

  constructor(count: number) {
    this.#parents = Int32Array.from({ length: count }, (_, index) => index);
  }

  rootOf(index: number): number {
    let at = index;
    for (;;) {
      const parent = this.#parents[at] ?? at;
      if (parent === at) return at;
      const grand = this.#parents[parent] ?? parent;
      this.#parents[at] = grand;
      at = grand;
    }
  }

  join(a: number, b: number): void {
    const [p, q] = [this.rootOf(a), this.rootOf(b)];
    this.#parents[Math.max(p, q)] = Math.min(p, q);
  }
}
