/** The worker that owns the onnxruntime session, so that a slow decode never blocks the pointer. */

import * as ort from "onnxruntime-web/wasm";
import { modelFrame } from "../core/mask";
import { toSent } from "./candidates";
import type { SentCandidate } from "./candidates";
import { lowResSideOf, parseEmbedding } from "./embedding";
import type { FloatTensor } from "./embedding";
import { promptFeeds } from "./feeds";
import { Network } from "./network";
import type { Part } from "./network";
import type { Question, Reply, Request } from "./protocol";
import { decodePrompts } from "./session";
import type { LoadedImage } from "./session";

const WARM_UP_RUNS = 2;

let network: Network | null = null;
let isWarm = false;
let current: (LoadedImage & { readonly imageId: string }) | null = null;
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
      // Absolute, because onnxruntime resolves a bare path against its own script.
      ort.env.wasm.wasmPaths = new URL(question.ortUrl, self.location.origin).href;
      ort.env.wasm.numThreads = question.numThreads;
      network = await Network.open(new Uint8Array(question.decoder), openPart);
      current = null;
      return [];
    case "image": {
      const embedding = parseEmbedding(question.embedding);
      await opened().setPhoto(embedding);
      const frame = modelFrame(question.image, question.imageSizePx);
      current = { imageId: question.imageId, frame, lowResSidePx: lowResSideOf(embedding) };
      if (!isWarm) last = last.then(() => warmUp(current));
      isWarm = true;
      return [];
    }
    case "decode":
      if (current?.imageId !== question.imageId) throw new Error("The decoder holds another image.");
      return toSent(await decodePrompts(opened().run, current, question.request));
  }
}

function opened(): Network {
  if (network === null) throw new Error("The decoder is not open.");
  return network;
}

/** The first runs of a WebAssembly program are slow: they should not be somebody's clicks. */
async function warmUp(image: LoadedImage | null): Promise<void> {
  if (image === null) return;
  for (let i = 0; i < WARM_UP_RUNS; i += 1) {
    // A failure will be told to whoever asks for a mask.
    await opened().run({ ...promptFeeds([], null, image.frame, image.lowResSidePx) }).catch(() => undefined);
  }
}

async function openPart(model: Uint8Array): Promise<Part> {
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return {
    inputNames: session.inputNames,
    run: async (feeds) => {
      const tensors = Object.entries(feeds).map(([name, { data, dims }]) => [name, new ort.Tensor("float32", data, dims)]);
      const outputs = Object.entries(await session.run(Object.fromEntries(tensors) as Record<string, ort.Tensor>));
      return Object.fromEntries(outputs.map(([name, tensor]) => [name, floats(tensor, name)]));
    },
  };
}

function floats({ data, dims }: ort.Tensor, name: string): FloatTensor {
  if (!(data instanceof Float32Array)) throw new Error(`The decoder's ${name} are not 32-bit floats.`);
  return { data, dims };
}
