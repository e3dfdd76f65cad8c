// The hashing worker: gives the hashes of the pieces in a stretch of a file, on disk or in shared memory. Runs off the main thread.

import { readSync } from "node:fs";
import { BLOCK, blockLayer, HASH, pieceHash, pieceSizeOf, type Sha256 } from "./merkle.ts";

/** A stretch of whole pieces (the file's last may be short) of a file of `fileSize` bytes. */
export type Stretch = { length: number; fileSize: number } & (
  | { /** An open file, */ fd: number /** from here. */; offset: number }
  | { /** The bytes themselves, from the start. */ memory: SharedArrayBuffer }
);

export type HashJob = Stretch & { id: number };

/** The pieces' hashes one after the other, or why there are none. */
export type HashResult = { id: number; layer: Uint8Array } | { id: number; failed: string; code: string };

declare const self: Worker;

const READ = 64 * BLOCK;
const buffer = new Uint8Array(READ);
/** Files have holes: comparing is quicker than hashing, and what nothing hashes to is known. */
const zeros = new Uint8Array(READ);
const sha256: Sha256 = (data, out) => {
  Bun.SHA256.hash(data, out);
};

const zeroLayer = blockLayer(zeros, sha256);

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
  for (let at = 0, i = 0; at < length; at += pieceSize, i += HASH) {
    const size = Math.min(pieceSize, length - at);
    const blocks =
      "memory" in job ? blockLayer(new Uint8Array(job.memory, at, size), sha256) : hashBlocks(job.fd, job.offset + at, size);
    pieces.set(pieceHash(blocks, fileSize, sha256), i);
  }
  return pieces;
}

function hashBlocks(fd: number, offset: number, length: number): Uint8Array {
  const blocks = new Uint8Array(Math.ceil(length / BLOCK) * HASH);
  for (let at = 0; at < length; at += READ) {
    const wanted = Math.min(READ, length - at);
    let have = 0;
    while (have < wanted) {
      const got = readSync(fd, buffer, have, wanted - have, offset + at + have);
      if (got === 0) throw new Error("the file became shorter");
      have += got;
    }
    const empty = wanted === READ && Buffer.compare(buffer, zeros) === 0;
    blocks.set(empty ? zeroLayer : blockLayer(buffer.subarray(0, wanted), sha256), (at / BLOCK) * HASH);
  }
  return blocks;
}
