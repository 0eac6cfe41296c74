/** Candidates on their way from the worker to the page. Only the first is enlarged to the image before
 * it is shown; the others wait until somebody asks for them. */

import { logitsToRle } from "../core/mask/mask";
import type { ModelFrame } from "../core/mask/mask";
import type { Candidate, LowResLogits } from "../core/editor/prompts";
import type { Rle } from "../core/mask/rle";

/** What is posted: a mask, or what it can be made from. */
export type SentCandidate =
  | {
      readonly kind: "mask";
      readonly rle: Rle;
      readonly predictedIou: number;
      readonly lowResLogits: LowResLogits | null;
    }
  | {
      readonly kind: "logits";
      readonly frame: ModelFrame;
      readonly predictedIou: number;
      readonly lowResLogits: LowResLogits;
    };

/** Enlarges its logits when its mask is first asked for. */
export class LogitsCandidate implements Candidate {
  readonly lowResLogits: LowResLogits;
  readonly predictedIou: number;
  readonly frame: ModelFrame;
  #rle: Rle | null = null;

  constructor(lowResLogits: LowResLogits, predictedIou: number, frame: ModelFrame) {
    this.lowResLogits = lowResLogits;
    this.predictedIou = predictedIou;
    this.frame = frame;
  }

  get rle(): Rle {
    const { data } = this.lowResLogits;
    this.#rle ??= logitsToRle(data, Math.sqrt(data.length), this.frame);
    return this.#rle;
  }
}

export function toSent(candidates: readonly Candidate[]): readonly SentCandidate[] {
  return candidates.map((one, index) => {
    const { predictedIou } = one;
    if (index > 0 && one instanceof LogitsCandidate) {
      return { kind: "logits", frame: one.frame, predictedIou, lowResLogits: one.lowResLogits };
    }
    return { kind: "mask", rle: one.rle, predictedIou, lowResLogits: one.lowResLogits };
  });
}

export function fromSent(sent: readonly SentCandidate[]): readonly Candidate[] {
  return sent.map((one) =>
    one.kind === "mask" ? one : new LogitsCandidate(one.lowResLogits, one.predictedIou, one.frame),
  );
}
