/** The photo with everything on it. Holds no annotation state: pointer events in, pictures out. */

import { useEffect, useRef } from "react";
import type { PointerEvent as ReactPointerEvent } from "react";
import { imageToScreen } from "../core/camera";
import type { Editor } from "../core/editor";
import { imagePoint, screenPoint } from "../core/geometry";
import type { ScreenPoint } from "../core/geometry";
import type { PointerInput } from "../core/tools/tool";
import type { OpenImage } from "./labelPage";
import { Renderer } from "./renderer";
import { useStore } from "./store";

const BUTTONS = ["left", "middle", "right"] as const;
const LINE_HEIGHT_PX = 33;
/** A pinch arrives as small wheel steps with Ctrl held. */
const PINCH_GAIN = 6;

export function CanvasView({ open }: { open: OpenImage }) {
  const { editor, photo } = open;
  const frame = useRef<HTMLDivElement>(null);
  const photoLayer = useRef<HTMLCanvasElement>(null);
  const maskLayer = useRef<HTMLCanvasElement>(null);
  const promptLayer = useRef<HTMLCanvasElement>(null);
  const pointer = useRef<ScreenPoint | null>(null);
  const redraw = useRef<() => void>(() => undefined);
  const toolId = useStore(editor, (state) => (state.isPanHeld ? "pan" : state.toolId));

  useEffect(() => {
    if (photoLayer.current === null || maskLayer.current === null || promptLayer.current === null) return;
    const renderer = new Renderer({ photo: photoLayer.current, masks: maskLayer.current, prompts: promptLayer.current });
    redraw.current = () => renderer.schedule(() => ({ editor, photo, pointer: pointer.current }));
    redraw.current();
    const stop = editor.subscribe(redraw.current);
    return () => {
      stop();
      renderer.stop();
    };
  }, [editor, photo]);

  useEffect(() => (frame.current === null ? undefined : watchFrame(frame.current, editor)), [editor]);
  useEffect(() => exposeForTests(frame, editor), [editor]);

  const input = (event: ReactPointerEvent): PointerInput => ({
    at: pointIn(frame.current, event),
    button: BUTTONS[event.button] ?? "left",
    shift: event.shiftKey,
  });
  const handlers = {
    onPointerDown: (event: ReactPointerEvent) => {
      frame.current?.focus();
      frame.current?.setPointerCapture(event.pointerId);
      editor.noteActivity();
      editor.dispatch({ type: "pointer_down", ...input(event) });
    },
    onPointerMove: (event: ReactPointerEvent) => {
      editor.noteActivity();
      pointer.current = pointIn(frame.current, event);
      editor.dispatch({ type: "pointer_move", ...input(event) });
      redraw.current();
    },
    onPointerUp: (event: ReactPointerEvent) => editor.dispatch({ type: "pointer_up", ...input(event) }),
    onPointerCancel: () => editor.dispatch({ type: "interrupt" }),
    onPointerLeave: () => {
      pointer.current = null;
      redraw.current();
    },
    onContextMenu: (event: { preventDefault: () => void }) => event.preventDefault(),
  };

  return (
    <div
      ref={frame}
      className="canvas"
      data-canvas=""
      data-testid="label-canvas"
      data-tool={toolId}
      role="application"
      tabIndex={0}
      aria-label={`Photo ${open.session.image.file_name}. Click an object to outline it; press question mark for all keys.`}
      {...handlers}
    >
      <canvas ref={photoLayer} />
      <canvas ref={maskLayer} />
      <canvas ref={promptLayer} />
    </div>
  );
}

function pointIn(frame: HTMLElement | null, event: { clientX: number; clientY: number }): ScreenPoint {
  const box = frame?.getBoundingClientRect();
  return screenPoint(event.clientX - (box?.left ?? 0), event.clientY - (box?.top ?? 0));
}

function watchFrame(frame: HTMLElement, editor: Editor): () => void {
  const observer = new ResizeObserver(() =>
    editor.dispatch({ type: "viewport", size: { widthPx: frame.clientWidth, heightPx: frame.clientHeight } }),
  );
  observer.observe(frame);
  const onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_HEIGHT_PX : 1;
    const deltaPx = event.deltaY * lines * (event.ctrlKey ? PINCH_GAIN : 1);
    editor.dispatch({ type: "wheel", at: pointIn(frame, event), deltaPx });
  };
  // React's own wheel listener is passive, and a passive listener cannot stop the page from scrolling.
  frame.addEventListener("wheel", onWheel, { passive: false });
  return () => {
    observer.disconnect();
    frame.removeEventListener("wheel", onWheel);
  };
}

/** Lets a browser test aim at image pixels; reads only. */
function exposeForTests(frame: { current: HTMLElement | null }, editor: Editor): () => void {
  window.__segloop = {
    ...window.__segloop,
    imageToScreen: (x, y) => {
      const at = imageToScreen(editor.state().camera, imagePoint(x, y));
      const box = frame.current?.getBoundingClientRect();
      return { x: at.x + (box?.left ?? 0), y: at.y + (box?.top ?? 0) };
    },
  };
  return () => {
    delete window.__segloop?.imageToScreen;
  };
}
