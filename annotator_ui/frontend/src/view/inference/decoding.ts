/** Gets masks for prompts: the decoder in this browser, or the server when that does not work. */

import { ApiError } from "../../api/client";
import type { ApiClient } from "../../api/client";
import { candidatesFromApi, rleToJson, sizeOf } from "../../api/mapping";
import type { ModelOut, SessionOut } from "../../api/types";
import { EMPTY_DRAFT, promptRecords } from "../../core/editor/document";
import { isCutBy, cropKey, boxOfCrop } from "../../core/geometry/crops";
import type { Crop } from "../../core/geometry/crops";
import type { ImagePoint } from "../../core/geometry/geometry";
import { requestOf } from "../../core/editor/prompts";
import type { Candidate, DecodeRequest, PromptStep } from "../../core/editor/prompts";
import { DecoderFailure } from "../../decoder/client";
import type { DecodeOutcome, DecoderClient } from "../../decoder/client";
import { FrameChoice } from "../../decoder/frameChoice";
import type { AvailableFrames } from "../../decoder/frameChoice";
import type { Prefetch } from "./prefetch";
import { ValueStore } from "../store";

/** `preparing`: the server is still computing this image's embedding. `server`: it also decodes. */
export type DecodingKind = "loading" | "preparing" | "ready" | "server" | "failed";

export interface DecodingState {
  readonly kind: DecodingKind;
  readonly message: string;
  readonly lastDecodeMs: number | null;
}

export interface DecodingPorts {
  readonly api: ApiClient;
  readonly prefetch: Prefetch;
  readonly ortUrl: string;
  readonly numThreads: number;
  newDecoder(): DecoderClient;
  sleep(ms: number): Promise<void>;
}

interface PreviewAnswer {
  readonly imageId: string;
  readonly at: ImagePoint;
  readonly answer: Promise<FramedOutcome>;
}

/** An outcome and the key of the crop it was made in; null: the whole image. */
interface FramedOutcome {
  readonly crop: string | null;
  readonly outcome: DecodeOutcome;
}

/** The model changed while the page was open: the session must be taken again. */
export class OutdatedModel extends Error {
  override readonly name = "OutdatedModel";
}

const POLL = { firstMs: 700, factor: 1.3, longestMs: 4_000 } as const;

export class Decoding extends ValueStore<DecodingState> {
  readonly #ports: DecodingPorts;
  #decoder: { readonly sha256: string; readonly client: DecoderClient } | null = null;
  /** Why this browser does not decode, once it has failed to. */
  #serverReason: string | null = null;
  #session: SessionOut | null = null;
  /** The last preview: a click where the pointer rested has its answer already, or nearly so. */
  #previewAnswer: PreviewAnswer | null = null;
  /** The crop that the decoder holds beside the whole image. */
  #crop: Crop | null = null;
  /** The level of crops that fits the view. */
  #viewLevel = 0;
  readonly #frames = new FrameChoice();
  /** Settles when the image's load has, well or badly: prompts given early wait for it. */
  #loaded: Promise<unknown> = Promise.resolve();

  constructor(ports: DecodingPorts) {
    super({ kind: "loading", message: "Loading the model", lastDecodeMs: null });
    this.#ports = ports;
  }

  /** Make ready for an image. Throws OutdatedModel; other trouble is shown in the state. */
  load(session: SessionOut): Promise<void> {
    const loading = this.#load(session);
    this.#loaded = loading.catch(() => undefined);
    return loading;
  }

  async #load(session: SessionOut): Promise<void> {
    this.#session = session;
    this.#crop = null;
    this.update({ kind: "loading", message: "Loading the model", lastDecodeMs: null });
    try {
      const [, embedding] = await Promise.all([
        this.#open(session.model),
        this.#embedding(session),
      ]);
      if (this.#session !== session || embedding === null) return;
      await this.#setImage(session, embedding);
      if (this.#session === session) this.#showReady();
    } catch (error) {
      if (error instanceof OutdatedModel) throw error;
      if (this.#session === session) this.update({ kind: "failed", message: messageOf(error) });
    }
  }

  /** Masks for the prompts; null when newer prompts took their place. */
  async decode(steps: readonly PromptStep[]): Promise<readonly Candidate[] | null> {
    const session = this.#session;
    if (session === null) throw new Error("No image is open.");
    await this.#loaded;
    if (this.#session !== session) return null;
    if (this.#serverReason === null && this.#decoder !== null && this.state().kind === "ready") {
      try {
        const outcome = await this.#ask(this.#decoder.client, session, steps);
        if (outcome.kind === "superseded") return null;
        this.update({ lastDecodeMs: outcome.tookMs });
        return outcome.candidates;
      } catch (error) {
        if (this.#session !== session) return null;
        this.#switchToServer(error);
        this.#showReady();
      }
    }
    return this.#decodeOnServer(session, steps);
  }

  /** Hand over a crop of the open image. Returns whether the decoder has it; throws when it cannot be used. */
  async setCrop(imageId: string, crop: Crop, embedding: ArrayBuffer): Promise<boolean> {
    const session = this.#session;
    if (session?.image.id !== imageId || this.#decoder === null || this.state().kind !== "ready")
      return false;
    if (this.#crop !== null && cropKey(this.#crop) === cropKey(crop)) return true;
    this.#crop = crop; // at once: prompts given from now on wait behind it
    try {
      await this.#decoder.client.setCrop(imageId, crop, embedding, sizeOf(session.image));
    } catch (error) {
      if (this.#session !== session) return false;
      this.#crop = null;
      if (!(error instanceof DecoderFailure) || error.kind === "refused") throw error;
      this.#switchToServer(error);
      this.#showReady();
      return false;
    }
    return this.#session === session;
  }

  /** Set the level of crops that fits the view; 0: it shows too much for any. */
  setViewLevel(level: number): void {
    this.#viewLevel = level;
  }

  /** What a click here would give, if the decoder has nothing better to do; null when it has. */
  async preview(at: ImagePoint): Promise<readonly Candidate[] | null> {
    const session = this.#session;
    if (
      session === null ||
      this.#decoder === null ||
      this.state().kind !== "ready" ||
      this.#decoder.client.isBusy
    )
      return null;
    const request: DecodeRequest = {
      prompts: [{ kind: "point", at, label: 1 }],
      feedback: null,
      baseMask: null,
    };
    const crop = this.#frames.first(request, this.#availableFrames(session));
    const answer = this.#decodeIn(this.#decoder.client, session, request, crop);
    this.#previewAnswer = { imageId: session.image.id, at, answer };
    const outcome = (await answer.catch(() => null))?.outcome;
    return outcome?.kind === "answer" && this.#session === session ? outcome.candidates : null;
  }

  /** A click on what the preview shows takes the preview's answer, in the frame it was made in. */
  async #ask(
    client: DecoderClient,
    session: SessionOut,
    steps: readonly PromptStep[],
  ): Promise<DecodeOutcome> {
    const request = requestOf(steps);
    const preview = this.#previewAnswerFor(session, request);
    const known = preview === null ? null : await preview.answer.catch(() => null);
    if (known?.outcome.kind === "answer") {
      this.#frames.note(steps, known.crop);
      return known.outcome;
    }
    const { crop, outcome } = await this.#decodeIn(
      client,
      session,
      request,
      this.#frames.choose(steps, this.#availableFrames(session)),
    );
    this.#frames.note(steps, crop);
    return outcome;
  }

  /** Ask in a crop, and in the whole image when that cuts the object: it is larger than it seemed. */
  async #decodeIn(
    client: DecoderClient,
    session: SessionOut,
    request: DecodeRequest,
    crop: string | null,
  ): Promise<FramedOutcome> {
    const held = this.#crop;
    const outcome = await client.decode(session.image.id, request, crop);
    const best = outcome.kind === "answer" ? outcome.candidates[0] : undefined;
    if (
      crop === null ||
      held === null ||
      best === undefined ||
      !isCutBy(boxOfCrop(held, sizeOf(session.image)), sizeOf(session.image), best.rle)
    ) {
      return { crop, outcome };
    }
    return { crop: null, outcome: await client.decode(session.image.id, request, null) };
  }

  #availableFrames(session: SessionOut): AvailableFrames {
    const crop = this.#crop;
    return { image: sizeOf(session.image), crop, isAtViewLevel: crop?.level === this.#viewLevel };
  }

  #previewAnswerFor(
    session: SessionOut,
    { prompts, feedback, baseMask }: DecodeRequest,
  ): PreviewAnswer | null {
    const [prompt] = prompts;
    const preview = this.#previewAnswer;
    if (
      preview?.imageId !== session.image.id ||
      prompts.length !== 1 ||
      feedback !== null ||
      baseMask !== null
    )
      return null;
    if (
      prompt?.kind !== "point" ||
      prompt.label !== 1 ||
      prompt.at.x !== preview.at.x ||
      prompt.at.y !== preview.at.y
    )
      return null;
    return preview;
  }

  async #decodeOnServer(
    session: SessionOut,
    steps: readonly PromptStep[],
  ): Promise<readonly Candidate[]> {
    const request = requestOf(steps);
    const answer = await this.#ports.api.decode(session.image.id, {
      model_version_id: session.model.id,
      encoder_sha256: session.model.encoder_sha256,
      prompts: promptRecords({ ...EMPTY_DRAFT, steps }),
      ...(request.baseMask === null ? {} : { base_mask: rleToJson(request.baseMask) }),
    });
    return candidatesFromApi(answer);
  }

  async #open(model: ModelOut): Promise<void> {
    if (this.#serverReason !== null || this.#decoder?.sha256 === model.decoder_sha256) return;
    this.#decoder?.client.close();
    this.#decoder = null;
    const { api } = this.#ports;
    const [image, prompt] = await Promise.all([
      model.decoder_image_url === null ? null : api.bytes(model.decoder_image_url),
      api.bytes(model.decoder_prompt_url),
    ]);
    const client = this.#ports.newDecoder();
    this.#decoder = { sha256: model.decoder_sha256, client };
    try {
      await client.open(
        { image, prompt },
        { ortUrl: this.#ports.ortUrl, numThreads: this.#ports.numThreads },
      );
    } catch (error) {
      this.#switchToServer(error);
    }
  }

  /** Poll until the server has the embedding; null when another image was opened meanwhile. */
  async #embedding(session: SessionOut): Promise<ArrayBuffer | null> {
    const { image } = session;
    for (let pauseMs: number = POLL.firstMs; this.#session === session;) {
      try {
        return await this.#ports.prefetch.embedding(image.embedding_url);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.details.code === "outdated_embedding") throw new OutdatedModel(error.message);
        if (error.kind === "refused" || error.kind === "signed_out") throw error;
        const message = error.kind === "not_ready" ? "Preparing this image" : error.message;
        if (this.#isCurrent(session)) this.update({ kind: "preparing", message });
      }
      await this.#ports.sleep(pauseMs);
      pauseMs = Math.min(POLL.longestMs, pauseMs * POLL.factor);
    }
    return null;
  }

  async #setImage(session: SessionOut, embedding: ArrayBuffer): Promise<void> {
    if (this.#serverReason !== null || this.#decoder === null) return;
    const { image, model } = session;
    try {
      await this.#decoder.client.setImage(image.id, embedding, sizeOf(image), model.image_size_px);
    } catch (error) {
      this.#switchToServer(error);
    }
  }

  #switchToServer(error: unknown): void {
    if (!(error instanceof DecoderFailure)) throw error;
    this.#serverReason = error.message;
    this.#decoder?.client.close();
    this.#decoder = null;
  }

  #showReady(): void {
    if (this.#serverReason === null) this.update({ kind: "ready", message: "Ready" });
    else
      this.update({
        kind: "server",
        message: `Decoding on the server, because: ${this.#serverReason}`,
      });
  }

  #isCurrent(session: SessionOut): boolean {
    return this.#session === session;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
