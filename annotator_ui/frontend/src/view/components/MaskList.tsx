/** The masks of this image: where each came from, what became of it, and whether it is saved. */

import { useEffect, useRef } from "react";
import type { QueueState } from "../../api/saveQueue";
import type { MaskItem } from "../../core/editor/document";
import { areaPx } from "../../core/mask/rle";
import type { LabelPage, OpenImage } from "../labelPage";
import { maskColour } from "../canvas/palette";
import { useStore } from "../store";
import { Thumbnail } from "../canvas/Thumbnail";

const BADGES = {
  human: "yours",
  prefilled: "prefilled",
  automatic: "automatic",
  imported: "imported",
} as const;
const MAX_LABEL_CHARACTERS = 200;

interface MaskListProps {
  readonly page: LabelPage;
  readonly open: OpenImage;
}

export function MaskList({ page, open }: MaskListProps) {
  const masks = useStore(open.editor, (state) => state.document.masks);
  const numHidden = useStore(open.editor, (state) => state.hiddenMaskIds.size);
  const isIsolated = useStore(open.editor, (state) => state.isIsolated);
  const visible = masks.filter((mask) => mask.status !== "rejected");
  const suggestions = visible.filter((mask) => mask.status === "proposed");
  const kept = visible.filter((mask) => mask.status === "accepted");
  const row = (mask: MaskItem) => (
    <MaskRow
      key={mask.id}
      mask={mask}
      colour={maskColour(masks.indexOf(mask))}
      page={page}
      open={open}
    />
  );
  return (
    <section className="mask-list" aria-label="Masks of this image">
      <SearchPanel page={page} open={open} />
      {numHidden > 0 || isIsolated ? (
        <p className="hint">
          {isIsolated ? "Only the selected mask is shown." : `${numHidden} hidden.`}{" "}
          <button
            type="button"
            className="small"
            onClick={() => open.editor.dispatch({ type: "show_all" })}
          >
            Show all
          </button>
        </p>
      ) : null}
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
      {kept.length === 0 ? (
        <p className="hint">
          Click an object in the image. <kbd>Enter</kbd> keeps its mask.
        </p>
      ) : null}
      <ul>{kept.map(row)}</ul>
    </section>
  );
}

/** Segment everything: one button, then its progress and a way to stop it. */
function SearchPanel({ page, open }: MaskListProps) {
  const { search } = page;
  const state = useStore(search, (one) => one);
  const isLive = state.kind === "waiting" || state.kind === "running";
  return (
    <div className="search" data-testid="search" data-state={state.kind}>
      {isLive ? (
        <>
          <progress
            max={100}
            {...(state.kind === "running" ? { value: state.progressPct } : {})}
            aria-label="Search for suggestions"
          />
          <button
            type="button"
            className="small"
            data-testid="search-cancel"
            onClick={() => void search.cancel()}
          >
            Stop
          </button>
        </>
      ) : (
        <button
          type="button"
          data-testid="segment-everything"
          title="Suggest masks for everything in this image · Shift+A"
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => void search.start(open.session.image.id)}
        >
          Suggest everything <kbd>⇧A</kbd>
        </button>
      )}
      <p
        className={state.kind === "failed" ? "hint error" : "hint"}
        role="status"
        data-testid="search-message"
      >
        {state.message}
      </p>
    </div>
  );
}

interface MaskRowProps extends MaskListProps {
  readonly mask: MaskItem;
  readonly colour: string;
}

function MaskRow({ mask, colour, page, open }: MaskRowProps) {
  const { editor } = open;
  const isSelected = useStore(editor, (state) => state.selectedMaskId === mask.id);
  const isMarked = useStore(editor, (state) => state.markedMaskIds.includes(mask.id));
  const saved = useStore(page.ports.queue, (state) => savedState(state, mask.id));
  const element = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (isSelected) element.current?.scrollIntoView({ block: "nearest" });
  }, [isSelected]);
  const userName = page.ports.config.user.name;
  const badge =
    mask.source === "human" && mask.author !== null && mask.author !== userName
      ? mask.author
      : BADGES[mask.source];
  const isSuggestion = mask.status === "proposed";
  return (
    <li
      ref={element}
      className={`mask${isSelected ? " selected" : ""}${isMarked ? " marked" : ""}`}
      data-testid="mask-item"
      data-mask-id={mask.id}
      data-source={mask.source}
      data-status={mask.status}
      data-saved={saved}
    >
      <button
        type="button"
        className="mask-name"
        aria-pressed={isSelected || isMarked}
        title="Select; with Shift, pick beside the selected one; double click to refine"
        onMouseDown={(event) => event.preventDefault()}
        onClick={(event) =>
          editor.dispatch(
            event.shiftKey
              ? { type: "mark", maskId: mask.id }
              : { type: "select", maskId: mask.id },
          )
        }
        onDoubleClick={() => editor.dispatch({ type: "refine", maskId: mask.id })}
      >
        <Thumbnail rle={mask.rle} colour={colour} bitmap={open.bitmap} isDashed={isSuggestion} />
        <Facts mask={mask} badge={badge} />
        {isSuggestion && saved === "saved" ? null : <SavedMark saved={saved} />}
      </button>
      <StatusButtons mask={mask} open={open} />
      {isSelected ? <LabelField key={mask.label} mask={mask} open={open} /> : null}
    </li>
  );
}

function StatusButtons({ mask, open }: { mask: MaskItem; open: OpenImage }) {
  const isSuggestion = mask.status === "proposed";
  const setStatus = (to: "accepted" | "rejected") => () =>
    open.editor.dispatch({ type: "mask_status", maskId: mask.id, to });
  return (
    <>
      {isSuggestion ? (
        <button
          type="button"
          className="small yes"
          data-testid="mask-accept"
          title="Keep · Y"
          onMouseDown={(event) => event.preventDefault()}
          onClick={setStatus("accepted")}
        >
          Keep
        </button>
      ) : null}
      <button
        type="button"
        className="small no"
        data-testid="mask-reject"
        aria-label={isSuggestion ? "Refuse this suggestion" : "Delete this mask"}
        title={isSuggestion ? "Refuse · N" : "Delete · Del"}
        onMouseDown={(event) => event.preventDefault()}
        onClick={setStatus("rejected")}
      >
        ✕
      </button>
    </>
  );
}

function Facts({ mask, badge }: { mask: MaskItem; badge: string }) {
  return (
    <span className="facts">
      <span className="line">
        <span className={`badge ${mask.source}`}>{badge}</span>
        {mask.label === "" ? null : <span className="label-text">{mask.label}</span>}
      </span>
      <span className="line">
        <span className="area">{areaPx(mask.rle).toLocaleString("en")} px</span>
        {mask.predictedIou === null ? null : (
          <span className="iou" title="The model's own estimate of how well this mask fits">
            fit {percent(mask.predictedIou)}
          </span>
        )}
      </span>
    </span>
  );
}

/** Free text, optional; kept on Enter or when the field is left. */
function LabelField({ mask, open }: { mask: MaskItem; open: OpenImage }) {
  const keep = (label: string): void =>
    open.editor.dispatch({ type: "label", maskId: mask.id, label });
  return (
    <input
      className="label-field"
      data-testid="mask-label"
      aria-label="Label of this mask, optional"
      placeholder="Label (optional)"
      maxLength={MAX_LABEL_CHARACTERS}
      defaultValue={mask.label}
      onBlur={(event) => keep(event.target.value)}
      onKeyDown={(event) => {
        if (event.key === "Escape") event.currentTarget.value = mask.label;
        if (event.key === "Enter" || event.key === "Escape")
          document.querySelector<HTMLElement>("[data-canvas]")?.focus();
      }}
    />
  );
}

const SAVED_MARKS = {
  saved: { mark: "✓", title: "Saved on the server" },
  pending: { mark: "…", title: "Kept on this device, being sent" },
  failed: { mark: "!", title: "Not saved: see the message above" },
} as const;

function SavedMark({ saved }: { saved: keyof typeof SAVED_MARKS }) {
  const { mark, title } = SAVED_MARKS[saved];
  return (
    <span className={`saved ${saved}`} title={title} role="img" aria-label={title}>
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
