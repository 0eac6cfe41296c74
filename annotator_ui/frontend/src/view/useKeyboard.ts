/** The keyboard of the whole page: actions by their keys, and the two keys that are held. */

import { useEffect } from "react";
import type { Action } from "./actions";
import { comboOf } from "./hotkeys";
import type { LabelPage } from "./labelPage";

/** Keys of a focused control stay its own: typing in a field, pressing a focused button. */
function belongsToControl(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest("dialog[open]") !== null) return true;
  if (target.matches("input:not([type=range]), textarea, select")) return true;
  return (
    target.matches("button, a, summary, input[type=range], input[type=checkbox]") &&
    (key === "Enter" || key === " " || key.startsWith("Arrow"))
  );
}

function isOnCanvas(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("[data-canvas]") !== null;
}

export function useKeyboard(page: LabelPage, actions: readonly Action[]): void {
  useEffect(() => {
    const hold = (key: string, isHeld: boolean): void => {
      const editor = page.state().open?.editor;
      if (key === " ") editor?.dispatch({ type: "pan_held", isHeld });
      if (key.toLowerCase() === "h") editor?.dispatch({ type: "hide_masks", isHidden: isHeld });
    };
    const onKeyDown = (event: KeyboardEvent): void => {
      if (belongsToControl(event.target, event.key)) return;
      page.state().open?.editor.noteActivity();
      const combo = comboOf(event);
      if (combo === "Space" || combo === "H") {
        event.preventDefault();
        if (!event.repeat) hold(event.key, true);
        return;
      }
      const action = actions.find(
        (one) => one.keys.includes(combo) && (one.needsCanvas !== true || isOnCanvas(event.target)),
      );
      const { open } = page.state();
      if (action === undefined || open === null || !action.isEnabled(open)) return;
      event.preventDefault();
      action.run();
    };
    const onKeyUp = (event: KeyboardEvent): void => hold(event.key, false);
    // A key released in another window sends no event here.
    const onBlur = (): void => {
      hold(" ", false);
      hold("h", false);
      page.state().open?.editor.dispatch({ type: "interrupt" });
    };
    window.addEventListener("keydown", onKeyDown);
    window.addEventListener("keyup", onKeyUp);
    window.addEventListener("blur", onBlur);
    return () => {
      window.removeEventListener("keydown", onKeyDown);
      window.removeEventListener("keyup", onKeyUp);
      window.removeEventListener("blur", onBlur);
    };
  }, [page, actions]);
}
