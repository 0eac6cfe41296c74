/** The viewport crop: asks the server for the encoded crop of the image that fits the view, and hands it
 * to the decoder. Until it arrives, or when it fails, prompts are decoded in the whole image. */

import { ApiError } from "../../api/client";
import { sizeOf } from "../../api/mapping";
import type { ImageOut } from "../../api/types";
import { screenToImage } from "../../core/geometry/camera";
import { cropAt, hasMarginAt, cropKey, levelForView, boxOfCrop } from "../../core/geometry/crops";
import type { Crop } from "../../core/geometry/crops";
import type { EditorState } from "../../core/editor/editorState";
import { imagePoint, isInside, screenPoint } from "../../core/geometry/geometry";
import type { ImagePoint, ScreenPoint, Size } from "../../core/geometry/geometry";
import { messageOf } from "./decoding";
import type { Decoding } from "./decoding";
import { ValueStore } from "../store";

export interface ViewportCropState {
  /** `none`: the view shows too much of the image for any. `failed`: the whole image answers. */
  readonly kind: "none" | "loading" | "ready" | "failed";
  /** The crop that was asked for, as level-row-column. */
  readonly key: string | null;
  readonly message: string;
}

export type View = Pick<EditorState, "camera" | "viewport" | "document">;

export interface ViewportCropPorts {
  readonly decoding: Pick<Decoding, "state" | "subscribe" | "setCrop" | "setViewLevel">;
  bytes(url: string): Promise<ArrayBuffer>;
  sleep(ms: number): Promise<void>;
  /** Prompts are decoded in a new crop now. */
  readonly onCropReady: () => void;
  /** A new model serves since the image was opened. */
  readonly outdated: () => void;
}

/** The view must want the same crop for this long. */
const REST_MS = 250;
const POLL = { firstMs: 250, factor: 1.4, longestMs: 3_000 } as const;
/** Embeddings kept so that panning back asks for nothing. */
const NUM_KEPT = 8;
const NONE: ViewportCropState = { kind: "none", key: null, message: "" };

export class ViewportCrop extends ValueStore<ViewportCropState> {
  readonly #ports: ViewportCropPorts;
  /** By address, the one used last at the end. */
  readonly #kept = new Map<string, ArrayBuffer>();
  #image: ImageOut | null = null;
  #view: View | null = null;
  #pointer: ScreenPoint | null = null;
  #wanted: Crop | null = null;
  /** Counts what was wanted: whoever waits stops when it has moved on. */
  #turn = 0;

  constructor(ports: ViewportCropPorts) {
    super(NONE);
    this.#ports = ports;
    ports.decoding.subscribe(() => this.#reconsider());
  }

  /** Another image is opened, or the same one with another model. */
  open(image: ImageOut): void {
    if (this.#image?.id !== image.id) this.#view = null;
    this.#image = image;
    this.#want(null);
  }

  /** Take over the view, and where the pointer is (null: not over the image's frame). */
  updateView(view: View, pointer: ScreenPoint | null): void {
    this.#view = view;
    this.#pointer = pointer;
    this.#reconsider();
  }

  #reconsider(): void {
    const { decoding } = this.#ports;
    const [image, view] = [this.#image, this.#view];
    const level = image === null || view === null ? 0 : levelOf(view, sizeOf(image));
    decoding.setViewLevel(level);
    if (image === null || view === null || level === 0 || decoding.state().kind !== "ready") {
      this.#want(null);
      return;
    }
    if (isDrafting(view)) return;
    const wanted = this.#wantedIn(view, sizeOf(image), level);
    if (this.#wanted === null || cropKey(wanted) !== cropKey(this.#wanted)) this.#want(wanted);
  }

  /** The present crop as long as it shows enough around the point; small moves change no crop. */
  #wantedIn(view: View, image: Size, level: number): Crop {
    const pointed = this.#pointer === null ? null : screenToImage(view.camera, this.#pointer);
    const isOverImage = pointed !== null && isInside(pointed, image);
    const place = isOverImage ? pointed : middleOf(view, image);
    const present = this.#wanted;
    if (present?.level === level && hasMarginAt(boxOfCrop(present, image), image, place))
      return present;
    return cropAt(image, level, place);
  }

  #want(crop: Crop | null): void {
    this.#wanted = crop;
    this.#turn += 1;
    if (crop === null) {
      if (this.state().kind !== "none") this.update(NONE);
    } else if (this.#image !== null) {
      this.update({ kind: "loading", key: cropKey(crop), message: "" });
      void this.#get(this.#image, crop, this.#turn);
    }
  }

  async #get(image: ImageOut, crop: Crop, turn: number): Promise<void> {
    const url = addressOf(image, crop);
    await this.#ports.sleep(REST_MS);
    try {
      const embedding = await this.#embedding(url, turn);
      if (embedding === null) return;
      if (this.#view !== null && isDrafting(this.#view)) {
        this.#wanted = null; // wanted again when the mask is done
        return;
      }
      // A copy: the worker takes the buffer over.
      const isHeld = await this.#ports.decoding.setCrop(image.id, crop, embedding.slice(0));
      if (turn !== this.#turn || !isHeld) return;
      this.update({ kind: "ready", message: "" });
      this.#ports.onCropReady();
    } catch (error) {
      if (turn !== this.#turn) return;
      this.update({ kind: "failed", message: messageOf(error) });
      if (error instanceof ApiError && error.details.code === "outdated_embedding")
        this.#ports.outdated();
    }
  }

  /** Poll until the server has it; null when another crop is wanted by then. */
  async #embedding(url: string, turn: number): Promise<ArrayBuffer | null> {
    for (let pauseMs: number = POLL.firstMs; turn === this.#turn;) {
      try {
        const embedding = this.#kept.get(url) ?? (await this.#ports.bytes(url));
        this.#keep(url, embedding);
        return turn === this.#turn ? embedding : null;
      } catch (error) {
        if (!(error instanceof ApiError) || error.kind === "refused" || error.kind === "signed_out")
          throw error;
        const isComing = error.kind === "not_ready";
        if (turn === this.#turn)
          this.update({ kind: isComing ? "loading" : "failed", message: error.message });
      }
      await this.#ports.sleep(pauseMs);
      pauseMs = Math.min(POLL.longestMs, pauseMs * POLL.factor);
    }
    return null;
  }

  #keep(url: string, embedding: ArrayBuffer): void {
    this.#kept.delete(url);
    this.#kept.set(url, embedding);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= NUM_KEPT) break;
      this.#kept.delete(oldest);
    }
  }
}

/** A mask is finished in the crop it was begun in: no other takes its place meanwhile. */
function isDrafting({ document }: View): boolean {
  return document.draft.steps.length > 0;
}

function addressOf({ embedding_url: url }: ImageOut, crop: Crop): string {
  return `${url}${url.includes("?") ? "&" : "?"}crop=${cropKey(crop)}`;
}

/** The visible part of the image. */
function visibleBox(
  { camera, viewport }: View,
  image: Size,
): { readonly from: ImagePoint; readonly to: ImagePoint } {
  const cut = (place: number, lengthPx: number): number => Math.min(lengthPx, Math.max(0, place));
  const [first, last] = [screenPoint(0, 0), screenPoint(viewport.widthPx, viewport.heightPx)].map(
    (corner) => {
      const { x, y } = screenToImage(camera, corner);
      return imagePoint(cut(x, image.widthPx), cut(y, image.heightPx));
    },
  ) as [ImagePoint, ImagePoint];
  return { from: first, to: last };
}

function levelOf(view: View, image: Size): number {
  const { from, to } = visibleBox(view, image);
  const [widthPx, heightPx] = [to.x - from.x, to.y - from.y];
  if (widthPx <= 0 || heightPx <= 0) return 0;
  return levelForView(image, image.widthPx >= image.heightPx ? widthPx : heightPx);
}

function middleOf(view: View, image: Size): ImagePoint {
  const { from, to } = visibleBox(view, image);
  return imagePoint((from.x + to.x) / 2, (from.y + to.y) / 2);
}
