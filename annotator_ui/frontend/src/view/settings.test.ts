import { expect, it } from "vitest";
import { DEFAULTS, Settings } from "./settings";

function store(text: string | null) {
  const kept = { text };
  return {
    kept,
    getItem: () => kept.text,
    setItem: (_key: string, value: string) => void (kept.text = value),
  };
}

it("keeps what was chosen", () => {
  const place = store(null);
  const settings = new Settings(place);
  settings.change({ theme: "dark", overlap: "cut_below" });
  settings.rebind("accept", ["X"]);
  for (let i = 0; i < 30; i += 1) settings.stepOpacity(1);

  expect(new Settings(place).state()).toMatchObject({
    theme: "dark",
    overlap: "cut_below",
    keys: { accept: ["X"] },
    opacity: 1,
  });
  settings.rebind("accept", null);
  expect(new Settings(place).state().keys).toEqual({});
});

it.each([
  "nonsense",
  "7",
  '{"theme":"pink","opacity":9,"keys":{"accept":7},"brushDiameterPx":-1,"isHoverOn":"yes"}',
])("does not trip over what lies in the store: %s", (text) =>
  expect(new Settings(store(text)).state()).toEqual(DEFAULTS),
);

it("goes on when the store is full", () => {
  const settings = new Settings({
    getItem: () => null,
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
  });
  settings.change({ theme: "light" });
  expect(settings.state().theme).toBe("light");
});
