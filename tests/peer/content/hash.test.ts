// Hashing off the main thread gives what the specification says, for files and for memory, whatever the size; and never hangs.

import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FtError } from "../../../lib/error.ts";
import { HASH_JOB, HashPool, rootHex, sha256 } from "../../../lib/peer/content/hash.ts";
import { blockLayer, pieceHash, pieceSizeOf } from "../../../lib/peer/content/merkle.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const WORKER = new URL("../../../lib/peer/content/hasher.ts", import.meta.url);

const pool = new HashPool(WORKER, 2);
afterAll(() => pool.close());

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ft-hash-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The same bytes in every run, and different ones in every block. */
function bytesOf(size: number, salt = 0): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + salt, 2654435761);
  return new Uint8Array(words.buffer, 0, size);
}

// The specification once more, as directly as it can be written; it shares nothing with the programs but its idea.

function hashOf(...parts: Uint8Array[]): Uint8Array {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const part of parts) hasher.update(part);
  return new Uint8Array(hasher.digest());
}

function naiveRoot(bytes: Uint8Array): string {
  let nodes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += 16_384) nodes.push(hashOf(bytes.subarray(at, at + 16_384)));
  if (nodes.length === 0) return hashOf().toHex();
  while (nodes.length & (nodes.length - 1)) nodes.push(new Uint8Array(32));
  while (nodes.length > 1) {
    nodes = Array.from({ length: nodes.length / 2 }, (_, i) =>
      hashOf(nodes[2 * i] ?? new Uint8Array(), nodes[2 * i + 1] ?? new Uint8Array()),
    );
  }
  return (nodes[0] ?? new Uint8Array()).toHex();
}

/** Pieces on this thread. */
function piecesOf(bytes: Uint8Array, fileSize: number): Uint8Array {
  const step = pieceSizeOf(fileSize);
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step)
    hashes.push(pieceHash(blockLayer(bytes.subarray(at, at + step), sha256), fileSize, sha256));
  return Buffer.concat(hashes);
}

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(Math.max(1, bytes.length));
  new Uint8Array(memory).set(bytes);
  return memory;
}

/** Writes a file and opens it for as long as `use` takes. */
async function withFile<T>(bytes: Uint8Array, use: (fd: number, path: string) => Promise<T>): Promise<T> {
  const path = join(folder, `${bytes.length}-${Math.random()}`);
  writeFileSync(path, bytes);
  const fd = openSync(path, "r");
  try {
    return await use(fd, path);
  } finally {
    closeSync(fd);
  }
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error("it should have failed");
    },
    (error: unknown) => error,
  );
}

const SIZES = [
  0,
  1,
  16_383,
  16_384,
  16_385,
  3 * 16_384,
  64 * KiB - 1,
  64 * KiB,
  64 * KiB + 1,
  3 * 64 * KiB + 5,
  MiB - 1,
  MiB,
  MiB + 1,
  HASH_JOB - 1,
  HASH_JOB,
  HASH_JOB + 1,
  2 * HASH_JOB + 16_384,
  3 * HASH_JOB + 12_345,
];

function rootBy(by: HashPool, fd: number, size: number, onHashed?: (bytes: number) => void, signal?: AbortSignal) {
  return by.tree(fd, size, { onHashed, signal }).then(({ root }) => root);
}

describe("HashPool: content ids", () => {
  test("known values, computed elsewhere", async () => {
    const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const zeros = "4fe7b59af6de3b665b67788cc2f99892ab827efae3a467342b3bb4e3bc8e5bfe";
    expect(await withFile(new Uint8Array(0), (fd) => rootBy(pool, fd, 0))).toBe(nothing);
    expect(await withFile(new TextEncoder().encode("abc"), (fd) => rootBy(pool, fd, 3))).toBe(abc);
    expect(await withFile(new Uint8Array(16_384), (fd) => rootBy(pool, fd, 16_384))).toBe(zeros);
  });

  test("from a file of any size, as the specification says", async () => {
    for (const size of SIZES) {
      const bytes = bytesOf(size);
      expect([size, await withFile(bytes, (fd) => rootBy(pool, fd, size))]).toEqual([size, naiveRoot(bytes)]);
    }
  });

  test("from shared memory of any size, the same", async () => {
    for (const size of SIZES.filter((each) => each > 0)) {
      const bytes = bytesOf(size);
      const layer = await pool.layer({ memory: shared(bytes), length: size, fileSize: size });
      expect(Buffer.compare(layer, piecesOf(bytes, size))).toBe(0);
      expect([size, rootHex(layer, size)]).toEqual([size, naiveRoot(bytes)]);
    }
  });

  test("one worker or many, the same", async () => {
    const bytes = bytesOf(5 * HASH_JOB + 77);
    const wanted = naiveRoot(bytes);
    for (const size of [1, 3]) {
      const own = new HashPool(WORKER, size);
      expect(await withFile(bytes, (fd) => rootBy(own, fd, bytes.length))).toBe(wanted);
      own.close();
    }
  });

  test("many files at once do not get mixed up", async () => {
    const files = Array.from({ length: 12 }, (_, i) => bytesOf(HASH_JOB / 2 + i * 99_991, i));
    const roots = await Promise.all(
      files.map((bytes, i) =>
        i % 2 === 0
          ? withFile(bytes, (fd) => rootBy(pool, fd, bytes.length))
          : pool
              .layer({ memory: shared(bytes), length: bytes.length, fileSize: bytes.length })
              .then((layer) => rootHex(layer, bytes.length)),
      ),
    );
    expect(roots).toEqual(files.map(naiveRoot));
  });

  test("progress adds up to the size", async () => {
    const size = 3 * HASH_JOB + 12_345;
    let hashed = 0;
    let calls = 0;
    await withFile(bytesOf(size), (fd) =>
      rootBy(pool, fd, size, (bytes) => {
        hashed += bytes;
        calls += 1;
      }),
    );
    expect(hashed).toBe(size);
    expect(calls).toBeGreaterThan(1);
  });
});

describe("HashPool: what is here of a file", () => {
  test("the first pieces of a file are those of the whole one, whatever is behind them", async () => {
    const size = 9 * MiB + 5;
    const path = join(folder, "part");
    writeFileSync(path, bytesOf(size));
    const fd = openSync(path, "r");
    try {
      const all = await pool.pieces(fd, size);
      const piece = pieceSizeOf(size);
      for (const length of [0, piece, 64 * piece, 65 * piece, 9 * MiB, size]) {
        const seen: number[] = [];
        const some = await pool.pieces(fd, size, { length, onHashed: (bytes) => seen.push(bytes) });
        expect([length, some.toHex()]).toEqual([length, all.subarray(0, Math.ceil(length / piece) * 32).toHex()]);
        expect(seen.reduce((sum, bytes) => sum + bytes, 0)).toBe(length);
      }
      // A part file is only as long as what has arrived.
      truncateSync(path, 3 * piece);
      expect((await pool.pieces(fd, size, { length: 3 * piece })).toHex()).toBe(all.subarray(0, 96).toHex());
      await pool.pieces(fd, size, { length: 4 * piece }).then(
        () => expect.unreachable("it is shorter than that"),
        (error: unknown) => expect(error).toBeInstanceOf(FtError),
      );
      const { root, pieces } = await pool.tree(fd, 3 * piece);
      expect([pieces.length, root]).toEqual([96, rootHex(pieces, 3 * piece)]);
    } finally {
      closeSync(fd);
    }
  });

  test("stopped before, or in the middle, it fails", async () => {
    const path = join(folder, "part");
    writeFileSync(path, bytesOf(20 * MiB));
    const fd = openSync(path, "r");
    try {
      await expect(pool.pieces(fd, 20 * MiB, { length: 9 * MiB, signal: AbortSignal.abort() })).rejects.toThrow();
      const stop = new AbortController();
      const onHashed = () => stop.abort();
      const stopped = pool.pieces(fd, 100 * MiB, { length: 20 * MiB, onHashed, signal: stop.signal });
      await stopped.catch(() => undefined);
      expect(stop.signal.aborted).toBe(true);
    } finally {
      closeSync(fd);
    }
  });
});

describe("HashPool: ranges of a larger file", () => {
  test("have the pieces that the file's size asks for", async () => {
    // Above 256 MiB a piece is 128 KiB, above 512 MiB 256 KiB.
    for (const fileSize of [200 * MiB, 300 * MiB, 600 * MiB + 1, 20_000 * MiB]) {
      const step = pieceSizeOf(fileSize);
      const bytes = bytesOf(2 * step);
      const layer = await pool.layer({ memory: shared(bytes), length: bytes.length, fileSize });
      expect([fileSize, layer.length]).toEqual([fileSize, 64]);
      expect(Buffer.compare(layer, piecesOf(bytes, fileSize))).toBe(0);
    }
    expect([200, 300, 600].map((size) => pieceSizeOf(size * MiB) / KiB)).toEqual([64, 128, 256]);
  });

  test("from the middle of a file, and its short end", async () => {
    const bytes = bytesOf(1_000_000);
    await withFile(bytes, async (fd) => {
      const step = 64 * KiB;
      for (const [offset, length] of [
        [0, step],
        [3 * step, 2 * step],
        [15 * step, 1_000_000 - 15 * step],
      ] as const) {
        const layer = await pool.layer({ fd, offset, length, fileSize: bytes.length });
        expect(Buffer.compare(layer, piecesOf(bytes.subarray(offset, offset + length), bytes.length))).toBe(0);
      }
    });
  });

  test("memory that is longer than the stretch is not looked at behind it", async () => {
    const bytes = bytesOf(200_000);
    const memory = new SharedArrayBuffer(4 * MiB);
    new Uint8Array(memory).fill(0xff).set(bytes);
    expect(rootHex(await pool.layer({ memory, length: 200_000, fileSize: 200_000 }), 200_000)).toBe(naiveRoot(bytes));
  });
});

describe("HashPool: what goes wrong is an error, soon", () => {
  test("a file that became shorter", async () => {
    const size = 3 * HASH_JOB;
    for (const left of [0, 1, HASH_JOB, size - 1]) {
      await withFile(bytesOf(size), async (fd, path) => {
        truncateSync(path, left);
        const error = await failure(rootBy(pool, fd, size));
        expect(error).toBeInstanceOf(FtError);
        expect(error).toMatchObject({ message: expect.stringMatching(/shorter/) });
      });
    }
  });

  test("a file that becomes shorter while it is hashed", async () => {
    const size = 6 * HASH_JOB;
    const own = new HashPool(WORKER, 1);
    await withFile(bytesOf(size), async (fd, path) => {
      const error = await failure(rootBy(own, fd, size, () => truncateSync(path, 0)));
      expect(error).toMatchObject({ message: expect.stringMatching(/shorter/) });
    });
    own.close();
  });

  test("a descriptor that is none, or cannot be read", async () => {
    expect(await failure(rootBy(pool, 1_000_000, 10))).toMatchObject({ code: "EBADF" });
    const folderFd = openSync(folder, "r");
    expect(await failure(rootBy(pool, folderFd, 10))).toMatchObject({ code: "EISDIR" });
    closeSync(folderFd);
    const writeOnly = openSync(join(folder, "w"), "w");
    expect(await failure(rootBy(pool, writeOnly, 10))).toMatchObject({ code: "EBADF" });
    closeSync(writeOnly);
  });

  test("after an error the same workers go on", async () => {
    await failure(rootBy(pool, 1_000_000, 10));
    expect(await withFile(bytesOf(10), (fd) => rootBy(pool, fd, 10))).toBe(naiveRoot(bytesOf(10)));
  });

  test("stopped before, or in the middle", async () => {
    const size = 8 * HASH_JOB;
    const own = new HashPool(WORKER, 1);
    await withFile(bytesOf(size), async (fd) => {
      const stop = new AbortController();
      let hashed = 0;
      const hashing = rootBy(
        own,
        fd,
        size,
        (bytes) => {
          hashed += bytes;
          stop.abort();
        },
        stop.signal,
      );
      expect(await failure(hashing)).toMatchObject({ name: "AbortError" });
      expect(hashed).toBeLessThan(size);
      expect(await failure(rootBy(own, fd, size, undefined, stop.signal))).toMatchObject({ name: "AbortError" });
    });
    own.close();
  });

  test("a pool that is closed", async () => {
    const own = new HashPool(WORKER, 1);
    const memory = shared(bytesOf(HASH_JOB));
    const jobs = Array.from({ length: 5 }, () => own.layer({ memory, length: HASH_JOB, fileSize: HASH_JOB }));
    const outcomes = Promise.allSettled(jobs);
    own.close();
    expect((await outcomes).every((outcome) => outcome.status === "rejected")).toBe(true);
    own.close();
  });

  test("a worker that cannot start", async () => {
    const own = new HashPool(new URL("../../no-such-worker.ts", import.meta.url), 1);
    const memory = shared(bytesOf(10));
    const error = await failure(own.layer({ memory, length: 10, fileSize: 10 }));
    expect(error).toBeInstanceOf(FtError);
    expect(error).toMatchObject({ code: "hash-failed" });
    own.close();
  });

  test("a program that only hashed ends by itself", async () => {
    const script = `
      const { HashPool } = await import(${JSON.stringify(join(import.meta.dir, "..", "..", "..", "lib", "peer", "content", "hash.ts"))});
      const pool = new HashPool(new URL(${JSON.stringify(WORKER.href)}), 2);
      const memory = new SharedArrayBuffer(1000);
      await pool.layer({ memory, length: 1000, fileSize: 1000 });
      console.log("hashed");
    `;
    const child = Bun.spawnSync([process.execPath, "-e", script], { timeout: 50_000 });
    expect([child.stdout.toString(), child.exitCode]).toEqual(["hashed\n", 0]);
  });
});
