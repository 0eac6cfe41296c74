import { expect, it } from "vitest";
import { imagePoint } from "../core/geometry/geometry";
import { modelFrame } from "../core/mask/mask";
import type { Prompt } from "../core/editor/prompts";
import { golden } from "../testing";
import { promptFeeds, toModel } from "./feeds";
import { chooseMasks } from "./selection";

interface FeedVector {
  name: string;
  image_hw: [number, number];
  image_size_px: number;
  prompts: {
    type: "point" | "box" | "mask";
    x_px: number;
    y_px: number;
    label: 0 | 1;
    x0_px: number;
    y0_px: number;
    x1_px: number;
    y1_px: number;
  }[];
  point_coords: number[][];
  point_labels: number[];
  has_mask_input: number;
  num_prompts: number;
}

const coordinates = golden("coordinates") as {
  image_hw: [number, number];
  image_size_px: number;
  input_hw: [number, number];
  points_xy_px: [number, number][];
  points_xy_model: number[][];
}[];
const selection = golden("selection") as {
  predicted_iou: number[];
  num_prompts: number;
  is_crossed: boolean[];
  index: number;
}[];

it.each(coordinates)(
  "places points of a $image_hw image in the $image_size_px px square",
  (vector) => {
    const [heightPx, widthPx] = vector.image_hw;
    const frame = modelFrame({ widthPx, heightPx }, vector.image_size_px);

    expect([frame.input.heightPx, frame.input.widthPx]).toEqual(vector.input_hw);
    vector.points_xy_px.forEach(([x, y], i) => {
      const [modelX, modelY] = toModel(x, y, frame);
      expect(modelX).toBeCloseTo(vector.points_xy_model[i]![0]!, 6);
      expect(modelY).toBeCloseTo(vector.points_xy_model[i]![1]!, 6);
    });
  },
);

it.each(golden("feeds") as FeedVector[])("feeds the decoder for $name on $image_hw", (vector) => {
  const [heightPx, widthPx] = vector.image_hw;
  const side = vector.image_size_px / 4;
  const prompts = vector.prompts.flatMap((prompt): Prompt[] => {
    if (prompt.type === "point")
      return [{ kind: "point", at: imagePoint(prompt.x_px, prompt.y_px), label: prompt.label }];
    if (prompt.type === "mask") return [];
    return [
      {
        kind: "box",
        box: { x0: prompt.x0_px, y0: prompt.y0_px, x1: prompt.x1_px, y1: prompt.y1_px },
      },
    ];
  });
  const feedback = vector.has_mask_input === 1 ? new Float32Array(side * side).fill(2) : null;

  const feeds = promptFeeds(
    prompts,
    feedback,
    modelFrame({ widthPx, heightPx }, vector.image_size_px),
    side,
  );

  expect(feeds.point_coords.dims).toEqual([1, vector.point_labels.length, 2]);
  vector.point_coords
    .flat()
    .forEach((value, i) => expect(feeds.point_coords.data[i]).toBeCloseTo(value, 4));
  expect([...feeds.point_labels.data]).toEqual(vector.point_labels);
  expect([...feeds.has_mask_input.data]).toEqual([vector.has_mask_input]);
  expect(feeds.mask_input.dims).toEqual([1, 1, side, side]);
  expect(feeds.mask_input.data[0]).toBe(vector.has_mask_input * 2);
});

it.each(selection)(
  "shows mask $index for $num_prompts prompts and $predicted_iou, crossed $is_crossed",
  ({ predicted_iou, num_prompts, is_crossed, index }) => {
    const chosen = chooseMasks(predicted_iou, num_prompts, (mask) => is_crossed[mask]!);

    expect(chosen[0]).toBe(index);
    expect(chosen).toHaveLength(num_prompts === 1 ? 3 : 1);
  },
);
