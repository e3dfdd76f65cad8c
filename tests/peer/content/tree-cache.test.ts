// Content ids and piece hashes, remembered between runs on a real disk that somebody may damage.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootHex, sha256 } from "../../../lib/peer/content/hash.ts";
import { pieceCountOf, type Tree } from "../../../lib/peer/content/merkle.ts";
import { type Identified, TreeCache } from "../../../lib/peer/content/tree-cache.ts";
import { HASH } from "../../../lib/protocol/numbers.ts";
import { hasOtherUser, OTHER } from "../../helpers/other-user.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ft-trees-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const path = () => join(folder, "cache", "roots.json");
const layers = () => join(folder, "cache", "trees");
const layerOf = ({ root }: Tree) => join(layers(), root);

/** A file that was changed long ago. */
function fileOf(name: string, size: number, more: Partial<Identified> = {}): Identified {
  return { path: `/shared/${name}`, identity: `1 ${name} ${size} 5 5`, size, modified: new Date(0), ...more };
}

/** Hashes that could be those of a file of this size. */
/** The hashes of pieces of twice the size, whose number is even. */
function parents(pieces: Uint8Array): Uint8Array {
  const above = new Uint8Array(pieces.length / 2);
  for (let at = 0; at < above.length; at += HASH)
    sha256(pieces.subarray(2 * at, 2 * at + 2 * HASH), above.subarray(at, at + HASH));
  return above;
}

function treeOf(size: number, salt = 1): Tree {
  const pieces = new Uint8Array(pieceCountOf(size) * HASH);
  for (let i = 0; i < pieces.length; i++) pieces[i] = (i * 7 + salt * 13 + (i >> 8)) & 255;
  return { root: rootHex(pieces, size), pieces };
}

async function saved(...entries: [Identified, Tree][]): Promise<void> {
  const cache = new TreeCache(path());
  for (const [file, tree] of entries) cache.set(file, tree);
  await cache.save();
}

/** A run later. */
const get = (file: Identified) => new TreeCache(path()).get(file);

describe("TreeCache: remembered", () => {
  test("in the same run and in the next one, root and pieces, whatever the size", async () => {
    const entries: [Identified, Tree][] = [0, 1, 64 * KiB, 64 * KiB + 1, 200 * KiB, 10 * MiB, 2 ** 33 + 5].map((size, i) => [
      fileOf(`f${i}`, size),
      treeOf(size, i),
    ]);
    const cache = new TreeCache(path());
    for (const [file, tree] of entries) cache.set(file, tree);
    for (const [file, tree] of entries) expect(cache.get(file)).toEqual(tree);
    await cache.save();
    for (const [file, tree] of entries) {
      expect(cache.get(file)).toEqual(tree);
      expect(get(file)).toEqual(tree);
    }
  });

  test("a file of one piece, or none, needs no file of its own", async () => {
    await saved([fileOf("a", 0), treeOf(0)], [fileOf("b", 1), treeOf(1, 2)], [fileOf("c", 64 * KiB), treeOf(64 * KiB, 3)]);
    expect(existsSync(layers())).toBe(false);
    await saved([fileOf("d", 64 * KiB + 1), treeOf(64 * KiB + 1)]);
    expect(readdirSync(layers())).toEqual([treeOf(64 * KiB + 1).root]);
  });

  test("two files of the same content share their hashes", async () => {
    const tree = treeOf(MiB);
    await saved([fileOf("a", MiB), tree], [fileOf("b", MiB), tree]);
    expect(readdirSync(layers())).toEqual([tree.root]);
    expect([get(fileOf("a", MiB)), get(fileOf("b", MiB))]).toEqual([tree, tree]);
  });

  test("only for the same file, as it was", async () => {
    const file = fileOf("a", MiB);
    await saved([file, treeOf(MiB)]);
    expect(get(file)).toBeDefined();
    expect(get({ ...file, path: "/shared/b" })).toBeUndefined();
    expect(get({ ...file, identity: `${file.identity}1` })).toBeUndefined();
    expect(get({ ...file, modified: new Date() })).toBeDefined();
  });

  test("a file that was changed a moment ago is not: it may change again within one tick of the clock", async () => {
    const fresh = fileOf("a", MiB, { modified: new Date() });
    await saved([fresh, treeOf(MiB)]);
    expect(get(fresh)).toBeUndefined();
    expect(existsSync(path())).toBe(false);
  });

  test("runs add to what is there; what comes later counts", async () => {
    const file = fileOf("a", MiB);
    await saved([file, treeOf(MiB, 1)]);
    await saved([fileOf("b", MiB), treeOf(MiB, 2)]);
    await saved([file, treeOf(MiB, 3)]);
    expect([get(file), get(fileOf("b", MiB))]).toEqual([treeOf(MiB, 3), treeOf(MiB, 2)]);
  });

  test("nobody else may read what somebody shares", async () => {
    await saved([fileOf("a", MiB), treeOf(MiB)]);
    for (const one of [path(), layerOf(treeOf(MiB))]) expect(statSync(one).mode & 0o077).toBe(0);
    expect(readdirSync(join(folder, "cache")).sort()).toEqual(["roots.json", "trees"]);
  });

  test("without anything new nothing is written", async () => {
    await new TreeCache(path()).save();
    expect(existsSync(path())).toBe(false);
    await saved([fileOf("a", MiB), treeOf(MiB)]);
    const long = new Date(1000);
    utimesSync(path(), long, long);
    const cache = new TreeCache(path());
    cache.get(fileOf("a", MiB));
    await cache.save();
    expect(statSync(path()).mtimeMs).toBe(1000);
  });
});

describe("TreeCache: damaged", () => {
  const file = fileOf("a", MiB);
  const tree = treeOf(MiB);
  const size = tree.pieces.length;

  const damages: [what: string, damage: (layer: string) => void][] = [
    ["missing", (layer) => rmSync(layer)],
    ["empty", (layer) => truncateSync(layer, 0)],
    ["one hash short", (layer) => truncateSync(layer, size - HASH)],
    ["one byte short", (layer) => truncateSync(layer, size - 1)],
    ["one byte long", (layer) => writeFileSync(layer, Buffer.concat([tree.pieces, Buffer.alloc(1)]))],
    ["one hash long", (layer) => writeFileSync(layer, Buffer.concat([tree.pieces, Buffer.alloc(HASH)]))],
    [
      "with one bit flipped",
      (layer) =>
        writeFileSync(
          layer,
          tree.pieces.map((byte, i) => (i === 100 ? byte ^ 1 : byte)),
        ),
    ],
    ["another file's", (layer) => writeFileSync(layer, treeOf(MiB, 9).pieces)],
    ["that of larger pieces, which folds up to the same root", (layer) => writeFileSync(layer, parents(tree.pieces))],
    ["the root alone", (layer) => writeFileSync(layer, Buffer.from(tree.root, "hex"))],
    [
      "a folder",
      (layer) => {
        rmSync(layer);
        mkdirSync(layer);
      },
    ],
  ];

  test.each(damages)("a file of hashes that is %s costs only time, and is put right by the next run", async (_what, damage) => {
    await saved([file, tree]);
    damage(layerOf(tree));
    expect(get(file)).toBeUndefined();
    if (statSync(layerOf(tree), { throwIfNoEntry: false })?.isDirectory()) rmSync(layerOf(tree), { recursive: true });
    await saved([file, tree]);
    expect(get(file)).toEqual(tree);
  });

  test("two that were swapped are neither's", async () => {
    const [one, two] = [treeOf(MiB, 1), treeOf(MiB, 2)];
    await saved([fileOf("one", MiB), one], [fileOf("two", MiB), two]);
    copyFileSync(layerOf(one), join(folder, "aside"));
    copyFileSync(layerOf(two), layerOf(one));
    copyFileSync(join(folder, "aside"), layerOf(two));
    expect([get(fileOf("one", MiB)), get(fileOf("two", MiB))]).toEqual([undefined, undefined]);
  });

  test("padding hashes behind the last one fold up to the same root, and are not the file's", async () => {
    // Three pieces; the fourth place in the tree is padding.
    const odd = treeOf(3 * 64 * KiB);
    const three = fileOf("odd", 3 * 64 * KiB);
    await saved([three, odd]);
    let nothing = new Uint8Array(HASH);
    for (let i = 0; i < 2; i++) {
      const above = new Uint8Array(HASH);
      sha256(Buffer.concat([nothing, nothing]), above);
      nothing = above;
    }
    const padded = Buffer.concat([odd.pieces, nothing]);
    expect(rootHex(padded, 3 * 64 * KiB)).toBe(odd.root);
    writeFileSync(layerOf(odd), padded);
    expect(get(three)?.pieces.length ?? 96).toBe(96);
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    '"text"',
    "5",
    '{"1 a 1048576 5 5 /shared/a":5}',
    '{"1 a 1048576 5 5 /shared/a":"xyz"}',
    '{"1 a 1048576 5 5 /shared/a":"../../etc/passwd"}',
    `{"1 a 1048576 5 5 /shared/a":"${"A".repeat(64)}"}`,
    '{"__proto__":{"x":1}}',
    "\u0000\u0001",
  ])("a file of roots that says %j is none, and is put right by the next run", async (text) => {
    mkdirSync(join(folder, "cache"));
    writeFileSync(path(), text);
    expect(get(file)).toBeUndefined();
    await saved([file, tree]);
    expect(get(file)).toEqual(tree);
  });

  test("where nothing can be written, the same run still remembers", async () => {
    writeFileSync(join(folder, "cache"), "a file where the folder should be");
    const cache = new TreeCache(path());
    cache.set(file, tree);
    await cache.save();
    expect(cache.get(file)).toEqual(tree);
    expect(readFileSync(join(folder, "cache"), "utf8")).toStartWith("a file");
  });
});

describe("TreeCache: bounded", () => {
  test("two thousand files are remembered, the oldest go", async () => {
    const cache = new TreeCache(path());
    for (let i = 0; i < 2100; i++) cache.set(fileOf(`f${i}`, 5), treeOf(5, i));
    await cache.save();
    expect(Object.keys(JSON.parse(readFileSync(path(), "utf8")))).toHaveLength(2000);
    expect(get(fileOf("f99", 5))).toBeUndefined();
    expect(get(fileOf("f100", 5))).toBeDefined();
    expect(get(fileOf("f2099", 5))).toBeDefined();
  });

  test("the files of hashes take 64 MiB at most; those not touched for longest go first", async () => {
    await saved([fileOf("a", MiB), treeOf(MiB, 1)]);
    const old = ["0", "1", "2", "3", "4"].map((digit) => join(layers(), digit.repeat(64)));
    for (const [i, layer] of old.entries()) {
      // Holes: they count with their length, and take up nothing.
      writeFileSync(layer, "");
      truncateSync(layer, 20 * MiB);
      const then = new Date(Date.now() - (10 - i) * 1000_000);
      utimesSync(layer, then, then);
    }
    await saved([fileOf("b", MiB), treeOf(MiB, 2)]);
    const left = readdirSync(layers()).sort();
    expect(left).toEqual(["2".repeat(64), "3".repeat(64), "4".repeat(64), treeOf(MiB, 1).root, treeOf(MiB, 2).root].sort());
    expect([get(fileOf("a", MiB)), get(fileOf("b", MiB))]).toEqual([treeOf(MiB, 1), treeOf(MiB, 2)]);
  });
});

describe("TreeCache: a cache that another user could have written", () => {
  const big = fileOf("big", 10 * MiB);
  const tree = treeOf(big.size);

  test("is written for this user only", async () => {
    await saved([big, tree]);
    for (const written of [path(), layerOf(tree)]) expect(statSync(written).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, "cache")).sort()).toEqual(["roots.json", "trees"]);
  });

  test.skipIf(process.platform === "win32")("is not read when others may write to it", async () => {
    await saved([big, tree]);
    expect(get(big)).toEqual(tree);
    for (const written of [path(), layerOf(tree)]) {
      chmodSync(written, 0o666);
      expect(get(big)).toBeUndefined();
      chmodSync(written, 0o600);
    }
    expect(get(big)).toEqual(tree);
  });

  test.skipIf(!hasOtherUser)("is not read when it belongs to another user, and is replaced by an own one", async () => {
    await saved([big, tree]);
    for (const written of [path(), layerOf(tree)]) {
      chownSync(written, OTHER, OTHER);
      expect(get(big)).toBeUndefined();
      await saved([big, tree]);
      expect([get(big)?.root, statSync(written).uid]).toEqual([tree.root, 0]);
    }
  });

  test("is not read through a link, nor waited for, and what the link leads to is not written to", async () => {
    await saved([big, tree]);
    for (const written of [path(), layerOf(tree)]) {
      renameSync(written, join(folder, "precious"));
      const before = readFileSync(join(folder, "precious"));
      symlinkSync(join(folder, "precious"), written);
      expect(get(big)).toBeUndefined();
      await saved([big, tree]);
      expect(lstatSync(written).isFile()).toBe(true);
      expect(readFileSync(join(folder, "precious")).equals(before)).toBe(true);
      unlinkSync(written);
      Bun.spawnSync(["mkfifo", written]);
      expect(get(big)).toBeUndefined();
      await saved([big, tree]);
      expect(get(big)).toEqual(tree);
    }
  });

  test("is not read when it is far too long", async () => {
    await saved([big, tree]);
    for (const written of [path(), layerOf(tree)]) {
      truncateSync(written, 100 * MiB);
      expect(get(big)).toBeUndefined();
      await saved([big, tree]);
    }
  });
});
