/** The decoder's network. Where the model allows it, the work that depends on the image alone is done
 * when the image is opened, so that a click costs only the rest (see split.ts). */

import type { Embedding, FloatTensor } from "./embedding";
import type { Runner } from "./session";
import { splitModel } from "./split";

export type Feeds = Readonly<Record<string, FloatTensor>>;

/** An ONNX graph that is ready to run; the worker passes onnxruntime's, tests their own. */
export interface Part {
  readonly inputNames: readonly string[];
  run(feeds: Feeds): Promise<Feeds>;
}

export type OpenPart = (model: Uint8Array) => Promise<Part>;

const PHOTO_INPUTS: ReadonlySet<string> = new Set(["image_embeddings", "high_res_features"]);

export class Network {
  readonly #early: Part | null;
  readonly #late: Part;

  private constructor(early: Part | null, late: Part) {
    this.#early = early;
    this.#late = late;
  }

  /** A model that cannot be cut, or whose parts do not run, is run as it is. */
  static async open(model: Uint8Array, openPart: OpenPart): Promise<Network> {
    const split = splitModel(model, PHOTO_INPUTS);
    if (split === null) return new Network(null, await openPart(model));
    try {
      return new Network(await openPart(split.early), await openPart(split.late));
    } catch {
      return new Network(null, await openPart(model));
    }
  }

  /** Answers prompts on what this embedding shows: masks and their predicted IoU. */
  async lookAt({ imageEmbeddings, highResFeatures }: Embedding): Promise<Runner> {
    const features: Feeds = {
      image_embeddings: imageEmbeddings,
      ...(highResFeatures === null ? {} : { high_res_features: highResFeatures }),
    };
    const shared =
      this.#early === null ? {} : await this.#early.run(chosen(features, this.#early.inputNames));
    const seen = { ...features, ...shared };
    return async (prompts) => {
      const outputs = await this.#late.run(chosen({ ...seen, ...prompts }, this.#late.inputNames));
      const [lowResMasks, iouPredictions] = [outputs["low_res_masks"], outputs["iou_predictions"]];
      if (lowResMasks === undefined || iouPredictions === undefined)
        throw new Error("The decoder gave no masks.");
      return { lowResMasks, iouPredictions };
    };
  }
}

/** A model without an input (official ones take no high-resolution features) is not given it. */
function chosen(feeds: Feeds, names: readonly string[]): Feeds {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => names.includes(name)));
}
