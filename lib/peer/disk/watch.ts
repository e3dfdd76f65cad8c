// Watches the shared files: reports those that change, disappear, or come back. It changes nothing itself.

import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import type { FileName } from "../../protocol/record.ts";
import type { Share, SharedFile } from "./share.ts";

/** The watch looks at changes when none came for this long. A file that is being replaced is there again by then. Milliseconds. */
const SETTLE_MS = 300;
/** The watch looks at all files each time this time has passed, because some file systems report no changes. Milliseconds. */
const LOOK_AGAIN_MS = 5_000;

interface WatchEvents {
  /** A file does not fit its record any more. */
  changed(file: SharedFile): void;
  /** A file has another name in the same folder. It was `was`. */
  renamed(file: SharedFile, was: FileName): void;
  /** A file cannot be read any more, or another one that is not shared is in its place. */
  gone(file: SharedFile): void;
  /** A file that was gone can be read again. */
  back(file: SharedFile): void;
}

/** Watches the files of one share until `stop` is called. */
export class ShareWatch {
  readonly #share: Share;
  readonly #on: WatchEvents;
  readonly #watchers = new Map<string, FSWatcher>();
  /** Files that could not be read when they were last looked at. */
  readonly #missing = new Set<SharedFile>();
  /** Files that were reported as gone. */
  readonly #withdrawn = new Set<SharedFile>();
  readonly #regularly: ReturnType<typeof setInterval>;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(share: Share, on: WatchEvents) {
    this.#share = share;
    this.#on = on;
    this.#regularly = setInterval(() => this.#look(), LOOK_AGAIN_MS);
    this.#regularly.unref();
    this.#follow();
  }

  /** Something may have changed. */
  nudge(): void {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#look(), SETTLE_MS);
    this.#soon.unref();
  }

  stop(): void {
    clearInterval(this.#regularly);
    clearTimeout(this.#soon);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Watches the folders of all files. */
  #follow(): void {
    for (const { path } of this.#share.files) {
      const folder = dirname(path);
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => this.nudge());
        watcher.on("error", () => this.#watchers.delete(folder));
        this.#watchers.set(folder, watcher);
      } catch {
        // This folder cannot be watched. Its files are still looked at regularly.
      }
    }
  }

  #look(): void {
    this.#follow();
    for (const file of [...this.#share.files]) {
      if (!this.#share.hasChanged(file)) this.#missing.delete(file);
      else if (this.#share.refusalOf(file) === undefined) {
        this.#missing.delete(file);
        this.#on.changed(file);
      } else if (this.#missing.has(file)) {
        this.#missing.delete(file);
        const was = this.#share.follow(file);
        if (was === undefined) {
          this.#withdrawn.add(file);
          this.#on.gone(file);
        } else this.#on.renamed(file, was);
      } else {
        // A program that saves a file may be about to put the new one in its place.
        this.#missing.add(file);
        this.nudge();
      }
    }
    for (const file of this.#withdrawn) {
      if (this.#share.refusalOf(file) !== undefined) continue;
      this.#withdrawn.delete(file);
      this.#on.back(file);
    }
  }
}
