/** The labelling page: header, tools, photo, masks, status. */

import { useEffect, useMemo, useState } from "react";
import { makeActions } from "./actions";
import type { Action } from "./actions";
import { Candidates } from "./Candidates";
import { CanvasView } from "./CanvasView";
import { HelpSheet, SkipSheet } from "./dialogs";
import type { LabelPage, OpenImage } from "./labelPage";
import { MaskList } from "./MaskList";
import { RefusedMasks, StatusBar } from "./StatusBar";
import { useStore } from "./store";
import { Toolbar } from "./Toolbar";
import { useKeyboard } from "./useKeyboard";

type OpenSheet = "help" | "skip" | null;

export function App({ page }: { page: LabelPage }) {
  const phase = useStore(page, (state) => state.phase);
  const open = useStore(page, (state) => state.open);
  const [sheet, setSheet] = useState<OpenSheet>(null);
  const actions = useMemo(
    () => makeActions(page, { openHelp: () => setSheet("help"), openSkip: () => setSheet("skip") }),
    [page],
  );
  useKeyboard(page, actions);
  const close = (): void => setSheet(null);
  return (
    <div className="page" data-phase={phase}>
      <Header page={page} open={open} actions={actions} />
      {open === null ? <EmptyState page={page} /> : <Workplace page={page} open={open} actions={actions} />}
      <StatusBar page={page} open={open} />
      {sheet === "help" ? <HelpSheet actions={actions} onClose={close} /> : null}
      {sheet === "skip" ? (
        <SkipSheet
          onClose={close}
          onSkip={(reason) => {
            close();
            void page.skip(reason);
          }}
        />
      ) : null}
    </div>
  );
}

function Header({ page, open, actions }: { page: LabelPage; open: OpenImage | null; actions: readonly Action[] }) {
  const { config } = page.ports;
  const isLeaving = useStore(page, (state) => state.isLeaving);
  const run = (id: string) => () => actions.find((one) => one.id === id)?.run();
  return (
    <header className="top">
      <a className="home" href={`/projects/${encodeURIComponent(config.project_slug)}/`}>
        {config.project_name}
      </a>
      {open === null ? null : (
        <>
          <h1 title={open.session.image.file_name}>{open.session.image.file_name}</h1>
          <span className="dimensions">
            {open.session.image.width_px} × {open.session.image.height_px}
          </span>
          <span className="model" title={`Architecture ${open.session.model.arch}`}>
            model {open.session.model.number}
          </span>
          <button type="button" className="quiet" data-testid="skip" disabled={isLeaving} onMouseDown={(event) => event.preventDefault()} onClick={run("skip")}>
            Skip…
          </button>
          <button type="button" className="primary" data-testid="next-image" disabled={isLeaving} onMouseDown={(event) => event.preventDefault()} onClick={run("next-image")}>
            Finish image <kbd>D</kbd>
          </button>
        </>
      )}
    </header>
  );
}

function Workplace({ page, open, actions }: { page: LabelPage; open: OpenImage; actions: readonly Action[] }) {
  useActivity(open);
  const { queue, config } = page.ports;
  return (
    <main className="work">
      <Toolbar open={open} actions={actions} />
      <div className="stage">
        <CanvasView key={open.session.assignment_id} open={open} />
        {open.photo === null ? <p className="veil">Loading the photo…</p> : null}
        <DraftBar open={open} actions={actions} />
      </div>
      <aside className="side">
        <RefusedMasks queue={queue} />
        <MaskList open={open} queue={queue} userName={config.user.name} />
      </aside>
    </main>
  );
}

/** What floats over the photo while a mask is being made. */
function DraftBar({ open, actions }: { open: OpenImage; actions: readonly Action[] }) {
  const draft = useStore(open.editor, (state) => state.document.draft);
  // The mask appears when the model answers, which changes no draft.
  useStore(open.editor, (state) => state.candidates);
  useStore(open.editor, (state) => state.isDecoding);
  const isDrafting = draft.steps.length > 0 || draft.strokes.length > 0;
  if (!isDrafting) return null;
  const button = (id: string, className: string, text: string, key: string) => {
    const action = actions.find((one) => one.id === id);
    return (
      <button type="button" className={className} data-testid={id} disabled={action?.isEnabled(open) !== true} onMouseDown={(event) => event.preventDefault()} onClick={() => action?.run()}>
        {text} <kbd>{key}</kbd>
      </button>
    );
  };
  return (
    <div className="draft-bar">
      <Candidates open={open} />
      {button("clear", "quiet", "Drop", "Esc")}
      {button("accept", "primary", "Accept", "Enter")}
    </div>
  );
}

function EmptyState({ page }: { page: LabelPage }) {
  const { phase, message, needsSignIn } = useStore(page, (state) => state);
  const { config } = page.ports;
  const back = <a href={`/projects/${encodeURIComponent(config.project_slug)}/`}>Back to the project</a>;
  if (phase === "nothing_left") {
    return (
      <main className="empty" data-testid="nothing-left">
        <h1>Nothing left to label</h1>
        <p>Every image of this project is done or in somebody’s hands. Thank you!</p>
        <p className="ways-out">
          <button type="button" onClick={() => void page.take(null)}>
            Look again
          </button>
          {back}
        </p>
      </main>
    );
  }
  if (phase === "stopped") {
    return (
      <main className="empty" data-testid="stopped" role="alert">
        <h1>This cannot go on yet</h1>
        <p>{message}</p>
        <p className="ways-out">
          {needsSignIn ? <a href="/sign-in/">Sign in</a> : null}
          <button type="button" onClick={() => void page.take(config.image_id)}>
            Try again
          </button>
          {back}
        </p>
      </main>
    );
  }
  return (
    <main className="empty" aria-busy="true">
      <p role="status">{message || "Taking an image…"}</p>
    </main>
  );
}

/** Annotation time counts only while somebody is here; the lease is held for as long. */
function useActivity(open: OpenImage): void {
  const { editor } = open;
  useEffect(() => {
    const onVisibility = (): void => editor.noteVisibility(document.visibilityState === "visible");
    document.addEventListener("visibilitychange", onVisibility);
    return () => document.removeEventListener("visibilitychange", onVisibility);
  }, [editor]);
}
