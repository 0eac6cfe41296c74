/** What the tools may do, in terms of the editor. */

import * as cameras from "../geometry/camera";
import type { DraftWork } from "./draftWork";
import type { EditorContext } from "./editorContext";
import { isShown } from "./editorState";
import { boxBetween, isInside } from "../geometry/geometry";
import type { MaskWork } from "./maskWork";
import { maskAt } from "./operations";
import type { ToolContext } from "../tools/tool";

export function makeToolContext(
  editor: EditorContext,
  draftWork: DraftWork,
  maskWork: MaskWork,
): ToolContext {
  const { image } = editor;
  const toImage: ToolContext["toImage"] = (at) => cameras.screenToImage(editor.state.camera, at);
  return {
    toImage,
    boxBetween: (a, b) => boxBetween(toImage(a), toImage(b), image),
    addPoint: (at, label) => {
      if (isInside(at, image)) draftWork.addPrompt({ kind: "point", at, label });
    },
    setBox: (box) => draftWork.addPrompt({ kind: "box", box }),
    paint: (kind, path) => draftWork.paint(kind, path),
    fillOutline: (kind, corners, adds) => draftWork.fillOutline(kind, corners, adds),
    panBy: (dx, dy) => editor.set({ camera: cameras.panBy(editor.state.camera, dx, dy) }),
    selectAt: (at, isMarking) => {
      const shown = editor.document.masks.filter((mask) => isShown(editor.state, mask));
      const id = maskAt(shown, at, image)?.id ?? null;
      if (isMarking && id !== null) maskWork.mark(id);
      else editor.select(id);
    },
    preview: (preview) => editor.set({ preview }),
  };
}
