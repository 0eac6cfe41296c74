/** The worker that owns the onnxruntime session, so that a slow decode never blocks the pointer. */

import * as ort from "onnxruntime-web/wasm";
import { modelFrame } from "../core/mask";
import type { ModelFrame } from "../core/mask";
import { toSent } from "./candidates";
import type { SentCandidate } from "./candidates";
import { parseEmbedding } from "./embedding";
import type { Embedding, FloatTensor } from "./embedding";
import type { Question, Reply, Request } from "./protocol";
import { decodePrompts } from "./session";
import type { Runner } from "./session";

let run: Runner | null = null;
let current: { imageId: string; embedding: Embedding; frame: ModelFrame } | null = null;
/** onnxruntime runs one question at a time; later ones wait their turn. */
let last: Promise<void> = Promise.resolve();

self.addEventListener("message", (event: MessageEvent<Request>) => {
  last = last.then(() => reply(event.data));
});

async function reply(request: Request): Promise<void> {
  const startedMs = performance.now();
  let answer: Reply;
  try {
    const candidates = await handle(request);
    answer = { id: request.id, ok: true, candidates, tookMs: performance.now() - startedMs };
  } catch (error) {
    answer = { id: request.id, ok: false, message: error instanceof Error ? error.message : String(error) };
  }
  self.postMessage(answer);
}

async function handle(question: Question): Promise<readonly SentCandidate[]> {
  switch (question.type) {
    case "open":
      run = await openSession(question.decoder, question.ortUrl, question.numThreads);
      current = null;
      return [];
    case "image":
      current = {
        imageId: question.imageId,
        embedding: parseEmbedding(question.embedding),
        frame: modelFrame(question.image, question.imageSizePx),
      };
      return [];
    case "decode": {
      if (run === null) throw new Error("The decoder is not open.");
      if (current?.imageId !== question.imageId) throw new Error("The decoder holds another image.");
      return toSent(await decodePrompts(run, current, question.request));
    }
  }
}

async function openSession(decoder: ArrayBuffer, ortUrl: string, numThreads: number): Promise<Runner> {
  // Absolute, because onnxruntime resolves a bare path against its own script.
  ort.env.wasm.wasmPaths = new URL(ortUrl, self.location.origin).href;
  ort.env.wasm.numThreads = numThreads;
  const session = await ort.InferenceSession.create(decoder, { executionProviders: ["wasm"] });
  const wanted = new Set(session.inputNames);
  return async (feeds) => {
    const tensors = Object.entries(feeds).filter(([name]) => wanted.has(name));
    const output = await session.run(
      Object.fromEntries(tensors.map(([name, { data, dims }]) => [name, new ort.Tensor("float32", data, dims)])),
    );
    return {
      lowResMasks: floats(output["low_res_masks"], "low_res_masks"),
      iouPredictions: floats(output["iou_predictions"], "iou_predictions"),
    };
  };
}

function floats(tensor: ort.Tensor | undefined, name: string): FloatTensor {
  if (!(tensor?.data instanceof Float32Array)) throw new Error(`The decoder gave no ${name}.`);
  return { data: tensor.data, dims: tensor.dims };
}
