import { expect, test } from "bun:test";
import { isNameChanged } from "../../../lib/peer/people/own-name.ts";

test.each(["Ben", " Ben  S. ", "Zoe\u0308", "Ann\u00a0B", "名前", "👩", "n".repeat(64)])(
  "%j stays as it was typed",
  (typed) => {
    expect(isNameChanged(typed)).toBe(false);
  },
);

test.each(["\u200b\u2060", "10.0.0.7:1235", "Ben\u202eS", "Ben\u0007S", "n".repeat(65), "é".repeat(33)])(
  "%j does not",
  (typed) => {
    expect(isNameChanged(typed)).toBe(true);
  },
);
