/** Time really spent on a mask: stops while the tab is hidden or nobody touches anything. */

import { OPTIONS } from "../options";

export class ActiveTimer {
  #totalMs = 0;
  #lastActivityMs: number | null = null;

  /** Begin a new mask at this moment. */
  start(nowMs: number): void {
    this.#totalMs = 0;
    this.#lastActivityMs = nowMs;
  }

  /** Forget the mask; the next `start` or nothing counts. */
  clear(): void {
    this.#totalMs = 0;
    this.#lastActivityMs = null;
  }

  get isRunning(): boolean {
    return this.#lastActivityMs !== null;
  }

  /** Somebody moved, clicked or typed. */
  activity(nowMs: number): void {
    if (this.#lastActivityMs === null) return;
    this.#totalMs += this.#sinceActivity(nowMs);
    this.#lastActivityMs = nowMs;
  }

  /** The tab went out of sight: what follows until `shown` is not counted. */
  hidden(nowMs: number): void {
    this.activity(nowMs);
    if (this.#lastActivityMs !== null) this.#lastActivityMs = Infinity;
  }

  shown(nowMs: number): void {
    if (this.#lastActivityMs === Infinity) this.#lastActivityMs = nowMs;
  }

  elapsedMs(nowMs: number): number {
    return Math.round(this.#totalMs + this.#sinceActivity(nowMs));
  }

  #sinceActivity(nowMs: number): number {
    if (this.#lastActivityMs === null || this.#lastActivityMs === Infinity) return 0;
    return Math.min(OPTIONS.idleAfterMs, Math.max(0, nowMs - this.#lastActivityMs));
  }
}
