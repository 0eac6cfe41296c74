/** Work on the masks that are there: verdicts, labels, and operations on their pixels. */

import type { Desk } from "./desk";
import { isEmptyDraft, withPixels } from "./document";
import type { EditTool, MaskItem } from "./document";
import { merged, neighbour, reshaped, split, subtracted, withStatus } from "./operations";
import { fillHoles, largestPart } from "./parts";
import { isSameRle } from "./rle";
import type { Rle } from "./rle";

export class MaskWork {
  readonly #desk: Desk;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  fillHoles(): void {
    this.#tidy("fill_holes", fillHoles);
  }

  keepLargestPart(): void {
    this.#tidy("largest_part", largestPart);
  }

  merge(): void {
    this.#operate("merge", merged, "Pick two or more masks first: Shift + click.");
  }

  subtract(): void {
    const how = "Nothing to take out: pick the mask, then with Shift the one to take out of it.";
    this.#operate("subtract", subtracted, how);
  }

  split(): void {
    const fresh = () => ({ id: this.#desk.newId(), author: this.#desk.author });
    this.#operate("split", (masks, [id]) => split(masks, id ?? "", fresh), "The mask is one part: there is nothing to split.");
  }

  /** Fill holes or keep the largest part: of the draft, else of the selected mask. */
  #tidy(tool: EditTool, reshape: (rle: Rle) => Rle): void {
    const { draft } = this.#desk.document;
    if (isEmptyDraft(draft)) {
      this.#operate(tool, (masks, [id]) => reshaped(masks, id ?? "", tool, reshape), "Nothing to change here.");
      return;
    }
    const shown = this.#desk.draftRle();
    const wanted = shown === null ? null : reshape(shown);
    if (shown === null || wanted === null || isSameRle(shown, wanted)) this.#desk.say("Nothing to change here.");
    else this.#desk.record(tool, { draft: withPixels(draft, { kind: tool }, shown, wanted) });
  }

  /** Change whole masks: the selected one first, then those picked beside it. */
  #operate(
    mark: EditTool,
    change: (masks: readonly MaskItem[], ids: readonly string[]) => readonly MaskItem[] | null,
    otherwise: string,
  ): void {
    const { selectedMaskId, markedMaskIds } = this.#desk.state;
    const masks = selectedMaskId === null ? null : change(this.#desk.document.masks, [selectedMaskId, ...markedMaskIds]);
    if (masks === null) {
      this.#desk.say(selectedMaskId === null ? "Select a mask first." : otherwise);
      return;
    }
    this.#desk.record(mark, { masks });
    this.#desk.set({ markedMaskIds: [] });
  }

  label(maskId: string, label: string): void {
    const mask = this.#desk.document.masks.find((one) => one.id === maskId);
    if (mask === undefined || mask.label === label) return;
    this.#desk.record("label", { masks: this.#desk.document.masks.map((one) => (one === mask ? { ...one, label } : one)) });
  }

  mark(maskId: string): void {
    const { selectedMaskId, markedMaskIds } = this.#desk.state;
    if (selectedMaskId === null) this.#desk.select(maskId);
    else if (markedMaskIds.includes(maskId)) this.#desk.set({ markedMaskIds: markedMaskIds.filter((id) => id !== maskId) });
    else if (maskId !== selectedMaskId) this.#desk.set({ markedMaskIds: [...markedMaskIds, maskId] });
  }

  setMaskStatus(maskId: string, to: "accepted" | "rejected"): void {
    const mask = this.#desk.document.masks.find((item) => item.id === maskId);
    if (mask === undefined || mask.status === to) return;
    const wasSuggestion = mask.status === "proposed";
    const next = wasSuggestion ? neighbour(this.#desk.document.masks, maskId, 1, (item) => item.status === "proposed") : null;
    const masks = withStatus(this.#desk.document.masks, maskId, to);
    const wasSelected = this.#desk.state.selectedMaskId === maskId;
    this.#desk.record(to === "accepted" ? "accept suggestion" : "reject", { masks });
    this.#desk.stopClock();
    if (wasSelected) this.#desk.select(next?.id ?? null);
  }
}
