// Hashes off the main thread with a pool of workers, at most one for each core. The hashing itself is in hasher.ts.

import { concatBytes } from "../../bytes.ts";
import { FtError } from "../../error.ts";
import { HASH } from "../../protocol/numbers.ts";
import type { HashInput, HashJob, HashResult } from "./hasher.ts";
import { blockLayer, pieceHash, pieceSizeOf, rootOf, type Sha256, type Tree } from "./merkle.ts";

/** The length of a job: long enough that messages cost little, short enough that all workers share a file. Bytes. */
export const HASH_JOB = 4 * 1024 * 1024;
/** When every worker has this number of jobs, the pool starts another worker. */
const JOBS_A_WORKER = 2;

/** SHA-256 by the runtime, for the few hashes above the pieces. */
export const sha256: Sha256 = (data, out) => {
  Bun.SHA256.hash(data, out);
};

/** The content id of a file as 64 hex digits, from its pieces' hashes. */
export function rootHex(pieces: Uint8Array, fileSize: number): string {
  return rootOf(pieces, fileSize, sha256).toHex();
}

/** The tree of a file that is in memory. */
export function treeOfBytes(bytes: Uint8Array): Tree {
  const step = pieceSizeOf(bytes.length);
  const pieces = new Uint8Array(Math.ceil(bytes.length / step) * HASH);
  for (let at = 0; at < bytes.length; at += step) {
    const blocks = blockLayer(bytes.subarray(at, at + step), sha256);
    pieces.set(pieceHash(blocks, bytes.length, sha256), (at / step) * HASH);
  }
  return { root: rootHex(pieces, bytes.length), pieces };
}

interface HashWorker {
  worker: Worker;
  /** The jobs that it has not answered yet. */
  jobs: Map<number, PromiseWithResolvers<Uint8Array>>;
}

export interface HashingOptions {
  /** Hashes only the first `length` bytes. */
  length?: number;
  onHashed?: ((bytes: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Workers start when there is work, and do not keep the process running. */
export class HashPool {
  readonly #script: URL;
  readonly #size: number;
  readonly #workers: HashWorker[] = [];
  #nextId = 1;

  /** `script` is the file of the worker. The program names it, so that it is found in the compiled binary, too. */
  constructor(script: URL, size = Math.min(8, navigator.hardwareConcurrency)) {
    this.#script = script;
    this.#size = Math.max(1, size);
  }

  /** The hashes of whole pieces; only the last piece of the file may be short. */
  layer(input: HashInput): Promise<Uint8Array> {
    const entry = this.#freest();
    const id = this.#nextId++;
    const answer = Promise.withResolvers<Uint8Array>();
    entry.jobs.set(id, answer);
    entry.worker.postMessage({ ...input, id } satisfies HashJob);
    return answer.promise;
  }

  /**
   * The hashes of the pieces of an open file, computed by all workers: of the whole file, or of its first `length` bytes. Fails when
   * the file becomes shorter.
   */
  async pieces(fd: number, size: number, options: HashingOptions = {}): Promise<Uint8Array> {
    const { length: end = size, onHashed, signal } = options;
    const step = Math.max(HASH_JOB, pieceSizeOf(size));
    const layers: Uint8Array[] = new Array(Math.ceil(end / step));
    let next = 0;
    const run = async () => {
      while (next < layers.length) {
        signal?.throwIfAborted();
        const index = next++;
        const offset = index * step;
        const length = Math.min(step, end - offset);
        layers[index] = await this.layer({ fd, offset, length, fileSize: size });
        onHashed?.(length);
      }
    };
    // Each worker has two jobs, so that it never waits for the next message.
    await Promise.all(Array.from({ length: 2 * this.#size }, run));
    return concatBytes(layers);
  }

  /** The tree of an open file of `size` bytes. Fails when the file becomes shorter. */
  async tree(fd: number, size: number, options: HashingOptions = {}): Promise<Tree> {
    const pieces = await this.pieces(fd, size, options);
    return { root: rootHex(pieces, size), pieces };
  }

  /** Ends the workers; jobs under way fail. */
  close(): void {
    for (const { worker, jobs } of this.#workers) {
      worker.terminate();
      for (const { reject } of jobs.values()) reject(new FtError("cancelled", "hashing was stopped"));
    }
    this.#workers.length = 0;
  }

  /** The worker with the fewest jobs. One worker is enough for a download; more are started when the jobs of a shared file wait. */
  #freest(): HashWorker {
    const [first, ...others] = this.#workers;
    if (first === undefined) return this.#start();
    const freest = others.reduce((best, entry) => (entry.jobs.size < best.jobs.size ? entry : best), first);
    return freest.jobs.size >= JOBS_A_WORKER && this.#workers.length < this.#size ? this.#start() : freest;
  }

  #start(): HashWorker {
    const worker = new Worker(this.#script.href);
    worker.unref();
    const entry: HashWorker = { worker, jobs: new Map() };
    worker.onmessage = ({ data }: MessageEvent<HashResult>) => {
      const waiting = entry.jobs.get(data.id);
      entry.jobs.delete(data.id);
      if ("layer" in data) waiting?.resolve(data.layer);
      else waiting?.reject(new FtError(data.code || "unreadable", data.failed));
    };
    worker.onerror = (event) => {
      for (const { reject } of entry.jobs.values()) reject(new FtError("hash-failed", `hashing failed: ${event.message}`));
      entry.jobs.clear();
      this.#workers.splice(this.#workers.indexOf(entry), 1);
    };
    this.#workers.push(entry);
    return entry;
  }
}
