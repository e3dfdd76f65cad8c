// Brings received bytes to the disk: gathers them in shared memory, has them hashed there off the main thread, and writes them if they
// are right. The caller decides whether they are right.
//
// Simple code would make new memory for each range. The runtime frees it so late that a fetcher had 230 MB instead of 100. Therefore
// the memory is used again.

import type { Clock } from "../../clock.ts";
import type { RateLimit } from "../rate-limit.ts";
import type { Range } from "./source.ts";

/** While more than this is being hashed and written, senders have to wait. It is four of the longest usual requests. Bytes. */
const UNDER_WAY = 8 * 1024 * 1024;
/** The smallest memory for a range. Bytes. */
const SMALLEST = 256 * 1024;
/** Free memory that is kept to be used again. Bytes. */
const KEPT = 20 * 1024 * 1024;

/** A range of the file that is arriving, and the memory for it. */
export interface RangeBuffer {
  readonly range: Range;
  readonly memory: SharedArrayBuffer;
  /** The number of its bytes that have come. */
  filled: number;
}

export interface LandingTools {
  /** Writes at a position; fails with a sentence. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** The hashes of the pieces in this memory, which begin at this place. */
  layer(memory: SharedArrayBuffer, length: number, offset: number): Promise<Uint8Array>;
  /** There is room again. */
  room(): void;
  /** The disk, or hashing, failed. */
  failed(error: Error): void;
}

/** Hashes and writes ranges of one file. */
export class Landing {
  readonly #tools: LandingTools;
  /** Memory that is not in use, the largest first. */
  readonly #free: SharedArrayBuffer[] = [];
  readonly #working = new Set<Promise<void>>();
  #underWay = 0;
  #throttled = false;
  #cancelThrottle = () => {};
  #kept = 0;

  constructor(tools: LandingTools) {
    this.#tools = tools;
  }

  /** Senders should wait until `room` is called. */
  get full(): boolean {
    return this.#underWay >= UNDER_WAY || this.#throttled;
  }

  /** Counts bytes that have come against the limit on downloads. While they are too many, the landing is full. */
  throttle(bytes: number, limit: RateLimit | undefined, clock: Clock): void {
    const wait = limit?.spend(bytes) ?? 0;
    if (wait === 0) return;
    this.#throttled = true;
    this.#cancelThrottle();
    this.#cancelThrottle = clock.after(wait, () => {
      this.#throttled = false;
      if (!this.full) this.#tools.room();
    });
  }

  /** Nothing more comes: the pause for the limit does not matter any more. */
  stop(): void {
    this.#cancelThrottle();
  }

  /** Gives memory for a range. Free memory is used again, because the runtime returns unused memory late. */
  open(range: Range): RangeBuffer {
    const memory = this.#free.findLast(({ byteLength }) => byteLength >= range.length);
    if (memory === undefined) return { range, memory: new SharedArrayBuffer(sizeFor(range.length)), filled: 0 };
    this.#free.splice(this.#free.indexOf(memory), 1);
    this.#kept -= memory.byteLength;
    return { range, memory, filled: 0 };
  }

  /** Adds bytes behind those that have come. */
  fill(buffer: RangeBuffer, bytes: Uint8Array): void {
    new Uint8Array(buffer.memory).set(bytes, buffer.filled);
    buffer.filled += bytes.length;
  }

  /** Gives the memory of a range back. */
  drop({ memory }: RangeBuffer): void {
    this.#free.push(memory);
    this.#kept += memory.byteLength;
    // The smallest are freed first: the large ones are asked for again.
    this.#free.sort((a, b) => b.byteLength - a.byteLength);
    while (this.#kept > KEPT) this.#kept -= this.#free.pop()?.byteLength ?? this.#kept;
  }

  /**
   * Hashes the first `length` bytes of a buffer, asks `judge` which ranges to write, writes these, and calls `written`. A failure
   * of the disk goes to the tool `failed`.
   */
  land(buffer: RangeBuffer, length: number, judge: (layer: Uint8Array) => Range[], written: (ranges: Range[]) => void): void {
    this.#underWay += length;
    const work = this.#land(buffer, length, judge)
      .then(written, (error: Error) => this.#tools.failed(error))
      .finally(() => {
        this.#working.delete(work);
        this.#underWay -= length;
        this.drop(buffer);
        if (!this.full) this.#tools.room();
      });
    this.#working.add(work);
  }

  /** Resolves when nothing is being hashed or written. */
  async settled(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  async #land({ range, memory }: RangeBuffer, length: number, judge: (layer: Uint8Array) => Range[]): Promise<Range[]> {
    const { layer, write } = this.#tools;
    const ranges = judge(await layer(memory, length, range.offset));
    await Promise.all(ranges.map(({ offset, length }) => write(offset, new Uint8Array(memory, offset - range.offset, length))));
    return ranges;
  }
}

/** The next power of two: with few sizes, memory can be used again. */
function sizeFor(length: number): number {
  let size = SMALLEST;
  while (size < length) size *= 2;
  return size;
}
