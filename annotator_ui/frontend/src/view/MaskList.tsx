/** The masks of this photo: where each came from, what became of it, and whether it is saved. */

import { useEffect, useRef } from "react";
import type { QueueState, SaveQueue } from "../api/saveQueue";
import type { MaskItem } from "../core/document";
import { areaPx } from "../core/rle";
import type { OpenImage } from "./labelPage";
import { maskColour } from "./palette";
import { useStore } from "./store";

const BADGES = { human: "yours", prefilled: "prefilled", automatic: "automatic", imported: "imported" } as const;

interface MaskListProps {
  readonly open: OpenImage;
  readonly queue: SaveQueue;
  readonly userName: string;
}

export function MaskList({ open, queue, userName }: MaskListProps) {
  const masks = useStore(open.editor, (state) => state.document.masks);
  const visible = masks.filter((mask) => mask.status !== "rejected");
  const suggestions = visible.filter((mask) => mask.status === "proposed");
  const kept = visible.filter((mask) => mask.status === "accepted");
  const row = (mask: MaskItem) => (
    <MaskRow key={mask.id} mask={mask} colour={maskColour(masks.indexOf(mask))} open={open} queue={queue} userName={userName} />
  );
  return (
    <section className="mask-list" aria-label="Masks of this image">
      {suggestions.length > 0 ? (
        <>
          <h2>
            Suggestions <span className="count">{suggestions.length}</span>
          </h2>
          <p className="hint">
            Made by the model, not kept until you say so: <kbd>Y</kbd> keep, <kbd>N</kbd> refuse.
          </p>
          <ul>{suggestions.map(row)}</ul>
        </>
      ) : null}
      <h2>
        Masks <span className="count">{kept.length}</span>
      </h2>
      {kept.length === 0 ? <p className="hint">Click an object in the photo. <kbd>Enter</kbd> keeps its mask.</p> : null}
      <ul>{kept.map(row)}</ul>
    </section>
  );
}

interface MaskRowProps extends MaskListProps {
  readonly mask: MaskItem;
  readonly colour: string;
}

function MaskRow({ mask, colour, open, queue, userName }: MaskRowProps) {
  const { editor } = open;
  const isSelected = useStore(editor, (state) => state.selectedMaskId === mask.id);
  const saved = useStore(queue, (state) => savedState(state, mask.id));
  const element = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (isSelected) element.current?.scrollIntoView({ block: "nearest" });
  }, [isSelected]);
  const badge = mask.source === "human" && mask.author !== null && mask.author !== userName ? mask.author : BADGES[mask.source];
  const isSuggestion = mask.status === "proposed";
  const judge = (to: "accepted" | "rejected") => () => editor.dispatch({ type: "mask_status", maskId: mask.id, to });
  return (
    <li
      ref={element}
      className={isSelected ? "mask selected" : "mask"}
      data-testid="mask-item"
      data-mask-id={mask.id}
      data-source={mask.source}
      data-status={mask.status}
      data-saved={saved}
    >
      <button
        type="button"
        className="mask-name"
        aria-pressed={isSelected}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => editor.dispatch({ type: "select", maskId: mask.id })}
      >
        <Swatch colour={colour} isDashed={isSuggestion} />
        <span className={`badge ${mask.source}`}>{badge}</span>
        {isSuggestion ? null : <span className="area">{areaPx(mask.rle).toLocaleString("en")} px</span>}
        {mask.predictedIou === null ? null : (
          <span className="iou" title="The model's own estimate of how well this mask fits">
            {percent(mask.predictedIou)}
          </span>
        )}
        {isSuggestion && saved === "saved" ? null : <SavedMark saved={saved} />}
      </button>
      {isSuggestion ? (
        <button type="button" className="small yes" data-testid="mask-accept" title="Keep · Y" onMouseDown={(event) => event.preventDefault()} onClick={judge("accepted")}>
          Keep
        </button>
      ) : null}
      <button type="button" className="small no" data-testid="mask-reject" aria-label={isSuggestion ? "Refuse this suggestion" : "Delete this mask"} title={isSuggestion ? "Refuse · N" : "Delete · Del"} onMouseDown={(event) => event.preventDefault()} onClick={judge("rejected")}>
        ✕
      </button>
    </li>
  );
}

function Swatch({ colour, isDashed }: { colour: string; isDashed: boolean }) {
  return (
    <svg className="swatch" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">
      <rect x="1.5" y="1.5" width="11" height="11" rx="3" fill={colour} fillOpacity={isDashed ? 0.15 : 0.55} stroke={colour} strokeWidth="2" strokeDasharray={isDashed ? "3 2" : "none"} />
    </svg>
  );
}

const SAVED_MARKS = {
  saved: { mark: "✓", title: "Saved on the server" },
  pending: { mark: "…", title: "Kept on this device, being sent" },
  failed: { mark: "!", title: "Not saved: see the message below" },
} as const;

function SavedMark({ saved }: { saved: keyof typeof SAVED_MARKS }) {
  const { mark, title } = SAVED_MARKS[saved];
  return (
    <span className={`saved ${saved}`} title={title} aria-label={title}>
      {mark}
    </span>
  );
}

function savedState(queue: QueueState, maskId: string): keyof typeof SAVED_MARKS {
  if (queue.refused.some((op) => op.maskId === maskId)) return "failed";
  return queue.pending.some((op) => op.maskId === maskId) ? "pending" : "saved";
}

export function percent(share: number): string {
  return `${Math.round(Math.min(1, Math.max(0, share)) * 100)} %`;
}
