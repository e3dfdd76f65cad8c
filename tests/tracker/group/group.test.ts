import { expect, test } from "bun:test";
import type { GroupTracker } from "../../../lib/protocol/group.ts";
import type { Connection, TrackerReply } from "../../../lib/tracker/connection.ts";
import { Group } from "../../../lib/tracker/group/group.ts";
import { addressOf } from "../../helpers/channel.ts";
import { MemoryTracker } from "../../helpers/tracker.ts";

const KEY = "22qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const at = [{ address: addressOf("10.0.0.2"), port: 1234 }];

function guest(more: Partial<Connection> = {}) {
  const replies: TrackerReply[] = [];
  const connection = { isPresent: true, extras: true, reply: (one: TrackerReply) => replies.push(one), ...more } as Connection;
  return { replies, connection };
}

test("Group tells a peer that joins, and every peer when there are other trackers; nothing twice", () => {
  const group = new Group("lab");
  const source: { trackers: GroupTracker[] } = { trackers: [] };
  group.add(source);
  const [one, old, away] = [guest(), guest({ extras: false }), guest({ isPresent: false })];
  const connections = new Set([one, old, away].map(({ connection }) => connection));
  group.tell(one.connection);
  expect(one.replies).toEqual([]);
  source.trackers = [{ key: KEY, at }];
  group.changed({ connections });
  group.changed({ connections });
  const told: TrackerReply[] = [{ verb: "GROUP", trackers: [{ key: KEY, at }] }];
  expect(one.replies).toEqual(told);
  expect([...old.replies, ...away.replies]).toEqual([]);
  const late = guest();
  group.tell(late.connection);
  expect(late.replies).toEqual(told);
});

test("Group: of a tracker that announces itself and shares its index, it is told that its passes are good", () => {
  for (const isFirst of [true, false]) {
    const group = new Group("lab");
    const sources = [{ trackers: [{ key: KEY, at, ahead: 3 }] }, { trackers: [{ key: KEY, at }] }];
    for (const source of isFirst ? sources : sources.reverse()) group.add(source);
    expect(group.trackers).toEqual([{ key: KEY, at, ahead: 3 }]);
  }
});

test("HI says the group to a peer that knows extras, and to no other", async () => {
  await using house = new MemoryTracker(["--group", "Hall 1"]);
  expect((await house.join(undefined, { more: "extras=1" })).hi.get("group")).toBe("Hall%201");
  expect((await house.join(undefined, { port: 40_124 })).hi.has("group")).toBe(false);
  await using alone = new MemoryTracker();
  expect((await alone.join(undefined, { more: "extras=1" })).hi.has("group")).toBe(false);
});

test("home asks the peers of other trackers to go back, and no others", async () => {
  await using house = new MemoryTracker(["--group", "lab"]);
  expect(house.tracker.obey({ order: "home" }).lines).toEqual(["No peer of another tracker is here."]);
  const guestPeer = await house.join(undefined, { more: `extras=1 home=${KEY}` });
  const own = await house.join(undefined, { port: 40_124, more: "extras=1" });
  const key = own.hi.get("key") ?? "";
  const returned = await house.join(undefined, { port: 40_125, more: `extras=1 home=${key}` });
  expect(house.tracker.obey({ order: "home" }).lines).toEqual(["Asked 1 peer to go back to the trackers that they came from."]);
  for (const peer of [guestPeer, own, returned]) expect(await peer.ask("PING")).toBe("PONG");
  expect([guestPeer, own, returned].map(({ raw }) => raw.pushes.includes("HOME"))).toEqual([true, false, false]);
});
