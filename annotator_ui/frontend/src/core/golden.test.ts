import { describe, expect, it } from "vitest";
import { golden } from "../testing";
import { logitsToBitmap, modelFrame } from "./mask";
import { areaPx, boundsOf, decodeRle, encodeRle, rleSha256, RleError, runsToString, stringToRuns } from "./rle";

interface CocoRle {
  size: [number, number];
  counts: string;
}

const { valid, invalid } = golden("rle") as {
  valid: { name: string; rle: CocoRle; runs: number[]; area_px: number; bbox_xywh_px: number[]; sha256: string; rows?: string[] }[];
  invalid: { why: string; rle: { size?: number[]; counts: unknown } }[];
};
const upscale = golden("upscale") as {
  image_hw: [number, number];
  image_size_px: number;
  low_res_logits: number[][];
  rle: CocoRle;
}[];

const fromCoco = (rle: CocoRle) => ({ widthPx: rle.size[1], heightPx: rle.size[0], counts: rle.counts });

describe("RLE, as Python writes it", () => {
  it.each(valid)("$name", ({ rle: coco, runs, area_px, bbox_xywh_px, sha256, rows }) => {
    const rle = fromCoco(coco);
    const bounds = boundsOf(rle) ?? { x0: 0, y0: 0, x1: 0, y1: 0 };

    expect(stringToRuns(rle.counts)).toEqual(runs);
    expect(runsToString(runs)).toBe(rle.counts);
    expect(areaPx(rle)).toBe(area_px);
    expect([bounds.x0, bounds.y0, bounds.x1 - bounds.x0, bounds.y1 - bounds.y0]).toEqual(bbox_xywh_px);
    expect(rleSha256(rle)).toBe(sha256);
    expect(encodeRle(decodeRle(rle)).counts).toBe(rle.counts);
    if (rows !== undefined) expect(decodeRle(rle).data.join("")).toBe(rows.join(""));
  });

  const texts = invalid.filter(({ rle }) => typeof rle.counts === "string" && rle.size?.length === 2);
  it.each(texts)("refuses $why", ({ rle }) => {
    expect(() => decodeRle(fromCoco(rle as CocoRle))).toThrow(RleError);
  });
});

it.each(upscale)("upscales logits to $image_hw px as the Python predictor does", (vector) => {
  const side = vector.low_res_logits.length;
  const [heightPx, widthPx] = vector.image_hw;

  const mask = logitsToBitmap(
    Float32Array.from(vector.low_res_logits.flat()),
    side,
    modelFrame({ widthPx, heightPx }, vector.image_size_px),
  );

  expect(encodeRle(mask).counts).toBe(vector.rle.counts);
});
