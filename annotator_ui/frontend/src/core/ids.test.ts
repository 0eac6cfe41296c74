import { expect, it } from "vitest";
import { uuid7 } from "./ids";

it("carries the time first and marks version and variant", () => {
  const id = uuid7(0x0192_0000_00ab, new Uint8Array(10).fill(0xff));

  expect(id).toBe("01920000-00ab-7fff-bfff-ffffffffffff");
});

it("sorts by the time it was made", () => {
  const random = new Uint8Array(10);

  expect(
    uuid7(1_700_000_000_000, random.fill(0xff)) < uuid7(1_700_000_000_001, random.fill(0)),
  ).toBe(true);
});
