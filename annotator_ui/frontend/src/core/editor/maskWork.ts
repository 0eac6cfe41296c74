/** Work on the masks that are there: verdicts, labels, and operations on their pixels. */

import type { EditorContext } from "./editorContext";
import { isEmptyDraft, withPixels } from "./document";
import type { EditTool, MaskItem } from "./document";
import { merged, neighbour, reshaped, split, subtracted, withStatus } from "./operations";
import { fillHoles, largestPart } from "../mask/parts";
import { isSameRle } from "../mask/rle";
import type { Rle } from "../mask/rle";

export class MaskWork {
  readonly #context: EditorContext;

  constructor(context: EditorContext) {
    this.#context = context;
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
    const fresh = () => ({ id: this.#context.newId(), author: this.#context.author });
    this.#operate(
      "split",
      (masks, [id]) => split(masks, id ?? "", fresh),
      "The mask is one part: there is nothing to split.",
    );
  }

  /** Fill holes or keep the largest part: of the draft, else of the selected mask. */
  #tidy(tool: EditTool, reshape: (rle: Rle) => Rle): void {
    const { draft } = this.#context.document;
    if (isEmptyDraft(draft)) {
      this.#operate(
        tool,
        (masks, [id]) => reshaped(masks, id ?? "", tool, reshape),
        "Nothing to change here.",
      );
      return;
    }
    const shown = this.#context.draftRle();
    const wanted = shown === null ? null : reshape(shown);
    if (shown === null || wanted === null || isSameRle(shown, wanted))
      this.#context.notify("Nothing to change here.");
    else this.#context.record(tool, { draft: withPixels(draft, { kind: tool }, shown, wanted) });
  }

  /** Change whole masks: the selected one first, then those picked beside it. */
  #operate(
    mark: EditTool,
    change: (masks: readonly MaskItem[], ids: readonly string[]) => readonly MaskItem[] | null,
    otherwise: string,
  ): void {
    const { selectedMaskId, markedMaskIds } = this.#context.state;
    const masks =
      selectedMaskId === null
        ? null
        : change(this.#context.document.masks, [selectedMaskId, ...markedMaskIds]);
    if (masks === null) {
      this.#context.notify(selectedMaskId === null ? "Select a mask first." : otherwise);
      return;
    }
    this.#context.record(mark, { masks });
    this.#context.set({ markedMaskIds: [] });
  }

  label(maskId: string, label: string): void {
    const mask = this.#context.document.masks.find((one) => one.id === maskId);
    if (mask === undefined || mask.label === label) return;
    this.#context.record("label", {
      masks: this.#context.document.masks.map((one) => (one === mask ? { ...one, label } : one)),
    });
  }

  mark(maskId: string): void {
    const { selectedMaskId, markedMaskIds } = this.#context.state;
    if (selectedMaskId === null) this.#context.select(maskId);
    else if (markedMaskIds.includes(maskId))
      this.#context.set({ markedMaskIds: markedMaskIds.filter((id) => id !== maskId) });
    else if (maskId !== selectedMaskId)
      this.#context.set({ markedMaskIds: [...markedMaskIds, maskId] });
  }

  setMaskStatus(maskId: string, to: "accepted" | "rejected"): void {
    const mask = this.#context.document.masks.find((item) => item.id === maskId);
    if (mask === undefined || mask.status === to) return;
    const wasSuggestion = mask.status === "proposed";
    const next = wasSuggestion
      ? neighbour(this.#context.document.masks, maskId, 1, (item) => item.status === "proposed")
      : null;
    const masks = withStatus(this.#context.document.masks, maskId, to);
    const wasSelected = this.#context.state.selectedMaskId === maskId;
    this.#context.record(to === "accepted" ? "accept suggestion" : "reject", { masks });
    this.#context.stopClock();
    if (wasSelected) this.#context.select(next?.id ?? null);
  }
}
