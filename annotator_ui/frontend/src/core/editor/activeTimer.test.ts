import { expect, it } from "vitest";
import { ActiveTimer } from "./activeTimer";

it("counts a pause only up to ten seconds", () => {
  const timer = new ActiveTimer();
  timer.start(0);
  timer.activity(4_000);

  expect(timer.elapsedMs(9_000)).toBe(9_000);
  expect(timer.elapsedMs(60_000)).toBe(14_000);
  timer.activity(60_000);
  expect(timer.elapsedMs(61_000)).toBe(15_000);
});

it("stands still while the tab is hidden", () => {
  const timer = new ActiveTimer();
  timer.start(0);
  timer.hidden(2_000);
  timer.shown(50_000);

  expect(timer.elapsedMs(51_000)).toBe(3_000);
});

it("does not run before a mask is begun", () => {
  const timer = new ActiveTimer();
  timer.activity(1_000);
  timer.hidden(2_000);
  timer.shown(3_000);

  expect([timer.isRunning, timer.elapsedMs(9_000)]).toEqual([false, 0]);
});
