/** Active time on the mask being made and on the whole image; pauses do not count. */

import { ActiveTimer } from "./activeTimer";

export class WorkTimers {
  /** Runs from the first prompt or edit of a mask to its end. */
  readonly mask = new ActiveTimer();
  /** Runs as long as the image is open. */
  readonly image = new ActiveTimer();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.image.start(nowMs());
  }

  maskMs(): number {
    return this.mask.elapsedMs(this.#nowMs());
  }

  imageMs(): number {
    return this.image.elapsedMs(this.#nowMs());
  }

  /** Go on counting the time of this mask, or begin to. */
  startMask(): void {
    if (this.mask.isRunning) this.mask.activity(this.#nowMs());
    else this.restartMask();
  }

  restartMask(): void {
    this.mask.start(this.#nowMs());
  }

  stopMask(): void {
    this.mask.clear();
  }

  noteActivity(): void {
    for (const timer of [this.mask, this.image]) timer.activity(this.#nowMs());
  }

  noteVisibility(isVisible: boolean): void {
    for (const timer of [this.mask, this.image]) {
      if (isVisible) timer.shown(this.#nowMs());
      else timer.hidden(this.#nowMs());
    }
  }
}
