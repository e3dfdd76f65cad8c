// Sets that mostly have one member, against an array.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { counted, eachOf, type Few, oneOf, sizeOf, type Tally, withOne, withoutOne } from "../../../lib/tracker/compact/few.ts";

const members = Array.from({ length: 40 }, (_, i) => ({ name: `${i}` }));
type Member = (typeof members)[number];

test("few and few by a key have the members that came and did not go, in the order in which they came", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...members), { minLength: 50, maxLength: 150 }), (steps) => {
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
        expect(members.filter(({ name }) => oneOf(byName, name, nameOf) !== undefined).length).toBe(model.length);
        expect(oneOf(byName, one.name, nameOf)).toEqual(at < 0 ? one : undefined);
        if (model.length === 1) expect([few, byName]).toEqual(model.concat(model));
      }
    }),
    { seed: 20_261_128, numRuns: 200 },
  );
});

test.each([1, 2, 3, 16, 17, 18])("all of %d members are seen by a caller that takes each of them out", (count) => {
  let few: Few<Member> | undefined;
  for (const one of members.slice(0, count)) few = withOne(few, one);
  const seen: Member[] = [];
  for (const one of eachOf(few)) {
    seen.push(one);
    few = withoutOne(few, one);
  }
  expect(seen).toEqual(members.slice(0, count));
  expect(sizeOf(few)).toBe(0);
});

test("a large set is not gone through when a member leaves: it would go past all that left before", () => {
  class Watched extends Map<unknown, Member> {
    override values(): MapIterator<Member> {
      throw new Error("it was gone through");
    }
  }
  const large = new Watched(members.map((one) => [one, one]));
  let few: Few<Member> | undefined = large;
  for (const one of members.slice(0, 38)) few = withoutOne(few, one);
  expect(sizeOf(few)).toBe(2);
});

test("a tally knows how many different texts it was given more often than it lost them", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...members.map(({ name }) => name)), fc.boolean()), { maxLength: 150 }),
      (steps) => {
        let tally: Tally;
        const model = new Map<string, number>();
        for (const [text, comes] of steps) {
          const before = model.get(text) ?? 0;
          if (!comes && before === 0) continue;
          tally = counted(tally, text, comes ? 1 : -1);
          model.set(text, before + (comes ? 1 : -1));
          expect(sizeOf(tally)).toBe([...model.values()].filter((count) => count > 0).length);
        }
      },
    ),
    { seed: 20_261_128, numRuns: 200 },
  );
});
