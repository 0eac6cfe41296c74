/** Brush and eraser: a stroke is painted when the button is released. */

import type { StrokeKind } from "../editor/document";
import type { ImagePoint } from "../geometry/geometry";
import type { PointerInput, Tool, ToolContext } from "./tool";

export class StrokeTool implements Tool {
  readonly id: StrokeKind;
  #path: ImagePoint[] | null = null;

  constructor(id: StrokeKind) {
    this.id = id;
  }

  path(): string {
    return `${this.id}.${this.#path === null ? "idle" : "stroking"}`;
  }

  pointerDown(input: PointerInput, context: ToolContext): void {
    if (input.button !== "left") return;
    this.#extend([], input, context);
  }

  pointerMove(input: PointerInput, context: ToolContext): void {
    if (this.#path !== null) this.#extend(this.#path, input, context);
  }

  pointerUp(_input: PointerInput, context: ToolContext): void {
    this.complete(context);
  }

  complete(context: ToolContext): void {
    const path = this.#path;
    this.cancel(context);
    if (path !== null) context.paint(this.id, path);
  }

  cancel(context: ToolContext): void {
    this.#path = null;
    context.preview(null);
  }

  interrupt(context: ToolContext): void {
    this.cancel(context);
  }

  #extend(path: ImagePoint[], input: PointerInput, context: ToolContext): void {
    // Grown in place: a copy for each of a thousand moves would be felt.
    path.push(context.toImage(input.at));
    this.#path = path;
    context.preview({ kind: "stroke", stroke: this.id, path: this.#path });
  }
}
