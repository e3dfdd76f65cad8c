import { expect, test } from "bun:test";
import { FtError } from "../../../lib/error.ts";
import { type Handed, HandOuts } from "../../../lib/peer/share/hand-out.ts";
import type { Offer, PeerLine } from "../../../lib/protocol/messages.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, HandClock, settle } from "../../helpers/channel.ts";

const ROOT = "ab".repeat(32);

function person(id: string, port: number, name: string | undefined, offers = true, address = "10.0.0.1"): PeerLine {
  return { id, address: addressOf(address), port, name, offers } as PeerLine;
}

/** A tracker whose answers a test changes, and somebody who hands a file out there. */
function room(to: "all" | PeerLine[], file: Handed = { name: "x", size: 1, root: ROOT }) {
  const clock = new HandClock();
  const tracker = { people: [] as PeerLine[], records: [] as FileRecord[], refusal: "", isAway: false, key: "A" };
  const offers: Offer[] = [];
  const said: string[] = [];
  const handOuts = new HandOuts({
    who: async () => {
      if (tracker.isAway) throw new FtError("tracker-gone", "Away.");
      return [person("me", 9, "Anna"), ...tracker.people];
    },
    holders: async (root) => tracker.records.filter((one) => one.root === root),
    offer: async (offer) => {
      if (tracker.refusal !== "") throw new FtError(tracker.refusal, `Refused: ${tracker.refusal}.`);
      offers.push(offer);
    },
    endOffer: (token) => said.push(`end ${token}`),
    self: () => "me",
    tracker: () => tracker.key,
    token: () => "token",
    clock,
  });
  if (to !== "all") tracker.people = to;
  const handOut = handOuts.prepare([file], to, "hi", (event) => {
    if (event.event === "has") said.push(`${event.receiver.person.name} ${event.has} of ${event.of}`);
    if (event.event === "refused") said.push(event.message);
    if (event.event === "declined") said.push(`${event.receiver.person.name} says no`);
  });
  const has = ({ port, address }: PeerLine, more = {}) =>
    ({ name: "x", size: 1, root: ROOT, address, port, ...more }) as FileRecord;
  const states = () =>
    handOut.receivers.map(({ person: { name }, state, isOnline }) => `${name} ${state}${isOnline ? "" : " left"}`);
  return { clock, tracker, offers, said, handOuts, handOut, has, states };
}

test("offers to those who were named by their ids, and tells once of each who has it; it is done when all have", async () => {
  const [ben, chloe] = [person("b", 1, "Ben"), person("c", 2, "Chloe")];
  const { clock, tracker, offers, said, handOut, has, states } = room([ben, chloe]);
  handOut.start();
  await settle();
  expect(offers).toEqual([{ offer: "token", root: ROOT, to: ["b", "c"], say: "hi" }]);
  tracker.records = [has(ben), has(chloe, { part: true, have: 61 })];
  await clock.pass(3_000);
  expect([said, states(), handOut.isDone]).toEqual([["Ben 1 of 2"], ["Ben has", "Chloe fetching"], false]);
  expect(handOut.receivers[1]?.percent).toBe(61);
  tracker.records = [has(ben), has(chloe)];
  await clock.pass(1_000);
  expect([said, handOut.isDone, offers.length]).toEqual([["Ben 1 of 2", "Chloe 2 of 2"], true, 1]);
  handOut.stop();
  expect(said.at(-1)).toBe("end token");
});

test("for all, those who join later count, and those who have left without it count for half a minute; who had it and left still has it", async () => {
  const { clock, tracker, offers, handOut, has, states } = room("all");
  handOut.start();
  await settle();
  expect([offers[0]?.to, handOut.isDone]).toEqual(["all", false]);
  const [ben, chloe, dan] = [person("b", 1, "Ben"), person("c", 2, "Chloe"), person("d", 3, "Dan", false)];
  tracker.people = [ben, chloe, dan];
  tracker.records = [has(ben)];
  await clock.pass(1_000);
  expect([states(), handOut.isDone]).toEqual([["Ben has", "Chloe not", "Dan cannot"], false]);
  tracker.people = [];
  tracker.records = [];
  await clock.pass(1_000);
  expect([states(), handOut.isDone]).toEqual([["Ben has left", "Chloe not left", "Dan cannot left"], false]);
  await clock.pass(30_000);
  expect(handOut.isDone).toBe(true);
});

test("who does not want it is told once and does not count, also under another id; who fetches it all the same counts", async () => {
  const [ben, chloe] = [person("b", 1, "Ben"), person("c", 2, "Chloe")];
  const { clock, tracker, said, handOuts, handOut, has, states } = room([ben, chloe]);
  handOut.start();
  await settle();
  handOuts.declined("other", "c");
  handOuts.declined("token", "b");
  handOuts.declined("token", "b");
  await settle();
  expect([said, states(), handOut.isDone]).toEqual([["Ben says no"], ["Ben declined", "Chloe not"], false]);
  tracker.records = [has(chloe)];
  tracker.people = [person("b2", 1, "Ben"), chloe];
  await clock.pass(2_000);
  expect([said.slice(1), states(), handOut.isDone]).toEqual([["Chloe 1 of 1"], ["Ben declined", "Chloe has"], true]);
  tracker.records = [has(chloe), has(ben)];
  await clock.pass(1_000);
  expect([said.slice(2), states()]).toEqual([["Ben 2 of 2"], ["Ben has", "Chloe has"]]);
});

test("a receiver who is back under another id is offered it again, by its name and place", async () => {
  const ben = person("b", 1, "Ben");
  const { clock, tracker, offers, handOut, has, said } = room([ben]);
  handOut.start();
  await settle();
  tracker.people = [];
  await clock.pass(1_000);
  tracker.people = [person("other", 1, "Eve"), person("b2", 7, "ben")];
  tracker.records = [has(tracker.people[1] ?? ben)];
  await clock.pass(1_000);
  expect(offers.map(({ to }) => to)).toEqual([["b"], [], ["b2"]]);
  expect(said).toEqual(["ben 1 of 1"]);
});

test("another person with the name of a receiver is offered nothing, at this tracker and at the one that takes over", async () => {
  const { clock, tracker, offers, handOut, states } = room([person("b", 1235, "Ben")]);
  handOut.start();
  await settle();
  tracker.people = [person("x", 1235, "Ben", true, "10.0.0.2")];
  await clock.pass(1_000);
  expect([offers.map(({ to }) => to), states()]).toEqual([[["b"], []], ["Ben not left"]]);
  tracker.key = "B";
  tracker.people = [person("y", 1235, "Ben", true, "10.0.0.3"), person("z", 1235, "Ben (2)")];
  await clock.pass(1_000);
  expect(offers.map(({ to }) => to)).toEqual([["b"], [], ["z"]]);
});

test("a receiver may be back by IPv6 at the same tracker, and not at another one, where nothing shows that it is the same person", async () => {
  for (const [key, to] of [
    ["A", [["b"], [], ["b2"]]],
    ["B", [["b"], []]],
  ] as const) {
    const { clock, tracker, offers, handOut } = room([person("b", 1235, "Ben")]);
    handOut.start();
    await settle();
    tracker.people = [];
    await clock.pass(1_000);
    tracker.key = key;
    tracker.people = [person("b2", 1235, "Ben", true, "fd00::7")];
    await clock.pass(1_000);
    expect(offers.map((offer) => offer.to)).toEqual(to as never);
    handOut.stop();
  }
});

test("of two with one name each is known by its place when the tracker has given the names the other way round", async () => {
  const [first, second] = [person("b", 1, "Ben"), person("c", 2, "Ben (2)")];
  const { clock, tracker, offers, handOut } = room([first]);
  tracker.people = [first, second];
  handOut.start();
  await settle();
  tracker.people = [person("x", 2, "Ben")];
  await clock.pass(1_000);
  tracker.people = [person("x", 2, "Ben"), person("y", 1, "Ben (2)")];
  await clock.pass(1_000);
  expect(offers.map(({ to }) => to)).toEqual([["b"], [], ["y"]]);
});

test("waits for the content id, makes the offer anew when that changes, and looks again while the tracker is away", async () => {
  const file: { name: string; size: number; root?: string } = { name: "x", size: 1 };
  const ben = person("b", 1, "Ben");
  const { clock, tracker, offers, handOuts, handOut, has, states } = room([ben], file);
  handOut.start();
  await settle();
  expect(offers).toEqual([]);
  file.root = ROOT;
  handOuts.hear({ event: "root" });
  await settle();
  expect(offers).toHaveLength(1);
  tracker.records = [has(ben)];
  await clock.pass(1_000);
  expect(states()).toEqual(["Ben has"]);
  tracker.isAway = true;
  await clock.pass(5_000);
  tracker.isAway = false;
  file.root = ROOT.replaceAll("a", "c");
  await clock.pass(1_000);
  expect(offers.map(({ root }) => root)).toEqual([ROOT, file.root]);
  expect([states(), handOut.isDone]).toEqual([["Ben not"], false]);
});

test("tells a refusal once, and nothing of one that only comes too early", async () => {
  const { clock, tracker, offers, said, handOut } = room([person("b", 1, "Ben")]);
  tracker.refusal = "no-such-file";
  handOut.start();
  await clock.pass(3_000);
  expect(said).toEqual([]);
  tracker.refusal = "muted";
  await clock.pass(3_000);
  expect(said).toEqual(["Refused: muted."]);
  tracker.refusal = "";
  await clock.pass(1_000);
  expect(offers).toHaveLength(1);
});
