/** What is drawn over the masks: clicks, boxes, gestures and the brush, in screen coordinates. */

import { imageToScreen } from "../../core/geometry/camera";
import type { EditorState } from "../../core/editor/editorState";
import { imagePoint } from "../../core/geometry/geometry";
import type { ImagePoint, ScreenPoint } from "../../core/geometry/geometry";
import type { Prompt } from "../../core/editor/prompts";
import { COLOURS } from "./palette";

const POINT_RADIUS_PX = 7;
const HANDLE_PX = 3.5;

export function paintPrompt(
  context: CanvasRenderingContext2D,
  prompt: Prompt,
  state: EditorState,
): void {
  if (prompt.kind === "box") {
    paintBox(context, prompt.box, state);
    return;
  }
  const { x, y } = imageToScreen(state.camera, prompt.at);
  const arm = POINT_RADIUS_PX - 3;
  context.beginPath();
  context.arc(x, y, POINT_RADIUS_PX, 0, 2 * Math.PI);
  context.fillStyle = prompt.label === 1 ? COLOURS.positive : COLOURS.negative;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = COLOURS.halo;
  context.stroke();
  context.beginPath();
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  if (prompt.label === 1) {
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
  }
  context.stroke();
}

export function paintGesture(context: CanvasRenderingContext2D, state: EditorState): void {
  const { preview } = state;
  if (preview === null) return;
  if (preview.kind === "box") paintBox(context, preview.box, state);
  else if (preview.kind === "outline") paintOutline(context, preview, state);
  else {
    trace(context, preview.path, state);
    context.lineCap = "round";
    context.lineJoin = "round";
    context.lineWidth = state.brushDiameterPx * state.camera.scale;
    context.strokeStyle = preview.stroke === "brush" ? COLOURS.draft : COLOURS.shadow;
    context.globalAlpha = 0.5;
    context.stroke();
    context.globalAlpha = 1;
  }
}

/** The circle that the next stroke will paint with. */
export function paintBrush(
  context: CanvasRenderingContext2D,
  state: EditorState,
  at: ScreenPoint,
): void {
  if ((state.toolId !== "brush" && state.toolId !== "eraser") || state.isPanHeld) return;
  const radius = Math.max(1, (state.brushDiameterPx * state.camera.scale) / 2);
  for (const [width, colour] of [
    [3, COLOURS.shadow],
    [1.5, COLOURS.halo],
  ] as const) {
    context.beginPath();
    context.arc(at.x, at.y, radius, 0, 2 * Math.PI);
    // A one-pixel brush is too small to see: a cross shows where it is.
    if (radius < 4) {
      for (const [dx, dy] of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ] as const) {
        context.moveTo(at.x + dx * (radius + 3), at.y + dy * (radius + 3));
        context.lineTo(at.x + dx * (radius + 8), at.y + dy * (radius + 8));
      }
    }
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

function paintBox(
  context: CanvasRenderingContext2D,
  box: { x0: number; y0: number; x1: number; y1: number },
  state: EditorState,
): void {
  const from = imageToScreen(state.camera, imagePoint(box.x0, box.y0));
  const to = imageToScreen(state.camera, imagePoint(box.x1, box.y1));
  for (const [width, colour] of [
    [3.5, COLOURS.halo],
    [1.5, COLOURS.positive],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.strokeRect(from.x, from.y, to.x - from.x, to.y - from.y);
  }
}

function paintOutline(
  context: CanvasRenderingContext2D,
  {
    corners,
    adds,
    hasHandles,
  }: { corners: readonly ImagePoint[]; adds: boolean; hasHandles: boolean },
  state: EditorState,
): void {
  const colour = adds ? COLOURS.positive : COLOURS.negative;
  trace(context, corners, state);
  context.fillStyle = colour;
  context.globalAlpha = 0.18;
  context.fill();
  context.globalAlpha = 1;
  for (const [width, stroke] of [
    [4, COLOURS.halo],
    [2, colour],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.stroke();
  }
  if (!hasHandles) return;
  corners.forEach((corner, index) => {
    const { x, y } = imageToScreen(state.camera, corner);
    const size = index === 0 ? HANDLE_PX + 2 : HANDLE_PX;
    context.fillStyle = index === 0 ? colour : COLOURS.halo;
    context.fillRect(x - size, y - size, 2 * size, 2 * size);
    context.lineWidth = 1.5;
    context.strokeStyle = index === 0 ? COLOURS.halo : colour;
    context.strokeRect(x - size, y - size, 2 * size, 2 * size);
  });
}

function trace(
  context: CanvasRenderingContext2D,
  path: readonly ImagePoint[],
  state: EditorState,
): void {
  context.beginPath();
  for (const point of path) {
    const { x, y } = imageToScreen(state.camera, point);
    context.lineTo(x, y);
  }
}
