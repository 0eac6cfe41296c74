/** Which encoded frame answers a prompt: the crop, or the whole image. A mask is
 * finished in the frame where it was begun, because the logits that a later prompt refines are of that frame. */

import { hasMarginAt, cropKey, boxOfCrop } from "../core/geometry/crops";
import type { Crop } from "../core/geometry/crops";
import type { ImageBox, Size } from "../core/geometry/geometry";
import { requestOf } from "../core/editor/prompts";
import type { DecodeRequest, Prompt, PromptStep } from "../core/editor/prompts";
import { boundsOf } from "../core/mask/rle";

export interface AvailableFrames {
  readonly image: Size;
  /** The crop that the decoder holds beside the whole image. */
  readonly crop: Crop | null;
  /** Whether the crop's level matches the view. */
  readonly isAtViewLevel: boolean;
}

export class FrameChoice {
  /** Keys of crops; null: the whole image. */
  readonly #askedIn = new WeakMap<PromptStep, string | null>();

  /** For a mask that is just begun. */
  first(request: DecodeRequest, { image, crop, isAtViewLevel }: AvailableFrames): string | null {
    if (crop === null || !isAtViewLevel) return null;
    const box = boxOfCrop(crop, image);
    const hasMargin = request.prompts.every(
      (prompt) => prompt.kind === "box" || hasMarginAt(box, image, prompt.at),
    );
    return hasMargin && holds(box, request) ? cropKey(crop) : null;
  }

  /** For the last of these steps; asked again, the answer is the same while that crop is held. */
  choose(steps: readonly PromptStep[], availableFrames: AvailableFrames): string | null {
    const last = steps.at(-1);
    const before = steps.at(-2);
    if (last === undefined) return null;
    const request = requestOf(steps);
    const bound = this.#askedIn.has(last) ? last : before;
    const chosen =
      bound === undefined
        ? this.first(request, availableFrames)
        : keepFrame(this.#askedIn.get(bound) ?? null, request, availableFrames);
    this.note(steps, chosen);
    return chosen;
  }

  /** The last of these steps was answered here. */
  note(steps: readonly PromptStep[], crop: string | null): void {
    const last = steps.at(-1);
    if (last !== undefined) this.#askedIn.set(last, crop);
  }
}

function keepFrame(
  known: string | null,
  request: DecodeRequest,
  { image, crop }: AvailableFrames,
): string | null {
  if (crop === null || cropKey(crop) !== known) return null;
  return holds(boxOfCrop(crop, image), request) ? known : null;
}

function holds(box: ImageBox, { prompts, baseMask }: DecodeRequest): boolean {
  const bounds = baseMask === null ? null : boundsOf(baseMask);
  return [...prompts.map(extentOf), ...(bounds === null ? [] : [bounds])].every(
    (extent) =>
      extent.x0 >= box.x0 && extent.y0 >= box.y0 && extent.x1 <= box.x1 && extent.y1 <= box.y1,
  );
}

function extentOf(prompt: Prompt): ImageBox {
  if (prompt.kind === "box") return prompt.box;
  const { x, y } = prompt.at;
  return { x0: x, y0: y, x1: x, y1: y };
}
