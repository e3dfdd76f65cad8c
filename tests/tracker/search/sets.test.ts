// Sets by number against JavaScript's own, while they grow from one member to many and back.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Sets } from "../../../lib/tracker/search/sets.ts";

const WORDS = 32;

function membersOf(sets: Sets, set: number): number[] {
  const bits = new Int32Array(WORDS);
  sets.addTo(set, bits);
  return Array.from({ length: WORDS * 32 }, (_, id) => id).filter((id) => ((bits[id >>> 5] ?? 0) >>> (id & 31)) & 1);
}

test("hold what was added and not taken out, each by itself", () => {
  const change = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 25 }));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 400 }), (changes) => {
      const sets = new Sets();
      const model = Array.from({ length: 4 }, () => new Set<number>());
      for (const [set, member] of changes) {
        const own = model[set];
        if (own?.delete(member)) sets.delete(set, member);
        else {
          own?.add(member);
          sets.add(set, member, WORDS);
        }
        expect(sets.count(set)).toBe(own?.size ?? 0);
      }
      for (const [set, own] of model.entries()) expect(membersOf(sets, set)).toEqual([...own].sort((a, b) => a - b));
    }),
    { seed: 20_261_123, numRuns: 300 },
  );
});

test("of a thousand shrink to one and to none again", () => {
  const sets = new Sets();
  for (let member = 999; member >= 0; member--) sets.add(5, member, WORDS);
  expect([sets.count(5), membersOf(sets, 5).length, sets.count(4)]).toEqual([1000, 1000, 0]);
  for (let member = 0; member < 999; member++) sets.delete(5, member);
  expect([sets.count(5), membersOf(sets, 5)]).toEqual([1, [999]]);
  sets.delete(5, 999);
  expect([sets.count(5), membersOf(sets, 5)]).toEqual([0, []]);
});
