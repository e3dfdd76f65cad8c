// Computes the hashes of pieces, of an open file or in shared memory, as a worker off the main thread.

import { readFullySync } from "../../files.ts";
import { HASH } from "../../protocol/numbers.ts";
import { type HashUnit, packHash } from "./folder-cut.ts";
import { BLOCK, blockLayer, LARGEST_PIECE, pieceHash, pieceSizeOf, rootOf, type Sha256 } from "./merkle.ts";

/** Bytes to hash: whole pieces of a file of `fileSize` bytes, only its last piece may be short; or pieces of a folder, in memory. */
export type HashInput =
  | ({ length: number; fileSize: number } & (
      | { /** An open file. */ fd: number /** Where its bytes begin. */; offset: number }
      | { /** The bytes. */ memory: SharedArrayBuffer }
    ))
  | { memory: SharedArrayBuffer; units: HashUnit[] };

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
    postMessage({ id: job.id, layer: "units" in job ? hashUnits(job) : hashPieces(job) } satisfies HashResult);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    postMessage({ id: job.id, failed: error instanceof Error ? error.message : String(error), code } satisfies HashResult);
  }
};

/** The hash of each piece of a folder. Its bytes stand one behind the other. */
function hashUnits({ memory, units }: Extract<HashJob, { units: HashUnit[] }>): Uint8Array {
  const hashes = new Uint8Array(units.length * HASH);
  let at = 0;
  const take = (length: number) => {
    at += length;
    return new Uint8Array(memory, at - length, length);
  };
  units.forEach((unit, i) => {
    if ("files" in unit) {
      const roots = new Uint8Array(unit.files.length * HASH);
      unit.files.forEach((size, n) => {
        roots.set(contentId(take(size)), n * HASH);
      });
      hashes.set(packHash(roots, sha256), i * HASH);
    } else {
      hashes.set(pieceHash(blockLayer(take(unit.length), sha256), unit.fileSize, sha256, unit.pieceSize), i * HASH);
    }
  });
  return hashes;
}

/** The content id of a file with these bytes, as 32 bytes. */
function contentId(bytes: Uint8Array): Uint8Array {
  return rootOf(blockLayer(bytes, sha256), bytes.length, sha256, BLOCK);
}

function hashPieces(job: Exclude<HashJob, { units: HashUnit[] }>): Uint8Array {
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
function bytesOf(job: Exclude<HashJob, { units: HashUnit[] }>, at: number, length: number): Uint8Array {
  if ("memory" in job) return new Uint8Array(job.memory, at, length);
  const bytes = buffer.subarray(0, length);
  if (readFullySync(job.fd, bytes, job.offset + at) < length) throw new Error("the file became shorter");
  return bytes;
}
