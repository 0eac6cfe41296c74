/** Buttons of the action table. They never take the keyboard from the canvas when clicked. */

import { OPTIONS } from "../../core/options";
import type { OverlapPolicy } from "../../core/editor/operations";
import { OVERLAPS, setOverlap } from "../actions";
import type { Action } from "../actions";
import { Icon } from "./Icon";
import type { LabelPage, OpenImage } from "../labelPage";
import { useStore } from "../store";

const TOOL_IDS = [
  "tool-point",
  "tool-brush",
  "tool-eraser",
  "tool-polygon",
  "tool-lasso",
  "tool-select",
  "tool-pan",
];
const OTHER_IDS = ["hover", "undo", "redo", "zoom-fit", "zoom-actual", "instructions", "help"];

interface ToolbarProps {
  readonly page: LabelPage;
  readonly open: OpenImage;
  readonly actions: readonly Action[];
}

export function Toolbar({ page, open, actions }: ToolbarProps) {
  // Undo and redo depend on the document; the whole bar is cheap enough to follow it.
  useStore(open.editor, (state) => state);
  const isHoverOn = useStore(page.ports.settings, (state) => state.isHoverOn);
  const { toolId } = open.editor.state();
  const buttons = (ids: readonly string[]) =>
    ids.flatMap((id) => {
      const action = actions.find((one) => one.id === id);
      const isPressed = id.startsWith("tool-")
        ? id === `tool-${toolId}`
        : id === "hover"
          ? isHoverOn
          : undefined;
      return action === undefined
        ? []
        : [<ToolButton key={id} action={action} open={open} isPressed={isPressed} />];
    });
  return (
    <nav className="toolbar" aria-label="Tools">
      {buttons(TOOL_IDS)}
      {toolId === "brush" || toolId === "eraser" ? <BrushSize page={page} open={open} /> : null}
      <span className="toolbar-gap" />
      <Overlap page={page} />
      {buttons(OTHER_IDS)}
    </nav>
  );
}

function BrushSize({ page, open }: { page: LabelPage; open: OpenImage }) {
  const { brushDiameterPx } = open.editor.state();
  return (
    <div className="brush-size" title="Brush size in image pixels: [ and ], or Alt + right drag">
      <output data-testid="brush-px">{brushDiameterPx}</output>
      <input
        type="range"
        aria-label="Brush size in image pixels"
        min={0}
        max={1000}
        // Equal steps of the slider are equal factors: 1, 2, 4 matter as much as 125, 250, 500.
        value={Math.round((Math.log(brushDiameterPx) / Math.log(OPTIONS.brushMaxPx)) * 1000)}
        onChange={(event) => {
          const diameterPx = Math.round(OPTIONS.brushMaxPx ** (Number(event.target.value) / 1000));
          open.editor.dispatch({ type: "brush_to", diameterPx });
          page.ports.settings.change({ brushDiameterPx: diameterPx });
        }}
      />
    </div>
  );
}

function Overlap({ page }: { page: LabelPage }) {
  const overlap = useStore(page.ports.settings, (state) => state.overlap);
  return (
    <label className="overlap" title="What happens where a new mask meets one you kept · Shift+O">
      <span>Overlap</span>
      <select
        data-testid="overlap"
        value={overlap}
        onChange={(event) => setOverlap(page, event.target.value as OverlapPolicy)}
      >
        {Object.entries(OVERLAPS).map(([policy, text]) => (
          <option key={policy} value={policy}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function ToolButton({
  action,
  open,
  isPressed,
}: {
  action: Action;
  open: OpenImage;
  isPressed: boolean | undefined;
}) {
  const key = action.keys[0] ?? "";
  return (
    <button
      type="button"
      className="tool"
      data-testid={action.id}
      aria-pressed={isPressed}
      aria-label={key === "" ? action.label : `${action.label} (${key})`}
      title={`${action.label} · ${key}`}
      disabled={!action.isEnabled(open)}
      onMouseDown={(event) => event.preventDefault()}
      onClick={action.run}
    >
      <Icon name={action.id} />
      <kbd aria-hidden="true" data-key={shortKey(key)} />
    </button>
  );
}

export function shortKey(key: string): string {
  return key.replace("Ctrl+", "⌃").replace("Shift+", "⇧").replace("Alt+", "⌥");
}
