// Sets that mostly have one member, against an array.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  counted,
  eachOf,
  type Few,
  type FewNamed,
  named,
  sizeOf,
  type Tally,
  withNamed,
  withOne,
  withoutNamed,
  withoutOne,
} from "../../lib/tracker/few.ts";

const members = ["a", "b", "c", "d"].map((name) => ({ name }));
type Member = (typeof members)[number];

test("few and few by name have the members that came and did not go, in the order in which they came", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...members), { maxLength: 30 }), (steps) => {
      let few: Few<Member> | undefined;
      let byName: FewNamed<Member> | undefined;
      const model: Member[] = [];
      for (const one of steps) {
        const at = model.indexOf(one);
        few = at < 0 ? withOne(few, one) : withoutOne(few, one);
        byName = at < 0 ? withNamed(byName, one) : withoutNamed(byName, one.name);
        if (at < 0) model.push(one);
        else model.splice(at, 1);
        expect([...eachOf(few)]).toEqual(model);
        for (const other of members) expect(named(byName, other.name)).toBe(model.includes(other) ? other : undefined);
        expect([few instanceof Set, byName instanceof Map]).toEqual([model.length > 1, model.length > 1]);
      }
    }),
    { seed: 20_261_128, numRuns: 200 },
  );
});

test("a tally knows how many different texts it was given more often than it lost them", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.boolean()), { maxLength: 30 }), (steps) => {
      let tally: Tally;
      const model = new Map<string, number>();
      for (const [text, comes] of steps) {
        const before = model.get(text) ?? 0;
        if (!comes && before === 0) continue;
        tally = counted(tally, text, comes ? 1 : -1);
        model.set(text, before + (comes ? 1 : -1));
        expect(sizeOf(tally)).toBe([...model.values()].filter((count) => count > 0).length);
      }
    }),
    { seed: 20_261_128, numRuns: 200 },
  );
});
