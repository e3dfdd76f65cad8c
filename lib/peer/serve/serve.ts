// Serves files to other peers: makes the state that all connections have in common, and gives each connection to a downloader or a guest.
// downloader.ts serves a connection, guests.ts a browser, upload.ts sends bytes. The caller hands in disk, passes and time.

import { systemClock } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import type { Exchange } from "../../net/exchange.ts";
import { Downloader } from "./downloader.ts";
import { Flows } from "./flows.ts";
import { Guests } from "./guests.ts";
import { Layers } from "./layers.ts";
import { DEFAULT_SLOTS, UploadSlots } from "./slots.ts";
import type { ServingState } from "./state.ts";
import type { ServeOptions, Upload } from "./types.ts";
import { Work } from "./work.ts";

/** Serves downloaders. `uploads` are the files that are being sent now. */
export class Server {
  readonly uploads = new Set<Upload>();
  readonly #options: ServeOptions;
  readonly #state: ServingState;
  readonly #guests: Guests;

  constructor(options: ServeOptions) {
    this.#options = options;
    const clock = options.clock ?? systemClock;
    const flows = new Flows(clock);
    const work = new Work(clock, (host) => flows.isShared(host));
    const slots = new UploadSlots(options.slots ?? DEFAULT_SLOTS, clock);
    this.#state = { uploads: this.uploads, slots, flows, work, layers: new Layers(work, options.sha256) };
    this.#guests = new Guests(options, this.#state, clock);
  }

  /** How many downloaders wait for a slot. */
  get waiting(): number {
    return this.#state.slots.waiting;
  }

  /** Answers a browser that the tracker's web page has sent here. */
  answer(exchange: Exchange): void {
    void this.#guests.answer(exchange);
  }

  /** Takes over an accepted connection. */
  accept(channel: Channel): void {
    new Downloader(channel, this.#options, this.#state).start();
  }
}
