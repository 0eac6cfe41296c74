/** Reads key combinations like "Ctrl+Shift+Z", for the action table and its help sheet alike. */

export interface KeyPress {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}

/** Keys whose character already says whether Shift is held. */
const SHIFTED_CHARACTERS = new Set(["?", "+", "_", "{", "}"]);

/** The name of what was pressed; Command counts as Ctrl, so that one table serves every keyboard. */
export function comboOf(press: KeyPress): string {
  const key = press.key === " " ? "Space" : press.key.length === 1 ? press.key.toUpperCase() : press.key;
  const parts = [
    press.ctrlKey || press.metaKey ? "Ctrl" : "",
    press.altKey ? "Alt" : "",
    press.shiftKey && !SHIFTED_CHARACTERS.has(key) ? "Shift" : "",
    key,
  ];
  return parts.filter((part) => part !== "").join("+");
}
