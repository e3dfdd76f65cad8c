// How the bytes of a folder are cut into packs and pieces, and how these are proven.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FolderCut } from "../../../lib/peer/content/folder-cut.ts";
import { HashPool, sha256 } from "../../../lib/peer/content/hash.ts";
import { BLOCK, blockLayer, rootOf } from "../../../lib/peer/content/merkle.ts";
import { EMPTY_ROOT, type FolderEntry } from "../../../lib/protocol/folder.ts";
import { parseFolderList } from "../../../lib/protocol/folder-list.ts";
import { folderList } from "../../helpers/folder-list.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const ROOT = "a".repeat(64);
const cutOf = (entries: FolderEntry[]) => new FolderCut(parseFolderList(folderList(entries)));
const pathOf = (cut: FolderCut, entries: FolderEntry[], file: number) =>
  [...parseFolderList(folderList(entries))][cut.entryOf(file)]?.path;
/** Files `f00`, `f01` and so on, of these sizes. */
const sizes = (...all: number[]): FolderEntry[] =>
  all.map((size, i) => ({ path: `f${String(i).padStart(2, "0")}`, size, root: size === 0 ? EMPTY_ROOT : ROOT }));
const starts = (cut: FolderCut) => Array.from({ length: cut.count + 1 }, (_, piece) => cut.startOf(piece));

function file(path: string, size: number): FolderEntry & { bytes: Uint8Array } {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + path.length * 7 + (i >> 8)) & 255;
  return { path, size, bytes, root: rootOf(blockLayer(bytes, sha256), size, sha256, BLOCK).toHex() };
}

describe("FolderCut: packs and pieces", () => {
  test("small files come first and share packs, larger ones are cut into pieces of 1 MiB", () => {
    const entries = sizes(2.5 * MIB, 100 * KIB, 0, 1 * MIB, 150 * KIB);
    const cut = cutOf(entries);
    expect(Array.from({ length: cut.files }, (_, file) => pathOf(cut, entries, file))).toEqual(["f01", "f04", "f00", "f03"]);
    expect(starts(cut)).toEqual([0, 250 * KIB, 1274 * KIB, 2298 * KIB, 2810 * KIB, 3834 * KIB]);
    expect(cut).toMatchObject({ count: 5, size: 3834 * KIB, longest: MIB });
  });

  test("a pack ends before the file that would make it too long; a longer file is a pack of its own", () => {
    expect(starts(cutOf(sizes(...Array(6).fill(100 * KIB))))).toEqual([0, 200 * KIB, 400 * KIB, 600 * KIB]);
    expect(starts(cutOf(sizes(MIB - 1, 256 * KIB, 1)))).toEqual([0, MIB - 1, 1280 * KIB - 1, 1280 * KIB]);
  });

  test.each([
    [64, 256],
    [65, 512],
    [128, 512],
    [200, 1024],
    [512, 2048],
    [513, 4096],
    [1_000_000, 4096],
  ])("packs of a folder of %d MiB have at most %d KiB", (size, longest) => {
    const small = Array.from({ length: 256 }, (_, i) => ({ path: `f${i}`, size: 64 * KIB, root: ROOT }));
    const cut = cutOf([...small, { path: "large", size: size * MIB - 256 * 64 * KIB, root: ROOT }]);
    expect(cut.size).toBe(size * MIB);
    expect(cut.startOf(1)).toBe(longest * KIB);
  });

  test("a pack has at most 1024 files, however short they are", () => {
    const many = Array.from({ length: 2_500 }, (_, i) => ({
      path: `f${String(i).padStart(4, "0")}`,
      size: 1,
      root: "0".repeat(64),
    }));
    const cut = cutOf(many);
    expect([0, 1, 2, 3].map((piece) => cut.startOf(piece))).toEqual([0, 1024, 2048, 2500]);
    expect(cut.count).toBe(3);
  });

  test("a very large file has the pieces of its own tree", () => {
    const cut = cutOf(sizes(16 * 1024 * MIB));
    expect(cut).toMatchObject({ count: 4096, longest: 4 * MIB });
  });

  test("a folder without bytes has no piece", () => {
    const cut = cutOf([{ path: "a", size: 0, root: EMPTY_ROOT }]);
    expect(cut).toMatchObject({ count: 0, size: 0, longest: 0 });
    expect(cut.hashes(sha256)).toEqual(new Uint8Array(0));
    expect(cut.isRight(new Uint8Array(0), sha256)).toBe(true);
    expect([...cut.slices(0, 100)]).toEqual([]);
  });

  test("a folder of more than four million pieces is refused", () => {
    expect(() => cutOf(sizes(17 * 1024 * 1024 * 1024 * KIB, 2 ** 50))).toThrow("too large");
  });

  test("the slices of any range are its bytes, in order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 3 * MIB }), { maxLength: 12 }),
        fc.nat({ max: 40 * MIB }),
        fc.nat({ max: 40 * MIB }),
        (lengths, offset, length) => {
          const cut = cutOf(sizes(...lengths));
          const begin = Math.min(offset, cut.size);
          let at = begin;
          for (const slice of cut.slices(begin, length)) {
            expect(slice.offset).toBe(at);
            expect(slice.length).toBeGreaterThan(0);
            expect(slice.from + slice.length).toBeLessThanOrEqual(cut.sizeOf(slice.file));
            at += slice.length;
          }
          expect(at).toBe(Math.min(cut.size, begin + length));
          for (let piece = 0; piece < cut.count; piece++) expect(cut.pieceAt(cut.startOf(piece))).toBe(piece);
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("FolderCut: proofs", () => {
  const small = [file("a", 10), file("b/c", 70 * KIB), file("d", 16 * KIB)];
  const large = file("e", 2 * MIB + 5);

  async function hashesOf(cut: FolderCut, files: (FolderEntry & { bytes: Uint8Array })[]): Promise<Uint8Array> {
    const pool = new HashPool(new URL("../../../lib/peer/content/hasher.ts", import.meta.url), 1);
    const memory = new SharedArrayBuffer(cut.size);
    for (const { file, from, offset, length } of cut.slices(0, cut.size)) {
      const bytes = files.find(({ path }) => path === pathOf(cut, files, file))?.bytes ?? new Uint8Array(0);
      new Uint8Array(memory).set(bytes.subarray(from, from + length), offset);
    }
    const layer = await pool.layer({ memory, units: cut.unitsOf(0, cut.count) });
    pool.close();
    return layer;
  }

  test("the list alone tells the hashes of packs", async () => {
    const cut = cutOf(small);
    expect(await hashesOf(cut, small)).toEqual(cut.hashes(sha256) ?? new Uint8Array(0));
  });

  test("the hashes of a larger file's pieces come from a holder, and must fit its content id", async () => {
    const files = [...small, large];
    const cut = cutOf(files);
    expect(cut.hashes(sha256)).toBeUndefined();
    const hashes = await hashesOf(cut, files);
    expect(hashes.length).toBe(4 * 32);
    expect(cut.isRight(hashes, sha256)).toBe(true);
    for (let piece = 0; piece < cut.count; piece++) {
      const wrong = hashes.slice();
      wrong[piece * 32] = (wrong[piece * 32] ?? 0) ^ 1;
      expect(cut.isRight(wrong, sha256)).toBe(false);
    }
    expect(cut.isRight(hashes.subarray(32), sha256)).toBe(false);
  });

  test("one wrong byte in a pack gives another hash", async () => {
    const cut = cutOf(small);
    const changed = small.map((one) => ({ ...one, bytes: one.bytes.slice() }));
    const [, second] = changed;
    if (second) second.bytes[69 * KIB] = 1;
    expect(await hashesOf(cut, changed)).not.toEqual(cut.hashes(sha256) ?? new Uint8Array(0));
  });
});
