/** From a person's prompts to the decoder's inputs. Pinned to Python by tests/golden/feeds.json. */

import type { ModelFrame } from "../core/mask/mask";
import type { Prompt } from "../core/editor/prompts";
import type { FloatTensor } from "./embedding";

const LABEL = { padding: -1, background: 0, boxTopLeft: 2, boxBottomRight: 3 } as const;

export interface PromptFeeds {
  readonly point_coords: FloatTensor;
  readonly point_labels: FloatTensor;
  readonly mask_input: FloatTensor;
  readonly has_mask_input: FloatTensor;
}

/** Each axis by its own ratio: the sides of the resized image are rounded apart. */
export function toModel(xPx: number, yPx: number, frame: ModelFrame): readonly [number, number] {
  const { crop, input, originXPx, originYPx } = frame;
  return [
    (xPx - originXPx) * (input.widthPx / crop.widthPx),
    (yPx - originYPx) * (input.heightPx / crop.heightPx),
  ];
}

/** Where pixels are enlarged, a background click means the middle of its pixel: that is cut out of the
 * mask (sam/coordinates.py). */
function backgroundToModel(xPx: number, yPx: number, frame: ModelFrame): readonly [number, number] {
  const { crop, input, originXPx, originYPx } = frame;
  if (input.widthPx <= crop.widthPx && input.heightPx <= crop.heightPx)
    return toModel(xPx, yPx, frame);
  const middle = (at: number, origin: number, side: number): number =>
    Math.min(Math.floor(at), origin + side - 1) + 0.5;
  return toModel(
    middle(xPx, originXPx, crop.widthPx),
    middle(yPx, originYPx, crop.heightPx),
    frame,
  );
}

/** Points in their order, then the box's corners; the padding point only when there is no box. */
export function promptFeeds(
  prompts: readonly Prompt[],
  feedback: Float32Array | null,
  frame: ModelFrame,
  lowResSidePx: number,
): PromptFeeds {
  const coords: number[] = [];
  const labels: number[] = [];
  const add = (xPx: number, yPx: number, label: number): void => {
    coords.push(...(label === LABEL.background ? backgroundToModel : toModel)(xPx, yPx, frame));
    labels.push(label);
  };
  for (const prompt of prompts) {
    if (prompt.kind === "point") add(prompt.at.x, prompt.at.y, prompt.label);
  }
  const box = prompts.find((prompt) => prompt.kind === "box")?.box;
  if (box === undefined) {
    coords.push(0, 0);
    labels.push(LABEL.padding);
  } else {
    add(box.x0, box.y0, LABEL.boxTopLeft);
    add(box.x1, box.y1, LABEL.boxBottomRight);
  }
  return {
    point_coords: { data: Float32Array.from(coords), dims: [1, labels.length, 2] },
    point_labels: { data: Float32Array.from(labels), dims: [1, labels.length] },
    mask_input: {
      data: feedback ?? new Float32Array(lowResSidePx * lowResSidePx),
      dims: [1, 1, lowResSidePx, lowResSidePx],
    },
    has_mask_input: { data: Float32Array.of(feedback === null ? 0 : 1), dims: [1] },
  };
}
