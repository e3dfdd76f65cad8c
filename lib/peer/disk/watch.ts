// Watches what is shared: files that change, go, or come back. Says so; what follows from it is the peer's business.

import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import type { Share, SharedFile } from "./share.ts";

/** A burst of changes is one change; a file that was replaced is there again within this time. */
const SETTLE_MS = 300;

/** Not every file system tells of changes. */
const LOOK_MS = 5_000;

export interface WatchEvents {
  /** A file is not what was announced. */
  changed(file: SharedFile): void;
  /** A file cannot be read any more. */
  gone(file: SharedFile): void;
  /** A file that was gone can be read again. */
  back(file: SharedFile): void;
}

export class ShareWatch {
  readonly #share: Share;
  readonly #on: WatchEvents;
  readonly #watchers = new Map<string, FSWatcher>();
  /** Not readable when last looked at, or withdrawn for that. */
  readonly #missing = new Set<SharedFile>();
  readonly #withdrawn = new Set<SharedFile>();
  readonly #regularly: ReturnType<typeof setInterval>;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(share: Share, on: WatchEvents) {
    this.#share = share;
    this.#on = on;
    this.#regularly = setInterval(() => this.#look(), LOOK_MS);
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
        // No watch to be had: looking regularly has to do.
      }
    }
  }

  #look(): void {
    this.#follow();
    for (const file of [...this.#share.files]) {
      if (!this.#share.hasChanged(file)) this.#missing.delete(file);
      else if (this.#share.canBeRead(file)) {
        this.#missing.delete(file);
        this.#on.changed(file);
      } else if (this.#missing.has(file)) {
        this.#missing.delete(file);
        this.#withdrawn.add(file);
        this.#on.gone(file);
      } else {
        // Who saves a file may be about to put the new one in its place.
        this.#missing.add(file);
        this.nudge();
      }
    }
    for (const file of this.#withdrawn) {
      if (!this.#share.canBeRead(file)) continue;
      this.#withdrawn.delete(file);
      this.#on.back(file);
    }
  }
}
