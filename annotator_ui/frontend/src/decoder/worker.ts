/** The worker that owns the onnxruntime session, so that a slow decode never blocks the pointer. */

import * as ort from "onnxruntime-web/wasm";
import { modelFrame } from "../core/mask/mask";
import { isRivalBetter } from "./backends";
import { toSent } from "./candidates";
import type { SentCandidate } from "./candidates";
import { lowResSideOf, parseEmbedding } from "./embedding";
import type { Embedding, FloatTensor } from "./embedding";
import { promptFeeds } from "./feeds";
import { Network } from "./network";
import type { DecoderFiles, Feeds, OpenPart } from "./network";
import type { Question, Reply, Request } from "./protocol";
import { decodeOn } from "./session";
import type { LoadedFrame, LoadedImage } from "./session";

const WARM_UP_RUNS = 2;

let network: Network | null = null;
/** The model's bytes until the first image is open: then the graphics card is tried. */
let untried: { readonly files: DecoderFiles<Uint8Array>; readonly ortUrl: string } | null = null;
let current: LoadedImage | null = null;
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
    answer = {
      id: request.id,
      ok: false,
      message: error instanceof Error ? error.message : String(error),
    };
  }
  self.postMessage(answer);
}

async function handle(question: Question): Promise<readonly SentCandidate[]> {
  switch (question.type) {
    case "open":
      // Absolute, because onnxruntime resolves a bare path against its own script.
      ort.env.wasm.wasmPaths = new URL(question.ortUrl, self.location.origin).href;
      ort.env.wasm.numThreads = question.numThreads;
      untried = { files: filesOf(question.decoder), ortUrl: ort.env.wasm.wasmPaths };
      network = await Network.open(untried.files, partOpener(ort, "wasm"));
      current = null;
      return [];
    case "image": {
      const embedding = parseEmbedding(question.embedding);
      const run = await opened().prepare(embedding);
      const frame = modelFrame(question.image, question.imageSizePx);
      const whole = { run, crop: null, frame, lowResSidePx: lowResSideOf(embedding) };
      current = { imageId: question.imageId, whole, crop: null };
      if (untried !== null) last = last.then(warmUp);
      if (untried !== null) void tryGraphicsCard(untried.files, untried.ortUrl, embedding);
      untried = null;
      return [];
    }
    case "crop": {
      const loaded = loadedImage(question.imageId);
      const { crop, box } = question;
      const embedding = parseEmbedding(question.embedding);
      const run = await opened().prepare(embedding);
      const frame = modelFrame(loaded.whole.frame.image, loaded.whole.frame.imageSizePx, box);
      current = { ...loaded, crop: { run, crop, frame, lowResSidePx: lowResSideOf(embedding) } };
      return [];
    }
    case "decode":
      return toSent(await decodeOn(loadedImage(question.imageId), question.crop, question.request));
  }
}

function filesOf({ image, prompt }: DecoderFiles): DecoderFiles<Uint8Array> {
  return { image: image === null ? null : new Uint8Array(image), prompt: new Uint8Array(prompt) };
}

function loadedImage(imageId: string): LoadedImage {
  if (current?.imageId !== imageId) throw new Error("The decoder holds another image.");
  return current;
}

function opened(): Network {
  if (network === null) throw new Error("The decoder is not open.");
  return network;
}

/** The first runs of a WebAssembly program are slow: they should not be somebody's clicks. */
async function warmUp(): Promise<void> {
  // A failure will be told to whoever asks for a mask.
  if (current === null) return;
  const { whole } = current;
  for (let i = 0; i < WARM_UP_RUNS; i += 1)
    await whole.run(anyPrompts(whole)).catch(() => undefined);
}

function anyPrompts({ frame, lowResSidePx }: LoadedFrame): Feeds {
  return { ...promptFeeds([], null, frame, lowResSidePx) };
}

/** Meanwhile WebAssembly answers; only the trial itself waits its turn among the questions. */
async function tryGraphicsCard(
  files: DecoderFiles<Uint8Array>,
  ortUrl: string,
  embedding: Embedding,
): Promise<void> {
  const { gpu } = navigator as { readonly gpu?: { requestAdapter(): Promise<unknown> } };
  if ((await gpu?.requestAdapter().catch(() => null)) == null) return;
  if (current === null) return;
  const { whole } = current;
  try {
    const runtime = await import("onnxruntime-web/webgpu");
    runtime.env.wasm.wasmPaths = ortUrl;
    const rival = await Network.open(files, partOpener(runtime, "webgpu"));
    last = last
      .then(async () => {
        if (current === null || current.whole !== whole) return; // the next image's embedding is not at hand here
        const run = await rival.prepare(embedding);
        const trial = {
          current: whole.run,
          rival: run,
          prompts: anyPrompts(whole),
          nowMs: () => performance.now(),
        };
        if (!(await isRivalBetter(trial))) return;
        network = rival;
        current = { ...current, whole: { ...whole, run } };
      })
      .catch(() => undefined);
  } catch {
    // A card without a driver that works: WebAssembly goes on.
  }
}

function partOpener(
  runtime: Pick<typeof ort, "InferenceSession" | "Tensor">,
  provider: "wasm" | "webgpu",
): OpenPart {
  return async (model) => {
    const session = await runtime.InferenceSession.create(model, {
      executionProviders: [provider],
    });
    return {
      inputNames: session.inputNames,
      run: async (feeds) => {
        const tensors = Object.entries(feeds).map(([name, { data, dims }]) => [
          name,
          new runtime.Tensor("float32", data, dims),
        ]);
        const outputs = Object.entries(
          await session.run(Object.fromEntries(tensors) as Record<string, ort.Tensor>),
        );
        return Object.fromEntries(outputs.map(([name, tensor]) => [name, floats(tensor, name)]));
      },
    };
  };
}

function floats({ data, dims }: ort.Tensor, name: string): FloatTensor {
  if (!(data instanceof Float32Array))
    throw new Error(`The decoder's ${name} are not 32-bit floats.`);
  return { data, dims };
}
