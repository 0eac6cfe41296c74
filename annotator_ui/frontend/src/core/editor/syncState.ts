/** The version of each mask that was last sent to the server, and the messages that bring the server up
 * to date with the document. Undo and redo need no rules of their own: they change the document, and the
 * difference is sent. */

import type { MaskItem, MaskStatus } from "./document";
import { isSameRle } from "../mask/rle";
import type { Rle } from "../mask/rle";

/** A mask as the server has it, once every message sent so far has arrived. */
export interface SyncedMask {
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

export class SyncState {
  readonly #synced = new Map<string, SyncedMask>();

  constructor(known: Iterable<readonly [string, SyncedMask]>) {
    this.acknowledge(known);
  }

  /** Take over versions that came from the server. */
  acknowledge(known: Iterable<readonly [string, SyncedMask]>): void {
    for (const [id, synced] of known) this.#synced.set(id, synced);
  }

  /** The messages that bring the server from its synced masks to these; remembers them as sent. */
  messagesFor(masks: readonly MaskItem[], newRevisionId: () => string): readonly Message[] {
    const messages: Message[] = [];
    for (const mask of masks) messages.push(...this.#messagesFor(mask, newRevisionId));
    const present = new Set(masks.map((mask) => mask.id));
    for (const [maskId, synced] of this.#synced) {
      if (!present.has(maskId) && synced.status !== "rejected") {
        messages.push(this.#setStatus(maskId, synced, "rejected"));
      }
    }
    return messages;
  }

  #messagesFor(mask: MaskItem, newRevisionId: () => string): readonly Message[] {
    const messages: Message[] = [];
    let synced = this.#synced.get(mask.id);
    if (synced === undefined || !isSameRle(synced.rle, mask.rle) || synced.label !== mask.label) {
      const revisionId = newRevisionId();
      messages.push({
        type: "save_mask",
        mask,
        revisionId,
        baseRevisionId: synced?.revisionId ?? null,
      });
      // A person's save accepts the mask, whatever it was before.
      synced = { status: "accepted", revisionId, rle: mask.rle, label: mask.label };
      this.#synced.set(mask.id, synced);
    }
    const wanted = reachableStatus(synced.status, mask.status);
    if (wanted !== synced.status && wanted !== "proposed") {
      messages.push(this.#setStatus(mask.id, synced, wanted));
    }
    return messages;
  }

  #setStatus(maskId: string, synced: SyncedMask, to: "accepted" | "rejected"): Message {
    this.#synced.set(maskId, { ...synced, status: to });
    return { type: "set_status", maskId, to };
  }
}

/** No mask goes back to `proposed` on the server: the nearest thing to undoing a yes is a no. */
function reachableStatus(synced: MaskStatus, wanted: MaskStatus): MaskStatus {
  if (wanted !== "proposed") return wanted;
  return synced === "proposed" ? "proposed" : "rejected";
}
