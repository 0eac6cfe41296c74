/** What an undo step restores: the masks of one photo and the draft being made. Immutable. */

import type { Size } from "./geometry";
import { combine, strokeBitmap } from "./mask";
import type { Candidate, PromptStep } from "./prompts";
import { areaPx, decodeRle, encodeRle } from "./rle";
import type { Rle } from "./rle";
import type { ImagePoint } from "./geometry";

export type MaskSource = "human" | "prefilled" | "automatic" | "imported";
export type MaskStatus = "proposed" | "accepted" | "rejected";
export type StrokeKind = "brush" | "eraser";

/** How a mask came about, in the words of the API (`Prompt` in docs/architecture.md). */
export type PromptRecord =
  | { readonly type: "point"; readonly x_px: number; readonly y_px: number; readonly label: 0 | 1 }
  | { readonly type: "box"; readonly x0_px: number; readonly y0_px: number; readonly x1_px: number; readonly y1_px: number }
  | { readonly type: "mask" }
  | { readonly type: StrokeKind; readonly size_px: number; readonly strokes: number };

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

export interface Stroke {
  readonly kind: StrokeKind;
  readonly diameterPx: number;
}

/** A mask in the making: what the model says to `steps`, then painted on, or an old mask repainted. */
export interface Draft {
  readonly steps: readonly PromptStep[];
  readonly candidateIndex: number;
  readonly strokes: readonly Stroke[];
  readonly added: Rle | null;
  readonly erased: Rle | null;
  /** The mask being repainted; its pixels lie under the strokes. */
  readonly base: MaskItem | null;
}

export interface Document {
  readonly masks: readonly MaskItem[];
  readonly draft: Draft;
}

export const EMPTY_DRAFT: Draft = {
  steps: [],
  candidateIndex: 0,
  strokes: [],
  added: null,
  erased: null,
  base: null,
};

export function isEmptyDraft(draft: Draft): boolean {
  return draft.steps.length === 0 && draft.strokes.length === 0 && draft.base === null;
}

/** Paint a stroke: later strokes win over earlier ones, and all of them over the model. */
export function withStroke(
  draft: Draft,
  stroke: Stroke & { readonly path: readonly ImagePoint[]; readonly image: Size },
): Draft {
  const painted = strokeBitmap(stroke.image, stroke.path, stroke.diameterPx);
  const added = draft.added === null ? null : decodeRle(draft.added);
  const erased = draft.erased === null ? null : decodeRle(draft.erased);
  const [winner, loser] = stroke.kind === "brush" ? [added, erased] : [erased, added];
  const won = encodeRle(winner === null ? painted : combine(winner, painted, null));
  const lost = loser === null ? null : encodeRle(combine(loser, null, painted));
  return {
    ...draft,
    strokes: [...draft.strokes, { kind: stroke.kind, diameterPx: stroke.diameterPx }],
    added: stroke.kind === "brush" ? won : lost,
    erased: stroke.kind === "brush" ? lost : won,
  };
}

/** The draft's pixels: the chosen candidate or the repainted mask, with the strokes; null if none. */
export function draftRle(draft: Draft, candidates: readonly Candidate[], image: Size): Rle | null {
  const under = candidates[draft.candidateIndex]?.rle ?? candidates[0]?.rle ?? draft.base?.rle ?? null;
  if (draft.strokes.length === 0) return under !== null && areaPx(under) > 0 ? under : null;
  const known = strokedCache.get(draft);
  if (known?.under === under) return known.rle;
  const bottom = under === null ? { ...image, counts: emptyCounts(image) } : under;
  const combined = combine(
    decodeRle(bottom),
    draft.added === null ? null : decodeRle(draft.added),
    draft.erased === null ? null : decodeRle(draft.erased),
  );
  const encoded = encodeRle(combined);
  const rle = areaPx(encoded) > 0 ? encoded : null;
  strokedCache.set(draft, { under, rle });
  return rle;
}

const strokedCache = new WeakMap<Draft, { under: Rle | null; rle: Rle | null }>();

function emptyCounts(image: Size): string {
  return encodeRle({ ...image, data: new Uint8Array(image.widthPx * image.heightPx) }).counts;
}

/** The draft's story for the server: prompts, then brush and eraser work summed by size. */
export function promptRecords(draft: Draft): readonly PromptRecord[] {
  const prompts = draft.steps.map(({ prompt }): PromptRecord => {
    if (prompt.kind === "point") {
      return { type: "point", x_px: prompt.at.x, y_px: prompt.at.y, label: prompt.label };
    }
    const { x0, y0, x1, y1 } = prompt.box;
    return { type: "box", x0_px: x0, y0_px: y0, x1_px: x1, y1_px: y1 };
  });
  const start: PromptRecord[] = draft.base === null ? [] : [{ type: "mask" }];
  return [...start, ...prompts, ...strokeRecords(draft.strokes)];
}

function strokeRecords(strokes: readonly Stroke[]): readonly PromptRecord[] {
  const counts = new Map<string, { kind: StrokeKind; sizePx: number; strokes: number }>();
  for (const { kind, diameterPx } of strokes) {
    const sizePx = Math.max(1, Math.round(diameterPx));
    const key = `${kind} ${sizePx}`;
    counts.set(key, { kind, sizePx, strokes: (counts.get(key)?.strokes ?? 0) + 1 });
  }
  return [...counts.values()].map(({ kind, sizePx, strokes: n }) => ({ type: kind, size_px: sizePx, strokes: n }));
}
