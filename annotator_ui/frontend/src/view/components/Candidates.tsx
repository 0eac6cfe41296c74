/** The masks the model offers for the prompts, with its own estimate of each; Tab goes through them. */

import type { OpenImage } from "../labelPage";
import { percent } from "./MaskList";
import { useStore } from "../store";

export function Candidates({ open }: { open: OpenImage }) {
  const { editor } = open;
  const candidates = useStore(editor, (state) => state.candidates);
  const chosen = useStore(editor, (state) => state.document.draft.candidateIndex);
  const numPrompts = useStore(editor, (state) => state.document.draft.steps.length);
  const isDecoding = useStore(editor, (state) => state.isDecoding);
  const decodeError = useStore(editor, (state) => state.decodeError);
  const isBusy = isDecoding && decodeError === null;
  const choose = (index: number): void => {
    const step = index > chosen ? 1 : -1;
    for (let at = chosen; at !== index; at += step)
      editor.dispatch({ type: "cycle_candidate", step });
  };
  if (numPrompts === 0) return null;
  return (
    <div className="candidates" aria-busy={isBusy}>
      {decodeError === null ? null : (
        <p className="error" role="alert">
          No mask: {decodeError}
        </p>
      )}
      {isBusy && candidates.length === 0 ? <p className="hint">Finding the object…</p> : null}
      {isDecoding
        ? null
        : candidates.map((candidate, index) => (
            <button
              key={index}
              type="button"
              className="candidate"
              data-testid="candidate"
              data-index={index}
              data-iou={candidate.predictedIou.toFixed(4)}
              aria-pressed={index === chosen}
              title="The model's own estimate of how well this mask fits"
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => choose(index)}
            >
              {candidates.length > 1 ? `${index + 1} · ` : "fit "}
              {percent(candidate.predictedIou)}
            </button>
          ))}
      {!isDecoding && candidates.length > 1 ? (
        <span className="hint">
          <kbd>Tab</kbd> for the next
        </span>
      ) : null}
    </div>
  );
}
