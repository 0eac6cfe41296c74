/** Corner by corner: a press sets a corner; a press on the first one, a double press or Enter closes
 * the outline. Begun with the right button or Shift it takes pixels out. */

import { distancePx } from "../geometry/geometry";
import type { ImagePoint, ScreenPoint } from "../geometry/geometry";
import { OPTIONS } from "../options";
import type { OpenTool, PointerInput, ToolContext } from "./tool";

interface Drawing {
  readonly corners: readonly ImagePoint[];
  readonly first: ScreenPoint;
  readonly last: ScreenPoint;
  readonly adds: boolean;
}

export class PolygonTool implements OpenTool {
  readonly id = "polygon";
  #drawing: Drawing | null = null;

  path(): string {
    return this.#drawing === null ? "polygon.idle" : "polygon.drawing";
  }

  isOpen(): boolean {
    return this.#drawing !== null;
  }

  pointerDown(input: PointerInput, context: ToolContext): void {
    const at = context.toImage(input.at);
    const old = this.#drawing;
    if (old === null) {
      this.#drawing = {
        corners: [at],
        first: input.at,
        last: input.at,
        adds: input.button !== "right" && !input.shift,
      };
    } else if (old.corners.length >= 3 && this.#isOnFirst(input.at, old, context)) {
      this.complete(context);
      return;
    } else if (distancePx(old.last, input.at) <= 1) {
      // The second half of a double press on one spot.
      if (old.corners.length >= 3) this.complete(context);
      return;
    } else {
      this.#drawing = { ...old, corners: [...old.corners, at], last: input.at };
    }
    this.#show(context, null);
  }

  pointerMove(input: PointerInput, context: ToolContext): void {
    if (this.#drawing !== null) this.#show(context, context.toImage(input.at));
  }

  // A corner is set by the press, so its release says nothing.
  pointerUp(): void {}

  complete(context: ToolContext): void {
    const drawing = this.#drawing;
    this.cancel(context);
    if (drawing !== null && drawing.corners.length >= 3)
      context.fillOutline("polygon", drawing.corners, drawing.adds);
  }

  removeLast(context: ToolContext): void {
    const corners = this.#drawing?.corners.slice(0, -1) ?? [];
    if (this.#drawing === null || corners.length === 0) this.cancel(context);
    else {
      this.#drawing = { ...this.#drawing, corners };
      this.#show(context, null);
    }
  }

  cancel(context: ToolContext): void {
    this.#drawing = null;
    context.preview(null);
  }

  interrupt(context: ToolContext): void {
    this.cancel(context);
  }

  /** Compared in the image: the view may have been zoomed since the first press. */
  #isOnFirst(at: ScreenPoint, { corners }: Drawing, context: ToolContext): boolean {
    const first = corners[0];
    if (first === undefined) return false;
    const [here, beside] = [
      context.toImage(at),
      context.toImage({ ...at, x: at.x + OPTIONS.closeOutlinePx }),
    ];
    return Math.hypot(here.x - first.x, here.y - first.y) <= beside.x - here.x;
  }

  #show(context: ToolContext, pointer: ImagePoint | null): void {
    if (this.#drawing === null) return;
    const { corners, adds } = this.#drawing;
    context.preview({
      kind: "outline",
      corners: pointer === null ? corners : [...corners, pointer],
      adds,
      hasHandles: true,
    });
  }
}
