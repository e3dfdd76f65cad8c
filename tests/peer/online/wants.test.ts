import { expect, test } from "bun:test";
import { Wants } from "../../../lib/peer/online/wants.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { HandClock, settle } from "../../helpers/channel.ts";

const file = (name: string, more: object = {}) => ({ name, size: 1, v2: true, root: name, ...more }) as FileRecord;

/** Somebody who waits, and a tracker that a test changes. */
async function waiting(state: { tells?: boolean; here?: FileRecord[] } = {}) {
  const tracker = { tells: true, here: [] as FileRecord[], isAway: false, watches: 0, unwatched: [] as string[], ...state };
  const clock = new HandClock();
  const told: string[] = [];
  const wants = new Wants({
    watch: async () => {
      if (tracker.isAway) throw new Error("away");
      tracker.watches += 1;
      return tracker.tells;
    },
    unwatch: async (token) => void tracker.unwatched.push(token),
    look: async () => tracker.here,
    isOwn: ({ name }) => name === "own",
    clock,
  });
  const stop = wants.add({ words: ["a"], group: true }, ({ name }) => told.push(name));
  await settle();
  return { tracker, clock, told, wants, stop };
}

test("what is there is told, then what appears; each content once, never own files, parts, or contents without an id", async () => {
  const { told, wants } = await waiting({ here: [file("a"), file("own"), file("p", { part: true })] });
  expect(told).toEqual(["a"]);
  for (const record of [file("a"), file("b"), file("b again", { root: "b" }), file("own"), file("c", { root: undefined })]) {
    wants.appeared({ watch: "w1", record });
  }
  wants.appeared({ watch: "w1", record: file("old", { v2: false, root: undefined }) });
  wants.appeared({ watch: "other", record: file("d") });
  expect(told).toEqual(["a", "b", "old"]);
});

test("after a reconnect the tracker is asked again, and nothing is told twice", async () => {
  const { tracker, told, wants } = await waiting({ here: [file("a")] });
  tracker.here = [file("a"), file("b")];
  wants.joined();
  await settle();
  expect(told).toEqual(["a", "b"]);
  expect(tracker.watches).toBe(2);
});

test("a number without a record makes this peer look", async () => {
  const { tracker, told, wants } = await waiting();
  tracker.here = [file("a"), file("b")];
  wants.appeared({ watch: "w1" });
  await settle();
  expect(told).toEqual(["a", "b"]);
});

test("a tracker that cannot tell is asked again and again; one that can is not", async () => {
  for (const tells of [false, true]) {
    const { tracker, clock, told } = await waiting({ tells });
    tracker.here = [file("a")];
    await clock.pass(30_000);
    expect(told).toEqual(tells ? [] : ["a"]);
  }
});

test("while the tracker is away nothing is lost; after the end nobody is asked and nothing is told", async () => {
  const { tracker, clock, told, wants, stop } = await waiting();
  tracker.isAway = true;
  wants.joined();
  await clock.pass(10_000);
  Object.assign(tracker, { isAway: false, here: [file("a")] });
  await clock.pass(10_000);
  expect(told).toEqual(["a"]);
  stop();
  const { watches } = tracker;
  wants.joined();
  wants.appeared({ watch: "w1", record: file("b") });
  await clock.pass(60_000);
  expect([told, tracker.watches, tracker.unwatched]).toEqual([["a"], watches, ["w1"]]);
});
