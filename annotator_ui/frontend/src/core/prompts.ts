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

/** One prompt, with the logits of the mask that was shown when it was given: the model refines
 * that mask. Kept per step, so that removing or undoing a prompt decodes to the very same mask. */
export interface PromptStep {
  readonly prompt: Prompt;
  readonly feedback: Float32Array | null;
}

/** One of the masks the model offers for the steps, best first. */
export interface Candidate {
  readonly rle: Rle;
  readonly predictedIou: number;
  /** (S/4 * S/4); null when the server decoded, which keeps its logits to itself. */
  readonly lowResLogits: Float32Array | null;
}

/** Add a prompt; a second box replaces the first, because a prompt set holds one. */
export function withPrompt(
  steps: readonly PromptStep[],
  prompt: Prompt,
  feedback: Float32Array | null,
): readonly PromptStep[] {
  const kept = prompt.kind === "box" ? steps.filter((step) => step.prompt.kind !== "box") : steps;
  return [...kept, { prompt, feedback: kept.length === 0 ? null : feedback }];
}
