import { expect, it, vi } from "vitest";
import { imagePoint, screenPoint } from "../core/geometry/geometry";
import type { LabelPage } from "./labelPage";
import { sessionFor, SQUARE, startPage } from "./testPage";

const refusal = () =>
  Response.json({ code: "invalid_input", message: "the mask is wrong" }, { status: 422 });
const notReady = () =>
  Response.json({ code: "not_ready", message: "being computed" }, { status: 409 });

function click(page: LabelPage, x: number, y: number): void {
  const editor = page.state().open!.editor;
  const input = { at: screenPoint(x, y), button: "left", shift: false } as const;
  editor.dispatch({ type: "pointer_down", ...input });
  editor.dispatch({ type: "pointer_up", ...input });
}

/** Click, wait for the mask, accept it. */
async function labelOne(page: LabelPage): Promise<void> {
  const editor = page.state().open!.editor;
  click(page, 2, 2);
  await vi.waitFor(() => expect(editor.draftRle()).not.toBeNull());
  editor.dispatch({ type: "accept_draft" });
}

it("opens an image, decodes a click, saves the mask, submits and takes the next", async () => {
  const { page, queue, calls } = startPage({ sessions: [sessionFor("one"), sessionFor("two")] });
  await page.start();
  await labelOne(page);
  await queue.drained();

  await page.finish();

  expect(page.state().open?.session.image.id).toBe("two");
  expect(queue.state().savedCount).toBe(1);
  const order = calls.filter((call) => call.startsWith("POST"));
  expect(order).toEqual([
    "POST /api/v1/projects/p/assignments/next",
    "POST /api/v1/assignments/assignment-one/masks",
    "POST /api/v1/assignments/assignment-one/submit",
    "POST /api/v1/projects/p/assignments/next",
  ]);
});

it("says so when nothing is left to label", async () => {
  const { page } = startPage({ sessions: [] });

  await page.start();

  expect(page.state()).toMatchObject({ phase: "nothing_left", open: null });
});

it("stops with the server's words when no image can be taken, and can try again", async () => {
  const forbidden = Response.json(
    { code: "no_model", message: "no model serves this project yet" },
    { status: 409 },
  );
  const { page } = startPage({ first: { "assignments/next": [forbidden] } });

  await page.start();
  expect(page.state()).toMatchObject({
    phase: "stopped",
    message: "no model serves this project yet",
    needsSignIn: false,
  });

  await page.take(null);
  expect(page.state().phase).toBe("labelling");
});

it("asks again by itself while the server prepares the model", async () => {
  const preparing = Response.json(
    { code: "not_ready", message: "the decoder is being exported" },
    { status: 409 },
  );
  const { page, calls } = startPage({ first: { "assignments/next": [preparing] } });
  const said: string[] = [];
  page.subscribe(() => said.push(page.state().message));

  await page.start();

  expect(page.state()).toMatchObject({ phase: "labelling" });
  expect(said).toContain("the decoder is being exported");
  expect(calls.filter((call) => call.endsWith("/assignments/next"))).toHaveLength(2);
});

it("does not leave an unfinished mask behind", async () => {
  const { page, calls } = startPage();
  await page.start();
  click(page, 2, 2);

  await page.finish();

  expect(page.state().notice).toMatch(/not accepted yet/);
  expect(calls.some((call) => call.endsWith("/submit"))).toBe(false);
});

it("holds the image once for a mask the server refused, then lets the person go on", async () => {
  const { page, queue, calls } = startPage({ first: { "/masks": [refusal()] } });
  await page.start();
  await labelOne(page);

  await page.finish();
  expect(page.state()).toMatchObject({
    isLeaving: false,
    notice: expect.stringMatching(/1 of this image/) as string,
  });
  expect(queue.state().refused).toHaveLength(1);
  expect(calls.some((call) => call.endsWith("/submit"))).toBe(false);

  await page.finish();
  expect(calls.some((call) => call.endsWith("/submit"))).toBe(true);
});

it("skips with a reason even in the middle of a mask", async () => {
  const { page, calls } = startPage();
  await page.start();
  click(page, 2, 2);

  await page.skip("too hard");

  expect(calls).toContain("POST /api/v1/assignments/assignment-one/skip");
  expect(page.state().phase).toBe("nothing_left");
});

it("sends a verdict on a suggestion and nothing else", async () => {
  const suggestion = {
    id: "s",
    revision_id: "r",
    source: "prefilled",
    status: "proposed",
    rle: SQUARE,
    bbox_xywh_px: [1, 1, 2, 2],
    area_px: 4,
    predicted_iou: 0.7,
    label: "",
    author: null,
  } as const;
  const { page, queue, calls } = startPage({
    sessions: [sessionFor("one", { masks: [suggestion] })],
  });
  await page.start();

  page.state().open!.editor.dispatch({ type: "mask_status", maskId: "s", to: "accepted" });
  await queue.drained();

  expect(calls.filter((call) => call.startsWith("POST"))).toEqual([
    "POST /api/v1/projects/p/assignments/next",
    "POST /api/v1/masks/s/accept",
  ]);
});

it("waits for an embedding that is being prepared and says so; early clicks wait with it", async () => {
  const { page, decoding } = startPage({ first: { "/embedding": [notReady(), notReady()] } });
  const kinds = new Set<string>();
  decoding.subscribe(() => kinds.add(decoding.state().kind));
  await page.start();

  await labelOne(page);

  expect([...kinds]).toEqual(["loading", "preparing", "ready"]);
  expect(page.state().open?.editor.state().document.masks).toHaveLength(1);
});

it.each(["open", "image", "decode"] as const)(
  "lets the server decode when the browser's decoder fails at %s",
  async (on) => {
    const { page, decoding, calls } = startPage({
      decoderFailure: { on, message: "no WebAssembly" },
    });
    await page.start();

    await labelOne(page);

    expect(decoding.state()).toMatchObject({
      kind: "server",
      message: expect.stringContaining("no WebAssembly") as string,
    });
    expect(calls).toContain("POST /api/v1/images/one/decode");
  },
);

it("takes the session again when a new model came to serve meanwhile", async () => {
  const outdated = Response.json(
    { code: "outdated_embedding", message: "the model has changed since" },
    { status: 409 },
  );
  const renewed = sessionFor("one", {
    model: { ...sessionFor("one").model, id: "model-2", decoder_sha256: "d2" },
  });
  const { page, decoding, workers } = startPage({
    sessions: [sessionFor("one"), renewed],
    first: { "/embedding": [outdated] },
  });
  await page.start();

  await vi.waitFor(() => expect(decoding.state().kind).toBe("ready"));

  expect(page.state().open?.session.model.id).toBe("model-2");
  expect(workers).toHaveLength(2);
});

it("opens the decoder once for many images of one model", async () => {
  const { page, decoding, workers } = startPage({
    sessions: [sessionFor("one"), sessionFor("two"), sessionFor("three")],
  });
  await page.start();
  await vi.waitFor(() => expect(decoding.state().kind).toBe("ready"));
  await page.finish();
  await vi.waitFor(() => expect(decoding.state().kind).toBe("ready"));

  expect(workers).toHaveLength(1);
  expect(workers[0]?.requests.map((request) => request.type)).toEqual(["open", "image", "image"]);
});

/** An image of 400 px, of which the page sees the upper left quarter. */
async function startZoomed(script: Parameters<typeof startPage>[0] = {}) {
  const image = {
    ...sessionFor("one").image,
    width_px: 400,
    height_px: 400,
    embedding_url: "/api/v1/images/one/embedding?encoder=e",
  };
  const started = startPage({
    sessions: [sessionFor("one", { image }), sessionFor("one", { image })],
    ...script,
  });
  const { page, decoding } = started;
  await page.start();
  await vi.waitFor(() => expect(decoding.state().kind).toBe("ready"));
  const { editor } = page.state().open!;
  editor.dispatch({ type: "viewport", size: { widthPx: 200, heightPx: 200 } });
  editor.dispatch({ type: "zoom", to: "one_to_one" });
  const { offsetX, offsetY } = editor.state().camera;
  editor.dispatch({
    type: "pinch",
    from: screenPoint(0, 0),
    to: screenPoint(-offsetX, -offsetY),
    factor: 1,
  });
  const zoomIn = () => page.viewportCrop.updateView(editor.state(), null);
  zoomIn();
  const asked = () =>
    started.workers[0]!.requests.filter((request) => request.type === "decode").map(
      (request) => request.crop,
    );
  return { ...started, editor, zoomIn, asked };
}

it("gets the crop where the view rests and decodes in it, the second click too", async () => {
  const { page, editor, workers, asked } = await startZoomed();
  await vi.waitFor(() => expect(page.viewportCrop.state().kind).toBe("ready"));

  click(page, 60, 60);
  await vi.waitFor(() => expect(editor.state().candidates).toHaveLength(1));
  click(page, 190, 100);
  await vi.waitFor(() => expect(asked()).toHaveLength(2));

  expect(workers[0]!.requests.find((request) => request.type === "crop")).toMatchObject({
    imageId: "one",
    crop: "1-0-0",
    box: { x0: 0, y0: 0, x1: 200, y1: 200 },
  });
  expect(asked()).toEqual(["1-0-0", "1-0-0"]);
  expect(editor.state().document.draft.steps[1]?.feedback?.crop).toBe("1-0-0");
});

it("takes for a click the answer that was shown there, even if a crop came since", async () => {
  const { page, decoding, editor, asked } = await startZoomed();
  const at = imagePoint(60, 60);
  await decoding.preview(at);
  await vi.waitFor(() => expect(page.viewportCrop.state().kind).toBe("ready"));

  click(page, at.x, at.y);
  await vi.waitFor(() => expect(editor.state().candidates).toHaveLength(1));
  click(page, 70, 70);
  await vi.waitFor(() => expect(asked()).toHaveLength(2));

  expect(asked()).toEqual([null, null]);
});

it("asks about the whole image again as soon as the view shows more of it", async () => {
  const { page, editor, zoomIn, asked } = await startZoomed();
  await vi.waitFor(() => expect(page.viewportCrop.state().kind).toBe("ready"));
  editor.dispatch({ type: "zoom", to: "fit" });
  zoomIn();

  click(page, 50, 50);
  await vi.waitFor(() => expect(asked()).toEqual([null]));
  expect(page.viewportCrop.state().kind).toBe("none");
});

it("labels on when the decoder cannot use a crop", async () => {
  const { page, decoding, editor, asked } = await startZoomed({
    decoderFailure: { on: "crop", message: "bad shape" },
  });
  await vi.waitFor(() =>
    expect(page.viewportCrop.state()).toMatchObject({ kind: "failed", message: "bad shape" }),
  );

  click(page, 60, 60);
  await vi.waitFor(() => expect(editor.state().candidates).toHaveLength(1));

  expect([decoding.state().kind, asked()]).toEqual(["ready", [null]]);
});

it("takes the session again when a crop is refused because a new model serves", async () => {
  const outdated = Response.json(
    { code: "outdated_embedding", message: "the model has changed since" },
    { status: 409 },
  );
  const { page, calls } = await startZoomed({ first: { "crop=1-0-0": [outdated] } });

  await vi.waitFor(() => expect(page.viewportCrop.state().kind).toBe("ready"));

  expect(calls.filter((call) => call.endsWith("/assignments/next"))).toHaveLength(2);
});
