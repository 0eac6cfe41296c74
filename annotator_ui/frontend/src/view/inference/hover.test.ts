import { expect, it } from "vitest";
import { screenPoint } from "../../core/geometry/geometry";
import type { ImagePoint } from "../../core/geometry/geometry";
import { candidate, rectangle, TestEditor } from "../../core/editor/testEditor";
import type { Candidate } from "../../core/editor/prompts";
import { HoverPreview } from "./hover";

function start() {
  const asked: { at: ImagePoint; answer: (candidates: readonly Candidate[] | null) => void }[] = [];
  let isOn = true;
  const hover = new HoverPreview(
    (at) => new Promise((answer) => void asked.push({ at, answer })),
    () => isOn,
  );
  const test = new TestEditor();
  const move = (x: number, y: number): void => hover.move(test.editor, screenPoint(x, y));
  const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
  return { hover, test, asked, move, settle, turn: (on: boolean) => void (isOn = on) };
}

it("asks one question at a time and next about where the pointer is by then", async () => {
  const { hover, asked, move, settle } = start();
  for (let x = 1; x < 30; x += 1) move(x, 10);
  expect(asked.map(({ at }) => at.x)).toEqual([1]);

  asked[0]!.answer([candidate(rectangle(0, 0, 5, 5), 0.7)]);
  await settle();

  expect(asked.map(({ at }) => at.x)).toEqual([1, 29]);
  expect(hover.state()).toMatchObject({ numShown: 1, predictedIou: 0.7 });
});

it("rests when the pointer does", async () => {
  const { asked, move, settle } = start();
  move(5, 5);
  asked[0]!.answer([candidate(rectangle(0, 0, 5, 5), 0.7)]);
  await settle();
  move(5, 5);
  await settle();
  expect(asked).toHaveLength(1);
  move(6, 5);
  expect(asked).toHaveLength(2);
});

it("asks again for a place whose preview was taken away", async () => {
  const { hover, asked, move, settle } = start();
  move(5, 5);
  asked[0]!.answer([candidate(rectangle(0, 0, 5, 5), 0.7)]);
  await settle();
  hover.clear();
  move(5, 5);
  expect(asked).toHaveLength(2);
});

it("shows nothing once a click is made, beside the image, with another tool or when off", async () => {
  const { hover, test, asked, move, settle, turn } = start();
  move(5, 5);
  test.click(5, 5);
  asked[0]!.answer([candidate(rectangle(0, 0, 5, 5), 0.7)]);
  await settle();
  expect(hover.state().rle).toBeNull();
  test.send({ type: "cancel" });

  move(500, 5);
  test.send({ type: "tool", id: "brush" });
  move(6, 6);
  test.send({ type: "tool", id: "point" });
  turn(false);
  move(7, 7);
  expect(asked).toHaveLength(1);
});

it("asks again where the pointer rests when the model sees more, also while it is being answered", async () => {
  const { hover, asked, move, settle } = start();
  move(5, 5);
  hover.again();
  asked[0]!.answer([candidate(rectangle(0, 0, 5, 5), 0.7)]);
  await settle();
  expect(asked).toHaveLength(2);

  asked[1]!.answer([candidate(rectangle(0, 0, 6, 6), 0.8)]);
  await settle();
  hover.again();
  expect(asked).toHaveLength(3);
});
