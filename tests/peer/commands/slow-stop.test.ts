import { expect, test } from "bun:test";
import { sayIfSlow } from "../../../lib/peer/commands/slow-stop.ts";
import { HandClock } from "../../helpers/channel.ts";

test.each<[what: string, stopped: boolean, waits: number, said: boolean]>([
  ["one that ends soon after it was stopped says nothing", true, 2_999, false],
  ["one that waits for a slow disk says so before the program ends", true, 3_001, true],
  ["one that nobody has stopped says nothing", false, 60_000, false],
])("sayIfSlow: %s", async (_what, stopped, waits, said) => {
  const clock = new HandClock();
  const stop = new AbortController();
  let times = 0;
  const ended = sayIfSlow(clock, stop.signal, () => {
    times += 1;
  });
  if (stopped) stop.abort();
  await clock.pass(waits);
  expect(ended()).toBe(said);
  await clock.pass(60_000);
  expect(times).toBe(said ? 1 : 0);
});
