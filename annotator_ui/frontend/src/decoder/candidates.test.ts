import { expect, it } from "vitest";
import { logitsToRle, modelFrame } from "../core/mask/mask";
import { fromSent, LogitsCandidate, toSent } from "./candidates";

const SIDE = 8;
const frame = modelFrame({ widthPx: 40, heightPx: 24 }, 32);

/** On in its first `rows` rows. */
const logits = (rows: number) => ({
  data: Float32Array.from({ length: SIDE * SIDE }, (_, i) => (i < rows * SIDE ? 2 : -2)),
  crop: "1-0-0",
});

it("posts the first candidate with its mask and the others without, and loses nothing on the way", () => {
  const candidates = [1, 2, 3].map((rows) => new LogitsCandidate(logits(rows), rows / 4, frame));

  const posted = structuredClone(toSent(candidates));
  const arrived = fromSent(posted);

  expect(posted.map((one) => one.kind)).toEqual(["mask", "logits", "logits"]);
  expect(arrived.map((one) => one.predictedIou)).toEqual([0.25, 0.5, 0.75]);
  expect(arrived.map((one) => one.rle)).toEqual(
    [1, 2, 3].map((rows) => logitsToRle(logits(rows).data, SIDE, frame)),
  );
  expect(arrived.map((one) => one.lowResLogits)).toEqual([1, 2, 3].map(logits));
  expect(arrived[1]!.rle).toBe(arrived[1]!.rle);
});

it("posts a candidate that has no logits as the mask it is", () => {
  const edit = {
    rle: logitsToRle(logits(2).data, SIDE, frame),
    predictedIou: 0.5,
    lowResLogits: null,
  };

  const posted = toSent([edit, edit, new LogitsCandidate(logits(1), 0.9, frame)]);

  expect(posted.map((one) => one.kind)).toEqual(["mask", "mask", "logits"]);
  expect(fromSent(posted)[1]).toMatchObject(edit);
});
