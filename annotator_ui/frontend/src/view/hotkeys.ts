/** Reads key combinations like "Ctrl+Shift+Z", for the action table and its help sheet alike. */

export interface KeyPress {
  readonly key: string;
  readonly code?: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}

/** Keys whose character already says whether Shift is held. */
const SHIFTED_CHARACTERS = new Set([
  "?",
  "+",
  "_",
  "{",
  "}",
  "<",
  ">",
  ":",
  '"',
  "~",
  "!",
  "@",
  "#",
  "$",
  "%",
  "^",
  "&",
  "*",
  "(",
  ")",
  "|",
]);
const MODIFIERS = new Set([
  "Control",
  "Shift",
  "Alt",
  "Meta",
  "AltGraph",
  "CapsLock",
  "Dead",
  "Process",
  "Unidentified",
]);
/** Held, not pressed: hiding the masks, and moving the image. */
const HELD = new Map([
  ["H", "hides the masks while held"],
  ["Space", "moves the image while held"],
]);

/** The name of what was pressed; Command counts as Ctrl, so that one table serves every keyboard. */
export function comboOf(press: KeyPress): string {
  const key =
    press.key === " " ? "Space" : press.key.length === 1 ? press.key.toUpperCase() : press.key;
  const parts = [
    press.ctrlKey || press.metaKey ? "Ctrl" : "",
    press.altKey ? "Alt" : "",
    press.shiftKey && !SHIFTED_CHARACTERS.has(key) ? "Shift" : "",
    key,
  ];
  return parts.filter((part) => part !== "").join("+");
}

export function isModifierAlone(press: KeyPress): boolean {
  return MODIFIERS.has(press.key);
}

/** Why an action cannot have this key, or null: each key does one thing. */
export function keyConflict(
  actions: readonly {
    readonly id: string;
    readonly label: string;
    readonly keys: readonly string[];
  }[],
  actionId: string,
  combo: string,
): string | null {
  const held = HELD.get(combo);
  if (held !== undefined) return `${combo} ${held}.`;
  if (combo === "Escape") return "Escape always drops or closes.";
  const other = actions.find((action) => action.id !== actionId && action.keys.includes(combo));
  return other === undefined ? null : `${combo} is taken by “${other.label}”.`;
}
