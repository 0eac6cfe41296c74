/** Click a mask to select it; with Shift, pick it beside the selected one. */

import type { PointerInput, Tool, ToolContext } from "./tool";

export class SelectTool implements Tool {
  readonly id = "select";

  path(): string {
    return "select.idle";
  }

  pointerDown(input: PointerInput, context: ToolContext): void {
    if (input.button === "left") context.selectAt(context.toImage(input.at), input.shift);
  }

  // A selection is made at once, so there is no gesture to finish or to throw away.
  pointerMove(): void {}
  pointerUp(): void {}
  complete(): void {}
  cancel(): void {}
  interrupt(): void {}
}
