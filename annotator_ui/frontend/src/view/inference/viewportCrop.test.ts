import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ApiError } from "../../api/client";
import { EMPTY_DRAFT } from "../../core/editor/document";
import { imagePoint, screenPoint } from "../../core/geometry/geometry";
import { cropKey } from "../../core/geometry/crops";
import type { Crop } from "../../core/geometry/crops";
import { ViewportCrop } from "./viewportCrop";
import type { View } from "./viewportCrop";
import type { DecodingState } from "./decoding";
import { ValueStore } from "../store";
import { sessionFor } from "../testPage";

const SIZE = { width_px: 800, height_px: 800 };
const imageNamed = (name: string) => ({
  ...sessionFor(name).image,
  ...SIZE,
  embedding_url: `/${name}?encoder=e`,
});
const refusal = (kind: ApiError["kind"], code: string) =>
  new ApiError(kind, `refused ${code}`, { status: 409, code, retryAfterS: null });
const notReady = () => refusal("not_ready", "not_ready");

/** The view of 400 x 400 screen pixels whose top-left corner shows this place. */
function viewAt(x: number, y: number, scale = 1): View {
  const camera = { scale, offsetX: -x * scale, offsetY: -y * scale };
  return {
    camera,
    viewport: { widthPx: 400, heightPx: 400 },
    document: { masks: [], draft: EMPTY_DRAFT, numLeftOut: 0 },
  };
}

const drafting = (view: View): View => {
  const step = {
    prompt: { kind: "point", at: imagePoint(1, 1), label: 1 },
    feedback: null,
    baseMask: null,
  } as const;
  return { ...view, document: { ...view.document, draft: { ...EMPTY_DRAFT, steps: [step] } } };
};

/** Answers: what each fetch does, in turn; then bytes. */
function start(answers: Error[] = []) {
  const asked: string[] = [];
  const held: string[] = [];
  const levels: number[] = [];
  const callbacks = { onCropReady: vi.fn(), outdated: vi.fn() };
  const state = new ValueStore<DecodingState>({ kind: "ready", message: "", lastDecodeMs: null });
  const decoding = {
    state: () => state.state(),
    subscribe: (listener: () => void) => state.subscribe(listener),
    setViewLevel: (level: number) => void levels.push(level),
    setCrop: (imageId: string, crop: Crop, embedding: ArrayBuffer) => {
      held.push(`${imageId} ${cropKey(crop)} ${embedding.byteLength}`);
      return Promise.resolve(true);
    },
  };
  const viewportCrop = new ViewportCrop({
    decoding,
    bytes: (url) => {
      asked.push(url);
      const answer = answers.shift();
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve(new ArrayBuffer(asked.length));
    },
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    ...callbacks,
  });
  viewportCrop.open(imageNamed("one"));
  const kind = () => viewportCrop.state().kind;
  return { viewportCrop, asked, held, levels, callbacks, state, kind };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("asks for nothing while the view shows more than half of the image", async () => {
  const { viewportCrop, asked, kind } = start();
  viewportCrop.updateView(viewAt(0, 0, 0.5), screenPoint(200, 200));
  await pass(5_000);

  expect([asked, kind()]).toEqual([[], "none"]);
});

it("gets the crop in the middle of a view that rests, once", async () => {
  const { viewportCrop, asked, held, levels, callbacks, kind } = start();
  viewportCrop.updateView(viewAt(0, 0), null);
  await pass(200);
  viewportCrop.updateView(viewAt(400, 200), null);
  await pass(200);
  expect(asked).toEqual([]);
  await pass(100);
  viewportCrop.updateView(viewAt(410, 200), null);
  await pass(1_000);

  expect(asked).toEqual(["/one?encoder=e&crop=1-1-2"]);
  expect(held).toEqual(["one 1-1-2 1"]);
  expect([kind(), viewportCrop.state().key]).toEqual(["ready", "1-1-2"]);
  expect(callbacks.onCropReady).toHaveBeenCalledTimes(1);
  expect(levels.at(-1)).toBe(1);
});

it("goes where the pointer is, but only when the crop there shows too little around it", async () => {
  const { viewportCrop, asked } = start();
  viewportCrop.updateView(viewAt(200, 200), screenPoint(20, 20)); // 220, 220
  await pass(300);
  viewportCrop.updateView(viewAt(200, 200), screenPoint(140, 140)); // 340, 340: inside the first crop still
  await pass(300);
  viewportCrop.updateView(viewAt(200, 200), screenPoint(160, 160)); // 360, 360: within 50 px of its border
  await pass(300);

  expect(asked.map((url) => url.slice(-5))).toEqual(["1-0-0", "1-1-1"]);
});

it("polls until the server has it, and stops when the view wants another crop", async () => {
  const { viewportCrop, asked, held, kind } = start([notReady(), notReady(), notReady()]);
  viewportCrop.updateView(viewAt(0, 0), null);
  await pass(260);
  expect([asked.length, kind()]).toEqual([1, "loading"]);
  await pass(250);
  expect(asked).toHaveLength(2);

  viewportCrop.updateView(viewAt(400, 400), null);
  await pass(5_000);

  expect(asked.slice(2).map((url) => url.slice(-5))).toEqual(["1-2-2", "1-2-2"]);
  expect(held).toEqual(["one 1-2-2 4"]);
});

it("pans back without asking again, and forgets the oldest of many", async () => {
  const { viewportCrop, asked, held } = start();
  const visit = async (x: number, y: number) => {
    viewportCrop.updateView(viewAt(x, y), null);
    await pass(300);
  };
  await visit(0, 0);
  await visit(400, 400);
  await visit(0, 0);
  expect([asked.length, held.at(-1)]).toEqual([2, "one 1-0-0 1"]);

  for (const [x, y] of [
    [0, 200],
    [0, 400],
    [200, 0],
    [200, 200],
    [200, 400],
    [400, 0],
    [400, 200],
  ] as const)
    await visit(x, y);
  await visit(400, 400);
  expect(asked).toHaveLength(10);
  await visit(400, 200);
  expect(asked).toHaveLength(10);
});

it("keeps the crop while a mask is in the making", async () => {
  const { viewportCrop, held, kind } = start();
  viewportCrop.updateView(viewAt(0, 0), null);
  await pass(300);
  viewportCrop.updateView(drafting(viewAt(400, 400)), null);
  await pass(300);
  expect(held).toHaveLength(1);
  viewportCrop.updateView(viewAt(400, 400), null);
  await pass(100);
  viewportCrop.updateView(drafting(viewAt(400, 400)), null);
  await pass(300);
  expect([held.length, kind()]).toEqual([1, "loading"]);

  viewportCrop.updateView(viewAt(400, 400), null);
  await pass(300);
  expect([held.at(-1), kind()]).toEqual(["one 1-2-2 2", "ready"]);
});

it("shows nothing when zoomed out or on another image, and an answer that comes late is dropped", async () => {
  const { viewportCrop, held, levels, kind } = start([notReady()]);
  viewportCrop.updateView(viewAt(0, 0), null);
  await pass(300);
  viewportCrop.updateView(viewAt(0, 0, 0.5), null);
  expect([kind(), levels.at(-1)]).toEqual(["none", 0]);
  viewportCrop.updateView(viewAt(0, 0), null);
  viewportCrop.open(imageNamed("two"));
  await pass(5_000);

  expect([kind(), held]).toEqual(["none", []]);
});

it("does without when the server refuses, and goes on trying when it cannot be reached", async () => {
  const refused = start([refusal("refused", "invalid_input")]);
  refused.viewportCrop.updateView(viewAt(0, 0), null);
  await pass(20_000);
  expect([refused.asked.length, refused.kind(), refused.viewportCrop.state().message]).toEqual([
    1,
    "failed",
    "refused invalid_input",
  ]);
  expect(refused.callbacks.outdated).not.toHaveBeenCalled();

  const cut = start([refusal("network", "network")]);
  cut.viewportCrop.updateView(viewAt(0, 0), null);
  await pass(260);
  expect(cut.kind()).toBe("failed");
  await pass(300);
  expect(cut.kind()).toBe("ready");
});

it("notifies the page when a new model serves", async () => {
  const { viewportCrop, callbacks } = start([refusal("refused", "outdated_embedding")]);
  viewportCrop.updateView(viewAt(0, 0), null);
  await pass(300);
  expect(callbacks.outdated).toHaveBeenCalledTimes(1);
});

it("is not used where the server decodes", async () => {
  const { viewportCrop, asked, state, kind } = start();
  state.update({ kind: "server" });
  viewportCrop.updateView(viewAt(0, 0), null);
  await pass(1_000);
  expect([asked, kind()]).toEqual([[], "none"]);
});
