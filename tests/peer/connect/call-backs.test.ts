// Which addresses a peer may be told to connect back to.

import { describe, expect, test } from "bun:test";
import type { Interface } from "../../../lib/net/interfaces.ts";
import { mayCallBack } from "../../../lib/peer/connect/call-backs.ts";
import { isOnNetwork } from "../../../lib/peer/connect/on-network.ts";
import type { PeerLine } from "../../../lib/protocol/messages.ts";
import { addressOf } from "../../helpers/channel.ts";

function network(address: string, prefix: number): Interface {
  const family = address.includes(":") ? 6 : 4;
  const one = { address: addressOf(address), family, linkLocal: false, prefix, scope: 0 } as const;
  return { name: "eth0", addresses: [one], loopback: false, virtual: false, tunnel: false };
}

const NETWORKS = [network("192.168.1.17", 24), network("fd00::17", 64), network("100.64.0.3", 32), network("10.9.9.9", 0)];

describe("isOnNetwork", () => {
  test.each([
    ["192.168.1.200", true],
    ["192.168.2.1", false],
    ["fd00::ffff:1:2", true],
    ["fd00:0:0:1::2", false],
    ["fe80::1", false],
    ["100.64.0.4", false],
    // A network of no common bits would be the whole internet.
    ["8.8.8.8", false],
    ["10.9.9.9", true],
  ])("%s: %s", (address, on) => {
    expect(isOnNetwork(addressOf(address), NETWORKS)).toBe(on);
  });
});

describe("mayCallBack", () => {
  /** What is decided about an address, and what the tracker was asked for that. */
  async function decide(address: string, port: number, { here = false, known = false, peers = [] as [string, number][] } = {}) {
    const asked: string[] = [];
    const may = await mayCallBack(
      { address: addressOf(address), port },
      {
        isTrackerHere: here,
        isOfThisMachine: (own) => NETWORKS.some(({ addresses }) => addresses[0]?.address === own),
        isOnNetwork: (one) => isOnNetwork(one, NETWORKS),
        known: async (one) => {
          asked.push(`known ${one}`);
          return known;
        },
        who: async () => {
          asked.push("who");
          return peers.map(([one, at]) => ({ address: addressOf(one), port: at }) as PeerLine);
        },
      },
    );
    return { may, asked };
  }

  test("on a network of this machine: without a question", async () => {
    expect(await decide("192.168.1.30", 1235)).toEqual({ may: true, asked: [] });
  });

  test("elsewhere only when the tracker lists a peer there", async () => {
    expect(await decide("8.8.8.8", 1235)).toEqual({ may: false, asked: ["known 8.8.8.8"] });
    expect((await decide("8.8.8.8", 1235, { known: true })).may).toBe(true);
  });

  test("a port of the system only when a peer serves at that very port", async () => {
    expect(await decide("192.168.1.30", 22)).toEqual({ may: false, asked: ["who"] });
    expect((await decide("192.168.1.30", 1023, { known: true, peers: [["192.168.1.30", 1235]] })).may).toBe(false);
    expect((await decide("192.168.1.30", 80, { peers: [["192.168.1.30", 80]] })).may).toBe(true);
  });

  test("this machine's own addresses only when the tracker runs here", async () => {
    expect(await decide("192.168.1.17", 6379)).toEqual({ may: false, asked: [] });
    expect((await decide("fd00::17", 6379, { known: true })).may).toBe(false);
    expect((await decide("192.168.1.17", 6379, { here: true })).may).toBe(true);
  });
});
