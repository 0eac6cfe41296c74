/** A labelling page on a server of numbers, for tests: every answer is scripted, nothing is drawn. */

import { ApiClient } from "../api/client";
import { MemoryJournal } from "../api/journal";
import { SaveQueue } from "../api/saveQueue";
import type { PageConfig, SessionOut } from "../api/types";
import { rleSha256 } from "../core/mask/rle";
import { DecoderClient } from "../decoder/client";
import type { WorkerPort } from "../decoder/client";
import type { Reply, Request } from "../decoder/protocol";
import { Decoding } from "./inference/decoding";
import { LabelPage } from "./labelPage";
import { Prefetch } from "./inference/prefetch";
import { Settings } from "./settings";

/** The middle 2 x 2 of a 4 x 4 image: runs 5, 2, 2, 2, 5. */
export const SQUARE = { size: [4, 4] as [number, number], counts: "52203" };

export function sessionFor(imageId: string, change: Partial<SessionOut> = {}): SessionOut {
  const url = `/api/v1/images/${imageId}`;
  return {
    assignment_id: `assignment-${imageId}`,
    lease_expires_at: "2030-01-01T00:00:00Z",
    stage: "assisted_manual",
    image: {
      id: imageId,
      file_name: `${imageId}.jpg`,
      width_px: 4,
      height_px: 4,
      file_url: `${url}/file`,
      thumbnail_url: `${url}/thumbnail`,
      embedding_url: `${url}/embedding`,
    },
    model: {
      id: "model",
      number: 1,
      arch: "tiny",
      encoder_sha256: "e",
      decoder_url: "/api/v1/model-versions/model/decoder",
      decoder_image_url: "/api/v1/model-versions/model/decoder-image",
      decoder_prompt_url: "/api/v1/model-versions/model/decoder-prompt",
      decoder_sha256: "d",
      image_size_px: 16,
      embedding_stride_px: 16,
      low_res_stride_px: 4,
      embed_channels: 1,
      high_res_channels: 0,
    },
    masks: [],
    upcoming: [],
    ...change,
  };
}

/** A decoder that answers every question at once with one mask, or not at all. */
export class ScriptedWorker implements WorkerPort {
  onmessage: ((event: MessageEvent<Reply>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  readonly requests: Request[] = [];

  constructor(readonly failure: { on: Request["type"]; message: string } | null) {}

  terminate(): void {
    this.onmessage = null;
  }

  postMessage(request: Request): void {
    this.requests.push(request);
    const { id } = request;
    const crop = request.type === "decode" ? request.crop : null;
    const candidates = [
      {
        kind: "mask" as const,
        rle: { widthPx: 4, heightPx: 4, counts: SQUARE.counts },
        predictedIou: 0.9,
        lowResLogits: { data: new Float32Array(16), crop },
      },
    ];
    const reply: Reply =
      this.failure?.on === request.type
        ? { id, ok: false, message: this.failure.message }
        : { id, ok: true, candidates, tookMs: 1 };
    queueMicrotask(() => this.onmessage?.({ data: reply } as MessageEvent<Reply>));
  }
}

export interface Script {
  /** One answer per `assignments/next`; then 204. */
  readonly sessions?: SessionOut[];
  /** Answers before the usual one, by the end of the address. */
  readonly first?: Record<string, Response[]>;
  readonly decoderFailure?: { on: Request["type"]; message: string };
}

const CONFIG: PageConfig = {
  project_slug: "p",
  project_name: "P",
  api_base: "/api/v1",
  csrf_token: "token",
  csrf_cookie_name: "c",
  image_id: null,
  user: { name: "ann", role: "annotator" },
  static_ort_url: "/ort/",
  sign_in_url: "/sign-in/",
  instructions: "",
};

/** What the server answers when nothing else is scripted. */
function usualAnswers(sessions: SessionOut[]) {
  return (url: string, body: unknown): Response => {
    if (url.endsWith("/assignments/next")) {
      const next = sessions.shift();
      return next === undefined ? new Response(null, { status: 204 }) : Response.json(next);
    }
    if (url.endsWith("/masks")) {
      const mask = body as { mask_id: string; revision_id: string; rle: typeof SQUARE };
      const rle = {
        heightPx: mask.rle.size[0],
        widthPx: mask.rle.size[1],
        counts: mask.rle.counts,
      };
      return Response.json(
        { ...mask, rle_sha256: rleSha256(rle), duplicate: false, conflict: false },
        { status: 201 },
      );
    }
    if (url.endsWith("/suggestions"))
      return Response.json({ status: "none", progress_pct: 0, progress_text: "", error: "" });
    if (url.endsWith("/decode")) {
      const one = { rle: SQUARE, predicted_iou: 0.5 };
      return Response.json({ ...one, candidates: [one] });
    }
    return url.startsWith("/api/v1/images") || url.includes("/decoder-")
      ? new Response(new Uint8Array(8))
      : Response.json({});
  };
}

export function startPage(script: Script = {}) {
  const sessions = [...(script.sessions ?? [sessionFor("one")])];
  const calls: string[] = [];
  const usual = usualAnswers(sessions);
  const api = new ApiClient({
    base: "/api/v1",
    csrfToken: () => "token",
    fetch: (url, init) => {
      const address = url as string;
      calls.push(`${init?.method ?? "GET"} ${address}`);
      const key = Object.keys(script.first ?? {}).find((end) => address.endsWith(end));
      const scripted = key === undefined ? undefined : script.first?.[key]?.shift();
      return Promise.resolve(
        scripted ?? usual(address, JSON.parse(typeof init?.body === "string" ? init.body : "null")),
      );
    },
  });
  let now = 1_000;
  let ids = 0;
  const nap = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const queue = new SaveQueue({
    server: api,
    journal: new MemoryJournal(),
    userName: "ann",
    nowMs: () => now,
    sleep: nap,
    random: () => 0,
  });
  const prefetch = new Prefetch(api);
  const workers: ScriptedWorker[] = [];
  const newDecoder = () => {
    const worker = new ScriptedWorker(script.decoderFailure ?? null);
    workers.push(worker);
    return new DecoderClient(worker);
  };
  const decoding = new Decoding({
    api,
    prefetch,
    ortUrl: "/ort/",
    numThreads: 1,
    newDecoder,
    sleep: nap,
  });
  const page = new LabelPage({
    config: CONFIG,
    api,
    queue,
    decoding,
    prefetch,
    settings: new Settings(null),
    newId: () => `id-${(ids += 1)}`,
    nowMs: () => (now += 1),
    sleep: nap,
    readImage: () => Promise.resolve({ width: 4, height: 4 } as ImageBitmap),
  });
  return { page, queue, decoding, calls, workers };
}
