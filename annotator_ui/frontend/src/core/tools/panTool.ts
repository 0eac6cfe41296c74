/** Drag the image; also what Space and the middle button borrow from any other tool. */

import type { ScreenPoint } from "../geometry/geometry";
import type { PointerInput, Tool, ToolContext } from "./tool";

export class PanTool implements Tool {
  readonly id = "pan";
  #last: ScreenPoint | null = null;

  path(): string {
    return this.#last === null ? "pan.idle" : "pan.panning";
  }

  pointerDown(input: PointerInput): void {
    this.#last = input.at;
  }

  pointerMove(input: PointerInput, context: ToolContext): void {
    if (this.#last === null) return;
    context.panBy(input.at.x - this.#last.x, input.at.y - this.#last.y);
    this.#last = input.at;
  }

  pointerUp(): void {
    this.#last = null;
  }

  complete(): void {
    this.#last = null;
  }

  cancel(): void {
    this.#last = null;
  }

  interrupt(): void {
    this.#last = null;
  }
}
