// The hashing worker: gives the hashes of the pieces in a stretch of a file, on disk or in shared memory. Runs off the main thread.

import { readSync } from "node:fs";
import { HASH } from "../../protocol/messages.ts";
import { BLOCK, blockLayer, foldWhole, pieceHash, pieceSizeOf, type Sha256, SUBTREE_BLOCKS, Subtree } from "./merkle.ts";

/** A stretch of whole pieces (the file's last may be short) of a file of `fileSize` bytes. */
export type Stretch = { length: number; fileSize: number } & (
  | { /** An open file, */ fd: number /** from here. */; offset: number }
  | { /** The bytes themselves, from the start. */ memory: SharedArrayBuffer }
);

export type HashJob = Stretch & { id: number };

/** The pieces' hashes one after the other, or why there are none. */
export type HashResult = { id: number; layer: Uint8Array } | { id: number; failed: string; code: string };

declare const self: Worker;

/** Files are read, and hashed, in windows of this size. */
const WINDOW = SUBTREE_BLOCKS * BLOCK;

const buffer = new Uint8Array(WINDOW);

const blocks = blocksOf(buffer);

/** Files have holes: comparing is quicker than hashing, and what nothing hashes to is known. */
const zeros = new Uint8Array(WINDOW);

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
  // A piece is smaller than a window, or some windows; what is left at the file's end is neither.
  const step = Math.max(WINDOW, pieceSize);
  let at = 0;
  for (; at + step <= length; at += step) pieces.set(hashStep(job, at, step, pieceSize), (at / pieceSize) * HASH);
  for (; at < length; at += pieceSize) {
    const size = Math.min(pieceSize, length - at);
    pieces.set(pieceHash(blockLayer(bytesOf(job, at, size), sha256), fileSize, sha256), (at / pieceSize) * HASH);
  }
  return pieces;
}

/** The hashes of the pieces in some whole windows: of several pieces a window, or of one piece of several windows. */
function hashStep(job: HashJob, at: number, length: number, pieceSize: number): Uint8Array {
  const count = Math.max(1, WINDOW / pieceSize);
  if (length === WINDOW) return hashWindow(job, at, count);
  const tops = new Uint8Array((length / WINDOW) * HASH);
  for (let from = 0; from < length; from += WINDOW) tops.set(hashWindow(job, at + from, 1), (from / WINDOW) * HASH);
  return foldWhole(tops, sha256);
}

/** The layer of `count` nodes of one window; it is to be used at once. */
function hashWindow(job: HashJob, at: number, count: number): Uint8Array {
  if ("memory" in job) return subtree.hash(blocksOf(new Uint8Array(job.memory, at, WINDOW)), count);
  read(job.fd, buffer, job.offset + at);
  if (Buffer.compare(buffer, zeros) !== 0) return subtree.hash(blocks, count);
  const known = zeroLayers.get(count) ?? subtree.hash(blocks, count).slice();
  zeroLayers.set(count, known);
  return known;
}

/** Bytes of a stretch. Those of a file are gone with the next call. */
function bytesOf(job: HashJob, at: number, length: number): Uint8Array {
  if ("memory" in job) return new Uint8Array(job.memory, at, length);
  const bytes = length <= WINDOW ? buffer.subarray(0, length) : new Uint8Array(length);
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
