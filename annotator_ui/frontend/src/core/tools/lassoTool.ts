/** A freehand outline, closed when the button is released; right button or Shift takes pixels out. */

import type { ImagePoint } from "../geometry/geometry";
import type { PointerInput, Tool, ToolContext } from "./tool";

export class LassoTool implements Tool {
  readonly id = "lasso";
  #drawing: { readonly corners: ImagePoint[]; readonly adds: boolean } | null = null;

  path(): string {
    return this.#drawing === null ? "lasso.idle" : "lasso.drawing";
  }

  pointerDown(input: PointerInput, context: ToolContext): void {
    this.#drawing = { corners: [], adds: input.button !== "right" && !input.shift };
    this.pointerMove(input, context);
  }

  pointerMove(input: PointerInput, context: ToolContext): void {
    if (this.#drawing === null) return;
    this.#drawing.corners.push(context.toImage(input.at));
    context.preview({
      kind: "outline",
      corners: this.#drawing.corners,
      adds: this.#drawing.adds,
      hasHandles: false,
    });
  }

  pointerUp(_input: PointerInput, context: ToolContext): void {
    this.complete(context);
  }

  complete(context: ToolContext): void {
    const drawing = this.#drawing;
    this.cancel(context);
    if (drawing !== null) context.fillOutline("lasso", drawing.corners, drawing.adds);
  }

  cancel(context: ToolContext): void {
    this.#drawing = null;
    context.preview(null);
  }

  interrupt(context: ToolContext): void {
    this.cancel(context);
  }
}
