// @vitest-environment jsdom
import { act } from "react";
import { createRoot } from "react-dom/client";
import type { Root } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { App } from "./App";
import type { LabelPage } from "./labelPage";
import { sessionFor, SQUARE, startPage } from "./testPage";

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
let root: Root | null = null;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  // jsdom lays nothing out: a canvas without size draws nothing, which is all these tests need.
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe = (): void => undefined;
      disconnect = (): void => undefined;
    },
  );
  vi.stubGlobal(
    "IntersectionObserver",
    class {
      observe = (): void => undefined;
      disconnect = (): void => undefined;
    },
  );
  Element.prototype.scrollIntoView = () => undefined;
});

afterEach(() => {
  act(() => root?.unmount());
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

async function show(page: LabelPage): Promise<void> {
  const place = document.body.appendChild(document.createElement("div"));
  root = createRoot(place);
  act(() => root?.render(<App page={page} />));
  await act(() => page.start());
}

const byId = (id: string): HTMLElement[] => [
  ...document.querySelectorAll<HTMLElement>(`[data-testid="${id}"]`),
];
const key = (
  name: string,
  init: KeyboardEventInit = {},
  target: EventTarget = document.body,
): void =>
  act(
    () =>
      void target.dispatchEvent(
        new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...init }),
      ),
  );

it("shows a suggestion apart from the masks, with a badge, and keeps it on Y", async () => {
  const { page, queue } = startPage({ sessions: [sessionFor("one", { masks: [suggestion] })] });
  await show(page);
  expect(byId("mask-item")).toHaveLength(1);
  expect(byId("mask-item")[0]?.dataset).toMatchObject({
    source: "prefilled",
    status: "proposed",
    saved: "saved",
  });
  expect(byId("mask-item")[0]?.textContent).toContain("prefilled");

  key("y");
  expect(byId("mask-item")[0]?.className).toContain("selected");
  key("y");
  await act(() => queue.drained());

  expect(byId("mask-item")[0]?.dataset).toMatchObject({ status: "accepted", saved: "saved" });
});

it("says what is not saved, with the server's words", async () => {
  const refusal = Response.json(
    { code: "invalid_input", message: "the mask is gone" },
    { status: 422 },
  );
  const { page, queue } = startPage({
    sessions: [sessionFor("one", { masks: [suggestion] })],
    first: { "/accept": [refusal] },
  });
  await show(page);

  key("y");
  key("y");
  await act(() => queue.drained());

  expect(byId("save-light")[0]?.dataset).toMatchObject({ state: "failed", pending: "0" });
  expect(byId("mask-item")[0]?.dataset["saved"]).toBe("failed");
  expect(byId("refused")[0]?.textContent).toContain("the mask is gone");
});

it("leaves Tab alone outside the canvas and Enter to a focused button", async () => {
  const { page } = startPage();
  await show(page);
  const finish = vi.spyOn(page, "finish");
  const button = byId("next-image")[0]!;

  const tab = new KeyboardEvent("keydown", { key: "Tab", bubbles: true, cancelable: true });
  const enter = new KeyboardEvent("keydown", {
    key: "Enter",
    ctrlKey: true,
    bubbles: true,
    cancelable: true,
  });
  act(() => void document.body.dispatchEvent(tab));
  act(() => void button.dispatchEvent(enter));

  expect(tab.defaultPrevented).toBe(false);
  expect(enter.defaultPrevented).toBe(false);
  expect(finish).not.toHaveBeenCalled();
  key("d");
  expect(finish).toHaveBeenCalledOnce();
});

it("hides the masks and lends the hand tool while their keys are held", async () => {
  const { page } = startPage();
  await show(page);
  const editor = page.state().open!.editor;

  key("h");
  key(" ");
  expect(editor.state()).toMatchObject({ areMasksHidden: true, isPanHeld: true });

  act(() => void window.dispatchEvent(new Event("blur")));
  expect(editor.state()).toMatchObject({ areMasksHidden: false, isPanHeld: false });
});
