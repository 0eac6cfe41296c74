/** What a person shows the model: clicks and at most one box, and what was on screen before each. */

import type { ImageBox, ImagePoint } from "./geometry";
import type { Rle } from "./rle";

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
export interface UnderMask {
  readonly rle: Rle;
  readonly added: Rle | null;
  readonly erased: Rle | null;
}

/** An answer's logits (S/4 * S/4), to be refined in the frame they were made in and in no other. */
export interface LowResLogits {
  readonly data: Float32Array;
  /** The close-up that the model looked at; null: the whole photo. */
  readonly closeUp: string | null;
}

/** One prompt, with the logits of the mask that was shown when it was given: the model refines
 * that mask. Kept per step, so that removing or undoing a prompt decodes to the very same mask. */
export interface PromptStep {
  readonly prompt: Prompt;
  readonly feedback: LowResLogits | null;
  /** The existing mask that this prompt changes; null while a new mask is being made. */
  readonly under: UnderMask | null;
}

/** What the model is asked: all prompts of a new mask, or one prompt on an existing one. */
export interface DecodeRequest {
  readonly prompts: readonly Prompt[];
  readonly feedback: LowResLogits | null;
  readonly under: Rle | null;
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
  { feedback, under }: Pick<PromptStep, "feedback" | "under">,
): readonly PromptStep[] {
  if (under !== null) return [...steps, { prompt, feedback, under }];
  const kept = prompt.kind === "box" ? steps.filter((step) => step.prompt.kind !== "box") : steps;
  return [...kept, { prompt, feedback: kept.length === 0 ? null : feedback, under: null }];
}

/** The question these steps put to the model. A change of an existing mask is asked one prompt at a
 * time: what the earlier ones did is in its pixels already. */
export function requestOf(steps: readonly PromptStep[]): DecodeRequest {
  const last = steps.at(-1);
  const feedback = last?.feedback ?? null;
  if (last?.under != null) return { prompts: [last.prompt], feedback, under: last.under.rle };
  return { prompts: steps.map((step) => step.prompt), feedback, under: null };
}
