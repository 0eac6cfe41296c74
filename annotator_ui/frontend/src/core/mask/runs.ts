/** Set operations on masks, run by run: their cost follows the outlines, not the image's pixels. */

import type { Size } from "../geometry/geometry";
import { RleError, rleFromRuns, runsOf } from "./rle";
import type { Rle } from "./rle";

/** Half-open stretches [start, end) of column-major pixel positions, sorted and apart. */
export type Stretch = readonly [start: number, end: number];

export function union(a: Rle, b: Rle): Rle {
  return merged(a, b, (inA, inB) => inA || inB);
}

export function intersection(a: Rle, b: Rle): Rle {
  return merged(a, b, (inA, inB) => inA && inB);
}

/** What is in `a` and not in `b`. */
export function difference(a: Rle, b: Rle): Rle {
  return merged(a, b, (inA, inB) => inA && !inB);
}

export function emptyRle(size: Size): Rle {
  return rleFromRuns(size, [size.widthPx * size.heightPx]);
}

export function isEmptyRle(rle: Rle): boolean {
  return runsOf(rle).every((run, index) => index % 2 === 0 || run === 0);
}

/** The mask of these stretches; they may touch but must be sorted and not overlap. */
export function rleFromStretches(size: Size, stretches: Iterable<Stretch>): Rle {
  const runs: number[] = [];
  let position = 0;
  for (const [start, end] of stretches) {
    if (end <= start) continue;
    if (start === position && runs.length > 0) {
      runs[runs.length - 1] = (runs.at(-1) ?? 0) + end - start;
    } else {
      runs.push(start - position, end - start);
    }
    position = end;
  }
  const rest = size.widthPx * size.heightPx - position;
  if (rest > 0 || runs.length === 0) runs.push(rest);
  return rleFromRuns(size, runs);
}

function merged(a: Rle, b: Rle, isIn: (inA: boolean, inB: boolean) => boolean): Rle {
  if (a.widthPx !== b.widthPx || a.heightPx !== b.heightPx) {
    throw new RleError(
      `Masks of ${a.heightPx} x ${a.widthPx} and ${b.heightPx} x ${b.widthPx} pixels do not combine.`,
    );
  }
  const [left, right] = [new RunReader(runsOf(a)), new RunReader(runsOf(b))];
  const out: number[] = [];
  let value = false;
  let run = 0;
  for (;;) {
    const length = Math.min(left.rest(), right.rest());
    if (length === 0) break;
    const next = isIn(left.value, right.value);
    if (next !== value) {
      out.push(run);
      value = next;
      run = 0;
    }
    run += length;
    left.skip(length);
    right.skip(length);
  }
  out.push(run);
  return rleFromRuns(a, out);
}

class RunReader {
  value = false;
  readonly #runs: readonly number[];
  #index = 0;
  #rest: number;

  constructor(runs: readonly number[]) {
    this.#runs = runs;
    this.#rest = runs[0] ?? 0;
  }

  /** Pixels left of the present run; 0 only at the end of the mask. */
  rest(): number {
    while (this.#rest === 0 && this.#index < this.#runs.length - 1) {
      this.#index += 1;
      this.#rest = this.#runs[this.#index] ?? 0;
      this.value = !this.value;
    }
    return this.#rest;
  }

  skip(length: number): void {
    this.#rest -= length;
  }
}
