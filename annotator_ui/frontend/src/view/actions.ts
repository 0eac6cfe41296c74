/** Everything the page can do, once: the toolbar, the keyboard and the help sheet read this table. */

import { isEmptyDraft } from "../core/editor/document";
import type { MaskItem } from "../core/editor/document";
import type { OverlapPolicy } from "../core/editor/operations";
import type { ToolId } from "../core/tools/tool";
import type { LabelPage, OpenImage } from "./labelPage";

export const GROUPS = [
  "Tools",
  "This mask",
  "Suggestions and masks",
  "Pixels",
  "View",
  "Image",
] as const;
export type ActionGroup = (typeof GROUPS)[number];

export interface Action {
  readonly id: string;
  readonly label: string;
  readonly group: ActionGroup;
  readonly keys: readonly string[];
  readonly run: () => void;
  readonly isEnabled: (open: OpenImage) => boolean;
  /** Only when the canvas has the keyboard: elsewhere the key keeps its usual meaning. */
  readonly needsCanvas?: boolean;
}

export interface ActionHooks {
  readonly openHelp: () => void;
  readonly openSkip: () => void;
  readonly focusLabel: () => void;
}

export const OVERLAPS: Readonly<Record<OverlapPolicy, string>> = {
  keep: "keep",
  cut_below: "cut below",
  cut_above: "cut above",
};

type EditorEvent = Parameters<OpenImage["editor"]["dispatch"]>[0];
type Rest = Partial<Action> & Pick<Action, "run">;

/** The table with the person's own keys in place of the page's. */
export function makeActions(page: LabelPage, hooks: ActionHooks): readonly Action[] {
  const own = page.ports.settings.state().keys;
  const all = [
    toolActions,
    maskActions,
    listActions,
    pixelActions,
    viewActions,
    imageActions,
  ].flatMap((part) => part(page, hooks));
  return all.map((action) => ({ ...action, keys: own[action.id] ?? action.keys }));
}

function build(
  group: ActionGroup,
  id: string,
  label: string,
  keys: readonly string[],
  rest: Rest,
): Action {
  return { group, id, label, keys, isEnabled: () => true, ...rest };
}

function send(page: LabelPage, event: EditorEvent): void {
  page.state().open?.editor.dispatch(event);
}

export function selectedMask({ editor }: OpenImage): MaskItem | null {
  const { document, selectedMaskId } = editor.state();
  return (
    document.masks.find((mask) => mask.id === selectedMaskId && mask.status !== "rejected") ?? null
  );
}

const hasSelection = (open: OpenImage): boolean => selectedMask(open) !== null;
const hasMarks = (open: OpenImage): boolean =>
  hasSelection(open) && open.editor.state().markedMaskIds.length > 0;

function toolActions(page: LabelPage): readonly Action[] {
  const { settings } = page.ports;
  const tool = (id: ToolId, label: string, keys: readonly string[]): Action =>
    build("Tools", `tool-${id}`, label, keys, { run: () => send(page, { type: "tool", id }) });
  const brush = (step: 1 | -1) => () => {
    send(page, { type: "brush_size", step });
    settings.change({
      brushDiameterPx:
        page.state().open?.editor.state().brushDiameterPx ?? settings.state().brushDiameterPx,
    });
  };
  return [
    tool("point", "Click or drag a box", ["Q", "W"]),
    tool("brush", "Brush", ["B"]),
    tool("eraser", "Eraser", ["E"]),
    tool("polygon", "Polygon", ["P"]),
    tool("lasso", "Lasso", ["S"]),
    tool("select", "Select a mask", ["V"]),
    tool("pan", "Move the image", ["M"]),
    build("Tools", "brush-smaller", "Smaller brush", ["["], { run: brush(-1) }),
    build("Tools", "brush-larger", "Larger brush", ["]"], { run: brush(1) }),
    build("Tools", "hover", "Live preview on or off", ["G"], {
      run: () => {
        settings.change({ isHoverOn: !settings.state().isHoverOn });
        page.hover.clear();
      },
    }),
    build("Tools", "overlap", "Overlaps: keep, cut below, cut above", ["Shift+O"], {
      run: () => nextOverlap(page),
    }),
  ];
}

function nextOverlap(page: LabelPage): void {
  const all = Object.keys(OVERLAPS) as OverlapPolicy[];
  const { settings } = page.ports;
  setOverlap(page, all[(all.indexOf(settings.state().overlap) + 1) % all.length] ?? "keep");
}

export function setOverlap(page: LabelPage, policy: OverlapPolicy): void {
  page.ports.settings.change({ overlap: policy });
  send(page, { type: "overlap", policy });
}

function maskActions(page: LabelPage): readonly Action[] {
  const isDrawing = ({ editor }: OpenImage): boolean => editor.path() === "polygon.drawing";
  const hasDraft = (open: OpenImage): boolean =>
    open.editor.draftRle() !== null || open.editor.state().isDecoding || isDrawing(open);
  const hasChoice = ({ editor }: OpenImage): boolean => editor.state().candidates.length > 1;
  const hasPrompts = (open: OpenImage): boolean =>
    open.editor.state().document.draft.steps.length > 0 || isDrawing(open);
  const cycle = (step: 1 | -1): Rest => ({
    run: () => send(page, { type: "cycle_candidate", step }),
    isEnabled: hasChoice,
  });
  return [
    build("This mask", "accept", "Accept the mask", ["Enter", "F"], {
      run: () => send(page, { type: "accept_draft" }),
      isEnabled: hasDraft,
    }),
    build("This mask", "next-candidate", "Next of the offered masks", ["Tab"], {
      ...cycle(1),
      needsCanvas: true,
    }),
    build("This mask", "previous-candidate", "Previous of the offered masks", ["Shift+Tab"], {
      ...cycle(-1),
      needsCanvas: true,
    }),
    build(
      "This mask",
      "cycle-candidate",
      "Next of the offered masks, from anywhere",
      ["C"],
      cycle(1),
    ),
    build("This mask", "remove-prompt", "Remove the last click, box or corner", ["Backspace"], {
      run: () => send(page, { type: "remove_last_prompt" }),
      isEnabled: hasPrompts,
    }),
    build("This mask", "clear", "Drop the mask", ["Escape"], { run: () => dropOrLeave(page) }),
    build("This mask", "too-hard", "Too hard: leave this object out", ["K"], {
      run: () => send(page, { type: "too_hard" }),
      isEnabled: ({ editor }) =>
        !isEmptyDraft(editor.state().document.draft) || isDrawing({ editor } as OpenImage),
    }),
    build("This mask", "undo", "Undo", ["Ctrl+Z"], {
      run: () => send(page, { type: "undo" }),
      isEnabled: (open) => open.editor.state().undoMark !== null || isDrawing(open),
    }),
    build("This mask", "redo", "Redo", ["Ctrl+Shift+Z", "Ctrl+Y"], {
      run: () => send(page, { type: "redo" }),
      isEnabled: ({ editor }) => editor.state().redoMark !== null,
    }),
  ];
}

/** Esc drops what there is; with nothing to drop it leaves the canvas, so that Tab works as usual. */
function dropOrLeave(page: LabelPage): void {
  const editor = page.state().open?.editor;
  if (editor === undefined) return;
  const before = editor.state();
  editor.dispatch({ type: "cancel" });
  const after = editor.state();
  const isUnchanged =
    before.document === after.document && before.selectedMaskId === after.selectedMaskId;
  if (isUnchanged && before.preview === null && document.activeElement instanceof HTMLElement) {
    document.activeElement.blur();
  }
}

function listActions(page: LabelPage, hooks: ActionHooks): readonly Action[] {
  const judge = (to: "accepted" | "rejected") => () => {
    const { open } = page.state();
    const mask = open === null ? null : selectedMask(open);
    if (mask !== null) send(page, { type: "mask_status", maskId: mask.id, to });
  };
  const suggestions = (open: OpenImage) =>
    open.editor.state().document.masks.filter((mask) => mask.status === "proposed");
  const hasSuggestion = (open: OpenImage): boolean => suggestions(open).length > 0;
  /** A verdict needs something to look at: with no suggestion selected the key shows the first one. */
  const judgeSuggestion = (to: "accepted" | "rejected") => () => {
    const { open } = page.state();
    if (open === null) return;
    if (selectedMask(open)?.status === "proposed") judge(to)();
    else send(page, { type: "select", maskId: suggestions(open)[0]?.id ?? null });
  };
  const select = (step: 1 | -1): Rest => ({ run: () => send(page, { type: "select_next", step }) });
  const group = "Suggestions and masks";
  return [
    build(group, "select-previous", "Previous mask", ["J"], select(-1)),
    build(group, "select-next", "Next mask", ["L"], select(1)),
    build(group, "suggestion-yes", "Keep the suggestion", ["Y"], {
      run: judgeSuggestion("accepted"),
      isEnabled: hasSuggestion,
    }),
    build(group, "suggestion-no", "Refuse the suggestion", ["N"], {
      run: judgeSuggestion("rejected"),
      isEnabled: hasSuggestion,
    }),
    build(group, "refine", "Refine the selected mask by clicks", ["R"], {
      run: () => {
        const { open } = page.state();
        const mask = open === null ? null : selectedMask(open);
        if (mask !== null) send(page, { type: "refine", maskId: mask.id });
      },
      isEnabled: hasSelection,
    }),
    build(group, "label", "Write a label for the selected mask", ["T"], {
      run: hooks.focusLabel,
      isEnabled: hasSelection,
    }),
    build(group, "delete", "Delete the selected mask", ["Delete"], {
      run: judge("rejected"),
      isEnabled: hasSelection,
    }),
    build(group, "segment-everything", "Suggest masks for everything in this image", ["Shift+A"], {
      run: () => {
        const { open } = page.state();
        if (open !== null) void page.search.start(open.session.image.id);
      },
    }),
  ];
}

function pixelActions(page: LabelPage): readonly Action[] {
  const hasPixels = (open: OpenImage): boolean =>
    open.editor.draftRle() !== null || hasSelection(open);
  const pixel = (
    type: "fill_holes" | "largest_part" | "merge" | "subtract" | "split",
    label: string,
    key: string,
    isEnabled: Action["isEnabled"],
  ): Action =>
    build("Pixels", type.replace("_", "-"), label, [key], {
      run: () => send(page, { type }),
      isEnabled,
    });
  return [
    pixel("fill_holes", "Fill holes", "Shift+F", hasPixels),
    pixel("largest_part", "Keep the largest part only", "Shift+L", hasPixels),
    pixel("split", "Split the parts into masks of their own", "Shift+S", hasSelection),
    pixel("merge", "Merge the picked masks into one", "Shift+M", hasMarks),
    pixel("subtract", "Take the picked masks out of the first", "Shift+X", hasMarks),
  ];
}

function viewActions(page: LabelPage, hooks: ActionHooks): readonly Action[] {
  const { settings } = page.ports;
  const zoom = (to: "fit" | "one_to_one" | "in" | "out"): Rest => ({
    run: () => send(page, { type: "zoom", to }),
  });
  const toggleInstructions = (): void =>
    settings.change({ areInstructionsOpen: !settings.state().areInstructionsOpen });
  return [
    build("View", "zoom-fit", "Whole image", ["0"], zoom("fit")),
    build("View", "zoom-actual", "One to one", ["1"], zoom("one_to_one")),
    build("View", "zoom-in", "Zoom in", ["+", "="], zoom("in")),
    build("View", "zoom-out", "Zoom out", ["-"], zoom("out")),
    build("View", "opacity-down", "Masks fainter", [","], { run: () => settings.stepOpacity(-1) }),
    build("View", "opacity-up", "Masks stronger", ["."], { run: () => settings.stepOpacity(1) }),
    build("View", "outline", "Outlines only", ["O"], {
      run: () => settings.change({ isOutlineOnly: !settings.state().isOutlineOnly }),
    }),
    build("View", "hide-selected", "Hide the selected mask", ["Shift+H"], {
      run: () => send(page, { type: "hide_selected" }),
      isEnabled: hasSelection,
    }),
    build("View", "isolate", "Show the selected mask alone", ["I"], {
      run: () => send(page, { type: "isolate" }),
      isEnabled: (open) => hasSelection(open) || open.editor.state().isIsolated,
    }),
    build("View", "show-all", "Show all masks again", ["Alt+H"], {
      run: () => send(page, { type: "show_all" }),
    }),
    build("View", "instructions", "Instructions", ["/"], { run: toggleInstructions }),
    build("View", "help", "Keys and mouse", ["?"], { run: hooks.openHelp }),
  ];
}

function imageActions(page: LabelPage, hooks: ActionHooks): readonly Action[] {
  const isHere = (): boolean => !page.state().isLeaving;
  return [
    build("Image", "next-image", "Finish this image, take the next", ["Ctrl+Enter", "D"], {
      run: () => void page.finish(),
      isEnabled: isHere,
    }),
    build("Image", "previous-image", "Back to the image before", ["A"], {
      run: () => void page.previous(),
      isEnabled: () => isHere() && page.hasPrevious,
    }),
    build("Image", "skip", "Skip this image", ["Ctrl+Space"], {
      run: hooks.openSkip,
      isEnabled: isHere,
    }),
    build("Image", "send-now", "Send what waits now", ["Ctrl+S"], {
      run: () => page.ports.queue.kick(),
    }),
  ];
}
