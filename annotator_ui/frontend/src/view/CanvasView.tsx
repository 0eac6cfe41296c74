/** The photo with everything on it. Holds no annotation state. */

import { useEffect, useRef } from "react";
import { mountCanvas } from "./canvasMount";
import type { LabelPage, OpenImage } from "./labelPage";
import { useStore } from "./store";

export function CanvasView({ page, open }: { page: LabelPage; open: OpenImage }) {
  const { hover, closeUps } = page;
  const { settings } = page.ports;
  const { editor, photo } = open;
  const frame = useRef<HTMLDivElement>(null);
  const toolId = useStore(editor, (state) => (state.isPanHeld ? "pan" : state.toolId));
  useEffect(() => {
    if (frame.current === null) return undefined;
    const [photoLayer, masksLayer, promptsLayer] = frame.current.querySelectorAll("canvas");
    if (photoLayer === undefined || masksLayer === undefined || promptsLayer === undefined) return undefined;
    return mountCanvas(frame.current, { photo: photoLayer, masks: masksLayer, prompts: promptsLayer }, { editor, photo, hover, closeUps, settings });
  }, [editor, photo, hover, closeUps, settings]);
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
    >
      <canvas />
      <canvas />
      <canvas />
    </div>
  );
}
