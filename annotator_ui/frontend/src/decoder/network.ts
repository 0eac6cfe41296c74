/** The decoder's network in two halves (ADR 13): the work that depends on the image alone is done when
 * the image is opened, so that a click costs only the rest. */

import type { Embedding, FloatTensor } from "./embedding";
import type { Runner } from "./session";

export type Feeds = Readonly<Record<string, FloatTensor>>;

/** An ONNX graph that is ready to run; the worker passes onnxruntime's, tests their own. */
export interface Part {
  readonly inputNames: readonly string[];
  run(feeds: Feeds): Promise<Feeds>;
}

export type OpenPart = (model: Uint8Array) => Promise<Part>;

/** The files of a model version. `image` is null where the server could not cut the decoder in two:
 * `prompt` is the whole one then. */
export interface DecoderFiles<Bytes = ArrayBuffer> {
  readonly image: Bytes | null;
  readonly prompt: Bytes;
}

export class Network {
  readonly #image: Part | null;
  readonly #prompt: Part;

  private constructor(image: Part | null, prompt: Part) {
    this.#image = image;
    this.#prompt = prompt;
  }

  static async open(files: DecoderFiles<Uint8Array>, openPart: OpenPart): Promise<Network> {
    const image = files.image === null ? null : await openPart(files.image);
    return new Network(image, await openPart(files.prompt));
  }

  /** Answers prompts on what this embedding shows: masks and their predicted IoU. */
  async prepare({ imageEmbeddings, highResFeatures }: Embedding): Promise<Runner> {
    const features: Feeds = {
      image_embeddings: imageEmbeddings,
      ...(highResFeatures === null ? {} : { high_res_features: highResFeatures }),
    };
    const shared =
      this.#image === null ? {} : await this.#image.run(chosen(features, this.#image.inputNames));
    const known = { ...features, ...shared };
    return async (prompts) => {
      const outputs = await this.#prompt.run(
        chosen({ ...known, ...prompts }, this.#prompt.inputNames),
      );
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
