// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { watchJobs } from "./jobsPage";
import { LiveParts, takeOver } from "./liveParts";

const page = (figures: string, form = "") => `
  <div data-project="cups" data-revision="r1">
    <p data-live="figures">${figures}</p>
    <form data-live="form">${form}<input></form>
    <table><tr data-job="j1"><td><progress data-job-bar value="0"></progress>
      <span data-job-text></span></td></tr></table>
  </div>`;
const parse = (html: string) => new DOMParser().parseFromString(html, "text/html");
const figures = () => document.querySelector("[data-live=figures]")!.textContent;
const bar = () => document.querySelector("[data-job-bar]")!.getAttribute("value");
const job = { id: "j1", progress_pct: 40, progress_line: "4 of 10" };

beforeEach(() => {
  vi.useFakeTimers();
  document.body.innerHTML = page("1 mask");
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("takes over the parts that changed, and leaves a part in use alone", () => {
  expect(takeOver(parse(page("2 masks")))).toBe(true);
  expect(figures()).toBe("2 masks");

  document.querySelector("input")!.focus();
  expect(takeOver(parse(page("3 masks", "<b>new</b>")))).toBe(false);
  expect(figures()).toBe("3 masks");
  expect(document.querySelector("[data-live=form] b")).toBeNull();
});

it("takes a new CSRF token for no change", () => {
  const token = (value: string) => `<input name="csrfmiddlewaretoken" value="${value}">`;
  document.body.innerHTML = page("1 mask", token("old"));

  takeOver(parse(page("1 mask", token("new"))));

  expect(document.querySelector<HTMLInputElement>("[name=csrfmiddlewaretoken]")!.value).toBe("old");
});

it("follows the revision and the running jobs, and shows when the server is away", async () => {
  const answers = vi.fn<(url: string) => Promise<Response>>((url) =>
    Promise.resolve(
      url.startsWith("/api/")
        ? Response.json({ revision: "r2", running_jobs: [job] })
        : new Response(page("2 masks")),
    ),
  );
  vi.stubGlobal("fetch", answers);
  const root = document.querySelector<HTMLElement>("[data-project]")!;
  new LiveParts(root).start();

  await vi.advanceTimersByTimeAsync(0);
  expect([figures(), bar()]).toEqual(["2 masks", "40"]);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(answers).toHaveBeenCalledTimes(3); // the page was rendered once for one revision

  answers.mockRejectedValueOnce(new TypeError("Failed to fetch"));
  await vi.advanceTimersByTimeAsync(1_500);
  expect(root.classList.contains("stale")).toBe(true);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(root.classList.contains("stale")).toBe(false);
});

it("moves the bars of the jobs page", async () => {
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json([job])));

  watchJobs("cups");
  await vi.advanceTimersByTimeAsync(2_000);

  expect(bar()).toBe("40");
  expect(document.querySelector("[data-job-text]")!.textContent).toBe("4 of 10");
});
