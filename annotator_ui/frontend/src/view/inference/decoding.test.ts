/** A zoomed click is answered from the crop, unless that cuts the object: then from the whole image. */

import { expect, it } from "vitest";
import { ApiClient } from "../../api/client";
import { imagePoint } from "../../core/geometry/geometry";
import { outlineRle } from "../../core/mask/shapes";
import type { Rle } from "../../core/mask/rle";
import { DecoderClient } from "../../decoder/client";
import type { WorkerPort } from "../../decoder/client";
import type { Reply, Request } from "../../decoder/protocol";
import { Decoding } from "./decoding";
import { Prefetch } from "./prefetch";
import { sessionFor } from "../testPage";

const SIZE = { widthPx: 800, heightPx: 800 };
const CROP = { level: 1, row: 1, column: 1 }; // 200 to 600 along both sides
const CLICK = {
  prompt: { kind: "point", at: imagePoint(400, 400), label: 1 },
  feedback: null,
  baseMask: null,
} as const;
const square = (from: number, to: number): Rle =>
  outlineRle(SIZE, [
    imagePoint(from, from),
    imagePoint(to, from),
    imagePoint(to, to),
    imagePoint(from, to),
  ]);
const SMALL = square(380, 420);
const CUT = square(200, 450);
const LARGE = square(100, 450);

/** Answers with one mask from the crop and another from the whole image. */
class TwoFrames implements WorkerPort {
  onmessage: ((event: MessageEvent<Reply>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  readonly frames: (string | null)[] = [];

  constructor(
    readonly close: Rle,
    readonly whole: Rle,
  ) {}

  terminate(): void {
    this.onmessage = null;
  }

  postMessage(request: Request): void {
    const { id } = request;
    const crop = request.type === "decode" ? request.crop : null;
    if (request.type === "decode") this.frames.push(crop);
    const rle = crop === null ? this.whole : this.close;
    const candidates = [
      {
        kind: "mask" as const,
        rle,
        predictedIou: 0.9,
        lowResLogits: { data: new Float32Array(16), crop },
      },
    ];
    const reply: Reply = { id, ok: true, candidates, tookMs: 1 };
    queueMicrotask(() => this.onmessage?.({ data: reply } as MessageEvent<Reply>));
  }
}

async function zoomedIn(close: Rle, whole: Rle) {
  const worker = new TwoFrames(close, whole);
  const api = new ApiClient({
    base: "/api/v1",
    csrfToken: () => "",
    fetch: () => Promise.resolve(new Response(new Uint8Array(8))),
  });
  const decoding = new Decoding({
    api,
    prefetch: new Prefetch(api),
    ortUrl: "/ort/",
    numThreads: 1,
    newDecoder: () => new DecoderClient(worker),
    sleep: () => Promise.resolve(),
  });
  const session = sessionFor("one");
  await decoding.load({ ...session, image: { ...session.image, width_px: 800, height_px: 800 } });
  decoding.setViewLevel(1);
  await decoding.setCrop("one", CROP, new ArrayBuffer(8));
  return { decoding, worker };
}

const bestOf = async (answer: Promise<readonly { readonly rle: Rle }[] | null>) =>
  (await answer)?.[0]?.rle;

it("answers a click on a small object from the crop alone", async () => {
  const { decoding, worker } = await zoomedIn(SMALL, LARGE);

  expect(await bestOf(decoding.decode([CLICK]))).toEqual(SMALL);
  expect(worker.frames).toEqual(["1-1-1"]);
});

it("answers from the whole image what the crop cuts, and stays there", async () => {
  const { decoding, worker } = await zoomedIn(CUT, LARGE);
  const second = { ...CLICK, prompt: { ...CLICK.prompt, at: imagePoint(300, 300) } } as const;

  expect(await bestOf(decoding.decode([CLICK]))).toEqual(LARGE);
  expect(await bestOf(decoding.decode([CLICK, second]))).toEqual(LARGE);
  expect(worker.frames).toEqual(["1-1-1", null, null]);
});

it("previews what the click then gives, in its frame", async () => {
  const { decoding, worker } = await zoomedIn(CUT, LARGE);

  expect(await bestOf(decoding.preview(imagePoint(400, 400)))).toEqual(LARGE);
  expect(await bestOf(decoding.decode([CLICK]))).toEqual(LARGE);
  expect(worker.frames).toEqual(["1-1-1", null]);
});
