import { describe, expect, it } from "vitest";
import { decodeRle } from "../mask/rle";
import { candidate, maskItem, rectangle, TestEditor } from "./testEditor";
import type { ToolId } from "../tools/tool";

const whole = candidate(rectangle(0, 0, 60, 60), 0.9);
const part = candidate(rectangle(10, 10, 30, 30), 0.8);
const subpart = candidate(rectangle(12, 12, 16, 16), 0.7);

describe("prompts", () => {
  it("turns a click into a positive point in image pixels", () => {
    const test = new TestEditor().click(30, 40);

    expect(test.document.draft.steps.map((step) => step.prompt)).toEqual([
      { kind: "point", at: { x: 30, y: 40 }, label: 1 },
    ]);
    expect(test.effects).toMatchObject([{ type: "decode" }]);
  });

  it.each([{ button: "right" } as const, { shift: true }])(
    "takes %o as a negative point",
    (how) => {
      const test = new TestEditor().click(30, 40, how);

      expect(test.document.draft.steps[0]?.prompt).toMatchObject({ kind: "point", label: 0 });
    },
  );

  it("makes a box of a drag longer than five pixels, and a click of a shorter one", () => {
    expect(new TestEditor().down(10, 10).up(15, 10).document.draft.steps[0]?.prompt.kind).toBe(
      "point",
    );
    expect(new TestEditor().drag(60, 50, 20, 10).document.draft.steps[0]?.prompt).toEqual({
      kind: "box",
      box: { x0: 20, y0: 10, x1: 60, y1: 50 },
    });
  });

  it("cuts a box at the image's edge and ignores clicks beside the image", () => {
    expect(new TestEditor().drag(80, 70, 300, 300).document.draft.steps[0]?.prompt).toMatchObject({
      box: { x0: 80, y0: 70, x1: 100, y1: 80 },
    });
    expect(new TestEditor().click(500, 10).document.draft.steps).toEqual([]);
  });

  it("offers three candidates after one click and cycles through them", () => {
    const test = new TestEditor().click(15, 15).answer(whole, part, subpart);

    const shown = [0, 1, 2, 3].map(() => {
      const rle = test.editor.draftRle();
      test.send({ type: "cycle_candidate", step: 1 });
      return rle;
    });
    expect(shown).toEqual([whole.rle, part.rle, subpart.rle, whole.rle]);
    test.send({ type: "cycle_candidate", step: -1 }).send({ type: "cycle_candidate", step: -1 });
    expect(test.editor.draftRle()).toEqual(subpart.rle);
  });

  it("refines the candidate that was chosen, not the first one", () => {
    const test = new TestEditor().click(15, 15).answer(whole, part, subpart);
    test.send({ type: "cycle_candidate", step: 1 }).click(20, 20, { button: "right" });

    const { steps } = test.document.draft;
    expect(steps[0]?.feedback).toBeNull();
    expect(steps[1]?.feedback).toBe(part.lowResLogits);
  });

  it("ignores the answer to a question that is no longer asked", () => {
    const test = new TestEditor().click(15, 15);
    const first = test.document.draft.steps;
    test.click(20, 20);

    test.send({ type: "decoded", steps: first, candidates: [whole] });

    expect(test.state.isDecoding).toBe(true);
    expect(test.editor.draftRle()).toBeNull();
    test.answer(part);
    expect(test.editor.draftRle()).toEqual(part.rle);
  });

  it("does not pass off the old mask as the answer when decoding fails", () => {
    const test = new TestEditor().click(15, 15).answer(whole).click(20, 20);
    test.send({ type: "decode_failed", steps: test.document.draft.steps, message: "no network" });
    test.send({ type: "accept_draft" });

    expect(test.state).toMatchObject({ decodeError: "no network", isDecoding: false });
    expect(test.document.masks).toEqual([]);
  });

  it("accepts as soon as the model answers when Enter came first", () => {
    const test = new TestEditor().click(15, 15).send({ type: "accept_draft" });
    expect(test.document.masks).toEqual([]);

    test.answer(whole, part);

    expect(test.document.masks).toMatchObject([{ status: "accepted", rle: whole.rle }]);
  });

  it("finds the earlier mask again, without asking, when the last prompt is undone", () => {
    const test = new TestEditor().click(15, 15).answer(whole).click(20, 20).answer(part);
    test.effects.length = 0;

    test.send({ type: "undo" });

    expect(test.editor.draftRle()).toEqual(whole.rle);
    expect(test.effects).toEqual([]);
  });

  it("asks again for the remaining prompts when the last one is removed", () => {
    const test = new TestEditor().click(15, 15).answer(whole).click(20, 20).answer(part);

    test.send({ type: "remove_last_prompt" });

    expect(test.effects.at(-1)).toMatchObject({ type: "decode", steps: [{ feedback: null }] });
  });
});

describe("every tool", () => {
  const exits = ["cancel", "interrupt", "switch", "pointer_left"] as const;
  const tools: ToolId[] = ["point", "brush", "eraser", "pan", "select"];

  it.each(tools.flatMap((tool) => exits.map((exit) => [tool, exit] as const)))(
    "%s leaves nothing behind on %s",
    (tool, exit) => {
      const test = new TestEditor().send({ type: "tool", id: tool }).down(20, 20).move(50, 50);

      if (exit === "switch") test.send({ type: "tool", id: tool === "pan" ? "point" : "pan" });
      else test.send({ type: exit });

      expect(test.state.preview).toBeNull();
      expect(test.editor.path()).toMatch(/\.idle$/);
      expect(test.document).toEqual({
        masks: [],
        numLeftOut: 0,
        draft: expect.objectContaining({ steps: [], edits: [] }) as unknown,
      });
    },
  );

  it("finishes the gesture where the pointer last was on complete", () => {
    const test = new TestEditor().down(10, 10).move(40, 40).send({ type: "complete" });

    expect(test.document.draft.steps[0]?.prompt.kind).toBe("box");
    expect(test.editor.path()).toBe("point.idle");
  });

  it("pans with the space bar held without losing the tool", () => {
    const test = new TestEditor().send({ type: "pan_held", isHeld: true }).drag(10, 10, 30, 20);
    expect(test.state.camera).toMatchObject({ offsetX: 20, offsetY: 10 });

    test.send({ type: "pan_held", isHeld: false });

    expect(test.editor.path()).toBe("point.idle");
    expect(test.document.draft.steps).toEqual([]);
  });
});

describe("brush and eraser", () => {
  it("paints a mask from nothing and erases from it", () => {
    const test = new TestEditor().send({ type: "tool", id: "brush" }).drag(20, 20, 60, 20);
    const painted = decodeRle(test.editor.draftRle()!);
    expect(painted.data[20 * 100 + 40]).toBe(1);

    test.send({ type: "tool", id: "eraser" }).click(40, 20);

    const erased = decodeRle(test.editor.draftRle()!);
    expect([erased.data[20 * 100 + 40], erased.data[20 * 100 + 20]]).toEqual([0, 1]);
  });

  it("keeps strokes when a later click changes the model's mask", () => {
    const test = new TestEditor()
      .click(15, 15)
      .answer(whole)
      .send({ type: "tool", id: "brush" })
      .click(90, 70);
    test.send({ type: "tool", id: "point" }).click(20, 20).answer(part);

    const mask = decodeRle(test.editor.draftRle()!);
    expect([mask.data[70 * 100 + 90], mask.data[20 * 100 + 20], mask.data[50 * 100 + 50]]).toEqual([
      1, 1, 0,
    ]);
  });

  it("repaints the selected mask as a new revision of it", () => {
    const test = new TestEditor([maskItem("m1", "accepted", "human")]).send({
      type: "select",
      maskId: "m1",
    });
    test.send({ type: "tool", id: "eraser" }).click(20, 20).send({ type: "accept_draft" });

    expect(test.takeMessages()).toMatchObject([
      {
        type: "save_mask",
        mask: {
          id: "m1",
          prompts: [{ type: "mask" }, { type: "eraser", size_px: 24, strokes: 1 }],
        },
        baseRevisionId: "head-m1",
      },
    ]);
    expect(test.document.masks).toHaveLength(1);
  });

  it("changes the brush size in steps and keeps it in its limits", () => {
    const test = new TestEditor();
    for (let i = 0; i < 50; i += 1) test.send({ type: "brush_size", step: -1 });
    expect(test.state.brushDiameterPx).toBe(1);
    for (let i = 0; i < 50; i += 1) test.send({ type: "brush_size", step: 1 });
    expect(test.state.brushDiameterPx).toBe(500);
  });
});

describe("messages to the server", () => {
  it("saves an accepted mask at once, with its prompts and its time", () => {
    const test = new TestEditor().click(15, 15).answer(whole);
    test.nowMs += 2_500;

    test.send({ type: "accept_draft" });

    expect(test.takeMessages()).toMatchObject([
      {
        type: "save_mask",
        mask: {
          source: "human",
          author: "ann",
          rle: whole.rle,
          annotateMs: 2_500,
          prompts: [{ type: "point", x_px: 15, y_px: 15, label: 1 }],
        },
        baseRevisionId: null,
      },
    ]);
  });

  it("does not accept an empty mask", () => {
    const test = new TestEditor().click(15, 15).answer(candidate(rectangle(0, 0, 0, 0), 0.1));

    test.send({ type: "accept_draft" });

    expect(test.document.masks).toEqual([]);
    expect(test.takeMessages()).toEqual([]);
  });

  it("rejects a saved mask when its acceptance is undone, and accepts it again on redo", () => {
    const test = new TestEditor().click(15, 15).answer(whole).send({ type: "accept_draft" });
    const maskId = test.document.masks[0]!.id;
    test.takeMessages();

    test.send({ type: "undo" });
    expect(test.takeMessages()).toEqual([{ type: "set_status", maskId, to: "rejected" }]);
    expect(test.editor.draftRle()).toEqual(whole.rle);

    test.send({ type: "redo" });
    expect(test.takeMessages()).toEqual([{ type: "set_status", maskId, to: "accepted" }]);
  });

  it("stores the old pixels as a further revision when a repaint is undone", () => {
    const item = maskItem("m1", "accepted", "human");
    const test = new TestEditor([item]).send({ type: "select", maskId: "m1" });
    test.send({ type: "tool", id: "brush" }).click(60, 60).send({ type: "accept_draft" });
    const [saved] = test.takeMessages();

    test.send({ type: "undo" });

    expect(test.takeMessages()).toMatchObject([
      {
        type: "save_mask",
        mask: { id: "m1", rle: item.rle },
        baseRevisionId: saved?.type === "save_mask" ? saved.revisionId : "",
      },
    ]);
  });

  it.each(["accepted", "rejected"] as const)(
    "moves to the next suggestion after one is %s and sends only that",
    (to) => {
      const test = new TestEditor([
        maskItem("p1", "proposed", "prefilled"),
        maskItem("p2", "proposed", "prefilled"),
      ]);
      test.send({ type: "select", maskId: "p1" }).send({ type: "mask_status", maskId: "p1", to });

      expect(test.takeMessages()).toEqual([{ type: "set_status", maskId: "p1", to }]);
      expect(test.state.selectedMaskId).toBe("p2");
    },
  );

  it("takes back a yes by a no, because nothing becomes a suggestion again", () => {
    const test = new TestEditor([maskItem("p1", "proposed", "prefilled")]);
    test.send({ type: "mask_status", maskId: "p1", to: "accepted" });
    test.takeMessages();

    test.send({ type: "undo" });

    expect(test.document.masks[0]?.status).toBe("proposed");
    expect(test.takeMessages()).toEqual([{ type: "set_status", maskId: "p1", to: "rejected" }]);
  });
});

it("measures a mask from the previous acceptance, active time only", () => {
  const test = new TestEditor().click(15, 15).answer(whole).send({ type: "accept_draft" });
  test.nowMs += 60_000;
  test.click(70, 70).answer(part);
  test.nowMs += 1_000;

  test.send({ type: "accept_draft" });

  // Ten seconds of the minute's pause count, then the second after the click.
  expect(test.document.masks[1]?.annotateMs).toBe(11_000);
});
