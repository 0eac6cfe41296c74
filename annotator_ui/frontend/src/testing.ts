/** Helpers of the tests: the vectors that Python writes and both languages must agree on. */

import { readFileSync } from "node:fs";

const GOLDEN = new URL("../../../tests/golden/", import.meta.url);

export function golden<Shape>(name: string): Shape {
  return JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), "utf8")) as Shape;
}
