/** Connects one canvas frame with one editor: pointer, pen, fingers and wheel in, drawings out. */

import { imageToScreen } from "../../core/geometry/camera";
import type { Editor } from "../../core/editor/editor";
import { imagePoint, screenPoint } from "../../core/geometry/geometry";
import type { ScreenPoint } from "../../core/geometry/geometry";
import type { PointerInput } from "../../core/tools/tool";
import type { ViewportCrop } from "../inference/viewportCrop";
import type { HoverPreview } from "../inference/hover";
import { Renderer } from "./renderer";
import type { Layers, Scene } from "./renderer";
import type { Settings } from "../settings";

const BUTTONS = ["left", "middle", "right"] as const;
const PEN_ERASER_BUTTON = 5;
const LINE_HEIGHT_PX = 33;
/** A pinch on a trackpad arrives as small wheel steps with Ctrl held. */
const PINCH_GAIN = 6;
/** Pixels of movement that double a brush's size when resized by dragging. */
const BRUSH_DRAG_PX = 120;

export interface CanvasPorts {
  readonly editor: Editor;
  readonly bitmap: ImageBitmap | null;
  readonly hover: HoverPreview;
  readonly viewportCrop: ViewportCrop;
  readonly settings: Settings;
}

/** Returns how to disconnect. */
export function mountCanvas(
  frame: HTMLElement,
  layers: Layers,
  { editor, bitmap, hover, viewportCrop, settings }: CanvasPorts,
): () => void {
  const renderer = new Renderer(layers);
  const gone = new AbortController();
  let pointer: ScreenPoint | null = null;
  const scene = (): Scene => ({
    editor,
    bitmap,
    pointer,
    hover: hover.state().rle,
    opacity: settings.state().opacity,
    isOutlineOnly: settings.state().isOutlineOnly,
  });
  const redraw = (): void => renderer.schedule(scene);
  const updateCrop = (): void => viewportCrop.updateView(editor.state(), pointer);
  listenToPointers(frame, editor, settings, gone.signal, (at, canHover) => {
    pointer = at;
    hover.move(editor, canHover ? at : null);
    updateCrop();
    redraw();
  });
  listenToWheel(frame, editor, gone.signal);
  const stops = [
    observeSize(frame, editor),
    editor.subscribe(redraw),
    editor.subscribe(updateCrop),
    hover.subscribe(redraw),
    settings.subscribe(redraw),
  ];
  exposeAim(frame, editor, renderer);
  updateCrop();
  redraw();
  return () => {
    gone.abort();
    for (const stop of stops) stop();
    hover.move(editor, null);
    renderer.stop();
    delete window.__segloop?.imageToScreen;
  };
}

type OnPointer = (at: ScreenPoint | null, canHover: boolean) => void;

/** One finger, pen or mouse works with the tool; two fingers move and zoom the image. */
function listenToPointers(
  frame: HTMLElement,
  editor: Editor,
  settings: Settings,
  signal: AbortSignal,
  onPointer: OnPointer,
): void {
  const fingers = new Map<number, ScreenPoint>();
  let resizing: { readonly fromX: number; readonly diameterPx: number } | null = null;
  const on = (
    type: "pointerdown" | "pointermove" | "pointerup" | "pointercancel" | "pointerleave",
    react: (event: PointerEvent) => void,
  ): void => frame.addEventListener(type, react, { signal });
  on("pointerdown", (event) => {
    frame.focus();
    frame.setPointerCapture(event.pointerId);
    editor.noteActivity();
    if (event.pointerType === "touch") fingers.set(event.pointerId, pointIn(frame, event));
    if (fingers.size > 1) editor.dispatch({ type: "interrupt" });
    else if (event.altKey && event.button === 2)
      resizing = { fromX: event.clientX, diameterPx: editor.state().brushDiameterPx };
    else editor.dispatch({ type: "pointer_down", ...inputOf(frame, event) });
  });
  on("pointermove", (event) => {
    editor.noteActivity();
    if (fingers.size > 1) pinch(editor, fingers, event.pointerId, pointIn(frame, event));
    else if (resizing !== null) {
      const diameterPx =
        resizing.diameterPx * 2 ** ((event.clientX - resizing.fromX) / BRUSH_DRAG_PX);
      editor.dispatch({ type: "brush_to", diameterPx });
    } else {
      // A browser bundles moves between two frames: strokes need each of them.
      const moves = event.getCoalescedEvents();
      for (const move of moves.length > 0 ? moves : [event])
        editor.dispatch({ type: "pointer_move", ...inputOf(frame, move) });
      onPointer(pointIn(frame, event), event.pointerType !== "touch" && event.buttons === 0);
    }
  });
  const lift = (event: PointerEvent, end: () => void): void => {
    const wasPinching = fingers.size > 1;
    fingers.delete(event.pointerId);
    if (resizing !== null) settings.change({ brushDiameterPx: editor.state().brushDiameterPx });
    else if (!wasPinching) end();
    resizing = null;
  };
  on("pointerup", (event) =>
    lift(event, () => editor.dispatch({ type: "pointer_up", ...inputOf(frame, event) })),
  );
  on("pointercancel", (event) => lift(event, () => editor.dispatch({ type: "interrupt" })));
  on("pointerleave", () => onPointer(null, false));
  frame.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  frame.addEventListener(
    "dblclick",
    () => {
      const { toolId, selectedMaskId } = editor.state();
      if (toolId === "select" && selectedMaskId !== null)
        editor.dispatch({ type: "refine", maskId: selectedMaskId });
    },
    { signal },
  );
}

function inputOf(frame: HTMLElement, event: PointerEvent): PointerInput {
  // A pen's other end takes away, like the right button.
  const button = event.button === PEN_ERASER_BUTTON ? "right" : (BUTTONS[event.button] ?? "left");
  return { at: pointIn(frame, event), button, shift: event.shiftKey };
}

function pinch(
  editor: Editor,
  fingers: Map<number, ScreenPoint>,
  movedId: number,
  to: ScreenPoint,
): void {
  const from = fingers.get(movedId);
  const other = [...fingers].find(([id]) => id !== movedId)?.[1];
  if (from === undefined || other === undefined) return;
  fingers.set(movedId, to);
  const middle = (a: ScreenPoint): ScreenPoint =>
    screenPoint((a.x + other.x) / 2, (a.y + other.y) / 2);
  const apart = (a: ScreenPoint): number => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
  editor.dispatch({
    type: "pinch",
    from: middle(from),
    to: middle(to),
    factor: apart(to) / apart(from),
  });
}

function listenToWheel(frame: HTMLElement, editor: Editor, signal: AbortSignal): void {
  const onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_HEIGHT_PX : 1;
    const deltaPx = event.deltaY * lines * (event.ctrlKey ? PINCH_GAIN : 1);
    editor.dispatch({ type: "wheel", at: pointIn(frame, event), deltaPx });
  };
  // Not passive: a passive listener cannot stop the page from scrolling.
  frame.addEventListener("wheel", onWheel, { passive: false, signal });
}

function observeSize(frame: HTMLElement, editor: Editor): () => void {
  const report = (): void =>
    editor.dispatch({
      type: "viewport",
      size: { widthPx: frame.clientWidth, heightPx: frame.clientHeight },
    });
  const observer = new ResizeObserver(report);
  observer.observe(frame);
  report();
  return () => observer.disconnect();
}

function pointIn(frame: HTMLElement, event: { clientX: number; clientY: number }): ScreenPoint {
  const box = frame.getBoundingClientRect();
  return screenPoint(event.clientX - box.left, event.clientY - box.top);
}

/** Lets a browser test aim at image pixels and count frames; reads only. */
function exposeAim(frame: HTMLElement, editor: Editor, renderer: Renderer): void {
  window.__segloop = {
    ...window.__segloop,
    imageToScreen: (x, y) => {
      const at = imageToScreen(editor.state().camera, imagePoint(x, y));
      const box = frame.getBoundingClientRect();
      return { x: at.x + box.left, y: at.y + box.top };
    },
    paints: () => renderer.paints,
  };
}
