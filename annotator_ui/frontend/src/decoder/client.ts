/** The page's side of the decoder: a queue of one (the latest prompts win), typed failures, time
 * limits. A worker that fails or hangs is closed; the page then asks the server. */

import { cropKey, boxOfCrop } from "../core/geometry/crops";
import type { Crop } from "../core/geometry/crops";
import type { Size } from "../core/geometry/geometry";
import type { Candidate, DecodeRequest } from "../core/editor/prompts";
import { fromSent } from "./candidates";
import type { DecoderFiles } from "./network";
import type { Question, Reply, Request } from "./protocol";

export const TIME_LIMITS = { openMs: 20_000, imageMs: 20_000, decodeMs: 20_000 } as const;

/** `timeout`: no answer in time. `crashed`: the worker died. `refused`: it answered with an error. */
export class DecoderFailure extends Error {
  override readonly name = "DecoderFailure";

  constructor(
    readonly kind: "timeout" | "crashed" | "refused",
    message: string,
  ) {
    super(message);
  }
}

export type DecodeOutcome =
  | { readonly kind: "answer"; readonly candidates: readonly Candidate[]; readonly tookMs: number }
  | { readonly kind: "superseded" };

/** The part of Worker the client needs. */
export interface WorkerPort {
  postMessage(message: Request, transfer: ArrayBuffer[]): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<Reply>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

interface Waiting {
  readonly resolve: (reply: Extract<Reply, { ok: true }>) => void;
  readonly reject: (failure: DecoderFailure) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

interface Pending {
  readonly question: Extract<Question, { type: "decode" }>;
  readonly resolve: (outcome: DecodeOutcome) => void;
  readonly reject: (failure: DecoderFailure) => void;
}

export class DecoderClient {
  readonly #worker: WorkerPort;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #isDecoding = false;
  #pending: Pending | null = null;
  #failure: DecoderFailure | null = null;

  constructor(worker: WorkerPort) {
    this.#worker = worker;
    worker.onmessage = (event) => this.#receive(event.data);
    worker.onerror = (event) =>
      this.#die("crashed", event.message || "The decoder's worker did not start.");
  }

  /** Load the decoder; the buffers are handed over to the worker. */
  async open(
    decoder: DecoderFiles,
    options: { ortUrl: string; numThreads: number },
  ): Promise<void> {
    const buffers = decoder.image === null ? [decoder.prompt] : [decoder.image, decoder.prompt];
    await this.#ask({ type: "open", decoder, ...options }, TIME_LIMITS.openMs, buffers);
  }

  /** Load an image's embedding; the buffer is handed over to the worker. */
  async setImage(
    imageId: string,
    embedding: ArrayBuffer,
    image: Size,
    imageSizePx: number,
  ): Promise<void> {
    const question = { type: "image", imageId, embedding, image, imageSizePx } as const;
    await this.#ask(question, TIME_LIMITS.imageMs, [embedding]);
  }

  /** Load a crop of the image in place of the one before; the buffer is handed over to the worker. */
  async setCrop(imageId: string, crop: Crop, embedding: ArrayBuffer, image: Size): Promise<void> {
    const question = {
      type: "crop",
      imageId,
      crop: cropKey(crop),
      box: boxOfCrop(crop, image),
      embedding,
    } as const;
    await this.#ask(question, TIME_LIMITS.imageMs, [embedding]);
  }

  /** Decode, or learn that newer prompts took this one's place. Rejects with DecoderFailure. */
  decode(imageId: string, request: DecodeRequest, crop: string | null): Promise<DecodeOutcome> {
    return new Promise((resolve, reject) => {
      this.#pending?.resolve({ kind: "superseded" });
      this.#pending = { question: { type: "decode", imageId, crop, request }, resolve, reject };
      this.#pump();
    });
  }

  /** Whether a question would have to wait for another one. */
  get isBusy(): boolean {
    return this.#isDecoding || this.#pending !== null;
  }

  close(): void {
    this.#die("crashed", "The decoder was closed.");
  }

  #pump(): void {
    const pending = this.#pending;
    if (pending === null || this.#isDecoding) return;
    this.#pending = null;
    this.#isDecoding = true;
    this.#ask(pending.question, TIME_LIMITS.decodeMs).then(
      ({ candidates, tookMs }) => {
        this.#isDecoding = false;
        const isLatest = this.#pending === null;
        pending.resolve(
          isLatest
            ? { kind: "answer", candidates: fromSent(candidates), tookMs }
            : { kind: "superseded" },
        );
        this.#pump();
      },
      (failure: unknown) => {
        this.#isDecoding = false;
        pending.reject(failure as DecoderFailure);
        this.#pump();
      },
    );
  }

  #ask(
    question: Question,
    limitMs: number,
    transfer: ArrayBuffer[] = [],
  ): Promise<Extract<Reply, { ok: true }>> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      const id = this.#nextId;
      this.#nextId += 1;
      // A worker that is silent this long never recovers (threads without isolation hang for good).
      const timer = setTimeout(
        () => this.#die("timeout", `The decoder did not answer in ${limitMs / 1000} s.`),
        limitMs,
      );
      this.#waiting.set(id, { resolve, reject, timer });
      this.#worker.postMessage({ ...question, id }, transfer);
    });
  }

  #receive(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    clearTimeout(waiting.timer);
    if (reply.ok) waiting.resolve(reply);
    else waiting.reject(new DecoderFailure("refused", reply.message));
  }

  #die(kind: DecoderFailure["kind"], message: string): void {
    if (this.#failure !== null) return;
    this.#failure = new DecoderFailure(kind, message);
    this.#worker.terminate();
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(this.#failure);
    }
    this.#waiting.clear();
    this.#pending?.reject(this.#failure);
    this.#pending = null;
  }
}

/** Threads need cross-origin isolation; one core is left for the page. */
export function threadsFor(isIsolated: boolean, numCores: number): number {
  return isIsolated ? Math.min(4, Math.max(1, numCores - 1)) : 1;
}
