/** One decoder on one photo: prompts in, candidate masks in the photo's frame out. */

import type { ModelFrame } from "../core/mask";
import type { Candidate, DecodeRequest, PointPrompt, Prompt } from "../core/prompts";
import { hasPixel } from "../core/rle";
import type { Rle } from "../core/rle";
import { difference } from "../core/runs";
import { contextOf, coverageOf, localEdit, seedLogits } from "../core/seeds";
import { LogitsCandidate } from "./candidates";
import type { FloatTensor } from "./embedding";
import { promptFeeds } from "./feeds";
import { chooseMasks } from "./selection";

/** The network on this photo; the worker passes onnxruntime, tests pass arithmetic. */
export type Runner = (
  feeds: Readonly<Record<string, FloatTensor>>,
) => Promise<{ readonly lowResMasks: FloatTensor; readonly iouPredictions: FloatTensor }>;

export interface LoadedImage {
  readonly frame: ModelFrame;
  /** Side of the decoder's square of logits. */
  readonly lowResSidePx: number;
}

export async function decodePrompts(run: Runner, image: LoadedImage, request: DecodeRequest): Promise<readonly Candidate[]> {
  const { prompts, feedback, under } = request;
  const prompt = prompts.at(-1);
  if (under === null || prompt === undefined) return answer(run, image, prompts, feedback);
  const coverage = coverageOf(under, image.frame, image.lowResSidePx);
  const seed = feedback ?? seedLogits(coverage);
  if (prompt.kind === "box") return answer(run, image, prompts, seed);
  const [whole] = await answer(run, image, [prompt, ...contextOf(under, coverage, prompt)], seed);
  if (whole === undefined) return [];
  const edited = localEdit(under, whole.rle, prompt) ?? (await editByClickAlone(run, image, under, prompt));
  const local = edited === null ? [] : [{ rle: edited, predictedIou: whole.predictedIou, lowResLogits: null }];
  return [...local, whole];
}

/** The mask's context can talk the model out of a click; asked without it, the click is always heard. */
async function editByClickAlone(run: Runner, image: LoadedImage, under: Rle, prompt: PointPrompt): Promise<Rle | null> {
  if (prompt.label === 1 && hasPixel(under, prompt.at.x, prompt.at.y)) return null;
  const [best] = await answer(run, image, [{ ...prompt, label: 1 }], null);
  if (best === undefined) return null;
  return localEdit(under, prompt.label === 1 ? best.rle : difference(under, best.rle), prompt);
}

async function answer(
  run: Runner,
  { frame, lowResSidePx }: LoadedImage,
  prompts: readonly Prompt[],
  feedback: Float32Array | null,
): Promise<readonly Candidate[]> {
  const output = await run({ ...promptFeeds(prompts, feedback, frame, lowResSidePx) });
  const numBoxes = prompts.filter((prompt) => prompt.kind === "box").length;
  const numPrompts = prompts.length + numBoxes + (feedback === null ? 0 : 1); // a box counts as two
  const side = output.lowResMasks.dims.at(-1) ?? 0;
  return chooseMasks(output.iouPredictions.data, numPrompts).map((index) => {
    const lowResLogits = output.lowResMasks.data.slice(index * side * side, (index + 1) * side * side);
    return new LogitsCandidate(lowResLogits, output.iouPredictions.data[index] ?? 0, frame);
  });
}
