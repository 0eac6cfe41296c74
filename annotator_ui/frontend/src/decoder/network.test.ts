import { expect, it } from "vitest";
import type { Embedding, FloatTensor } from "./embedding";
import { Network } from "./network";
import type { Feeds, Part } from "./network";

const tensor = (...data: number[]): FloatTensor => ({
  data: Float32Array.from(data),
  dims: [data.length],
});
const halves = { image: Uint8Array.of(1), prompt: Uint8Array.of(2, 2) };
const whole = { image: null, prompt: Uint8Array.of(3, 3, 3) };
const embedding: Embedding = { imageEmbeddings: tensor(1), highResFeatures: tensor(2) };
const ANSWER = { low_res_masks: tensor(5), iou_predictions: tensor(6) };

/** Records what each part was asked; `inputNames` by the part's turn. */
function parts(...inputNames: string[][]) {
  const asked: Feeds[][] = [];
  const open = (): Promise<Part> => {
    const turn = asked.push([]) - 1;
    return Promise.resolve({
      inputNames: inputNames[turn] ?? [],
      run: (feeds: Feeds) => {
        asked[turn]!.push(feeds);
        return Promise.resolve(
          turn === 0 && inputNames.length > 1 ? { shared: tensor(9) } : ANSWER,
        );
      },
    });
  };
  return { asked, open };
}

it("does the image's part once and hands it to every click", async () => {
  const { asked, open } = parts(
    ["image_embeddings", "high_res_features"],
    ["high_res_features", "shared", "point_coords"],
  );

  const network = await Network.open(halves, open);
  const run = await network.prepare(embedding);
  await run({ point_coords: tensor(3), mask_input: tensor(4) });
  const answer = await run({ point_coords: tensor(8) });

  expect(asked[0]).toEqual([{ image_embeddings: tensor(1), high_res_features: tensor(2) }]);
  expect(asked[1]).toEqual(
    [3, 8].map((x) => ({
      high_res_features: tensor(2),
      shared: tensor(9),
      point_coords: tensor(x),
    })),
  );
  expect(answer).toEqual({ lowResMasks: tensor(5), iouPredictions: tensor(6) });
});

it("looks at a crop without forgetting the image", async () => {
  const { asked, open } = parts(["image_embeddings"], ["image_embeddings"]);

  const network = await Network.open(halves, open);
  const whole = await network.prepare(embedding);
  const crop = await network.prepare({ imageEmbeddings: tensor(7), highResFeatures: null });
  await crop({});
  await whole({});

  expect(asked[1]).toEqual([7, 1].map((x) => ({ image_embeddings: tensor(x) })));
});

it("runs a model that is not cut as it is", async () => {
  const { asked, open } = parts(["image_embeddings", "point_coords"]);
  const sizes: number[] = [];

  const network = await Network.open(whole, (model) => {
    sizes.push(model.length);
    return open();
  });
  const run = await network.prepare({ imageEmbeddings: tensor(1), highResFeatures: null });
  await run({ point_coords: tensor(3) });

  expect(sizes).toEqual([whole.prompt.length]);
  expect(asked).toEqual([[{ image_embeddings: tensor(1), point_coords: tensor(3) }]]);
});

it("says so when a model has no masks to give", async () => {
  const network = await Network.open(halves, () =>
    Promise.resolve({ inputNames: [], run: () => Promise.resolve({}) }),
  );

  const run = await network.prepare(embedding);

  await expect(run({})).rejects.toThrow("The decoder gave no masks.");
});
