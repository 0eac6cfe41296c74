/** The labelling page: header, tools, image, masks, status. */

import { useEffect, useMemo, useState } from "react";
import type { ReactNode } from "react";
import { makeActions } from "./actions";
import type { Action } from "./actions";
import { FloatingBars } from "./components/Bars";
import { CanvasView } from "./canvas/CanvasView";
import { HelpSheet, SkipSheet } from "./components/dialogs";
import { Instructions } from "./components/Instructions";
import type { LabelPage, OpenImage } from "./labelPage";
import { MaskList } from "./components/MaskList";
import { StatusBar } from "./components/StatusBar";
import { useStore } from "./store";
import { Toolbar } from "./components/Toolbar";
import { SignInSheet, TroubleList } from "./components/Trouble";
import { useKeyboard } from "./useKeyboard";

type OpenSheet = "help" | "skip" | "sign_in" | null;

export function App({ page }: { page: LabelPage }) {
  const phase = useStore(page, (state) => state.phase);
  const open = useStore(page, (state) => state.open);
  const [sheet, setSheet] = useState<OpenSheet>(null);
  const { settings } = page.ports;
  const ownKeys = useStore(settings, (state) => state.keys);
  useTheme(page);
  const actions = useMemo(
    () =>
      makeActions(page, {
        openHelp: () => setSheet("help"),
        openSkip: () => setSheet("skip"),
        focusLabel,
      }),
    // The table is made anew when a key was changed.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [page, ownKeys],
  );
  useKeyboard(page, actions);
  const close = (): void => setSheet(null);
  return (
    <div className="page" data-phase={phase}>
      <Header page={page} open={open} actions={actions} />
      {open === null ? (
        <EmptyState page={page} onSignIn={() => setSheet("sign_in")} />
      ) : (
        <Workplace page={page} open={open} actions={actions} />
      )}
      <StatusBar page={page} open={open} onSignIn={() => setSheet("sign_in")} />
      {sheet === "help" ? (
        <HelpSheet actions={actions} settings={settings} onClose={close} />
      ) : null}
      {sheet === "sign_in" ? <SignInSheet page={page} onClose={close} /> : null}
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

function Header({
  page,
  open,
  actions,
}: {
  page: LabelPage;
  open: OpenImage | null;
  actions: readonly Action[];
}) {
  const { config } = page.ports;
  const isLeaving = useStore(page, (state) => state.isLeaving);
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
          <HeaderButton
            id="previous-image"
            className="quiet"
            isOff={isLeaving || !page.hasPrevious}
            actions={actions}
          >
            Previous <kbd>A</kbd>
          </HeaderButton>
          <HeaderButton id="skip" className="quiet" isOff={isLeaving} actions={actions}>
            Skip…
          </HeaderButton>
          <HeaderButton id="next-image" className="primary" isOff={isLeaving} actions={actions}>
            Finish image <kbd>D</kbd>
          </HeaderButton>
        </>
      )}
    </header>
  );
}

interface HeaderButtonProps {
  /** Of the action, and for tests. */
  readonly id: string;
  readonly className: string;
  readonly isOff: boolean;
  readonly actions: readonly Action[];
  readonly children: ReactNode;
}

function HeaderButton({ id, className, isOff, actions, children }: HeaderButtonProps) {
  return (
    <button
      type="button"
      className={className}
      data-testid={id}
      disabled={isOff}
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => actions.find((one) => one.id === id)?.run()}
    >
      {children}
    </button>
  );
}

function Workplace({
  page,
  open,
  actions,
}: {
  page: LabelPage;
  open: OpenImage;
  actions: readonly Action[];
}) {
  useActivity(open);
  return (
    <main className="work">
      <Toolbar page={page} open={open} actions={actions} />
      <div className="stage">
        <CanvasView key={open.session.assignment_id} page={page} open={open} />
        {open.bitmap === null ? <p className="veil">Loading the image…</p> : null}
        <FloatingBars page={page} open={open} actions={actions} />
      </div>
      <aside className="side">
        <TroubleList page={page} />
        <Instructions page={page} />
        <MaskList page={page} open={open} />
      </aside>
    </main>
  );
}

function EmptyState({ page, onSignIn }: { page: LabelPage; onSignIn: () => void }) {
  const { phase, message, needsSignIn } = useStore(page, (state) => state);
  const { config } = page.ports;
  const back = (
    <a href={`/projects/${encodeURIComponent(config.project_slug)}/`}>Back to the project</a>
  );
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
          {needsSignIn ? (
            <button
              type="button"
              className="primary"
              data-testid="sign-in-again"
              onClick={onSignIn}
            >
              Sign in again
            </button>
          ) : null}
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

/** The chosen colours, or the system's. */
function useTheme(page: LabelPage): void {
  const theme = useStore(page.ports.settings, (state) => state.theme);
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }, [theme]);
}

function focusLabel(): void {
  document.querySelector<HTMLInputElement>(".label-field")?.focus();
}
