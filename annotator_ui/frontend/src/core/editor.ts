/** The labelling of one photo without a screen: events in, state and effects out. */

import * as cameras from "./camera";
import type { Camera } from "./camera";
import { ActiveTimer } from "./activeTimer";
import { draftRle, EMPTY_DRAFT, isEmptyDraft, promptRecords, withStroke } from "./document";
import type { Document, Draft, MaskItem, StrokeKind } from "./document";
import { initialState, nextBrushPx } from "./editorState";
import type { EditorStart, EditorState } from "./editorState";
import type { EditorEvent, EditorPorts } from "./events";
import { boxBetween, isInside } from "./geometry";
import type { ImagePoint, Size } from "./geometry";
import { History } from "./history";
import { OPTIONS } from "./options";
import { withPrompt } from "./prompts";
import type { Candidate, Prompt, PromptStep } from "./prompts";
import { boundsOf, hasPixel } from "./rle";
import type { Rle } from "./rle";
import { ToldServer } from "./told";
import { PanTool } from "./tools/panTool";
import { PointTool } from "./tools/pointTool";
import { SelectTool } from "./tools/selectTool";
import { StrokeTool } from "./tools/strokeTool";
import type { PointerInput, Tool, ToolContext, ToolId } from "./tools/tool";

type Handlers = { readonly [Type in EditorEvent["type"]]: (event: Extract<EditorEvent, { type: Type }>) => void };

export class Editor {
  readonly image: Size;
  readonly #author: string;
  readonly #ports: EditorPorts;
  readonly #history: History<Document>;
  readonly #told: ToldServer;
  readonly #timer = new ActiveTimer();
  readonly #tools: Readonly<Record<ToolId, Tool>> = {
    point: new PointTool(),
    brush: new StrokeTool("brush"),
    eraser: new StrokeTool("eraser"),
    select: new SelectTool(),
    pan: new PanTool(),
  };
  readonly #context: ToolContext;
  readonly #listeners = new Set<() => void>();
  /** The model's answers by the exact prompts asked: undo finds the mask again without asking. */
  readonly #answers = new WeakMap<readonly PromptStep[], readonly Candidate[]>();
  /** Accept was pressed before the model answered: these prompts are accepted when it does. */
  #acceptOnAnswer: readonly PromptStep[] | null = null;
  #isFitted = false;
  #gestureTool: Tool | null = null;
  #state: EditorState;

  constructor(start: EditorStart, ports: EditorPorts) {
    this.image = start.image;
    this.#author = start.author;
    this.#ports = ports;
    this.#history = new History<Document>({ masks: start.masks, draft: EMPTY_DRAFT });
    this.#told = new ToldServer(start.told);
    this.#context = this.#makeContext();
    this.#state = initialState(this.#history.present);
  }

  state(): EditorState {
    return this.#state;
  }

  /** The active tool and its state, e.g. `point.boxing`. */
  path(): string {
    return (this.#gestureTool ?? this.#activeTool()).path();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispatch(event: EditorEvent): void {
    // The table has one handler for each event type, so this pairing holds for every member.
    (this.#handlers[event.type] as (event: EditorEvent) => void)(event);
  }

  /** The pixels of the draft as they would be accepted; null when there are none. */
  draftRle(): Rle | null {
    return draftRle(this.#document.draft, this.#state.candidates, this.image);
  }

  activeMs(): number {
    return this.#timer.elapsedMs(this.#ports.nowMs());
  }

  noteActivity(): void {
    this.#timer.activity(this.#ports.nowMs());
  }

  noteVisibility(isVisible: boolean): void {
    if (isVisible) this.#timer.shown(this.#ports.nowMs());
    else this.#timer.hidden(this.#ports.nowMs());
  }

  readonly #handlers: Handlers = {
    pointer_down: (event) => this.#pointerDown(event),
    pointer_move: (event) => this.#gestureTool?.pointerMove(event, this.#context),
    pointer_up: (event) => this.#endGesture((tool) => tool.pointerUp(event, this.#context)),
    pointer_left: () => this.#endGesture((tool) => tool.interrupt(this.#context)),
    interrupt: () => this.#endGesture((tool) => tool.interrupt(this.#context)),
    complete: () => this.#endGesture((tool) => tool.complete(this.#context)),
    cancel: () => this.#cancel(),
    wheel: (event) => this.#setCamera(cameras.zoomAt(this.#state.camera, event.at, OPTIONS.zoomStep ** -event.deltaPx)),
    viewport: (event) => this.#resize(event.size),
    pan_held: (event) => {
      if (event.isHeld) this.#endGesture((tool) => tool.interrupt(this.#context));
      this.#set({ isPanHeld: event.isHeld });
    },
    tool: (event) => {
      this.#endGesture((tool) => tool.interrupt(this.#context));
      this.#set({ toolId: event.id });
    },
    brush_size: (event) => this.#set({ brushDiameterPx: nextBrushPx(this.#state.brushDiameterPx, event.step) }),
    hide_masks: (event) => this.#set({ areMasksHidden: event.isHidden }),
    zoom: (event) =>
      this.#setCamera(
        event.to === "fit"
          ? cameras.fit(this.image, this.#state.viewport)
          : cameras.oneToOne(this.#state.camera, this.#state.viewport),
      ),
    remove_last_prompt: () => this.#removeLastPrompt(),
    accept_draft: () => this.#acceptDraft(),
    undo: () => this.#travel(this.#history.undo()),
    redo: () => this.#travel(this.#history.redo()),
    cycle_candidate: (event) => this.#cycleCandidate(event.step),
    select: (event) => this.#select(event.maskId),
    select_next: (event) => this.#selectNext(event.step),
    mask_status: (event) => this.#setMaskStatus(event.maskId, event.to),
    decoded: (event) => this.#answered(event.steps, event.candidates),
    decode_failed: (event) => {
      // The mask of the earlier prompts goes: accepted now, it would pass for the answer to these.
      const failed = { isDecoding: false, candidates: [], decodeError: event.message };
      if (event.steps === this.#document.draft.steps) this.#set(failed);
    },
  };

  get #document(): Document {
    return this.#history.present;
  }

  #makeContext(): ToolContext {
    const toImage: ToolContext["toImage"] = (at) => cameras.screenToImage(this.#state.camera, at);
    return {
      toImage,
      boxBetween: (a, b) => boxBetween(toImage(a), toImage(b), this.image),
      addPoint: (at, label) => {
        if (isInside(at, this.image)) this.#addPrompt({ kind: "point", at, label });
      },
      setBox: (box) => this.#addPrompt({ kind: "box", box }),
      paint: (kind, path) => this.#paint(kind, path),
      panBy: (dx, dy) => this.#setCamera(cameras.panBy(this.#state.camera, dx, dy)),
      selectAt: (at) => this.#select(this.#maskAt(at)?.id ?? null),
      preview: (preview) => this.#set({ preview }),
    };
  }

  #activeTool(): Tool {
    return this.#tools[this.#state.isPanHeld ? "pan" : this.#state.toolId];
  }

  #pointerDown(input: PointerInput): void {
    if (this.#gestureTool !== null) return;
    this.#gestureTool = input.button === "middle" ? this.#tools.pan : this.#activeTool();
    this.#gestureTool.pointerDown(input, this.#context);
  }

  #endGesture(end: (tool: Tool) => void): void {
    const tool = this.#gestureTool;
    this.#gestureTool = null;
    if (tool !== null) end(tool);
  }

  #cancel(): void {
    if (this.#gestureTool !== null) this.#endGesture((tool) => tool.cancel(this.#context));
    else if (!isEmptyDraft(this.#document.draft)) this.#record("clear", { draft: EMPTY_DRAFT });
    else this.#select(null);
  }

  #addPrompt(prompt: Prompt): void {
    this.#startClock();
    const old = this.#document.draft;
    // Clicks ask for a new mask; a mask that is being repainted is left as it was.
    const draft = old.base === null ? old : EMPTY_DRAFT;
    // A click made before the answer to the previous one refines the mask before that.
    const shown = this.#state.isDecoding ? null : this.#state.candidates[draft.candidateIndex]?.lowResLogits;
    const feedback = shown ?? draft.steps.at(-1)?.feedback ?? null;
    const steps = withPrompt(draft.steps, prompt, feedback);
    this.#set({ selectedMaskId: null });
    this.#record(prompt.kind, { draft: { ...draft, steps, candidateIndex: 0 } });
  }

  #removeLastPrompt(): void {
    const { draft } = this.#document;
    if (draft.steps.length === 0) return;
    const steps = draft.steps.slice(0, -1);
    this.#record("remove prompt", { draft: { ...draft, steps, candidateIndex: 0 } });
  }

  #paint(kind: StrokeKind, path: readonly ImagePoint[]): void {
    const draft = this.#paintableDraft();
    if (draft === null) return;
    this.#startClock();
    const stroke = { kind, diameterPx: this.#state.brushDiameterPx, path, image: this.image };
    this.#record(kind, { draft: withStroke(draft, stroke) });
  }

  /** The draft to paint on: the one there is, else the selected mask, else (brush only) a new one. */
  #paintableDraft(): Draft | null {
    const { draft } = this.#document;
    if (!isEmptyDraft(draft)) return draft;
    const base = this.#selectedMask();
    if (base !== null) return { ...EMPTY_DRAFT, base };
    return this.#state.toolId === "brush" ? EMPTY_DRAFT : null;
  }

  #acceptDraft(): void {
    const { draft, masks } = this.#document;
    if (this.#state.isDecoding) {
      this.#acceptOnAnswer = draft.steps;
      return;
    }
    const rle = this.draftRle();
    if (rle === null) return;
    const mask: MaskItem = {
      id: draft.base?.id ?? this.#ports.newId(),
      source: draft.base?.source ?? "human",
      status: "accepted",
      rle,
      label: draft.base?.label ?? "",
      author: this.#author,
      predictedIou: draft.steps.length > 0 ? (this.#state.candidates[draft.candidateIndex]?.predictedIou ?? null) : null,
      prompts: promptRecords(draft),
      annotateMs: this.activeMs(),
    };
    const others = draft.base === null ? [...masks, mask] : masks.map((old) => (old.id === mask.id ? mask : old));
    this.#record("accept", { draft: EMPTY_DRAFT, masks: others });
    this.#timer.start(this.#ports.nowMs());
    this.#select(null);
  }

  #setMaskStatus(maskId: string, to: "accepted" | "rejected"): void {
    const mask = this.#document.masks.find((item) => item.id === maskId);
    if (mask === undefined || mask.status === to) return;
    const wasSuggestion = mask.status === "proposed";
    const next = wasSuggestion ? this.#neighbour(maskId, 1, (item) => item.status === "proposed") : null;
    const masks = this.#document.masks.map((item) => (item.id === maskId ? { ...item, status: to } : item));
    const wasSelected = this.#state.selectedMaskId === maskId;
    this.#record(to === "accepted" ? "accept suggestion" : "reject", { masks });
    this.#timer.clear();
    if (wasSelected) this.#select(next?.id ?? null);
  }

  #travel(step: { readonly to: Document } | null): void {
    if (step === null) return;
    this.#endGesture((tool) => tool.interrupt(this.#context));
    this.#settle();
  }

  #record(mark: string, change: Partial<Document>): void {
    this.#history.record(mark, { ...this.#document, ...change });
    this.#settle();
  }

  /** After any change of the document: say what the server must hear, ask what the model must answer. */
  #settle(): void {
    const { masks, draft } = this.#document;
    this.#acceptOnAnswer = null;
    for (const message of this.#told.catchUp(masks, () => this.#ports.newId())) this.#ports.emit(message);
    if (this.#state.selectedMaskId !== null && this.#selectedMask() === null) this.#set({ selectedMaskId: null });
    this.#refresh({ decodeError: null });
    if (draft.steps.length > 0 && !this.#answers.has(draft.steps)) {
      this.#ports.emit({ type: "decode", steps: draft.steps });
    }
  }

  #answered(steps: readonly PromptStep[], candidates: readonly Candidate[]): void {
    this.#answers.set(steps, candidates);
    if (steps !== this.#document.draft.steps) return;
    this.#refresh({ decodeError: null });
    if (this.#acceptOnAnswer === steps) this.#acceptDraft();
  }

  #cycleCandidate(step: 1 | -1): void {
    const count = this.#state.candidates.length;
    if (count < 2) return;
    const { draft } = this.#document;
    const candidateIndex = (draft.candidateIndex + step + count) % count;
    this.#history.amend({ ...this.#document, draft: { ...draft, candidateIndex } });
    this.#refresh({});
  }

  #select(maskId: string | null): void {
    const mask = this.#document.masks.find((item) => item.id === maskId);
    const bounds = mask === undefined ? null : boundsOf(mask.rle);
    const { camera, viewport } = this.#state;
    this.#set({
      selectedMaskId: mask?.id ?? null,
      camera: bounds === null ? camera : cameras.reveal(camera, bounds, viewport),
    });
  }

  #selectNext(step: 1 | -1): void {
    const next = this.#neighbour(this.#state.selectedMaskId, step, (mask) => mask.status !== "rejected");
    if (next !== null) this.#select(next.id);
  }

  #neighbour(fromId: string | null, step: 1 | -1, isWanted: (mask: MaskItem) => boolean): MaskItem | null {
    const { masks } = this.#document;
    const start = masks.findIndex((mask) => mask.id === fromId);
    for (let i = 1; i <= masks.length; i += 1) {
      const origin = start < 0 && step < 0 ? 0 : start;
      const mask = masks[(origin + step * i + masks.length * 2) % masks.length];
      if (mask !== undefined && mask.id !== fromId && isWanted(mask)) return mask;
    }
    return null;
  }

  #selectedMask(): MaskItem | null {
    return this.#document.masks.find(
      (mask) => mask.id === this.#state.selectedMaskId && mask.status !== "rejected",
    ) ?? null;
  }

  /** The smallest visible mask under a point, so that a part can be picked on top of its whole. */
  #maskAt(at: ImagePoint): MaskItem | null {
    if (!isInside(at, this.image)) return null;
    const hits = this.#document.masks.filter((mask) => mask.status !== "rejected" && hasPixel(mask.rle, at.x, at.y));
    const extent = (mask: MaskItem): number => {
      const box = boundsOf(mask.rle);
      return box === null ? 0 : (box.x1 - box.x0) * (box.y1 - box.y0);
    };
    return hits.sort((a, b) => extent(a) - extent(b))[0] ?? null;
  }

  #startClock(): void {
    const nowMs = this.#ports.nowMs();
    if (this.#timer.isRunning) this.#timer.activity(nowMs);
    else this.#timer.start(nowMs);
  }

  #resize(size: Size): void {
    this.#set({ viewport: size });
    if (this.#isFitted || size.widthPx <= 0 || size.heightPx <= 0) return;
    this.#isFitted = true;
    this.#setCamera(cameras.fit(this.image, size));
  }

  #setCamera(camera: Camera): void {
    this.#set({ camera });
  }

  #refresh(change: Partial<EditorState>): void {
    const { draft } = this.#document;
    const isDecoding = draft.steps.length > 0 && !this.#answers.has(draft.steps);
    this.#set({
      document: this.#document,
      candidates: isDecoding ? this.#lastShown() : (this.#answers.get(draft.steps) ?? []),
      isDecoding,
      undoMark: this.#history.undoMark,
      redoMark: this.#history.redoMark,
      ...change,
    });
  }

  /** The mask on screen stays there while the model thinks about the next prompt. */
  #lastShown(): readonly Candidate[] {
    const { candidates, document } = this.#state;
    const shown = candidates[document.draft.candidateIndex] ?? candidates[0];
    return shown === undefined ? [] : [shown];
  }

  #set(change: Partial<EditorState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
