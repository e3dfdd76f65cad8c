// Texts by number against a Map, whatever is in them, and numbers for texts that come again.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { hashOf, Numbers, Texts } from "../../../lib/tracker/table/texts.ts";

const SEED = 20_261_123;

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: fc.constantFrom("a", "b", "\u007f", "\u0080", "\u0093", "\u009f", "\u00a0", "\u00ff"), maxLength: 30 }),
  fc.string({ unit: fc.constantFrom("a", "b", "\u00ff", "\u0100"), minLength: 1, maxLength: 300 }),
);

test("keeps every text as it is, while others come, change and go", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.option(text)), { maxLength: 400 }), (changes) => {
      const texts = new Texts();
      const model = new Map<number, string>();
      // Neighbours, and some far away.
      const idOf = (n: number) => (n < 40 ? n : n * 97);
      for (const [n, to] of changes) {
        const id = idOf(n);
        if (to === null) texts.drop(id);
        else texts.set(id, to);
        if (to === null) model.delete(id);
        else model.set(id, to);
      }
      for (let n = 0; n <= 60; n++) {
        const id = idOf(n);
        const kept = model.get(id) ?? "";
        expect(texts.get(id)).toBe(kept);
        expect(texts.length(id)).toBe(kept.length);
        expect(texts.hash(id)).toBe(hashOf(kept));
        expect(texts.is(id, kept)).toBeTrue();
        expect(texts.is(id, `${kept}a`)).toBeFalse();
      }
    }),
    { seed: SEED, numRuns: 150 },
  );
});

test("compares and searches as strings do", () => {
  fc.assert(
    fc.property(text, text, fc.integer({ min: -1, max: 50 }), (one, other, place) => {
      const texts = new Texts();
      texts.set(0, one);
      texts.set(1, other);
      expect(Math.sign(texts.compare(0, 1))).toBe(one < other ? -1 : one > other ? 1 : 0);
      expect(texts.has(0, other, place)).toBe(place >= 0 && place + other.length <= one.length && one.startsWith(other, place));
      expect(texts.includes(0, other)).toBe(one.includes(other));
      expect(texts.includes(0, one.slice(1, 3))).toBeTrue();
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test("a text that comes again has its number, until nobody uses it", () => {
  const numbers = new Numbers();
  const [first, second] = [numbers.take("audio/mpeg"), numbers.take("data")];
  expect(numbers.take("audio/mpeg")).toBe(first);
  expect([first > 0, first !== second, numbers.text(first), numbers.text(0)]).toEqual([true, true, "audio/mpeg", ""]);
  numbers.release(first);
  expect(numbers.take("audio/mpeg")).toBe(first);
  numbers.release(first);
  numbers.release(first);
  numbers.release(first);
  expect([numbers.of.has("audio/mpeg"), numbers.text(first)]).toEqual([false, ""]);
  expect(numbers.take("text/plain")).toBe(first);
  expect([...numbers.table((one) => one.startsWith("text/"))]).toEqual([0, 1, 0]);
});
