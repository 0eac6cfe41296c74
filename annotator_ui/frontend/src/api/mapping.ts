/** Between the wire's shapes and the core's values. */

import type { MaskItem } from "../core/editor/document";
import type { Size } from "../core/geometry/geometry";
import type { Candidate } from "../core/editor/prompts";
import type { Rle } from "../core/mask/rle";
import type { Message, SyncedMask } from "../core/editor/syncState";
import type { DecodeOut, ImageOut, MaskIn, MaskOut, RleJson } from "./types";

export function rleFromJson(rle: RleJson): Rle {
  return { heightPx: rle.size[0], widthPx: rle.size[1], counts: rle.counts };
}

export function rleToJson(rle: Rle): RleJson {
  return { size: [rle.heightPx, rle.widthPx], counts: rle.counts };
}

export function sizeOf({ width_px: widthPx, height_px: heightPx }: ImageOut): Size {
  return { widthPx, heightPx };
}

export function maskFromApi(mask: MaskOut): MaskItem {
  return {
    id: mask.id,
    source: mask.source,
    status: mask.status,
    rle: rleFromJson(mask.rle),
    label: mask.label,
    author: mask.author,
    predictedIou: mask.predicted_iou,
    prompts: [],
    annotateMs: null,
  };
}

export function syncedFromApi(mask: MaskOut, item: MaskItem): readonly [string, SyncedMask] {
  return [
    mask.id,
    { status: mask.status, revisionId: mask.revision_id, rle: item.rle, label: item.label },
  ];
}

export function maskInFrom(
  message: Extract<Message, { type: "save_mask" }>,
  modelVersionId: string,
): MaskIn {
  const { mask, revisionId, baseRevisionId } = message;
  // Only masks that came from the model's prompts carry its version; a painted one has none.
  const isFromModel = mask.prompts.some(
    (prompt) => prompt.type === "point" || prompt.type === "box",
  );
  return {
    mask_id: mask.id,
    revision_id: revisionId,
    ...(baseRevisionId === null ? {} : { base_revision_id: baseRevisionId }),
    rle: rleToJson(mask.rle),
    prompts: mask.prompts,
    label: mask.label,
    ...(mask.annotateMs === null ? {} : { annotate_ms: mask.annotateMs }),
    ...(isFromModel ? { model_version_id: modelVersionId } : {}),
  };
}

export function candidatesFromApi(answer: DecodeOut): readonly Candidate[] {
  return answer.candidates.map((one) => ({
    rle: rleFromJson(one.rle),
    predictedIou: one.predicted_iou,
    lowResLogits: null,
  }));
}
