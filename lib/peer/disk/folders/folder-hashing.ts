// Hashes the files of a shared folder: short ones here, the others with the pool.

import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { readFullySync } from "../../../files.ts";
import { EMPTY_ROOT } from "../../../protocol/folder.ts";
import { HASH } from "../../../protocol/numbers.ts";
import { pieceLengthOf } from "../../content/folder-cut.ts";
import { type HashPool, sha256 } from "../../content/hash.ts";
import { BLOCK, blockLayer, layerAbove, pieceSizeOf, rootOf } from "../../content/merkle.ts";
import { isAtItsPath, PLAIN_ONLY } from "../identity.ts";
import type { HashedFile, RememberedHashes } from "./folder-cache.ts";
import { COLLECTED_AFTER, stampOf, type WalkedFile } from "./folder-walk.ts";

const OPEN_FLAGS = constants.O_RDONLY | PLAIN_ONLY;
/** The number of files that are hashed at once. */
const HASHED_AT_ONCE = 16;
/** A file up to this length is read and hashed at once: a message to a worker takes longer than that. Bytes. */
const SHORT = 4 * BLOCK;
/** After this time, other work of the program gets its turn. Milliseconds. */
const TURN_MS = 3;

interface HashingTools {
  pool: HashPool;
  known: RememberedHashes;
  signal: AbortSignal;
  /** A file is hashed. */
  onHashed(): void;
}

/** The hashes of many files, by number. */
export class HashedFiles {
  readonly #roots: Uint8Array;
  readonly #isHashed: Uint8Array;
  /** The hashes of the pieces of files that have several, by the number of the file. */
  readonly pieces = new Map<number, Uint8Array>();

  constructor(count: number) {
    this.#roots = new Uint8Array(count * HASH);
    this.#isHashed = new Uint8Array(count);
  }

  set(file: number, { root, pieces }: HashedFile): void {
    this.#roots.set(Uint8Array.fromHex(root), file * HASH);
    this.#isHashed[file] = 1;
    if (pieces !== undefined) this.pieces.set(file, pieces);
  }

  /** Whether a file could be hashed. */
  has(file: number): boolean {
    return this.#isHashed[file] === 1;
  }

  get(file: number): HashedFile | undefined {
    if (!this.has(file)) return undefined;
    return { root: this.#roots.subarray(file * HASH, (file + 1) * HASH).toHex(), pieces: this.pieces.get(file) };
  }
}

/** Hashes the files that the cache does not know. The files are in the order of their paths; `folder` is where they lie. */
export async function hashFiles(
  folder: string,
  files: readonly WalkedFile[],
  { pool, known, signal, onHashed }: HashingTools,
): Promise<HashedFiles> {
  const hashes = new HashedFiles(files.length);
  const queue = files.entries();
  let turn = performance.now();
  const run = async () => {
    for (const [number, file] of queue) {
      if (performance.now() - turn >= TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        turn = performance.now();
      }
      signal.throwIfAborted();
      const hashed = known.get(file) ?? (await hashFile(placeOf(folder, file), file, pool, signal));
      if (hashed === undefined) continue;
      hashes.set(number, hashed);
      if (number % COLLECTED_AFTER === COLLECTED_AFTER - 1) Bun.gc(true);
      onHashed();
    }
  };
  await Promise.all(Array.from({ length: HASHED_AT_ONCE }, run));
  return hashes;
}

/** Where a file lies on this disk. */
export function placeOf(folder: string, { path, local }: Pick<WalkedFile, "path" | "local">): string {
  return join(folder, local ?? path);
}

/** Opens a file if it is still the one that was seen. Throws otherwise. */
export function openUnchanged(place: string, stamp: bigint): number {
  const fd = openSync(place, OPEN_FLAGS);
  if (isOfStamp(fd, stamp)) return fd;
  closeSync(fd);
  throw new Error("a file of the folder has changed");
}

/** Whether an open file is still the one that was seen, and as it was then. */
export function isOfStamp(fd: number, stamp: bigint): boolean {
  return stampOf(fstatSync(fd, { bigint: true })) === stamp;
}

/** The hash of a file; undefined when it cannot be read, or changes meanwhile. */
async function hashFile(
  place: string,
  { size, stamp }: WalkedFile,
  pool: HashPool,
  signal: AbortSignal,
): Promise<HashedFile | undefined> {
  if (size === 0) return { root: EMPTY_ROOT };
  let fd: number | undefined;
  try {
    fd = openUnchanged(place, stamp);
    // A folder on the way may have been swapped for a link: then this is a file outside of the shared folder.
    if (!isAtItsPath(fd, place)) return undefined;
    const hashed = size <= SHORT ? hashShort(fd, size) : await hashLong(fd, size, pool, signal);
    return isOfStamp(fd, stamp) ? hashed : undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const short = new Uint8Array(SHORT);

function hashShort(fd: number, size: number): HashedFile {
  const bytes = short.subarray(0, size);
  if (readFullySync(fd, bytes, 0) < size) throw new Error("the file became shorter");
  return { root: rootOf(blockLayer(bytes, sha256), size, sha256, BLOCK).toHex() };
}

async function hashLong(fd: number, size: number, pool: HashPool, signal: AbortSignal): Promise<HashedFile> {
  const { root, pieces } = await pool.tree(fd, size, { signal });
  return size > pieceLengthOf(size) ? { root, pieces: joinPieces(pieces, size) } : { root };
}

/** The hashes of a file's pieces as the folder is cut, from those of its own tree. */
function joinPieces(pieces: Uint8Array, size: number): Uint8Array {
  const steps = layerAbove(pieces, size, pieceLengthOf(size) / pieceSizeOf(size), sha256);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
