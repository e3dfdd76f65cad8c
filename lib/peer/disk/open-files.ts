// Keeps the large files open that are written in pieces, up to a number: of a folder with thousands of them, pieces of many arrive in turn.

import { closeSync, constants, openSync } from "node:fs";
import { writeFully } from "./fully.ts";
import { PLAIN_ONLY } from "./identity.ts";

/** Above this number of open files, those that are not being written are closed. */
const MOST_OPEN = 16;

interface OpenFile {
  readonly fd: number;
  /** The number of writes under way. */
  writing: number;
}

/** The caller's functions around the writes to a file: `begins` before the first of those that overlap, `ends` after the last. */
interface Watcher {
  begins(file: number, fd: number): void;
  ends(file: number, fd: number): void;
}

export class OpenFiles {
  /** By the caller's number. The one that was used last is last. */
  readonly #open = new Map<number, OpenFile>();
  readonly #watcher: Watcher;

  constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  /** Writes bytes of a file at a position. `pathOf` is asked for its path when it is not open. */
  async write(file: number, pathOf: () => string, bytes: Uint8Array, from: number): Promise<void> {
    const open = this.#take(file, pathOf);
    if (open.writing === 0) this.#watcher.begins(file, open.fd);
    open.writing += 1;
    try {
      await writeFully(open.fd, bytes, from);
    } finally {
      open.writing -= 1;
      if (open.writing === 0) this.#watcher.ends(file, open.fd);
      this.#closeUnused(MOST_OPEN);
    }
  }

  /** Closes all files that are not being written. */
  close(): void {
    this.#closeUnused(0);
  }

  #take(file: number, pathOf: () => string): OpenFile {
    const flags = constants.O_RDWR | constants.O_CREAT | PLAIN_ONLY;
    const open = this.#open.get(file) ?? { fd: openSync(pathOf(), flags, 0o666), writing: 0 };
    this.#open.delete(file);
    this.#open.set(file, open);
    return open;
  }

  /** Closes the files that were used the longest time ago, until only `most` are open. A file that is being written stays open. */
  #closeUnused(most: number): void {
    for (const [file, { fd, writing }] of this.#open) {
      if (this.#open.size <= most) return;
      if (writing > 0) continue;
      this.#open.delete(file);
      closeSync(fd);
    }
  }
}
