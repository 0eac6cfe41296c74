import { expect, it } from "vitest";
import type { CloseUp } from "../core/closeUps";
import { imagePoint } from "../core/geometry";
import type { ImageBox } from "../core/geometry";
import type { Prompt, PromptStep } from "../core/prompts";
import { rleFromStretches } from "../core/runs";
import { FrameChoice } from "./frameChoice";

const IMAGE = { widthPx: 400, heightPx: 400 };
/** x and y from 100 to 300; 25 px of room. */
const MIDDLE: CloseUp = { level: 1, row: 1, column: 1 };
const OTHER: CloseUp = { level: 1, row: 2, column: 2 };

const inReach = (closeUp: CloseUp | null, isAtItsLevel = true) => ({ image: IMAGE, closeUp, isAtItsLevel });
const point = (x: number, y: number): Prompt => ({ kind: "point", at: imagePoint(x, y), label: 1 });
const box = (x0: number, y0: number, x1: number, y1: number): Prompt => ({ kind: "box", box: { x0, y0, x1, y1 } });
const step = (prompt: Prompt): PromptStep => ({ prompt, feedback: null, under: null });

function column({ x0, y0, y1 }: Omit<ImageBox, "x1">) {
  return rleFromStretches(IMAGE, [[x0 * IMAGE.heightPx + y0, x0 * IMAGE.heightPx + y1]]);
}

it.each([
  { what: "a click amid it", prompt: point(200, 150), chosen: "1-1-1" },
  { what: "a click near its border", prompt: point(120, 150), chosen: null },
  { what: "a click outside", prompt: point(350, 150), chosen: null },
  { what: "a box within it", prompt: box(101, 101, 299, 299), chosen: "1-1-1" },
  { what: "a box that sticks out", prompt: box(90, 150, 200, 200), chosen: null },
])("begins $what in $chosen", ({ prompt, chosen }) => {
  expect(new FrameChoice().choose([step(prompt)], inReach(MIDDLE))).toBe(chosen);
  expect(new FrameChoice().choose([step(prompt)], inReach(null))).toBeNull();
  expect(new FrameChoice().choose([step(prompt)], inReach(MIDDLE, false))).toBeNull();
});

it("takes the close-up for an existing mask only when it shows all of it", () => {
  const on = (y0: number, y1: number): PromptStep => {
    const rle = column({ x0: 200, y0, y1 });
    return { prompt: point(210, 200), feedback: null, under: { rle, added: null, erased: null } };
  };

  expect(new FrameChoice().choose([on(110, 290)], inReach(MIDDLE))).toBe("1-1-1");
  expect(new FrameChoice().choose([on(90, 290)], inReach(MIDDLE))).toBeNull();
});

it("finishes a mask in the square it was begun in, near its border and from further away too", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(110, 110)), step(point(200, 210))];

  expect(choice.choose(steps.slice(0, 1), inReach(MIDDLE))).toBe("1-1-1");
  expect(choice.choose(steps.slice(0, 2), inReach(MIDDLE, false))).toBe("1-1-1");
  expect(choice.choose(steps, inReach(MIDDLE))).toBe("1-1-1");
});

it("goes on in the whole photo once a prompt is outside or the square is gone, and does not come back", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(350, 200)), step(point(200, 210))];
  choice.choose(steps.slice(0, 1), inReach(MIDDLE));
  expect(choice.choose(steps.slice(0, 2), inReach(MIDDLE))).toBeNull();
  expect(choice.choose([steps[0]!, steps[2]!], inReach(OTHER))).toBeNull();
  expect(choice.choose([steps[0]!, steps[2]!], inReach(MIDDLE))).toBeNull();
});

it("a mask begun in the whole photo stays there when the close-up comes", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(210, 210))];

  expect(choice.choose(steps.slice(0, 1), inReach(null))).toBeNull();
  expect(choice.choose(steps, inReach(MIDDLE))).toBeNull();
});

it("answers the same prompts in the same frame when one was taken back", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(210, 210))];
  choice.choose(steps.slice(0, 1), inReach(MIDDLE));
  choice.choose(steps, inReach(MIDDLE));

  expect(choice.choose(steps.slice(0, 1), inReach(MIDDLE, false))).toBe("1-1-1");
});
