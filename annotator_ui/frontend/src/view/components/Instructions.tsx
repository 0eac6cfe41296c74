/** What annotators are asked to do: the lead's words, or the paper's when there are none. */

import type { LabelPage } from "../labelPage";
import { useStore } from "../store";

export function Instructions({ page }: { page: LabelPage }) {
  const { settings, config } = page.ports;
  const isOpen = useStore(settings, (state) => state.areInstructionsOpen);
  if (!isOpen) return null;
  return (
    <section className="instructions" aria-label="Instructions" data-testid="instructions-panel">
      <header>
        <h2>Instructions</h2>
        <button
          type="button"
          className="small"
          aria-label="Close the instructions"
          onClick={() => settings.change({ areInstructionsOpen: false })}
        >
          ✕
        </button>
      </header>
      {config.instructions === "" ? (
        <ol>
          <li>Label objects in the order in which they catch the eye, the most prominent first.</li>
          <li>You need not know or write what an object is. A label is optional.</li>
          <li>Whole objects and their parts may both be masks.</li>
          <li>If one object takes longer than 30 seconds, leave it out and go on.</li>
          <li>Confirm a suggestion only if you would have drawn it like that.</li>
        </ol>
      ) : (
        config.instructions
          .split(/\n{2,}/)
          .map((paragraph, index) => <p key={index}>{paragraph}</p>)
      )}
    </section>
  );
}
