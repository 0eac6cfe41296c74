/** How the tabs of one browser share the work that waits: one of them sends, all of them know. */

import type { QueuedOp, SaveOp, Trouble } from "./queuedOps";

export type TabMessage =
  | { readonly type: "added"; readonly op: QueuedOp }
  | {
      readonly type: "settled";
      readonly op: QueuedOp;
      readonly isSaved: boolean;
      readonly conflict: SaveOp | null;
    }
  | { readonly type: "discarded"; readonly id: string }
  | { readonly type: "trouble"; readonly trouble: Trouble | null }
  | { readonly type: "kick" };

export interface TabLink {
  /** Resolves when this tab becomes the one that sends, which it stays until it is closed. */
  becomeSender(): Promise<void>;
  post(message: TabMessage): void;
  listen(receive: (message: TabMessage) => void): void;
}

/** A tab that shares nothing: its journal is its own, or the browser knows no locks. */
export const ALONE: TabLink = {
  becomeSender: () => Promise.resolve(),
  post: () => undefined,
  listen: () => undefined,
};

/** The browser frees a lock when its tab is closed or dies, so there is always at most one sender. */
export function linkTabs(locks: LockManager, channel: BroadcastChannel, lockName: string): TabLink {
  return {
    becomeSender: () =>
      new Promise((resolve, reject) => {
        const hold = (): Promise<void> => {
          resolve();
          return new Promise(() => undefined);
        };
        locks.request(lockName, hold).catch(reject as (reason: unknown) => void);
      }),
    post: (message) => channel.postMessage(message),
    listen: (receive) => {
      channel.addEventListener("message", (event: MessageEvent<TabMessage>) => receive(event.data));
    },
  };
}
