/** Work on the mask in the making: clicks, boxes, strokes, outlines, and keeping it. */

import type { Desk } from "./desk";
import { EMPTY_DRAFT, isEmptyDraft, promptRecords, withShape } from "./document";
import type { Draft, Edit, MaskItem, StrokeKind } from "./document";
import type { ImagePoint } from "./geometry";
import { placed } from "./operations";
import { withPrompt } from "./prompts";
import type { LowResLogits, Prompt } from "./prompts";
import type { Rle } from "./rle";
import { outlineRle, strokeRle } from "./shapes";
import type { OutlineKind } from "./tools/tool";

export class DraftWork {
  readonly #desk: Desk;
  /** The logits of masks that are exactly what the model said, for refining them later. */
  readonly #ownLogits = new WeakMap<Rle, LowResLogits>();

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  addPrompt(prompt: Prompt): void {
    this.#desk.startClock();
    const { draft } = this.#desk.document;
    if (draft.base !== null) {
      this.#addPromptOn(draft, prompt);
      return;
    }
    // A click made before the answer to the previous one refines the mask before that.
    const shown = this.#desk.state.isDecoding ? null : this.#desk.state.candidates[draft.candidateIndex]?.lowResLogits;
    const feedback = shown ?? draft.steps.at(-1)?.feedback ?? null;
    const steps = withPrompt(draft.steps, prompt, { feedback, under: null });
    this.#desk.set({ selectedMaskId: null, markedMaskIds: [] });
    this.#desk.record(prompt.kind, { draft: { ...draft, steps, candidateIndex: 0 } });
  }

  /** A prompt on an existing mask: what was done to it so far goes under, by hand or by clicks. */
  #addPromptOn(draft: Draft, prompt: Prompt): void {
    const rle = this.#desk.draftRle() ?? draft.base?.rle;
    if (rle === undefined) return;
    const feedback = this.#ownLogits.get(rle) ?? null;
    const under = { rle, added: draft.added, erased: draft.erased };
    const steps = withPrompt(draft.steps, prompt, { feedback, under });
    this.#desk.record(prompt.kind, { draft: { ...draft, steps, candidateIndex: 0, added: null, erased: null } });
  }

  removeLastPrompt(): void {
    const open = this.#desk.openTool();
    const { draft } = this.#desk.document;
    const last = draft.steps.at(-1);
    if (open !== null) {
      open.removeLast(this.#desk.context);
    } else if (last !== undefined) {
      const steps = draft.steps.slice(0, -1);
      const edits = last.under === null ? {} : { added: last.under.added, erased: last.under.erased };
      this.#desk.record("remove prompt", { draft: { ...draft, ...edits, steps, candidateIndex: 0 } });
    }
  }

  paint(kind: StrokeKind, path: readonly ImagePoint[]): void {
    const { brushDiameterPx } = this.#desk.state;
    const shape = strokeRle(this.#desk.image, path, brushDiameterPx);
    this.#shape({ kind, diameterPx: brushDiameterPx }, shape, kind === "brush");
  }

  fillOutline(kind: OutlineKind, corners: readonly ImagePoint[], adds: boolean): void {
    this.#shape({ kind }, outlineRle(this.#desk.image, corners), adds);
  }

  #shape(edit: Edit, shape: Rle, adds: boolean): void {
    const draft = this.#editableDraft(adds);
    if (draft === null) return;
    this.#desk.startClock();
    this.#desk.record(edit.kind, { draft: withShape(draft, edit, shape, adds) });
  }

  /** The draft to edit: the one there is, else the selected mask, else (to add to) a new one. */
  #editableDraft(adds: boolean): Draft | null {
    const { draft } = this.#desk.document;
    if (!isEmptyDraft(draft)) return draft;
    const base = this.#desk.selectedMask();
    if (base !== null) return { ...EMPTY_DRAFT, base };
    return adds ? EMPTY_DRAFT : null;
  }

  /** Begin to change an existing mask by clicks. */
  refine(maskId: string): void {
    const base = this.#desk.document.masks.find((mask) => mask.id === maskId && mask.status !== "rejected");
    if (base === undefined) return;
    this.#desk.startClock();
    this.#desk.select(maskId);
    this.#desk.record("refine", { draft: { ...EMPTY_DRAFT, base } });
    this.#desk.set({ toolId: "point" });
  }

  acceptDraft(): void {
    const open = this.#desk.openTool();
    if (open !== null) {
      open.complete(this.#desk.context);
      return;
    }
    const { draft, masks } = this.#desk.document;
    if (this.#desk.state.isDecoding) {
      this.#desk.acceptWhenAnswered(draft.steps);
      return;
    }
    const rle = this.#desk.draftRle();
    if (rle === null) return;
    const mask: MaskItem = {
      id: draft.base?.id ?? this.#desk.newId(),
      source: draft.base?.source ?? "human",
      status: "accepted",
      rle,
      label: draft.base?.label ?? "",
      author: this.#desk.author,
      predictedIou: draft.steps.length > 0 ? (this.#desk.state.candidates[draft.candidateIndex]?.predictedIou ?? null) : null,
      prompts: promptRecords(draft),
      annotateMs: this.#desk.activeMs(),
    };
    const logits = draft.added === null && draft.erased === null ? this.#desk.state.candidates[draft.candidateIndex]?.lowResLogits : null;
    if (logits != null) this.#ownLogits.set(rle, logits);
    const others = placed(masks, mask, this.#desk.state.overlap);
    if (others === null) {
      this.#desk.say("Other masks cover all of this one, and overlaps are cut from new masks: nothing would be left.");
      return;
    }
    this.#desk.record("accept", { draft: EMPTY_DRAFT, masks: others });
    this.#desk.restartClock();
    this.#desk.select(null);
  }

  /** The object is too hard: drop what there is of it and go on (the paper's 30 s rule). */
  leaveOut(): void {
    this.#desk.record("leave out", { draft: EMPTY_DRAFT, numLeftOut: this.#desk.document.numLeftOut + 1 });
    this.#desk.restartClock();
    this.#desk.select(null);
    this.#desk.say("Left out. Go on with the next object.");
  }
}
