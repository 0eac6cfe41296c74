/** The prompts of a mask: clicks and at most one box, with the mask that was shown before each. */

import type { ImageBox, ImagePoint } from "../geometry/geometry";
import type { Rle } from "../mask/rle";

export type PointLabel = 0 | 1;

export interface PointPrompt {
  readonly kind: "point";
  readonly at: ImagePoint;
  readonly label: PointLabel;
}

export interface BoxPrompt {
  readonly kind: "box";
  readonly box: ImageBox;
}

export type Prompt = PointPrompt | BoxPrompt;

/** The mask that a prompt changes, with the hand edits that had gone into it. */
export interface BaseMask {
  readonly rle: Rle;
  readonly added: Rle | null;
  readonly erased: Rle | null;
}

/** An answer's logits (S/4 * S/4), to be refined in the frame they were made in and in no other. */
export interface LowResLogits {
  readonly data: Float32Array;
  /** Key of the encoded crop; null: the whole image. */
  readonly crop: string | null;
}

/** One prompt, with the logits of the mask that was shown when it was given: the model refines
 * that mask. Kept per step, so that removing or undoing a prompt decodes to the very same mask. */
export interface PromptStep {
  readonly prompt: Prompt;
  readonly feedback: LowResLogits | null;
  /** The existing mask that this prompt changes; null while a new mask is being made. */
  readonly baseMask: BaseMask | null;
}

/** What the model is asked: all prompts of a new mask, or one prompt on an existing one. */
export interface DecodeRequest {
  readonly prompts: readonly Prompt[];
  readonly feedback: LowResLogits | null;
  readonly baseMask: Rle | null;
}

/** One of the masks the model offers for the steps, best first. */
export interface Candidate {
  readonly rle: Rle;
  readonly predictedIou: number;
  /** Null when the server decoded, which keeps its logits to itself, or for an edit. */
  readonly lowResLogits: LowResLogits | null;
}

/** Add a prompt; a second box replaces the first, because a prompt set holds one. */
export function withPrompt(
  steps: readonly PromptStep[],
  prompt: Prompt,
  { feedback, baseMask }: Pick<PromptStep, "feedback" | "baseMask">,
): readonly PromptStep[] {
  if (baseMask !== null) return [...steps, { prompt, feedback, baseMask }];
  const kept = prompt.kind === "box" ? steps.filter((step) => step.prompt.kind !== "box") : steps;
  return [...kept, { prompt, feedback: kept.length === 0 ? null : feedback, baseMask: null }];
}

/** The decode request of these steps. A change of an existing mask is asked one prompt at a
 * time: what the earlier ones did is in its pixels already. */
export function requestOf(steps: readonly PromptStep[]): DecodeRequest {
  const last = steps.at(-1);
  const feedback = last?.feedback ?? null;
  if (last?.baseMask != null)
    return { prompts: [last.prompt], feedback, baseMask: last.baseMask.rle };
  return { prompts: steps.map((step) => step.prompt), feedback, baseMask: null };
}
