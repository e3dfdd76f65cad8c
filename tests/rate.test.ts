// The limit on requests a second. Time stands still until a test moves it.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { systemClock } from "../lib/clock.ts";
import { Allowance } from "../lib/rate.ts";
import { HandClock } from "./helpers/channel.ts";

/** How many of `count` requests made now are allowed. */
function taken(allowance: Allowance, count: number): number {
  let made = 0;
  for (let i = 0; i < count; i += 1) if (allowance.take()) made += 1;
  return made;
}

describe("an allowance", () => {
  test("gives its burst at once, and then its rate", async () => {
    const clock = new HandClock();
    const allowance = new Allowance(8, 64, clock);
    expect(taken(allowance, 100)).toBe(64);
    expect([allowance.left, allowance.take()]).toEqual([false, false]);
    await clock.pass(124);
    expect(allowance.take()).toBe(false);
    await clock.pass(1);
    expect(taken(allowance, 100)).toBe(1);
    await clock.pass(2_000);
    expect(taken(allowance, 100)).toBe(16);
  });

  test("after any pause gives no more than its burst", async () => {
    const clock = new HandClock();
    const allowance = new Allowance(50, 200, clock);
    taken(allowance, 200);
    await clock.pass(86_400_000);
    expect(taken(allowance, 1_000)).toBe(200);
  });

  test("is not used up by looking, nor by what it refuses", async () => {
    const clock = new HandClock();
    const allowance = new Allowance(1, 2, clock);
    for (let i = 0; i < 10; i += 1) expect(allowance.left).toBe(true);
    expect(taken(allowance, 50)).toBe(2);
    for (let i = 0; i < 10; i += 1) expect([allowance.left, allowance.take()]).toEqual([false, false]);
    await clock.pass(1_000);
    expect(taken(allowance, 50)).toBe(1);
  });

  test("loses nothing by being asked often", async () => {
    const clock = new HandClock();
    const allowance = new Allowance(10, 5, clock);
    taken(allowance, 5);
    for (let ms = 0; ms < 1_000; ms += 1) {
      await clock.pass(1);
      expect(allowance.left).toBe(ms >= 99);
    }
    expect(taken(allowance, 50)).toBe(5);
  });

  test("a clock that is set back gives nothing, takes nothing away, and does not stop it", () => {
    let now = 1_000_000;
    const allowance = new Allowance(8, 4, { ...systemClock, elapsed: () => now });
    expect(taken(allowance, 3)).toBe(3);
    now -= 900_000;
    expect(taken(allowance, 50)).toBe(1);
    now += 250;
    expect(taken(allowance, 50)).toBe(2);
  });

  test("whatever comes when: over any time not more than the rate and one burst, and all of that if it is asked for", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ wanted: fc.nat(30), idle: fc.nat(3_000) }), { minLength: 1, maxLength: 40 }),
        async (steps) => {
          const clock = new HandClock();
          const [rate, burst] = [8, 20];
          const allowance = new Allowance(rate, burst, clock);
          const made: { at: number; count: number }[] = [];
          let balance = burst;
          for (const { wanted, idle } of steps) {
            const count = taken(allowance, wanted);
            // Within a millionth of a request: the halves of what is earned do not always add up.
            expect(count).toBeGreaterThanOrEqual(Math.min(wanted, Math.floor(balance - 1e-6)));
            made.push({ at: clock.at(), count });
            await clock.pass(idle);
            balance = Math.min(burst, balance - count + (idle / 1000) * rate);
          }
          for (const [i, first] of made.entries()) {
            let total = 0;
            for (const { at, count } of made.slice(i)) {
              total += count;
              expect(total).toBeLessThanOrEqual(burst + ((at - first.at) / 1000) * rate + 1e-6);
            }
          }
        },
      ),
      { seed: 20_261_122, numRuns: 50 },
    );
  });
});
