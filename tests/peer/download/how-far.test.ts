import { expect, test } from "bun:test";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { HowFar } from "../../../lib/peer/download/how-far.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { HandClock } from "../../helpers/channel.ts";

test("HowFar tells the per cent at once, then every three seconds at most, and only when it has changed", async () => {
  const clock = new HandClock();
  const have = new PieceSet(100);
  const told: unknown[] = [];
  const howFar = new HowFar({ name: "a", part: true } as FileRecord, have, (record) => told.push(record.have), clock);
  expect(told).toEqual([0]);
  for (let second = 0; second < 9; second++) {
    have.add(second);
    howFar.moved();
    howFar.moved();
    await clock.pass(1_000);
  }
  expect(told).toEqual([0, 4, 7]);
  await clock.pass(60_000);
  howFar.moved();
  howFar.moved();
  expect(told).toEqual([0, 4, 7, 9]);
  await clock.pass(60_000);
  howFar.moved();
  expect(told).toHaveLength(4);
});
