/** Whether the graphics card should decode instead of WebAssembly: only where it is faster here, by the
 * clock, and gives the same masks. */

import type { Feeds } from "./network";
import type { Runner } from "./session";

/** A card that saves less than this is not worth a second runtime's memory. */
export const MIN_SPEEDUP = 1.25;
/** Share of the pixels whose side of the outline may differ: cards round in other ways. */
const MAX_DIFFERENT = 0.005;
const PROBE_RUNS = 3;

export interface Trial {
  readonly current: Runner;
  readonly rival: Runner;
  readonly prompts: Feeds;
  readonly nowMs: () => number;
}

/** Ask both for the same mask a few times. False also when the rival fails. */
export async function isRivalBetter({ current, rival, prompts, nowMs }: Trial): Promise<boolean> {
  try {
    const expected = await current(prompts);
    const found = await rival(prompts); // the first run compiles: it does not count
    if (!isSameMask(expected.lowResMasks.data, found.lowResMasks.data)) return false;
    const currentMs = await bestOf(current, prompts, nowMs);
    const rivalMs = await bestOf(rival, prompts, nowMs);
    return rivalMs * MIN_SPEEDUP <= currentMs;
  } catch {
    return false;
  }
}

async function bestOf(run: Runner, prompts: Feeds, nowMs: () => number): Promise<number> {
  let bestMs = Infinity;
  for (let i = 0; i < PROBE_RUNS; i += 1) {
    const startedMs = nowMs();
    await run(prompts);
    bestMs = Math.min(bestMs, nowMs() - startedMs);
  }
  return bestMs;
}

/** NaN lies on neither side, so a card that gives it does not pass. */
function isSameMask(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false;
  let numDifferent = 0;
  a.forEach((value, i) => {
    const other = b[i] ?? NaN;
    if (!(value > 0 ? other > 0 : other <= 0)) numDifferent += 1;
  });
  return numDifferent <= MAX_DIFFERENT * a.length;
}
