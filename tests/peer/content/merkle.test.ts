import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  BLOCK,
  blockLayer,
  layerAbove,
  pieceHash,
  pieceSizeOf,
  rootOf,
  type Sha256,
} from "../../../lib/peer/content/merkle.ts";
import { HASH } from "../../../lib/protocol/numbers.ts";
import { layerOf } from "../../helpers/serving.ts";

const pieceCountOf = (size: number) => Math.ceil(size / pieceSizeOf(size));

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const sha256: Sha256 = (data, out) => {
  out.set(new Bun.CryptoHasher("sha256").update(data).digest());
};

function hashOf(...parts: Uint8Array[]): Uint8Array {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const part of parts) hasher.update(part);
  return new Uint8Array(hasher.digest());
}

function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** The same bytes in every run, and different ones in every block. */
function fileOf(size: number): Uint8Array {
  const file = new Uint8Array(size);
  for (let i = 0; i < size; i++) file[i] = i * i + (i >> 8);
  return file;
}

// The specification once more, as directly as it can be written: all leaves, padded to a power of two with zero hashes,
// and a recursion. It shares nothing with the module but its idea.

function naiveNode(leaves: Uint8Array[], from: number, width: number): Uint8Array {
  if (width === 1) return leaves[from] ?? new Uint8Array(32);
  return hashOf(naiveNode(leaves, from, width / 2), naiveNode(leaves, from + width / 2, width / 2));
}

function naiveLeaves(file: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(file.length / 16_384) }, (_, i) => hashOf(file.slice(i * 16_384, (i + 1) * 16_384)));
}

function naiveRoot(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return hashOf();
  return naiveNode(leaves, 0, 2 ** Math.ceil(Math.log2(leaves.length)));
}

// The module's way: every piece by itself, then all of them.

function piecesOf(file: Uint8Array): Uint8Array[] {
  const size = pieceSizeOf(file.length);
  return Array.from({ length: pieceCountOf(file.length) }, (_, i) =>
    pieceHash(blockLayer(file.subarray(i * size, (i + 1) * size), sha256), file.length, sha256),
  );
}

function joined(hashes: Uint8Array[]): Uint8Array {
  const layer = new Uint8Array(hashes.length * HASH);
  hashes.forEach((hash, i) => {
    layer.set(hash, i * HASH);
  });
  return layer;
}

const SIZES = [
  0,
  1,
  16_383,
  16_384,
  16_385,
  2 * BLOCK,
  2 * BLOCK + 1,
  3 * BLOCK,
  3 * BLOCK + 5,
  64 * KiB - 1,
  64 * KiB,
  64 * KiB + 1,
  5 * BLOCK,
  7 * BLOCK - 3,
  8 * BLOCK,
  9 * BLOCK,
  11 * BLOCK + 7,
  3 * 64 * KiB - 1,
  3 * 64 * KiB,
  3 * 64 * KiB + 1,
  13 * BLOCK,
  5 * 64 * KiB,
  5 * 64 * KiB + 3 * BLOCK + 1,
  16 * 64 * KiB,
  17 * 64 * KiB - 1,
];

describe("merkle: content ids", () => {
  test("known values, computed elsewhere", () => {
    const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const known: [Uint8Array, string][] = [
      [new Uint8Array(0), nothing],
      [new TextEncoder().encode("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
      [new TextEncoder().encode("test"), "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
      [new Uint8Array(16_384), "4fe7b59af6de3b665b67788cc2f99892ab827efae3a467342b3bb4e3bc8e5bfe"],
      [fileOf(1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"],
      [fileOf(16_384), "c41adc9972b648c9ff852cb1c90d8bb2b803c393dab439b563374d0fb6c0e69b"],
      [fileOf(16_385), "3777127184764350a07785d1034ebfa8bc0b3a9d3499f14b6f19558eff0d8b94"],
      [fileOf(49_152), "287598df2feb36decb18e0ab3ac3a54759c57c2aa2f6d0435e8d099dfe5781b0"],
      [fileOf(65_536), "b8aac6b8a257bed483246904b60a62ef866e34ade8b63f2d642dc2a7d93c0a1a"],
      [fileOf(65_537), "8d3ce23358d0b464c9a4aa95e4fa7ca969f1acd3afeead1645d711d2ec7cfae2"],
      [fileOf(196_608), "c8e08e3a91203bd816bc81485303a7a0121cf788099f240184ce7d2552424fa0"],
      [fileOf(327_680), "8a65d4d2a26cc4a146837ff10b4f70ec33839b36d49701023fa0449a11d5d7bd"],
      [fileOf(1_048_576), "c7a8e0f5188ee4c2814c4679e547f53d2a7f0ec265b27c984660c2fbfba07ab8"],
    ];
    for (const [file, root] of known) {
      expect([file.length, hex(rootOf(joined(piecesOf(file)), file.length, sha256))]).toEqual([file.length, root]);
    }
  });

  test("two blocks fold into one hash, and a third is paired with zeros", () => {
    const file = fileOf(3 * BLOCK);
    const [a, b, c] = [0, 1, 2].map((i) => hashOf(file.subarray(i * BLOCK, (i + 1) * BLOCK)));
    if (a === undefined || b === undefined || c === undefined) throw new Error("three blocks were cut");
    const two = file.subarray(0, 2 * BLOCK);
    expect(hex(rootOf(joined(piecesOf(two)), two.length, sha256))).toBe(hex(hashOf(a, b)));
    const three = hashOf(hashOf(a, b), hashOf(c, new Uint8Array(32)));
    expect(hex(rootOf(joined(piecesOf(file)), file.length, sha256))).toBe(hex(three));
  });

  test.each(SIZES)("a file of %d bytes has the root that the naive recursion gives", (size) => {
    const file = fileOf(size);
    expect(hex(rootOf(joined(piecesOf(file)), size, sha256))).toBe(hex(naiveRoot(naiveLeaves(file))));
  });

  test.each(SIZES.filter((size) => size > 64 * KiB))("each piece of a file of %d bytes is a subtree of that tree", (size) => {
    const leaves = naiveLeaves(fileOf(size));
    const pieces = piecesOf(fileOf(size)).map(hex);
    expect(pieces).toEqual(pieces.map((_, i) => hex(naiveNode(leaves, i * 4, 4))));
  });

  test("larger pieces give the same root", () => {
    // Only the hashes of the blocks matter, so a file of 600 MiB need not exist; 38,401 blocks end in an odd piece.
    const size = 600 * MiB + 1;
    const leaves = Array.from({ length: Math.ceil(size / BLOCK) }, (_, i) => hashOf(new Uint8Array([i, i >> 8])));
    const perPiece = pieceSizeOf(size) / BLOCK;
    expect(perPiece).toBe(16);
    const pieces = Array.from({ length: pieceCountOf(size) }, (_, i) =>
      pieceHash(joined(leaves.slice(i * perPiece, (i + 1) * perPiece)), size, sha256),
    );
    expect(pieces).toHaveLength(2401);
    expect(hex(rootOf(joined(pieces), size, sha256))).toBe(hex(naiveRoot(leaves)));
  });

  test("any size and content agrees with the naive recursion", () => {
    fc.assert(
      fc.property(fc.nat(20 * BLOCK), fc.nat(255), (size, fill) => {
        const file = fileOf(size).map((byte) => byte ^ fill);
        expect(hex(rootOf(joined(piecesOf(file)), size, sha256))).toBe(hex(naiveRoot(naiveLeaves(file))));
      }),
      { seed: 20_261_122, numRuns: 50 },
    );
  });

  test("one flipped bit anywhere changes its piece and the root, and no other piece", () => {
    const size = 5 * 64 * KiB + 1;
    const file = fileOf(size);
    const before = piecesOf(file).map(hex);
    const root = hex(rootOf(joined(piecesOf(file)), size, sha256));
    for (const at of [0, 16_383, 16_384, 65_535, 65_536, 3 * 65_536 + 77, size - 1]) {
      const flipped = file.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      const after = piecesOf(flipped).map(hex);
      expect(after.flatMap((hash, i) => (hash === before[i] ? [] : [i]))).toEqual([Math.floor(at / 65_536)]);
      expect(hex(rootOf(joined(piecesOf(flipped)), size, sha256))).not.toBe(root);
    }
  });

  test("the block layer is the hashes of the blocks, and nothing for nothing", () => {
    const file = fileOf(2 * BLOCK + 1);
    expect(hex(blockLayer(file, sha256))).toBe(naiveLeaves(file).map(hex).join(""));
    expect(blockLayer(new Uint8Array(0), sha256)).toHaveLength(0);
  });

  test("what is handed in stays as it was", () => {
    const file = fileOf(9 * BLOCK + 1);
    const copy = file.slice();
    const layer = joined(piecesOf(file));
    const layerCopy = layer.slice();
    rootOf(layer, file.length, sha256);
    expect(hex(file)).toBe(hex(copy));
    expect(hex(layer)).toBe(hex(layerCopy));
  });
});

describe("merkle: the layers above the pieces", () => {
  /** All nodes of one height, written down as the specification draws them: a file of these leaves, from that width on. */
  function naiveLayer(leaves: Uint8Array[], width: number): Uint8Array[] {
    return Array.from({ length: Math.ceil(leaves.length / width) }, (_, i) => naiveNode(leaves, i * width, width));
  }

  test("are the nodes of the tree at that height, for any number of pieces", () => {
    for (const count of [2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 21]) {
      for (const short of [0, 1, BLOCK, 3 * BLOCK - 1]) {
        const file = fileOf(count * 64 * KiB - short);
        const leaves = naiveLeaves(file);
        const pieces = joined(piecesOf(file));
        for (let step = 1; step < count; step *= 2) {
          const above = layerOf(pieces, file.length, step);
          expect([count, short, step, hex(above)]).toEqual([count, short, step, hex(joined(naiveLayer(leaves, step * 4)))]);
        }
      }
    }
  });

  test("end with the root, however large the pieces", () => {
    for (const count of [1, 2, 3, 5, 8]) {
      const file = fileOf(count * 64 * KiB - 7);
      const pieces = joined(piecesOf(file));
      const root = hex(rootOf(pieces, file.length, sha256));
      for (const step of [8, 16, 1024, 2 ** 40]) expect(hex(layerOf(pieces, file.length, step))).toBe(root);
    }
  });

  test("of any size and content agree with the naive recursion, and leave what is handed in as it was", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 * 64 * KiB }), fc.integer({ min: 0, max: 4 }), (size, power) => {
        const file = fileOf(size);
        const pieces = joined(piecesOf(file));
        const before = hex(pieces);
        const step = 2 ** power;
        const naive = pieces.length / HASH <= step ? [naiveRoot(naiveLeaves(file))] : naiveLayer(naiveLeaves(file), step * 4);
        expect(hex(layerOf(pieces, size, step))).toBe(hex(joined(naive)));
        expect(hex(pieces)).toBe(before);
      }),
      { seed: 20_261_122, numRuns: 25 },
    );
  });

  test("of a file with larger pieces are padded as high as those are", () => {
    // 4097 pieces of 64 KiB are too many: 2049 of 128 KiB. What they are does not matter here.
    const size = 4097 * 64 * KiB;
    expect(pieceSizeOf(size)).toBe(128 * KiB);
    const pieces = fileOf(2049 * HASH);
    let nothing = new Uint8Array(HASH);
    for (let wide = BLOCK; wide < 128 * KiB; wide *= 2) nothing = new Uint8Array(hashOf(nothing, nothing));
    const above = layerOf(pieces, size, 2);
    expect(above.length / HASH).toBe(1025);
    expect(hex(above.subarray(0, HASH))).toBe(hex(hashOf(pieces.subarray(0, 2 * HASH))));
    expect(hex(above.subarray(-HASH))).toBe(hex(hashOf(pieces.subarray(-HASH), nothing)));
  });
});

describe("layerAbove: steps", () => {
  test("are a few hundred hashes long at most, so that others get their turn", () => {
    let hashes = 0;
    const counting: Sha256 = (data, out) => {
      hashes += 1;
      sha256(data, out);
    };
    const steps = layerAbove(fileOf(4096 * HASH), 4096 * 64 * KiB, 4096, counting);
    for (let step = steps.next(); !step.done; step = steps.next()) {
      expect(hashes).toBeLessThanOrEqual(300);
      hashes = 0;
    }
  });
});

describe("merkle: pieces", () => {
  test("are 64 KiB until there would be more than 4096 of them, and 4 MiB at most", () => {
    const sizes: [number, number][] = [
      [0, 64 * KiB],
      [1, 64 * KiB],
      [256 * MiB, 64 * KiB],
      [256 * MiB + 1, 128 * KiB],
      [512 * MiB, 128 * KiB],
      [512 * MiB + 1, 256 * KiB],
      [8 * GiB, 2 * MiB],
      [8 * GiB + 1, 4 * MiB],
      [16 * GiB, 4 * MiB],
      [16 * GiB + 1, 4 * MiB],
      [Number.MAX_SAFE_INTEGER, 4 * MiB],
    ];
    for (const [size, piece] of sizes) expect([size, pieceSizeOf(size)]).toEqual([size, piece]);
  });

  test("are counted up, and an empty file has none", () => {
    expect([0, 1, 65_536, 65_537, 3 * 65_536].map(pieceCountOf)).toEqual([0, 1, 1, 2, 3]);
    expect(pieceCountOf(256 * MiB)).toBe(4096);
    expect(pieceCountOf(256 * MiB + 1)).toBe(2049);
    expect(pieceCountOf(32 * GiB)).toBe(8192);
  });

  test("are a power of two of blocks for every size, no more than about 4096 up to 16 GiB", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(53), (large, shift) => {
        const size = Math.floor(large / 2 ** shift);
        const piece = pieceSizeOf(size);
        expect(Number.isInteger(Math.log2(piece / BLOCK))).toBeTrue();
        expect(piece).toBeWithin(64 * KiB, 4 * MiB + 1);
        if (size <= 16 * GiB) expect(pieceCountOf(size)).toBeLessThanOrEqual(4096);
        if (piece > 64 * KiB) expect(size / (piece / 2)).toBeGreaterThan(4096);
      }),
      { seed: 20_261_122, numRuns: 500 },
    );
  });
});
