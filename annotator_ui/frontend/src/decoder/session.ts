/** One decoder on one photo: prompts in, candidate masks in the photo's frame out. */

import { logitsToBitmap } from "../core/mask";
import type { ModelFrame } from "../core/mask";
import type { Candidate, Prompt } from "../core/prompts";
import { encodeRle } from "../core/rle";
import type { Embedding, FloatTensor } from "./embedding";
import { promptFeeds } from "./feeds";
import { chooseMasks } from "./selection";

/** The network itself; the worker passes onnxruntime, tests pass arithmetic. */
export type Runner = (
  feeds: Readonly<Record<string, FloatTensor>>,
) => Promise<{ readonly lowResMasks: FloatTensor; readonly iouPredictions: FloatTensor }>;

export interface DecodeQuestion {
  readonly embedding: Embedding;
  readonly frame: ModelFrame;
  readonly prompts: readonly Prompt[];
  readonly feedback: Float32Array | null;
}

export async function decodePrompts(run: Runner, question: DecodeQuestion): Promise<readonly Candidate[]> {
  const { embedding, frame, prompts, feedback } = question;
  const lowResSidePx = (embedding.imageEmbeddings.dims.at(-1) ?? 0) * LOW_RES_PER_EMBEDDING_CELL;
  const output = await run({
    image_embeddings: embedding.imageEmbeddings,
    ...(embedding.highResFeatures === null ? {} : { high_res_features: embedding.highResFeatures }),
    ...promptFeeds(prompts, feedback, frame, lowResSidePx),
  });
  const numPrompts = prompts.length + (feedback === null ? 0 : 1);
  const side = output.lowResMasks.dims.at(-1) ?? 0;
  return chooseMasks(output.iouPredictions.data, numPrompts).map((index) => {
    const lowResLogits = output.lowResMasks.data.slice(index * side * side, (index + 1) * side * side);
    return {
      rle: encodeRle(logitsToBitmap(lowResLogits, side, frame)),
      predictedIou: output.iouPredictions.data[index] ?? 0,
      lowResLogits,
    };
  });
}

/** Strides 16 and 4 of the contract (docs/architecture.md, sam/config.py). */
const LOW_RES_PER_EMBEDDING_CELL = 4;
