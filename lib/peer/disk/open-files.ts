// Keeps the large files open that are written in pieces, up to a number: of a folder with thousands of them, pieces of many arrive in turn.

import { closeSync, constants, openSync } from "node:fs";
import { PLAIN_ONLY } from "./identity.ts";
import { type Pace, Writer } from "./writer.ts";

/** Above this number of open files, those that are not being written are closed. */
const MOST_OPEN = 16;

/** The caller's functions around each write of a file. */
interface Watcher {
  begins(file: number, fd: number): void;
  ends(file: number, fd: number): void;
}

export class OpenFiles {
  /** By the caller's number. The one that was used last is last. */
  readonly #open = new Map<number, Writer>();
  readonly #watcher: Watcher;
  /** Of a folder on a slow disk, most files are shorter than what is written before the first sync: the next ones begin with less. */
  readonly #pace: Pace = { step: Number.POSITIVE_INFINITY };
  #stopped = false;
  /** A sync of one of them failed. */
  failed = false;

  constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  /** Writes bytes of a file at a position. `pathOf` is asked for its path when it is not open. */
  async write(file: number, pathOf: () => string, bytes: Uint8Array, from: number): Promise<void> {
    await this.#take(file, pathOf).write(bytes, from);
  }

  /** No sync begins any more behind the writes. */
  stop(): void {
    this.#stopped = true;
    for (const writer of this.#open.values()) writer.stop();
  }

  /** Closes all files, those that are busy as soon as they are not. Throws the system's error of a sync. */
  async close(): Promise<void> {
    const writers = [...this.#open.values()];
    this.#open.clear();
    const ended = await Promise.allSettled(writers.map((writer) => writer.settled().finally(() => this.#closeOne(writer))));
    for (const one of ended) if (one.status === "rejected") throw one.reason;
  }

  #take(file: number, pathOf: () => string): Writer {
    const writer = this.#open.get(file) ?? this.#writerOf(file, pathOf());
    this.#open.delete(file);
    this.#open.set(file, writer);
    return writer;
  }

  #writerOf(file: number, path: string): Writer {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | PLAIN_ONLY, 0o666);
    const on = {
      begins: () => this.#watcher.begins(file, fd),
      ends: () => this.#watcher.ends(file, fd),
      idle: () => this.#closeUnused(),
    };
    const writer = new Writer(fd, on, { pace: this.#pace });
    if (this.#stopped) writer.stop();
    return writer;
  }

  /**
   * Closes the files that were used the longest time ago, until few are open. A file that is busy stays open; and one whose sync failed, so
   * that `close` tells of it.
   */
  #closeUnused(): void {
    for (const [file, writer] of this.#open) {
      if (this.#open.size <= MOST_OPEN) return;
      if (writer.busy || writer.failed) continue;
      this.#open.delete(file);
      closeSync(writer.fd);
    }
  }

  #closeOne(writer: Writer): void {
    this.failed ||= writer.failed;
    writer.spoilLost();
    closeSync(writer.fd);
  }
}
