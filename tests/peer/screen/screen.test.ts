import { expect, test } from "bun:test";
import type { FetchEvent } from "../../../lib/peer/fetch/types.ts";
import { progressReporter, type Screen } from "../../../lib/peer/screen/screen.ts";
import { addressOf } from "../../helpers/channel.ts";
import { record } from "../../helpers/session-room.ts";

test("a holder that failed and is asked again is named meanwhile; while others send, their progress is shown", () => {
  const said: string[] = [];
  const screen = { json: false, progress: (words: string) => said.push(words), note: (words: string) => said.push(words) };
  const report = progressReporter(screen as unknown as Screen);
  const holder = record("a.txt", { address: addressOf("10.0.0.7"), port: 5, by: "Ann" });
  const events: FetchEvent[] = [
    { event: "asking", holder },
    { event: "holder-failed", holder, reason: "it was silent for 5 s" },
    { event: "asking", holder },
    { event: "progress", received: 5, size: 10, holders: 1 },
    { event: "asking", holder },
  ];
  for (const event of events) report(event);
  expect(said.slice(0, 3)).toEqual([
    "asking Ann (10.0.0.7:5)",
    "Ann (10.0.0.7:5) failed: it was silent for 5 s.",
    "asking Ann (10.0.0.7:5) again",
  ]);
  expect(said).toHaveLength(4);
});
