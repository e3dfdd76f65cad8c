import { expect, test } from "bun:test";
import fc from "fast-check";
import { Crowd } from "../lib/crowd.ts";

function crowdOf(count: number) {
  const crowd = new Crowd<{ place: number; name: number }>();
  const members = Array.from({ length: count }, (_, name) => ({ place: -1, name }));
  for (const one of members) crowd.add(one);
  return { crowd, members };
}

test("Crowd has those that came and did not go, the last of a full one first", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(7), { maxLength: 60 }), (steps) => {
      const { crowd, members } = crowdOf(8);
      expect([...crowd].map(({ name }) => name)).toEqual([7, 6, 5, 4, 3, 2, 1, 0]);
      const here = new Set(members);
      for (const step of steps) {
        const one = members[step];
        if (one === undefined) continue;
        if (here.delete(one)) {
          crowd.delete(one);
          // Taking it out once more changes nothing.
          crowd.delete(one);
        } else {
          here.add(one);
          crowd.add(one);
        }
        expect(crowd.size).toBe(here.size);
        expect(new Set(crowd)).toEqual(here);
        expect(members.map(({ place }) => place >= 0)).toEqual(members.map((each) => here.has(each)));
      }
    }),
    { seed: 20_261_129, numRuns: 100 },
  );
});

test("Crowd gives every member that stays to a caller that takes others out meanwhile", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { minLength: 10, maxLength: 10 }), (gone) => {
      const { crowd, members } = crowdOf(10);
      const seen = new Set<object>();
      for (const one of crowd) {
        seen.add(one);
        const other = members[gone.pop() ?? 0];
        if (other !== undefined) crowd.delete(other);
      }
      for (const one of crowd) expect(seen.has(one)).toBe(true);
    }),
    { seed: 20_261_129, numRuns: 200 },
  );
});
