// Hashing off the main thread: a pool of workers, one a core.

import { concatBytes } from "../../bytes.ts";
import { FtError } from "../../error.ts";
import type { HashJob, HashResult, Stretch } from "./hasher.ts";
import { pieceSizeOf, rootOf, type Sha256, type Tree } from "./merkle.ts";

/** A job is about this many bytes: large enough that messages cost nothing, small enough that all workers share a file. */
export const HASH_JOB = 4 * 1024 * 1024;

/** Jobs that a worker may have before another one is hired. */
const PILE = 2;

/** SHA-256 by the runtime, for the few hashes above the pieces. */
export const sha256: Sha256 = (data, out) => {
  Bun.SHA256.hash(data, out);
};

/** The content id of a file as 64 hex digits, from its pieces' hashes. */
export function rootHex(pieces: Uint8Array, fileSize: number): string {
  return rootOf(pieces, fileSize, sha256).toHex();
}

interface Waiting {
  resolve(layer: Uint8Array): void;
  reject(error: Error): void;
}

interface Hand {
  worker: Worker;
  jobs: Map<number, Waiting>;
}

export interface HashingOptions {
  /** Only so much from the start. */
  length?: number;
  onHashed?: ((bytes: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Workers start with the first job and do not keep the process alive. */
export class HashPool {
  readonly #script: URL;
  readonly #size: number;
  readonly #hands: Hand[] = [];
  #nextId = 1;

  /** `script` is the worker's file, which the program names so that it is found in the compiled binary too. */
  constructor(script: URL, size = Math.min(8, navigator.hardwareConcurrency)) {
    this.#script = script;
    this.#size = Math.max(1, size);
  }

  /** The hashes of the pieces in a stretch that starts and ends at piece borders (or the file's end). */
  layer(stretch: Stretch): Promise<Uint8Array> {
    const hand = this.#freest();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      hand.jobs.set(id, { resolve, reject });
      hand.worker.postMessage({ ...stretch, id } satisfies HashJob);
    });
  }

  /**
   * The hashes of an open file's pieces, all workers at it: of all of them, or of the first `length` bytes (whole pieces). Fails
   * when the file becomes shorter.
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
    // Two jobs a worker, so that none waits for the next message.
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
    for (const { worker, jobs } of this.#hands) {
      worker.terminate();
      for (const { reject } of jobs.values()) reject(new FtError("cancelled", "hashing was stopped"));
    }
    this.#hands.length = 0;
  }

  /** One worker keeps up with a network; more are hired only when work piles up, as it does when files are hashed. */
  #freest(): Hand {
    const [first, ...others] = this.#hands;
    if (first === undefined) return this.#hire();
    const freest = others.reduce((best, hand) => (hand.jobs.size < best.jobs.size ? hand : best), first);
    return freest.jobs.size >= PILE && this.#hands.length < this.#size ? this.#hire() : freest;
  }

  #hire(): Hand {
    const worker = new Worker(this.#script.href);
    worker.unref();
    const hand: Hand = { worker, jobs: new Map() };
    worker.onmessage = ({ data }: MessageEvent<HashResult>) => {
      const waiting = hand.jobs.get(data.id);
      hand.jobs.delete(data.id);
      if ("layer" in data) waiting?.resolve(data.layer);
      else waiting?.reject(new FtError(data.code || "unreadable", data.failed));
    };
    worker.onerror = (event) => {
      for (const { reject } of hand.jobs.values()) reject(new FtError("hash-failed", `hashing failed: ${event.message}`));
      hand.jobs.clear();
      this.#hands.splice(this.#hands.indexOf(hand), 1);
    };
    this.#hands.push(hand);
    return hand;
  }
}
