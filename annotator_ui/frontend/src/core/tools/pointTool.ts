/** Clicks and boxes without a tool switch: a short press is a click, a drag is a box. */

import { distancePx } from "../geometry/geometry";
import type { ScreenPoint } from "../geometry/geometry";
import { OPTIONS } from "../options";
import type { PointLabel } from "../editor/prompts";
import type { PointerInput, Tool, ToolContext } from "./tool";

type State =
  | { readonly name: "idle" }
  | { readonly name: "pointing"; readonly from: ScreenPoint; readonly label: PointLabel }
  | { readonly name: "boxing"; readonly from: ScreenPoint; readonly to: ScreenPoint };

const IDLE: State = { name: "idle" };

export class PointTool implements Tool {
  readonly id = "point";
  #state: State = IDLE;

  path(): string {
    return `point.${this.#state.name}`;
  }

  pointerDown(input: PointerInput): void {
    const isNegative = input.button === "right" || input.shift;
    this.#state = { name: "pointing", from: input.at, label: isNegative ? 0 : 1 };
  }

  pointerMove(input: PointerInput, context: ToolContext): void {
    const state = this.#state;
    if (state.name === "idle") return;
    // A negative press that moves stays a click: boxes are drawn with the plain left button only.
    if (
      state.name === "pointing" &&
      (state.label === 0 || distancePx(state.from, input.at) <= OPTIONS.dragStartPx)
    ) {
      return;
    }
    this.#state = { name: "boxing", from: state.from, to: input.at };
    const box = context.boxBetween(state.from, input.at);
    context.preview(box === null ? null : { kind: "box", box });
  }

  pointerUp(input: PointerInput, context: ToolContext): void {
    this.pointerMove(input, context);
    this.complete(context);
  }

  complete(context: ToolContext): void {
    const state = this.#state;
    this.cancel(context);
    switch (state.name) {
      case "idle":
        return;
      case "pointing":
        context.addPoint(context.toImage(state.from), state.label);
        return;
      case "boxing": {
        const box = context.boxBetween(state.from, state.to);
        if (box !== null) context.setBox(box);
      }
    }
  }

  cancel(context: ToolContext): void {
    this.#state = IDLE;
    context.preview(null);
  }

  interrupt(context: ToolContext): void {
    this.cancel(context);
  }
}
