/** The sheets over the page: keys and appearance, and why an image is skipped. */

import { useEffect, useRef, useState } from "react";
import type { ReactNode } from "react";
import { GROUPS } from "../actions";
import type { Action, ActionGroup } from "../actions";
import { comboOf, isModifierAlone, keyConflict } from "../hotkeys";
import type { Settings, Theme } from "../settings";
import { useStore } from "../store";

interface SheetProps {
  readonly title: string;
  readonly isNarrow?: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

export function Sheet({ title, isNarrow = false, onClose, children }: SheetProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog
      ref={element}
      className={isNarrow ? "sheet narrow" : "sheet"}
      aria-label={title}
      onClose={onClose}
    >
      <header>
        <h2>{title}</h2>
        <button
          type="button"
          className="small"
          aria-label="Close"
          tabIndex={-1}
          onClick={() => element.current?.close()}
        >
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

const MOUSE = [
  ["Left click", "this belongs to the object"],
  ["Right click, or Shift + click", "this does not"],
  ["Drag", "a box around the object; clicks refine it"],
  ["Wheel, or two fingers", "zoom at the pointer"],
  ["Space + drag, middle button, two fingers", "move the image"],
  ["Alt + right drag", "brush size"],
  ["Double click a mask (V)", "refine it by clicks"],
  ["Shift + click masks (V)", "pick several, to merge or subtract"],
  ["Hold H", "hide the masks"],
] as const;
const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

interface HelpProps {
  readonly actions: readonly Action[];
  readonly settings: Settings;
  readonly onClose: () => void;
}

export function HelpSheet({ actions, settings, onClose }: HelpProps) {
  const [editedId, setEditedId] = useState<string | null>(null);
  const [problem, setProblem] = useState("");
  const listen = (id: string) => {
    setProblem("");
    setEditedId(id);
  };
  const take = (event: KeyboardEvent): void => {
    if (editedId === null || isModifierAlone(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const combo = comboOf(event);
    const conflict = combo === "Escape" ? null : keyConflict(actions, editedId, combo);
    if (conflict === null && combo !== "Escape") settings.rebind(editedId, [combo]);
    setProblem(conflict ?? "");
    if (conflict === null) setEditedId(null);
  };
  return (
    <Sheet title="Keys, mouse and appearance" onClose={onClose}>
      <Appearance settings={settings} />
      <p className="hint key-hint" role="status" data-testid="key-problem">
        {problem !== ""
          ? problem
          : editedId !== null
            ? "Press the new key; Esc leaves it as it is."
            : "Click a key to change it."}
      </p>
      <div className="help" onKeyDownCapture={(event) => take(event.nativeEvent)}>
        <section>
          <h3>Mouse, pen and touch</h3>
          <dl>
            {MOUSE.map(([keys, what]) => (
              <div key={keys}>
                <dt>
                  <kbd>{keys}</kbd>
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </section>
        {GROUPS.map((group) => (
          <KeyTable
            key={group}
            title={group}
            actions={actions.filter((one) => one.group === group)}
            editedId={editedId}
            onEdit={listen}
          />
        ))}
      </div>
    </Sheet>
  );
}

function Appearance({ settings }: { settings: Settings }) {
  const state = useStore(settings, (one) => one);
  return (
    <div className="appearance">
      <label>
        Colours{" "}
        <select
          data-testid="theme"
          value={state.theme}
          onChange={(event) => settings.change({ theme: event.target.value as Theme })}
        >
          {THEMES.map(([theme, text]) => (
            <option key={theme} value={theme}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <label>
        Mask opacity{" "}
        <input
          type="range"
          min={5}
          max={100}
          value={Math.round(state.opacity * 100)}
          onChange={(event) => settings.change({ opacity: Number(event.target.value) / 100 })}
        />
      </label>
      <label>
        <input
          type="checkbox"
          checked={state.isHoverOn}
          onChange={(event) => settings.change({ isHoverOn: event.target.checked })}
        />{" "}
        Live preview
      </label>
      <button
        type="button"
        className="small"
        data-testid="reset-keys"
        disabled={Object.keys(state.keys).length === 0}
        onClick={() => settings.change({ keys: {} })}
      >
        All keys as they were
      </button>
    </div>
  );
}

interface KeyTableProps {
  readonly title: ActionGroup;
  readonly actions: readonly Action[];
  readonly editedId: string | null;
  readonly onEdit: (id: string) => void;
}

function KeyTable({ title, actions, editedId, onEdit }: KeyTableProps) {
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {actions.map((action) => (
          <div key={action.id}>
            <dt>
              <button
                type="button"
                className="key"
                data-testid={`key-${action.id}`}
                aria-pressed={editedId === action.id}
                aria-label={`Change the key of “${action.label}”, now ${action.keys.join(" or ") || "none"}`}
                onClick={() => onEdit(action.id)}
              >
                {editedId === action.id ? "press a key" : action.keys.join(" or ") || "—"}
              </button>
            </dt>
            <dd>{action.label}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const REASONS = [
  "Too hard to outline",
  "Nothing to label here",
  "The image is broken or unsuitable",
] as const;

export function SkipSheet({
  onSkip,
  onClose,
}: {
  onSkip: (reason: string) => void;
  onClose: () => void;
}) {
  const [other, setOther] = useState("");
  return (
    <Sheet title="Skip this image, because…" isNarrow onClose={onClose}>
      <div className="reasons">
        {REASONS.map((reason) => (
          <button
            key={reason}
            type="button"
            data-testid="skip-reason"
            onClick={() => onSkip(reason)}
          >
            {reason}
          </button>
        ))}
        <form
          onSubmit={(event) => {
            event.preventDefault();
            onSkip(other.trim());
          }}
        >
          <label htmlFor="skip-other">Another reason</label>
          <input
            id="skip-other"
            value={other}
            maxLength={500}
            onChange={(event) => setOther(event.target.value)}
          />
          <button type="submit" disabled={other.trim() === ""}>
            Skip
          </button>
        </form>
      </div>
    </Sheet>
  );
}
