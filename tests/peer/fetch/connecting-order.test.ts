// More holders than connections: which are connected, and which make room. Most of them are invented.

import { afterEach, describe, expect, test } from "bun:test";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { inConnectingOrder, tooSlow } from "../../../lib/peer/fetch/connecting-order.ts";
import type { Holder as FetchHolder } from "../../../lib/peer/fetch/holder.ts";
import { ringDistanceOf } from "../../../lib/peer/fetch/portions.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { REFUSED } from "../../helpers/channel.ts";
import { A, bytesOf, checkFields, Field, type Holder, MiB } from "../../helpers/fetching.ts";

afterEach(checkFields);

/** An honest holder at A, which is the last of the list, behind 96 others. */
class Crowd extends Field {
  readonly invented: FileRecord[];

  constructor(addressOf: (index: number) => string, prepare: (holder: Holder, crowd: Crowd) => void) {
    super(bytesOf(8 * MiB));
    this.invented = Array.from({ length: 96 }, (_, i) => this.record(addressOf(i), { port: 2000 + i }));
    for (const address of new Set(this.invented.map(({ address }) => address))) prepare(this.add(address), this);
    this.add(A).pace = 4_000_000;
  }

  /** It is whole within this time. */
  async expectWithin(ms: number): Promise<void> {
    const wanted = { ...this.wanted([]), holders: [...this.invented, this.record(A)] };
    this.expectWhole(await this.finish(this.fetch(wanted), ms));
  }
}

const threeAddresses = (i: number) => `10.0.0.${1 + (i % 3)}`;
const manyAddresses = (i: number) => `10.0.0.${1 + i}`;
const oneNetwork = (i: number) => `2001:db8:0:1::${(i + 1).toString(16)}`;

describe("inConnectingOrder", () => {
  const field = new Field(bytesOf(100));
  const line = (address: string, tried = false, lately = 0) => ({ record: field.record(address), tried, lately });

  test("the first of every host comes before the second of any; an IPv6 network of 64 bits is one host", () => {
    const names = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"];
    const all = names.map((address) => line(address));
    const order = inConnectingOrder(all, all).map(({ record }) => String(record.address));
    expect(order).toEqual(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1", "10.0.0.1", "2001:db8::2", "10.0.0.1"]);
  });

  test("hosts of which holders were tried come later; tried holders come last, the fastest first", () => {
    const slow = line("10.0.0.3", true, 10);
    const fast = line("10.0.0.3", true, 1_000);
    const second = line("10.0.0.3");
    const fresh = line("10.0.0.4");
    expect(inConnectingOrder([slow, fast, second, fresh], [slow, fast, second, fresh])).toEqual([fresh, second, fast, slow]);
  });

  test("of equally fast ones that which has waited the longest comes first", () => {
    const late = { ...line("10.0.0.3", true), restUntil: 9_000 };
    const early = { ...line("10.0.0.4", true), restUntil: 2_000 };
    expect(inConnectingOrder([late, early], [late, early])).toEqual([early, late]);
  });
});

describe("tooSlow", () => {
  type Part = Pick<FetchHolder, "lately" | "tried" | "contributed" | "state">;
  const holders = (parts: Partial<Part>[]) =>
    parts.map((part) => ({ lately: 0, tried: true, contributed: true, state: "open", ...part })) as FetchHolder[];
  const left = (measured: number[], waiting: Partial<Part>[]) =>
    tooSlow(holders(measured.map((lately) => ({ lately }))), holders(waiting)).map(({ lately }) => lately);
  const untried = { tried: false, state: "idle" } as const;

  test("the slowest of fast ones makes room for an untried one, and no other", () => {
    expect(left([9e6, 3e6, 8e6, 7e6], [untried, untried, untried])).toEqual([3e6]);
  });

  test("of slow ones half go at once, and never the fastest", () => {
    expect(left([1_400, 1_300, 1_200, 9e6, 1_100], [untried, untried, untried, untried])).toEqual([1_100, 1_200]);
    expect(left([1_400], [untried])).toEqual([]);
  });

  test("nobody goes when nobody waits, or for a holder that was no faster when it was tried", () => {
    expect(left([1_400, 1_300], [])).toEqual([]);
    expect(left([1_400, 1_300], [{ state: "idle", lately: 1_400 }])).toEqual([]);
    expect(left([1_400, 1_300], [{ state: "idle", lately: 90_000 }])).toEqual([1_300]);
  });

  test("a connected holder that waits for memory counts as untried until it has given a piece", () => {
    expect(left([9e6, 8e6], [{ contributed: false }])).toEqual([8e6]);
    expect(left([9e6, 8e6], [{ lately: 1e6 }])).toEqual([]);
  });
});

describe("Holders: more honest holders than connections", () => {
  test("one that makes room for another first answers what it was asked for: nothing is asked for twice", async () => {
    const field = new Field(bytesOf(32 * MiB));
    const addresses = Array.from({ length: 18 }, (_, i) => `10.0.0.${i + 1}`);
    for (const address of addresses) field.add(address).pace = 400_000;
    void field.fetch(addresses);
    await field.clock.pass(3_900);
    const connected = addresses.filter((address) => (field.holders.get(address)?.connections.length ?? 0) > 0);
    expect(connected.length).toBeGreaterThan(16);
    expect(field.timesAsked.filter((times) => times > 1)).toEqual([]);
    expect(field.failures).toEqual([]);
  });
});

describe("Holders: more holders that are still fetching than connections", () => {
  test.each(["ERROR not-here Not yet.", "BUSY position=1"])(
    "one that makes room and answers %s last has left then",
    async (last) => {
      const field = new Field(bytesOf(64 * MiB));
      const addresses = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}`);
      for (const address of addresses) field.add(address).pace = 200_000;
      const slowest = field.add("10.0.0.5");
      slowest.pace = 150_000;
      slowest.instead = (far, { verb }) => {
        const isLast = verb === "DOWNLOAD" && field.elapsed > 2_200;
        if (isLast) far.say(`${last}\n`);
        return isLast;
      };
      void field.fetch(addresses.map((address) => `~${address}`));
      await field.clock.pass(6_000);
      expect(slowest.connections.map(({ over }) => over)).toEqual([true]);
    },
  );

  test.each([20, 64])("of %d, the farthest on the ring has its turn again and gives what it has got", async (count) => {
    const field = new Field(bytesOf(6 * MiB));
    const self = "10.0.2.1:5000";
    field.more.self = () => self;
    const far = (address: string) => ringDistanceOf(self, `${address}:5000`);
    const parts = Array.from({ length: count }, (_, i) => `10.0.1.${i + 1}`).sort((a, b) => far(a) - far(b));
    for (const address of parts) {
      const part = field.add(address);
      part.pace = 500_000;
      part.has = new PieceSet(96);
      for (let piece = 0; piece < 40; piece++) part.has.add(piece);
    }
    const farthest = field.holders.get(parts.at(-1) ?? "");
    const fetching = field.fetch(parts.map((address) => `~${address}`));
    await field.reach(() => farthest?.connections[0]?.over === true, 60_000);
    if (farthest !== undefined) farthest.has = PieceSet.whole(96);
    field.expectWhole(await field.finish(fetching, 90_000));
  });
});

describe("Holders: a crowd of invented holders", () => {
  test("without end is not remembered without end, and does not keep a holder of another address out", async () => {
    const field = new Field(bytesOf(8 * MiB));
    field.net.fate = ({ address }) => (address === A ? undefined : REFUSED);
    field.add(A).pace = 4_000_000;
    let looks = 0;
    field.more.look = async () => {
      looks += 1;
      const invented = Array.from({ length: 2000 }, (_, i) => field.record("10.0.0.1", { port: looks * 2000 + i }));
      return looks < 3 ? invented : [...invented, field.record(A)];
    };
    field.expectWhole(await field.finish(field.fetch(["10.0.0.1"])), [A]);
    expect(field.net.dialled.length).toBeLessThan(2000);
  });

  const CROWDS: [string, (i: number) => string, number][] = [
    ["of three addresses", threeAddresses, 6_000],
    ["of one IPv6 network", oneNetwork, 6_000],
    ["with an address each", manyAddresses, 40_000],
  ];

  test.each(CROWDS)("%s that trickles does not hold a download up", async (_what, addressOf, ms) => {
    await new Crowd(addressOf, (holder) => {
      holder.pace = 1_400;
    }).expectWithin(ms);
  });

  test.each(CROWDS)("%s that says BUSY for ever does not either", async (_what, addressOf, ms) => {
    await new Crowd(addressOf, (holder) => {
      holder.instead = (far, { verb }) => {
        if (verb === "DOWNLOAD") far.say("BUSY position=1\n");
        return verb === "DOWNLOAD";
      };
    }).expectWithin(ms);
  });

  test.each(CROWDS)("%s that gives its hashes byte by byte does not either", async (_what, addressOf, ms) => {
    await new Crowd(addressOf, (holder, crowd) => {
      holder.instead = async (far, { verb }) => {
        if (verb !== "TREE") return false;
        far.say(`TREE: ${crowd.tree.length / 32}\n`);
        for (let at = 0; at < crowd.tree.length && !far.closed; at++) {
          far.say(crowd.tree.subarray(at, at + 1));
          await new Promise<void>((resolve) => crowd.clock.after(1_000, resolve));
        }
        return true;
      };
    }).expectWithin(ms);
  });

  test.each(CROWDS)("%s that is fast at first and trickles then does not either", async (_what, addressOf, ms) => {
    await new Crowd(addressOf, (holder) => {
      holder.instead = (_far, { verb, count }) => {
        if (verb === "DOWNLOAD") holder.pace = count < 2 ? undefined : 1_400;
        return false;
      };
    }).expectWithin(ms);
  });

  test.each(CROWDS)(
    "%s that says it has all pieces, and then that it does not have them yet, does not either",
    async (...one) => {
      const [, addressOf, ms] = one;
      const crowd = new Crowd(addressOf, (holder) => {
        holder.instead = (far, { verb }) => {
          if (verb === "DOWNLOAD") far.say("ERROR not-here Not yet.\n");
          return verb === "DOWNLOAD";
        };
      });
      for (const record of crowd.invented) record.part = true;
      await crowd.expectWithin(ms);
    },
  );

  test.each(CROWDS)("%s that says nothing at all does not either", async (_what, addressOf, ms) => {
    await new Crowd(addressOf, (holder) => {
      holder.instead = () => true;
    }).expectWithin(ms);
  });
});
