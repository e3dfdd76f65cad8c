import { describe, expect, test } from "bun:test";
import { RunningTime, systemClock } from "../lib/clock.ts";
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

describe("systemClock.after", () => {
  test("when the program was stopped beyond the end of the time, what came meanwhile is read first", async () => {
    const echo = Bun.spawn([process.execPath, "-e", "process.stdin.pipe(process.stdout)"], { stdin: "pipe", stdout: "pipe" });
    const reader = echo.stdout.getReader();
    echo.stdin.write("first");
    echo.stdin.flush();
    await reader.read();
    const order: string[] = [];
    const over = new Promise<void>((resolve) => {
      systemClock.after(300, () => {
        order.push("deadline");
        resolve();
      });
    });
    const answered = reader.read().then(() => order.push("answer"));
    echo.stdin.write("second");
    echo.stdin.flush();
    // The program does not run meanwhile, as after SIGSTOP.
    Bun.sleepSync(2_500);
    await Promise.all([over, answered]);
    expect(order).toEqual(["answer", "deadline"]);
    echo.kill();
  });

  test("a late timer can still be cancelled", async () => {
    let rang = false;
    const cancel = systemClock.after(1_000, () => {
      rang = true;
    });
    Bun.sleepSync(3_200);
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
    cancel();
    await new Promise<void>((resolve) => setTimeout(resolve, 1_200));
    expect(rang).toBe(false);
  });
});
