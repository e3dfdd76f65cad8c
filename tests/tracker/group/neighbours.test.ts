import { expect, test } from "bun:test";
import { type HeardPacket, Neighbours } from "../../../lib/tracker/group/neighbours.ts";
import { addressOf, HandClock } from "../../helpers/channel.ts";

const OWN = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const KEY = "22qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

function packet({ key = KEY, group = "lab", port = 1234, ttl = 120, name = "b" } = {}): HeardPacket {
  return {
    answers: [{ name: `${name}._filetracker._tcp.local`, type: "SRV", ttl, data: { port, target: "b.local" } }],
    additionals: [
      {
        name: `${name}._filetracker._tcp.local`,
        type: "TXT",
        ttl,
        data: [Buffer.from(`key=${key}`), Buffer.from(`group=${group}`)],
      },
    ],
  };
}

function room() {
  const clock = new HandClock();
  const seen = { asked: 0, changed: 0 };
  const ask = () => {
    seen.asked += 1;
  };
  const changed = () => {
    seen.changed += 1;
  };
  const neighbours = new Neighbours({ group: "lab", key: OWN, clock, ask, changed });
  return { clock, seen, neighbours };
}

const A = addressOf("10.0.0.2");

test("Neighbours: a tracker of the group is known by its key, at the addresses that sent its packets", () => {
  const { neighbours, seen } = room();
  neighbours.hear(packet(), addressOf("127.0.0.1"));
  neighbours.hear(packet(), A);
  neighbours.hear(packet(), A);
  const at = [A, addressOf("127.0.0.1")].map((address) => ({ address, port: 1234 }));
  expect(neighbours.trackers).toEqual([{ key: KEY, at }]);
  expect(seen.changed).toBe(2);
});

test.each([
  ["another group", { group: "hall" }],
  ["this tracker itself", { key: OWN }],
  ["no key", { key: "" }],
  ["no port", { port: 0 }],
])("Neighbours does not take %s", (_what, about) => {
  const { neighbours } = room();
  neighbours.hear(packet(about), A);
  expect(neighbours.trackers).toEqual([]);
});

test("Neighbours: a link-local address is not told, and a port that changed replaces the old one", () => {
  const { neighbours } = room();
  neighbours.hear(packet(), addressOf("fe80::1"));
  expect(neighbours.trackers).toEqual([]);
  neighbours.hear(packet(), A);
  neighbours.hear(packet({ port: 1300 }), A);
  expect(neighbours.trackers[0]?.at).toEqual([{ address: A, port: 1300 }]);
});

test("Neighbours: a goodbye, or a long silence, ends a tracker; all are asked each minute", async () => {
  const { clock, neighbours, seen } = room();
  neighbours.hear(packet(), A);
  neighbours.hear(packet({ ttl: 0 }), A);
  expect(neighbours.trackers).toEqual([]);
  neighbours.hear(packet(), A);
  await clock.pass(180_000);
  expect(seen.asked).toBe(3);
  expect(neighbours.trackers).toHaveLength(1);
  await clock.pass(180_000);
  expect(neighbours.trackers).toEqual([]);
  neighbours.stop();
  await clock.pass(600_000);
  expect(seen.asked).toBe(6);
});

test("Neighbours: made-up trackers cannot fill the memory", () => {
  const { neighbours } = room();
  for (let i = 0; i < 1000; i++) neighbours.hear(packet({ key: String(i).padStart(43, "k") }), A);
  expect(neighbours.trackers.length).toBeLessThanOrEqual(16);
});
