import { describe, expect, it } from "vitest";
import { golden } from "../testing";
import { imagePoint } from "./geometry/geometry";
import { logitsToRle, modelFrame } from "./mask/mask";
import {
  areaPx,
  boundsOf,
  decodeRle,
  encodeRle,
  rleSha256,
  RleError,
  runsToString,
  stringToRuns,
} from "./mask/rle";
import { contextOf, coverageOf, isPinhole, localEdit, seedLogits } from "./mask/seeds";

interface CocoRle {
  size: [number, number];
  counts: string;
}

const { valid, invalid } = golden("rle") as {
  valid: {
    name: string;
    rle: CocoRle;
    runs: number[];
    area_px: number;
    bbox_xywh_px: number[];
    sha256: string;
    rows?: string[];
  }[];
  invalid: { why: string; rle: { size?: number[]; counts: unknown } }[];
};
const upscale = golden("upscale") as {
  image_hw: [number, number];
  image_size_px: number;
  low_res_logits: number[][];
  rle: CocoRle;
}[];

const fromCoco = (rle: CocoRle) => ({
  widthPx: rle.size[1],
  heightPx: rle.size[0],
  counts: rle.counts,
});

describe("RLE, as Python writes it", () => {
  it.each(valid)("$name", ({ rle: coco, runs, area_px, bbox_xywh_px, sha256, rows }) => {
    const rle = fromCoco(coco);
    const bounds = boundsOf(rle) ?? { x0: 0, y0: 0, x1: 0, y1: 0 };

    expect(stringToRuns(rle.counts)).toEqual(runs);
    expect(runsToString(runs)).toBe(rle.counts);
    expect(areaPx(rle)).toBe(area_px);
    expect([bounds.x0, bounds.y0, bounds.x1 - bounds.x0, bounds.y1 - bounds.y0]).toEqual(
      bbox_xywh_px,
    );
    expect(rleSha256(rle)).toBe(sha256);
    expect(encodeRle(decodeRle(rle)).counts).toBe(rle.counts);
    if (rows !== undefined) expect(decodeRle(rle).data.join("")).toBe(rows.join(""));
  });

  const texts = invalid.filter(
    ({ rle }) => typeof rle.counts === "string" && rle.size?.length === 2,
  );
  it.each(texts)("refuses $why", ({ rle }) => {
    expect(() => decodeRle(fromCoco(rle as CocoRle))).toThrow(RleError);
  });
});

it.each(upscale)("upscales logits to $image_hw px as the Python predictor does", (vector) => {
  const side = vector.low_res_logits.length;
  const [heightPx, widthPx] = vector.image_hw;

  const mask = logitsToRle(
    Float32Array.from(vector.low_res_logits.flat()),
    side,
    modelFrame({ widthPx, heightPx }, vector.image_size_px),
  );

  expect(mask.counts).toBe(vector.rle.counts);
});

interface SeedCase {
  image_hw: [number, number];
  image_size_px: number;
  rle: CocoRle;
  seed_logits: number[][];
  click: { x_px: number; y_px: number; label: 0 | 1 };
  point_xy_px: [number, number];
  box_xyxy_px: [number, number, number, number];
  answer: CocoRle;
  edited: CocoRle | null;
  holes: { edited: CocoRle; is_pinhole: boolean }[];
}

describe("an existing mask, as the model is shown it", () => {
  it.each(golden("seeds") as SeedCase[])("$image_hw px, label $click.label", (vector) => {
    const [heightPx, widthPx] = vector.image_hw;
    const rle = fromCoco(vector.rle);
    const side = vector.image_size_px / 4;
    const click = {
      at: imagePoint(vector.click.x_px, vector.click.y_px),
      label: vector.click.label,
    };
    const coverage = coverageOf(rle, modelFrame({ widthPx, heightPx }, vector.image_size_px), side);

    const worst = seedLogits(coverage).reduce(
      (max, value, i) => Math.max(max, Math.abs(value - vector.seed_logits.flat()[i]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-3);
    const [point, box] = contextOf(rle, coverage, click);
    if (point?.kind !== "point" || box?.kind !== "box") throw new Error("a point, then a box");
    [point.at.x, point.at.y].forEach((value, i) =>
      expect(value).toBeCloseTo(vector.point_xy_px[i]!, 3),
    );
    [box.box.x0, box.box.y0, box.box.x1, box.box.y1].forEach((value, i) =>
      expect(value).toBeCloseTo(vector.box_xyxy_px[i]!, 3),
    );
    expect(localEdit(rle, fromCoco(vector.answer), click)?.counts ?? null).toBe(
      vector.edited?.counts ?? null,
    );
    for (const hole of vector.holes)
      expect(isPinhole(rle, fromCoco(hole.edited), coverage, click.at)).toBe(hole.is_pinhole);
  });
});
