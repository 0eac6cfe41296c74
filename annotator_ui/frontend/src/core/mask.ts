/** From the decoder's logits to a mask in the photo's frame. */

import type { Size } from "./geometry";
import type { Rle } from "./rle";
import { rleFromStretches } from "./runs";
import type { Stretch } from "./runs";

/** How a photo sits in the model's padded square. */
export interface ModelFrame {
  readonly image: Size;
  /** Side of the padded square the model sees. */
  readonly imageSizePx: number;
  /** The photo after resizing, before padding. */
  readonly input: Size;
}

/** The resize rule of the reference: scale the long side, round half up. */
export function modelFrame(image: Size, imageSizePx: number): ModelFrame {
  const scale = imageSizePx / Math.max(image.widthPx, image.heightPx);
  const input = {
    widthPx: Math.max(1, Math.floor(image.widthPx * scale + 0.5)),
    heightPx: Math.max(1, Math.floor(image.heightPx * scale + 0.5)),
  };
  return { image, imageSizePx, input };
}

/**
 * Upscale low-resolution logits to the photo and keep what is above zero.
 *
 * logits: (side, side) row-major, frame of the padded square. As in the reference the square is
 * enlarged to the model's size, its padding cut off, and the rest resized to the photo, bilinear
 * both times. Both steps are separable, so each output pixel mixes at most three logit columns,
 * stretched along the photo's height beforehand. Goes down the columns, as the runs do.
 */
export function logitsToRle(logits: Float32Array, side: number, frame: ModelFrame): Rle {
  const { image } = frame;
  const positive = positiveBounds(logits, side);
  if (positive === null) return rleFromStretches(image, []);
  const columns = axisWeights(side, frame.imageSizePx, frame.input.widthPx, image.widthPx);
  const rows = axisWeights(side, frame.imageSizePx, frame.input.heightPx, image.heightPx);
  const [left, right] = reach(columns, positive.x0, positive.x1);
  const [top, bottom] = reach(rows, positive.y0, positive.y1);
  const height = bottom - top;
  const tall = stretched(logits, side, rows, top, bottom);
  const stretches: Stretch[] = [];
  for (let x = left; x < right; x += 1) {
    const [a, b, c] = tap(columns, x);
    const base = Math.min(at(columns.first, x), side - 1);
    const [i0, i1, i2] = [base, Math.min(base + 1, side - 1), Math.min(base + 2, side - 1)].map((i) => i * height) as [number, number, number];
    const start = x * image.heightPx + top;
    let since = -1;
    for (let y = 0; y < height; y += 1) {
      const isIn = a * at(tall, i0 + y) + b * at(tall, i1 + y) + c * at(tall, i2 + y) > 0;
      if (isIn === since >= 0) continue;
      if (isIn) {
        since = y;
      } else {
        stretches.push([start + since, start + y]);
        since = -1;
      }
    }
    if (since >= 0) stretches.push([start + since, start + height]);
  }
  return rleFromStretches(image, stretches);
}

interface AxisWeights {
  /** First logit index that each output pixel mixes. */
  readonly first: Int32Array;
  /** Weights of that index and the two after it. */
  readonly weights: Float32Array;
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
  return { first, weights };
}

/** Where output pixel i samples its source: half-pixel centres, clamped at the edges. */
function linearTap(i: number, from: number, to: number): { index: number; next: number; share: number } {
  const source = Math.max(0, ((i + 0.5) * from) / to - 0.5);
  const index = Math.min(Math.floor(source), from - 1);
  return { index, next: Math.min(index + 1, from - 1), share: Math.min(source - index, 1) };
}

/** Each logit column over the photo's rows [top, bottom), one after the other. */
function stretched(logits: Float32Array, side: number, rows: AxisWeights, top: number, bottom: number): Float32Array {
  const height = bottom - top;
  const tall = new Float32Array(side * height);
  for (let y = top; y < bottom; y += 1) {
    const [a, b, c] = tap(rows, y);
    const base = Math.min(at(rows.first, y), side - 1);
    const [i0, i1, i2] = [base * side, Math.min(base + 1, side - 1) * side, Math.min(base + 2, side - 1) * side];
    for (let column = 0; column < side; column += 1) {
      tall[column * height + y - top] =
        a * at(logits, i0 + column) + b * at(logits, i1 + column) + c * at(logits, i2 + column);
    }
  }
  return tall;
}

/** The logits above zero lie in these rows and columns; nothing outside their reach can be set. */
function positiveBounds(logits: Float32Array, side: number): { x0: number; y0: number; x1: number; y1: number } | null {
  let [x0, y0, x1, y1] = [side, side, -1, -1];
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      if (at(logits, y * side + x) <= 0) continue;
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x);
      y0 = Math.min(y0, y);
      y1 = Math.max(y1, y);
    }
  }
  return x1 < 0 ? null : { x0, y0, x1, y1 };
}

/** Output pixels [from, to) that mix any logit index in [low, high]. */
function reach(axis: AxisWeights, low: number, high: number): [number, number] {
  let from = axis.first.length;
  let to = 0;
  axis.first.forEach((first, i) => {
    if (first > high || first + 2 < low) return;
    from = Math.min(from, i);
    to = i + 1;
  });
  return [from, to];
}

function tap(axis: AxisWeights, i: number): [number, number, number] {
  return [at(axis.weights, i * 3), at(axis.weights, i * 3 + 1), at(axis.weights, i * 3 + 2)];
}

function at(values: Float32Array | Int32Array, index: number): number {
  return values[index] ?? 0;
}
