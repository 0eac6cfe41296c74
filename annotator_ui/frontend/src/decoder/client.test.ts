import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { imagePoint } from "../core/geometry/geometry";
import type { DecodeRequest } from "../core/editor/prompts";
import { DecoderClient, threadsFor, TIME_LIMITS } from "./client";
import type { WorkerPort } from "./client";
import type { Reply, Request } from "./protocol";

class FakeWorker implements WorkerPort {
  readonly requests: Request[] = [];
  isTerminated = false;
  onmessage: ((event: MessageEvent<Reply>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;

  postMessage(message: Request): void {
    this.requests.push(message);
  }

  terminate(): void {
    this.isTerminated = true;
  }

  answer(request: Request, predictedIou = 0.5): void {
    const candidates = [
      {
        kind: "mask",
        rle: { widthPx: 1, heightPx: 1, counts: "01" },
        predictedIou,
        lowResLogits: null,
      },
    ];
    this.onmessage?.({
      data: { id: request.id, ok: true, candidates, tookMs: 1 },
    } as unknown as MessageEvent<Reply>);
  }
}

const click = (x: number): DecodeRequest => ({
  prompts: [{ kind: "point", at: imagePoint(x, 1), label: 1 }],
  feedback: null,
  baseMask: null,
});
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("asks only the first and the latest of many prompts, and only the latest is answered", async () => {
  const worker = new FakeWorker();
  const client = new DecoderClient(worker);

  const outcomes = [1, 2, 3, 4].map((x) => client.decode("image", click(x), null));
  expect(worker.requests).toHaveLength(1);
  worker.answer(worker.requests[0]!);
  await settle();
  expect(worker.requests).toHaveLength(2);
  expect(worker.requests[1]).toMatchObject({ request: click(4) });
  worker.answer(worker.requests[1]!);

  expect((await Promise.all(outcomes)).map((outcome) => outcome.kind)).toEqual([
    "superseded",
    "superseded",
    "superseded",
    "answer",
  ]);
});

it("gives up on a session that does not open in twenty seconds and says so", async () => {
  const worker = new FakeWorker();
  const client = new DecoderClient(worker);
  const opening = expect(
    client.open({ image: null, prompt: new ArrayBuffer(1) }, { ortUrl: "/ort/", numThreads: 2 }),
  ).rejects.toMatchObject({
    kind: "timeout",
    message: "The decoder did not answer in 20 s.",
  });

  await vi.advanceTimersByTimeAsync(TIME_LIMITS.openMs);

  await opening;
  expect(worker.isTerminated).toBe(true);
  await expect(client.decode("image", click(1), null)).rejects.toMatchObject({ kind: "timeout" });
});

it("fails every question when the worker dies", async () => {
  const worker = new FakeWorker();
  const client = new DecoderClient(worker);
  const running = expect(client.decode("image", click(1), null)).rejects.toMatchObject({
    kind: "crashed",
  });
  const queued = expect(client.decode("image", click(2), null)).rejects.toMatchObject({
    kind: "crashed",
  });

  worker.onerror?.({ message: "out of memory" } as ErrorEvent);

  await Promise.all([running, queued]);
});

it("goes on after an answer that is an error", async () => {
  const worker = new FakeWorker();
  const client = new DecoderClient(worker);
  const refused = expect(client.decode("image", click(1), null)).rejects.toMatchObject({
    kind: "refused",
    message: "bad shape",
  });
  worker.onmessage?.({
    data: { id: worker.requests[0]!.id, ok: false, message: "bad shape" },
  } as unknown as MessageEvent<Reply>);
  await refused;

  const next = client.decode("image", click(2), null);
  await settle();
  worker.answer(worker.requests[1]!);

  expect((await next).kind).toBe("answer");
});

it("uses threads only where the browser allows shared memory", () => {
  expect([
    threadsFor(false, 16),
    threadsFor(true, 1),
    threadsFor(true, 4),
    threadsFor(true, 64),
  ]).toEqual([1, 1, 3, 4]);
});
