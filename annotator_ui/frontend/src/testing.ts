/** Helpers of the tests: the vectors that Python writes and both languages must agree on. */

import { readFileSync } from "node:fs";

const GOLDEN = new URL("../../../tests/golden/", import.meta.url);

/** The parsed file; each test states the shape it expects of it. */
export function golden(
  name: "rle" | "coordinates" | "feeds" | "selection" | "upscale" | "seeds" | "crops",
): unknown {
  return JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), "utf8"));
}
