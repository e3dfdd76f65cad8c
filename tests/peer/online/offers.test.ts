import { expect, test } from "bun:test";
import { Offers } from "../../../lib/peer/online/offers.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { HandClock, settle } from "../../helpers/channel.ts";

const offered = (offer: string, root = "r", more = {}) => ({ name: offer, offer, root, ...more }) as FileRecord;

function both(here: FileRecord[] = []) {
  const said: string[] = [];
  const clock = new HandClock();
  const offers = new Offers({
    make: async ({ offer, to }) => void said.push(`make ${offer} ${to}`),
    look: async () => here,
    has: ({ root }) => root === "own",
    told: ({ name }) => said.push(`told ${name}`),
    clock,
  });
  return { said, offers, clock };
}

test("an offer of others is told once, also when it is made again; one that this peer has is not", async () => {
  const { said, offers } = both();
  for (const record of [offered("a"), offered("a"), offered("b", "own"), offered("a", "other"), { name: "x" } as FileRecord]) {
    offers.offered({ record });
  }
  expect(said).toEqual(["told a", "told a"]);
  offers.forget(offered("a"));
  offers.offered({ record: offered("a") });
  expect(said).toHaveLength(3);
});

test("a number without a record makes this peer look", async () => {
  const { said, offers } = both([offered("a"), offered("b")]);
  offers.offered({ record: offered("a") });
  offers.offered({});
  await settle();
  expect(said).toEqual(["told a", "told b"]);
});

test("own offers are made again after a reconnect, until they are ended", async () => {
  const { said, offers } = both();
  await offers.make({ offer: "a", root: "r", to: "all", say: "" });
  await offers.make({ offer: "b", root: "r", to: ["1"], say: "" });
  await offers.make({ offer: "b", root: "r", to: ["2"], say: "" });
  offers.end("a");
  offers.joined();
  expect(said).toEqual(["make a all", "make b 1", "make b 2", "make a ", "make b 2"]);
});

test("a tracker that pushes more than it may is not believed", async () => {
  const { said, offers, clock } = both();
  for (let i = 0; i < 1_000; i++) offers.offered({ record: offered(`o${i}`) });
  expect(said).toHaveLength(200);
  await clock.pass(1_000);
  for (let i = 0; i < 1_000; i++) offers.offered({ record: offered(`p${i}`) });
  expect(said).toHaveLength(210);
});
