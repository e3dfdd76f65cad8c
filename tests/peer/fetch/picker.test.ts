// Which pieces are asked for next: in order, or the rarest first; never twice without need, and never one that is here.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { Picker, type PieceRange } from "../../../lib/peer/fetch/picker.ts";

function setOf(total: number, pieces: Iterable<number>): PieceSet {
  const set = new PieceSet(total);
  for (const piece of pieces) set.add(piece);
  return set;
}

const always = (value: number) => () => value;

/** At most this number of pieces in a row. */
const upTo = (most: number) => (first: number, end: number) => end - first <= most;

function numbersOf({ first, count }: PieceRange): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

describe("Picker: in order", () => {
  test("the lowest missing pieces come first, as many in a row as are wanted", () => {
    const picker = new Picker(setOf(10, [0, 1]), always(0));
    expect(picker.pick(PieceSet.whole(10), 0, upTo(3))).toEqual({ first: 2, count: 3 });
    expect(picker.pick(PieceSet.whole(10), 7, upTo(100))).toEqual({ first: 2, count: 8 });
    expect(picker.pick(PieceSet.whole(10), 0, upTo(1))).toEqual({ first: 2, count: 1 });
  });

  test("a run ends before a piece that is here, that somebody is asked for, or that the holder does not have", () => {
    const picker = new Picker(setOf(12, [3]), always(0));
    expect(picker.pick(PieceSet.whole(12), 0, upTo(12))).toEqual({ first: 0, count: 3 });
    picker.claim({ first: 6, count: 1 });
    picker.claim({ first: 0, count: 3 });
    expect(picker.pick(PieceSet.whole(12), 0, upTo(12))).toEqual({ first: 4, count: 2 });
    expect(picker.pick(setOf(12, [8, 9, 11]), 0, upTo(12))).toEqual({ first: 8, count: 2 });
  });

  test("what was claimed and did not come is picked again", () => {
    const picker = new Picker(new PieceSet(4), always(0));
    picker.claim({ first: 0, count: 4 });
    expect(picker.pick(PieceSet.whole(4), 0, upTo(4))).toBeUndefined();
    picker.unclaim({ first: 1, count: 2 });
    expect(picker.pick(PieceSet.whole(4), 0, upTo(4))).toEqual({ first: 1, count: 2 });
  });

  test("a piece asked for twice is free only when both requests are over", () => {
    const picker = new Picker(new PieceSet(1), always(0));
    const run = { first: 0, count: 1 };
    picker.claim(run);
    picker.claim(run);
    picker.unclaim(run);
    expect(picker.pick(PieceSet.whole(1), 0, upTo(1))).toBeUndefined();
    picker.unclaim(run);
    expect(picker.pick(PieceSet.whole(1), 0, upTo(1))).toEqual(run);
  });

  test("there is nothing to pick when all is here, or of a file without pieces", () => {
    expect(new Picker(PieceSet.whole(3), always(0)).pick(PieceSet.whole(3), 0, upTo(1))).toBeUndefined();
    expect(new Picker(new PieceSet(0), always(0)).pick(new PieceSet(0), 0, upTo(1))).toBeUndefined();
  });
});

describe("Picker: rarest first", () => {
  const total = 8;
  const [some, more, all] = [setOf(total, [0, 1, 2]), setOf(total, [0, 1, 2, 3, 4, 5]), PieceSet.whole(total)];

  test.each([0, 0.5, 0.999_999])(
    "the pieces that only one has come before those of two, and those before the rest (random %d)",
    (random) => {
      const picker = new Picker(new PieceSet(total), always(random));
      picker.count([some, more, all]);
      const taken: number[][] = [];
      for (let i = 0; i < 30; i++) {
        const run = picker.pick(all, total, upTo(2));
        if (run === undefined) break;
        picker.claim(run);
        taken.push(numbersOf(run));
      }
      const order = taken.flat();
      expect([...order].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(order.slice(0, 2).sort()).toEqual([6, 7]);
      expect(order.slice(2, 5).sort()).toEqual([3, 4, 5]);
    },
  );

  test("wherever the rarest ones are, and wherever the last request ended", () => {
    for (const random of [0, 0.5, 0.999_999]) {
      for (const [rare, next] of [
        [0, 4],
        [3, 0],
        [3, 6],
        [7, 2],
      ] as const) {
        const picker = new Picker(new PieceSet(total), always(random));
        const others = [...Array(total).keys()].filter((piece) => piece !== rare);
        picker.count([all, setOf(total, others)]);
        expect(picker.pick(all, next, upTo(1))).toEqual({ first: rare, count: 1 });
      }
    }
  });

  test("a run never goes on into pieces that more have", () => {
    const picker = new Picker(new PieceSet(total), always(0));
    picker.count([setOf(total, [3, 4, 5, 6, 7]), all]);
    const run = picker.pick(all, 1, upTo(8));
    expect(run).toEqual({ first: 1, count: 2 });
  });

  test("among the equally rare it goes on where the last request ended; else any, as the dice fall", () => {
    const picker = new Picker(new PieceSet(total), always(0));
    picker.count([all]);
    expect(picker.pick(all, 5, upTo(1))?.first).toBe(5);
    const firsts = [0, 0.999_999].map((random) => {
      const other = new Picker(new PieceSet(total), always(random));
      other.count([all]);
      return other.pick(all, total, upTo(1))?.first;
    });
    expect(new Set(firsts).size).toBe(2);
  });
});

describe("Picker: a second request", () => {
  test("may be made once, of the pieces that a holder has and that are not here", () => {
    const picker = new Picker(setOf(6, [5]), always(0));
    const run = { first: 0, count: 2 };
    picker.claim(run);
    expect(picker.repeatable(run, PieceSet.whole(6))).toEqual(run);
    expect(picker.repeatable(run, setOf(6, [1]))).toEqual({ first: 1, count: 1 });
    expect(picker.repeatable(run, setOf(6, [2]))).toBeUndefined();
    expect(picker.repeatable({ first: 4, count: 2 }, PieceSet.whole(6))).toEqual({ first: 4, count: 1 });
    picker.claim(run);
    expect(picker.repeatable(run, PieceSet.whole(6))).toBeUndefined();
  });

  test("what is here is known piece by piece", () => {
    const picker = new Picker(setOf(6, [1, 2]), always(0));
    expect(picker.isHere({ first: 1, count: 2 })).toBe(true);
    expect(picker.isHere({ first: 1, count: 3 })).toBe(false);
    picker.have.add(3);
    expect(picker.isHere({ first: 1, count: 3 })).toBe(true);
  });
});

describe("Picker: whatever happens", () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ act: fc.constant("pick" as const), who: fc.nat(3), most: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 4, arbitrary: fc.record({ act: fc.constantFrom("arrive" as const, "lose" as const), which: fc.nat(50) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("count" as const) }) },
  );

  test("what is picked is missing, unclaimed, owned by the holder and in range; and in the end nothing was left out", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 70 }),
        fc.array(fc.array(fc.nat(69), { maxLength: 60 }), { minLength: 4, maxLength: 4 }),
        fc.array(step, { maxLength: 120 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999_999, noNaN: true })),
        (total, owned, steps, dice) => {
          const holders = owned.map((pieces) =>
            setOf(
              total,
              pieces.filter((piece) => piece < total),
            ),
          );
          const picker = new Picker(new PieceSet(total), () => dice.next().value ?? 0);
          const flights: PieceRange[] = [];
          const claimed = new Set<number>();
          const next = [0, 0, 0, 0];
          const pick = (who: number, most: number): boolean => {
            const has = holders[who] ?? new PieceSet(total);
            const run = picker.pick(has, next[who] ?? 0, upTo(most));
            const free = [...Array(total).keys()].filter((i) => has.has(i) && !picker.have.has(i) && !claimed.has(i));
            if (run === undefined) {
              expect(free).toEqual([]);
              return false;
            }
            expect(run.count).toBeGreaterThan(0);
            expect(run.count).toBeLessThanOrEqual(most);
            for (const piece of numbersOf(run)) expect(free).toContain(piece);
            for (const piece of numbersOf(run)) claimed.add(piece);
            picker.claim(run);
            flights.push(run);
            next[who] = run.first + run.count;
            return true;
          };
          const finish = (which: number, arrives: boolean) => {
            const [run] = flights.splice(which % Math.max(1, flights.length), 1);
            if (run === undefined) return;
            if (arrives) for (const piece of numbersOf(run)) picker.have.add(piece);
            for (const piece of numbersOf(run)) claimed.delete(piece);
            picker.unclaim(run);
          };
          for (const { act, ...more } of steps) {
            if (act === "count") picker.count(holders);
            else if (act === "pick" && "who" in more) pick(more.who, more.most);
            else if ("which" in more) finish(more.which, act === "arrive");
          }
          while (flights.length > 0) finish(0, true);
          for (let who = 0; who < 4; who++) while (pick(who, 5)) finish(0, true);
          const reachable = [...Array(total).keys()].filter((i) => holders.some((has) => has.has(i)));
          expect(picker.have.count).toBe(reachable.length);
          for (const piece of reachable) expect(picker.have.has(piece)).toBe(true);
        },
      ),
      { numRuns: 150, seed: 20_261_122 },
    );
  });
});

describe("Picker: places", () => {
  test("in order from the start it was given, and then from the first piece", () => {
    const picker = new Picker(setOf(10, [0]), always(0), { start: 6 });
    const all = PieceSet.whole(10);
    const taken: PieceRange[] = [];
    for (let run = picker.pick(all, 10, upTo(3)); run !== undefined; run = picker.pick(all, 10, upTo(3))) {
      picker.claim(run);
      taken.push(run);
    }
    expect(taken.flatMap(numbersOf)).toEqual([6, 7, 8, 9, 1, 2, 3, 4, 5]);
  });

  test("a range begins where its group begins, if those pieces are free and as rare", () => {
    const total = 12;
    const all = PieceSet.whole(total);
    // The dice fall on the last one of the rarest.
    const picker = new Picker(new PieceSet(total), always(0), { group: 4 });
    picker.count([all, setOf(total, [8])]);
    expect(picker.pick(all, total, upTo(4))).toEqual({ first: 9, count: 3 });
    picker.claim({ first: 9, count: 3 });
    expect(picker.pick(all, total, upTo(4))).toEqual({ first: 4, count: 4 });
  });
});

describe("Picker: divided among peers", () => {
  const total = 8;
  const all = PieceSet.whole(total);
  // Its own pieces are 1, 4 and 5; then come 7 and 3.
  const turns = Uint8Array.of(3, 0, 3, 2, 0, 0, 3, 1);

  test.each([0, 0.5, 0.999_999])(
    "a holder of the whole file is asked for pieces in the order of one's turns (random %d)",
    (random) => {
      const picker = new Picker(new PieceSet(total), always(random));
      picker.count([all]);
      picker.prefer(turns);
      const order: number[] = [];
      for (let run = picker.pick(all, total, upTo(1)); run !== undefined; run = picker.pick(all, total, upTo(1))) {
        picker.claim(run);
        order.push(...numbersOf(run));
      }
      expect(order.slice(0, 3).sort()).toEqual([1, 4, 5]);
      expect(order.slice(3, 5)).toEqual([7, 3]);
      expect(order.slice(5).sort()).toEqual([0, 2, 6]);
    },
  );

  test("rarity comes before that, and a holder of a part is asked for anything", () => {
    const picker = new Picker(new PieceSet(total), always(0));
    const part = setOf(total, [0, 1, 4, 5]);
    picker.count([all, part]);
    picker.prefer(turns);
    expect([2, 3, 6, 7]).toContain(picker.pick(all, total, upTo(1))?.first ?? -1);
    expect(picker.pick(part, 0, upTo(1))).toEqual({ first: 0, count: 1 });
  });

  test("a range ends where another peer's pieces begin", () => {
    const picker = new Picker(new PieceSet(total), always(0));
    picker.count([all]);
    picker.prefer(turns);
    expect(picker.pick(all, 4, upTo(8))).toEqual({ first: 4, count: 2 });
  });
});

describe("Picker: with a reach", () => {
  test("the rarest near the first missing piece come first, and those behind only when a holder has none of these", () => {
    const picker = new Picker(setOf(100, [0, 1]), always(0), { reach: 10 });
    const all = PieceSet.whole(100);
    picker.count([
      all,
      setOf(
        100,
        Array.from({ length: 90 }, (_, i) => i),
      ),
    ]);
    // The pieces from 90 on are rarer.
    expect(picker.pick(all, 0, upTo(1))?.first).toBeLessThan(12);
    expect(picker.pick(setOf(100, [95]), 0, upTo(1))).toEqual({ first: 95, count: 1 });
    expect(picker.pick(setOf(100, [1]), 0, upTo(1))).toBeUndefined();
    const anywhere = new Picker(setOf(100, [0, 1]), always(0));
    anywhere.count([
      all,
      setOf(
        100,
        Array.from({ length: 90 }, (_, i) => i),
      ),
    ]);
    expect(anywhere.pick(all, 0, upTo(1))?.first).toBeGreaterThanOrEqual(90);
  });
});
