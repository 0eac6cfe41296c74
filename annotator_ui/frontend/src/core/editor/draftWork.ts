/** Work on the mask in the making: clicks, boxes, strokes, outlines, and keeping it. */

import type { EditorContext } from "./editorContext";
import { EMPTY_DRAFT, isEmptyDraft, promptRecords, withShape } from "./document";
import type { Draft, Edit, MaskItem, StrokeKind } from "./document";
import type { ImagePoint } from "../geometry/geometry";
import { placed } from "./operations";
import { withPrompt } from "./prompts";
import type { LowResLogits, Prompt } from "./prompts";
import type { Rle } from "../mask/rle";
import { outlineRle, strokeRle } from "../mask/shapes";
import type { OutlineKind } from "../tools/tool";

export class DraftWork {
  readonly #context: EditorContext;
  /** The logits of masks that are exactly what the model said, for refining them later. */
  readonly #ownLogits = new WeakMap<Rle, LowResLogits>();

  constructor(context: EditorContext) {
    this.#context = context;
  }

  addPrompt(prompt: Prompt): void {
    this.#context.startClock();
    const { draft } = this.#context.document;
    if (draft.base !== null) {
      this.#addPromptOn(draft, prompt);
      return;
    }
    // A click made before the answer to the previous one refines the mask before that.
    const shown = this.#context.state.isDecoding
      ? null
      : this.#context.state.candidates[draft.candidateIndex]?.lowResLogits;
    const feedback = shown ?? draft.steps.at(-1)?.feedback ?? null;
    const steps = withPrompt(draft.steps, prompt, { feedback, baseMask: null });
    this.#context.set({ selectedMaskId: null, markedMaskIds: [] });
    this.#context.record(prompt.kind, { draft: { ...draft, steps, candidateIndex: 0 } });
  }

  /** A prompt on an existing mask: what was done to it so far, by hand or by clicks, becomes its base mask. */
  #addPromptOn(draft: Draft, prompt: Prompt): void {
    const rle = this.#context.draftRle() ?? draft.base?.rle;
    if (rle === undefined) return;
    const feedback = this.#ownLogits.get(rle) ?? null;
    const baseMask = { rle, added: draft.added, erased: draft.erased };
    const steps = withPrompt(draft.steps, prompt, { feedback, baseMask });
    this.#context.record(prompt.kind, {
      draft: { ...draft, steps, candidateIndex: 0, added: null, erased: null },
    });
  }

  removeLastPrompt(): void {
    const open = this.#context.openTool();
    const { draft } = this.#context.document;
    const last = draft.steps.at(-1);
    if (open !== null) {
      open.removeLast(this.#context.toolContext());
    } else if (last !== undefined) {
      const steps = draft.steps.slice(0, -1);
      const edits =
        last.baseMask === null ? {} : { added: last.baseMask.added, erased: last.baseMask.erased };
      this.#context.record("remove prompt", {
        draft: { ...draft, ...edits, steps, candidateIndex: 0 },
      });
    }
  }

  paint(kind: StrokeKind, path: readonly ImagePoint[]): void {
    const { brushDiameterPx } = this.#context.state;
    const shape = strokeRle(this.#context.image, path, brushDiameterPx);
    this.#shape({ kind, diameterPx: brushDiameterPx }, shape, kind === "brush");
  }

  fillOutline(kind: OutlineKind, corners: readonly ImagePoint[], adds: boolean): void {
    this.#shape({ kind }, outlineRle(this.#context.image, corners), adds);
  }

  #shape(edit: Edit, shape: Rle, adds: boolean): void {
    const draft = this.#editableDraft(adds);
    if (draft === null) return;
    this.#context.startClock();
    this.#context.record(edit.kind, { draft: withShape(draft, edit, shape, adds) });
  }

  /** The draft to edit: the one there is, else the selected mask, else (to add to) a new one. */
  #editableDraft(adds: boolean): Draft | null {
    const { draft } = this.#context.document;
    if (!isEmptyDraft(draft)) return draft;
    const base = this.#context.selectedMask();
    if (base !== null) return { ...EMPTY_DRAFT, base };
    return adds ? EMPTY_DRAFT : null;
  }

  /** Begin to change an existing mask by clicks. */
  refine(maskId: string): void {
    const base = this.#context.document.masks.find(
      (mask) => mask.id === maskId && mask.status !== "rejected",
    );
    if (base === undefined) return;
    this.#context.startClock();
    this.#context.select(maskId);
    this.#context.record("refine", { draft: { ...EMPTY_DRAFT, base } });
    this.#context.set({ toolId: "point" });
  }

  acceptDraft(): void {
    const open = this.#context.openTool();
    if (open !== null) {
      open.complete(this.#context.toolContext());
      return;
    }
    const { draft, masks } = this.#context.document;
    if (this.#context.state.isDecoding) {
      this.#context.acceptWhenAnswered(draft.steps);
      return;
    }
    const rle = this.#context.draftRle();
    if (rle === null) return;
    const mask: MaskItem = {
      id: draft.base?.id ?? this.#context.newId(),
      source: draft.base?.source ?? "human",
      status: "accepted",
      rle,
      label: draft.base?.label ?? "",
      author: this.#context.author,
      predictedIou:
        draft.steps.length > 0
          ? (this.#context.state.candidates[draft.candidateIndex]?.predictedIou ?? null)
          : null,
      prompts: promptRecords(draft),
      annotateMs: this.#context.activeMs(),
    };
    const logits =
      draft.added === null && draft.erased === null
        ? this.#context.state.candidates[draft.candidateIndex]?.lowResLogits
        : null;
    if (logits != null) this.#ownLogits.set(rle, logits);
    const others = placed(masks, mask, this.#context.state.overlap);
    if (others === null) {
      this.#context.notify(
        "Other masks cover all of this one, and overlaps are cut from new masks: nothing would be left.",
      );
      return;
    }
    this.#context.record("accept", { draft: EMPTY_DRAFT, masks: others });
    this.#context.restartClock();
    this.#context.select(null);
  }

  /** The object is too hard: drop what there is of it and go on (the paper's 30 s rule). */
  leaveOut(): void {
    this.#context.record("leave out", {
      draft: EMPTY_DRAFT,
      numLeftOut: this.#context.document.numLeftOut + 1,
    });
    this.#context.restartClock();
    this.#context.select(null);
    this.#context.notify("Left out. Go on with the next object.");
  }
}
