import { expect, it } from "vitest";
import { makeActions } from "./actions";
import { comboOf, keyConflict } from "./hotkeys";
import { startPage } from "./testPage";

const press = (
  key: string,
  held: Partial<Record<"ctrlKey" | "metaKey" | "shiftKey" | "altKey", boolean>> = {},
) => comboOf({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...held });

it("names keys as the action table writes them", () => {
  expect(press("z", { ctrlKey: true })).toBe("Ctrl+Z");
  expect(press("Z", { metaKey: true, shiftKey: true })).toBe("Ctrl+Shift+Z");
  expect(press(" ", { ctrlKey: true })).toBe("Ctrl+Space");
  expect(press("?", { shiftKey: true })).toBe("?");
  expect(press("Tab", { shiftKey: true })).toBe("Shift+Tab");
});

it("gives no key to two actions, and leaves the held keys free", () => {
  const actions = makeActions(startPage().page, {
    openHelp: () => undefined,
    openSkip: () => undefined,
    focusLabel: () => undefined,
  });
  const keys = actions.flatMap((action) => action.keys);

  expect(new Set(keys).size).toBe(keys.length);
  expect(keys).not.toContain("H");
  expect(keys).not.toContain("Space");
});

it("refuses a key that is taken, held or Escape, and says by what", () => {
  const actions = makeActions(startPage().page, {
    openHelp: () => undefined,
    openSkip: () => undefined,
    focusLabel: () => undefined,
  });

  expect(keyConflict(actions, "tool-lasso", "B")).toBe("B is taken by “Brush”.");
  expect(keyConflict(actions, "tool-lasso", "H")).toMatch(/held/);
  expect(keyConflict(actions, "tool-lasso", "Escape")).toMatch(/always/);
  expect(keyConflict(actions, "tool-lasso", "S")).toBeNull();
  expect(keyConflict(actions, "tool-lasso", "Shift+Z")).toBeNull();
});

it("uses a person's own keys in place of the page's", () => {
  const { page } = startPage();
  page.ports.settings.rebind("tool-lasso", ["X"]);
  const actions = makeActions(page, {
    openHelp: () => undefined,
    openSkip: () => undefined,
    focusLabel: () => undefined,
  });

  expect(actions.find((action) => action.id === "tool-lasso")?.keys).toEqual(["X"]);
});
