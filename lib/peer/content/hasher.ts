// The hashing worker: computes the hashes of pieces, of an open file or in shared memory. It runs off the main thread.

import { readSync } from "node:fs";
import { HASH } from "../../protocol/messages.ts";
import { BLOCK, blockLayer, foldWhole, pieceHash, pieceSizeOf, type Sha256, SUBTREE_BLOCKS, Subtree } from "./merkle.ts";

/** Bytes to hash: whole pieces of a file of `fileSize` bytes; only its last piece may be short. */
export type HashInput = { length: number; fileSize: number } & (
  | { /** An open file. */ fd: number /** Where its bytes begin. */; offset: number }
  | { /** The bytes. */ memory: SharedArrayBuffer }
);

export type HashJob = HashInput & { id: number };

/** The pieces' hashes one after the other, or why there are none. */
export type HashResult = { id: number; layer: Uint8Array } | { id: number; failed: string; code: string };

declare const self: Worker;

/** Files are read and hashed in windows of this size. Bytes. */
const HASH_WINDOW = SUBTREE_BLOCKS * BLOCK;

const buffer = new Uint8Array(HASH_WINDOW);

const blocks = blocksOf(buffer);

/** Files may have holes. Comparing a window with zeros is faster than hashing it, and the hashes of zeros are kept. */
const zeros = new Uint8Array(HASH_WINDOW);

const zeroLayers = new Map<number, Uint8Array>();

const sha256: Sha256 = (data, out) => {
  Bun.SHA256.hash(data, out);
};

const subtree = new Subtree(sha256);

self.onmessage = ({ data: job }: MessageEvent<HashJob>) => {
  try {
    postMessage({ id: job.id, layer: hashPieces(job) } satisfies HashResult);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    postMessage({ id: job.id, failed: error instanceof Error ? error.message : String(error), code } satisfies HashResult);
  }
};

function hashPieces(job: HashJob): Uint8Array {
  const { length, fileSize } = job;
  const pieceSize = pieceSizeOf(fileSize);
  const pieces = new Uint8Array(Math.ceil(length / pieceSize) * HASH);
  // A window has several pieces, or a piece has several windows. At the end of the file a shorter rest may be left.
  const step = Math.max(HASH_WINDOW, pieceSize);
  let at = 0;
  for (; at + step <= length; at += step) pieces.set(hashStep(job, at, step, pieceSize), (at / pieceSize) * HASH);
  for (; at < length; at += pieceSize) {
    const size = Math.min(pieceSize, length - at);
    pieces.set(pieceHash(blockLayer(bytesOf(job, at, size), sha256), fileSize, sha256), (at / pieceSize) * HASH);
  }
  return pieces;
}

/** The hashes of the pieces in one window, or of the one piece that several windows have. */
function hashStep(job: HashJob, at: number, length: number, pieceSize: number): Uint8Array {
  const count = Math.max(1, HASH_WINDOW / pieceSize);
  if (length === HASH_WINDOW) return hashWindow(job, at, count);
  const tops = new Uint8Array((length / HASH_WINDOW) * HASH);
  for (let from = 0; from < length; from += HASH_WINDOW) tops.set(hashWindow(job, at + from, 1), (from / HASH_WINDOW) * HASH);
  return foldWhole(tops, sha256);
}

/** The layer of `count` nodes of one window. The next call overwrites it. */
function hashWindow(job: HashJob, at: number, count: number): Uint8Array {
  if ("memory" in job) return subtree.hash(blocksOf(new Uint8Array(job.memory, at, HASH_WINDOW)), count);
  read(job.fd, buffer, job.offset + at);
  if (Buffer.compare(buffer, zeros) !== 0) return subtree.hash(blocks, count);
  const known = zeroLayers.get(count) ?? subtree.hash(blocks, count).slice();
  zeroLayers.set(count, known);
  return known;
}

/** Some of the bytes. The next call overwrites those of a file. */
function bytesOf(job: HashJob, at: number, length: number): Uint8Array {
  if ("memory" in job) return new Uint8Array(job.memory, at, length);
  const bytes = length <= HASH_WINDOW ? buffer.subarray(0, length) : new Uint8Array(length);
  read(job.fd, bytes, job.offset + at);
  return bytes;
}

function read(fd: number, into: Uint8Array, offset: number): void {
  for (let have = 0; have < into.length; ) {
    const got = readSync(fd, into, have, into.length - have, offset + have);
    if (got === 0) throw new Error("the file became shorter");
    have += got;
  }
}

function blocksOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length / BLOCK }, (_, i) => bytes.subarray(i * BLOCK, (i + 1) * BLOCK));
}
