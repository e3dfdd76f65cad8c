// The bit field of a file's pieces against a set of numbers.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../../lib/error.ts";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";

function setOf(total: number, ...pieces: number[]): PieceSet {
  const set = new PieceSet(total);
  for (const piece of pieces) set.add(piece);
  return set;
}

/** A set as a bit field says it. */
function parse(bytes: Uint8Array, total: number): PieceSet {
  const set = new PieceSet(total);
  set.read(bytes);
  return set;
}

function membersOf(set: PieceSet): number[] {
  return Array.from({ length: set.total }, (_, i) => i).filter((i) => set.has(i));
}

describe("PieceSet: as HAVE carries it", () => {
  const golden: [what: string, set: PieceSet, hex: string][] = [
    ["the first piece is the highest bit of the first byte", setOf(16, 0), "8000"],
    ["the eighth is the lowest", setOf(16, 7), "0100"],
    ["the ninth is in the next byte", setOf(16, 8), "0080"],
    ["several", setOf(12, 0, 2, 3, 9), "b040"],
    ["none", setOf(9), "0000"],
    ["all but one, with spare bits empty", setOf(10, 0, 1, 2, 3, 4, 5, 6, 7, 8), "ff80"],
    ["all, spare bits too", setOf(3, 0, 1, 2), "ff"],
    ["a whole file of nine", PieceSet.whole(9), "ffff"],
    ["a whole file of one", PieceSet.whole(1), "ff"],
    ["a whole file of eight", PieceSet.whole(8), "ff"],
    ["an empty file, which has no pieces", PieceSet.whole(0), ""],
  ];

  test.each(golden)("%s", (_what, set, hex) => {
    expect(set.toBytes().toHex()).toBe(hex);
    const read = parse(Uint8Array.fromHex(hex), set.total);
    expect(membersOf(read)).toEqual(membersOf(set));
    expect([read.count, read.complete]).toEqual([set.count, set.complete]);
  });

  test("another length than the file's is refused", () => {
    for (const [length, total] of [
      [0, 1],
      [2, 8],
      [1, 9],
      [1, 0],
      [100, 9],
    ] as const) {
      const read = () => parse(new Uint8Array(length).fill(255), total);
      expect(read).toThrow(ProtocolError);
      expect(read).toThrow(/length/);
    }
  });

  test("spare bits mean nothing", () => {
    const set = parse(Uint8Array.of(0x1f), 3);
    expect([membersOf(set), set.count, set.complete]).toEqual([[], 0, false]);
    for (let i = 3; i < 8; i++) expect(set.has(i)).toBe(false);
    expect(set.toBytes().toHex()).toBe("00");
  });

  test("what is given, or was given, away is nobody's handle on the set", () => {
    const bytes = Uint8Array.of(0x80);
    const set = parse(bytes, 8);
    bytes[0] = 0xff;
    set.toBytes()[0] = 0xff;
    expect(membersOf(set)).toEqual([0]);
  });
});

describe("PieceSet: a set", () => {
  test("counts each piece once, and none that the file does not have", () => {
    const set = setOf(10, 3, 3, 10, 11, 15, 16, 1000);
    expect([set.count, membersOf(set)]).toEqual([1, [3]]);
    expect([10, 11, 15, 16, 1000].map((i) => set.has(i))).toEqual(Array(5).fill(false));
    set.delete(4);
    set.delete(1000);
    expect(set.count).toBe(1);
    set.delete(3);
    set.delete(3);
    expect([set.count, set.has(3)]).toEqual([0, false]);
  });

  test("of a file without pieces is complete", () => {
    expect([new PieceSet(0).complete, new PieceSet(0).count, new PieceSet(1).complete]).toEqual([true, 0, false]);
  });

  test("behaves as a set of numbers does, and comes back from its bytes", () => {
    const act = fc.record({ piece: fc.nat(40), add: fc.boolean() });
    fc.assert(
      fc.property(fc.nat(33), fc.array(act, { maxLength: 80 }), (total, acts) => {
        const set = new PieceSet(total);
        const model = new Set<number>();
        for (const { piece, add } of acts) {
          if (add) set.add(piece);
          else set.delete(piece);
          if (!add) model.delete(piece);
          else if (piece < total) model.add(piece);
        }
        const members = [...model].sort((a, b) => a - b);
        expect([membersOf(set), set.count, set.complete]).toEqual([members, model.size, model.size === total]);
        expect(membersOf(parse(set.toBytes(), total))).toEqual(members);
      }),
      { seed: 20_261_122, numRuns: 300 },
    );
  });
});
