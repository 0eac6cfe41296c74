/** From the decoder's logits to a mask in the image's frame. */

import type { ImageBox, Size } from "../geometry/geometry";
import type { Rle } from "./rle";
import { rleFromStretches } from "./runs";
import type { Stretch } from "./runs";

/** How an image, or one crop of it, is placed in the model's padded square input. */
export interface ModelFrame {
  /** The image; masks and prompts are always in its pixels. */
  readonly image: Size;
  /** Where in the image the model's input begins. */
  readonly originXPx: number;
  readonly originYPx: number;
  /** The size of what is encoded: the image, or a crop of it. */
  readonly crop: Size;
  /** Side of the model's padded square input. */
  readonly imageSizePx: number;
  /** The crop after resizing, before padding. */
  readonly input: Size;
}

/** The resize rule of the reference: scale the long side, round half up. `box`: the part of the
 * image that is encoded. */
export function modelFrame(
  image: Size,
  imageSizePx: number,
  box: ImageBox = wholeOf(image),
): ModelFrame {
  const crop = { widthPx: box.x1 - box.x0, heightPx: box.y1 - box.y0 };
  const scale = imageSizePx / Math.max(crop.widthPx, crop.heightPx);
  const input = {
    widthPx: Math.max(1, Math.floor(crop.widthPx * scale + 0.5)),
    heightPx: Math.max(1, Math.floor(crop.heightPx * scale + 0.5)),
  };
  return { image, originXPx: box.x0, originYPx: box.y0, crop, imageSizePx, input };
}

/** The encoded part of the image, in image pixels. */
export function cropBox({ originXPx, originYPx, crop }: ModelFrame): ImageBox {
  return {
    x0: originXPx,
    y0: originYPx,
    x1: originXPx + crop.widthPx,
    y1: originYPx + crop.heightPx,
  };
}

function wholeOf({ widthPx, heightPx }: Size): ImageBox {
  return { x0: 0, y0: 0, x1: widthPx, y1: heightPx };
}

/**
 * Upscale low-resolution logits to the encoded part of the image and keep what is above zero; the
 * rest of the image is not in the mask.
 *
 * logits: (side, side) row-major, frame of the padded square. As in the reference the square is
 * enlarged to the model's size, its padding cut off, and the rest resized to the image, bilinear
 * both times. Both steps are separable, so each output pixel mixes at most three by three logits
 * with weights that are never negative: where all nine lie on one side of zero the pixel does too,
 * and only pixels near an outline are worked out. Goes down the columns, as the runs do.
 */
export function logitsToRle(logits: Float32Array, side: number, frame: ModelFrame): Rle {
  const { crop, image, originXPx, originYPx } = frame;
  const { columns, rows } = axesOf(frame, side);
  const sides = sidesOf(logits, side);
  const tall = [0, 1, 2].map(() => new Float32Array(crop.heightPx)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const stretches: Stretch[] = [];
  for (const { index, from, to } of columns.bands) {
    const parts = partsOf(sides, side, index, rows.bands);
    if (parts.length === 0) continue;
    for (const part of parts) {
      if (part.isMixed) stretch(logits, side, index, rows, part, tall);
    }
    for (let x = from; x < to; x += 1) {
      followColumn(
        tap(columns, x),
        (originXPx + x) * image.heightPx + originYPx,
        parts,
        tall,
        stretches,
      );
    }
  }
  return rleFromStretches(image, stretches);
}

/** Add one column's stretches of ones. */
function followColumn(
  [a, b, c]: readonly [number, number, number],
  start: number,
  parts: readonly Part[],
  [left, middle, right]: readonly [Float32Array, Float32Array, Float32Array],
  stretches: Stretch[],
): void {
  let since = -1;
  let end = 0;
  for (const { from, to, isMixed } of parts) {
    if (from !== end && since >= 0) {
      stretches.push([start + since, start + end]);
      since = -1;
    }
    end = to;
    if (!isMixed) {
      if (since < 0) since = from;
      continue;
    }
    for (let y = from; y < to; y += 1) {
      const isIn = a * at(left, y) + b * at(middle, y) + c * at(right, y) > 0;
      if (isIn === since >= 0) continue;
      if (!isIn) stretches.push([start + since, start + y]);
      since = isIn ? y : -1;
    }
  }
  if (since >= 0) stretches.push([start + since, start + end]);
}

/** Rows [from, to) of the image: all of them inside, or to be worked out. Rows outside have no part. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly isMixed: boolean;
}

/** What lies under logit column `column` and the two after it, top down. */
function partsOf(
  sides: Uint8Array,
  side: number,
  column: number,
  bands: readonly Band[],
): readonly Part[] {
  const parts: Part[] = [];
  for (const { index, from, to } of bands) {
    const kind = sides[index * side + column];
    if (kind === OUTSIDE) continue;
    const isMixed = kind === MIXED;
    const last = parts.at(-1);
    if (last?.to === from && last.isMixed === isMixed) parts[parts.length - 1] = { ...last, to };
    else parts.push({ from, to, isMixed });
  }
  return parts;
}

/** Three columns of logits over the image's rows of one part, each into its array. */
function stretch(
  logits: Float32Array,
  side: number,
  column: number,
  rows: AxisWeights,
  { from, to }: Part,
  tall: readonly Float32Array[],
): void {
  tall.forEach((values, i) => {
    const x = Math.min(column + i, side - 1);
    for (let y = from; y < to; y += 1) {
      const [a, b, c] = tap(rows, y);
      const base = at(rows.first, y);
      const [low, high] = [Math.min(base + 1, side - 1), Math.min(base + 2, side - 1)];
      values[y] =
        a * at(logits, base * side + x) +
        b * at(logits, low * side + x) +
        c * at(logits, high * side + x);
    }
  });
}

const OUTSIDE = 0;
const INSIDE = 1;
const MIXED = 2;

/** For each logit, where it and its neighbours up to two further right and down lie; at the far
 * edges the last one stands in for those beyond. */
function sidesOf(logits: Float32Array, side: number): Uint8Array {
  const sides = new Uint8Array(side * side);
  for (let i = 0; i < sides.length; i += 1) sides[i] = at(logits, i) > 0 ? 1 : 0;
  addAhead(sides, side, 1);
  addAhead(sides, side, side);
  for (let i = 0; i < sides.length; i += 1)
    sides[i] = sides[i] === 0 ? OUTSIDE : sides[i] === 9 ? INSIDE : MIXED;
  return sides;
}

/** Add to every count the two after it along one axis; `step` is the axis's stride. */
function addAhead(counts: Uint8Array, side: number, step: number): void {
  for (let line = 0; line < side; line += 1) {
    const start = step === 1 ? line * side : line;
    for (let i = 0; i < side; i += 1) {
      const next = start + Math.min(i + 1, side - 1) * step;
      const last = start + Math.min(i + 2, side - 1) * step;
      counts[start + i * step] = at(counts, start + i * step) + at(counts, next) + at(counts, last);
    }
  }
}

/** Output pixels [from, to) that mix the same three logits, from `index` on. */
interface Band {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

interface AxisWeights {
  /** First logit index that each output pixel mixes. */
  readonly first: Int32Array;
  /** Weights of that index and the two after it. */
  readonly weights: Float32Array;
  readonly bands: readonly Band[];
}

interface Axes {
  readonly side: number;
  readonly columns: AxisWeights;
  readonly rows: AxisWeights;
}

/** Every answer about an image is enlarged alike. */
const axesCache = new WeakMap<ModelFrame, Axes>();

function axesOf(frame: ModelFrame, side: number): Axes {
  const known = axesCache.get(frame);
  if (known?.side === side) return known;
  const { crop, imageSizePx, input } = frame;
  const axes = {
    side,
    columns: axisWeights(side, imageSizePx, input.widthPx, crop.widthPx),
    rows: axisWeights(side, imageSizePx, input.heightPx, crop.heightPx),
  };
  axesCache.set(frame, axes);
  return axes;
}

/** The two bilinear steps along one axis, as one sparse row of weights for every output pixel. */
function axisWeights(side: number, square: number, input: number, output: number): AxisWeights {
  const first = new Int32Array(output);
  const weights = new Float32Array(output * 3);
  for (let i = 0; i < output; i += 1) {
    const outer = linearTap(i, input, output);
    const lower = linearTap(outer.index, side, square);
    const upper = linearTap(outer.next, side, square);
    first[i] = lower.index;
    const add = (index: number, weight: number): void => {
      const slot = i * 3 + index - lower.index;
      weights[slot] = at(weights, slot) + weight;
    };
    add(lower.index, (1 - outer.share) * (1 - lower.share));
    add(lower.next, (1 - outer.share) * lower.share);
    add(upper.index, outer.share * (1 - upper.share));
    add(upper.next, outer.share * upper.share);
  }
  return { first, weights, bands: bandsOf(first) };
}

function bandsOf(first: Int32Array): readonly Band[] {
  const bands: Band[] = [];
  for (let from = 0; from < first.length;) {
    const index = at(first, from);
    let to = from + 1;
    while (to < first.length && first[to] === index) to += 1;
    bands.push({ index, from, to });
    from = to;
  }
  return bands;
}

/** Where output pixel i samples its source: half-pixel centres, clamped at the edges. */
function linearTap(
  i: number,
  from: number,
  to: number,
): { index: number; next: number; share: number } {
  const source = Math.max(0, ((i + 0.5) * from) / to - 0.5);
  const index = Math.min(Math.floor(source), from - 1);
  return { index, next: Math.min(index + 1, from - 1), share: Math.min(source - index, 1) };
}

function tap(axis: AxisWeights, i: number): [number, number, number] {
  return [at(axis.weights, i * 3), at(axis.weights, i * 3 + 1), at(axis.weights, i * 3 + 2)];
}

function at(values: Float32Array | Int32Array | Uint8Array, index: number): number {
  return values[index] ?? 0;
}
