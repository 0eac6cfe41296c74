/** The page's controller: takes images, opens the editor on them, and moves on. */

import { ApiError } from "../api/client";
import type { ApiClient } from "../api/client";
import { maskFromApi, maskInFrom, sizeOf, syncedFromApi } from "../api/mapping";
import type { SaveOp } from "../api/queuedOps";
import type { SaveQueue } from "../api/saveQueue";
import type { MaskOut, PageConfig, SessionOut } from "../api/types";
import { Editor } from "../core/editor/editor";
import type { EditorEffect } from "../core/editor/events";
import { isEmptyDraft } from "../core/editor/document";
import { ViewportCrop } from "./inference/viewportCrop";
import { messageOf, OutdatedModel } from "./inference/decoding";
import type { Decoding } from "./inference/decoding";
import { HoverPreview } from "./inference/hover";
import type { Prefetch } from "./inference/prefetch";
import type { Settings } from "./settings";
import { ValueStore } from "./store";
import { SuggestionSearch } from "./inference/suggest";

export interface OpenImage {
  readonly session: SessionOut;
  readonly editor: Editor;
  /** Null until the image's bytes are here. */
  readonly bitmap: ImageBitmap | null;
}

export interface PageState {
  /** `stopped`: nothing can be labelled until the person does something about `message`. */
  readonly phase: "taking" | "labelling" | "nothing_left" | "stopped";
  readonly open: OpenImage | null;
  readonly message: string;
  /** A passing notice, e.g. why the image cannot be finished yet. */
  readonly notice: string;
  readonly isLeaving: boolean;
  readonly needsSignIn: boolean;
}

export interface PagePorts {
  readonly config: PageConfig;
  readonly api: ApiClient;
  readonly queue: SaveQueue;
  readonly decoding: Decoding;
  readonly prefetch: Prefetch;
  readonly settings: Settings;
  newId(): string;
  nowMs(): number;
  sleep(ms: number): Promise<void>;
  readImage(blob: Blob): Promise<ImageBitmap>;
}

const REPLAY_LIMIT_MS = 3_000;
const ASK_AGAIN_MS = 1_500;

export class LabelPage extends ValueStore<PageState> {
  readonly ports: PagePorts;
  readonly hover: HoverPreview;
  readonly search: SuggestionSearch;
  readonly viewportCrop: ViewportCrop;
  /** Images opened on this visit, in order, for going back. */
  readonly #visited: string[] = [];
  /** Refused masks do not hold the image for ever: a second press of "finish" goes on without them. */
  #warnedFor: string | null = null;

  constructor(ports: PagePorts) {
    super({
      phase: "taking",
      open: null,
      message: "",
      notice: "",
      isLeaving: false,
      needsSignIn: false,
    });
    this.ports = ports;
    this.hover = new HoverPreview(
      (at) => ports.decoding.preview(at),
      () => ports.settings.state().isHoverOn,
    );
    this.search = new SuggestionSearch({
      api: ports.api,
      sleep: (ms) => ports.sleep(ms),
      arrived: (imageId, masks) => this.#arrived(imageId, masks),
    });
    this.viewportCrop = new ViewportCrop({
      decoding: ports.decoding,
      bytes: (url) => ports.api.bytes(url),
      sleep: (ms) => ports.sleep(ms),
      onCropReady: () => this.hover.again(),
      outdated: () => {
        const session = this.state().open?.session;
        if (session !== undefined) void this.#renewSession(session);
      },
    });
  }

  /** Send what an earlier visit left, so that the server's masks are complete, then take an image. */
  async start(): Promise<void> {
    const { queue, config } = this.ports;
    await queue.restore();
    await Promise.race([queue.drained(), this.ports.sleep(REPLAY_LIMIT_MS)]);
    await this.take(config.image_id);
  }

  async take(imageId: string | null, message = ""): Promise<void> {
    this.update({ phase: "taking", message, needsSignIn: false });
    let session: SessionOut | null;
    try {
      session = await this.ports.api.takeNext(this.ports.config.project_slug, imageId);
    } catch (error) {
      if (error instanceof ApiError && error.kind === "not_ready") {
        await this.#askAgain(imageId, error);
        return;
      }
      const needsSignIn = error instanceof ApiError && error.kind === "signed_out";
      this.update({
        phase: "stopped",
        open: null,
        message: messageOf(error),
        needsSignIn,
        isLeaving: false,
      });
      return;
    }
    if (session === null) this.update({ phase: "nothing_left", open: null, isLeaving: false });
    else this.#open(session);
  }

  /** The server is preparing something, e.g. a new model's decoder: show that and wait for it. */
  async #askAgain(imageId: string | null, error: ApiError): Promise<void> {
    this.update({ message: error.message, open: null, isLeaving: false });
    await this.ports.sleep(ASK_AGAIN_MS);
    await this.take(imageId, error.message);
  }

  /** Submit the image once everything is saved, then take the next one. */
  async finish(): Promise<void> {
    await this.#leave("submit", (assignmentId, numLeftOut) =>
      this.ports.api.submit(assignmentId, numLeftOut),
    );
  }

  async skip(reason: string): Promise<void> {
    await this.#leave("skip", (assignmentId, numLeftOut) =>
      this.ports.api.skip(assignmentId, reason, numLeftOut),
    );
  }

  /** Go back to the image before this one; everything here is saved as it is. */
  async previous(): Promise<void> {
    const { open, isLeaving } = this.state();
    const here = open?.session.image.id;
    const before =
      this.#visited[
        here === undefined ? this.#visited.length - 1 : this.#visited.indexOf(here) - 1
      ];
    if (isLeaving || before === undefined) {
      this.notify("This is the first image of this visit.");
      return;
    }
    if (open !== null && !this.#mayLeave("submit", open)) return;
    this.update({ isLeaving: true, notice: "" });
    await this.ports.queue.drained();
    await this.take(before);
  }

  get hasPrevious(): boolean {
    const here = this.state().open?.session.image.id;
    return this.#visited.length > 0 && this.#visited[0] !== here;
  }

  /** Sign in again in place; what waits is sent at once. */
  async signIn(password: string): Promise<void> {
    const { api, config, queue } = this.ports;
    await api.signIn(config.sign_in_url, config.user.name, password);
    queue.kick();
    if (this.state().needsSignIn) await this.take(config.image_id);
  }

  /** Make the version that was kept beside another one the current one, or dismiss it. */
  async resolveConflict(op: SaveOp, keep: "mine" | "theirs"): Promise<void> {
    const { api, queue } = this.ports;
    try {
      const head = (await api.masksOf(op.imageId)).find((mask) => mask.id === op.maskId);
      if (head !== undefined && keep === "mine") {
        const id = this.ports.newId();
        const body = { ...op.body, revision_id: id, base_revision_id: head.revision_id };
        await queue.enqueue({
          kind: "save",
          id,
          imageId: op.imageId,
          imageName: op.imageName,
          maskId: op.maskId,
          assignmentId: op.assignmentId,
          body,
        });
      } else if (head !== undefined) {
        this.#arrived(op.imageId, [head], true);
      }
      queue.dismissConflict(op.id);
    } catch (error) {
      this.notify(messageOf(error));
    }
  }

  async extendLease(): Promise<void> {
    const { open } = this.state();
    if (open === null) return;
    try {
      await this.ports.api.extendLease(open.session.assignment_id);
    } catch (error) {
      // Masks are kept whoever holds the image; losing it is shown, but does not stop the work.
      if (error instanceof ApiError && error.kind === "refused") this.notify(error.message);
    }
  }

  notify(notice: string): void {
    this.update({ notice });
  }

  async #leave(
    how: "submit" | "skip",
    close: (assignmentId: string, numLeftOut: number) => Promise<void>,
  ): Promise<void> {
    const { open, isLeaving } = this.state();
    if (open === null || isLeaving || !this.#mayLeave(how, open)) return;
    this.update({ isLeaving: true, notice: "" });
    await this.ports.queue.drained();
    if (!this.#areAllSaved(open)) {
      this.update({ isLeaving: false });
      return;
    }
    let notice = "";
    try {
      await close(open.session.assignment_id, open.editor.state().document.numLeftOut);
    } catch (error) {
      notice = messageOf(error);
      if (!(error instanceof ApiError) || error.kind !== "refused") {
        this.update({ isLeaving: false, notice });
        return;
      }
    }
    this.update({ notice });
    await this.take(null);
  }

  #mayLeave(how: "submit" | "skip", open: OpenImage): boolean {
    if (how === "skip" || isEmptyDraft(open.editor.state().document.draft)) return true;
    this.notify("The mask on screen is not accepted yet: Enter keeps it, Esc drops it.");
    return false;
  }

  #areAllSaved(open: OpenImage): boolean {
    const imageId = open.session.image.id;
    const numRefused = this.ports.queue
      .state()
      .refused.filter((op) => op.imageId === imageId).length;
    if (numRefused === 0 || this.#warnedFor === imageId) return true;
    this.#warnedFor = imageId;
    this.notify(
      `${numRefused} of this image's masks could not be saved. Press again to go on without them.`,
    );
    return false;
  }

  #open(session: SessionOut): void {
    const items = session.masks.map(maskFromApi);
    const editor = new Editor(
      {
        image: sizeOf(session.image),
        author: this.ports.config.user.name,
        masks: items,
        synced: session.masks.map((mask, i) => syncedFromApi(mask, items[i] ?? maskFromApi(mask))),
        overlap: this.ports.settings.state().overlap,
        brushDiameterPx: this.ports.settings.state().brushDiameterPx,
      },
      {
        newId: () => this.ports.newId(),
        nowMs: () => this.ports.nowMs(),
        emit: (effect) => this.#perform(editor, effect),
      },
    );
    this.update({ phase: "labelling", open: { session, editor, bitmap: null }, isLeaving: false });
    if (!this.#visited.includes(session.image.id)) this.#visited.push(session.image.id);
    this.hover.clear();
    this.viewportCrop.open(session.image);
    void this.search.forget(session.image.id);
    void this.#loadImage(session);
    void this.#loadModel(session).then(() => this.ports.prefetch.expect(session.upcoming));
  }

  /** Masks of the server's: new ones are added, known ones only changed when asked. Returns how many. */
  #arrived(imageId: string, masks: readonly MaskOut[], replaces = false): number {
    const { open } = this.state();
    if (open?.session.image.id !== imageId) return 0;
    const known = new Set(open.editor.state().document.masks.map((mask) => mask.id));
    const fresh = masks.filter(
      (mask) => (replaces || !known.has(mask.id)) && mask.status !== "rejected",
    );
    if (fresh.length === 0) return 0;
    const items = fresh.map(maskFromApi);
    open.editor.dispatch({
      type: "masks_arrived",
      masks: items,
      synced: fresh.map((mask, i) => syncedFromApi(mask, items[i] ?? maskFromApi(mask))),
    });
    return fresh.length;
  }

  async #loadImage(session: SessionOut): Promise<void> {
    const { image } = session;
    try {
      const bitmap = await this.ports.readImage(
        await this.ports.prefetch.imageFile(image.file_url),
      );
      if (bitmap.width !== image.width_px || bitmap.height !== image.height_px) {
        throw new Error(
          `The image is ${bitmap.width} x ${bitmap.height} px, not ${image.width_px} x ${image.height_px}.`,
        );
      }
      const { open } = this.state();
      if (open?.session.image.id === image.id) this.update({ open: { ...open, bitmap } });
    } catch (error) {
      this.notify(`The image could not be shown: ${messageOf(error)}`);
    }
  }

  async #loadModel(session: SessionOut): Promise<void> {
    try {
      await this.ports.decoding.load(session);
    } catch (error) {
      if (!(error instanceof OutdatedModel)) throw error;
      await this.#renewSession(session);
    }
  }

  /** A new model serves since the image was opened: same image, same editor, new model. */
  async #renewSession(old: SessionOut): Promise<void> {
    try {
      const session = await this.ports.api.takeNext(this.ports.config.project_slug, old.image.id);
      const { open } = this.state();
      if (session === null || open?.session.image.id !== session.image.id) return;
      this.update({ open: { ...open, session } });
      this.viewportCrop.open(session.image);
      await this.ports.decoding.load(session);
    } catch (error) {
      this.notify(messageOf(error));
    }
  }

  #perform(editor: Editor, effect: EditorEffect): void {
    const session = this.state().open?.session;
    if (session === undefined) return;
    const { image } = session;
    switch (effect.type) {
      case "notify":
        this.notify(effect.text);
        return;
      case "decode":
        this.ports.decoding.decode(effect.steps).then(
          (candidates) => {
            if (candidates !== null)
              editor.dispatch({ type: "decoded", steps: effect.steps, candidates });
          },
          (error: unknown) =>
            editor.dispatch({
              type: "decode_failed",
              steps: effect.steps,
              message: messageOf(error),
            }),
        );
        return;
      case "save_mask":
        void this.ports.queue.enqueue({
          kind: "save",
          id: effect.revisionId,
          imageId: image.id,
          imageName: image.file_name,
          maskId: effect.mask.id,
          assignmentId: session.assignment_id,
          body: maskInFrom(effect, session.model.id),
        });
        return;
      case "set_status":
        void this.ports.queue.enqueue({
          kind: "status",
          id: this.ports.newId(),
          imageId: image.id,
          imageName: image.file_name,
          maskId: effect.maskId,
          to: effect.to,
        });
    }
  }
}
