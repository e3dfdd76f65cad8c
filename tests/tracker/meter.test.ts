import { describe, expect, test } from "bun:test";
import { systemClock } from "../../lib/clock.ts";
import { Meter } from "../../lib/tracker/meter.ts";
import { HandClock } from "../helpers/channel.ts";

describe("a meter", () => {
  test("counts in all, and a second over the last minute", async () => {
    const clock = new HandClock();
    const meter = new Meter(clock);
    expect([meter.total, meter.rate]).toEqual([0, 0]);
    for (let second = 0; second < 120; second++) {
      for (let i = 0; i < 5; i++) meter.count();
      await clock.pass(1000);
    }
    expect(meter.total).toBe(600);
    expect(meter.rate).toBeCloseTo(5, 0);
    await clock.pass(61_000);
    expect([meter.total, meter.rate]).toEqual([600, 0]);
  });

  test("of a program that has just begun is over the time since then", async () => {
    const clock = new HandClock();
    const meter = new Meter(clock);
    for (let i = 0; i < 30; i++) meter.count();
    await clock.pass(10_000);
    expect(meter.rate).toBeCloseTo(3, 1);
  });

  test("does not mind a clock that is set back", async () => {
    let now = Date.UTC(2026, 10, 22);
    const meter = new Meter({ ...systemClock, at: () => now });
    meter.count();
    now -= 3_600_000;
    meter.count();
    expect(meter.total).toBe(2);
    expect(meter.rate).toBeGreaterThanOrEqual(0);
    expect(Number.isFinite(meter.rate)).toBe(true);
  });
});
