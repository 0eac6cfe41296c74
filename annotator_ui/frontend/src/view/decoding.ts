/** Gets masks for prompts: the decoder in this browser, or the server when that does not work. */

import { ApiError } from "../api/client";
import type { ApiClient } from "../api/client";
import { candidatesFromApi, rleToJson, sizeOf } from "../api/mapping";
import type { ModelOut, SessionOut } from "../api/types";
import { EMPTY_DRAFT, promptRecords } from "../core/document";
import { isCutBy, keyOf, squareOf } from "../core/closeUps";
import type { CloseUp } from "../core/closeUps";
import type { ImagePoint } from "../core/geometry";
import { requestOf } from "../core/prompts";
import type { Candidate, DecodeRequest, PromptStep } from "../core/prompts";
import { DecoderFailure } from "../decoder/client";
import type { DecodeOutcome, DecoderClient } from "../decoder/client";
import { FrameChoice } from "../decoder/frameChoice";
import type { InReach } from "../decoder/frameChoice";
import type { Prefetch } from "./prefetch";
import { ValueStore } from "./store";

/** `preparing`: the server is still computing this photo's embedding. `server`: it also decodes. */
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

interface Look {
  readonly imageId: string;
  readonly at: ImagePoint;
  readonly answer: Promise<FramedOutcome>;
}

/** An outcome and the key of the close-up it was made in; null: the whole photo. */
interface FramedOutcome {
  readonly closeUp: string | null;
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
  #whyServer: string | null = null;
  #session: SessionOut | null = null;
  /** The last look: a click where the pointer rested has its answer already, or nearly so. */
  #look: Look | null = null;
  /** What the decoder holds beside the whole photo. */
  #closeUp: CloseUp | null = null;
  /** The level of close-ups that fits what the person sees. */
  #seenLevel = 0;
  readonly #frames = new FrameChoice();
  /** Settles when the photo's load has, well or badly: prompts given early wait for it. */
  #loaded: Promise<unknown> = Promise.resolve();

  constructor(ports: DecodingPorts) {
    super({ kind: "loading", message: "Loading the model", lastDecodeMs: null });
    this.#ports = ports;
  }

  /** Make ready for a photo. Throws OutdatedModel; other trouble is shown in the state. */
  load(session: SessionOut): Promise<void> {
    const loading = this.#load(session);
    this.#loaded = loading.catch(() => undefined);
    return loading;
  }

  async #load(session: SessionOut): Promise<void> {
    this.#session = session;
    this.#closeUp = null;
    this.update({ kind: "loading", message: "Loading the model", lastDecodeMs: null });
    try {
      const [, embedding] = await Promise.all([this.#open(session.model), this.#embedding(session)]);
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
    if (this.#whyServer === null && this.#decoder !== null && this.state().kind === "ready") {
      try {
        const outcome = await this.#ask(this.#decoder.client, session, steps);
        if (outcome.kind === "superseded") return null;
        this.update({ lastDecodeMs: outcome.tookMs });
        return outcome.candidates;
      } catch (error) {
        if (this.#session !== session) return null;
        this.#giveUpOnBrowser(error);
        this.#showReady();
      }
    }
    return this.#decodeOnServer(session, steps);
  }

  /** Hand over a close-up of the open photo. Says whether the decoder has it; throws when it is no good. */
  async lookCloser(imageId: string, closeUp: CloseUp, embedding: ArrayBuffer): Promise<boolean> {
    const session = this.#session;
    if (session?.image.id !== imageId || this.#decoder === null || this.state().kind !== "ready") return false;
    if (this.#closeUp !== null && keyOf(this.#closeUp) === keyOf(closeUp)) return true;
    this.#closeUp = closeUp; // at once: prompts given from now on wait behind it
    try {
      await this.#decoder.client.setCloseUp(imageId, closeUp, embedding, sizeOf(session.image));
    } catch (error) {
      if (this.#session !== session) return false;
      this.#closeUp = null;
      if (!(error instanceof DecoderFailure) || error.kind === "refused") throw error;
      this.#giveUpOnBrowser(error);
      this.#showReady();
      return false;
    }
    return this.#session === session;
  }

  /** The person sees so much of the photo as this level's close-ups show; 0: more. */
  seeAtLevel(level: number): void {
    this.#seenLevel = level;
  }

  /** What a click here would give, if the decoder has nothing better to do; null when it has. */
  async look(at: ImagePoint): Promise<readonly Candidate[] | null> {
    const session = this.#session;
    if (session === null || this.#decoder === null || this.state().kind !== "ready" || this.#decoder.client.isBusy) return null;
    const request: DecodeRequest = { prompts: [{ kind: "point", at, label: 1 }], feedback: null, under: null };
    const closeUp = this.#frames.first(request, this.#inReach(session));
    const answer = this.#decodeIn(this.#decoder.client, session, request, closeUp);
    this.#look = { imageId: session.image.id, at, answer };
    const outcome = (await answer.catch(() => null))?.outcome;
    return outcome?.kind === "answer" && this.#session === session ? outcome.candidates : null;
  }

  /** A click on what the preview shows takes the preview's answer, in the frame it was made in. */
  async #ask(client: DecoderClient, session: SessionOut, steps: readonly PromptStep[]): Promise<DecodeOutcome> {
    const request = requestOf(steps);
    const look = this.#lookedAt(session, request);
    const known = look === null ? null : await look.answer.catch(() => null);
    if (known?.outcome.kind === "answer") {
      this.#frames.note(steps, known.closeUp);
      return known.outcome;
    }
    const { closeUp, outcome } = await this.#decodeIn(client, session, request, this.#frames.choose(steps, this.#inReach(session)));
    this.#frames.note(steps, closeUp);
    return outcome;
  }

  /** Ask in a close-up, and in the whole photo when that cuts the object: it is larger than it seemed. */
  async #decodeIn(client: DecoderClient, session: SessionOut, request: DecodeRequest, closeUp: string | null): Promise<FramedOutcome> {
    const held = this.#closeUp;
    const outcome = await client.decode(session.image.id, request, closeUp);
    const best = outcome.kind === "answer" ? outcome.candidates[0] : undefined;
    if (closeUp === null || held === null || best === undefined || !isCutBy(squareOf(held, sizeOf(session.image)), sizeOf(session.image), best.rle)) {
      return { closeUp, outcome };
    }
    return { closeUp: null, outcome: await client.decode(session.image.id, request, null) };
  }

  #inReach(session: SessionOut): InReach {
    const closeUp = this.#closeUp;
    return { image: sizeOf(session.image), closeUp, isAtItsLevel: closeUp?.level === this.#seenLevel };
  }

  #lookedAt(session: SessionOut, { prompts, feedback, under }: DecodeRequest): Look | null {
    const [prompt] = prompts;
    const look = this.#look;
    if (look?.imageId !== session.image.id || prompts.length !== 1 || feedback !== null || under !== null) return null;
    if (prompt?.kind !== "point" || prompt.label !== 1 || prompt.at.x !== look.at.x || prompt.at.y !== look.at.y) return null;
    return look;
  }

  async #decodeOnServer(session: SessionOut, steps: readonly PromptStep[]): Promise<readonly Candidate[]> {
    const request = requestOf(steps);
    const answer = await this.#ports.api.decode(session.image.id, {
      model_version_id: session.model.id,
      encoder_sha256: session.model.encoder_sha256,
      prompts: promptRecords({ ...EMPTY_DRAFT, steps }),
      ...(request.under === null ? {} : { under: rleToJson(request.under) }),
    });
    return candidatesFromApi(answer);
  }

  async #open(model: ModelOut): Promise<void> {
    if (this.#whyServer !== null || this.#decoder?.sha256 === model.decoder_sha256) return;
    this.#decoder?.client.close();
    this.#decoder = null;
    const bytes = await this.#ports.api.bytes(model.decoder_url);
    const client = this.#ports.newDecoder();
    this.#decoder = { sha256: model.decoder_sha256, client };
    try {
      await client.open(bytes, { ortUrl: this.#ports.ortUrl, numThreads: this.#ports.numThreads });
    } catch (error) {
      this.#giveUpOnBrowser(error);
    }
  }

  /** Poll until the server has the embedding; null when another image was opened meanwhile. */
  async #embedding(session: SessionOut): Promise<ArrayBuffer | null> {
    const { image } = session;
    for (let pauseMs: number = POLL.firstMs; this.#session === session; ) {
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
    if (this.#whyServer !== null || this.#decoder === null) return;
    const { image, model } = session;
    try {
      await this.#decoder.client.setImage(image.id, embedding, sizeOf(image), model.image_size_px);
    } catch (error) {
      this.#giveUpOnBrowser(error);
    }
  }

  #giveUpOnBrowser(error: unknown): void {
    if (!(error instanceof DecoderFailure)) throw error;
    this.#whyServer = error.message;
    this.#decoder?.client.close();
    this.#decoder = null;
  }

  #showReady(): void {
    if (this.#whyServer === null) this.update({ kind: "ready", message: "Ready" });
    else this.update({ kind: "server", message: `Decoding on the server, because: ${this.#whyServer}` });
  }

  #isCurrent(session: SessionOut): boolean {
    return this.#session === session;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
