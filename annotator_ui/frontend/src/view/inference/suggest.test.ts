import { expect, it } from "vitest";
import type { ApiClient } from "../../api/client";
import type { MaskOut, SuggestionsOut } from "../../api/types";
import { SuggestionSearch } from "./suggest";

const at = (status: SuggestionsOut["status"], progress_pct = 0, error = ""): SuggestionsOut => ({
  status,
  progress_pct,
  progress_text: "",
  error,
});

function start(states: SuggestionsOut[]) {
  const calls: string[] = [];
  let masks = 0;
  const api = {
    suggestions: (imageId: string, what: string) => {
      calls.push(`${what} ${imageId}`);
      return Promise.resolve(
        what === "state" ? (states.shift() ?? at("succeeded", 100)) : at("queued"),
      );
    },
    masksOf: () => Promise.resolve(Array.from({ length: (masks += 2) }, () => ({}) as MaskOut)),
  } as unknown as ApiClient;
  let known = 0;
  const arrived = (_imageId: string, all: readonly MaskOut[]): number => {
    const fresh = all.length - known;
    known = all.length;
    return fresh;
  };
  const search = new SuggestionSearch({ api, arrived, sleep: () => Promise.resolve() });
  const kinds: string[] = [];
  search.subscribe(() => kinds.push(`${search.state().kind} ${search.state().message}`));
  return { search, calls, kinds };
}

it("waits, takes suggestions over as they come, and says how many there were", async () => {
  const { search, kinds } = start([
    at("queued"),
    at("running", 12),
    at("running", 12),
    at("running", 50),
  ]);
  await search.start("one");

  expect(search.state()).toMatchObject({ kind: "done", message: "8 suggestions" });
  expect(kinds).toContain("running 4 found so far");
});

it("tells why it failed and what was found before it was stopped", async () => {
  const failed = start([at("failed", 0, "Traceback\nno model serves")]);
  await failed.search.start("one");
  expect(failed.search.state()).toMatchObject({ kind: "failed", message: "no model serves" });

  const stopped = start([at("running", 12), at("cancelled", 12)]);
  await stopped.search.start("one");
  expect(stopped.search.state().message).toBe("Stopped with 4 suggestions");
});

it("takes up a search that is under way, and lets go of the image before", async () => {
  const { search, calls } = start([at("none"), at("running", 5)]);
  await search.forget("one");
  expect(search.state().kind).toBe("idle");
  await search.forget("two");
  expect(search.state()).toMatchObject({ imageId: "two", kind: "done" });
  expect(calls.filter((call) => call.startsWith("ask"))).toEqual([]);
});
