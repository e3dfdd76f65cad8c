// Computes the hashes of pieces, of an open file or in shared memory, as a worker off the main thread.

import { readSync } from "node:fs";
import { HASH } from "../../protocol/messages.ts";
import { blockLayer, LARGEST_PIECE, pieceHash, pieceSizeOf, type Sha256 } from "./merkle.ts";

/** Bytes to hash: whole pieces of a file of `fileSize` bytes; only its last piece may be short. */
export type HashInput = { length: number; fileSize: number } & (
  | { /** An open file. */ fd: number /** Where its bytes begin. */; offset: number }
  | { /** The bytes. */ memory: SharedArrayBuffer }
);

export type HashJob = HashInput & { id: number };

/** The pieces' hashes one after the other, or why there are none. */
export type HashResult = { id: number; layer: Uint8Array } | { id: number; failed: string; code: string };

declare const self: Worker;

/** For the pieces of files. Memory for each piece would be freed late. */
const buffer = new Uint8Array(LARGEST_PIECE);

const sha256: Sha256 = (data, out) => {
  Bun.SHA256.hash(data, out);
};

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
  for (let at = 0; at < length; at += pieceSize) {
    const bytes = bytesOf(job, at, Math.min(pieceSize, length - at));
    pieces.set(pieceHash(blockLayer(bytes, sha256), fileSize, sha256), (at / pieceSize) * HASH);
  }
  return pieces;
}

/** Some of the bytes. The next call overwrites those of a file. */
function bytesOf(job: HashJob, at: number, length: number): Uint8Array {
  if ("memory" in job) return new Uint8Array(job.memory, at, length);
  for (let have = 0; have < length; ) {
    const got = readSync(job.fd, buffer, have, length - have, job.offset + at + have);
    if (got === 0) throw new Error("the file became shorter");
    have += got;
  }
  return buffer.subarray(0, length);
}
