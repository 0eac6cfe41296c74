/** What one must be able to trust at a glance: is my work saved, is the model ready, how long do I take. */

import { useEffect, useState } from "react";
import type { QueueState, SaveQueue } from "../api/saveQueue";
import { OPTIONS } from "../core/options";
import type { DecodingState } from "./decoding";
import type { LabelPage, OpenImage } from "./labelPage";
import { useStore } from "./store";

export function StatusBar({ page, open }: { page: LabelPage; open: OpenImage | null }) {
  const { queue, decoding, config } = page.ports;
  const queueState = useStore(queue, (state) => state);
  const decodingState = useStore(decoding, (state) => state);
  const notice = useStore(page, (state) => state.notice);
  const isLeaving = useStore(page, (state) => state.isLeaving);
  return (
    <footer className="status">
      <SaveLight state={queueState} />
      {open === null ? null : <DecoderState state={decodingState} />}
      <p className="notice" role="status" aria-live="polite" data-testid="notice">
        {isLeaving ? leavingText(queueState) : troubleText(queueState, notice)}
        {queueState.trouble?.kind === "signed_out" ? (
          <>
            {" "}
            <a href="/sign-in/" target="_blank" rel="noreferrer">
              Sign in in a new tab
            </a>
            : your masks are kept and will be sent.
          </>
        ) : null}
      </p>
      {open === null ? null : <Clock key={open.session.image.id} open={open} />}
      <span className="who" title={config.user.role}>
        {config.user.name}
      </span>
    </footer>
  );
}

function leavingText(queue: QueueState): string {
  return queue.pending.length > 0 ? `Saving ${queue.pending.length} before the next image…` : "Taking the next image…";
}

function troubleText({ trouble }: QueueState, notice: string): string {
  return trouble?.kind === "signed_out" ? "You are signed out." : (trouble?.message ?? notice);
}

function SaveLight({ state }: { state: QueueState }) {
  const numPending = state.pending.length;
  const kind = state.refused.length > 0 ? "failed" : numPending > 0 ? "pending" : "saved";
  return (
    <p className={`light ${kind}`} role="status" aria-live="polite" data-testid="save-light" data-state={kind} data-pending={numPending}>
      <span className="lamp" aria-hidden="true" />
      {saveText(state)}
    </p>
  );
}

function saveText(state: QueueState): string {
  const done = state.savedCount;
  if (state.refused.length > 0) return `${state.refused.length} not saved`;
  if (state.pending.length > 0) {
    const where = state.isKept ? "kept on this device" : "in this tab only, do not close it";
    return `${state.pending.length} ${where} → saved ${done}/${done + state.pending.length}`;
  }
  return done === 0 ? "Everything saved" : `Saved ${done}/${done}`;
}

const DECODER_LABELS = {
  loading: "Loading the model…",
  preparing: "Preparing this image…",
  ready: "Model ready",
  server: "Model on the server (this browser could not run it; masks take a little longer)",
  failed: "No model",
} as const;

function DecoderState({ state }: { state: DecodingState }) {
  const took = state.lastDecodeMs === null ? "" : ` · ${Math.round(state.lastDecodeMs)} ms`;
  return (
    <p className={`decoder ${state.kind}`} role="status" data-testid="decoder-state" data-state={state.kind} title={state.message}>
      <span className="lamp" aria-hidden="true" />
      {DECODER_LABELS[state.kind]}
      {took}
      {state.kind === "failed" ? <span className="why"> {state.message}</span> : null}
    </p>
  );
}

function Clock({ open }: { open: OpenImage }) {
  const [activeMs, setActiveMs] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setActiveMs(open.editor.activeMs()), 500);
    return () => clearInterval(timer);
  }, [open.editor]);
  const isSlow = activeMs >= OPTIONS.slowMaskMs;
  return (
    <p className={isSlow ? "clock slow" : "clock"} data-testid="mask-seconds" title={isSlow ? "Over 30 s: an object this hard may be left out" : "Active time on this mask"}>
      {Math.floor(activeMs / 1000)} s
    </p>
  );
}

/** Masks the server refused: its words, and the two ways out. */
export function RefusedMasks({ queue }: { queue: SaveQueue }) {
  const refused = useStore(queue, (state) => state.refused);
  if (refused.length === 0) return null;
  return (
    <section className="refused" role="alert" data-testid="refused">
      <h2>Not saved</h2>
      <ul>
        {refused.map((op) => (
          <li key={op.id}>
            <p>
              <strong>{op.imageName}</strong>: {op.refusal}
            </p>
            <button type="button" className="small" onClick={() => void queue.retryRefused(op.id)}>
              Try again
            </button>
            <button type="button" className="small" onClick={() => void queue.discardRefused(op.id)}>
              Give up
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
