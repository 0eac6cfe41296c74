/** Segment everything: asks the server, follows it, and hands over the masks as they come. */

import { ApiError } from "../../api/client";
import type { ApiClient } from "../../api/client";
import type { MaskOut } from "../../api/types";
import { messageOf } from "./decoding";
import { ValueStore } from "../store";

export interface SearchState {
  readonly imageId: string | null;
  readonly kind: "idle" | "waiting" | "running" | "done" | "failed";
  readonly progressPct: number;
  readonly message: string;
}

export interface SearchPorts {
  readonly api: ApiClient;
  /** Masks of this image that the server has now. */
  readonly arrived: (imageId: string, masks: readonly MaskOut[]) => number;
  sleep(ms: number): Promise<void>;
}

const POLL_MS = 900;
const IDLE: SearchState = { imageId: null, kind: "idle", progressPct: 0, message: "" };

export class SuggestionSearch extends ValueStore<SearchState> {
  readonly #ports: SearchPorts;

  constructor(ports: SearchPorts) {
    super(IDLE);
    this.#ports = ports;
  }

  /** Ask and follow until it is over or another image is opened. */
  async start(imageId: string): Promise<void> {
    if (this.state().imageId === imageId && this.#isLive()) return;
    this.update({ imageId, kind: "waiting", progressPct: 0, message: "Waiting for a worker" });
    try {
      await this.#ports.api.suggestions(imageId, "ask");
      await this.#follow(imageId);
    } catch (error) {
      if (this.state().imageId === imageId)
        this.update({ kind: "failed", message: messageOf(error) });
    }
  }

  async cancel(): Promise<void> {
    const { imageId } = this.state();
    if (imageId === null || !this.#isLive()) return;
    try {
      await this.#ports.api.suggestions(imageId, "cancel");
    } catch (error) {
      this.update({ message: messageOf(error) });
    }
  }

  /** Another image is opened; a search that is under way there is taken up. */
  async forget(nextImageId: string): Promise<void> {
    this.update({ ...IDLE, imageId: nextImageId });
    try {
      const { status } = await this.#ports.api.suggestions(nextImageId, "state");
      if (status !== "queued" && status !== "running") return;
      this.update({ kind: status === "queued" ? "waiting" : "running" });
      await this.#follow(nextImageId);
    } catch {
      // Nobody asked for suggestions here: there is nothing to show.
    }
  }

  #isLive(): boolean {
    return this.state().kind === "waiting" || this.state().kind === "running";
  }

  async #follow(imageId: string): Promise<void> {
    let found = 0;
    let shownPct = -1;
    while (this.state().imageId === imageId) {
      const now = await this.#answer(imageId);
      if (this.state().imageId !== imageId) return;
      const isOver = now !== null && now.status !== "queued" && now.status !== "running";
      if (now !== null && (isOver || now.progress_pct !== shownPct)) {
        shownPct = now.progress_pct;
        found += this.#ports.arrived(imageId, await this.#ports.api.masksOf(imageId));
      }
      if (isOver) {
        this.#end(now.status, now.error, found);
        return;
      }
      if (now !== null) {
        const isQueued = now.status === "queued";
        const message = isQueued ? "Waiting for a worker" : `${found} found so far`;
        this.update({
          kind: isQueued ? "waiting" : "running",
          progressPct: now.progress_pct,
          message,
        });
      }
      await this.#ports.sleep(POLL_MS);
    }
  }

  /** Null when the server cannot be asked just now: the search goes on without us. */
  async #answer(imageId: string) {
    try {
      return await this.#ports.api.suggestions(imageId, "state");
    } catch (error) {
      if (error instanceof ApiError && error.kind !== "refused") return null;
      throw error;
    }
  }

  #end(status: string, error: string, found: number): void {
    const what = found === 1 ? "1 suggestion" : `${found} suggestions`;
    if (status === "succeeded")
      this.update({
        kind: "done",
        progressPct: 100,
        message: found === 0 ? "Nothing new was found" : what,
      });
    else if (status === "cancelled") this.update({ kind: "done", message: `Stopped with ${what}` });
    else this.update({ kind: "failed", message: error.split("\n").at(-1) ?? "The search failed" });
  }
}
