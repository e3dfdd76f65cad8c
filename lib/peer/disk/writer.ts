// Writes one open file. One write after the other: threads that wait for the same file only burn the processor's time. And the file is
// synced while it grows: without that the system keeps all of it in memory, and a slow disk takes minutes at the end. At 20 MB/s, Ctrl-C
// in the middle of 300 MB then took 14 s, and takes 2 s with this.

import { readSync, writeSync } from "node:fs";
import { type Clock, systemClock } from "../../clock.ts";
import { SMALLEST_PIECE } from "../content/merkle.ts";
import { writeFully } from "./fully.ts";
import { sync, tryCut } from "./sync-all.ts";

/** The first sync of a file begins when this amount was written, or the usual amount of the files before it, if that is less. Bytes. */
const FIRST = 8 * 1024 * 1024;
/** Between two syncs at least this amount is written. Bytes. */
const LEAST = 1024 * 1024;
/** A sync begins when this amount was written since the one before, however quick the disk is. Bytes. */
const MOST = 32 * 1024 * 1024;
/** A sync that takes less than this is quick: the next one may be of twice as much. Milliseconds. */
const QUICK_MS = 250;
/** A sync that takes more than this is slow, and the holder waits meanwhile: the next one is of half as much. Milliseconds. */
const SLOW_MS = 1_000;

/** The sync before, of any file. There is one at a time: each keeps one of the runtime's few threads from reading and writing. */
let before: Promise<void> = Promise.resolve();

/**
 * The caller's functions around each write: what changes the file before `begins` or after `ends` is another program. A sync is not among
 * them: it takes long, and on most disks it leaves the file's times alone.
 */
interface WriterEvents {
  begins(): void;
  ends(): void;
  /** The file is not busy any more. */
  idle?(): void;
}

/** What several files of one disk have in common. */
export interface Pace {
  /** Between two syncs of the file that was synced last, this amount was written. Bytes. */
  step: number;
}

export class Writer {
  readonly fd: number;
  readonly #on: WriterEvents;
  readonly #clock: Clock;
  readonly #pace: Pace;
  /** A sync of it failed. */
  failed = false;
  /** No sync begins any more behind the writes. */
  #stopped = false;
  /** The number of writes and syncs that wait or are under way. */
  #underWay = 0;
  /** The last write. */
  #written: Promise<void> = Promise.resolve();
  /** The last sync. */
  #synced: Promise<void> = Promise.resolve();
  /** Bytes that were written since it began. */
  #unsynced = 0;
  /** The next one begins when this number of bytes was written. */
  #step: number;
  /** A sync has succeeded: also what an earlier run left is on the disk. */
  #succeeded = false;
  /** What was written since the last sync that succeeded began. */
  #unsafe: { at: number; length: number }[] = [];

  constructor(
    fd: number,
    on: WriterEvents,
    { clock = systemClock, pace = { step: FIRST } }: { clock?: Clock; pace?: Pace } = {},
  ) {
    this.fd = fd;
    this.#on = on;
    this.#clock = clock;
    this.#pace = pace;
    this.#step = Math.min(FIRST, pace.step);
  }

  /** The file is being written or synced. */
  get busy(): boolean {
    return this.#underWay > 0;
  }

  /**
   * Writes all bytes at a position. A disk that is far behind makes it wait. Throws the system's error, also that of an earlier sync: the
   * system tells it only once.
   */
  async write(bytes: Uint8Array, at: number): Promise<void> {
    this.#underWay += 1;
    const write = this.#written.then(() => this.#write(bytes, at));
    this.#written = write.catch(() => undefined);
    await write.finally(() => this.#end());
  }

  /** The caller is about to end: no sync begins any more behind the writes. The system keeps what was written all the same. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when the file is not busy. What was written last may still have to be synced. Throws an error of a sync. */
  async settled(): Promise<void> {
    await this.#written;
    await this.#synced;
  }

  /** Syncs what was written. Throws the system's error. */
  async sync(): Promise<void> {
    try {
      await sync(this.fd);
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  /**
   * Makes the pieces wrong that a sync could not write, if one failed. The system still shows them from its memory, and its next sync
   * succeeds without them: the next run would take them for saved. It finds them wrong now, and fetches them again.
   */
  spoilLost(): void {
    if (!this.failed) return;
    if (!this.#succeeded || !this.#trySpoil()) tryCut(this.fd, 0);
    this.#unsafe = [];
  }

  /** Changes a byte of each piece that was written since the last sync that succeeded. False when that cannot be. */
  #trySpoil(): boolean {
    const places = new Set<number>();
    for (const { at, length } of this.#unsafe) for (let i = 0; i < length; i += SMALLEST_PIECE) places.add(at + i);
    const byte = new Uint8Array(1);
    try {
      for (const place of places) {
        readSync(this.fd, byte, 0, 1, place);
        byte[0] = ~(byte[0] ?? 0);
        writeSync(this.fd, byte, 0, 1, place);
      }
      return true;
    } catch {
      return false;
    }
  }

  async #write(bytes: Uint8Array, at: number): Promise<void> {
    this.#unsafe.push({ at, length: bytes.length });
    this.#on.begins();
    await writeFully(this.fd, bytes, at).finally(() => this.#on.ends());
    this.#unsynced += bytes.length;
    if (this.#stopped || this.#unsynced < this.#step) return;
    await this.#synced;
    // Of 1,000 files of 10 MiB, each begins one sync, and none is written so far that it has to wait for its own.
    await before;
    if (this.#stopped) return;
    this.#unsynced = 0;
    this.#synced = this.#syncBehind(before);
    before = this.#synced.catch(() => undefined);
  }

  /** The next write that has to wait for it throws its error, or `settled`. */
  async #syncBehind(turn: Promise<void>): Promise<void> {
    this.#underWay += 1;
    const covered = this.#unsafe.length;
    try {
      await turn;
      if (this.#stopped) return;
      const began = this.#clock.elapsed();
      await this.sync();
      this.#unsafe.splice(0, covered);
      this.#succeeded = true;
      const took = this.#clock.elapsed() - began;
      if (took < QUICK_MS) this.#step = Math.min(MOST, 2 * this.#step);
      else if (took > SLOW_MS) this.#step = Math.max(LEAST, this.#step / 2);
      this.#pace.step = this.#step;
    } finally {
      this.#end();
    }
  }

  #end(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#on.idle?.();
  }
}
