/** What went wrong with saving, in the server's words, with the ways out. */

import { useState } from "react";
import type { QueueState } from "../../api/saveQueue";
import { messageOf } from "../inference/decoding";
import type { LabelPage } from "../labelPage";
import { Sheet } from "./dialogs";
import { useStore } from "../store";

/** Masks the server refused, and masks kept beside somebody else's newer version. */
export function TroubleList({ page }: { page: LabelPage }) {
  const { queue } = page.ports;
  const refused = useStore(queue, (state) => state.refused);
  const conflicts = useStore(queue, (state) => state.conflicts);
  const keepProblem = useStore(queue, (state) => state.keepProblem);
  return (
    <>
      {keepProblem === null ? null : (
        <section className="refused" role="alert" data-testid="keep-problem">
          <h2>Unsent masks are only in this tab</h2>
          <p>{keepProblem} Leave this tab open until the light says saved.</p>
        </section>
      )}
      {refused.length === 0 ? null : <RefusedList page={page} refused={refused} />}
      {conflicts.length === 0 ? null : <ConflictList page={page} conflicts={conflicts} />}
    </>
  );
}

function RefusedList({ page, refused }: { page: LabelPage; refused: QueueState["refused"] }) {
  const { queue } = page.ports;
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
            <button
              type="button"
              className="small"
              onClick={() => void queue.discardRefused(op.id)}
            >
              Give up
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function ConflictList({
  page,
  conflicts,
}: {
  page: LabelPage;
  conflicts: QueueState["conflicts"];
}) {
  return (
    <section className="refused beside" role="alert" data-testid="conflicts">
      <h2>Changed by somebody else meanwhile</h2>
      <ul>
        {conflicts.map((op) => (
          <li key={op.id} data-testid="conflict">
            <p>
              <strong>{op.imageName}</strong>: your version is kept beside theirs. Which one counts?
            </p>
            <button
              type="button"
              className="small"
              data-testid="conflict-mine"
              onClick={() => void page.resolveConflict(op, "mine")}
            >
              Mine
            </button>
            <button
              type="button"
              className="small"
              data-testid="conflict-theirs"
              onClick={() => void page.resolveConflict(op, "theirs")}
            >
              Theirs
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Signing in again without leaving the page: nothing on it is lost. */
export function SignInSheet({ page, onClose }: { page: LabelPage; onClose: () => void }) {
  const { config, queue } = page.ports;
  const numPending = useStore(queue, (state) => state.pending.length);
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState("");
  const [isBusy, setIsBusy] = useState(false);
  const signIn = async (): Promise<void> => {
    setIsBusy(true);
    try {
      await page.signIn(password);
      onClose();
    } catch (error) {
      setProblem(messageOf(error));
      setPassword("");
    }
    setIsBusy(false);
  };
  return (
    <Sheet title="Sign in again" isNarrow onClose={onClose}>
      <form
        className="sign-in"
        onSubmit={(event) => {
          event.preventDefault();
          void signIn();
        }}
      >
        <p>
          Your sign-in has ended.{" "}
          {numPending === 0
            ? "Nothing is lost."
            : `${numPending} unsent masks are kept and go out as soon as you are back.`}
        </p>
        {problem === "" ? null : (
          <p className="error" role="alert" data-testid="sign-in-problem">
            {problem}
          </p>
        )}
        <SignInFields userName={config.user.name} password={password} onPassword={setPassword} />
        <button
          type="submit"
          className="primary"
          data-testid="again-sign-in"
          disabled={isBusy || password === ""}
        >
          Sign in
        </button>
        <p className="hint">
          No password? Open your sign-in link in another tab; this page notices by itself.
        </p>
      </form>
    </Sheet>
  );
}

interface SignInFieldsProps {
  readonly userName: string;
  readonly password: string;
  readonly onPassword: (password: string) => void;
}

function SignInFields({ userName, password, onPassword }: SignInFieldsProps) {
  return (
    <>
      <label htmlFor="again-name">User name</label>
      <input id="again-name" value={userName} autoComplete="username" readOnly />
      <label htmlFor="again-password">Password</label>
      <input
        id="again-password"
        data-testid="again-password"
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={(event) => onPassword(event.target.value)}
      />
    </>
  );
}
