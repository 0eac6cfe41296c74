/** What waits in the browser's save queue (saveQueue.ts) to be sent to the server. */

import type { MaskIn } from "./types";

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

/** Why sending has stopped for the moment. */
export interface Trouble {
  readonly kind: "offline" | "signed_out";
  readonly message: string;
}
