/** Sends what was done, in order, until the server has it. Journal first, then the network; a mask is
 * called saved only when the server's fingerprint of it equals ours. */

import { rleSha256 } from "../core/rle";
import { ApiError } from "./client";
import type { Journal } from "./journal";
import { rleFromJson } from "./mapping";
import type { MaskIn, SavedMaskOut } from "./types";

interface OpBase {
  /** The revision id of a save; sending one twice is one revision. */
  readonly id: string;
  readonly userName: string;
  readonly imageId: string;
  readonly imageName: string;
  readonly maskId: string;
  readonly queuedAtMs: number;
  /** Order among the ops of one millisecond. */
  readonly ordinal: number;
  readonly refusal?: string;
}

export interface SaveOp extends OpBase {
  readonly kind: "save";
  readonly assignmentId: string;
  readonly body: MaskIn;
}

export interface StatusOp extends OpBase {
  readonly kind: "status";
  readonly to: "accepted" | "rejected";
}

export type QueuedOp = SaveOp | StatusOp;
type NewFields = "userName" | "queuedAtMs" | "ordinal" | "refusal";
export type NewOp = Omit<SaveOp, NewFields> | Omit<StatusOp, NewFields>;

export interface QueueServer {
  saveMask(assignmentId: string, mask: MaskIn): Promise<SavedMaskOut>;
  setMaskStatus(maskId: string, to: "accepted" | "rejected"): Promise<unknown>;
}

export interface QueueState {
  readonly pending: readonly QueuedOp[];
  /** Refused by the server; kept here until the person tries again or gives them up. */
  readonly refused: readonly QueuedOp[];
  readonly savedCount: number;
  /** False when this device could not store an op, so that closing the tab would lose it. */
  readonly isKept: boolean;
  /** Why sending has stopped for the moment. */
  readonly trouble: { readonly kind: "offline" | "signed_out"; readonly message: string } | null;
}

export interface QueuePorts {
  readonly server: QueueServer;
  readonly journal: Journal;
  readonly userName: string;
  nowMs(): number;
  /** Resolves after the time, or earlier when `kick` is called. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** In [0, 1); spreads the retries of many browsers. */
  random(): number;
}

const BACKOFF = { firstMs: 1_000, factor: 2, longestMs: 30_000, signedOutMs: 10_000 } as const;
const DIFFERENT_PIXELS = "The server stored other pixels than the ones shown here.";

export class SaveQueue {
  readonly #ports: QueuePorts;
  readonly #listeners = new Set<() => void>();
  /** Refused saves whose mask was taken back; they return if that is undone. */
  readonly #withdrawn = new Map<string, readonly QueuedOp[]>();
  /** Journal writes under way: an op is sent only after its own has ended. */
  readonly #keeping = new Map<string, Promise<void>>();
  #state: QueueState = { pending: [], refused: [], savedCount: 0, isKept: true, trouble: null };
  #isFlushing = false;
  #ordinal = 0;
  #nap = new AbortController();

  constructor(ports: QueuePorts) {
    this.#ports = ports;
  }

  state(): QueueState {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Take up what an earlier page of this person left unsent. */
  async restore(): Promise<void> {
    const left = (await this.#ports.journal.all()).filter((op) => op.userName === this.#ports.userName);
    const pending = left.map(withoutRefusal);
    this.#set({ pending: [...pending, ...this.#state.pending] });
    void this.#flush();
  }

  /** Keep the op on this device, then send it. Resolves when it is kept. */
  async enqueue(op: NewOp): Promise<void> {
    if (op.kind === "status" && this.#isSettledLocally(op.maskId, op.to)) return;
    this.#ordinal += 1;
    const added = { ...op, userName: this.#ports.userName, queuedAtMs: this.#ports.nowMs(), ordinal: this.#ordinal };
    const kept = this.#keep(added);
    this.#keeping.set(added.id, kept);
    this.#set({ pending: [...this.#state.pending, added] });
    await kept;
    this.#keeping.delete(added.id);
    void this.#flush();
  }

  /** Try again now: the network came back, or the person signed in. */
  kick(): void {
    this.#nap.abort();
    void this.#flush();
  }

  async retryRefused(id: string): Promise<void> {
    const op = this.#state.refused.find((one) => one.id === id);
    if (op === undefined) return;
    this.#set({
      refused: this.#state.refused.filter((one) => one.id !== id),
      pending: [...this.#state.pending, withoutRefusal(op)],
    });
    await this.#flush();
  }

  async discardRefused(id: string): Promise<void> {
    this.#set({ refused: this.#state.refused.filter((one) => one.id !== id) });
    await this.#ports.journal.remove(id);
  }

  /** Resolves when nothing is waiting to be sent; refused ops do not wait. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      const check = (): boolean => {
        if (this.#state.pending.length > 0) return false;
        resolve();
        return true;
      };
      if (check()) return;
      const stop = this.subscribe(() => {
        if (check()) stop();
      });
    });
  }

  async #keep(op: QueuedOp): Promise<void> {
    try {
      await this.#ports.journal.put(op);
    } catch {
      this.#set({ isKept: false });
    }
  }

  async #flush(): Promise<void> {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    for (let attempt = 0; ; ) {
      const op = this.#state.pending[0];
      if (op === undefined) break;
      await this.#keeping.get(op.id);
      const trouble = await this.#send(op);
      attempt = trouble === null ? 0 : attempt + 1;
      if (trouble !== null) await this.#rest(trouble, attempt);
    }
    this.#isFlushing = false;
  }

  /** Send one op. Returns the trouble when it must be sent again later. */
  async #send(op: QueuedOp): Promise<ApiError | null> {
    try {
      const refusal = await this.#tell(op);
      await this.#settle(op, refusal);
      return null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.kind !== "refused" && error.kind !== "not_ready") return error;
      await this.#settle(op, error.message);
      return null;
    }
  }

  /** Returns why the op is not done although the server answered, or null. */
  async #tell(op: QueuedOp): Promise<string | null> {
    if (op.kind === "status") {
      await this.#ports.server.setMaskStatus(op.maskId, op.to);
      return null;
    }
    const saved = await this.#ports.server.saveMask(op.assignmentId, op.body);
    return saved.rle_sha256 === rleSha256(rleFromJson(op.body.rle)) ? null : DIFFERENT_PIXELS;
  }

  async #settle(op: QueuedOp, refusal: string | null): Promise<void> {
    const refused = refusal === null ? null : { ...op, refusal };
    if (refused === null) await this.#ports.journal.remove(op.id).catch(() => undefined);
    else await this.#keep(refused);
    this.#set({
      trouble: null,
      pending: this.#state.pending.filter((one) => one.id !== op.id),
      refused: refused === null ? this.#state.refused : [...this.#state.refused, refused],
      savedCount: this.#state.savedCount + (refusal === null && op.kind === "save" ? 1 : 0),
    });
  }

  async #rest(trouble: ApiError, attempt: number): Promise<void> {
    const kind = trouble.kind === "signed_out" ? "signed_out" : "offline";
    this.#set({ trouble: { kind, message: trouble.message } });
    const grown = Math.min(BACKOFF.longestMs, BACKOFF.firstMs * BACKOFF.factor ** (attempt - 1));
    const asked = (trouble.details.retryAfterS ?? 0) * 1000;
    const base = kind === "signed_out" ? BACKOFF.signedOutMs : grown;
    this.#nap = new AbortController();
    await this.#ports.sleep(Math.max(asked, base * (0.5 + this.#ports.random() / 2)), this.#nap.signal);
  }

  /** A mask the server never took needs no message when it is taken back or brought back. */
  #isSettledLocally(maskId: string, to: "accepted" | "rejected"): boolean {
    const ofMask = this.#state.refused.filter((op) => op.maskId === maskId && op.kind === "save");
    const isUnknown = ofMask.some((op) => op.kind === "save" && op.body.base_revision_id === undefined);
    if (to === "rejected" && isUnknown) {
      this.#withdrawn.set(maskId, ofMask);
      for (const op of ofMask) void this.discardRefused(op.id);
      return true;
    }
    const back = this.#withdrawn.get(maskId);
    if (to === "rejected" || back === undefined) return false;
    this.#withdrawn.delete(maskId);
    this.#set({ pending: [...this.#state.pending, ...back.map(withoutRefusal)] });
    for (const op of back) void this.#keep(op);
    void this.#flush();
    return true;
  }

  #set(change: Partial<QueueState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

function withoutRefusal(op: QueuedOp): QueuedOp {
  const copy = { ...op };
  delete (copy as { refusal?: string }).refusal;
  return copy;
}

/** Sleep that an abort ends early, without an error. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
