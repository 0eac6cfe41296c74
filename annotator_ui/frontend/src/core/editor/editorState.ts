/** What the editor shows at one moment, and what it starts from. Immutable values only. */

import type { Camera } from "../geometry/camera";
import type { Document, MaskItem } from "./document";
import type { Size } from "../geometry/geometry";
import type { OverlapPolicy } from "./operations";
import { OPTIONS } from "../options";
import type { Candidate } from "./prompts";
import type { SyncedMask } from "./syncState";
import type { GesturePreview, ToolId } from "../tools/tool";

export interface EditorState {
  readonly document: Document;
  readonly camera: Camera;
  readonly viewport: Size;
  readonly toolId: ToolId;
  readonly isPanHeld: boolean;
  readonly brushDiameterPx: number;
  readonly overlap: OverlapPolicy;
  readonly areMasksHidden: boolean;
  /** Out of sight until shown again; nothing about the masks themselves. */
  readonly hiddenMaskIds: ReadonlySet<string>;
  /** Only the selected mask is shown. */
  readonly isIsolated: boolean;
  readonly selectedMaskId: string | null;
  /** Picked beside the selected mask, in this order, for merging and subtracting. */
  readonly markedMaskIds: readonly string[];
  readonly preview: GesturePreview | null;
  /** What the model offers for the draft's prompts, best first; empty while it is thinking. */
  readonly candidates: readonly Candidate[];
  readonly isDecoding: boolean;
  readonly decodeError: string | null;
  readonly undoMark: string | null;
  readonly redoMark: string | null;
}

export interface EditorStart {
  readonly image: Size;
  readonly author: string;
  readonly masks: readonly MaskItem[];
  /** The head revision of each of these masks on the server. */
  readonly synced: Iterable<readonly [string, SyncedMask]>;
  /** Carried over from the image before. */
  readonly overlap?: OverlapPolicy;
  readonly brushDiameterPx?: number;
}

export function initialState(document: Document, start: EditorStart): EditorState {
  return {
    document,
    camera: { scale: 1, offsetX: 0, offsetY: 0 },
    viewport: { widthPx: 0, heightPx: 0 },
    toolId: "point",
    isPanHeld: false,
    brushDiameterPx: start.brushDiameterPx ?? OPTIONS.brushDefaultPx,
    overlap: start.overlap ?? "keep",
    areMasksHidden: false,
    hiddenMaskIds: new Set(),
    isIsolated: false,
    selectedMaskId: null,
    markedMaskIds: [],
    preview: null,
    candidates: [],
    isDecoding: false,
    decodeError: null,
    undoMark: null,
    redoMark: null,
  };
}

export function nextBrushPx(diameterPx: number, step: 1 | -1): number {
  const scaled = Math.round(diameterPx * OPTIONS.brushStepFactor ** step);
  const next = scaled === diameterPx ? diameterPx + step : scaled;
  return clampedBrushPx(next);
}

export function clampedBrushPx(diameterPx: number): number {
  return Math.min(OPTIONS.brushMaxPx, Math.max(OPTIONS.brushMinPx, Math.round(diameterPx)));
}

/** Whether a mask is drawn at all. */
export function isShown(state: EditorState, mask: MaskItem): boolean {
  if (mask.status === "rejected" || state.hiddenMaskIds.has(mask.id)) return false;
  return !state.isIsolated || mask.id === state.selectedMaskId;
}
