// Sets that mostly have one member, against an array.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { counted, eachOf, type Few, oneOf, sizeOf, type Tally, withOne, withoutOne } from "../../../lib/tracker/compact/few.ts";

const members = ["a", "b", "c", "d"].map((name) => ({ name }));
type Member = (typeof members)[number];

test("few and few by a key have the members that came and did not go, in the order in which they came", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...members), { maxLength: 30 }), (steps) => {
      let few: Few<Member> | undefined;
      let byName: Few<Member> | undefined;
      const nameOf = ({ name }: Member) => name;
      const model: Member[] = [];
      for (const one of steps) {
        const at = model.indexOf(one);
        few = at < 0 ? withOne(few, one) : withoutOne(few, one);
        byName = at < 0 ? withOne(byName, { ...one }, nameOf) : withoutOne(byName, one, nameOf);
        if (at < 0) model.push(one);
        else model.splice(at, 1);
        expect([...eachOf(few)]).toEqual(model);
        expect([sizeOf(few), sizeOf(byName)]).toEqual([model.length, model.length]);
        for (const other of members)
          expect(oneOf(byName, other.name, nameOf)).toEqual(model.includes(other) ? other : undefined);
        expect([few instanceof Map, byName instanceof Map]).toEqual([model.length > 1, model.length > 1]);
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
