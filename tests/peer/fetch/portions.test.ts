// How a file is divided among the peers that fetch it: everybody comes to the same result, from what they know of each other.

import { describe, expect, test } from "bun:test";
import type { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { portionOf, ringDistanceOf, startOf, turnsOf } from "../../../lib/peer/fetch/portions.ts";

const PEERS = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}:1235`);
const TOTAL = 1_000;

const [FIRST = "", ...OTHERS] = PEERS;

/** The portion of every peer, each of which knows all others, in an order of its own. */
function portionsOfAll(peers: string[]): PieceSet[] {
  return turnsOfAll(peers).map(portionOf);
}

function turnsOfAll(peers: string[]): Uint8Array[] {
  return peers.map((self, i) => turnsOf(self, [...peers.slice(i + 1), ...peers.slice(0, i)], TOTAL, 1));
}

describe("portionOf", () => {
  test("each piece is one peer's, and nobody has more than others", () => {
    const portions = portionsOfAll(PEERS);
    for (let piece = 0; piece < TOTAL; piece++) expect(portions.filter((portion) => portion.has(piece))).toHaveLength(1);
    for (const { count } of portions) expect(count).toBe(TOTAL / PEERS.length);
  });

  test("when a peer leaves, nearly all pieces of others stay theirs", () => {
    const before = portionsOfAll(PEERS.slice(1));
    const after = portionsOfAll(PEERS).slice(1);
    let moved = 0;
    for (const [i, portion] of before.entries())
      for (let piece = 0; piece < TOTAL; piece++) if (after[i]?.has(piece) && !portion.has(piece)) moved += 1;
    expect(moved).toBeLessThan(TOTAL / 20);
  });

  test("the pieces of a group stay together, the last group may be short; alone, everything is one's own", () => {
    const portion = portionOf(turnsOf(FIRST, OTHERS.slice(0, 1), 10, 4));
    for (const group of [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ])
      expect(new Set(group.map((piece) => portion.has(piece))).size).toBe(1);
    expect(portionOf(turnsOf("a", [], 10, 4)).complete).toBe(true);
    expect(portionOf(turnsOf("a", ["b"], 0, 4)).total).toBe(0);
  });

  test("a crowd of invented peers is not looked at without end: it cannot take everything", () => {
    const crowd = Array.from({ length: 4_000 }, (_, i) => `10.1.0.1:${i}`);
    expect(portionOf(turnsOf("a", crowd, TOTAL, 1)).count).toBeGreaterThan(0);
  });
});

describe("turnsOf", () => {
  test("of each piece three other peers have a turn of their own: the pieces of one that is gone are divided, too", () => {
    const all = turnsOfAll(PEERS);
    for (let piece = 0; piece < TOTAL; piece++) {
      const turns = all.map((of) => of[piece] ?? -1).sort((a, b) => a - b);
      expect(turns).toEqual(PEERS.map((_, i) => Math.min(i, 3)));
    }
    const ofFirst = portionOf(all[0] ?? new Uint8Array(0));
    const heirs = all.slice(1).map((of) => of.filter((turn, piece) => turn === 1 && ofFirst.has(piece)).length);
    expect(heirs.reduce((sum, count) => sum + count, 0)).toBe(ofFirst.count);
    for (const count of heirs) expect(count).toBeLessThan(ofFirst.count / 2);
  });
});

describe("ringDistanceOf", () => {
  test("makes a ring: each of thirty is among the next eight of eight others", () => {
    const peers = Array.from({ length: 30 }, (_, i) => `10.0.2.${i + 1}:1235`);
    const chosen = peers.flatMap((self) =>
      peers
        .filter((other) => other !== self)
        .sort((a, b) => ringDistanceOf(self, a) - ringDistanceOf(self, b))
        .slice(0, 8),
    );
    for (const peer of peers) expect(chosen.filter((one) => one === peer)).toHaveLength(8);
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
