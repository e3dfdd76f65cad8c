import { expect, test } from "bun:test";
import { Finishers } from "../../../lib/peer/people/finishers.ts";
import type { Upload } from "../../../lib/peer/serve/types.ts";
import type { PeerLine } from "../../../lib/protocol/messages.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, HandClock } from "../../helpers/channel.ts";

const ROOT = "ab".repeat(32);

/** A sharer, and a tracker whose answers a test changes. */
function room() {
  const clock = new HandClock();
  const line = (id: string, port: number, name: string) => ({ id, address: addressOf("10.0.0.1"), port, name }) as PeerLine;
  const people = [line("a", 1, "Anna"), line("b", 2, "Ben"), line("c", 3, "Chloe")];
  const of = (port: number, more = {}) =>
    ({ name: "x", size: 100, root: ROOT, address: addressOf("10.0.0.1"), port, ...more }) as FileRecord;
  const state = { people, records: [of(1)], asked: 0, isAway: false, isFetching: false };
  const told: string[] = [];
  const finishers = new Finishers({
    holders: async () => {
      state.asked += 1;
      if (state.isAway) throw new Error("away");
      return state.records;
    },
    who: async () => state.people,
    isFetching: () => state.isFetching,
    report: (event) => {
      if (event.event === "has-all") told.push(`${event.upload.by ?? event.upload.id} ${event.has} of ${event.online}`);
    },
    clock,
  });
  const ended = (id: string | undefined, sent: number, complete = true) => {
    const to = { address: addressOf("10.0.0.1"), port: 999 };
    const whole = { name: "x", size: 100 };
    const upload: Upload = { to, id, name: "x", root: ROOT, whole, wanted: sent, sent, since: 0, seconds: 1 };
    finishers.hear({ event: "upload-ended", upload, complete, reason: "" });
  };
  return { clock, state, of, told, finishers, ended };
}

test("a person is told of once, when the tracker has its whole record, however many turns it took and whoever gave the rest", async () => {
  const { clock, state, of, told, ended } = room();
  for (let turn = 0; turn < 5; turn++) ended("b", 5);
  await clock.pass(1_000);
  state.records = [of(1), of(2, { part: true })];
  await clock.pass(10_000);
  expect(told).toEqual([]);
  state.records = [of(1), of(2, { beyond: true })];
  await clock.pass(10_000);
  expect(told).toEqual(["Ben 2 of 3"]);
  ended("b", 5);
  const { asked } = state;
  await clock.pass(60_000);
  expect(told).toHaveLength(1);
  expect(state.asked).toBe(asked);
});

test("a peer that still fetches the content itself asks nobody, and tells of a person when it has all", async () => {
  const { clock, state, of, told, ended } = room();
  state.isFetching = true;
  ended("b", 5);
  state.records = [of(1), of(2)];
  await clock.pass(60_000);
  expect(state.asked).toBe(0);
  state.isFetching = false;
  await clock.pass(10_000);
  expect(told).toEqual(["Ben 2 of 3"]);
});

test("a person who has left had all if it got all bytes here; of others nothing is said", async () => {
  const { clock, state, told, ended } = room();
  ended("b", 60);
  ended("b", 40);
  ended("c", 99);
  state.people = state.people.slice(0, 1);
  await clock.pass(60_000);
  expect(told).toEqual(["b undefined of undefined"]);
});

test("while the tracker is away nothing is said, and afterwards it is asked again", async () => {
  const { clock, state, of, told, ended } = room();
  state.isAway = true;
  state.records = [of(1), of(2)];
  ended("b", 1);
  await clock.pass(20_000);
  expect(told).toEqual([]);
  state.isAway = false;
  await clock.pass(20_000);
  expect(told).toEqual(["Ben 2 of 3"]);
});

test("a browser, which has no id, is told of once, when it has got as many bytes as the whole has, by however many answers", () => {
  const { told, finishers } = room();
  const got = (sent: number, more: Partial<Upload> = {}, complete = true) => {
    const to = { address: addressOf("10.0.0.1"), port: 999 };
    const whole = { name: "album", size: 100 };
    const upload = { to, id: undefined, name: "1.jpg", root: ROOT, whole, wanted: sent, sent, since: 0, seconds: 1, ...more };
    finishers.hear({ event: "upload-ended", upload, complete, reason: "" });
  };
  for (let i = 0; i < 99; i++) got(1);
  got(50, { to: { address: addressOf("10.0.0.2"), port: 999 } });
  got(99, { root: "cd".repeat(32) });
  expect(told).toEqual([]);
  got(1, {}, false);
  expect(told).toEqual(["undefined undefined of undefined"]);
  for (let i = 0; i < 99; i++) got(100);
  expect(told).toHaveLength(1);
});

test("an FT/1 downloader has all when its one request is complete; after stop nobody is asked any more", async () => {
  const { clock, state, told, finishers, ended } = room();
  ended(undefined, 100);
  ended(undefined, 50, false);
  expect(told).toEqual(["undefined undefined of undefined"]);
  ended("b", 1);
  finishers.stop();
  await clock.pass(60_000);
  expect(state.asked).toBe(0);
});
