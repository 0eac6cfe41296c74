/** One decoder on one image: prompts in, candidate masks in the image's frame out. */

import type { ModelFrame } from "../core/mask/mask";
import type { Candidate, DecodeRequest, PointPrompt, Prompt } from "../core/editor/prompts";
import { hasPixel } from "../core/mask/rle";
import type { Rle } from "../core/mask/rle";
import { difference, isEmptyRle } from "../core/mask/runs";
import {
  contextOf,
  coverageOf,
  isPinhole,
  localEdit,
  seedLogits,
  keepOutsideCrop,
} from "../core/mask/seeds";
import { LogitsCandidate } from "./candidates";
import type { FloatTensor } from "./embedding";
import { promptFeeds } from "./feeds";
import { chooseMasks } from "./selection";

/** The network on one embedding; the worker passes onnxruntime, tests pass arithmetic. */
export type Runner = (
  feeds: Readonly<Record<string, FloatTensor>>,
) => Promise<{ readonly lowResMasks: FloatTensor; readonly iouPredictions: FloatTensor }>;

/** An encoded image, or an encoded crop of it, ready for prompts. */
export interface LoadedFrame {
  readonly run: Runner;
  /** Null: the whole image. */
  readonly crop: string | null;
  readonly frame: ModelFrame;
  /** Side of the decoder's square of logits. */
  readonly lowResSidePx: number;
}

export interface LoadedImage {
  readonly imageId: string;
  readonly whole: LoadedFrame;
  /** The one set last. */
  readonly crop: LoadedFrame | null;
}

/** Asked about a crop that another one has replaced meanwhile, the whole image answers. */
export function decodeOn(
  { whole, crop }: LoadedImage,
  wanted: string | null,
  request: DecodeRequest,
): Promise<readonly Candidate[]> {
  return decodePrompts(wanted !== null && crop?.crop === wanted ? crop : whole, request);
}

export async function decodePrompts(
  image: LoadedFrame,
  request: DecodeRequest,
): Promise<readonly Candidate[]> {
  const { prompts, baseMask } = request;
  const feedback = request.feedback?.crop === image.crop ? request.feedback.data : null;
  const prompt = prompts.at(-1);
  if (baseMask === null || prompt === undefined) return answer(image, prompts, feedback);
  const coverage = coverageOf(baseMask, image.frame, image.lowResSidePx);
  const seed = feedback ?? seedLogits(coverage);
  if (prompt.kind === "box") return answer(image, prompts, seed);
  const [whole] = await answer(image, [prompt, ...contextOf(baseMask, coverage, prompt)], seed);
  if (whole === undefined) return [];
  const said = localEdit(baseMask, keepOutsideCrop(whole.rle, baseMask, image.frame), prompt);
  const isHeard =
    said !== null && (prompt.label === 1 || !isPinhole(baseMask, said, coverage, prompt.at));
  const edited = isHeard ? said : ((await editByClickAlone(image, baseMask, prompt)) ?? said);
  const local =
    edited === null ? [] : [{ rle: edited, predictedIou: whole.predictedIou, lowResLogits: null }];
  return [...local, whole];
}

/** The mask's context can talk the model out of a click; asked without it, the click is always heard. */
async function editByClickAlone(
  image: LoadedFrame,
  baseMask: Rle,
  prompt: PointPrompt,
): Promise<Rle | null> {
  if (prompt.label === 1 && hasPixel(baseMask, prompt.at.x, prompt.at.y)) return null;
  const [best] = await answer(image, [{ ...prompt, label: 1 }], null);
  if (best === undefined) return null;
  return localEdit(
    baseMask,
    prompt.label === 1 ? best.rle : difference(baseMask, best.rle),
    prompt,
  );
}

async function answer(
  { run, crop, frame, lowResSidePx }: LoadedFrame,
  prompts: readonly Prompt[],
  feedback: Float32Array | null,
): Promise<readonly Candidate[]> {
  const output = await run({ ...promptFeeds(prompts, feedback, frame, lowResSidePx) });
  const numBoxes = prompts.filter((prompt) => prompt.kind === "box").length;
  const numPrompts = prompts.length + numBoxes + (feedback === null ? 0 : 2); // boxes and masks count as two
  const side = output.lowResMasks.dims.at(-1) ?? 0;
  const all = [0, 1, 2, 3].map((index) => {
    const data = output.lowResMasks.data.slice(index * side * side, (index + 1) * side * side);
    return new LogitsCandidate({ data, crop }, output.iouPredictions.data[index] ?? 0, frame);
  });
  const background = prompts.flatMap((prompt) =>
    prompt.kind === "point" && prompt.label === 0 ? [prompt.at] : [],
  );
  const isCrossed = (index: number): boolean =>
    background.some(({ x, y }) => all[index] !== undefined && hasPixel(all[index].rle, x, y));
  const chosen = chooseMasks(output.iouPredictions.data, numPrompts, isCrossed).flatMap(
    (index) => all[index] ?? [],
  );
  return background.length === prompts.length && feedback === null
    ? chosen.map(withoutNothing)
    : chosen;
}

/** A model may answer background clicks alone with nothing: the next click is not to refine that. */
function withoutNothing(candidate: Candidate): Candidate {
  const { rle, predictedIou } = candidate;
  return isEmptyRle(rle) ? { rle, predictedIou, lowResLogits: null } : candidate;
}
