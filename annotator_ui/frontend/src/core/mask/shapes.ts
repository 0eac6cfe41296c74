/** Masks of drawn shapes: a round brush along a path, and the inside of an outline. A pixel belongs
 * to a shape when its centre does. */

import type { ImagePoint, Size } from "../geometry/geometry";
import type { Rle } from "./rle";
import { rleFromStretches } from "./runs";
import type { Stretch } from "./runs";

type Span = readonly [low: number, high: number];

/** The pixels within a round brush dragged along a path; `diameterPx` in image pixels. */
export function strokeRle(size: Size, path: readonly ImagePoint[], diameterPx: number): Rle {
  const radius = Math.max(0.5, diameterPx / 2);
  const columns = new Columns(size);
  path.forEach((point, index) => {
    const from = path[index - 1] ?? point;
    const x0 = Math.max(0, Math.floor(Math.min(from.x, point.x) - radius));
    const x1 = Math.min(size.widthPx - 1, Math.ceil(Math.max(from.x, point.x) + radius));
    for (let x = x0; x <= x1; x += 1) {
      const span = capsuleSpan(x + 0.5, from, point, radius);
      if (span !== null) columns.addClosed(x, span);
    }
  });
  return columns.rle();
}

/** The inside of a closed outline; where it crosses itself, even-odd. */
export function outlineRle(size: Size, corners: readonly ImagePoint[]): Rle {
  const columns = new Columns(size);
  if (corners.length < 3) return columns.rle();
  const xs = corners.map((corner) => corner.x);
  const x0 = Math.max(0, Math.floor(Math.min(...xs) - 0.5));
  const x1 = Math.min(size.widthPx - 1, Math.ceil(Math.max(...xs)));
  for (let x = x0; x <= x1; x += 1) {
    const crossings = crossingsAt(x + 0.5, corners);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      columns.addHalfOpen(x, [crossings[i] ?? 0, crossings[i + 1] ?? 0]);
    }
  }
  return columns.rle();
}

/** Where the vertical line through x meets the capsule of this radius around the segment a-b. */
function capsuleSpan(x: number, a: ImagePoint, b: ImagePoint, radius: number): Span | null {
  let low = Infinity;
  let high = -Infinity;
  const take = (from: number, to: number): void => {
    if (from > to) return;
    low = Math.min(low, from);
    high = Math.max(high, to);
  };
  for (const end of [a, b]) {
    const offset = x - end.x;
    if (Math.abs(offset) > radius) continue;
    const half = Math.sqrt(radius * radius - offset * offset);
    take(end.y - half, end.y + half);
  }
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.hypot(dx, dy);
  if (length > 0) {
    const band = slab(dx, (x - a.x) * dy, radius * length, a.y);
    const along = betweenEnds(dy, (x - a.x) * dx, length * length, a.y);
    take(Math.max(band[0], along[0]), Math.min(band[1], along[1]));
  }
  return low > high ? null : [low, high];
}

/** y with |(y - y0) * dx - cross| <= reach: within the brush's reach of the endless line. */
function slab(dx: number, cross: number, reach: number, y0: number): Span {
  if (dx === 0) return Math.abs(cross) <= reach ? [-Infinity, Infinity] : [Infinity, -Infinity];
  const [p, q] = [y0 + (cross - reach) / dx, y0 + (cross + reach) / dx];
  return [Math.min(p, q), Math.max(p, q)];
}

/** y with 0 <= part + (y - y0) * dy <= whole: beside the segment, not beyond its ends. */
function betweenEnds(dy: number, part: number, whole: number, y0: number): Span {
  if (dy === 0) return part >= 0 && part <= whole ? [-Infinity, Infinity] : [Infinity, -Infinity];
  const [p, q] = [y0 - part / dy, y0 + (whole - part) / dy];
  return [Math.min(p, q), Math.max(p, q)];
}

function crossingsAt(x: number, corners: readonly ImagePoint[]): number[] {
  const found: number[] = [];
  corners.forEach((to, index) => {
    const from = corners[(index + corners.length - 1) % corners.length] ?? to;
    if (from.x <= x === to.x <= x) return;
    found.push(from.y + ((x - from.x) / (to.x - from.x)) * (to.y - from.y));
  });
  return found.sort((p, q) => p - q);
}

/** Collects pixel stretches column by column. */
class Columns {
  readonly #size: Size;
  readonly #stretches = new Map<number, [number, number][]>();

  constructor(size: Size) {
    this.#size = size;
  }

  /** Pixels whose centre lies in [low, high]. */
  addClosed(x: number, [low, high]: Span): void {
    this.#add(x, Math.ceil(low - 0.5), Math.floor(high - 0.5) + 1);
  }

  /** Pixels whose centre lies in [low, high): shapes that share an edge share no pixel. */
  addHalfOpen(x: number, [low, high]: Span): void {
    this.#add(x, Math.ceil(low - 0.5), Math.ceil(high - 0.5));
  }

  rle(): Rle {
    const all: Stretch[] = [];
    for (const x of [...this.#stretches.keys()].sort((a, b) => a - b)) {
      for (const [y0, y1] of joined(this.#stretches.get(x) ?? [])) {
        all.push([x * this.#size.heightPx + y0, x * this.#size.heightPx + y1]);
      }
    }
    return rleFromStretches(this.#size, all);
  }

  #add(x: number, y0: number, y1: number): void {
    const [from, to] = [Math.max(0, y0), Math.min(this.#size.heightPx, y1)];
    if (from >= to) return;
    const column = this.#stretches.get(x);
    if (column === undefined) this.#stretches.set(x, [[from, to]]);
    else column.push([from, to]);
  }
}

function joined(stretches: [number, number][]): readonly [number, number][] {
  const out: [number, number][] = [];
  for (const [start, end] of stretches.sort((p, q) => p[0] - q[0])) {
    const last = out.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else out.push([start, end]);
  }
  return out;
}
