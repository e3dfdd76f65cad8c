// The limit on bytes a second. Time stands still until a test moves it.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RateLimit } from "../../lib/peer/rate-limit.ts";
import { HandClock } from "../helpers/channel.ts";

/** Somebody who always waits as long as it is told: how many milliseconds so many bytes take. */
async function timeFor(bytes: number, rate: number, step?: number): Promise<number> {
  const clock = new HandClock();
  const limit = new RateLimit(rate, clock);
  const start = clock.at();
  for (let left = bytes; left > 0; ) {
    const now = Math.min(left, step ?? limit.step);
    left -= now;
    const wait = limit.spend(now);
    expect(wait).toBeGreaterThanOrEqual(0);
    await clock.pass(wait);
  }
  return clock.at() - start;
}

describe("a limit", () => {
  test("holds: ten seconds' worth take ten seconds, but for the little that may go at once", async () => {
    for (const rate of [10_000, 1_000_000, 10_000_000]) {
      const took = await timeFor(10 * rate, rate);
      expect(took).toBeGreaterThanOrEqual(9_890);
      expect(took).toBeLessThanOrEqual(10_010);
    }
  });

  test("holds whatever the size of the pieces", async () => {
    for (const step of [1, 7_000, 250_000, 1_000_000]) {
      const took = await timeFor(step === 1 ? 20 : 3_000_000, step === 1 ? 10 : 1_000_000, step);
      expect(took).toBeGreaterThanOrEqual(1_890);
      expect(took).toBeLessThanOrEqual(step === 1 ? 2_010 : 3_010);
    }
  });

  test("after a pause no more than a tenth of a second's worth goes at once", async () => {
    const clock = new HandClock();
    const limit = new RateLimit(1000, clock);
    await clock.pass(3_600_000);
    expect(limit.spend(100)).toBe(0);
    expect(limit.spend(1)).toBeCloseTo(1, 6);
    expect(limit.spend(999)).toBeCloseTo(1000, 6);
  });

  test("is for all together: what one has taken, the others wait for", () => {
    const limit = new RateLimit(1000, new HandClock());
    limit.spend(100);
    expect([1, 2, 3].map(() => Math.round(limit.spend(500)))).toEqual([500, 1000, 1500]);
  });

  test("nothing costs nothing", () => {
    const limit = new RateLimit(1000, new HandClock());
    expect(limit.spend(0)).toBe(0);
  });

  test("the largest piece lets many have their turn within a second, and is never so small that it costs more than it carries", () => {
    for (const rate of [1, 1000, 10_240, 1_000_000, 1_000_000_000]) {
      const { step } = new RateLimit(rate, new HandClock());
      expect(Number.isInteger(step)).toBe(true);
      expect(step).toBeGreaterThanOrEqual(1024);
      expect(step).toBeLessThanOrEqual(Math.max(1024, rate / 10));
    }
  });

  test("whatever comes when: over any time not more goes than the rate and one piece", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ bytes: fc.nat(5000), idle: fc.nat(700) }), { minLength: 1, maxLength: 40 }),
        async (steps) => {
          const clock = new HandClock();
          const limit = new RateLimit(2000, clock);
          const sent: { at: number; bytes: number }[] = [];
          for (const { bytes, idle } of steps) {
            sent.push({ at: clock.at(), bytes });
            await clock.pass(limit.spend(bytes));
            await clock.pass(idle);
          }
          for (const [i, first] of sent.entries()) {
            let total = 0;
            for (const { at, bytes } of sent.slice(i)) {
              // What goes now was decided before it; all that went earlier has been waited for.
              expect(total).toBeLessThanOrEqual((at - first.at) * 2 + 200 + 1e-6);
              total += bytes;
            }
          }
        },
      ),
      { seed: 20_261_122, numRuns: 100 },
    );
  });
});
