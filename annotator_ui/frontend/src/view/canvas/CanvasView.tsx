/** The image with everything on it. Holds no annotation state. */

import { useEffect, useRef } from "react";
import { mountCanvas } from "./canvasMount";
import type { LabelPage, OpenImage } from "../labelPage";
import { useStore } from "../store";

export function CanvasView({ page, open }: { page: LabelPage; open: OpenImage }) {
  const { hover, viewportCrop } = page;
  const { settings } = page.ports;
  const { editor, bitmap } = open;
  const frame = useRef<HTMLDivElement>(null);
  const toolId = useStore(editor, (state) => (state.isPanHeld ? "pan" : state.toolId));
  useEffect(() => {
    if (frame.current === null) return undefined;
    const [imageLayer, masksLayer, promptsLayer] = frame.current.querySelectorAll("canvas");
    if (imageLayer === undefined || masksLayer === undefined || promptsLayer === undefined)
      return undefined;
    return mountCanvas(
      frame.current,
      { image: imageLayer, masks: masksLayer, prompts: promptsLayer },
      { editor, bitmap, hover, viewportCrop, settings },
    );
  }, [editor, bitmap, hover, viewportCrop, settings]);
  return (
    <div
      ref={frame}
      className="canvas"
      data-canvas=""
      data-testid="label-canvas"
      data-tool={toolId}
      role="application"
      tabIndex={0}
      aria-label={`Image ${open.session.image.file_name}. Click an object to outline it; press question mark for all keys.`}
    >
      <canvas />
      <canvas />
      <canvas />
    </div>
  );
}
