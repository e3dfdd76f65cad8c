import { describe, expect, test } from "bun:test";
import { RunningTime } from "../lib/clock.ts";
import { HandClock } from "./helpers/channel.ts";

describe("RunningTime", () => {
  test("goes on like the clock while the program runs, also when it is busy for a moment", () => {
    const clock = new HandClock();
    const time = new RunningTime(clock);
    const from = time.now();
    for (let i = 0; i < 10; i++) {
      clock.spend(1_500);
      expect(time.now() - from).toBe((i + 1) * 1_500);
    }
    expect(time.sinceStopped()).toBe(Number.POSITIVE_INFINITY);
  });

  test("leaves out the time in which the program was stopped, however long and often", () => {
    const clock = new HandClock();
    const time = new RunningTime(clock);
    const from = time.now();
    for (const stopped of [5_000, 80_000, 7 * 86_400_000]) {
      clock.spend(stopped);
      expect(time.now() - from).toBe(0);
      expect(time.sinceStopped()).toBe(0);
    }
    clock.spend(1_000);
    expect([time.now() - from, time.sinceStopped()]).toEqual([1_000, 1_000]);
  });
});
