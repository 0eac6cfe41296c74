import { describe, expect, it } from "vitest";
import { areaPx, decodeRle, hasPixel } from "../mask/rle";
import { intersection, isEmptyRle, union } from "../mask/runs";
import { candidate, maskItem, rectangle, TestEditor } from "./testEditor";

const square = (id: string, x0 = 10, y0 = 10, x1 = 30, y1 = 30) =>
  maskItem(id, "accepted", "human", rectangle(x0, y0, x1, y1));
const kept = (test: TestEditor) => test.document.masks.filter((mask) => mask.status === "accepted");

describe("refining an existing mask", () => {
  it.each(["human", "prefilled", "automatic"] as const)(
    "asks about the click and the mask under it (%s)",
    (source) => {
      const item = maskItem(
        "m",
        source === "human" ? "accepted" : "proposed",
        source,
        rectangle(10, 10, 30, 30),
      );
      const test = new TestEditor([item]).send({ type: "refine", maskId: "m" }).click(40, 20);

      expect(test.effects.at(-1)).toMatchObject({
        type: "decode",
        steps: [{ prompt: { kind: "point", label: 1 }, baseMask: { rle: item.rle } }],
      });
      test.answer(candidate(rectangle(10, 10, 50, 30), 0.9)).takeMessages();
      test.send({ type: "accept_draft" });

      expect(test.takeMessages()).toMatchObject([
        {
          type: "save_mask",
          baseRevisionId: "head-m",
          mask: {
            id: "m",
            source,
            status: "accepted",
            prompts: [{ type: "mask" }, { type: "point" }],
          },
        },
      ]);
      expect(test.document.masks).toHaveLength(1);
    },
  );

  it("puts what clicks and brush did so far under the next click, and gives it back when that is removed", () => {
    const test = new TestEditor([square("m")]).send({ type: "refine", maskId: "m" });
    test.send({ type: "tool", id: "brush" }).click(60, 60).send({ type: "tool", id: "point" });
    const painted = test.editor.draftRle()!;
    test.click(62, 62, { button: "right" });
    const { steps } = test.document.draft;
    expect(steps[0]?.baseMask?.rle.counts).toBe(painted.counts);
    test.answer(candidate(rectangle(10, 10, 30, 30), 0.8));
    expect(hasPixel(test.editor.draftRle()!, 60, 60)).toBe(false);

    test.send({ type: "remove_last_prompt" });

    expect(test.editor.draftRle()?.counts).toBe(painted.counts);
  });

  it("feeds the model its own logits back when the mask is exactly its answer", () => {
    const answer = candidate(rectangle(5, 5, 40, 40), 0.9);
    const test = new TestEditor().click(15, 15).answer(answer).send({ type: "accept_draft" });
    test.send({ type: "refine", maskId: test.document.masks[0]!.id }).click(50, 50);

    expect(test.document.draft.steps[0]?.feedback).toBe(answer.lowResLogits);
  });

  it("leaves the mask as it was when the change is dropped", () => {
    const test = new TestEditor([square("m")]).send({ type: "refine", maskId: "m" }).click(40, 20);
    test.answer(candidate(rectangle(0, 0, 90, 70), 0.9)).takeMessages();
    test.send({ type: "cancel" });

    expect(test.takeMessages()).toEqual([]);
    expect(areaPx(test.document.masks[0]!.rle)).toBe(400);
  });
});

describe("polygon and lasso", () => {
  it("closes a polygon on Enter, on its first corner and on a double press", () => {
    const begun = () =>
      new TestEditor()
        .send({ type: "tool", id: "polygon" })
        .click(10, 10)
        .click(50, 10)
        .click(50, 40)
        .click(10, 40);
    for (const test of [
      begun().send({ type: "accept_draft" }),
      begun().click(13, 12),
      begun().click(10, 40),
    ]) {
      expect(areaPx(test.editor.draftRle()!)).toBe(40 * 30);
      expect(test.document.draft.edits).toEqual([{ kind: "polygon" }]);
    }
  });

  it("takes corners back one by one, and keeps them while the image is moved", () => {
    const test = new TestEditor()
      .send({ type: "tool", id: "polygon" })
      .click(10, 10)
      .click(50, 10)
      .click(90, 70);
    test.send({ type: "remove_last_prompt" }).click(50, 40);
    test
      .send({ type: "pan_held", isHeld: true })
      .drag(10, 10, 30, 20)
      .send({ type: "pan_held", isHeld: false });
    test.click(30, 50); // image (10, 40)
    test.send({ type: "accept_draft" });

    expect(areaPx(test.editor.draftRle()!)).toBe(40 * 30);
    expect(
      new TestEditor()
        .send({ type: "tool", id: "polygon" })
        .click(1, 1)
        .send({ type: "cancel" })
        .editor.path(),
    ).toBe("polygon.idle");
  });

  it("draws freehand and takes out with Shift", () => {
    const test = new TestEditor().send({ type: "tool", id: "lasso" });
    test.down(10, 10).move(50, 10).move(50, 40).move(10, 40).up(10, 10);
    test.down(20, 20, { shift: true }).move(30, 20).move(30, 30).move(20, 30).up(20, 20);

    expect(areaPx(test.editor.draftRle()!)).toBe(40 * 30 - 100);
  });
});

describe("operations on masks", () => {
  it("fills holes and keeps the largest part, of the draft and of a selected mask", () => {
    const test = new TestEditor()
      .send({ type: "tool", id: "polygon" })
      .click(10, 10)
      .click(50, 10)
      .click(50, 40)
      .click(10, 40);
    test
      .send({ type: "complete" })
      .send({ type: "tool", id: "eraser" })
      .send({ type: "brush_to", diameterPx: 6 })
      .click(30, 25);
    expect(areaPx(test.editor.draftRle()!)).toBeLessThan(1200);
    test.send({ type: "fill_holes" });
    expect(areaPx(test.editor.draftRle()!)).toBe(1200);

    const two = maskItem(
      "m",
      "accepted",
      "human",
      union(rectangle(0, 0, 10, 10), rectangle(50, 50, 80, 70)),
    );
    const other = new TestEditor([two])
      .send({ type: "select", maskId: "m" })
      .send({ type: "largest_part" });
    expect(kept(other).map((mask) => areaPx(mask.rle))).toEqual([600]);
    other.send({ type: "largest_part" });
    expect(other.notices).toEqual(["Nothing to change here."]);
  });

  it("merges into the first picked mask and rejects the others", () => {
    const test = new TestEditor([
      square("a"),
      square("b", 20, 20, 40, 40),
      square("c", 60, 60, 70, 70),
    ]);
    test
      .send({ type: "select", maskId: "b" })
      .send({ type: "mark", maskId: "a" })
      .send({ type: "merge" });

    expect(kept(test).map((mask) => [mask.id, areaPx(mask.rle)])).toEqual([
      ["b", 700],
      ["c", 100],
    ]);
    expect(test.takeMessages()).toMatchObject([
      { type: "set_status", maskId: "a", to: "rejected" },
      {
        type: "save_mask",
        mask: { id: "b", prompts: [{ type: "mask" }, { type: "edit", tool: "merge" }] },
      },
    ]);
  });

  it("subtracts, and notifies when nothing would change", () => {
    const test = new TestEditor([
      square("a"),
      square("b", 20, 20, 40, 40),
      square("c", 60, 60, 70, 70),
    ]);
    test
      .send({ type: "select", maskId: "a" })
      .send({ type: "mark", maskId: "b" })
      .send({ type: "subtract" });
    expect(kept(test).map((mask) => areaPx(mask.rle))).toEqual([300, 400, 100]);

    test
      .send({ type: "select", maskId: "a" })
      .send({ type: "mark", maskId: "c" })
      .send({ type: "subtract" });
    expect(test.notices.at(-1)).toMatch(/Nothing to take out/);
  });

  it("splits the parts into masks of their own, one undo step", () => {
    const parts = maskItem(
      "m",
      "proposed",
      "automatic",
      union(rectangle(0, 0, 10, 10), rectangle(50, 50, 80, 70)),
    );
    const test = new TestEditor([parts])
      .send({ type: "select", maskId: "m" })
      .send({ type: "split" });
    expect(kept(test).map((mask) => [mask.source, areaPx(mask.rle)])).toEqual([
      ["automatic", 600],
      ["human", 100],
    ]);

    test.takeMessages();
    test.send({ type: "undo" });
    expect(test.document.masks).toEqual([parts]);
    expect(test.takeMessages().filter((message) => message.type === "set_status")).toMatchObject([
      { to: "rejected" },
      { to: "rejected" },
    ]);
  });
});

describe("overlaps", () => {
  const accept = (
    policy: "keep" | "cut_below" | "cut_above",
    masks = [square("old"), maskItem("s", "proposed", "prefilled", rectangle(20, 20, 28, 28))],
  ) =>
    new TestEditor(masks)
      .send({ type: "overlap", policy })
      .click(20, 20)
      .answer(candidate(rectangle(20, 20, 50, 50), 0.9))
      .send({ type: "accept_draft" });

  it("stay, are cut from what lies below, or from the new mask, and suggestions are left alone", () => {
    const areas = (["keep", "cut_below", "cut_above"] as const).map((policy) =>
      kept(accept(policy)).map((mask) => areaPx(mask.rle)),
    );
    expect(areas).toEqual([
      [400, 900],
      [300, 900],
      [400, 800],
    ]);
    expect(areaPx(accept("cut_below").document.masks[1]!.rle)).toBe(64);
  });

  it("reject a mask that is wholly covered, and refuse one of which nothing would be left", () => {
    const covered = accept("cut_below", [square("tiny", 22, 22, 26, 26)]);
    expect(covered.document.masks[0]?.status).toBe("rejected");

    const refused = accept("cut_above", [square("all", 0, 0, 100, 80)]);
    expect(refused.document.masks).toHaveLength(1);
    expect(refused.notices.at(-1)).toMatch(/nothing would be left/);
    expect(refused.editor.draftRle()).not.toBeNull();
  });

  it("never share a pixel after any cut", () => {
    const test = accept("cut_below");
    const [a, b] = kept(test);
    expect(isEmptyRle(intersection(a!.rle, b!.rle))).toBe(true);
    expect(decodeRle(a!.rle).data[25 * 100 + 25]).toBe(0);
  });
});

describe("what arrives from the server", () => {
  const arrived = maskItem("new", "proposed", "automatic", rectangle(60, 60, 70, 70));
  const synced = [
    ["new", { status: "proposed", revisionId: "r", rle: arrived.rle, label: "" }],
  ] as const;

  it("stays when earlier work is undone, and is not sent back to the server", () => {
    const test = new TestEditor([square("m")]).send({
      type: "mask_status",
      maskId: "m",
      to: "rejected",
    });
    test.send({ type: "masks_arrived", masks: [arrived], synced }).takeMessages();
    test.send({ type: "undo" });

    expect(test.document.masks.map((mask) => [mask.id, mask.status])).toEqual([
      ["m", "accepted"],
      ["new", "proposed"],
    ]);
    expect(test.takeMessages()).toEqual([{ type: "set_status", maskId: "m", to: "accepted" }]);
  });

  it("replaces a mask that somebody else changed", () => {
    const theirs = square("m", 0, 0, 5, 5);
    const test = new TestEditor([square("m")]);
    test.send({
      type: "masks_arrived",
      masks: [theirs],
      synced: [["m", { status: "accepted", revisionId: "theirs", rle: theirs.rle, label: "" }]],
    });
    test
      .send({ type: "select", maskId: "m" })
      .send({ type: "tool", id: "brush" })
      .click(50, 50)
      .send({ type: "accept_draft" });

    expect(test.takeMessages()).toMatchObject([{ type: "save_mask", baseRevisionId: "theirs" }]);
  });
});

it("writes, changes and undoes a label as revisions of the mask", () => {
  const test = new TestEditor([square("m")]).send({ type: "label", maskId: "m", label: " cup " });
  expect(test.takeMessages()).toMatchObject([{ type: "save_mask", mask: { label: "cup" } }]);
  test.send({ type: "label", maskId: "m", label: "cup" });
  expect(test.takeMessages()).toEqual([]);
  test.send({ type: "undo" });
  expect(test.takeMessages()).toMatchObject([{ type: "save_mask", mask: { label: "" } }]);
});

it("hides, isolates and shows again without touching the masks", () => {
  const test = new TestEditor([square("a"), square("b", 40, 40, 60, 60)]).send({
    type: "tool",
    id: "select",
  });
  const before = test.document;
  test.send({ type: "select", maskId: "a" }).send({ type: "hide_selected" }).click(20, 20);
  expect(test.state.selectedMaskId).toBeNull();
  test.send({ type: "show_all" }).click(20, 20).send({ type: "isolate" });
  expect(test.state).toMatchObject({ isIsolated: true, selectedMaskId: "a" });
  expect(test.document).toBe(before);
});

it("leaves a hard object out: the draft goes, the clock starts anew, the image remembers how many", () => {
  const test = new TestEditor().click(15, 15).answer(candidate(rectangle(0, 0, 9, 9), 0.4));
  test.nowMs += 9_000;
  expect(test.editor.activeMs()).toBe(9_000);
  test.send({ type: "too_hard" });

  expect(test.editor.draftRle()).toBeNull();
  expect(test.editor.activeMs()).toBe(0);
  expect(test.editor.imageActiveMs()).toBe(9_000);
  expect(test.document.numLeftOut).toBe(1);
  expect(test.send({ type: "too_hard" }).document.numLeftOut).toBe(2);
  expect(test.send({ type: "undo" }).document.numLeftOut).toBe(1);
});

it("zooms with two fingers around the point between them", () => {
  const test = new TestEditor().send({
    type: "pinch",
    from: { x: 50, y: 40 } as never,
    to: { x: 60, y: 40 } as never,
    factor: 2,
  });
  expect(test.state.camera).toEqual({ scale: 2, offsetX: -40, offsetY: -40 });
});
