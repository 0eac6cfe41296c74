/** The labelling of one image without a screen: events in, state and effects out. */

import * as cameras from "../geometry/camera";
import type { Camera } from "../geometry/camera";
import type { EditorContext } from "./editorContext";
import { draftRle, EMPTY_DRAFT, isEmptyDraft } from "./document";
import type { Document, MaskItem } from "./document";
import { DraftWork } from "./draftWork";
import { clampedBrushPx, initialState, nextBrushPx } from "./editorState";
import type { EditorStart, EditorState } from "./editorState";
import type { EditorEvent, EditorPorts } from "./events";
import type { Size } from "../geometry/geometry";
import { History } from "./history";
import { MaskWork } from "./maskWork";
import { neighbour } from "./operations";
import { OPTIONS } from "../options";
import type { Candidate, PromptStep } from "./prompts";
import { boundsOf } from "../mask/rle";
import type { Rle } from "../mask/rle";
import { SyncState } from "./syncState";
import type { SyncedMask } from "./syncState";
import { makeToolContext } from "./toolContext";
import { makeTools } from "../tools/registry";
import { isOpenTool } from "../tools/tool";
import type { OpenTool, PointerInput, Tool, ToolContext } from "../tools/tool";
import { WorkTimers } from "./workTimers";

type Handlers = {
  readonly [Type in EditorEvent["type"]]: (event: Extract<EditorEvent, { type: Type }>) => void;
};

export class Editor {
  readonly image: Size;
  readonly #author: string;
  readonly #ports: EditorPorts;
  readonly #history: History<Document>;
  readonly #synced: SyncState;
  readonly #timers: WorkTimers;
  readonly #tools = makeTools();
  readonly #toolContext: ToolContext;
  readonly #draftWork: DraftWork;
  readonly #maskWork: MaskWork;
  readonly #listeners = new Set<() => void>();
  /** The model's answers by the exact prompts asked: undo finds the mask again without asking. */
  readonly #answers = new WeakMap<readonly PromptStep[], readonly Candidate[]>();
  /** Accept was pressed before the model answered: these prompts are accepted when it does. */
  #acceptOnAnswer: readonly PromptStep[] | null = null;
  /** The camera that shows the whole image, as long as nobody moved it. */
  #fitted: Camera | null = null;
  #gestureTool: Tool | null = null;
  #state: EditorState;

  constructor(start: EditorStart, ports: EditorPorts) {
    this.image = start.image;
    this.#author = start.author;
    this.#ports = ports;
    this.#history = new History<Document>({
      masks: start.masks,
      draft: EMPTY_DRAFT,
      numLeftOut: 0,
    });
    this.#synced = new SyncState(start.synced);
    this.#state = initialState(this.#history.present, start);
    const context = this.#makeContext();
    this.#draftWork = new DraftWork(context);
    this.#maskWork = new MaskWork(context);
    this.#toolContext = makeToolContext(context, this.#draftWork, this.#maskWork);
    this.#timers = new WorkTimers(() => ports.nowMs());
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
    return this.#timers.maskMs();
  }

  imageActiveMs(): number {
    return this.#timers.imageMs();
  }

  noteActivity(): void {
    this.#timers.noteActivity();
  }

  noteVisibility(isVisible: boolean): void {
    this.#timers.noteVisibility(isVisible);
  }

  readonly #handlers: Handlers = {
    pointer_down: (event) => this.#pointerDown(event),
    pointer_move: (event) =>
      (this.#gestureTool ?? this.#openTool())?.pointerMove(event, this.#toolContext),
    pointer_up: (event) => this.#endGesture((tool) => tool.pointerUp(event, this.#toolContext)),
    pointer_left: () => this.#endGesture((tool) => tool.interrupt(this.#toolContext)),
    interrupt: () => this.#endGesture((tool) => tool.interrupt(this.#toolContext)),
    complete: () =>
      this.#gestureTool === null
        ? this.#openTool()?.complete(this.#toolContext)
        : this.#endGesture((tool) => tool.complete(this.#toolContext)),
    cancel: () => this.#cancel(),
    wheel: (event) =>
      this.#setCamera(
        cameras.zoomAt(this.#state.camera, event.at, OPTIONS.zoomStep ** -event.deltaPx),
      ),
    pinch: ({ from, to, factor }) =>
      this.#setCamera(
        cameras.panBy(
          cameras.zoomAt(this.#state.camera, from, factor),
          to.x - from.x,
          to.y - from.y,
        ),
      ),
    viewport: (event) => this.#resize(event.size),
    pan_held: (event) => {
      if (event.isHeld) this.#endGesture((tool) => tool.interrupt(this.#toolContext));
      this.#set({ isPanHeld: event.isHeld });
    },
    tool: (event) => {
      this.#endGesture((tool) => tool.interrupt(this.#toolContext));
      this.#openTool()?.interrupt(this.#toolContext);
      this.#set({ toolId: event.id });
    },
    brush_size: (event) =>
      this.#set({ brushDiameterPx: nextBrushPx(this.#state.brushDiameterPx, event.step) }),
    brush_to: (event) => this.#set({ brushDiameterPx: clampedBrushPx(event.diameterPx) }),
    hide_masks: (event) => this.#set({ areMasksHidden: event.isHidden }),
    hide_selected: () => {
      const id = this.#state.selectedMaskId;
      if (id !== null)
        this.#set({
          hiddenMaskIds: new Set([...this.#state.hiddenMaskIds, id]),
          selectedMaskId: null,
        });
    },
    isolate: () =>
      this.#set({ isIsolated: !this.#state.isIsolated && this.#state.selectedMaskId !== null }),
    show_all: () => this.#set({ hiddenMaskIds: new Set(), isIsolated: false }),
    zoom: (event) => this.#zoom(event.to),
    remove_last_prompt: () => this.#draftWork.removeLastPrompt(),
    accept_draft: () => this.#draftWork.acceptDraft(),
    too_hard: () => this.#draftWork.leaveOut(),
    undo: () => {
      const open = this.#openTool();
      if (open === null) this.#travel(this.#history.undo());
      else open.removeLast(this.#toolContext);
    },
    redo: () => this.#travel(this.#history.redo()),
    cycle_candidate: (event) => this.#cycleCandidate(event.step),
    select: (event) => this.#select(event.maskId),
    mark: (event) => this.#maskWork.mark(event.maskId),
    select_next: (event) => this.#selectNext(event.step),
    refine: (event) => this.#draftWork.refine(event.maskId),
    fill_holes: () => this.#maskWork.fillHoles(),
    largest_part: () => this.#maskWork.keepLargestPart(),
    merge: () => this.#maskWork.merge(),
    subtract: () => this.#maskWork.subtract(),
    split: () => this.#maskWork.split(),
    overlap: (event) => this.#set({ overlap: event.policy }),
    label: (event) => this.#maskWork.label(event.maskId, event.label.trim()),
    mask_status: (event) => this.#maskWork.setMaskStatus(event.maskId, event.to),
    masks_arrived: (event) => this.#arrive(event.masks, event.synced),
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

  #makeContext(): EditorContext {
    const history = this.#history;
    const current = (): EditorState => this.#state;
    return {
      image: this.image,
      author: this.#author,
      toolContext: () => this.#toolContext,
      get document() {
        return history.present;
      },
      get state() {
        return current();
      },
      newId: () => this.#ports.newId(),
      record: (mark, change) => this.#record(mark, change),
      set: (change) => this.#set(change),
      select: (maskId) => this.#select(maskId),
      selectedMask: () => this.#selectedMask(),
      notify: (text) => this.#ports.emit({ type: "notify", text }),
      draftRle: () => this.draftRle(),
      openTool: () => this.#openTool(),
      activeMs: () => this.activeMs(),
      startClock: () => this.#timers.startMask(),
      restartClock: () => this.#timers.restartMask(),
      stopClock: () => this.#timers.stopMask(),
      acceptWhenAnswered: (steps) => {
        this.#acceptOnAnswer = steps;
      },
    };
  }

  #activeTool(): Tool {
    return this.#tools[this.#state.isPanHeld ? "pan" : this.#state.toolId];
  }

  /** A tool whose gesture goes on while the pointer is up. */
  #openTool(): OpenTool | null {
    const tool = this.#tools[this.#state.toolId];
    return isOpenTool(tool) ? tool : null;
  }

  #pointerDown(input: PointerInput): void {
    if (this.#gestureTool !== null) return;
    this.#gestureTool = input.button === "middle" ? this.#tools.pan : this.#activeTool();
    this.#gestureTool.pointerDown(input, this.#toolContext);
  }

  #endGesture(end: (tool: Tool) => void): void {
    const tool = this.#gestureTool;
    this.#gestureTool = null;
    if (tool !== null) end(tool);
  }

  #cancel(): void {
    const open = this.#openTool();
    if (this.#gestureTool !== null) this.#endGesture((tool) => tool.cancel(this.#toolContext));
    else if (open !== null) open.cancel(this.#toolContext);
    else if (!isEmptyDraft(this.#document.draft)) this.#record("clear", { draft: EMPTY_DRAFT });
    else this.#select(null);
  }

  #travel(step: { readonly to: Document } | null): void {
    if (step === null) return;
    this.#endGesture((tool) => tool.interrupt(this.#toolContext));
    this.#settle();
  }

  #record(mark: string, change: Partial<Document>): void {
    this.#history.record(mark, { ...this.#document, ...change });
    this.#settle();
  }

  /** After any change of the document: send what the server lacks, ask the model for what is not decoded yet. */
  #settle(): void {
    const { masks, draft } = this.#document;
    this.#acceptOnAnswer = null;
    for (const message of this.#synced.messagesFor(masks, () => this.#ports.newId()))
      this.#ports.emit(message);
    if (this.#state.selectedMaskId !== null && this.#selectedMask() === null)
      this.#set({ selectedMaskId: null });
    this.#refresh({ decodeError: null });
    if (draft.steps.length > 0 && !this.#answers.has(draft.steps)) {
      this.#ports.emit({ type: "decode", steps: draft.steps });
    }
  }

  #answered(steps: readonly PromptStep[], candidates: readonly Candidate[]): void {
    this.#answers.set(steps, candidates);
    if (steps !== this.#document.draft.steps) return;
    this.#refresh({ decodeError: null });
    if (this.#acceptOnAnswer === steps) this.#draftWork.acceptDraft();
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
      markedMaskIds: [],
      isIsolated: this.#state.isIsolated && mask !== undefined,
      camera: bounds === null ? camera : cameras.reveal(camera, bounds, viewport),
    });
  }

  #selectNext(step: 1 | -1): void {
    const next = neighbour(
      this.#document.masks,
      this.#state.selectedMaskId,
      step,
      (mask) => mask.status !== "rejected",
    );
    if (next !== null) this.#select(next.id);
  }

  #selectedMask(): MaskItem | null {
    return (
      this.#document.masks.find(
        (mask) => mask.id === this.#state.selectedMaskId && mask.status !== "rejected",
      ) ?? null
    );
  }

  /** Into every step of the history: no undo may take back what the server itself has. */
  #arrive(masks: readonly MaskItem[], synced: readonly (readonly [string, SyncedMask])[]): void {
    const byId = new Map(masks.map((mask) => [mask.id, mask]));
    this.#synced.acknowledge(synced);
    this.#history.rewrite((document) => {
      const known = new Set(document.masks.map((mask) => mask.id));
      return {
        ...document,
        masks: [
          ...document.masks.map((mask) => byId.get(mask.id) ?? mask),
          ...masks.filter((mask) => !known.has(mask.id)),
        ],
      };
    });
    this.#refresh({});
  }

  #zoom(to: "fit" | "one_to_one" | "in" | "out"): void {
    const { camera, viewport } = this.#state;
    if (to === "fit") {
      this.#fitted = cameras.fit(this.image, viewport);
      this.#setCamera(this.#fitted);
    }
    if (to === "one_to_one") this.#setCamera(cameras.oneToOne(camera, viewport));
    if (to === "in" || to === "out")
      this.#setCamera(
        cameras.zoomStep(camera, viewport, OPTIONS.zoomKeyFactor ** (to === "in" ? 1 : -1)),
      );
  }

  #resize(size: Size): void {
    this.#set({ viewport: size });
    // An image shown whole stays whole when the window changes; one that was zoomed stays where it is.
    const isFitted = this.#fitted === null || this.#fitted === this.#state.camera;
    if (!isFitted || size.widthPx <= 0 || size.heightPx <= 0) return;
    this.#fitted = cameras.fit(this.image, size);
    this.#setCamera(this.#fitted);
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
