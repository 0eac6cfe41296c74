/** Connects one canvas frame with one editor: pointer and wheel in, pictures out. */

import { imageToScreen } from "../core/camera";
import type { Editor } from "../core/editor";
import { imagePoint, screenPoint } from "../core/geometry";
import type { ScreenPoint } from "../core/geometry";
import type { PointerInput } from "../core/tools/tool";
import { Renderer } from "./renderer";
import type { Layers } from "./renderer";

const BUTTONS = ["left", "middle", "right"] as const;
const LINE_HEIGHT_PX = 33;
/** A pinch arrives as small wheel steps with Ctrl held. */
const PINCH_GAIN = 6;

/** Returns how to disconnect. */
export function mountCanvas(frame: HTMLElement, layers: Layers, editor: Editor, photo: ImageBitmap | null): () => void {
  const renderer = new Renderer(layers);
  const gone = new AbortController();
  let pointer: ScreenPoint | null = null;
  const redraw = (): void => renderer.schedule(() => ({ editor, photo, pointer }));
  listenToPointer(frame, editor, gone.signal, (at) => {
    pointer = at;
    redraw();
  });
  listenToWheel(frame, editor, gone.signal);
  const stopObserving = observeSize(frame, editor);
  const stopListening = editor.subscribe(redraw);
  exposeAim(frame, editor);
  redraw();
  return () => {
    gone.abort();
    stopObserving();
    stopListening();
    renderer.stop();
    delete window.__segloop?.imageToScreen;
  };
}

function listenToPointer(
  frame: HTMLElement,
  editor: Editor,
  signal: AbortSignal,
  onPointer: (at: ScreenPoint | null) => void,
): void {
  const input = (event: PointerEvent): PointerInput => ({
    at: pointIn(frame, event),
    button: BUTTONS[event.button] ?? "left",
    shift: event.shiftKey,
  });
  const on = (type: "pointerdown" | "pointermove" | "pointerup" | "pointercancel" | "pointerleave", react: (event: PointerEvent) => void): void =>
    frame.addEventListener(type, react, { signal });
  on("pointerdown", (event) => {
    frame.focus();
    frame.setPointerCapture(event.pointerId);
    editor.noteActivity();
    editor.dispatch({ type: "pointer_down", ...input(event) });
  });
  on("pointermove", (event) => {
    editor.noteActivity();
    editor.dispatch({ type: "pointer_move", ...input(event) });
    onPointer(pointIn(frame, event));
  });
  on("pointerup", (event) => editor.dispatch({ type: "pointer_up", ...input(event) }));
  on("pointercancel", () => editor.dispatch({ type: "interrupt" }));
  on("pointerleave", () => onPointer(null));
  frame.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
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
  const tell = (): void =>
    editor.dispatch({ type: "viewport", size: { widthPx: frame.clientWidth, heightPx: frame.clientHeight } });
  const observer = new ResizeObserver(tell);
  observer.observe(frame);
  tell();
  return () => observer.disconnect();
}

function pointIn(frame: HTMLElement, event: { clientX: number; clientY: number }): ScreenPoint {
  const box = frame.getBoundingClientRect();
  return screenPoint(event.clientX - box.left, event.clientY - box.top);
}

/** Lets a browser test aim at image pixels; reads only. */
function exposeAim(frame: HTMLElement, editor: Editor): void {
  window.__segloop = {
    ...window.__segloop,
    imageToScreen: (x, y) => {
      const at = imageToScreen(editor.state().camera, imagePoint(x, y));
      const box = frame.getBoundingClientRect();
      return { x: at.x + box.left, y: at.y + box.top };
    },
  };
}
