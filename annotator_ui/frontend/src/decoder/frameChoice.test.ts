import { expect, it } from "vitest";
import type { Crop } from "../core/geometry/crops";
import { imagePoint } from "../core/geometry/geometry";
import type { ImageBox } from "../core/geometry/geometry";
import type { Prompt, PromptStep } from "../core/editor/prompts";
import { rleFromStretches } from "../core/mask/runs";
import { FrameChoice } from "./frameChoice";

const IMAGE = { widthPx: 400, heightPx: 400 };
/** x and y from 100 to 300; 25 px of room. */
const MIDDLE: Crop = { level: 1, row: 1, column: 1 };
const OTHER: Crop = { level: 1, row: 2, column: 2 };

const availableFrames = (crop: Crop | null, isAtViewLevel = true) => ({
  image: IMAGE,
  crop,
  isAtViewLevel,
});
const point = (x: number, y: number): Prompt => ({ kind: "point", at: imagePoint(x, y), label: 1 });
const box = (x0: number, y0: number, x1: number, y1: number): Prompt => ({
  kind: "box",
  box: { x0, y0, x1, y1 },
});
const step = (prompt: Prompt): PromptStep => ({ prompt, feedback: null, baseMask: null });

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
  expect(new FrameChoice().choose([step(prompt)], availableFrames(MIDDLE))).toBe(chosen);
  expect(new FrameChoice().choose([step(prompt)], availableFrames(null))).toBeNull();
  expect(new FrameChoice().choose([step(prompt)], availableFrames(MIDDLE, false))).toBeNull();
});

it("takes the crop for an existing mask only when it shows all of it", () => {
  const on = (y0: number, y1: number): PromptStep => {
    const rle = column({ x0: 200, y0, y1 });
    return {
      prompt: point(210, 200),
      feedback: null,
      baseMask: { rle, added: null, erased: null },
    };
  };

  expect(new FrameChoice().choose([on(110, 290)], availableFrames(MIDDLE))).toBe("1-1-1");
  expect(new FrameChoice().choose([on(90, 290)], availableFrames(MIDDLE))).toBeNull();
});

it("finishes a mask in the crop it was begun in, near its border and from further away too", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(110, 110)), step(point(200, 210))];

  expect(choice.choose(steps.slice(0, 1), availableFrames(MIDDLE))).toBe("1-1-1");
  expect(choice.choose(steps.slice(0, 2), availableFrames(MIDDLE, false))).toBe("1-1-1");
  expect(choice.choose(steps, availableFrames(MIDDLE))).toBe("1-1-1");
});

it("goes on in the whole image once a prompt is outside or the crop is gone, and does not come back", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(350, 200)), step(point(200, 210))];
  choice.choose(steps.slice(0, 1), availableFrames(MIDDLE));
  expect(choice.choose(steps.slice(0, 2), availableFrames(MIDDLE))).toBeNull();
  expect(choice.choose([steps[0]!, steps[2]!], availableFrames(OTHER))).toBeNull();
  expect(choice.choose([steps[0]!, steps[2]!], availableFrames(MIDDLE))).toBeNull();
});

it("a mask begun in the whole image stays there when the crop comes", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(210, 210))];

  expect(choice.choose(steps.slice(0, 1), availableFrames(null))).toBeNull();
  expect(choice.choose(steps, availableFrames(MIDDLE))).toBeNull();
});

it("answers the same prompts in the same frame when one was taken back", () => {
  const choice = new FrameChoice();
  const steps = [step(point(200, 200)), step(point(210, 210))];
  choice.choose(steps.slice(0, 1), availableFrames(MIDDLE));
  choice.choose(steps, availableFrames(MIDDLE));

  expect(choice.choose(steps.slice(0, 1), availableFrames(MIDDLE, false))).toBe("1-1-1");
});
