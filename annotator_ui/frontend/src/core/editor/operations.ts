/** What can be done to whole masks. Pure: masks in, masks out; null when there is nothing to do. */

import type { EditTool, MaskItem, MaskStatus } from "./document";
import { operationRecords } from "./document";
import { isInside } from "../geometry/geometry";
import type { ImagePoint, Size } from "../geometry/geometry";
import { partsOf } from "../mask/parts";
import { boundsOf, hasPixel, isSameRle } from "../mask/rle";
import type { Rle } from "../mask/rle";
import { difference, intersection, isEmptyRle, union } from "../mask/runs";

/** What happens where a newly kept mask meets the accepted ones. */
export type OverlapPolicy = "keep" | "cut_below" | "cut_above";

type Masks = readonly MaskItem[];

/** One mask of several: the first keeps its identity, the others go. */
export function merged(masks: Masks, ids: readonly string[]): Masks | null {
  const [first, ...others] = picked(masks, ids);
  if (first === undefined || others.length === 0) return null;
  const rle = others.reduce((sum, mask) => union(sum, mask.rle), first.rle);
  return masks.map((mask) => {
    if (mask.id === first.id) return redrawn(mask, rle, "merge");
    return others.some((other) => other.id === mask.id)
      ? { ...mask, status: "rejected" as const }
      : mask;
  });
}

/** Take the later masks' pixels out of the first; the later ones stay as they are. */
export function subtracted(masks: Masks, ids: readonly string[]): Masks | null {
  const [first, ...others] = picked(masks, ids);
  if (first === undefined || others.length === 0) return null;
  const rle = others.reduce((rest, mask) => difference(rest, mask.rle), first.rle);
  if (isEmptyRle(rle) || isSameRle(rle, first.rle)) return null;
  return masks.map((mask) => (mask.id === first.id ? redrawn(mask, rle, "subtract") : mask));
}

/** One mask for each part: the largest keeps the identity, the others are new. */
export function split(
  masks: Masks,
  id: string,
  fresh: () => { readonly id: string; readonly author: string },
): Masks | null {
  const [mask] = picked(masks, [id]);
  const [largest, ...rest] = mask === undefined ? [] : partsOf(mask.rle);
  if (mask === undefined || largest === undefined || rest.length === 0) return null;
  const others = rest.map((rle): MaskItem => ({
    ...redrawn(mask, rle, "split"),
    ...fresh(),
    source: "human",
  }));
  return [
    ...masks.map((one) => (one.id === id ? redrawn(mask, largest, "split") : one)),
    ...others,
  ];
}

/** Give one mask other pixels. */
export function reshaped(
  masks: Masks,
  id: string,
  tool: EditTool,
  reshape: (rle: Rle) => Rle,
): Masks | null {
  const [mask] = picked(masks, [id]);
  if (mask === undefined) return null;
  const rle = reshape(mask.rle);
  if (isEmptyRle(rle) || isSameRle(rle, mask.rle)) return null;
  return masks.map((one) => (one.id === id ? redrawn(mask, rle, tool) : one));
}

/** Put a mask in its place under the policy; null when nothing of it would be left. */
export function placed(masks: Masks, mask: MaskItem, policy: OverlapPolicy): Masks | null {
  const isOther = (one: MaskItem): boolean => one.id !== mask.id && one.status === "accepted";
  const own =
    policy === "cut_above"
      ? masks.filter(isOther).reduce((rest, one) => difference(rest, one.rle), mask.rle)
      : mask.rle;
  if (isEmptyRle(own)) return null;
  const kept = { ...mask, rle: own };
  const others = masks.map((one) => {
    if (one.id === mask.id) return kept;
    if (policy !== "cut_below" || !isOther(one) || isEmptyRle(intersection(one.rle, own)))
      return one;
    const rest = difference(one.rle, own);
    return isEmptyRle(rest)
      ? { ...one, status: "rejected" as const }
      : redrawn(one, rest, "overlap_cut");
  });
  return others.includes(kept) ? others : [...others, kept];
}

export function withStatus(masks: Masks, id: string, status: MaskStatus): Masks {
  return masks.map((mask) => (mask.id === id ? { ...mask, status } : mask));
}

/** The smallest mask under a point, so that a part can be picked on top of its whole. */
export function maskAt(masks: Masks, at: ImagePoint, image: Size): MaskItem | null {
  if (!isInside(at, image)) return null;
  const hits = masks.filter((mask) => mask.status !== "rejected" && hasPixel(mask.rle, at.x, at.y));
  const extent = (mask: MaskItem): number => {
    const box = boundsOf(mask.rle);
    return box === null ? 0 : (box.x1 - box.x0) * (box.y1 - box.y0);
  };
  return hits.sort((a, b) => extent(a) - extent(b))[0] ?? null;
}

/** The next wanted mask in list order, around the end; null when there is no other. */
export function neighbour(
  masks: Masks,
  fromId: string | null,
  step: 1 | -1,
  isWanted: (mask: MaskItem) => boolean,
): MaskItem | null {
  const start = masks.findIndex((mask) => mask.id === fromId);
  for (let i = 1; i <= masks.length; i += 1) {
    const origin = start < 0 && step < 0 ? 0 : start;
    const mask = masks[(origin + step * i + masks.length * 2) % masks.length];
    if (mask !== undefined && mask.id !== fromId && isWanted(mask)) return mask;
  }
  return null;
}

function picked(masks: Masks, ids: readonly string[]): MaskItem[] {
  return ids.flatMap(
    (id) => masks.find((mask) => mask.id === id && mask.status !== "rejected") ?? [],
  );
}

/** New pixels by hand: the model's own estimate no longer speaks of them. A person stands behind it. */
function redrawn(mask: MaskItem, rle: Rle, tool: EditTool): MaskItem {
  return {
    ...mask,
    rle,
    status: "accepted",
    predictedIou: null,
    prompts: operationRecords(tool),
    annotateMs: null,
  };
}
