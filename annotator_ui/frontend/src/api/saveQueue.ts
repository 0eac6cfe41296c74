/** The save queue of the browser: sends what was done, in order, until the server has it. Journal first, then the network; a mask is
 * called saved only when the server's fingerprint of it equals ours. */

import { rleSha256 } from "../core/mask/rle";
import { ApiError } from "./client";
import type { Journal } from "./journal";
import { rleFromJson } from "./mapping";
import type { NewOp, QueuedOp, SaveOp, Trouble } from "./queuedOps";
import { ALONE } from "./tabs";
import type { TabLink, TabMessage } from "./tabs";
import type { MaskIn, SavedMaskOut } from "./types";

export interface QueueServer {
  saveMask(assignmentId: string, mask: MaskIn): Promise<SavedMaskOut>;
  setMaskStatus(maskId: string, to: "accepted" | "rejected"): Promise<unknown>;
}

export interface QueueState {
  readonly pending: readonly QueuedOp[];
  /** How many of them are not on this device yet: closing the tab would lose these. */
  readonly numKeeping: number;
  /** Refused by the server; kept here until the person tries again or gives them up. */
  readonly refused: readonly QueuedOp[];
  /** Saved beside somebody else's newer version, which stayed the current one. */
  readonly conflicts: readonly SaveOp[];
  readonly savedCount: number;
  /** Why this device cannot keep unsent work, so that closing the tab would lose it; null: it can. */
  readonly keepProblem: string | null;
  readonly trouble: Trouble | null;
}

export interface QueuePorts {
  readonly server: QueueServer;
  readonly journal: Journal;
  readonly userName: string;
  readonly link?: TabLink;
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
  readonly #link: TabLink;
  readonly #listeners = new Set<() => void>();
  /** Refused saves whose mask was taken back; they return if that is undone. */
  readonly #withdrawn = new Map<string, readonly QueuedOp[]>();
  /** Journal writes under way: an op is sent only after its own has ended. */
  readonly #keeping = new Map<string, Promise<void>>();
  /** Pending ops that live in the journal alone: when they are gone from it, another tab sent them. */
  readonly #journalled = new Set<string>();
  readonly #settledIds = new Set<string>();
  #state: QueueState;
  #isSender = false;
  #isFlushing = false;
  #ordinal = 0;
  #nap = new AbortController();

  constructor(ports: QueuePorts) {
    this.#ports = ports;
    this.#link = ports.link ?? ALONE;
    this.#state = {
      pending: [],
      numKeeping: 0,
      refused: [],
      conflicts: [],
      savedCount: 0,
      keepProblem: ports.journal.problem ?? null,
      trouble: null,
    };
    this.#link.listen((message) => this.#receive(message));
    void this.#link.becomeSender().then(() => this.#lead());
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
    await this.#takeUp((left) => left.map(withoutRefusal));
    void this.#flush();
  }

  /** Keep the op on this device, then send it. Resolves when it is kept. */
  async enqueue(op: NewOp): Promise<void> {
    if (op.kind === "status" && this.#isSettledLocally(op.maskId, op.to)) return;
    this.#ordinal += 1;
    const added = {
      ...op,
      userName: this.#ports.userName,
      queuedAtMs: this.#ports.nowMs(),
      ordinal: this.#ordinal,
    };
    const kept = this.#keep(added);
    this.#keeping.set(added.id, kept);
    this.#set({ pending: [...this.#state.pending, added], numKeeping: this.#keeping.size });
    await kept;
    this.#keeping.delete(added.id);
    this.#set({ numKeeping: this.#keeping.size });
    this.#link.post({ type: "added", op: added });
    void this.#flush();
  }

  /** Try again now: the network came back, or the person signed in. */
  kick(): void {
    if (!this.#isSender) this.#link.post({ type: "kick" });
    this.#nap.abort();
    void this.#flush();
  }

  async retryRefused(id: string): Promise<void> {
    const op = this.#state.refused.find((one) => one.id === id);
    if (op === undefined) return;
    this.#queueAgain(withoutRefusal(op));
    await this.#flush();
  }

  async discardRefused(id: string): Promise<void> {
    this.#set({ refused: this.#state.refused.filter((one) => one.id !== id) });
    await this.#ports.journal.remove(id);
    this.#link.post({ type: "discarded", id });
  }

  dismissConflict(id: string): void {
    this.#set({ conflicts: this.#state.conflicts.filter((one) => one.id !== id) });
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
    } catch (error) {
      this.#set({ keepProblem: keepProblemOf(error) });
    }
  }

  /** The tab that sent is gone: what it left in the journal is ours to send. */
  async #lead(): Promise<void> {
    await this.#takeUp((left) => left.filter((op) => op.refusal === undefined));
    this.#isSender = true;
    void this.#flush();
  }

  async #takeUp(choose: (left: readonly QueuedOp[]) => readonly QueuedOp[]): Promise<void> {
    const left = await this.#ports.journal.all().catch(() => []);
    const ours = choose(
      left.filter((op) => op.userName === this.#ports.userName && !this.#settledIds.has(op.id)),
    );
    const inJournal = new Set(left.map((op) => op.id));
    const known = this.#state.pending.filter(
      (op) => inJournal.has(op.id) || !this.#journalled.has(op.id),
    );
    const knownIds = new Set(known.map((op) => op.id));
    const taken = ours.filter((op) => !knownIds.has(op.id));
    for (const op of taken) this.#journalled.add(op.id);
    this.#set({
      pending: [...taken, ...known],
      refused: this.#state.refused.filter((op) => !taken.some((one) => one.id === op.id)),
    });
  }

  #receive(message: TabMessage): void {
    if (message.type === "kick") this.#nap.abort();
    if (message.type === "trouble" && !this.#isSender) this.#set({ trouble: message.trouble });
    if (message.type === "discarded")
      this.#set({ refused: this.#state.refused.filter((op) => op.id !== message.id) });
    if (message.type === "added" && message.op.userName === this.#ports.userName)
      this.#learn(message.op);
    if (message.type === "settled" && message.op.userName === this.#ports.userName)
      this.#note(message);
  }

  /** Another tab kept an op: it is in the journal, so whoever sends will find it there too. */
  #learn(op: QueuedOp): void {
    const refused = this.#state.refused.filter((one) => one.id !== op.id);
    if (this.#state.pending.some((one) => one.id === op.id)) return;
    this.#settledIds.delete(op.id);
    this.#journalled.add(op.id);
    this.#set({ pending: [...this.#state.pending, op], refused });
    void this.#flush();
  }

  #queueAgain(op: QueuedOp): void {
    this.#settledIds.delete(op.id);
    this.#set({
      refused: this.#state.refused.filter((one) => one.id !== op.id),
      pending: [...this.#state.pending, op],
    });
    this.#link.post({ type: "added", op });
  }

  async #flush(): Promise<void> {
    if (this.#isFlushing || !this.#isSender) return;
    this.#isFlushing = true;
    for (let attempt = 0; ;) {
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
      await this.#settle(op, await this.#sendToServer(op));
      return null;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.kind !== "refused" && error.kind !== "not_ready") return error;
      await this.#settle(op, { refusal: error.message, isBeside: false });
      return null;
    }
  }

  /** Returns why the op is not done although the server answered, and whether it was saved beside the head revision. */
  async #sendToServer(op: QueuedOp): Promise<Outcome> {
    if (op.kind === "status") {
      await this.#ports.server.setMaskStatus(op.maskId, op.to);
      return { refusal: null, isBeside: false };
    }
    const saved = await this.#ports.server.saveMask(op.assignmentId, op.body);
    const isSame = saved.rle_sha256 === rleSha256(rleFromJson(op.body.rle));
    return { refusal: isSame ? null : DIFFERENT_PIXELS, isBeside: saved.conflict };
  }

  async #settle(op: QueuedOp, { refusal, isBeside }: Outcome): Promise<void> {
    const settled = refusal === null ? op : { ...op, refusal };
    if (refusal === null) await this.#ports.journal.remove(op.id).catch(() => undefined);
    else await this.#keep(settled);
    const isSaved = refusal === null && op.kind === "save";
    const message = {
      type: "settled",
      op: settled,
      isSaved,
      conflict: isSaved && isBeside ? op : null,
    } as const;
    this.#note(message);
    this.#link.post(message);
  }

  #note({ op, isSaved, conflict }: Extract<TabMessage, { type: "settled" }>): void {
    this.#settledIds.add(op.id);
    this.#journalled.delete(op.id);
    const pending = this.#state.pending.filter((one) => one.id !== op.id);
    const refused = this.#state.refused.filter((one) => one.id !== op.id);
    this.#set({
      trouble: null,
      pending,
      refused: op.refusal === undefined ? refused : [...refused, op],
      conflicts: conflict === null ? this.#state.conflicts : [...this.#state.conflicts, conflict],
      savedCount: this.#state.savedCount + (isSaved ? 1 : 0),
      // Sent is as good as kept: with nothing left to send there is nothing to lose.
      ...(pending.length === 0 ? { keepProblem: this.#ports.journal.problem ?? null } : {}),
    });
  }

  async #rest(trouble: ApiError, attempt: number): Promise<void> {
    const kind = trouble.kind === "signed_out" ? "signed_out" : "offline";
    const shared = { kind, message: trouble.message } as const;
    this.#set({ trouble: shared });
    this.#link.post({ type: "trouble", trouble: shared });
    const grown = Math.min(BACKOFF.longestMs, BACKOFF.firstMs * BACKOFF.factor ** (attempt - 1));
    const asked = (trouble.details.retryAfterS ?? 0) * 1000;
    const base = kind === "signed_out" ? BACKOFF.signedOutMs : grown;
    this.#nap = new AbortController();
    await this.#ports.sleep(
      Math.max(asked, base * (0.5 + this.#ports.random() / 2)),
      this.#nap.signal,
    );
  }

  /** A mask the server never took needs no message when it is taken back or brought back. */
  #isSettledLocally(maskId: string, to: "accepted" | "rejected"): boolean {
    const ofMask = this.#state.refused.filter((op) => op.maskId === maskId && op.kind === "save");
    const isUnknown = ofMask.some(
      (op) => op.kind === "save" && op.body.base_revision_id === undefined,
    );
    if (to === "rejected" && isUnknown) {
      this.#withdrawn.set(maskId, ofMask);
      for (const op of ofMask) void this.discardRefused(op.id);
      return true;
    }
    const back = this.#withdrawn.get(maskId);
    if (to === "rejected" || back === undefined) return false;
    this.#withdrawn.delete(maskId);
    for (const op of back.map(withoutRefusal)) {
      void this.#keep(op);
      this.#queueAgain(op);
    }
    void this.#flush();
    return true;
  }

  #set(change: Partial<QueueState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

interface Outcome {
  readonly refusal: string | null;
  readonly isBeside: boolean;
}

function keepProblemOf(error: unknown): string {
  return error instanceof DOMException && error.name === "QuotaExceededError"
    ? "This device has no room left for unsent masks: free some disk space."
    : "This browser keeps nothing on this device (a private window?).";
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
