/** What one must be able to trust at a glance: is my work saved, is the model ready, how long do I take. */

import { useCallback } from "react";
import type { QueueState } from "../../api/saveQueue";
import { OPTIONS } from "../../core/options";
import { useSeconds } from "./Bars";
import type { ViewportCropState } from "../inference/viewportCrop";
import type { DecodingState } from "../inference/decoding";
import type { LabelPage, OpenImage } from "../labelPage";
import { useStore } from "../store";

export function StatusBar({
  page,
  open,
  onSignIn,
}: {
  page: LabelPage;
  open: OpenImage | null;
  onSignIn: () => void;
}) {
  const { queue, decoding, config } = page.ports;
  const queueState = useStore(queue, (state) => state);
  const decodingState = useStore(decoding, (state) => state);
  const cropState = useStore(page.viewportCrop, (state) => state);
  const notice = useStore(page, (state) => state.notice);
  const isLeaving = useStore(page, (state) => state.isLeaving);
  return (
    <footer className="status">
      <SaveLight state={queueState} />
      {open === null ? null : <DecoderState state={decodingState} />}
      {open === null ? null : <CropLight state={cropState} />}
      <p className="notice" role="status" aria-live="polite" data-testid="notice">
        {isLeaving ? leavingText(queueState) : troubleText(queueState, notice)}
        {queueState.trouble?.kind === "signed_out" ? (
          <>
            {" "}
            <button type="button" className="small" data-testid="sign-in-again" onClick={onSignIn}>
              Sign in again
            </button>
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
  return queue.pending.length > 0
    ? `Saving ${queue.pending.length} before the next image…`
    : "Taking the next image…";
}

function troubleText({ trouble }: QueueState, notice: string): string {
  return trouble?.kind === "signed_out"
    ? "You are signed out; your masks are kept."
    : (trouble?.message ?? notice);
}

function SaveLight({ state }: { state: QueueState }) {
  const numPending = state.pending.length;
  const kind = state.refused.length > 0 ? "failed" : numPending > 0 ? "pending" : "saved";
  return (
    <p
      className={`light ${kind}`}
      role="status"
      aria-live="polite"
      data-testid="save-light"
      data-state={kind}
      data-pending={numPending}
      data-kept={numPending - state.numKeeping}
    >
      <span className="lamp" aria-hidden="true" />
      {saveText(state)}
    </p>
  );
}

function saveText(state: QueueState): string {
  const done = state.savedCount;
  if (state.refused.length > 0) return `${state.refused.length} not saved`;
  if (state.pending.length > 0) {
    const isKept = state.keepProblem === null && state.numKeeping === 0;
    const where = isKept ? "kept on this device" : "in this tab only, do not close it";
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
    <p
      className={`decoder ${state.kind}`}
      role="status"
      data-testid="decoder-state"
      data-state={state.kind}
      title={state.message}
    >
      <span className="lamp" aria-hidden="true" />
      {DECODER_LABELS[state.kind]}
      {took}
      {state.kind === "failed" ? <span className="why"> {state.message}</span> : null}
    </p>
  );
}

const CROP_LABELS = {
  none: "",
  loading: "Preparing the crop…",
  ready: "Crop ready",
  failed: "No crop",
} as const;

/** Present also while empty, so that screen readers announce its first text. */
function CropLight({ state: { kind, message } }: { state: ViewportCropState }) {
  const why = kind === "failed" ? `The model uses the whole image: ${message}` : message;
  return (
    <p
      className={`viewport-crop ${kind}`}
      role="status"
      data-testid="viewport-crop"
      data-state={kind}
      title={why}
    >
      {kind === "none" ? null : <span className="lamp" aria-hidden="true" />}
      {CROP_LABELS[kind]}
    </p>
  );
}

function Clock({ open }: { open: OpenImage }) {
  const { editor } = open;
  const readMaskS = useCallback(() => Math.floor(editor.activeMs() / 1000), [editor]);
  const readImageS = useCallback(() => Math.floor(editor.imageActiveMs() / 1000), [editor]);
  const maskS = useSeconds(readMaskS);
  const imageS = useSeconds(readImageS);
  const isSlow = maskS * 1000 >= OPTIONS.slowMaskMs;
  return (
    <p
      className={isSlow ? "clock slow" : "clock"}
      title={
        isSlow
          ? "Over 30 s: an object this hard may be left out"
          : "Active time on this mask, and on this image; pauses do not count"
      }
    >
      <span data-testid="mask-seconds">{maskS} s</span> ·{" "}
      <span data-testid="image-seconds">{shownTime(imageS)}</span>
    </p>
  );
}

function shownTime(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
