import { expect, it } from "vitest";
import { isRivalBetter } from "./backends";

const LOGITS = Float32Array.from({ length: 1000 }, (_, i) => (i < 300 ? 2 : -2));

/** Two networks on one clock; each run takes its own time, the first one `firstMs`. */
function race(options: {
  currentMs: number;
  rivalMs: number;
  firstMs?: number;
  logits?: Float32Array;
  fails?: boolean;
}) {
  let now = 0;
  const side = (ms: number, logits: Float32Array, firstMs = ms) => {
    let runs = 0;
    return () => {
      now += runs === 0 ? firstMs : ms;
      runs += 1;
      if (options.fails === true && logits !== LOGITS)
        return Promise.reject(new Error("the card was lost"));
      const iouPredictions = { data: Float32Array.of(1, 1, 1, 1), dims: [1, 4] };
      return Promise.resolve({
        lowResMasks: { data: logits, dims: [1, 1, 1, logits.length] },
        iouPredictions,
      });
    };
  };
  const current = side(options.currentMs, LOGITS);
  const rival = side(
    options.rivalMs,
    options.logits ?? LOGITS.map((value) => value * 1.01),
    options.firstMs,
  );
  return isRivalBetter({ current, rival, prompts: {}, nowMs: () => now });
}

it.each([
  { currentMs: 40, rivalMs: 8, isBetter: true },
  { currentMs: 40, rivalMs: 32, isBetter: true },
  { currentMs: 40, rivalMs: 33, isBetter: false },
  { currentMs: 40, rivalMs: 90, isBetter: false },
])(
  "takes a card that needs $rivalMs ms instead of $currentMs: $isBetter",
  async ({ currentMs, rivalMs, isBetter }) => {
    expect(await race({ currentMs, rivalMs })).toBe(isBetter);
  },
);

it("does not count the first run, which compiles the card's programs", async () => {
  expect(await race({ currentMs: 40, rivalMs: 8, firstMs: 900 })).toBe(true);
});

it("does not take a card that is fast and wrong, gives no numbers, or fails", async () => {
  const nearly = LOGITS.map((value, i) => (i < 5 ? -value : value));
  const wrong = LOGITS.map((value, i) => (i < 6 ? -value : value));

  expect(await race({ currentMs: 40, rivalMs: 8, logits: nearly })).toBe(true);
  expect(await race({ currentMs: 40, rivalMs: 8, logits: wrong })).toBe(false);
  expect(await race({ currentMs: 40, rivalMs: 8, logits: LOGITS.map(() => NaN) })).toBe(false);
  expect(await race({ currentMs: 40, rivalMs: 8, logits: LOGITS.slice(1) })).toBe(false);
  expect(await race({ currentMs: 40, rivalMs: 8, fails: true })).toBe(false);
});
