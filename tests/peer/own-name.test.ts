import { expect, test } from "bun:test";
import { needsOfName } from "../../lib/peer/own-name.ts";

test.each(["Ben", " Ben  S. ", "Zoe\u0308", "Ann\u00a0B", "名前", "👩", "n".repeat(64)])("%j can be a name", (typed) => {
  expect(needsOfName(typed)).toBeUndefined();
});

test.each([
  ["   ", "a name that people can read, such as Ben"],
  ["\u200b\u2060", "a name that people can read, such as Ben"],
  ["10.0.0.7:1235", "a name that people can read, such as Ben"],
  ["Ben\u202eS", 'a name that people can read, such as "BenS"'],
  ["Ben\u0007S", 'a name that people can read, such as "Ben S"'],
  ["n".repeat(65), "a name of at most 64 bytes"],
  ["é".repeat(33), "a name of at most 64 bytes"],
])("%j is refused", (typed, needs) => {
  expect(needsOfName(typed)).toBe(needs);
});
