/** What an undo step restores: the masks of one image and the draft being made. Immutable. */

import type { Size } from "../geometry/geometry";
import type { Candidate, PromptStep } from "./prompts";
import type { Rle } from "../mask/rle";
import { difference, emptyRle, isEmptyRle, union } from "../mask/runs";

export type MaskSource = "human" | "prefilled" | "automatic" | "imported";
export type MaskStatus = "proposed" | "accepted" | "rejected";
export type StrokeKind = "brush" | "eraser";
/** Hand work on pixels that is not a stroke, in the words of the API. */
export type EditTool =
  | "polygon"
  | "lasso"
  | "fill_holes"
  | "largest_part"
  | "merge"
  | "subtract"
  | "split"
  | "overlap_cut";

/** How a mask came about, in the words of the API (`Prompt` in docs/explanation/architecture.md). */
export type PromptRecord =
  | { readonly type: "point"; readonly x_px: number; readonly y_px: number; readonly label: 0 | 1 }
  | {
      readonly type: "box";
      readonly x0_px: number;
      readonly y0_px: number;
      readonly x1_px: number;
      readonly y1_px: number;
    }
  | { readonly type: "mask" }
  | { readonly type: StrokeKind; readonly size_px: number; readonly strokes: number }
  | { readonly type: "edit"; readonly tool: EditTool; readonly times: number };

export interface MaskItem {
  readonly id: string;
  readonly source: MaskSource;
  readonly status: MaskStatus;
  readonly rle: Rle;
  readonly label: string;
  readonly author: string | null;
  readonly predictedIou: number | null;
  readonly prompts: readonly PromptRecord[];
  readonly annotateMs: number | null;
}

export type Edit =
  { readonly kind: StrokeKind; readonly diameterPx: number } | { readonly kind: EditTool };

/** An unfinished mask: the model's answer to `steps` with hand edits, or an existing mask with changes. */
export interface Draft {
  readonly steps: readonly PromptStep[];
  readonly candidateIndex: number;
  readonly edits: readonly Edit[];
  readonly added: Rle | null;
  readonly erased: Rle | null;
  /** The mask being changed; the edits apply on top of its pixels. */
  readonly base: MaskItem | null;
}

export interface Document {
  readonly masks: readonly MaskItem[];
  readonly draft: Draft;
  /** Objects of this image that were too hard to outline. */
  readonly numLeftOut: number;
}

export const EMPTY_DRAFT: Draft = {
  steps: [],
  candidateIndex: 0,
  edits: [],
  added: null,
  erased: null,
  base: null,
};

export function isEmptyDraft(draft: Draft): boolean {
  return draft.steps.length === 0 && draft.edits.length === 0 && draft.base === null;
}

/** Add or erase a shape: later edits win over earlier ones, and all of them over the model. */
export function withShape(draft: Draft, edit: Edit, shape: Rle, adds: boolean): Draft {
  const { added, erased } = draft;
  const grown = (mask: Rle | null): Rle => (mask === null ? shape : union(mask, shape));
  const shrunk = (mask: Rle | null): Rle | null => (mask === null ? null : difference(mask, shape));
  return {
    ...draft,
    edits: [...draft.edits, edit],
    added: adds ? grown(added) : shrunk(added),
    erased: adds ? shrunk(erased) : grown(erased),
  };
}

/** Make the draft's pixels equal to `wanted`, as one hand edit. */
export function withPixels(draft: Draft, edit: Edit, shown: Rle, wanted: Rle): Draft {
  const grown = withShape(draft, edit, difference(wanted, shown), true);
  return { ...withShape(grown, edit, difference(shown, wanted), false), edits: grown.edits };
}

/** The draft's pixels: the chosen candidate or the changed mask, with the edits; null if none. */
export function draftRle(draft: Draft, candidates: readonly Candidate[], image: Size): Rle | null {
  const baseMask = candidates[draft.candidateIndex]?.rle ?? candidates[0]?.rle ?? baseOf(draft);
  if (draft.added === null && draft.erased === null)
    return baseMask !== null && !isEmptyRle(baseMask) ? baseMask : null;
  const known = editedCache.get(draft);
  if (known?.baseMask === baseMask) return known.rle;
  const bottom = baseMask ?? emptyRle(image);
  const grown = draft.added === null ? bottom : union(bottom, draft.added);
  const edited = draft.erased === null ? grown : difference(grown, draft.erased);
  const rle = isEmptyRle(edited) ? null : edited;
  editedCache.set(draft, { baseMask, rle });
  return rle;
}

const editedCache = new WeakMap<Draft, { baseMask: Rle | null; rle: Rle | null }>();

/** What lies under the edits while the model has not answered the last prompt. */
function baseOf(draft: Draft): Rle | null {
  return draft.steps.at(-1)?.baseMask?.rle ?? draft.base?.rle ?? null;
}

/** The draft's story for the server: the mask it began from, prompts, then hand work summed up. */
export function promptRecords(draft: Draft): readonly PromptRecord[] {
  const prompts = draft.steps.map(({ prompt }): PromptRecord => {
    if (prompt.kind === "point") {
      return { type: "point", x_px: prompt.at.x, y_px: prompt.at.y, label: prompt.label };
    }
    const { x0, y0, x1, y1 } = prompt.box;
    return { type: "box", x0_px: x0, y0_px: y0, x1_px: x1, y1_px: y1 };
  });
  const start: PromptRecord[] = draft.base === null ? [] : [{ type: "mask" }];
  return [...start, ...prompts, ...editRecords(draft.edits)];
}

/** The story of a mask changed by one operation on whole masks. */
export function operationRecords(tool: EditTool): readonly PromptRecord[] {
  return [{ type: "mask" }, { type: "edit", tool, times: 1 }];
}

function editRecords(edits: readonly Edit[]): readonly PromptRecord[] {
  const records = new Map<string, PromptRecord>();
  for (const edit of edits) {
    const record = recordOf(edit);
    const key = record.type === "edit" ? record.tool : `${record.type} ${record.size_px}`;
    const known = records.get(key);
    if (known?.type === "edit") records.set(key, { ...known, times: known.times + 1 });
    else if (known?.type === "brush" || known?.type === "eraser")
      records.set(key, { ...known, strokes: known.strokes + 1 });
    else records.set(key, record);
  }
  return [...records.values()];
}

function recordOf(edit: Edit): Extract<PromptRecord, { type: StrokeKind | "edit" }> {
  if ("diameterPx" in edit)
    return { type: edit.kind, size_px: Math.max(1, Math.round(edit.diameterPx)), strokes: 1 };
  return { type: "edit", tool: edit.kind, times: 1 };
}
