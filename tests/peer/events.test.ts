// What a flood of events shows: ten lines a second, and the number of the others.

import { describe, expect, test } from "bun:test";
import { EventDamper, type PeerEvent } from "../../lib/peer/events.ts";
import type { Upload } from "../../lib/peer/serve/types.ts";
import { addressOf, HandClock } from "../helpers/channel.ts";
import { anUpload } from "../helpers/serving.ts";

function stage() {
  const clock = new HandClock();
  const told: PeerEvent[] = [];
  const damper = new EventDamper((event) => told.push(event), clock);
  return { clock, told, damper };
}

function uploadTo(address: string): Upload {
  return anUpload({ to: { address: addressOf(address), port: 5000 } });
}

const FLOODS: [what: string, (i: number) => PeerEvent][] = [
  ["refusals", () => ({ event: "download-refused", address: addressOf("10.0.0.1"), reason: "The pass has expired." })],
  [
    "refusals of one IPv6 network",
    (i) => ({ event: "download-refused", address: addressOf(`2001:db8::${i + 1}`), reason: "no" }),
  ],
  [
    "refusals of many hosts",
    (i) => ({ event: "download-refused", address: addressOf(`10.0.0.${(i % 250) + 1}`), reason: "no" }),
  ],
  ["uploads that begin", () => ({ event: "upload-started", upload: uploadTo("10.0.0.1") })],
  ["uploads that end", () => ({ event: "upload-ended", upload: uploadTo("10.0.0.1"), complete: true, reason: "" })],
  [
    "downloaders that have all, and have no id",
    () => ({ event: "has-all", upload: { ...uploadTo("10.0.0.1"), id: undefined } }),
  ],
  ["notices", (i) => ({ event: "notice", words: `the tracker moves at ${i}` })],
  ["a tracker that goes", () => ({ event: "away", reason: "it closed the connection" })],
  ["a tracker that comes", () => ({ event: "joined", profile: 2, name: "Home", peers: 1, files: 1, left: [] })],
  ["reach", (i) => ({ event: "reach", reachable: i % 2 === 0, reason: "", port: 1235 })],
];

describe("EventDamper", () => {
  test.each(FLOODS)("%s: at most ten lines a second, and all are counted", async (_what, make) => {
    const { clock, told, damper } = stage();
    for (let second = 0; second < 30; second++) {
      for (let i = 0; i < 300; i++) damper.report(make(i));
      await clock.pass(1000);
    }
    damper.flush();
    expect(told.length).toBeLessThanOrEqual(300);
    const count = (event: PeerEvent) => ("more" in event ? (event.more ?? 1) : 1);
    expect(told.reduce((sum, event) => sum + count(event), 0)).toBe(9000);
  });

  test("one address that makes a flood does not hide the transfers of another", () => {
    const { told, damper } = stage();
    for (let i = 0; i < 5000; i++) {
      damper.report({ event: "download-refused", address: addressOf("10.0.0.1"), reason: "no" });
      damper.report({ event: "upload-started", upload: uploadTo("10.0.0.1") });
    }
    damper.report({ event: "upload-ended", upload: uploadTo("10.0.0.2"), complete: true, reason: "" });
    expect(told.at(-1)).toMatchObject({ event: "upload-ended", upload: { to: { address: "10.0.0.2" } } });
  });

  test("all events of this peer's own files are told", () => {
    const { told, damper } = stage();
    for (let i = 0; i < 500; i++) damper.report({ event: "root", name: `${i}`, size: 1, root: "" });
    expect(told).toHaveLength(500);
  });

  test("a long notice is cut", () => {
    const { told, damper } = stage();
    damper.report({ event: "notice", words: "x".repeat(4000) });
    expect(told).toEqual([{ event: "notice", words: `${"x".repeat(400)}…` }]);
  });
});
