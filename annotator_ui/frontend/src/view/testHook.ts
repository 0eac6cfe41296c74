/** `window.__segloop`: a read-only summary for browser tests. */

import { areaPx } from "../core/mask/rle";
import type { LabelPage } from "./labelPage";

declare global {
  interface Window {
    __segloop?: {
      /** Image pixels to CSS pixels of the browser window. */
      imageToScreen?: (x: number, y: number) => { x: number; y: number };
      state?: () => unknown;
      paints?: () => {
        readonly numFrames: number;
        readonly numMaskLayers: number;
        readonly answerPaintedMs: number;
      };
    };
  }
}

export function exposeState(page: LabelPage): void {
  window.__segloop = { ...window.__segloop, state: () => summary(page) };
}

function summary(page: LabelPage) {
  const { phase, open, notice } = page.state();
  const queue = page.ports.queue.state();
  const editor = open?.editor;
  const state = editor?.state();
  const draft = editor?.draftRle() ?? null;
  const hover = page.hover.state();
  return {
    phase,
    notice,
    imageId: open?.session.image.id ?? null,
    assignmentId: open?.session.assignment_id ?? null,
    hasImage: open?.bitmap != null,
    decoder: page.ports.decoding.state(),
    crop: page.viewportCrop.state(),
    queue: {
      pending: queue.pending.length,
      refused: queue.refused.length,
      saved: queue.savedCount,
    },
    path: editor?.path() ?? null,
    numPrompts: state?.document.draft.steps.length ?? 0,
    isDecoding: state?.isDecoding ?? false,
    candidates:
      state?.candidates.map((one) => ({
        predictedIou: one.predictedIou,
        areaPx: areaPx(one.rle),
        crop: one.lowResLogits?.crop ?? null,
      })) ?? [],
    candidateIndex: state?.document.draft.candidateIndex ?? 0,
    draftAreaPx: draft === null ? 0 : areaPx(draft),
    masks:
      state?.document.masks.map(({ id, source, status, rle }) => ({
        id,
        source,
        status,
        areaPx: areaPx(rle),
      })) ?? [],
    selectedMaskId: state?.selectedMaskId ?? null,
    markedMaskIds: state?.markedMaskIds ?? [],
    toolId: state?.toolId ?? null,
    overlap: state?.overlap ?? null,
    brushDiameterPx: state?.brushDiameterPx ?? 0,
    hoverAreaPx: hover.rle === null ? 0 : areaPx(hover.rle),
    numHovers: hover.numShown,
    conflicts: queue.conflicts.length,
    draftRle:
      draft === null ? null : { size: [draft.heightPx, draft.widthPx], counts: draft.counts },
  };
}
