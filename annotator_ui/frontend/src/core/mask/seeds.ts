/** The decoder inputs that make one click change an existing mask: mask logits and context prompts. A
 * mask input alone hardly constrains the decoder; a point deep inside it and its box do. The same rules in
 * Python: masks/seeds.py; both are pinned by tests/golden/seeds.json. */

import { imagePoint } from "../geometry/geometry";
import type { ImageBox, ImagePoint } from "../geometry/geometry";
import { cropBox } from "./mask";
import type { ModelFrame } from "./mask";
import { partAt } from "./parts";
import type { PointLabel, Prompt } from "../editor/prompts";
import { boundsOf, forEachRun } from "./rle";
import type { Rle } from "./rle";
import { difference, rleFromStretches, union } from "./runs";

const SEED_LOGIT = 8;
/** A decoder may cut a hole out of any mask around a removing click, of less than a cell on each side;
 * with room for a pixel of the image. */
const PINHOLE_CELLS = 1.5;
/** A removing click is answered better in a box with a margin around the mask (share of its side). */
const NEGATIVE_CLICK_MARGIN = 0.1;

/** A mask on the decoder's grid: the share of each cell that it covers, row-major, 0 in the padding.
 * Only the part of the mask inside the encoded crop counts. */
export interface Coverage {
  readonly frame: ModelFrame;
  readonly side: number;
  readonly share: Float32Array;
  /** A cell in image pixels. */
  readonly cellWidthPx: number;
  readonly cellHeightPx: number;
}

export function coverageOf(rle: Rle, frame: ModelFrame, side: number): Coverage {
  const stridePx = frame.imageSizePx / side;
  const cellWidthPx = (stridePx * frame.crop.widthPx) / frame.input.widthPx;
  const cellHeightPx = (stridePx * frame.crop.heightPx) / frame.input.heightPx;
  const share = new Float32Array(side * side);
  const visible = cropBox(frame);
  const columnOf = (x: number): number => Math.min(side - 1, Math.floor(x / cellWidthPx));
  const addColumnRun = (x: number, y0: number, y1: number): void => {
    for (
      let column = columnOf(x);
      column <= columnOf(x + 1) && column * cellWidthPx < x + 1;
      column += 1
    ) {
      const across =
        (Math.min((column + 1) * cellWidthPx, x + 1) - Math.max(column * cellWidthPx, x)) /
        cellWidthPx;
      const last = Math.min(side - 1, Math.floor(y1 / cellHeightPx));
      for (let row = Math.floor(y0 / cellHeightPx); row <= last; row += 1) {
        const down = Math.min((row + 1) * cellHeightPx, y1) - Math.max(row * cellHeightPx, y0);
        const at = row * side + column;
        if (down > 0) share[at] = (share[at] ?? 0) + (across * down) / cellHeightPx;
      }
    }
  };
  forEachRun(rle, (start, length) => {
    for (let at = start; at < start + length;) {
      const x = Math.floor(at / rle.heightPx);
      const end = Math.min(start + length, (x + 1) * rle.heightPx);
      const y0 = Math.max(visible.y0, at - x * rle.heightPx);
      const y1 = Math.min(visible.y1, end - x * rle.heightPx);
      if (x >= visible.x0 && x < visible.x1 && y0 < y1)
        addColumnRun(x - visible.x0, y0 - visible.y0, y1 - visible.y0);
      at = end;
    }
  });
  return { frame, side, share, cellWidthPx, cellHeightPx };
}

export function seedLogits({ share }: Coverage): Float32Array {
  return share.map((covered) => (2 * covered - 1) * SEED_LOGIT);
}

/** The prompts added to a click on the mask: a point deep inside it but away from the click, and a box. */
export function contextOf(
  rle: Rle,
  coverage: Coverage,
  click: { readonly at: ImagePoint; readonly label: PointLabel },
): readonly Prompt[] {
  return [
    { kind: "point", at: deepPoint(coverage, click.at), label: 1 },
    { kind: "box", box: boxAround(rle, cropBox(coverage.frame), click) },
  ];
}

/** Change the mask only where the click is: the connected part of the answer's difference there.
 * Null when the answer does not differ from the mask at the click. */
export function localEdit(
  rle: Rle,
  answer: Rle,
  { at, label }: { readonly at: ImagePoint; readonly label: PointLabel },
): Rle | null {
  const changed = label === 1 ? difference(answer, rle) : difference(rle, answer);
  const part = partAt(changed, at.x, at.y);
  if (part === null) return null;
  return label === 1 ? union(rle, part) : difference(rle, part);
}

/** Whether a removing click took no more than a decoder takes around any such click, which does not
 * show whether the click was understood. */
export function isPinhole(
  rle: Rle,
  edited: Rle,
  { cellWidthPx, cellHeightPx }: Coverage,
  at: ImagePoint,
): boolean {
  const taken = boundsOf(difference(rle, edited));
  if (taken === null) return true;
  const [across, down] = [PINHOLE_CELLS * cellWidthPx, PINHOLE_CELLS * cellHeightPx];
  return (
    taken.x0 >= at.x - across &&
    taken.x1 <= at.x + across &&
    taken.y0 >= at.y - down &&
    taken.y1 <= at.y + down
  );
}

/** The decoder's answer in one crop, with the previous mask kept outside the crop. */
export function keepOutsideCrop(
  answer: Rle,
  before: Rle,
  { image, originXPx, originYPx, crop }: ModelFrame,
): Rle {
  if (crop.widthPx === image.widthPx && crop.heightPx === image.heightPx) return answer;
  const columns = Array.from({ length: crop.widthPx }, (_, x) => {
    const start = (originXPx + x) * image.heightPx + originYPx;
    return [start, start + crop.heightPx] as const;
  });
  return union(answer, difference(before, rleFromStretches(image, columns)));
}

function deepPoint(
  { frame, side, share, cellWidthPx, cellHeightPx }: Coverage,
  click: ImagePoint,
): ImagePoint {
  const visible = cropBox(frame);
  const depth = chessboardDepth(share, side);
  const isThin = depth.every((value) => value === 0);
  const clickColumn = Math.floor((click.x - visible.x0) / cellWidthPx);
  const clickRow = Math.floor((click.y - visible.y0) / cellHeightPx);
  let best = 0;
  let bestScore = -1;
  share.forEach((covered, at) => {
    const [row, column] = [Math.floor(at / side), at % side];
    const apart = Math.max(Math.abs(column - clickColumn), Math.abs(row - clickRow));
    const score = isThin ? covered : Math.min(depth[at] ?? 0, apart);
    if (score > bestScore) [best, bestScore] = [at, score];
  });
  return imagePoint(
    Math.min(visible.x0 + ((best % side) + 0.5) * cellWidthPx, visible.x1 - 0.5),
    Math.min(visible.y0 + (Math.floor(best / side) + 0.5) * cellHeightPx, visible.y1 - 0.5),
  );
}

/** Steps of a chess king from each covered cell to the nearest one that is not; 0 outside. */
function chessboardDepth(share: Float32Array, side: number): Int32Array {
  const depth = new Int32Array(side * side);
  const at = (row: number, column: number): number =>
    row < 0 || column < 0 || row >= side || column >= side ? 0 : (depth[row * side + column] ?? 0);
  const forward = [
    [-1, -1],
    [-1, 0],
    [-1, 1],
    [0, -1],
  ] as const;
  for (let i = 0; i < side * side; i += 1) {
    if ((share[i] ?? 0) < 0.5) continue;
    const [row, column] = [Math.floor(i / side), i % side];
    depth[i] = 1 + Math.min(...forward.map(([dy, dx]) => at(row + dy, column + dx)));
  }
  for (let i = side * side - 1; i >= 0; i -= 1) {
    if (depth[i] === 0) continue;
    const [row, column] = [Math.floor(i / side), i % side];
    depth[i] = Math.min(
      depth[i] ?? 0,
      1 + Math.min(...forward.map(([dy, dx]) => at(row - dy, column - dx))),
    );
  }
  return depth;
}

function boxAround(
  rle: Rle,
  visible: ImageBox,
  { at, label }: { readonly at: ImagePoint; readonly label: PointLabel },
): ImageBox {
  const bounds = boundsOf(rle) ?? { x0: at.x, y0: at.y, x1: at.x, y1: at.y };
  const [left, top] = [Math.min(bounds.x0, at.x), Math.min(bounds.y0, at.y)];
  const [right, bottom] = [Math.max(bounds.x1, at.x + 1), Math.max(bounds.y1, at.y + 1)];
  const marginPx = (label === 1 ? 0 : NEGATIVE_CLICK_MARGIN) * Math.max(right - left, bottom - top);
  return {
    x0: Math.max(visible.x0, left - marginPx),
    y0: Math.max(visible.y0, top - marginPx),
    x1: Math.min(visible.x1, right + marginPx),
    y1: Math.min(visible.y1, bottom + marginPx),
  };
}
