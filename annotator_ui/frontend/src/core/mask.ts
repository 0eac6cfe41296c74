/** Bitmaps in the photo's frame: made from decoder logits, painted on with a round brush. */

import type { ImagePoint, Size } from "./geometry";

/** Row-major, one byte a pixel, 0 or 1. */
export interface Bitmap extends Size {
  readonly data: Uint8Array;
}

export function bitmap(size: Size): Bitmap {
  return { widthPx: size.widthPx, heightPx: size.heightPx, data: new Uint8Array(size.widthPx * size.heightPx) };
}

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
 * both times. Both steps are separable, so each output row mixes at most three logit rows.
 */
export function logitsToBitmap(logits: Float32Array, side: number, frame: ModelFrame): Bitmap {
  const mask = bitmap(frame.image);
  const positive = positiveBounds(logits, side);
  if (positive === null) return mask;
  const columns = axisWeights(side, frame.imageSizePx, frame.input.widthPx, frame.image.widthPx);
  const rows = axisWeights(side, frame.imageSizePx, frame.input.heightPx, frame.image.heightPx);
  const [left, right] = reach(columns, positive.x0, positive.x1);
  const [top, bottom] = reach(rows, positive.y0, positive.y1);
  const { widthPx } = frame.image;
  const wide = widen(logits, side, columns, widthPx);
  for (let y = top; y < bottom; y += 1) {
    const [a, b, c] = tap(rows, y);
    const base = Math.min(at(rows.first, y), side - 1);
    const [i0, i1, i2] = [base, Math.min(base + 1, side - 1), Math.min(base + 2, side - 1)];
    for (let x = left; x < right; x += 1) {
      const value =
        a * at(wide, i0 * widthPx + x) + b * at(wide, i1 * widthPx + x) + c * at(wide, i2 * widthPx + x);
      if (value > 0) mask.data[y * widthPx + x] = 1;
    }
  }
  return mask;
}

/** Set the pixels within a round brush dragged along a path; `diameterPx` in image pixels. */
export function strokeBitmap(size: Size, path: readonly ImagePoint[], diameterPx: number): Bitmap {
  const mask = bitmap(size);
  const radius = Math.max(0.5, diameterPx / 2);
  path.forEach((point, index) => paintCapsule(mask, path[index - 1] ?? point, point, radius));
  return mask;
}

/** (base | added) & ~erased, pixel by pixel. */
export function combine(base: Bitmap, added: Bitmap | null, erased: Bitmap | null): Bitmap {
  const out = bitmap(base);
  for (let i = 0; i < out.data.length; i += 1) {
    const isOn = base.data[i] === 1 || added?.data[i] === 1;
    out.data[i] = isOn && erased?.data[i] !== 1 ? 1 : 0;
  }
  return out;
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

function widen(logits: Float32Array, side: number, columns: AxisWeights, widthPx: number): Float32Array {
  const wide = new Float32Array(side * widthPx);
  for (let x = 0; x < widthPx; x += 1) {
    const [a, b, c] = tap(columns, x);
    const base = at(columns.first, x);
    const next = Math.min(base + 1, side - 1);
    const last = Math.min(base + 2, side - 1);
    for (let row = 0; row < side; row += 1) {
      const start = row * side;
      wide[row * widthPx + x] =
        a * at(logits, start + base) + b * at(logits, start + next) + c * at(logits, start + last);
    }
  }
  return wide;
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

/** Pixels whose centre is within `radius` of the segment a-b. */
function paintCapsule(mask: Bitmap, a: ImagePoint, b: ImagePoint, radius: number): void {
  const { widthPx, heightPx, data } = mask;
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const lengthSquared = dx * dx + dy * dy;
  const x0 = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius));
  const x1 = Math.min(widthPx - 1, Math.ceil(Math.max(a.x, b.x) + radius));
  const y0 = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius));
  const y1 = Math.min(heightPx - 1, Math.ceil(Math.max(a.y, b.y) + radius));
  for (let y = y0; y <= y1; y += 1) {
    for (let x = x0; x <= x1; x += 1) {
      const [px, py] = [x + 0.5 - a.x, y + 0.5 - a.y];
      const share = lengthSquared === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / lengthSquared));
      const [ex, ey] = [px - share * dx, py - share * dy];
      if (ex * ex + ey * ey <= radius * radius) data[y * widthPx + x] = 1;
    }
  }
}

function at(values: Float32Array | Int32Array, index: number): number {
  return values[index] ?? 0;
}
