/** What every tool is: a small state machine that answers pointer events and the five ways out
 * (pointer up, complete, cancel, interrupt, switch), leaving nothing behind. */

import type { StrokeKind } from "../editor/document";
import type { ImageBox, ImagePoint, ScreenPoint } from "../geometry/geometry";
import type { PointLabel } from "../editor/prompts";

export type OutlineKind = "polygon" | "lasso";
export type ToolId = "point" | StrokeKind | OutlineKind | "select" | "pan";

export interface PointerInput {
  readonly at: ScreenPoint;
  readonly button: "left" | "middle" | "right";
  readonly shift: boolean;
}

/** What is drawn while a gesture is under way. */
export type GesturePreview =
  | { readonly kind: "box"; readonly box: ImageBox }
  | { readonly kind: "stroke"; readonly stroke: StrokeKind; readonly path: readonly ImagePoint[] }
  | {
      readonly kind: "outline";
      readonly corners: readonly ImagePoint[];
      readonly adds: boolean;
      readonly hasHandles: boolean;
    };

/** What a tool may do to the editor. */
export interface ToolContext {
  toImage(at: ScreenPoint): ImagePoint;
  /** The box between two screen points, cut to the image; null when too small or outside. */
  boxBetween(a: ScreenPoint, b: ScreenPoint): ImageBox | null;
  addPoint(at: ImagePoint, label: PointLabel): void;
  setBox(box: ImageBox): void;
  paint(kind: StrokeKind, path: readonly ImagePoint[]): void;
  /** Add the inside of an outline to the mask in the making, or take it out. */
  fillOutline(kind: OutlineKind, corners: readonly ImagePoint[], adds: boolean): void;
  panBy(dxPx: number, dyPx: number): void;
  /** Select the mask there; `isMarking`: pick it beside the selected one. */
  selectAt(at: ImagePoint, isMarking: boolean): void;
  preview(preview: GesturePreview | null): void;
}

export interface Tool {
  readonly id: ToolId;
  /** For tests and the status line, e.g. `point.boxing`. */
  path(): string;
  pointerDown(input: PointerInput, context: ToolContext): void;
  pointerMove(input: PointerInput, context: ToolContext): void;
  pointerUp(input: PointerInput, context: ToolContext): void;
  /** Finish the gesture as if the pointer were released where it last was. */
  complete(context: ToolContext): void;
  /** Throw the gesture away, because the person said so (Esc). */
  cancel(context: ToolContext): void;
  /** Throw the gesture away, because the pointer or the tool was taken away. */
  interrupt(context: ToolContext): void;
}

/** A tool whose gesture lasts over several presses; it stays open while the pointer is up. */
export interface OpenTool extends Tool {
  isOpen(): boolean;
  /** Take back the last press; closes when nothing is left. */
  removeLast(context: ToolContext): void;
}

export function isOpenTool(tool: Tool): tool is OpenTool {
  return "isOpen" in tool && (tool as OpenTool).isOpen();
}
