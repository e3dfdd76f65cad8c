// How a file is divided among the peers that fetch it: everybody comes to the same result, from what they know of each other.

import { describe, expect, test } from "bun:test";
import { startOf, turnsOf } from "../../../lib/peer/fetch/shares.ts";

const PEERS = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}:1235`);
const TOTAL = 1_000;

/** The turns of every peer, each of which knows all others, in an order of its own. */
function turnsOfAll(peers: string[], group = 1): Uint8Array[] {
  return peers.map((self, i) => turnsOf(self, [...peers.slice(i + 1), ...peers.slice(0, i)], TOTAL, group));
}

describe("turnsOf", () => {
  test("each piece is the first turn of one peer, the second of another one, and so on", () => {
    const all = turnsOfAll(PEERS);
    for (let piece = 0; piece < TOTAL; piece++) {
      expect(all.map((turns) => turns[piece] ?? -1).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
  });

  test("nobody has much more than others", () => {
    for (const turns of turnsOfAll(PEERS)) {
      const own = turns.filter((turn) => turn === 0).length;
      expect(own).toBeGreaterThan(50);
      expect(own).toBeLessThan(150);
    }
  });

  test("when a peer leaves, only its pieces go to others", () => {
    const before = turnsOf(PEERS[0] ?? "", PEERS.slice(1), TOTAL, 1);
    const after = turnsOf(PEERS[0] ?? "", PEERS.slice(2), TOTAL, 1);
    expect(before.some((turn, piece) => turn === 0 && after[piece] !== 0)).toBe(false);
    expect(after.filter((turn) => turn === 0).length).toBeGreaterThan(before.filter((turn) => turn === 0).length);
  });

  test("the pieces of a group stay together, the last group may be short; alone, everything is one's own", () => {
    const turns = turnsOf(PEERS[0] ?? "", PEERS.slice(1), 10, 4);
    for (const first of [0, 4, 8]) expect(new Set(turns.slice(first, first + 4)).size).toBe(1);
    expect(turnsOf("a", [], 10, 4).every((turn) => turn === 0)).toBe(true);
    expect(turnsOf("a", ["b"], 0, 4)).toHaveLength(0);
  });

  test("a crowd of invented peers is not looked at without end", () => {
    const crowd = Array.from({ length: 4_000 }, (_, i) => `10.1.0.1:${i}`);
    expect(Math.max(...turnsOf("a", crowd, TOTAL, 1))).toBeLessThanOrEqual(64);
  });
});

describe("startOf", () => {
  test("is the beginning of a group, for different peers at different places", () => {
    const starts = PEERS.map((peer) => startOf(peer, TOTAL, 4));
    for (const start of starts) {
      expect(start % 4).toBe(0);
      expect(start).toBeLessThan(TOTAL);
    }
    expect(new Set(starts).size).toBeGreaterThan(5);
    expect(startOf("a", 0, 4)).toBe(0);
    expect(startOf("a", 3, 4)).toBe(0);
  });
});
