import { expect, test } from "bun:test";
import { Deadlines } from "../../lib/net/deadlines.ts";
import { HandClock } from "../helpers/channel.ts";

test("Deadlines: the time in which this program was stopped counts against nobody", async () => {
  const clock = new HandClock();
  const deadlines = new Deadlines(clock);
  const from = deadlines.now();
  let last = 0;
  const watched = {
    place: -1,
    check: (now: number) => {
      last = now - from;
    },
  };
  deadlines.watch(watched);
  await clock.pass(10_000);
  expect(last).toBe(10_000);
  clock.spend(80_000);
  await clock.pass(1_000);
  expect(last).toBeGreaterThanOrEqual(10_000);
  expect(last).toBeLessThan(12_000);
  deadlines.forget(watched);
  expect(clock.untilNext).toBe(Number.POSITIVE_INFINITY);
});
