// What has arrived, on its way to the disk: gathered in shared memory, hashed there off the main thread, written when it is right.

import type { Range } from "./source.ts";

/** Bytes being hashed and written at once. With more, senders have to wait. */
const UNDER_WAY = 12 * 1024 * 1024;

const SMALLEST = 256 * 1024;

/** Bytes of memory that are kept for the next stretch. */
const KEPT = 20 * 1024 * 1024;

/** A stretch of the file that is arriving. */
export interface Stretch {
  readonly range: Range;
  readonly memory: SharedArrayBuffer;
  /** How many of its bytes are here. */
  filled: number;
}

export interface LandingTools {
  /** Writes at a position; fails with a sentence. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** The hashes of the pieces in a stretch; undefined when there is nothing to hold them against. */
  layer: ((memory: SharedArrayBuffer, length: number) => Promise<Uint8Array>) | undefined;
  /** There is room again. */
  room(): void;
  /** The disk, or hashing, failed. */
  failed(error: Error): void;
}

export class Landing {
  readonly #tools: LandingTools;
  /** The largest first. */
  readonly #free: SharedArrayBuffer[] = [];
  readonly #working = new Set<Promise<void>>();
  #underWay = 0;
  #kept = 0;

  constructor(tools: LandingTools) {
    this.#tools = tools;
  }

  /** No more should be received until `room` is called. */
  get full(): boolean {
    return this.#underWay >= UNDER_WAY;
  }

  /** Memory for a stretch: what is free already if it is large enough, because what is not used again lies about for long. */
  open(range: Range): Stretch {
    const memory = this.#free.findLast(({ byteLength }) => byteLength >= range.length);
    if (memory === undefined) return { range, memory: new SharedArrayBuffer(sizeFor(range.length)), filled: 0 };
    this.#free.splice(this.#free.indexOf(memory), 1);
    this.#kept -= memory.byteLength;
    return { range, memory, filled: 0 };
  }

  /** Puts bytes where they belong; they must follow those that are here. */
  fill(stretch: Stretch, bytes: Uint8Array): void {
    new Uint8Array(stretch.memory).set(bytes, stretch.filled);
    stretch.filled += bytes.length;
  }

  /** Forgets a stretch. */
  drop({ memory }: Stretch): void {
    this.#free.push(memory);
    this.#kept += memory.byteLength;
    // The large ones are the ones that are wanted again.
    this.#free.sort((a, b) => b.byteLength - a.byteLength);
    while (this.#kept > KEPT) this.#kept -= this.#free.pop()?.byteLength ?? this.#kept;
  }

  /**
   * Hashes the first `length` bytes of a stretch, asks `judge` which ranges are to be written, writes them and says so. When the
   * disk fails it is `failed` that hears of it.
   */
  land(stretch: Stretch, length: number, judge: (layer: Uint8Array) => Range[], written: (ranges: Range[]) => void): void {
    this.#underWay += length;
    const work = this.#land(stretch, length, judge)
      .then(written, (error: Error) => this.#tools.failed(error))
      .finally(() => {
        this.#working.delete(work);
        this.#underWay -= length;
        this.drop(stretch);
        if (!this.full) this.#tools.room();
      });
    this.#working.add(work);
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  async #land({ range, memory }: Stretch, length: number, judge: (layer: Uint8Array) => Range[]): Promise<Range[]> {
    const { layer, write } = this.#tools;
    const ranges = judge(layer === undefined ? new Uint8Array(0) : await layer(memory, length));
    await Promise.all(ranges.map(({ offset, length }) => write(offset, new Uint8Array(memory, offset - range.offset, length))));
    return ranges;
  }
}

/** A few sizes only, so that memory can be used again. */
function sizeFor(length: number): number {
  let size = SMALLEST;
  while (size < length) size *= 2;
  return size;
}
