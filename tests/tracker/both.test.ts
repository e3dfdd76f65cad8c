// The former search index and the one that takes its place, side by side on random names and words.

import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Wish } from "../../lib/protocol/messages.ts";
import { fold } from "../../lib/tracker/words.ts";
import { Finder, type Item } from "../helpers/finder.ts";
import { OldFinder } from "../helpers/old-finder.ts";

const piece = fc.constantFrom(..."aabbe1. _-é😀報~(".split(""), "ab", ".mp3", "ﬁ", "ẞ", "Ж", " - ", "\u0301");
const text = (most: number) => fc.array(piece, { minLength: 1, maxLength: most }).map((parts) => parts.join(""));
const item: fc.Arbitrary<Item> = fc.record({
  name: text(9),
  type: fc.constantFrom("audio/mpeg", "Video/mp4", "data"),
  size: fc.constantFrom(1, 2),
  modified: fc.constantFrom("2024-05-06", "2024-05-07T10:00:00Z", "2025-01-01T00:00:00.500Z"),
  root: fc.constantFrom(undefined, "a".repeat(64), "b".repeat(64), "c".repeat(64)),
  part: fc.boolean(),
});
const wild = fc
  .array(fc.oneof(piece, fc.constantFrom("*", "?")), { minLength: 1, maxLength: 7 })
  .map((parts) => parts.join(""));
const word = fc.oneof(
  text(3),
  wild,
  text(2).map((one) => `-${one}`),
  wild.map((one) => `-${one}`),
);
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined, freq: 6 });
const wishes: fc.Arbitrary<Wish> = fc
  .record({
    words: fc.array(word, { maxLength: 3 }),
    ext: maybe(fc.subarray(["mp3", "1", "e", "a.b"])),
    type: maybe(fc.constantFrom("audio/", "VIDEO")),
    min: maybe(fc.constantFrom(0, 2)),
    max: maybe(fc.constantFrom(1)),
    after: maybe(fc.constantFrom("2024-05-07", "2025-01-01")),
    before: maybe(fc.constantFrom("2024-05-06", "2024-05-07")),
    root: maybe(fc.constant("a".repeat(64))),
    group: fc.boolean(),
    offset: fc.constantFrom(0, 1, 5),
    limit: fc.constantFrom(3, 1000),
  })
  .map((wish) => Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined)) as unknown as Wish);

function shown(run: () => { contents: { items: Item[]; holders: number }[]; total: number }) {
  try {
    const { contents, total } = run();
    return { total, contents: contents.map(({ items, holders }) => [fold(items[0]?.name ?? ""), items.length, holders]) };
  } catch (error) {
    return String(error);
  }
}

test("both find the same, in the same order, while records come and go", () => {
  fc.assert(
    fc.property(
      fc.array(item, { maxLength: 60 }),
      fc.array(fc.nat(1000), { maxLength: 40 }),
      fc.array(wishes, { minLength: 1, maxLength: 12 }),
      (items, leaving, asked) => {
        const [old, young] = [new OldFinder(), new Finder()];
        const compare = () => {
          for (const wish of asked) expect(shown(() => young.find(wish))).toEqual(shown(() => old.find(wish)));
        };
        for (const one of items) for (const side of [old, young]) side.add(one);
        compare();
        for (const at of leaving) {
          const one = items[at % Math.max(1, items.length)];
          if (one !== undefined) for (const side of [old, young]) side.remove(one);
        }
        compare();
      },
    ),
    { numRuns: 500 },
  );
});
