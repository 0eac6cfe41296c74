/** Everything the page can do, once: the toolbar, the keyboard and the help sheet read this table. */

import type { ToolId } from "../core/tools/tool";
import type { LabelPage, OpenImage } from "./labelPage";

export type ActionGroup = "Tools" | "This mask" | "Suggestions and masks" | "View" | "Image";

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
}

type Build = (group: ActionGroup, id: string, label: string, keys: readonly string[], rest: Partial<Action> & Pick<Action, "run">) => Action;

const always = (): boolean => true;
const build: Build = (group, id, label, keys, rest) => ({ group, id, label, keys, isEnabled: always, ...rest });

export function makeActions(page: LabelPage, hooks: ActionHooks): readonly Action[] {
  return [...toolActions(page), ...maskActions(page), ...listActions(page), ...viewActions(page, hooks), ...imageActions(page, hooks)];
}

type EditorEvent = Parameters<OpenImage["editor"]["dispatch"]>[0];

function send(page: LabelPage, event: EditorEvent): void {
  page.state().open?.editor.dispatch(event);
}

function toolActions(page: LabelPage): readonly Action[] {
  const tool = (id: ToolId, label: string, keys: readonly string[]): Action =>
    build("Tools", `tool-${id}`, label, keys, { run: () => send(page, { type: "tool", id }) });
  return [
    tool("point", "Click or drag a box", ["Q"]),
    tool("brush", "Brush", ["B"]),
    tool("eraser", "Eraser", ["E"]),
    tool("select", "Select a mask", ["V"]),
    tool("pan", "Move the photo", ["M"]),
    build("Tools", "brush-smaller", "Smaller brush", ["["], { run: () => send(page, { type: "brush_size", step: -1 }) }),
    build("Tools", "brush-larger", "Larger brush", ["]"], { run: () => send(page, { type: "brush_size", step: 1 }) }),
  ];
}

function maskActions(page: LabelPage): readonly Action[] {
  const hasDraft = ({ editor }: OpenImage): boolean => editor.draftRle() !== null || editor.state().isDecoding;
  const hasChoice = ({ editor }: OpenImage): boolean => editor.state().candidates.length > 1;
  const hasPrompts = ({ editor }: OpenImage): boolean => editor.state().document.draft.steps.length > 0;
  return [
    build("This mask", "accept", "Accept the mask", ["Enter", "F"], {
      run: () => send(page, { type: "accept_draft" }),
      isEnabled: hasDraft,
    }),
    build("This mask", "next-candidate", "Next of the three masks", ["Tab"], {
      run: () => send(page, { type: "cycle_candidate", step: 1 }),
      isEnabled: hasChoice,
      needsCanvas: true,
    }),
    build("This mask", "previous-candidate", "Previous of the three masks", ["Shift+Tab"], {
      run: () => send(page, { type: "cycle_candidate", step: -1 }),
      isEnabled: hasChoice,
      needsCanvas: true,
    }),
    build("This mask", "cycle-candidate", "Next of the three masks, from anywhere", ["C"], {
      run: () => send(page, { type: "cycle_candidate", step: 1 }),
      isEnabled: hasChoice,
    }),
    build("This mask", "remove-prompt", "Remove the last click or box", ["Backspace"], {
      run: () => send(page, { type: "remove_last_prompt" }),
      isEnabled: hasPrompts,
    }),
    build("This mask", "clear", "Drop the mask", ["Escape"], { run: () => dropOrLeave(page) }),
    build("This mask", "undo", "Undo", ["Ctrl+Z"], {
      run: () => send(page, { type: "undo" }),
      isEnabled: ({ editor }) => editor.state().undoMark !== null,
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
  const isUnchanged = before.document === after.document && before.selectedMaskId === after.selectedMaskId;
  if (isUnchanged && before.preview === null && document.activeElement instanceof HTMLElement) {
    document.activeElement.blur();
  }
}

function listActions(page: LabelPage): readonly Action[] {
  const selected = (open: OpenImage) => {
    const { document, selectedMaskId } = open.editor.state();
    return document.masks.find((mask) => mask.id === selectedMaskId) ?? null;
  };
  const judge = (to: "accepted" | "rejected") => () => {
    const { open } = page.state();
    const mask = open === null ? null : selected(open);
    if (mask !== null) send(page, { type: "mask_status", maskId: mask.id, to });
  };
  const suggestions = (open: OpenImage) => open.editor.state().document.masks.filter((mask) => mask.status === "proposed");
  const hasSuggestion = (open: OpenImage): boolean => suggestions(open).length > 0;
  /** A verdict needs something to look at: with no suggestion selected the key shows the first one. */
  const judgeSuggestion = (to: "accepted" | "rejected") => () => {
    const { open } = page.state();
    if (open === null) return;
    if (selected(open)?.status === "proposed") judge(to)();
    else send(page, { type: "select", maskId: suggestions(open)[0]?.id ?? null });
  };
  return [
    build("Suggestions and masks", "select-previous", "Previous mask", ["J"], {
      run: () => send(page, { type: "select_next", step: -1 }),
    }),
    build("Suggestions and masks", "select-next", "Next mask", ["L"], {
      run: () => send(page, { type: "select_next", step: 1 }),
    }),
    build("Suggestions and masks", "suggestion-yes", "Keep the suggestion", ["Y"], { run: judgeSuggestion("accepted"), isEnabled: hasSuggestion }),
    build("Suggestions and masks", "suggestion-no", "Refuse the suggestion", ["N"], { run: judgeSuggestion("rejected"), isEnabled: hasSuggestion }),
    build("Suggestions and masks", "delete", "Delete the selected mask", ["Delete"], {
      run: judge("rejected"),
      isEnabled: (open) => selected(open) !== null,
    }),
  ];
}

function viewActions(page: LabelPage, hooks: ActionHooks): readonly Action[] {
  return [
    build("View", "zoom-fit", "Whole photo", ["0"], { run: () => send(page, { type: "zoom", to: "fit" }) }),
    build("View", "zoom-actual", "One to one", ["1"], { run: () => send(page, { type: "zoom", to: "one_to_one" }) }),
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
    build("Image", "skip", "Skip this image", ["Ctrl+Space"], { run: hooks.openSkip, isEnabled: isHere }),
  ];
}
