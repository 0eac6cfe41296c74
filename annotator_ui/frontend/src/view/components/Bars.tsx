/** What floats over the image: what can be done with the mask in the making, or with the selected one. */

import { useEffect, useState } from "react";
import type { ReactNode } from "react";
import { isEmptyDraft } from "../../core/editor/document";
import { OPTIONS } from "../../core/options";
import { selectedMask } from "../actions";
import type { Action } from "../actions";
import { Candidates } from "./Candidates";
import type { LabelPage, OpenImage } from "../labelPage";
import { useStore } from "../store";
import { shortKey } from "./Toolbar";

interface BarProps {
  readonly open: OpenImage;
  readonly actions: readonly Action[];
}

export function FloatingBars({ page, open, actions }: BarProps & { page: LabelPage }) {
  // The bars follow the draft, the selection, the candidates and the gesture alike.
  const state = useStore(open.editor, (one) => one);
  const isDrafting =
    !isEmptyDraft(state.document.draft) || open.editor.path() === "polygon.drawing";
  return (
    <div className="bars">
      {isDrafting ? <TooHard open={open} actions={actions} /> : null}
      {isDrafting ? <DraftBar open={open} actions={actions} /> : null}
      {!isDrafting && selectedMask(open) !== null ? (
        <SelectionBar open={open} actions={actions} />
      ) : null}
      <Welcome page={page} />
    </div>
  );
}

function BarButton({
  open,
  actions,
  id,
  text,
  className = "",
}: BarProps & { id: string; text: ReactNode; className?: string }) {
  const action = actions.find((one) => one.id === id);
  if (action === undefined) return null;
  return (
    <button
      type="button"
      className={className}
      data-testid={id}
      title={action.label}
      disabled={!action.isEnabled(open)}
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => action.run()}
    >
      {text} {action.keys[0] === undefined ? null : <kbd>{shortKey(action.keys[0])}</kbd>}
    </button>
  );
}

function DraftBar({ open, actions }: BarProps) {
  const { base, steps } = open.editor.state().document.draft;
  const isPolygon = open.editor.path() === "polygon.drawing";
  return (
    <div className="bar" role="group" aria-label="The mask in the making">
      {isPolygon ? <p className="hint">Click the corners; the first one again closes.</p> : null}
      {base !== null && steps.length === 0 ? (
        <p className="hint">Changing a mask: click to add, right click to take away.</p>
      ) : null}
      <Candidates open={open} />
      <BarButton
        open={open}
        actions={actions}
        id="fill-holes"
        text="Fill holes"
        className="quiet wide-only"
      />
      <BarButton
        open={open}
        actions={actions}
        id="largest-part"
        text="Largest part"
        className="quiet wide-only"
      />
      <BarButton open={open} actions={actions} id="clear" text="Drop" className="quiet" />
      <BarButton
        open={open}
        actions={actions}
        id="accept"
        text={isPolygon ? "Close" : "Accept"}
        className="primary"
      />
    </div>
  );
}

function SelectionBar({ open, actions }: BarProps) {
  const { markedMaskIds } = open.editor.state();
  const isSuggestion = selectedMask(open)?.status === "proposed";
  const button = (id: string, text: string, className = "quiet") => (
    <BarButton key={id} open={open} actions={actions} id={id} text={text} className={className} />
  );
  return (
    <div className="bar" role="group" aria-label="The selected mask">
      {isSuggestion
        ? [button("suggestion-yes", "Keep", "primary"), button("suggestion-no", "Refuse")]
        : null}
      {button("refine", "Refine", isSuggestion ? "quiet" : "")}
      {markedMaskIds.length > 0 ? (
        <>
          <span className="hint">{markedMaskIds.length + 1} picked</span>
          {button("merge", "Merge")}
          {button("subtract", "Subtract")}
        </>
      ) : (
        [
          button("split", "Split"),
          button("fill-holes", "Fill holes"),
          button("largest-part", "Largest part"),
          button("isolate", "Alone"),
        ]
      )}
      {isSuggestion ? null : button("delete", "Delete")}
    </div>
  );
}

/** Paper, section 4: an object that takes longer than 30 s is left out. A word, never a stop. */
function TooHard({ open, actions }: BarProps) {
  const isSlow = useSeconds(() => open.editor.activeMs() >= OPTIONS.slowMaskMs);
  if (!isSlow) return null;
  return (
    <div className="bar slow" role="status" data-testid="too-hard-prompt">
      <p>Over {OPTIONS.slowMaskMs / 1000} s on this one. An object this hard may be left out.</p>
      <BarButton open={open} actions={actions} id="too-hard" text="Leave it out" />
    </div>
  );
}

function Welcome({ page }: { page: LabelPage }) {
  const { settings } = page.ports;
  const isWelcomed = useStore(settings, (state) => state.isWelcomed);
  if (isWelcomed) return null;
  return (
    <div className="bar welcome" role="note" data-testid="welcome">
      <p>
        <strong>Click an object</strong>, <kbd>Enter</kbd> keeps its mask. Right click takes away, a
        drag draws a box, <kbd>Tab</kbd> shows the other masks. <kbd>?</kbd> has all keys.
      </p>
      <button
        type="button"
        className="small"
        data-testid="welcome-close"
        onClick={() => settings.change({ isWelcomed: true })}
      >
        Got it
      </button>
    </div>
  );
}

/** Read every half second: time passes without any event. */
export function useSeconds<Value>(read: () => Value): Value {
  const [value, setValue] = useState(read);
  useEffect(() => {
    const timer = setInterval(() => setValue(() => read()), 500);
    return () => clearInterval(timer);
  }, [read]);
  return value;
}
