/** What the server has been told about each mask, and what must still be said so that it knows the
 * document. Undo and redo need no rules of their own: they change the document, this closes the gap. */

import type { MaskItem, MaskStatus } from "./document";
import { isSameRle } from "./rle";
import type { Rle } from "./rle";

export interface Told {
  readonly status: MaskStatus;
  readonly revisionId: string;
  readonly rle: Rle;
  readonly label: string;
}

export type Message =
  | {
      readonly type: "save_mask";
      readonly mask: MaskItem;
      readonly revisionId: string;
      readonly baseRevisionId: string | null;
    }
  | { readonly type: "set_status"; readonly maskId: string; readonly to: "accepted" | "rejected" };

export class ToldServer {
  readonly #told = new Map<string, Told>();

  constructor(known: Iterable<readonly [string, Told]>) {
    this.learn(known);
  }

  /** The server said so itself. */
  learn(known: Iterable<readonly [string, Told]>): void {
    for (const [id, told] of known) this.#told.set(id, told);
  }

  /** The messages that bring the server from what it was told to these masks; remembers them as said. */
  catchUp(masks: readonly MaskItem[], newRevisionId: () => string): readonly Message[] {
    const messages: Message[] = [];
    for (const mask of masks) messages.push(...this.#tell(mask, newRevisionId));
    const present = new Set(masks.map((mask) => mask.id));
    for (const [maskId, told] of this.#told) {
      if (!present.has(maskId) && told.status !== "rejected") {
        messages.push(this.#setStatus(maskId, told, "rejected"));
      }
    }
    return messages;
  }

  #tell(mask: MaskItem, newRevisionId: () => string): readonly Message[] {
    const messages: Message[] = [];
    let told = this.#told.get(mask.id);
    if (told === undefined || !isSameRle(told.rle, mask.rle) || told.label !== mask.label) {
      const revisionId = newRevisionId();
      messages.push({ type: "save_mask", mask, revisionId, baseRevisionId: told?.revisionId ?? null });
      // A person's save accepts the mask, whatever it was before.
      told = { status: "accepted", revisionId, rle: mask.rle, label: mask.label };
      this.#told.set(mask.id, told);
    }
    const wanted = reachableStatus(told.status, mask.status);
    if (wanted !== told.status && wanted !== "proposed") {
      messages.push(this.#setStatus(mask.id, told, wanted));
    }
    return messages;
  }

  #setStatus(maskId: string, told: Told, to: "accepted" | "rejected"): Message {
    this.#told.set(maskId, { ...told, status: to });
    return { type: "set_status", maskId, to };
  }
}

/** No mask goes back to `proposed` on the server: the nearest thing to undoing a yes is a no. */
function reachableStatus(told: MaskStatus, wanted: MaskStatus): MaskStatus {
  if (wanted !== "proposed") return wanted;
  return told === "proposed" ? "proposed" : "rejected";
}
