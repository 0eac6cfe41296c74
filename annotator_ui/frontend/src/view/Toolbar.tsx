/** Buttons of the action table. They never take the keyboard from the canvas when clicked. */

import type { Action } from "./actions";
import { Icon } from "./Icon";
import type { OpenImage } from "./labelPage";
import { useStore } from "./store";

const TOOL_IDS = ["tool-point", "tool-brush", "tool-eraser", "tool-select", "tool-pan"];
const OTHER_IDS = ["undo", "redo", "zoom-fit", "zoom-actual", "help"];

interface ToolbarProps {
  readonly open: OpenImage;
  readonly actions: readonly Action[];
}

export function Toolbar({ open, actions }: ToolbarProps) {
  // Undo and redo depend on the document; the whole bar is cheap enough to follow it.
  useStore(open.editor, (state) => state);
  const { toolId, brushDiameterPx } = open.editor.state();
  const buttons = (ids: readonly string[]) =>
    ids.flatMap((id) => {
      const action = actions.find((one) => one.id === id);
      return action === undefined ? [] : [<ToolButton key={id} action={action} open={open} isActive={id === `tool-${toolId}`} />];
    });
  return (
    <nav className="toolbar" aria-label="Tools">
      {buttons(TOOL_IDS)}
      {toolId === "brush" || toolId === "eraser" ? (
        <div className="brush-size" title="Brush size in photo pixels: [ and ]">
          {buttons(["brush-larger"])}
          <output aria-label="Brush size in pixels">{brushDiameterPx}</output>
          {buttons(["brush-smaller"])}
        </div>
      ) : null}
      <span className="toolbar-gap" />
      {buttons(OTHER_IDS)}
    </nav>
  );
}

function ToolButton({ action, open, isActive }: { action: Action; open: OpenImage; isActive: boolean }) {
  const key = action.keys[0] ?? "";
  return (
    <button
      type="button"
      className="tool"
      data-testid={action.id}
      aria-pressed={action.group === "Tools" && action.id.startsWith("tool-") ? isActive : undefined}
      aria-label={`${action.label} (${key})`}
      title={`${action.label} · ${key}`}
      disabled={!action.isEnabled(open)}
      onMouseDown={(event) => event.preventDefault()}
      onClick={action.run}
    >
      <Icon name={action.id} />
      <kbd>{shortKey(key)}</kbd>
    </button>
  );
}

function shortKey(key: string): string {
  return key.replace("Ctrl+", "⌃").replace("Shift+", "⇧");
}
