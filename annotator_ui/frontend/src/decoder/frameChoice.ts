/** Which of the decoder's looks at a photo answers a prompt: the close-up, or the whole photo. A mask is
 * finished where it was begun, because the logits that a later prompt refines are of that frame. */

import { hasRoomAt, keyOf, squareOf } from "../core/closeUps";
import type { CloseUp } from "../core/closeUps";
import type { ImageBox, Size } from "../core/geometry";
import { requestOf } from "../core/prompts";
import type { DecodeRequest, Prompt, PromptStep } from "../core/prompts";
import { boundsOf } from "../core/rle";

export interface InReach {
  readonly image: Size;
  /** What the decoder holds beside the whole photo. */
  readonly closeUp: CloseUp | null;
  /** Whether it shows about as much as the person sees. */
  readonly isAtItsLevel: boolean;
}

export class FrameChoice {
  /** Keys of close-ups; null: the whole photo. */
  readonly #askedIn = new WeakMap<PromptStep, string | null>();

  /** For a mask that is just begun. */
  first(request: DecodeRequest, { image, closeUp, isAtItsLevel }: InReach): string | null {
    if (closeUp === null || !isAtItsLevel) return null;
    const square = squareOf(closeUp, image);
    const hasRoom = request.prompts.every((prompt) => prompt.kind === "box" || hasRoomAt(square, image, prompt.at));
    return hasRoom && holds(square, request) ? keyOf(closeUp) : null;
  }

  /** For the last of these steps; asked again, the answer is the same while that close-up is held. */
  choose(steps: readonly PromptStep[], inReach: InReach): string | null {
    const last = steps.at(-1);
    const before = steps.at(-2);
    if (last === undefined) return null;
    const request = requestOf(steps);
    const bound = this.#askedIn.has(last) ? last : before;
    const chosen =
      bound === undefined ? this.first(request, inReach) : stay(this.#askedIn.get(bound) ?? null, request, inReach);
    this.note(steps, chosen);
    return chosen;
  }

  /** The last of these steps was answered here. */
  note(steps: readonly PromptStep[], closeUp: string | null): void {
    const last = steps.at(-1);
    if (last !== undefined) this.#askedIn.set(last, closeUp);
  }
}

function stay(known: string | null, request: DecodeRequest, { image, closeUp }: InReach): string | null {
  if (closeUp === null || keyOf(closeUp) !== known) return null;
  return holds(squareOf(closeUp, image), request) ? known : null;
}

function holds(square: ImageBox, { prompts, under }: DecodeRequest): boolean {
  const bounds = under === null ? null : boundsOf(under);
  return [...prompts.map(extentOf), ...(bounds === null ? [] : [bounds])].every(
    (box) => box.x0 >= square.x0 && box.y0 >= square.y0 && box.x1 <= square.x1 && box.y1 <= square.y1,
  );
}

function extentOf(prompt: Prompt): ImageBox {
  if (prompt.kind === "box") return prompt.box;
  const { x, y } = prompt.at;
  return { x0: x, y0: y, x1: x, y1: y };
}
