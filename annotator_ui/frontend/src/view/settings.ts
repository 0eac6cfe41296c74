/** What a person chose for themselves, kept in this browser. Nothing here touches the masks. */

import { OPTIONS } from "../core/options";
import type { OverlapPolicy } from "../core/editor/operations";
import { ValueStore } from "./store";

export type Theme = "system" | "light" | "dark";

export interface SettingsState {
  readonly opacity: number;
  readonly isOutlineOnly: boolean;
  readonly isHoverOn: boolean;
  readonly theme: Theme;
  readonly overlap: OverlapPolicy;
  readonly brushDiameterPx: number;
  /** Keys by action where they differ from the page's own. */
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly isWelcomed: boolean;
  readonly areInstructionsOpen: boolean;
}

export const DEFAULTS: SettingsState = {
  opacity: 0.4,
  isOutlineOnly: false,
  isHoverOn: true,
  theme: "system",
  overlap: "keep",
  brushDiameterPx: OPTIONS.brushDefaultPx,
  keys: {},
  isWelcomed: false,
  areInstructionsOpen: false,
};

const OPACITY = { min: 0.05, max: 1, step: 0.1 } as const;
const KEY = "segloop.settings";

export interface TextStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export class Settings extends ValueStore<SettingsState> {
  readonly #store: TextStore | null;

  constructor(store: TextStore | null) {
    super({ ...DEFAULTS, ...readStored(store) });
    this.#store = store;
  }

  change(change: Partial<SettingsState>): void {
    this.update(change);
    try {
      this.#store?.setItem(KEY, JSON.stringify(this.state()));
    } catch {
      // A full or forbidden store: the choice holds for this visit.
    }
  }

  stepOpacity(step: 1 | -1): void {
    const opacity = Math.min(
      OPACITY.max,
      Math.max(OPACITY.min, this.state().opacity + step * OPACITY.step),
    );
    this.change({ opacity: Math.round(opacity * 100) / 100 });
  }

  rebind(actionId: string, keys: readonly string[] | null): void {
    const others = Object.entries(this.state().keys).filter(([id]) => id !== actionId);
    this.change({
      keys: Object.fromEntries(keys === null ? others : [...others, [actionId, keys]]),
    });
  }
}

/** Only values of the right type: what an older page or a curious person left does no harm. */
function readStored(store: TextStore | null): Partial<SettingsState> {
  let found: unknown;
  try {
    found = JSON.parse(store?.getItem(KEY) ?? "null");
  } catch {
    return {};
  }
  if (typeof found !== "object" || found === null) return {};
  const known: Partial<Record<keyof SettingsState, unknown>> = {};
  for (const [name, usual] of Object.entries(DEFAULTS) as [keyof SettingsState, unknown][]) {
    const value = (found as Record<string, unknown>)[name];
    if (typeof value === typeof usual && value !== null && isAllowed(name, value))
      known[name] = value;
  }
  return known as Partial<SettingsState>;
}

function isAllowed(name: keyof SettingsState, value: unknown): boolean {
  switch (name) {
    case "theme":
      return ["system", "light", "dark"].includes(value as string);
    case "overlap":
      return ["keep", "cut_below", "cut_above"].includes(value as string);
    case "opacity":
      return (value as number) >= OPACITY.min && (value as number) <= OPACITY.max;
    case "brushDiameterPx":
      return (value as number) >= OPTIONS.brushMinPx && (value as number) <= OPTIONS.brushMaxPx;
    case "keys":
      return Object.values(value as object).every(
        (keys) => Array.isArray(keys) && keys.every((key) => typeof key === "string"),
      );
    default:
      return true;
  }
}
