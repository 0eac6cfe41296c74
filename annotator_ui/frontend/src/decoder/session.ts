/** One decoder on one photo: prompts in, candidate masks in the photo's frame out. */

import type { ModelFrame } from "../core/mask";
import type { Candidate, DecodeRequest, PointPrompt, Prompt } from "../core/prompts";
import { hasPixel } from "../core/rle";
import type { Rle } from "../core/rle";
import { difference, isEmptyRle } from "../core/runs";
import { contextOf, coverageOf, isPinhole, localEdit, seedLogits, withUnseen } from "../core/seeds";
import { LogitsCandidate } from "./candidates";
import type { FloatTensor } from "./embedding";
import { promptFeeds } from "./feeds";
import { chooseMasks } from "./selection";

/** The network on one embedding; the worker passes onnxruntime, tests pass arithmetic. */
export type Runner = (
  feeds: Readonly<Record<string, FloatTensor>>,
) => Promise<{ readonly lowResMasks: FloatTensor; readonly iouPredictions: FloatTensor }>;

/** A photo, or a close-up of it, as the decoder looks at it. */
export interface LoadedImage {
  readonly run: Runner;
  /** Null: the whole photo. */
  readonly closeUp: string | null;
  readonly frame: ModelFrame;
  /** Side of the decoder's square of logits. */
  readonly lowResSidePx: number;
}

export interface LoadedPhoto {
  readonly imageId: string;
  readonly whole: LoadedImage;
  /** The one set last. */
  readonly closeUp: LoadedImage | null;
}

/** Asked about a close-up that another one has replaced meanwhile, the whole photo answers. */
export function decodeOn({ whole, closeUp }: LoadedPhoto, wanted: string | null, request: DecodeRequest): Promise<readonly Candidate[]> {
  return decodePrompts(wanted !== null && closeUp?.closeUp === wanted ? closeUp : whole, request);
}

export async function decodePrompts(image: LoadedImage, request: DecodeRequest): Promise<readonly Candidate[]> {
  const { prompts, under } = request;
  const feedback = request.feedback?.closeUp === image.closeUp ? request.feedback.data : null;
  const prompt = prompts.at(-1);
  if (under === null || prompt === undefined) return answer(image, prompts, feedback);
  const coverage = coverageOf(under, image.frame, image.lowResSidePx);
  const seed = feedback ?? seedLogits(coverage);
  if (prompt.kind === "box") return answer(image, prompts, seed);
  const [whole] = await answer(image, [prompt, ...contextOf(under, coverage, prompt)], seed);
  if (whole === undefined) return [];
  const said = localEdit(under, withUnseen(whole.rle, under, image.frame), prompt);
  const isHeard = said !== null && (prompt.label === 1 || !isPinhole(under, said, coverage, prompt.at));
  const edited = isHeard ? said : ((await editByClickAlone(image, under, prompt)) ?? said);
  const local = edited === null ? [] : [{ rle: edited, predictedIou: whole.predictedIou, lowResLogits: null }];
  return [...local, whole];
}

/** The mask's context can talk the model out of a click; asked without it, the click is always heard. */
async function editByClickAlone(image: LoadedImage, under: Rle, prompt: PointPrompt): Promise<Rle | null> {
  if (prompt.label === 1 && hasPixel(under, prompt.at.x, prompt.at.y)) return null;
  const [best] = await answer(image, [{ ...prompt, label: 1 }], null);
  if (best === undefined) return null;
  return localEdit(under, prompt.label === 1 ? best.rle : difference(under, best.rle), prompt);
}

async function answer(
  { run, closeUp, frame, lowResSidePx }: LoadedImage,
  prompts: readonly Prompt[],
  feedback: Float32Array | null,
): Promise<readonly Candidate[]> {
  const output = await run({ ...promptFeeds(prompts, feedback, frame, lowResSidePx) });
  const numBoxes = prompts.filter((prompt) => prompt.kind === "box").length;
  const numPrompts = prompts.length + numBoxes + (feedback === null ? 0 : 2); // boxes and masks count as two
  const side = output.lowResMasks.dims.at(-1) ?? 0;
  const all = [0, 1, 2, 3].map((index) => {
    const data = output.lowResMasks.data.slice(index * side * side, (index + 1) * side * side);
    return new LogitsCandidate({ data, closeUp }, output.iouPredictions.data[index] ?? 0, frame);
  });
  const background = prompts.flatMap((prompt) => (prompt.kind === "point" && prompt.label === 0 ? [prompt.at] : []));
  const isCrossed = (index: number): boolean => background.some(({ x, y }) => all[index] !== undefined && hasPixel(all[index].rle, x, y));
  const chosen = chooseMasks(output.iouPredictions.data, numPrompts, isCrossed).flatMap((index) => all[index] ?? []);
  return background.length === prompts.length && feedback === null ? chosen.map(withoutNothing) : chosen;
}

/** A model may answer background clicks alone with nothing: the next click is not to refine that. */
function withoutNothing(candidate: Candidate): Candidate {
  const { rle, predictedIou } = candidate;
  return isEmptyRle(rle) ? { rle, predictedIou, lowResLogits: null } : candidate;
}
