// Serving files to other peers. This file keeps what all downloaders share: the list of uploads, and the upload slots. A connection is
// answered in downloader.ts, bytes are sent in upload.ts. Disk, passes and time are handed in.

import { systemClock } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import { Downloader } from "./downloader.ts";
import { DEFAULT_SLOTS, UploadSlots } from "./slots.ts";
import type { ServeOptions, Upload } from "./types.ts";

export type * from "./types.ts";

/** Serves downloaders. `uploads` are the files that are being sent now. */
export class Server {
  readonly uploads = new Set<Upload>();
  readonly #options: ServeOptions;
  readonly #slots: UploadSlots;

  constructor(options: ServeOptions) {
    this.#options = options;
    this.#slots = new UploadSlots(options.slots ?? DEFAULT_SLOTS, options.clock ?? systemClock);
  }

  /** How many downloaders wait for a slot. */
  get waiting(): number {
    return this.#slots.waiting;
  }

  /** Takes over an accepted connection. */
  accept(channel: Channel): void {
    new Downloader(channel, this.#options, this.uploads, this.#slots).start();
  }
}
