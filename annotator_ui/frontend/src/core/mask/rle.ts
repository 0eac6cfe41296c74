/** Run-length masks in COCO's compressed form: column-major runs, starting with zeros. The only
 * form in which masks are stored, sent or kept in the undo history. */

import type { ImageBox, Size } from "../geometry/geometry";
import { bitmap } from "./bitmap";
import type { Bitmap } from "./bitmap";
import { sha256Hex } from "./sha256";

export interface Rle extends Size {
  readonly counts: string;
}

export class RleError extends Error {
  override readonly name = "RleError";
}

export function encodeRle(mask: Bitmap): Rle {
  const { widthPx, data } = mask;
  const runs: number[] = [];
  let value = 0;
  let run = 0;
  for (let x = 0; x < widthPx; x += 1) {
    for (let i = x; i < data.length; i += widthPx) {
      const pixel = data[i] === 0 ? 0 : 1;
      if (pixel === value) {
        run += 1;
      } else {
        runs.push(run);
        value = pixel;
        run = 1;
      }
    }
  }
  runs.push(run);
  return rleFromRuns(mask, runs);
}

export function decodeRle(rle: Rle): Bitmap {
  const mask = bitmap(rle);
  const { widthPx, heightPx } = rle;
  forEachRun(rle, (start, length) => {
    for (let position = start; position < start + length; position += 1) {
      mask.data[(position % heightPx) * widthPx + Math.floor(position / heightPx)] = 1;
    }
  });
  return mask;
}

/** Call back with each run of ones; `start` counts pixels down the columns, left to right. */
export function forEachRun(rle: Rle, visit: (start: number, length: number) => void): void {
  let position = 0;
  runsOf(rle).forEach((length, index) => {
    if (index % 2 === 1 && length > 0) visit(position, length);
    position += length;
  });
}

export function areaPx(rle: Rle): number {
  let area = 0;
  runsOf(rle).forEach((run, index) => (area += index % 2 === 1 ? run : 0));
  return area;
}

/** The mask of these runs, zeros first; only the first may be 0. */
export function rleFromRuns({ widthPx, heightPx }: Size, runs: readonly number[]): Rle {
  const rle = { widthPx, heightPx, counts: runsToString(runs) };
  runsCache.set(rle, runs);
  return rle;
}

/** The tight box of the ones, corners in pixels with exclusive x1, y1; null when the mask is empty. */
export function boundsOf(rle: Rle): ImageBox | null {
  const { heightPx } = rle;
  let [x0, y0, x1, y1] = [Infinity, Infinity, -1, -1];
  forEachRun(rle, (start, length) => {
    const last = start + length - 1;
    const firstColumn = Math.floor(start / heightPx);
    const lastColumn = Math.floor(last / heightPx);
    x0 = Math.min(x0, firstColumn);
    x1 = Math.max(x1, lastColumn + 1);
    y0 = Math.min(y0, firstColumn === lastColumn ? start % heightPx : 0);
    y1 = Math.max(y1, firstColumn === lastColumn ? (last % heightPx) + 1 : heightPx);
  });
  return x1 < 0 ? null : { x0, y0, x1, y1 };
}

/** Whether the pixel is set, without decoding the mask. */
export function hasPixel(rle: Rle, x: number, y: number): boolean {
  const position = Math.floor(x) * rle.heightPx + Math.floor(y);
  let isSet = false;
  forEachRun(rle, (start, length) => {
    if (position >= start && position < start + length) isSet = true;
  });
  return isSet;
}

/** The fingerprint the server answers with: a mask is *saved* only when both sides agree on it. */
export function rleSha256(rle: Rle): string {
  return sha256Hex(`${rle.heightPx}x${rle.widthPx}:${rle.counts}`);
}

export function isSameRle(a: Rle, b: Rle): boolean {
  return a.counts === b.counts && a.widthPx === b.widthPx && a.heightPx === b.heightPx;
}

/** Each run as 5-bit groups, lowest first, in characters from "0"; from the fourth run on, the
 * difference to the run two before (pycocotools common/maskApi.c, rleToString). */
export function runsToString(runs: readonly number[]): string {
  const out: number[] = [];
  runs.forEach((run, index) => {
    let rest = index > 2 ? run - (runs[index - 2] ?? 0) : run;
    for (;;) {
      const group = rest & 0x1f;
      rest >>= 5;
      const isLast = (group & 0x10) === 0 ? rest === 0 : rest === -1;
      out.push((isLast ? group : group | 0x20) + 48);
      if (isLast) break;
    }
  });
  return asciiString(out);
}

export function stringToRuns(counts: string): number[] {
  const runs: number[] = [];
  for (let i = 0; i < counts.length;) {
    let value = 0;
    let shift = 0;
    for (;;) {
      if (i >= counts.length) throw new RleError(`The counts end inside run ${runs.length}.`);
      const group = counts.charCodeAt(i) - 48;
      if (group < 0 || group > 63)
        throw new RleError(`Character ${i} of the counts is not of the RLE alphabet.`);
      i += 1;
      if (shift > 30) throw new RleError(`Run ${runs.length} is longer than any image.`);
      value |= (group & 0x1f) << shift;
      shift += 5;
      if ((group & 0x20) === 0) {
        if ((group & 0x10) !== 0 && shift < 32) value |= -1 << shift;
        break;
      }
    }
    runs.push(runs.length > 2 ? value + (runs[runs.length - 2] ?? 0) : value);
  }
  return runs;
}

/** Runs down the columns, zeros first; checked once per mask. */
export function runsOf(rle: Rle): readonly number[] {
  const known = runsCache.get(rle);
  if (known !== undefined) return known;
  if (rle.widthPx < 1 || rle.heightPx < 1) {
    throw new RleError(`A mask of ${rle.heightPx} x ${rle.widthPx} pixels has no pixel.`);
  }
  const runs = stringToRuns(rle.counts);
  const negative = runs.findIndex((run) => run < 0);
  if (negative >= 0) throw new RleError(`Run ${negative} is negative.`);
  const total = runs.reduce((sum, run) => sum + run, 0);
  const wanted = rle.widthPx * rle.heightPx;
  if (total !== wanted) {
    throw new RleError(
      `The runs cover ${total} pixels, but ${rle.heightPx} x ${rle.widthPx} is ${wanted}.`,
    );
  }
  runsCache.set(rle, runs);
  return runs;
}

const runsCache = new WeakMap<Rle, readonly number[]>();

function asciiString(codes: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < codes.length; i += 4096) {
    parts.push(String.fromCharCode(...codes.slice(i, i + 4096)));
  }
  return parts.join("");
}
