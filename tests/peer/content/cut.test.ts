// How a content is cut into pieces.

import { describe, expect, test } from "bun:test";
import { cutOfFile } from "../../../lib/peer/content/cut.ts";

const KIB = 1024;

describe("cutOfFile", () => {
  test("all pieces have one length, and the last one has the rest", () => {
    const cut = cutOfFile(150 * KIB);
    expect(cut).toMatchObject({ size: 150 * KIB, count: 3, longest: 64 * KIB });
    expect([0, 1, 2, 3].map((piece) => cut.startOf(piece))).toEqual([0, 64 * KIB, 128 * KIB, 150 * KIB]);
  });

  test("a byte is in the piece that begins before it", () => {
    const cut = cutOfFile(150 * KIB);
    expect([0, 64 * KIB - 1, 64 * KIB, 150 * KIB - 1].map((offset) => cut.pieceAt(offset))).toEqual([0, 0, 1, 2]);
  });

  test("an empty file has no piece", () => {
    expect(cutOfFile(0)).toMatchObject({ size: 0, count: 0 });
  });
});
