import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { sha256Hex } from "./sha256";

it("agrees with the platform's SHA-256 around every padding boundary", () => {
  for (const length of [0, 1, 3, 54, 55, 56, 57, 63, 64, 65, 119, 120, 1000, 70_001]) {
    const text = "segloop".repeat(Math.ceil(length / 7)).slice(0, length);

    expect(sha256Hex(text)).toBe(createHash("sha256").update(text).digest("hex"));
  }
});
