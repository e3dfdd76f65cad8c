// Serving files to other peers. This file keeps what all downloaders share: the list of uploads, the upload slots, and the shares of
// each host in time and bytes. A connection is answered in downloader.ts, bytes are sent in upload.ts. Disk, passes and time are
// handed in.

import { systemClock } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import { Downloader } from "./downloader.ts";
import { Flows } from "./flows.ts";
import { Layers } from "./layers.ts";
import { DEFAULT_SLOTS, UploadSlots } from "./slots.ts";
import type { ServeOptions, Upload } from "./types.ts";
import { Work } from "./work.ts";

export type * from "./types.ts";

/** What the connections of all downloaders share. */
export interface Shared {
  /** The files that are being sent now. */
  readonly uploads: Set<Upload>;
  readonly slots: UploadSlots;
  readonly flows: Flows;
  readonly work: Work;
  readonly layers: Layers;
}

/** Serves downloaders. `uploads` are the files that are being sent now. */
export class Server {
  readonly uploads = new Set<Upload>();
  readonly #options: ServeOptions;
  readonly #shared: Shared;

  constructor(options: ServeOptions) {
    this.#options = options;
    const clock = options.clock ?? systemClock;
    const flows = new Flows(clock);
    const work = new Work(clock, (host) => flows.isShared(host));
    const slots = new UploadSlots(options.slots ?? DEFAULT_SLOTS, clock);
    this.#shared = { uploads: this.uploads, slots, flows, work, layers: new Layers(work, options.sha256) };
  }

  /** How many downloaders wait for a slot. */
  get waiting(): number {
    return this.#shared.slots.waiting;
  }

  /** Takes over an accepted connection. */
  accept(channel: Channel): void {
    new Downloader(channel, this.#options, this.#shared).start();
  }
}
