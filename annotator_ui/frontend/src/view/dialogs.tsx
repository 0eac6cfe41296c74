/** The two sheets over the page: keys and mouse, and why an image is skipped. */

import { useEffect, useRef, useState } from "react";
import type { ReactNode } from "react";
import type { Action, ActionGroup } from "./actions";

interface SheetProps {
  readonly title: string;
  readonly isNarrow?: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

function Sheet({ title, isNarrow = false, onClose, children }: SheetProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} className={isNarrow ? "sheet narrow" : "sheet"} aria-label={title} onClose={onClose}>
      <header>
        <h2>{title}</h2>
        <button type="button" className="small" aria-label="Close" tabIndex={-1} onClick={() => element.current?.close()}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

const GROUPS: readonly ActionGroup[] = ["Tools", "This mask", "Suggestions and masks", "View", "Image"];
const MOUSE = [
  ["Left click", "this belongs to the object"],
  ["Right click, or Shift + click", "this does not"],
  ["Drag", "a box around the object; clicks refine it"],
  ["Wheel", "zoom at the pointer"],
  ["Space + drag, or middle button", "move the photo"],
  ["Hold H", "look under the masks"],
] as const;

export function HelpSheet({ actions, onClose }: { actions: readonly Action[]; onClose: () => void }) {
  return (
    <Sheet title="Keys and mouse" onClose={onClose}>
      <div className="help">
        <KeyTable title="Mouse" rows={MOUSE} />
        {GROUPS.map((group) => (
          <KeyTable
            key={group}
            title={group}
            rows={actions.filter((one) => one.group === group).map((one) => [one.keys.join(" or "), one.label])}
          />
        ))}
      </div>
    </Sheet>
  );
}

function KeyTable({ title, rows }: { title: string; rows: readonly (readonly [string, string])[] }) {
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {rows.map(([keys, what]) => (
          <div key={keys + what}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const REASONS = ["Too hard to outline", "Nothing to label here", "The photo is broken or unsuitable"] as const;

export function SkipSheet({ onSkip, onClose }: { onSkip: (reason: string) => void; onClose: () => void }) {
  const [other, setOther] = useState("");
  return (
    <Sheet title="Skip this image, because…" isNarrow onClose={onClose}>
      <div className="reasons">
        {REASONS.map((reason) => (
          <button key={reason} type="button" data-testid="skip-reason" onClick={() => onSkip(reason)}>
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
          <input id="skip-other" value={other} maxLength={500} onChange={(event) => setOther(event.target.value)} />
          <button type="submit" disabled={other.trim() === ""}>
            Skip
          </button>
        </form>
      </div>
    </Sheet>
  );
}
