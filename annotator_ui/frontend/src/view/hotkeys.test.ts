import { expect, it } from "vitest";
import { makeActions } from "./actions";
import { comboOf } from "./hotkeys";
import { startPage } from "./testPage";

const press = (key: string, held: Partial<Record<"ctrlKey" | "metaKey" | "shiftKey" | "altKey", boolean>> = {}) =>
  comboOf({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...held });

it("names keys as the action table writes them", () => {
  expect(press("z", { ctrlKey: true })).toBe("Ctrl+Z");
  expect(press("Z", { metaKey: true, shiftKey: true })).toBe("Ctrl+Shift+Z");
  expect(press(" ", { ctrlKey: true })).toBe("Ctrl+Space");
  expect(press("?", { shiftKey: true })).toBe("?");
  expect(press("Tab", { shiftKey: true })).toBe("Shift+Tab");
});

it("gives no key to two actions, and leaves the held keys free", () => {
  const actions = makeActions(startPage().page, { openHelp: () => undefined, openSkip: () => undefined, focusLabel: () => undefined });
  const keys = actions.flatMap((action) => action.keys);

  expect(new Set(keys).size).toBe(keys.length);
  expect(keys).not.toContain("H");
  expect(keys).not.toContain("Space");
});
